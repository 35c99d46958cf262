(* Shear: one half of a symplectic step.

   S(p, q) = (p - h grad V(q), q), with |h grad V(q) - h grad V(q')| <= s |q - q'|.  For every c >= 1 with c^2 >= 1 + s c
       |S(p, q) - S(p', q')| <= c |(p, q) - (p', q')|;
   the least such c is (s + sqrt (s^2 + 4)) / 2.
   A shear is never strictly contractive: points with the same q keep their distance (shear_fixes).

   Source: the norm of [[1, s], [0, 1]]; Celledoni et al., arXiv:2210.02373. *)

From mathcomp Require Import all_ssreflect all_algebra.
From mathcomp Require Import ring.
Require Import euclidean.
Set Implicit Arguments. Unset Strict Implicit. Unset Printing Implicit Defensive.
Import GRing.Theory Num.Theory Order.TTheory.
Local Open Scope ring_scope.

Section Shear.
Variables (F : realFieldType) (n m : nat) (g : 'cV[F]_m -> 'cV[F]_n) (s c : F).

(* g(q) = h grad V(q) *)
Definition shear (p : 'cV[F]_n) (q : 'cV[F]_m) := p - g q.

Theorem shear_lipschitz : (forall q q', sqn (g q - g q') <= s ^+ 2 * sqn (q - q')) ->
  0 <= s -> 1 <= c -> 1 + s * c <= c ^+ 2 -> forall p q p' q',
  sqn (shear p q - shear p' q') + sqn (q - q') <= c ^+ 2 * (sqn (p - p') + sqn (q - q')).
Proof.
move=> hg s0 c1 hc p q p' q'; have gq := hg q q'.
have -> : shear p q - shear p' q' = (p - p') - (g q - g q') by rewrite /shear; move: (g q) (g q') => u v; by_entries.
move: gq; move: (p - p') (g q - g q') (sqn (q - q')) (sqn_ge0 (q - q')) => u v Q Q0 gq.
have c0 : 0 < c by apply: lt_le_trans c1.
have tau_s : s * c <= c ^+ 2 - 1 by rewrite ler_subr_addl.
have sc0 : 0 <= s * c by rewrite mulr_ge0 // ltW.
have [e|ne] := eqVneq (c ^+ 2 - 1) 0.
  have s00 : s = 0.
    by apply/eqP; have := tau_s; rewrite e => h; have : s * c == 0 by [rewrite eq_le h]; rewrite mulf_eq0 (gt_eqF c0) orbF.
  have v0 : v = 0 by apply: sqn_eq0; apply/eqP; rewrite eq_le sqn_ge0 andbT; move: gq; rewrite s00 expr0n mul0r.
  have -> : c ^+ 2 = 1 by apply/eqP; rewrite -subr_eq0 e.
  by rewrite v0 subr0 mul1r.
have tp : 0 < c ^+ 2 - 1 by rewrite lt0r ne (le_trans sc0).
set tau := c ^+ 2 - 1 in tau_s tp ne *.
have ec : c ^+ 2 = 1 + tau by rewrite /tau; ring.
(* tau (c^2 (P + Q) - |u - v|^2 - Q) = |tau u + v|^2 + tau^2 Q - c^2 |v|^2 *)
have h1 : 0 <= s ^+ 2 * Q - sqn v by rewrite subr_ge0.
have h2 : 0 <= tau ^+ 2 - (s * c) ^+ 2 by rewrite subr_ge0 square_le.
have h := addr_ge0 (sqn_ge0 (tau *: u + v)) (addr_ge0 (mulr_ge0 h2 Q0) (mulr_ge0 (sqr_ge0 c) h1)).
rewrite -(ler_pmul2l tp); apply: (le_of_diff h).
rewrite sqnB sqnD sqnZ dotZl exprMn ec; ring.
Qed.

Theorem shear_fixes p p' q : sqn (shear p q - shear p' q) = sqn (p - p').
Proof. by rewrite /shear opprB addrA subrK. Qed.
End Shear.
