(* A step of x' = K x with a skew matrix K by a Runge-Kutta method.

   The step is Q(hK)^-1 P(hK) with the numerator P and the denominator Q of the stability function.  With S = - (hK)^2, which is
   symmetric and between 0 and (h |K|)^2 <= W,
       P(hK)^T P(hK) = P(- hK) P(hK) = N(S),      N(w) = |P(i sqrt w)|^2,
   and so for Q and D(w) = |Q(i sqrt w)|^2.  Let the coefficients of  L^2 D - N  in the basis of Bernstein on [0, W] not be
   negative:  L^2 D(w) - N(w) = sum_j c_j w^j (W - w)^(m - j).

   Theorems.
     skew_flow            then |P u| <= L |Q u|; here u = Q^-1 x, x the point where the step begins
     skew_flow_inverse    N - l^2 D with such coefficients:  l |Q u| <= |P u|
     skew_square          K skew, K^T K <= W:  0 <= <z, S z> <= W |z|^2 for S = - K^2, and S is symmetric

   Source: Hairer and Wanner II, IV.3. *)

From mathcomp Require Import all_ssreflect all_algebra.
From mathcomp Require Import ring.
Require Import euclidean.
Set Implicit Arguments. Unset Strict Implicit. Unset Printing Implicit Defensive.
Import GRing.Theory Num.Theory Order.TTheory.
Local Open Scope ring_scope.

Section Skew.
Variables (F : realFieldType) (n : nat) (S : 'M[F]_n.+1) (W : F).
Hypothesis W0 : 0 < W.
Hypothesis S_sym : S^T = S.
Hypothesis S_low : forall z, 0 <= dot z (S *m z).
Hypothesis S_high : forall z, dot z (S *m z) <= W * sqn z.

Let T : 'M[F]_n.+1 := W%:M - S.

Lemma T_sym : T^T = T.
Proof. by rewrite /T linearB /= tr_scalar_mx S_sym. Qed.

Lemma T_low z : 0 <= dot z (T *m z).
Proof. by rewrite /T mulmxBl mul_scalar_mx dotBr dotZr subr_ge0; exact: S_high. Qed.

Lemma commute : S * T = T * S.
Proof. by rewrite /T mulrBr mulrBl; congr (_ - _); rewrite -!mulmxE mul_mx_scalar mul_scalar_mx. Qed.

(* <z, B M B z> = <B z, M (B z)> for a symmetric B. *)
Lemma conjugated (B M : 'M[F]_n.+1) z : B^T = B -> dot z ((B * M * B) *m z) = dot (B *m z) (M *m (B *m z)).
Proof. by move=> sym; rewrite dot_adj sym -!mulmxE !mulmxA. Qed.

Lemma product_low z : 0 <= dot z ((S * T) *m z).
Proof.
have e : W *: (S * T) = S * T * S + T * S * T.
  have w : W%:M = S + T by rewrite /T addrC subrK.
  have -> : W *: (S * T) = W%:M * (S * T) by rewrite -mulmxE mul_scalar_mx.
  rewrite w mulrDl; congr (_ + _); first by rewrite -mulrA commute.
  by rewrite mulrA.
have p : 0 <= dot z ((W *: (S * T)) *m z).
  rewrite e mulmxDl dotDr (conjugated _ _ S_sym) (conjugated _ _ T_sym).
  by rewrite addr_ge0 ?T_low ?S_low.
by move: p; rewrite -scalemxAl dotZr pmulr_rge0.
Qed.

Lemma bernstein_low a b z : 0 <= dot z ((S ^+ a * T ^+ b) *m z).
Proof.
have cTS k : S * T ^+ k = T ^+ k * S by exact: (commrX k commute).
have cST k : T * S ^+ k = S ^+ k * T by exact: (commrX k (esym commute)).
elim/ltn_ind: a b z => a IHa b z.
case: a IHa => [|[|a]] IHa; last first.
  have -> : S ^+ a.+2 * T ^+ b = S * (S ^+ a * T ^+ b) * S.
    by rewrite exprS exprSr -!mulrA; congr (_ * (_ * _)); exact: cTS.
  by rewrite (conjugated _ _ S_sym); apply: IHa.
all: elim/ltn_ind: b z {IHa} => b IHb z; case: b IHb => [|[|b]] IHb.
- by rewrite expr1 expr0 mulr1; exact: S_low.
- by rewrite !expr1; exact: product_low.
- have -> : S ^+ 1 * T ^+ b.+2 = T * (S ^+ 1 * T ^+ b) * T.
    have -> : T ^+ b.+2 = T * T ^+ b * T by rewrite exprS exprSr mulrA.
    by rewrite !mulrA; congr (_ * _ * _); exact: (esym (cST 1%N)).
  by rewrite (conjugated _ _ T_sym); apply: IHb.
- by rewrite !expr0 mulr1 mul1mx; exact: sqn_ge0.
- by rewrite expr0 mul1r expr1; exact: T_low.
- have -> : S ^+ 0 * T ^+ b.+2 = T * (S ^+ 0 * T ^+ b) * T.
    by rewrite !expr0 !mul1r exprS exprSr mulrA.
  by rewrite (conjugated _ _ T_sym); apply: IHb.
Qed.

Variables (m : nat) (c : 'I_m.+1 -> F) (P Q : 'M[F]_n.+1) (L : F).
Hypothesis c0 : forall j, 0 <= c j.
Let basis := \sum_j c j *: (S ^+ j * T ^+ (m - j)).

Lemma basis_low z : 0 <= dot z (basis *m z).
Proof.
rewrite /basis mulmx_suml dot_sumr; apply: sumr_ge0 => j _.
by rewrite -scalemxAl dotZr mulr_ge0 // bernstein_low.
Qed.

Lemma gram (B : 'M[F]_n.+1) z : sqn (B *m z) = dot z ((B^T *m B) *m z).
Proof. by rewrite /sqn dot_adj mulmxA. Qed.

Theorem skew_flow u : L ^+ 2 *: (Q^T *m Q) - P^T *m P = basis -> sqn (P *m u) <= L ^+ 2 * sqn (Q *m u).
Proof.
move=> e; have := basis_low u.
by rewrite -e mulmxBl dotBr -scalemxAl dotZr -!gram subr_ge0.
Qed.

Theorem skew_flow_inverse u : P^T *m P - L ^+ 2 *: (Q^T *m Q) = basis -> L ^+ 2 * sqn (Q *m u) <= sqn (P *m u).
Proof.
move=> e; have := basis_low u.
by rewrite -e mulmxBl dotBr -scalemxAl dotZr -!gram subr_ge0.
Qed.
End Skew.

Theorem skew_square (F : realFieldType) (n : nat) (K : 'M[F]_n) (W : F) :
  K^T = - K -> opbound K W ->
  let S := - (K *m K) in S^T = S /\ forall z, 0 <= dot z (S *m z) /\ dot z (S *m z) <= W * sqn z.
Proof.
move=> sk bound S.
have e : S = K^T *m K by rewrite /S sk mulNmx.
split; first by rewrite e trmx_mul trmxK.
move=> z; have -> : dot z (S *m z) = sqn (K *m z) by rewrite e /sqn dot_adj mulmxA.
by split; [exact: sqn_ge0 | exact: bound].
Qed.
