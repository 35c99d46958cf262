(* A margin over a ball from products.

   A neuron s = max (alpha z) (beta z) with z in [l, h] satisfies

       (s - alpha z) (s - beta z) = 0,    (s - alpha z) (h - z) >= 0,    (s - beta z) (z - l) >= 0.

   Let g be a margin with g >= below (y, s), where y are coordinates of the input with |y|^2 <= rho^2, and let every z be within
   delta of a function p (y, s).  If for all y and s, whatever inputs and neurons they belong to or none,

       gamma <= below (y, s) - lambda (rho^2 - |y|^2) - sum_i (e_i (s - alpha p) (s - beta p) + r_i (s - alpha p) (h - p) +
                                                                q_i (s - beta p) (p - l)),

   with lambda, r, q >= 0, then g >= gamma, less what the products change between p and z.  The code proves the inequality for
   affine functions by a positive semidefinite matrix.

   Source: Raghunathan, Steinhardt, Liang, NeurIPS 2018. *)

From mathcomp Require Import all_ssreflect all_algebra.
From mathcomp Require Import ring.
Require Import euclidean.
Set Implicit Arguments. Unset Strict Implicit. Unset Printing Implicit Defensive.
Import GRing.Theory Num.Theory Order.TTheory.
Local Open Scope ring_scope.

Section Neuron.
Variable F : realFieldType.
Variables (alpha beta l h : F).

Definition switch (z : F) := Num.max (alpha * z) (beta * z).

(* The products of a neuron, with their multipliers. *)
Definition products (e r q z s : F) :=
  e * ((s - alpha * z) * (s - beta * z)) + r * ((s - alpha * z) * (h - z)) + q * ((s - beta * z) * (z - l)).

Lemma switch_equation z : (switch z - alpha * z) * (switch z - beta * z) = 0.
Proof. by rewrite /switch; case: leP => _; rewrite subrr ?mul0r ?mulr0. Qed.

Lemma switch_above z : 0 <= switch z - alpha * z /\ 0 <= switch z - beta * z.
Proof. by split; rewrite subr_ge0 /switch; case: (leP (alpha * z) (beta * z)) => // /ltW. Qed.

Theorem products_of_switch e r q z : 0 <= r -> 0 <= q -> l <= z -> z <= h -> 0 <= products e r q z (switch z).
Proof.
move=> r0 q0 lz zh; rewrite /products switch_equation mulr0 add0r.
have [a b] := switch_above z.
apply: addr_ge0; apply: mulr_ge0 => //; apply: mulr_ge0 => //; by rewrite subr_ge0.
Qed.

(* What a product of two affine functions of z changes, for an argument that is off by at most delta. *)
Lemma product_change (f g df dg d delta : F) : `|d| <= delta ->
  `|(f + df * d) * (g + dg * d) - f * g| <= `|f| * (`|dg| * delta) + `|g| * (`|df| * delta) + `|df| * delta * (`|dg| * delta).
Proof.
move=> hd; have d0 := le_trans (normr_ge0 d) hd.
have -> : (f + df * d) * (g + dg * d) - f * g = f * (dg * d) + g * (df * d) + df * d * (dg * d) by ring.
apply: (le_trans (ler_norm_add _ _)); apply: ler_add; first (apply: (le_trans (ler_norm_add _ _)); apply: ler_add).
- by rewrite !normrM; do 2 apply: ler_wpmul2l => //.
- by rewrite !normrM; do 2 apply: ler_wpmul2l => //.
- by rewrite !normrM; apply: ler_pmul; rewrite ?mulr_ge0 //; apply: ler_wpmul2l.
Qed.
End Neuron.

Section Margin.
Variable F : realFieldType.
Variables (n k : nat) (alpha beta l h e r q delta change : 'I_k -> F).
Variables (below : 'cV[F]_n -> ('I_k -> F) -> F) (p : 'I_k -> 'cV[F]_n -> ('I_k -> F) -> F).
Variables (gamma lambda rho : F).

Definition product i := products (alpha i) (beta i) (l i) (h i) (e i) (r i) (q i).

Hypothesis lambda0 : 0 <= lambda.
Hypothesis signs : forall i, 0 <= r i /\ 0 <= q i.
Hypothesis form : forall y s, gamma <= below y s - lambda * (rho ^+ 2 - sqn y) - \sum_i product i (p i y s) (s i).

Theorem margin_products (y : 'cV[F]_n) (z : 'I_k -> F) (g : F) :
  let s := fun i => switch (alpha i) (beta i) (z i) in
  sqn y <= rho ^+ 2 -> (forall i, l i <= z i /\ z i <= h i) -> below y s <= g ->
  (forall i, product i (p i y s) (s i) >= product i (z i) (s i) - change i) ->
  gamma - \sum_i change i <= g.
Proof.
move=> s ball range hg off.
have products0 : 0 <= \sum_i product i (z i) (s i).
  by apply: sumr_ge0 => i _; have [? ?] := signs i; have [? ?] := range i; apply: products_of_switch.
have moved : \sum_i product i (z i) (s i) - \sum_i change i <= \sum_i product i (p i y s) (s i).
  by rewrite -sumrB; apply: ler_sum => i _; apply: off.
have inside : 0 <= lambda * (rho ^+ 2 - sqn y) by apply: mulr_ge0; rewrite // subr_ge0.
have gap := form y s.
rewrite -subr_ge0 in hg; rewrite -subr_ge0 in gap; rewrite -subr_ge0 in moved.
apply: (le_of_diff (addr_ge0 (addr_ge0 hg gap) (addr_ge0 inside (addr_ge0 products0 moved)))).
move: (\sum_i product i (z i) (s i)) (\sum_i product i (p i y s) (s i)) (\sum_i change i) (lambda * _) (below y s) => *; ring.
Qed.
End Margin.
