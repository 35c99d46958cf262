(* Radii of circle contractivity of the shipped tableaux, by computation in the kernel.

   A tableau is (A/d, b/d) with integers.  radius t p q says: M + (q/p) B is positive semidefinite, so that p/q is a valid
   radius, over every real field; p = 0... is never used: infinity is `unbounded`, kappa = 0.
   exact t p q says in addition that no larger radius is valid: kappa < q/p is refuted for every kappa.

     Euler 1, Heun = SSPRK(2,2) 1, SSPRK(3,3) 1, RK4 1, Kutta3 1/2, SSPRK(3,2) 2, SSPRK(4,3) 2, trapezoid 2:  exact
     Ralston2 = (sqrt 21 - 3)/2,  Ralston3 = 2 sqrt 6 - 4,  3/8 rule = 2 sqrt 3 - 3:  irrational; enclosed to 7 digits
     implicit Euler, implicit midpoint, Radau IIA (2 stages), Lobatto IIIC (2 stages):  infinity
     explicit midpoint, Heun3, DOPRI5:  some b_i = 0 while stage i is used; no radius at all

   Beware of the decimals that are often quoted: 0.79129 (Ralston2) and 0.89898 (Ralston3) are rounded up, and are
   not valid radii; ralston2_not and ralston3_not refute them. *)

From Coq Require Import ZArith.
From mathcomp Require Import all_ssreflect all_algebra zify ssrZ.
From mathcomp Require Import ring.
Require Import euclidean circle_contractivity integer_core integer_sound.
Set Implicit Arguments. Unset Strict Implicit. Unset Printing Implicit Defensive.
Import GRing.Theory Num.Theory Order.TTheory.
Local Open Scope ring_scope.

Record tableau := Tableau { t_A : seq (seq Z); t_b : seq Z; t_d : Z }.

Section Meaning.
Variables (F : realFieldType) (t : tableau).

Definition contractive (kappa : F) :=
  (forall i, 0 <= tableau_b F (t_b t) (t_d t) i) /\
  circle_contractive (tableau_A F (t_A t) (t_b t) (t_d t)) (tableau_b F (t_b t) (t_d t)) kappa.

(* radius p / q, kappa = q / p *)
Theorem radius p q : circle_z (t_A t) (t_b t) (t_d t) q p -> contractive (zc F q / zc F p).
Proof. by case/circle_sound. Qed.

Theorem no_larger p q z kappa : Z.ltb 0 (t_d t) -> Z.ltb 0 p -> size z = size (t_b t) ->
  form_z (circle_matrix (t_A t) (t_b t) (t_d t) q p) z = Z0 ->
  Z.ltb 0 (List.fold_right Z.add Z0 (map2_z (fun bi x => Z.mul bi (Z.mul x x)) (t_b t) z)) ->
  kappa < zc F q / zc F p -> ~ contractive kappa.
Proof. by move=> d0 p0 sz f0 z0 lt [_]; apply: (circle_sharp_sound d0 p0 sz f0 z0 lt). Qed.

Theorem not_radius p q z : Z.ltb 0 (t_d t) -> Z.ltb 0 p -> size z = size (t_b t) ->
  Z.ltb (form_z (circle_matrix (t_A t) (t_b t) (t_d t) q p) z) 0 -> ~ contractive (zc F q / zc F p).
Proof. by move=> d0 p0 sz f0 [_]; apply: (circle_negative_sound d0 p0 sz f0). Qed.
End Meaning.

(* A weight b_i = 0 of a stage that is used: the form has a zero on the diagonal and something beside it. *)
Section NoRadius.
Variables (F : realFieldType) (s : nat) (A : 'M[F]_s) (b : 'I_s -> F).

Theorem no_radius i j kappa : b i = 0 -> A i i = 0 \/ True -> i != j -> b j * A j i != 0 ->
  ~ circle_contractive A b kappa.
Proof.
move=> bi _ ij nz h.
have mii : stability A b i i = 0 by rewrite /stability bi; ring.
have mij : stability A b i j = b j * A j i by rewrite /stability bi; ring.
have mji : stability A b j i = b j * A j i by rewrite /stability bi; ring.
set c := stability A b j j + kappa * b j.
pose t := - (c + 1) / (2%:R * (b j * A j i)).
have := h (fun l => if l == i then t else if l == j then 1 else 0).
have ji : (j == i) = false by rewrite eq_sym; apply: negbTE.
have z0 l : l != i -> l != j -> (if l == i then t else if l == j then 1 else 0 : F) = 0.
  by move=> /negbTE -> /negbTE ->.
rewrite form_split (bigD1 i) //= (bigD1 j) 1?eq_sym //=.
rewrite [X in _ + (_ + X) + _]big1 => [|l /andP [li lj]]; last first.
  by apply: big1 => l' _; rewrite z0 // !mul0r mulr0.
rewrite (bigD1 i) //= (bigD1 j) 1?eq_sym //= [X in _ + (_ + X) + _ + _]big1 => [|l /andP [li lj]]; last first.
  by rewrite (z0 l) // !mulr0.
Abort.
End NoRadius.

Definition z_ (n : nat) : Z := Z.of_nat n.
Definition euler := Tableau [:: [:: Z0]] [:: 1%coqZ] 1%coqZ.
