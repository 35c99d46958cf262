(* Margin.

   The network ends in a linear head on features g: the logits are f_i(x) = <w_i, g(x)> + b_i, and g is L-Lipschitz.
   If  f_i(x) - f_j(x) > L d_j eps  for all j /= i, where d_j >= |w_i - w_j|, then i is the strict maximum of the logits
   at every x' with |x' - x| <= eps.

   So eps may be any number below, or equal to if it is the strict inequality that holds,
       min_{j /= i} (f_i - f_j) / (L |w_i - w_j|).
   A tie has radius 0: margin_tie shows that the hypothesis then fails for every eps >= 0.

   margin_squared is what a program checks that has only squares: (f_i - f_j)^2 > L^2 d_j^2 eps^2 and f_i > f_j.

   margin_on_ball asks for the Lipschitz constant on the ball alone, between x and its points.

   Source: Tsuzuku, Sato, Sugiyama (2018); the pairwise form is sharper than the factor sqrt 2 times the norm of the head. *)

From mathcomp Require Import all_ssreflect all_algebra.
From mathcomp Require Import ring.
Require Import euclidean.
Set Implicit Arguments. Unset Strict Implicit. Unset Printing Implicit Defensive.
Import GRing.Theory Num.Theory Order.TTheory.
Local Open Scope ring_scope.

(* The core: a gap that exceeds |w| |Dy| survives. *)
Lemma margin_vectors (F : realFieldType) (d : nat) (w dy : 'cV[F]_d) L2 d2 eps2 gap : sqn w <= d2 ->
  sqn dy <= L2 * eps2 -> 0 < gap -> L2 * d2 * eps2 < gap ^+ 2 -> 0 < gap - dot w dy.
Proof.
move=> hd he pos hm; rewrite subr_gt0 ltNge; apply/negP => hle.
have : gap ^+ 2 <= L2 * d2 * eps2.
  apply: le_trans (square_le (ltW pos) hle) _.
  apply: le_trans (Cauchy_Schwarz _ _) _.
  by rewrite (mulrC L2) -mulrA; apply: ler_pmul; rewrite ?sqn_ge0.
by move/(lt_le_trans hm); rewrite ltxx.
Qed.

Section Margin.
Variables (F : realFieldType) (n d k : nat).
Variables (g : 'cV[F]_n -> 'cV[F]_d) (w : 'I_k -> 'cV[F]_d) (b : 'I_k -> F).

Definition logit i x := dot (w i) (g x) + b i.

(* The difference of two logits moves by the head's row difference alone. *)
Lemma logit_diff i j x x' :
  logit i x' - logit j x' = (logit i x - logit j x) - dot (w i - w j) (g x - g x').
Proof. rewrite /logit dotBr !dotBl; ring. Qed.

(* Squared form: L2 bounds the squared Lipschitz constant, d2 the squared |w_i - w_j|, eps2 the squared radius. *)
Theorem margin_pair L2 d2 eps2 i j x x' :
  (forall y z, sqn (g y - g z) <= L2 * sqn (y - z)) -> 0 <= L2 -> 0 <= d2 ->
  sqn (w i - w j) <= d2 -> sqn (x - x') <= eps2 ->
  0 < logit i x - logit j x -> L2 * d2 * eps2 < (logit i x - logit j x) ^+ 2 ->
  logit j x' < logit i x'.
Proof.
move=> gL L0 d0 hd he pos hm; rewrite -subr_gt0 (logit_diff i j x).
apply: (margin_vectors hd _ pos hm) => //.
by apply: le_trans (gL x x') _; rewrite ler_wpmul2l.
Qed.

Theorem margin_squared L2 eps2 (d2 : 'I_k -> F) i x :
  (forall y z, sqn (g y - g z) <= L2 * sqn (y - z)) -> 0 <= L2 ->
  (forall j, j != i -> [/\ sqn (w i - w j) <= d2 j, 0 < logit i x - logit j x
     & L2 * d2 j * eps2 < (logit i x - logit j x) ^+ 2]) ->
  forall x', sqn (x - x') <= eps2 -> forall j, j != i -> logit j x' < logit i x'.
Proof.
move=> gL L0 h x' hx j ji; have [hd pos hm] := h j ji.
by apply: (margin_pair gL L0 _ hd hx pos hm); apply: le_trans hd; apply: sqn_ge0.
Qed.

(* A constant that holds between x and the points of the ball is enough: local radii. *)
Theorem margin_on_ball L eps (dj : 'I_k -> F) i x :
  0 <= L -> (forall y, sqn (x - y) <= eps ^+ 2 -> sqn (g x - g y) <= L ^+ 2 * sqn (x - y)) -> 0 <= eps ->
  (forall j, j != i -> [/\ 0 <= dj j, sqn (w i - w j) <= dj j ^+ 2 & L * dj j * eps < logit i x - logit j x]) ->
  forall x', sqn (x - x') <= eps ^+ 2 -> forall j, j != i -> logit j x' < logit i x'.
Proof.
move=> L0 gL e0 h x' hx j ji; have [d0 hd hm] := h j ji.
have p0 : 0 <= L * dj j * eps by rewrite !mulr_ge0.
rewrite -subr_gt0 (logit_diff i j x).
apply: (@margin_vectors _ _ _ _ (L ^+ 2) (dj j ^+ 2) (eps ^+ 2) _ hd); last 2 first.
- exact: le_lt_trans hm.
- rewrite -!exprMn; have := hm; rewrite -(ltr_pexpn2r (_ : (0 < 2)%N)) ?nnegrE //.
  by rewrite ltW // (le_lt_trans p0).
by apply: le_trans (gL x' hx) _; rewrite ler_wpmul2l ?sqr_ge0.
Qed.

Theorem margin L eps (dj : 'I_k -> F) i x : lipschitz L g -> 0 <= eps ->
  (forall j, j != i -> [/\ 0 <= dj j, sqn (w i - w j) <= dj j ^+ 2 & L * dj j * eps < logit i x - logit j x]) ->
  forall x', sqn (x - x') <= eps ^+ 2 -> forall j, j != i -> logit j x' < logit i x'.
Proof.
move=> [L0 gL] e0 h.
apply: (@margin_squared (L ^+ 2) _ (fun j => dj j ^+ 2)) => //; first exact: sqr_ge0.
move=> j ji; have [d0 hd hm] := h j ji.
have p0 : 0 <= L * dj j * eps by rewrite !mulr_ge0.
split=> //; first exact: le_lt_trans hm.
rewrite -!exprMn; have := hm; rewrite -(ltr_pexpn2r (_ : (0 < 2)%N)) ?nnegrE //.
by rewrite ltW // (le_lt_trans p0).
Qed.

(* A tie certifies nothing. *)
Theorem margin_tie L dj eps i j x : 0 <= L -> 0 <= dj -> 0 <= eps ->
  logit i x = logit j x -> ~~ (L * dj * eps < logit i x - logit j x).
Proof. by move=> L0 d0 e0 ->; rewrite subrr -leNgt !mulr_ge0. Qed.
End Margin.
