(* Slope: a function that acts by coordinates.

   sigma_i has slopes in [m, L] when   m (a - c)^2 <= (sigma_i(a) - sigma_i(c)) (a - c) <= L (a - c)^2   for all a, c.
   Equivalently the difference quotient lies in [m, L]; no derivative is needed, and ReLU qualifies with [0, 1].

   Theorem. x |-> (sigma_i (x_i))_i is max(|m|, |L|)-Lipschitz; and the difference of two values is a diagonal
   matrix times the difference of the arguments:  sigma(x) - sigma(y) = D (x - y),  D = diag d,  m <= d_i <= L.

   The slope intervals of the shipped functions: identity [1, 1], ReLU [0, 1], leaky ReLU [a, 1] for 0 <= a <= 1, the
   absolute value [-1, 1], x |-> a x + b [a, a].  (tanh and softplus are bounded through their derivatives and are not
   treated here: their theory needs the exponential.) *)

From mathcomp Require Import all_ssreflect all_algebra.
From mathcomp Require Import ring.
Require Import euclidean.
Set Implicit Arguments. Unset Strict Implicit. Unset Printing Implicit Defensive.
Import GRing.Theory Num.Theory Order.TTheory.
Local Open Scope ring_scope.

Section Slope.
Variable F : realFieldType.

Definition slope_in (m L : F) (s : F -> F) :=
  forall a c, m * (a - c) ^+ 2 <= (s a - s c) * (a - c) /\ (s a - s c) * (a - c) <= L * (a - c) ^+ 2.

(* The difference quotient, with the value m on the diagonal a = c. *)
Definition quotient m (s : F -> F) a c := if a == c then m else (s a - s c) / (a - c).

Lemma quotientE m s a c : s a - s c = quotient m s a c * (a - c).
Proof.
rewrite /quotient; case: eqP => [->|/eqP ac]; first by rewrite !subrr mulr0.
by rewrite divfK // subr_eq0.
Qed.

Lemma quotient_in m L s : m <= L -> slope_in m L s -> forall a c, m <= quotient m s a c <= L.
Proof.
move=> mL h a c; rewrite /quotient; case: eqP => [_|/eqP ac]; first by rewrite lexx.
have ac0 : a - c != 0 by rewrite subr_eq0.
have p : 0 < (a - c) ^+ 2 by rewrite lt0r sqrf_eq0 ac0 sqr_ge0.
have [h1 h2] := h a c.
have e : (s a - s c) / (a - c) * (a - c) ^+ 2 = (s a - s c) * (a - c) by field.
by apply/andP; split; rewrite -(ler_pmul2r p) e.
Qed.

Variables (n : nat) (m L : F) (s : 'I_n -> F -> F).

Definition by_coordinates (z : 'cV[F]_n) : 'cV[F]_n := \col_i s i (z i 0).

(* sigma(x) - sigma(y) = D (x - y) *)
Definition slopes (x y : 'cV[F]_n) : 'rV[F]_n := \row_i quotient m (s i) (x i 0) (y i 0).

Theorem by_coordinates_diff x y : by_coordinates x - by_coordinates y = diag_mx (slopes x y) *m (x - y).
Proof.
apply/matrixP => i j; rewrite ord1 mul_diag_mx !mxE; exact: quotientE.
Qed.

Lemma diag_bound (d : 'rV[F]_n) K : (forall i, d 0 i ^+ 2 <= K) -> opbound (diag_mx d) K.
Proof.
move=> h x; rewrite /sqn /dot mulr_sumr; apply: ler_sum => i _.
by rewrite mul_diag_mx mxE -!expr2 exprMn ler_wpmul2r ?sqr_ge0.
Qed.

Theorem slope_lipschitz : m <= L -> (forall i, slope_in m L (s i)) ->
  lipschitz (Num.max `|m| `|L|) by_coordinates.
Proof.
move=> mL h; set K := Num.max _ _.
have mK : `|m| <= K by rewrite le_maxr lexx.
have LK : `|L| <= K by rewrite le_maxr lexx orbT.
split; first exact: le_trans mK.
move=> x y; rewrite by_coordinates_diff; apply: diag_bound => i; rewrite mxE.
have /andP [h1 h2] := quotient_in mL (h i) (x i 0) (y i 0).
apply: square_le_abs; last by apply: le_trans h2 (le_trans (ler_norm _) LK).
apply: le_trans h1; rewrite ler_oppl; apply: le_trans mK.
by rewrite -normrN ler_norm.
Qed.

(* Between two points, each coordinate counts with its own constant: a neuron that cannot switch with the slope it has. *)
Theorem slope_local (c : 'rV[F]_n) (x y : 'cV[F]_n) :
  (forall i, (s i (x i 0) - s i (y i 0)) ^+ 2 <= c 0 i ^+ 2 * (x i 0 - y i 0) ^+ 2) ->
  sqn (by_coordinates x - by_coordinates y) <= sqn (diag_mx c *m (x - y)).
Proof.
move=> h; rewrite /sqn /dot; apply: ler_sum => i _.
by rewrite mul_diag_mx !mxE -!expr2 exprMn; exact: h.
Qed.
End Slope.

(* The shipped functions that need no transcendental function. *)
Section Shipped.
Variable F : realFieldType.

Definition leaky_relu (a x : F) := if 0 <= x then x else a * x.
Definition relu (x : F) := leaky_relu 0 x.

Lemma slope_affine (a b : F) : slope_in a a (fun x => a * x + b).
Proof. by move=> x y; split; rewrite le_eqVlt; apply/orP; left; apply/eqP; ring. Qed.

Lemma slope_id : slope_in 1 1 (@id F).
Proof. by move=> x y; rewrite mul1r -expr2. Qed.

Lemma slope_leaky_relu (a : F) : 0 <= a -> a <= 1 -> slope_in a 1 (leaky_relu a).
Proof.
move=> a0 a1 x y; rewrite /leaky_relu.
have a1' : 0 <= 1 - a by rewrite subr_ge0.
case: (leP 0 x) => [x0|/ltW x0]; case: (leP 0 y) => [y0|/ltW y0].
- rewrite -expr2 mul1r; split=> //; apply: (le_of_diff (mulr_ge0 a1' (sqr_ge0 (x - y)))); ring.
- have y0' : 0 <= - y by rewrite oppr_ge0.
  have xy : 0 <= x - y by rewrite addr_ge0.
  split; first by apply: (le_of_diff (mulr_ge0 a1' (mulr_ge0 x0 xy))); ring.
  by apply: (le_of_diff (mulr_ge0 a1' (mulr_ge0 y0' xy))); ring.
- have x0' : 0 <= - x by rewrite oppr_ge0.
  have xy : 0 <= y - x by rewrite addr_ge0.
  split; first by apply: (le_of_diff (mulr_ge0 a1' (mulr_ge0 y0 xy))); ring.
  by apply: (le_of_diff (mulr_ge0 a1' (mulr_ge0 x0' xy))); ring.
- rewrite -mulrBr -mulrA -expr2 mul1r; split=> //.
  by apply: (le_of_diff (mulr_ge0 a1' (sqr_ge0 (x - y)))); ring.
Qed.

(* On either side of the kink it is linear. *)
Lemma leaky_relu_below (a x y : F) : x <= 0 -> y <= 0 -> leaky_relu a x - leaky_relu a y = a * (x - y).
Proof.
move=> x0 y0; have e z : z <= 0 -> leaky_relu a z = a * z.
  by rewrite /leaky_relu; case: ltgtP => // -> _; rewrite mulr0.
by rewrite !e // mulrBr.
Qed.

Lemma leaky_relu_above (a x y : F) : 0 <= x -> 0 <= y -> leaky_relu a x - leaky_relu a y = x - y.
Proof. by rewrite /leaky_relu => -> ->. Qed.

Lemma slope_relu : slope_in 0 1 relu.
Proof. by apply: slope_leaky_relu; rewrite ?lexx ?ler01. Qed.

Lemma slope_abs : slope_in (-1) 1 (fun x : F => `|x|).
Proof.
move=> x y; have h : `| (`|x| - `|y|) * (x - y) | <= (x - y) ^+ 2.
  by rewrite -[X in _ <= X]real_normK ?num_real // normrM expr2 ler_wpmul2r // ler_dist_dist.
by move: h; rewrite ler_norml => /andP [h1 h2]; rewrite mulN1r mul1r.
Qed.
End Shipped.
