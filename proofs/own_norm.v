(* A norm of one's own: the field sigma(- P x + b), P = N^T N, in the norm |x|_P = |N x|.

   P between lo and hi, 0 < lo, is written  lo |x|^2 <= |N x|^2 <= hi |x|^2  with an invertible N: a Cholesky factor, or a root, of P.

   Theorems.
     own_norm_field     in the coordinates w = N x it is the gradient field - N sigma'(N^T w - b), sigma'(z) = - sigma(- z):
                        whatever is proved of a step of gradient fields with W = N^T is proved of its step in |.|_P
     own_norm_above     |N^T w|^2 <= hi |w|^2
     own_norm_below     lo |w|^2 <= |N^T w|^2
     own_norm_slopes    the slopes of sigma' are those of sigma
     own_norm_border    |N y|^2 <= r^2 |N x|^2:     lo |y|^2 <= r^2 hi |x|^2: the price is paid once, at the borders

   Source: Ciccone et al., NAIS-Net, arXiv:1804.07209, for the field. *)

From mathcomp Require Import all_ssreflect all_algebra.
From mathcomp Require Import ring.
Require Import euclidean slope gradient_step.
Set Implicit Arguments. Unset Strict Implicit. Unset Printing Implicit Defensive.
Import GRing.Theory Num.Theory Order.TTheory.
Local Open Scope ring_scope.

Section OwnNorm.
Variables (F : realFieldType) (n : nat) (N : 'M[F]_n) (b : 'cV[F]_n) (s : 'I_n -> F -> F) (m L lo hi : F).
Hypothesis N_unit : N \in unitmx.
Hypothesis N_below : oplower N lo.
Hypothesis N_above : opbound N hi.
Hypothesis lo0 : 0 <= lo.
Hypothesis hi0 : 0 <= hi.

Definition nais (x : 'cV[F]_n) : 'cV[F]_n := by_coordinates s (- (N^T *m N *m x) + b).
Definition mirrored i z := - s i (- z).

Theorem own_norm_field x : N *m nais x = gradient_field N^T (- b) mirrored (N *m x).
Proof.
rewrite /gradient_field trmxK -mulmxN; congr (_ *m _); apply/matrixP => i j; rewrite (ord1 j).
have e : N^T *m (N *m x) - b = - (- (N^T *m N *m x) + b) by rewrite opprD opprK mulmxA.
rewrite /nais /by_coordinates /mirrored e; move: (- (N^T *m N *m x) + b) => z.
by rewrite !mxE !opprK.
Qed.

Theorem own_norm_slopes : (forall i, slope_in m L (s i)) -> forall i, slope_in m L (mirrored i).
Proof.
move=> hs i x y; rewrite /mirrored opprK [- s i (- x) + _]addrC.
by have := hs i (- y) (- x); rewrite opprK [- y + x]addrC.
Qed.

Theorem own_norm_above : opbound N^T hi.
Proof. exact: opbound_tr. Qed.

Theorem own_norm_below : oplower N^T lo.
Proof.
move=> w; set x := invmx N *m w.
have e : w = N *m x by rewrite mulmxA mulmxV // mul1mx.
have low := N_below x; rewrite -e in low.
have cs := Cauchy_Schwarz (N^T *m w) x.
have ew : dot (N^T *m w) x = sqn w by rewrite dot_adj trmxK -e.
rewrite ew in cs.
have [w0|wn] := eqVneq (sqn w) 0; first by rewrite w0 mulr0 sqn_ge0.
have wp : 0 < sqn w by rewrite lt0r wn sqn_ge0.
have [z0|zn] := eqVneq lo 0; first by rewrite z0 mul0r sqn_ge0.
rewrite -(ler_pmul2r wp).
have d := ler_wpmul2l (sqn_ge0 (N^T *m w)) low.
apply: le_trans d; rewrite mulrCA -mulrA -expr2 ler_wpmul2l //.
Qed.

Theorem own_norm_border x y r : sqn (N *m y) <= r ^+ 2 * sqn (N *m x) -> lo * sqn y <= r ^+ 2 * (hi * sqn x).
Proof.
move=> h; apply: le_trans (N_below y) _; apply: le_trans h _.
exact: (ler_wpmul2l (sqr_ge0 r) (N_above x)).
Qed.
End OwnNorm.
