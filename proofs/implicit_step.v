(* The stages of an implicit Runge-Kutta method: how far they are from what solves their equations up to a residual.

   Stages X_i, Y_i with differences D_i = X_i - Y_i, differences g_i = f(X_i) - f(Y_i) of the field, C A = 1, and

       D_i = r_i + h sum_j a_ij g_j,      <g_i, D_i> <= mu |D_i|^2,      h >= 0.

   r_i is the difference of the residuals, of what is known of earlier stages, and of the points where the steps begin.

   Theorems.
     implicit_stages    w >= 0 with  sum_ij w_i c_ij z_i z_j >= alpha sum_i w_i z_i^2  for all numbers z, h mu < alpha:
                        (alpha - h mu)^2 sum_i w_i |D_i|^2 <= sum_i w_i |sum_j c_ij r_j|^2.
                        With r = 0 all D_i with w_i > 0 vanish: the solution is unique.
     implicit_firm      one stage of implicit Euler, mu <= 0:  |D_1 - D_0 / 2|^2 <= |D_0|^2 / 4

   Source: Hairer and Wanner II, IV.14; Crouzeix, Hundsdorfer and Spijker, BIT 23 (1983). *)

From mathcomp Require Import all_ssreflect all_algebra.
From mathcomp Require Import ring.
Require Import euclidean.
Set Implicit Arguments. Unset Strict Implicit. Unset Printing Implicit Defensive.
Import GRing.Theory Num.Theory Order.TTheory.
Local Open Scope ring_scope.

Section Stages.
Variables (F : realFieldType) (s n : nat) (A C : 'M[F]_s) (w : 'I_s -> F) (alpha mu h : F).
Variables (D g r : 'I_s -> 'cV[F]_n).
Hypothesis CA : C *m A = 1%:M.
Hypothesis w0 : forall i, 0 <= w i.
Hypothesis form : forall z : 'I_s -> F,
  alpha * (\sum_i w i * z i ^+ 2) <= \sum_i w i * (z i * \sum_j C i j * z j).
Hypothesis h0 : 0 <= h.
Hypothesis one_sided : forall i, dot (g i) (D i) <= mu * sqn (D i).
Hypothesis stages : forall i, D i = r i + h *: \sum_j A i j *: g j.
Hypothesis small : h * mu < alpha.

Let q i := \sum_j C i j *: r j.

Lemma inverted i : \sum_j C i j *: D j = q i + h *: g i.
Proof.
have -> : \sum_j C i j *: D j = q i + h *: \sum_j C i j *: (\sum_k A j k *: g k).
  rewrite /q scaler_sumr -big_split /=; apply: eq_bigr => j _.
  by rewrite stages scalerDr !scalerA (mulrC h).
congr (_ + _ *: _).
have -> : \sum_j C i j *: (\sum_k A j k *: g k) = \sum_k (C *m A) i k *: g k.
  rewrite (eq_bigr (fun j => \sum_k (C i j * A j k) *: g k)); last first.
    by move=> j _; rewrite scaler_sumr; apply: eq_bigr => k _; rewrite scalerA.
  by rewrite exchange_big; apply: eq_bigr => k _; rewrite mxE scaler_suml.
rewrite CA (bigD1 i) //= mxE eqxx scale1r big1 ?addr0 // => k ki.
by rewrite mxE eq_sym (negbTE ki) scale0r.
Qed.

Lemma form_sum : alpha * (\sum_i w i * sqn (D i)) <= \sum_i w i * dot (D i) (\sum_j C i j *: D j).
Proof.
have e1 : \sum_l \sum_i w i * (D i l 0) ^+ 2 = \sum_i w i * sqn (D i).
  rewrite exchange_big; apply: eq_bigr => i _; rewrite -mulr_sumr; congr (_ * _).
have e2 : \sum_l \sum_i w i * (D i l 0 * \sum_j C i j * D j l 0) =
          \sum_i w i * dot (D i) (\sum_j C i j *: D j).
  rewrite exchange_big; apply: eq_bigr => i _; rewrite -mulr_sumr; congr (_ * _).
  rewrite /dot /=; apply: eq_bigr => l _; rewrite summxE; congr (_ * _); apply: eq_bigr => j _; by rewrite mxE.
rewrite -e1 -e2 mulr_sumr; apply: ler_sum => l _; exact: form.
Qed.

Theorem implicit_stages :
  (alpha - h * mu) ^+ 2 * (\sum_i w i * sqn (D i)) <= \sum_i w i * sqn (\sum_j C i j *: r j).
Proof.
set S := \sum_i w i * sqn (D i); set Q := \sum_i w i * sqn _.
pose P := \sum_i w i * dot (D i) (q i).
have k0 : 0 < alpha - h * mu by rewrite subr_gt0.
have low : (alpha - h * mu) * S <= P.
  have e : \sum_i w i * dot (D i) (\sum_j C i j *: D j) = P + h * \sum_i w i * dot (g i) (D i).
    rewrite /P mulr_sumr -big_split /=; apply: eq_bigr => i _.
    by rewrite inverted dotDr dotZr (dotC (D i) (g i)); ring.
  have m : \sum_i w i * dot (g i) (D i) <= mu * S.
    rewrite /S mulr_sumr; apply: ler_sum => i _; rewrite mulrCA; exact: ler_wpmul2l.
  have f1 := form_sum; rewrite e -/S in f1.
  have f2 := ler_wpmul2l h0 m.
  rewrite -subr_ge0 in f1; rewrite -subr_ge0 in f2.
  by apply: (le_of_diff (addr_ge0 f1 f2)); ring.
have square : 0 <= Q - 2%:R * (alpha - h * mu) * P + (alpha - h * mu) ^+ 2 * S.
  have -> : Q - 2%:R * (alpha - h * mu) * P + (alpha - h * mu) ^+ 2 * S =
            \sum_i w i * sqn (q i - (alpha - h * mu) *: D i).
    have -> : Q = \sum_i w i * sqn (q i) by [].
    rewrite /P /S !mulr_sumr -sumrB -big_split /=; apply: eq_bigr => i _.
    rewrite sqnB dotZr sqnZ (dotC (q i) (D i)); move: (sqn (q i)) (dot (D i) (q i)) (sqn (D i)) => a b c; ring.
  by apply: sumr_ge0 => i _; rewrite mulr_ge0 ?sqn_ge0.
have d := ler_wpmul2l (ltW k0) low; rewrite -subr_ge0 in d.
have d2 := addr_ge0 square (mulr_ge0 (ler0n F 2) d).
by apply: (le_of_diff d2); ring.
Qed.
End Stages.

Theorem implicit_firm (F : realFieldType) n (h : F) (d0 d1 g : 'cV[F]_n) :
  0 <= h -> dot g d1 <= 0 -> d1 = d0 + h *: g ->
  sqn (d1 - 2%:R^-1 *: d0) <= (2%:R^-1) ^+ 2 * sqn d0.
Proof.
move=> h0 mono e.
have e0 : d0 = d1 - h *: g by rewrite e addrK.
have two : 2%:R != 0 :> F by rewrite pnatr_eq0.
have low : sqn d1 <= dot d1 d0.
  rewrite e0 dotBr dotZr -/(sqn d1) (dotC d1 g) ler_addl -mulrN mulr_ge0 // oppr_ge0; exact: mono.
rewrite sqnB dotZr sqnZ; rewrite -subr_ge0 in low.
by apply: (le_of_diff low); field.
Qed.
