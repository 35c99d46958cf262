(* Operator norm by a residual certificate.

   Theorem. Let W be m x n and R any p x n matrix, alpha and beta numbers, and
       E = alpha I - W^T W - R^T R,     sum_j |E_ij| <= beta for every i.
   Then |W x|^2 <= (alpha + beta) |x|^2 for all x, that is |W|_2 <= sqrt (alpha + beta).

   From below: with E = W^T W - alpha I - R^T R and the same row sums, |W x|^2 >= (alpha - beta) |x|^2,
   that is sigma_min (W) >= sqrt (alpha - beta) where W is injective.

   R is an approximate Cholesky factor, but nothing is assumed of it: the certificate needs no error theory.
   A program may certify W or W^T (norm_of_transpose), and may bound the row sums in any way from above.
   The affine layer x |-> W x + b is then Lipschitz, with the constant of W.

   Source: folklore; compare S. M. Rump, Acta Numerica 19 (2010), section 10.8 (verified bounds for eigenvalues). *)

From mathcomp Require Import all_ssreflect all_algebra.
From mathcomp Require Import ring.
Require Import euclidean.
Set Implicit Arguments. Unset Strict Implicit. Unset Printing Implicit Defensive.
Import GRing.Theory Num.Theory Order.TTheory.
Local Open Scope ring_scope.

Section OperatorNorm.
Variable F : realFieldType.
Variables (m n p : nat) (W : 'M[F]_(m, n)) (R : 'M[F]_(p, n)) (alpha beta : F).

Lemma form_of_gram q (V : 'M[F]_(q, n)) (x : 'cV_n) : dot x (V^T *m V *m x) = sqn (V *m x).
Proof. by rewrite -mulmxA -dot_adj. Qed.

Lemma form_of_scalar (a : F) (x : 'cV_n) : dot x (a%:M *m x) = a * sqn x.
Proof. by rewrite mul_scalar_mx dotZr. Qed.

Definition residual := alpha%:M - W^T *m W - R^T *m R.

Theorem residual_certificate :
  (forall i, \sum_j `|residual i j| <= beta) -> opbound W (alpha + beta).
Proof.
move=> hb x.
have sE : (- residual)^T = - residual by rewrite /residual !linearN !linearB /= tr_scalar_mx !trmx_mul !trmxK.
have hN i : \sum_j `|(- residual) i j| <= beta by under eq_bigr => j _ do rewrite mxE normrN.
have hq := row_sum_bound sE hN x.
have e : dot x (- residual *m x) = sqn (W *m x) + sqn (R *m x) - alpha * sqn x.
  rewrite mulNmx dotNr /residual !mulmxBl !dotBr form_of_scalar !form_of_gram; ring.
rewrite e -subr_ge0 in hq.
by apply: (le_of_diff (addr_ge0 hq (sqn_ge0 (R *m x)))); ring.
Qed.

Definition residual_below := W^T *m W - alpha%:M - R^T *m R.

Theorem residual_certificate_below :
  (forall i, \sum_j `|residual_below i j| <= beta) -> oplower W (alpha - beta).
Proof.
move=> hb x.
have sE : (- residual_below)^T = - residual_below.
  by rewrite /residual_below !linearN !linearB /= tr_scalar_mx !trmx_mul !trmxK.
have hN i : \sum_j `|(- residual_below) i j| <= beta by under eq_bigr => j _ do rewrite mxE normrN.
have hq := row_sum_bound sE hN x.
have e : dot x (- residual_below *m x) = alpha * sqn x + sqn (R *m x) - sqn (W *m x).
  rewrite mulNmx dotNr /residual_below !mulmxBl !dotBr form_of_scalar !form_of_gram; ring.
rewrite e -subr_ge0 in hq.
by apply: (le_of_diff (addr_ge0 hq (sqn_ge0 (R *m x)))); ring.
Qed.
End OperatorNorm.

Section Consequences.
Variable F : realFieldType.
Variables (m n : nat) (W : 'M[F]_(m, n)) (b : 'cV[F]_m).

(* The smaller Gram matrix may be used: a bound of W^T is a bound of W. *)
Theorem norm_of_transpose K : 0 <= K -> opbound W^T K -> opbound W K.
Proof. by move=> K0 h; rewrite -(trmxK W); apply: opbound_tr. Qed.

(* Scaling by a power of two, or by anything else that is not zero, first. *)
Theorem norm_of_scaled a K : a != 0 -> opbound (a *: W) K -> opbound W (K / a ^+ 2).
Proof.
move=> a0 h x; have a2 : 0 < a ^+ 2 by rewrite lt0r sqrf_eq0 a0 sqr_ge0.
rewrite -(ler_pmul2l a2); have := h x; rewrite -scalemxAl sqnZ.
by rewrite (_ : a ^+ 2 * (K / a ^+ 2 * sqn x) = K * sqn x) //; field.
Qed.

(* A complex matrix A + iB acts on real parts and imaginary parts as [[A, -B], [B, A]]; no more is needed of it here:
   the certificate of that real 2m x 2n matrix is a certificate of the complex one. *)
Definition real_of_complex (A B : 'M[F]_(m, n)) : 'M[F]_(m + m, n + n) := block_mx A (- B) B A.

Lemma sqn_col_mx p q (u : 'cV[F]_p) (v : 'cV[F]_q) : sqn (col_mx u v) = sqn u + sqn v.
Proof.
rewrite /sqn /dot big_split_ord /=; congr (_ + _); apply: eq_bigr => i _; by rewrite ?col_mxEu ?col_mxEd.
Qed.

Theorem real_of_complex_bound (A B : 'M[F]_(m, n)) K : opbound (real_of_complex A B) K ->
  forall x y : 'cV[F]_n, sqn (A *m x - B *m y) + sqn (A *m y + B *m x) <= K * (sqn x + sqn y).
Proof.
move=> h x y; have := h (col_mx x y); rewrite /real_of_complex mul_block_col !sqn_col_mx mulNmx.
by rewrite (addrC (B *m x)).
Qed.

Theorem affine_lipschitz Lw : 0 <= Lw -> opbound W (Lw ^+ 2) -> lipschitz Lw (fun x => W *m x + b).
Proof. by move=> L0 h; split=> // x y; rewrite opprD addrACA subrr addr0 -mulmxBr. Qed.
End Consequences.
