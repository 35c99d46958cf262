(* Maps that shrink no distance more than so much: |D(f)| >= l |D(x)|, in squares.  Gradients that cannot vanish.

   u, v are differences of values and X stands for |D(x)|^2.

   Theorems.
     inverse_comp      l, k >= 0:                    l^2 X <= |u|^2, k^2 |u|^2 <= |v|^2:        (k l)^2 X <= |v|^2
     inverse_sum       0 <= k <= l:                  l^2 X <= |u|^2, |v|^2 <= k^2 X:            (l - k)^2 X <= |u + v|^2.
                       With u = D(x), l = 1 it is a step x + g(x) of a k-Lipschitz g, and a skip connection.
     inverse_interval  D = x + h g with  m |x|^2 <= - <g, x> <= b |x|^2, the step of a gradient field:
                       h b <= 1:  (1 - h b)^2 |x|^2 <= |D|^2;      1 <= h m:  (h m - 1)^2 |x|^2 <= |D|^2.     (h >= 0)
     inverse_implicit  the step of implicit Euler, y = x + h g with |g|^2 <= l^2 |y|^2:         |x|^2 <= (1 + |h| l)^2 |y|^2 *)

From mathcomp Require Import all_ssreflect all_algebra.
From mathcomp Require Import ring.
Require Import euclidean.
Set Implicit Arguments. Unset Strict Implicit. Unset Printing Implicit Defensive.
Import GRing.Theory Num.Theory Order.TTheory.
Local Open Scope ring_scope.

Section Inverse.
Variables (F : realFieldType) (n : nat).
Implicit Types (u v x y g : 'cV[F]_n) (l k h m b X : F).

Theorem inverse_comp p (v : 'cV[F]_p) u l k X : 0 <= l -> 0 <= k ->
  l ^+ 2 * X <= sqn u -> k ^+ 2 * sqn u <= sqn v -> (k * l) ^+ 2 * X <= sqn v.
Proof. by move=> l0 k0 low high; apply: le_trans high; rewrite exprMn -mulrA ler_wpmul2l // sqr_ge0. Qed.

Theorem inverse_sum u v l k X : 0 <= k <= l -> 0 <= X ->
  l ^+ 2 * X <= sqn u -> sqn v <= k ^+ 2 * X -> (l - k) ^+ 2 * X <= sqn (u + v).
Proof.
case/andP=> k0 kl X0 low high.
have [k_eq|k_neq] := eqVneq k 0.
  have v0 : sqn v = 0.
    by apply/eqP; rewrite eq_le sqn_ge0 andbT; move: high; rewrite k_eq expr0n mul0r.
  have d0 : dot u v = 0.
    apply/eqP; rewrite -sqrf_eq0 eq_le sqr_ge0 andbT.
    by have := Cauchy_Schwarz u v; rewrite v0 mulr0.
  by rewrite sqnD v0 d0 mulr0 !addr0 k_eq subr0.
have kp : 0 < k by rewrite lt0r k_neq.
have lp : 0 < l by apply: lt_le_trans kl.
rewrite -(ler_pmul2l (mulr_gt0 kp lp)).
have s := sqn_ge0 (k *: u + l *: v); rewrite sqnD !sqnZ dotZl dotZr in s.
rewrite -subr_ge0 in low; rewrite -subr_ge0 in high; rewrite -subr_ge0 in kl.
have d1 := mulr_ge0 (mulr_ge0 kl k0) low.
have d2 := mulr_ge0 (mulr_ge0 kl (ltW lp)) high.
have d := addr_ge0 s (addr_ge0 d1 d2).
rewrite sqnD; apply: (le_of_diff d); ring.
Qed.

(* c |x|^2 <= <d, x> <= |d| |x| *)
Lemma inverse_along x u (c : F) : 0 <= c -> c * sqn x <= dot u x -> c ^+ 2 * sqn x <= sqn u.
Proof.
move=> c0 low.
have [->|x0] := eqVneq (sqn x) 0; first by rewrite mulr0 sqn_ge0.
have pos : 0 < sqn x by rewrite lt0r x0 sqn_ge0.
rewrite -(ler_pmul2r pos); apply: le_trans (Cauchy_Schwarz u x).
by rewrite -mulrA -expr2 -exprMn square_le // mulr_ge0 // ltW.
Qed.

Theorem inverse_interval x g h m b : 0 <= h -> m * sqn x <= - dot g x -> - dot g x <= b * sqn x ->
  (h * b <= 1 -> (1 - h * b) ^+ 2 * sqn x <= sqn (x + h *: g)) /\
  (1 <= h * m -> (h * m - 1) ^+ 2 * sqn x <= sqn (x + h *: g)).
Proof.
move=> h0 low high; split=> small.
  apply: inverse_along; first by rewrite subr_ge0.
  rewrite dotDl dotZl -/(sqn x); have := ler_wpmul2l h0 high; rewrite -subr_ge0 => d.
  by apply: (le_of_diff d); ring.
rewrite -[sqn (x + _)]sqnN; apply: inverse_along; first by rewrite subr_ge0.
rewrite dotNl dotDl dotZl -/(sqn x); have := ler_wpmul2l h0 low; rewrite -subr_ge0 => d.
by apply: (le_of_diff d); ring.
Qed.

Theorem inverse_implicit x y g h l : 0 <= l -> y = x + h *: g -> sqn g <= l ^+ 2 * sqn y ->
  sqn x <= (1 + `|h| * l) ^+ 2 * sqn y.
Proof.
move=> l0 e gl; have -> : x = y + (- h) *: g by rewrite e scaleNr addrK.
apply: triangle; rewrite ?ler01 ?mulr_ge0 ?sqn_ge0 ?expr1n ?mul1r //.
rewrite sqnZ sqrrN exprMn real_normK ?num_real // -[X in _ <= X]mulrA.
exact: (ler_wpmul2l (sqr_ge0 h) gl).
Qed.
End Inverse.
