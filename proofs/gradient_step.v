(* The gradient field and its explicit Euler step.

   f(x) = - W^T sigma(W x + b),  sigma by coordinates with slopes in [m, L], |W|^2 <= K, and |W x|^2 >= s2 |x|^2
   (s2 = 0 is always allowed).  For two points write  Df = f(x) - f(y), Dx = x - y.

   Theorems.
     cocoercive           0 <= m:  K <Df, Dx>  <= - (1/L) |Df|^2, written  |Df|^2 <= - L K <Df, Dx>;  nu = 1/(L K)
     strongly_monotone    0 <= m:  <Df, Dx> <= - m s2 |Dx|^2
     step_interval        0 <= m, h of either sign:  |(x + h f(x)) - (y + h f(y))| <= rho |x - y|,
                          rho = max (|1 - h m s2|, |1 - h L K|)
     step_nonexpansive    0 <= h, h L K <= 2:  non-expansive
     step_averaged        0 <= h L K < 2:  averaged, alpha = h L K / 2: with phi = alpha / (1 - alpha),
                          |Dx - DT|^2 <= phi (|Dx|^2 - |DT|^2)

   The heart: Df = - W^T D W Dx with a diagonal D, m <= D <= L (slope.v), so the step's difference is (I - h A) Dx
   with the symmetric A = W^T D W between m s2 I and L K I.

   Source: Baillon and Haddad (1977) for cocoercivity; Sherry et al., arXiv:2306.17332, and Celledoni et al.,
   arXiv:2210.02373, for the step; Ehrhardt, Murari, Sherry, arXiv:2510.22299. *)

From mathcomp Require Import all_ssreflect all_algebra.
From mathcomp Require Import ring.
Require Import euclidean slope.
Set Implicit Arguments. Unset Strict Implicit. Unset Printing Implicit Defensive.
Import GRing.Theory Num.Theory Order.TTheory.
Local Open Scope ring_scope.

Section GradientStep.
Variable F : realFieldType.
Variables (m n : nat) (W : 'M[F]_(m, n)) (b : 'cV[F]_m) (s : 'I_m -> F -> F).
Variables (lo L K s2 h : F).

Definition gradient_field (x : 'cV[F]_n) : 'cV[F]_n := - (W^T *m by_coordinates s (W *m x + b)).
Definition gradient_step x := x + h *: gradient_field x.

Hypothesis lo0 : 0 <= lo.
Hypothesis loL : lo <= L.
Hypothesis slopes_s : forall i, slope_in lo L (s i).
Hypothesis W_above : opbound W K.

Let L0 : 0 <= L. Proof. exact: le_trans loL. Qed.

(* A = W^T D W, D the diagonal of difference quotients between x and y *)
Definition secant x y := W^T *m diag_mx (slopes lo s (W *m x + b) (W *m y + b)) *m W.

Lemma gradient_field_diff x y : gradient_field x - gradient_field y = - (secant x y *m (x - y)).
Proof.
have e u v : - (W^T *m u) - - (W^T *m v) = - (W^T *m (u - v)) by rewrite mulmxBr opprD.
have e' : W *m x + b - (W *m y + b) = W *m (x - y) by rewrite opprD addrACA subrr addr0 mulmxBr.
by rewrite /gradient_field e (by_coordinates_diff lo) e' /secant !mulmxA.
Qed.

Lemma secant_sym x y : (secant x y)^T = secant x y.
Proof. by rewrite /secant !trmx_mul trmxK tr_diag_mx mulmxA. Qed.

(* <A z, z> = sum_i d_i (W z)_i^2 *)
Lemma secant_form x y z :
  dot z (secant x y *m z) = \sum_i slopes lo s (W *m x + b) (W *m y + b) 0 i * (W *m z) i 0 ^+ 2.
Proof.
rewrite /secant -!mulmxA -dot_adj; apply: eq_bigr => i _.
by rewrite mul_diag_mx [X in _ * X = _]mxE mulrCA expr2.
Qed.

Lemma slopes_in x y i : lo <= slopes lo s x y 0 i <= L.
Proof. by rewrite mxE quotient_in. Qed.

Lemma secant_above x y z : dot z (secant x y *m z) <= L * K * sqn z.
Proof.
rewrite secant_form -mulrA; apply: le_trans (ler_wpmul2l L0 (W_above z)).
rewrite /sqn /dot mulr_sumr; apply: ler_sum => i _; rewrite -expr2 ler_wpmul2r ?sqr_ge0 //.
by have /andP [] := slopes_in (W *m x + b) (W *m y + b) i.
Qed.

Lemma secant_below x y z : oplower W s2 -> lo * s2 * sqn z <= dot z (secant x y *m z).
Proof.
move=> W_below; rewrite secant_form -mulrA; apply: le_trans (ler_wpmul2l lo0 (W_below z)) _.
rewrite /sqn /dot mulr_sumr; apply: ler_sum => i _; rewrite -expr2 ler_wpmul2r ?sqr_ge0 //.
by have /andP [] := slopes_in (W *m x + b) (W *m y + b) i.
Qed.

Lemma secant_ge0 x y z : 0 <= dot z (secant x y *m z).
Proof.
rewrite secant_form sumr_ge0 // => i _; rewrite mulr_ge0 ?sqr_ge0 //.
by have /andP [h1 _] := slopes_in (W *m x + b) (W *m y + b) i; apply: le_trans h1.
Qed.

(* <Df, Dx> <= - nu |Df|^2 with nu = 1/(L K) *)
Theorem cocoercive x y : 0 <= K ->
  sqn (gradient_field x - gradient_field y) <=
  - (L * K * dot (gradient_field x - gradient_field y) (x - y)).
Proof.
move=> K0; rewrite gradient_field_diff sqnN dotNl mulrN opprK dotC.
move: (x - y) => z; rewrite secant_form.
have -> : secant x y *m z = W^T *m (diag_mx (slopes lo s (W *m x + b) (W *m y + b)) *m (W *m z)).
  by rewrite /secant !mulmxA.
apply: (le_trans (opbound_tr K0 W_above _)).
rewrite mulrAC [L * _ * K]mulrC ler_wpmul2l // /sqn /dot mulr_sumr; apply: ler_sum => i _.
have /andP [h1 h2] := slopes_in (W *m x + b) (W *m y + b) i.
rewrite mul_diag_mx [X in X * _ <= _]mxE [X in _ * X <= _]mxE.
move: h1 h2; move: (slopes _ _ _ _ _ _) ((W *m z) i 0) => d w h1 h2.
have d0 : 0 <= d by apply: le_trans h1.
have dL : 0 <= L - d by rewrite subr_ge0.
by apply: (le_of_diff (mulr_ge0 (mulr_ge0 d0 dL) (sqr_ge0 w))); ring.
Qed.

Theorem strongly_monotone x y : oplower W s2 ->
  dot (gradient_field x - gradient_field y) (x - y) <= - (lo * s2 * sqn (x - y)).
Proof. by move=> hb; rewrite gradient_field_diff dotNl ler_opp2 dotC secant_below. Qed.

Lemma gradient_step_diff x y :
  gradient_step x - gradient_step y = (1%:M - h *: secant x y) *m (x - y).
Proof.
rewrite mulmxBl mul1mx -scalemxAl -[in RHS]scalerN -gradient_field_diff /gradient_step scalerBr.
by rewrite opprD addrACA.
Qed.

Lemma step_form x y z :
  dot z ((1%:M - h *: secant x y) *m z) = sqn z - h * dot z (secant x y *m z).
Proof. by rewrite mulmxBl mul1mx -scalemxAl dotBr dotZr. Qed.

(* h of either sign *)
Theorem step_interval : oplower W s2 ->
  lipschitz (Num.max `|1 - h * (lo * s2)| `|1 - h * (L * K)|) gradient_step.
Proof.
move=> W_below; set rho := Num.max _ _.
have rho0 : 0 <= rho by rewrite le_maxr normr_ge0.
split=> // x y; rewrite gradient_step_diff; apply: symmetric_bound => //.
- by rewrite linearB /= linearZ /= trmx1 secant_sym.
- by move=> z; rewrite step_form;
    case: (interval_ends h (sqn_ge0 z) (secant_below x y z W_below) (secant_above x y z)).
- by move=> z; rewrite step_form;
    case: (interval_ends h (sqn_ge0 z) (secant_below x y z W_below) (secant_above x y z)).
Qed.

(* s2 = 0 is always allowed. *)
Lemma oplower0 : oplower W 0.
Proof. by move=> x; rewrite mul0r sqn_ge0. Qed.

(* |Dx - DT|^2 = h^2 |Df|^2 <= - h^2 L K <Df, Dx>, and |DT|^2 = |Dx|^2 + 2 h <Df, Dx> + h^2 |Df|^2 *)
Lemma step_expand x y :
  sqn (gradient_step x - gradient_step y) =
  sqn (x - y) + 2%:R * h * dot (gradient_field x - gradient_field y) (x - y)
  + h ^+ 2 * sqn (gradient_field x - gradient_field y).
Proof.
have -> : gradient_step x - gradient_step y = (x - y) + h *: (gradient_field x - gradient_field y).
  by rewrite /gradient_step opprD addrACA -scalerBr.
by move: (x - y) (gradient_field x - _) => u v; rewrite sqnD dotZr sqnZ (dotC v); ring.
Qed.

Theorem step_averaged_form x y : 0 <= K -> 0 <= h ->
  (2%:R - h * (L * K)) * sqn ((x - gradient_step x) - (y - gradient_step y)) <=
  h * (L * K) * (sqn (x - y) - sqn (gradient_step x - gradient_step y)).
Proof.
move=> K0 h0.
have -> : (x - gradient_step x) - (y - gradient_step y) = - (h *: (gradient_field x - gradient_field y)).
  by rewrite /gradient_step; by_entries.
rewrite sqnN sqnZ step_expand.
have c := cocoercive x y K0; rewrite -subr_ge0 in c.
by apply: (le_of_diff (mulr_ge0 (mulr_ge0 (ler0n F 2) (sqr_ge0 h)) c)); ring.
Qed.

Theorem step_averaged alpha x y : 0 <= K -> 0 <= h -> alpha = h * (L * K) / 2%:R -> alpha < 1 ->
  sqn ((x - gradient_step x) - (y - gradient_step y)) <=
  alpha / (1 - alpha) * (sqn (x - y) - sqn (gradient_step x - gradient_step y)).
Proof.
move=> K0 h0 -> h2; have hp : 0 < 2%:R - h * (L * K).
  by rewrite subr_gt0; move: h2; rewrite ltr_pdivr_mulr ?ltr0n // mul1r.
rewrite -(ler_pmul2l hp); apply: le_trans (step_averaged_form x y K0 h0) _.
rewrite le_eqVlt; apply/orP; left; apply/eqP; field.
exact: lt0r_neq0.
Qed.

Theorem step_nonexpansive : 0 <= K -> 0 <= h -> h * (L * K) <= 2%:R -> nonexpansive gradient_step.
Proof.
move=> K0 h0 h2 x y.
have c := cocoercive x y K0; rewrite -subr_ge0 in c.
set p := dot _ _ in c; set q := sqn (gradient_field x - gradient_field y) in c.
have q0 : 0 <= q by rewrite sqn_ge0.
have LK0 : 0 <= L * K by rewrite mulr_ge0.
rewrite step_expand -/p -/q.
have pneg : 0 <= - p.
  rewrite /p gradient_field_diff dotNl opprK dotC; exact: secant_ge0.
have d : 0 <= h * ((2%:R - h * (L * K)) * (- p)) + h ^+ 2 * (- (L * K * p) - q).
  by rewrite addr_ge0 // !mulr_ge0 ?sqr_ge0 ?subr_ge0 //; move: c; rewrite subr_ge0.
by apply: (le_of_diff d); ring.
Qed.

(* Any number of steps. *)
Theorem steps_nonexpansive k : 0 <= K -> 0 <= h -> h * (L * K) <= 2%:R ->
  nonexpansive (iter k gradient_step).
Proof.
move=> K0 h0 h2; elim: k => [|k IH] x y //=.
by apply: le_trans (IH x y); apply: step_nonexpansive.
Qed.
End GradientStep.
