(* The equilibrium x of f(x) + u = 0, for a field with  <f(x) - f(y), x - y> <= -m |x - y|^2,  m > 0.

   Theorems.
     equilibrium_lipschitz   f(x) + u = 0,  f(y) + v = 0:         m^2 |x - y|^2 <= |u - v|^2.
                             With u = v there is at most one.
     equilibrium_inverse     |f(x) - f(y)|^2 <= l^2 |x - y|^2:    |u - v|^2 <= l^2 |x - y|^2
     equilibrium_firm        1 <= m:                              |(x - y) - (u - v)/2|^2 <= |u - v|^2 / 4
     equilibrium_error       f(x) + u = 0, any z:                 m^2 |z - x|^2 <= |f(z) + u|^2
   That there is one, for a Lipschitz field, is Banach's fixed point theorem for x + h (f(x) + u), h = m/l^2, which is a
   contraction by one_sided_lipschitz.euler_step; completeness is not proved here.

   Source: Browder; Minty (1963). Winston and Kolter, Monotone operator equilibrium networks, NeurIPS 2020. *)

From mathcomp Require Import all_ssreflect all_algebra.
From mathcomp Require Import ring.
Require Import euclidean one_sided_lipschitz.
Set Implicit Arguments. Unset Strict Implicit. Unset Printing Implicit Defensive.
Import GRing.Theory Num.Theory Order.TTheory.
Local Open Scope ring_scope.

Section Equilibrium.
Variables (F : realFieldType) (n : nat) (f : 'cV[F]_n -> 'cV[F]_n) (m : F).
Hypothesis contracts : one_sided_lipschitz f (- m).
Hypothesis m0 : 0 < m.

(* The core: m |d|^2 <= - <g, d> <= |g| |d|. *)
Lemma apart x y : m ^+ 2 * sqn (x - y) <= sqn (f x - f y).
Proof.
have := contracts x y; move: (x - y) (f x - f y) => d g c.
have low : m * sqn d <= dot (- g) d by rewrite dotNl ler_oppr -mulNr.
have [->|d0] := eqVneq (sqn d) 0; first by rewrite mulr0 sqn_ge0.
have pos : 0 < sqn d by rewrite lt0r d0 sqn_ge0.
rewrite -(ler_pmul2r pos) -[sqn g]sqnN; apply: le_trans (Cauchy_Schwarz (- g) d).
by rewrite -mulrA -expr2 -exprMn square_le // mulr_ge0 // ltW.
Qed.

Lemma moved x y u v : f x + u = 0 -> f y + v = 0 -> f x - f y = - (u - v).
Proof. by move=> /eqP; rewrite addr_eq0 => /eqP -> /eqP; rewrite addr_eq0 => /eqP ->; rewrite -opprD. Qed.

Theorem equilibrium_lipschitz x y u v : f x + u = 0 -> f y + v = 0 -> m ^+ 2 * sqn (x - y) <= sqn (u - v).
Proof. by move=> ex ey; have := apart x y; rewrite (moved ex ey) sqnN. Qed.

Theorem equilibrium_inverse (l : F) x y u v : (forall x y, sqn (f x - f y) <= l ^+ 2 * sqn (x - y)) ->
  f x + u = 0 -> f y + v = 0 -> sqn (u - v) <= l ^+ 2 * sqn (x - y).
Proof. by move=> fl ex ey; have := fl x y; rewrite (moved ex ey) sqnN. Qed.

Theorem equilibrium_firm x y u v : 1 <= m -> f x + u = 0 -> f y + v = 0 ->
  sqn ((x - y) - 2%:R^-1 *: (u - v)) <= (2%:R^-1) ^+ 2 * sqn (u - v).
Proof.
move=> m1 ex ey; have := contracts x y; rewrite (moved ex ey).
move: (x - y) (u - v) => d w c.
have low : sqn d <= dot d w.
  apply: le_trans (_ : m * sqn d <= _); first by rewrite ler_pemull // sqn_ge0.
  by rewrite dotC; move: c; rewrite dotNl mulNr ler_opp2.
rewrite sqnB dotZr sqnZ; rewrite -subr_ge0 in low.
by apply: (le_of_diff low); field.
Qed.

Theorem equilibrium_error x z u : f x + u = 0 -> m ^+ 2 * sqn (z - x) <= sqn (f z + u).
Proof.
move=> ex; have := apart z x.
by have -> : f z - f x = f z + u by move/eqP: ex; rewrite addr_eq0 => /eqP ->; rewrite opprK.
Qed.
End Equilibrium.
