(* Descent of the Lyapunov function.

   V(x) = sum_i psi_i((W x + b)_i) with psi_i' = sigma_i, of which only the smoothness inequality is used:
       psi_i(a) <= psi_i(c) + sigma_i(c) (a - c) + (L/2) (a - c)^2     for all a, c.
   Then grad V(x) = W^T sigma(W x + b), and with |W|^2 <= K, beta = L K, the step x+ = x - h grad V(x) satisfies
       V(x+) <= V(x) - h (1 - h beta / 2) |grad V(x)|^2      for every h.
   The step decreases V when 0 <= h <= 2 / beta.

   smooth_leaky_relu: the inequality for the leaky ReLU, psi(x) = x^2/2 for x >= 0 and a x^2/2 below, L = 1.

   Source: the descent lemma; Nesterov, Lectures on Convex Optimization (2018), section 1.2.3. *)

From mathcomp Require Import all_ssreflect all_algebra.
From mathcomp Require Import ring.
Require Import euclidean slope gradient_step.
Set Implicit Arguments. Unset Strict Implicit. Unset Printing Implicit Defensive.
Import GRing.Theory Num.Theory Order.TTheory.
Local Open Scope ring_scope.

Section Descent.
Variable F : realFieldType.
Variables (m n : nat) (W : 'M[F]_(m, n)) (b : 'cV[F]_m) (s psi : 'I_m -> F -> F) (L K h : F).

Definition smooth_primitive (p sg : F -> F) :=
  forall a c, p a <= p c + sg c * (a - c) + L / 2%:R * (a - c) ^+ 2.

Definition lyapunov (x : 'cV[F]_n) : F := \sum_i psi i ((W *m x + b) i 0).
Definition gradient (x : 'cV[F]_n) : 'cV[F]_n := W^T *m by_coordinates s (W *m x + b).

Hypothesis L0 : 0 <= L.
Hypothesis smooth : forall i, smooth_primitive (psi i) (s i).
Hypothesis W_above : opbound W K.

(* V(y) <= V(x) + <grad V(x), y - x> + (L K / 2) |y - x|^2 *)
Lemma smooth_lyapunov x y :
  lyapunov y <= lyapunov x + dot (gradient x) (y - x) + L * K / 2%:R * sqn (y - x).
Proof.
have e i : (W *m y + b) i 0 - (W *m x + b) i 0 = (W *m (y - x)) i 0.
  by rewrite mulmxBr; move: (W *m y) (W *m x) => u v; rewrite !mxE; ring.
apply: (@le_trans _ _ (lyapunov x + dot (by_coordinates s (W *m x + b)) (W *m (y - x)) + L / 2%:R * sqn (W *m (y - x)))).
  rewrite /lyapunov /sqn /dot mulr_sumr -!big_split /=; apply: ler_sum => i _.
  by have := smooth i ((W *m y + b) i 0) ((W *m x + b) i 0); rewrite e [X in _ -> is_true (_ <= _ + X * _ + _)]mxE -expr2.
have -> : dot (gradient x) (y - x) = dot (by_coordinates s (W *m x + b)) (W *m (y - x)).
  by rewrite dotC [in RHS]dotC dot_adj.
rewrite ler_add2l (_ : L * K / 2%:R * sqn (y - x) = L / 2%:R * (K * sqn (y - x))); last by field.
by apply: ler_wpmul2l (W_above _); rewrite divr_ge0 ?ler0n.
Qed.

Theorem descent x :
  lyapunov (x - h *: gradient x) <= lyapunov x - h * (1 - h * (L * K) / 2%:R) * sqn (gradient x).
Proof.
apply: le_trans (smooth_lyapunov x _) _.
have -> : x - h *: gradient x - x = - (h *: gradient x) by rewrite addrC addKr.
rewrite dotNr dotZr sqnN sqnZ -/(sqn _) -addrA ler_add2l.
by rewrite le_eqVlt; apply/orP; left; apply/eqP; field.
Qed.

(* The gradient step of gradient_step.v is this step. *)
Lemma step_is_descent x : gradient_step W b s h x = x - h *: gradient x.
Proof. by rewrite /gradient_step /gradient_field scalerN. Qed.

Theorem decrease x : 0 <= h -> h * (L * K) <= 2%:R -> lyapunov (gradient_step W b s h x) <= lyapunov x.
Proof.
move=> h0 h2; rewrite step_is_descent; apply: le_trans (descent x) _.
rewrite ger_addl oppr_le0 !mulr_ge0 ?sqn_ge0 // subr_ge0.
by rewrite ler_pdivr_mulr ?ltr0n // mul1r.
Qed.
End Descent.

Section Shipped.
Variable F : realFieldType.

Definition leaky_relu_primitive (a x : F) := if 0 <= x then x ^+ 2 / 2%:R else a * x ^+ 2 / 2%:R.

Lemma smooth_leaky_relu (a : F) : 0 <= a -> a <= 1 ->
  smooth_primitive 1 (leaky_relu_primitive a) (leaky_relu a).
Proof.
move=> a0 a1 x y; rewrite /leaky_relu_primitive /leaky_relu.
have b0 : 0 <= 1 - a by rewrite subr_ge0.
case: (leP 0 x) => [x0|/ltW x0]; case: (leP 0 y) => [y0|/ltW y0].
- by rewrite le_eqVlt; apply/orP; left; apply/eqP; field.
- (* x >= 0 >= y *)
  have y0' : 0 <= - y by rewrite oppr_ge0.
  have d : 0 <= (1 - a) * ((- y) ^+ 2 / 2%:R + x * - y).
    by rewrite mulr_ge0 // addr_ge0 ?mulr_ge0 ?sqr_ge0 ?invr_ge0 ?ler0n.
  by apply: (le_of_diff d); field.
- (* y >= 0 >= x: y^2/2 + y (x - y) + (x - y)^2/2 = x^2/2 *)
  have d : 0 <= (1 - a) * x ^+ 2 / 2%:R by rewrite divr_ge0 ?ler0n // mulr_ge0 ?sqr_ge0.
  by apply: (le_of_diff d); field.
- have d : 0 <= (1 - a) * (x - y) ^+ 2 / 2%:R by rewrite divr_ge0 ?ler0n // mulr_ge0 ?sqr_ge0.
  by apply: (le_of_diff d); field.
Qed.
End Shipped.
