(* One-sided Lipschitz fields.

   <f(x) - f(y), x - y> <= mu |x - y|^2   for all x, y.      Write Df, Dx for the differences.

   Theorems.
     euler_step          |Df| <= l |Dx|, h >= 0:   |D(x + h f(x))|^2 <= (1 + 2 h mu + h^2 l^2) |Dx|^2
     implicit_euler      x_1 = x_0 + h f(x_1), h >= 0, h mu < 1:   (1 - h mu) |Dx_1| <= |Dx_0|
     implicit_residual   x_1 = x_0 + h f(x_1) + e with |De| <= delta |Dx_0|:   (1 - h mu) |Dx_1| <= (1 + delta) |Dx_0|
     implicit_ball       the same with |Dx_0| <= d and |e|, |e'| <= eps, so |De| <= 2 eps:
                         (1 - h mu) |Dx_1| <= d + 2 eps
   The last two say what an equation that is solved only up to a residual still guarantees.
   That the exact flow is e^{mu t}-Lipschitz needs the exponential and is not proved here.

   Source: Dahlquist (1958); Desoer and Vidyasagar, Feedback Systems (1975), chapter II; Hairer and Wanner II, IV.12. *)

From mathcomp Require Import all_ssreflect all_algebra.
From mathcomp Require Import ring.
Require Import euclidean.
Set Implicit Arguments. Unset Strict Implicit. Unset Printing Implicit Defensive.
Import GRing.Theory Num.Theory Order.TTheory.
Local Open Scope ring_scope.

Section OneSided.
Variables (F : realFieldType) (n : nat) (f : 'cV[F]_n -> 'cV[F]_n) (mu h : F).

Definition one_sided_lipschitz := forall x y, dot (f x - f y) (x - y) <= mu * sqn (x - y).

Hypothesis f_mu : one_sided_lipschitz.
Hypothesis h_ge0 : 0 <= h.

Theorem euler_step (l : F) : (forall x y, sqn (f x - f y) <= l ^+ 2 * sqn (x - y)) ->
  forall x y, sqn ((x + h *: f x) - (y + h *: f y)) <= (1 + 2%:R * h * mu + h ^+ 2 * l ^+ 2) * sqn (x - y).
Proof.
move=> fl x y; have := f_mu x y; have := fl x y.
have -> : (x + h *: f x) - (y + h *: f y) = (x - y) + h *: (f x - f y) by by_entries.
move: (x - y) (f x - f y) => u v; rewrite -subr_ge0 => h1; rewrite -subr_ge0 => h2.
rewrite sqnD dotZr sqnZ (dotC u).
have d := addr_ge0 (mulr_ge0 (mulr_ge0 (ler0n F 2) h_ge0) h2) (mulr_ge0 (sqr_ge0 h) h1).
by apply: (le_of_diff d); ring.
Qed.

(* The core: Dx_1 = Dr + h Df(x_1) gives (1 - h mu) |Dx_1| <= |Dr|. *)
Lemma implicit_core (x1 y1 r : 'cV[F]_n) : h * mu < 1 ->
  x1 - y1 = r + h *: (f x1 - f y1) -> (1 - h * mu) ^+ 2 * sqn (x1 - y1) <= sqn r.
Proof.
move=> hmu e; have fm := f_mu x1 y1.
have er : r = (x1 - y1) - h *: (f x1 - f y1) by rewrite e addrK.
move: fm er {e}; move: (x1 - y1) (f x1 - f y1) => u v fm er.
have c0 : 0 <= 1 - h * mu by rewrite subr_ge0 ltW.
(* (1 - h mu) |u|^2 <= <r, u> <= |r| |u| *)
have low : (1 - h * mu) * sqn u <= dot r u.
  rewrite er dotBl dotZl -/(sqn u) mulrBl mul1r ler_add2l ler_opp2 -mulrA; exact: ler_wpmul2l.
have [->|u0] := eqVneq (sqn u) 0; first by rewrite mulr0 sqn_ge0.
have up : 0 < sqn u by rewrite lt0r u0 sqn_ge0.
rewrite -(ler_pmul2r up); apply: le_trans (Cauchy_Schwarz r u).
by rewrite -mulrA -expr2 -exprMn square_le // mulr_ge0 // ltW.
Qed.

Theorem implicit_euler (x0 y0 x1 y1 : 'cV[F]_n) : h * mu < 1 ->
  x1 = x0 + h *: f x1 -> y1 = y0 + h *: f y1 ->
  (1 - h * mu) ^+ 2 * sqn (x1 - y1) <= sqn (x0 - y0).
Proof.
move=> hmu ex ey; apply: implicit_core => //.
by rewrite {1}ex {1}ey; move: (f x1) (f y1) => p q; by_entries.
Qed.

Theorem implicit_residual (x0 y0 x1 y1 ex ey : 'cV[F]_n) (delta : F) : h * mu < 1 -> 0 <= delta ->
  x1 = x0 + h *: f x1 + ex -> y1 = y0 + h *: f y1 + ey ->
  sqn (ex - ey) <= delta ^+ 2 * sqn (x0 - y0) ->
  (1 - h * mu) ^+ 2 * sqn (x1 - y1) <= (1 + delta) ^+ 2 * sqn (x0 - y0).
Proof.
move=> hmu d0 hx hy he.
have hr : x1 - y1 = (x0 - y0 + (ex - ey)) + h *: (f x1 - f y1).
  by rewrite {1}hx {1}hy; move: (f x1) (f y1) => p q; by_entries.
apply: le_trans (implicit_core hmu hr) _.
by apply: triangle; rewrite ?ler01 ?sqn_ge0 // expr1n mul1r.
Qed.

Theorem implicit_ball (x0 y0 x1 y1 ex ey : 'cV[F]_n) (d eps : F) : h * mu < 1 -> 0 <= d -> 0 <= eps ->
  x1 = x0 + h *: f x1 + ex -> y1 = y0 + h *: f y1 + ey ->
  sqn (x0 - y0) <= d ^+ 2 -> sqn ex <= eps ^+ 2 -> sqn ey <= eps ^+ 2 ->
  (1 - h * mu) ^+ 2 * sqn (x1 - y1) <= (d + 2%:R * eps) ^+ 2.
Proof.
move=> hmu d0 e0 hx hy hd hex hey.
have hr : x1 - y1 = (x0 - y0 + (ex - ey)) + h *: (f x1 - f y1).
  by rewrite {1}hx {1}hy; move: (f x1) (f y1) => p q; by_entries.
apply: le_trans (implicit_core hmu hr) _; rewrite -[X in _ <= X]mulr1.
apply: triangle; rewrite ?ler01 ?mulr1 ?mulr_ge0 ?ler0n //.
rewrite -[X in _ <= X]mulr1 (_ : 2%:R * eps = eps + eps); last by ring.
by apply: triangle; rewrite ?ler01 ?mulr1 // sqnN.
Qed.
End OneSided.
