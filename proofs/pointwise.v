(* A matrix between channels, applied at each of p points of an image: a convolution with a kernel of one point.

   Samples are stored channel by channel, so entry (a p + q, b p + q') of the operator is e a b if q = q', else 0.

   Theorem (pointwise_bound).  |(e a b)_ab x|^2 <= K |x|^2 for all x  gives the same bound for the operator. *)

From mathcomp Require Import all_ssreflect all_algebra.
Require Import euclidean.
Set Implicit Arguments. Unset Strict Implicit. Unset Printing Implicit Defensive.
Import GRing.Theory Num.Theory Order.TTheory.
Local Open Scope ring_scope.

Section Pointwise.
Variables (F : realFieldType) (p : nat) (e : nat -> nat -> F).

Definition channels m n : 'M[F]_(m, n) := \matrix_(i, j) e i j.
Definition pointwise m n : 'M[F]_(m, n) := \matrix_(i, j) (if (i %% p == j %% p)%N then e (i %/ p)%N (j %/ p)%N else 0).

Hypothesis p_pos : (0 < p)%N.

(* the numbers below n p are those of n rows of p *)
Lemma sum_rows n (f : nat -> F) : \sum_(k < n * p) f k = \sum_(j < n) \sum_(q < p) f (j * p + q)%N.
Proof.
elim: n f => [|n IH] f; first by rewrite !big_ord0.
rewrite big_ord_recl mulSn big_split_ord /=; congr (_ + _).
rewrite (IH (fun k => f (p + k)%N)); apply: eq_bigr => j _; apply: eq_bigr => q _.
by rewrite /bump /= mulnDl mul1n addnA.
Qed.

Definition coordinate n (x : 'cV[F]_n) (k : nat) : F := if insub k is Some o then x o 0 else 0.

Lemma coordinateE n (x : 'cV[F]_n) (k : 'I_n) : coordinate x k = x k 0.
Proof. by rewrite /coordinate valK. Qed.

(* what lies at point q *)
Definition at_point n (x : 'cV[F]_(n * p)) (q : nat) : 'cV[F]_n := \col_j coordinate x (j * p + q).

Lemma sqn_points n (x : 'cV[F]_(n * p)) : sqn x = \sum_(q < p) sqn (at_point x q).
Proof.
rewrite /sqn /dot; under eq_bigr => k _ do rewrite -coordinateE.
rewrite (sum_rows n (fun k => coordinate x k * coordinate x k)) exchange_big.
by apply: eq_bigr => q _; apply: eq_bigr => j _; rewrite !mxE.
Qed.

Lemma at_point_mul m n (x : 'cV[F]_(n * p)) (q : 'I_p) :
  at_point (pointwise (m * p) (n * p) *m x) q = channels m n *m at_point x q.
Proof.
apply/colP => i; rewrite !mxE.
have lt : (i * p + q < m * p)%N.
  by apply: (@leq_trans (i.+1 * p)); [rewrite mulSn addnC ltn_add2r | rewrite leq_mul2r ltn_ord orbT].
rewrite /coordinate (insubT (fun k => k < m * p)%N lt) /= mxE.
have q1 : ((i * p + q) %% p = q)%N by rewrite modnMDl modn_small.
have q2 : ((i * p + q) %/ p = i)%N by rewrite divnMDl // divn_small ?addn0.
under eq_bigr => k _ do rewrite mxE /= q1 q2 -coordinateE.
rewrite (sum_rows n (fun k => (if (val q == k %% p)%N then e i (k %/ p)%N else 0) * coordinate x k)).
apply: eq_bigr => j _; rewrite (bigD1 q) //= big1 => [|r rq]; last first.
  by rewrite modnMDl modn_small // eq_sym val_eqE (negbTE rq) mul0r.
by rewrite addr0 modnMDl modn_small // eqxx divnMDl // divn_small // addn0 !mxE.
Qed.

Theorem pointwise_bound m n K : opbound (channels m n) K -> opbound (pointwise (m * p) (n * p)) K.
Proof.
move=> h x; rewrite !sqn_points mulr_sumr; apply: ler_sum => q _; rewrite at_point_mul; exact: h.
Qed.
End Pointwise.
