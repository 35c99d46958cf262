(* Logarithmic norm (ahead of the code).

   1. f(x) = sigma(A x + b), slopes in [m, L] with 0 <= m + L, <A x, x> <= mu |x|^2 and |A x| <= a |x|:
          <Df, Dx> <= ((L + m)/2 mu + (L - m)/2 a) |Dx|^2.
      The condition 0 <= m + L is needed: for m + L < 0 the first term asks for a lower bound of <A x, x>.
   2. f(x) = - W^T sigma(W x + b) + (S - S^T) x - gamma x, 0 <= m, |W x|^2 >= s2 |x|^2:
          <Df, Dx> <= - (gamma + m s2) |Dx|^2.
   3. In the maximum norm, 0 <= m: with c_i = a_ii + sum_{j /= i} |a_ij| and mu = max_i max (m c_i, L c_i), a step
      x + h sigma(A x + b), h >= 0 with 1 + h L a_ii >= 0, satisfies  |D(step)|_i <= (1 + h mu_i) |Dx|_inf.
      Here 0 <= m is needed: for d < 0 the row of d A has the other sign on its diagonal.

   Source: Dahlquist (1958); Davydov et al., arXiv:2402.13092; arXiv:2501.10740. *)

From mathcomp Require Import all_ssreflect all_algebra.
From mathcomp Require Import ring.
Require Import euclidean slope gradient_step.
Set Implicit Arguments. Unset Strict Implicit. Unset Printing Implicit Defensive.
Import GRing.Theory Num.Theory Order.TTheory.
Local Open Scope ring_scope.

Section Activated.
Variables (F : realFieldType) (n : nat) (A : 'M[F]_n) (b : 'cV[F]_n) (s : 'I_n -> F -> F) (m L mu a h : F).

Definition activated (x : 'cV[F]_n) := by_coordinates s (A *m x + b).

Lemma activated_diff x y : exists2 d : 'rV[F]_n, (m <= L -> (forall i, slope_in m L (s i)) -> forall i, m <= d 0 i <= L) &
  activated x - activated y = diag_mx d *m (A *m (x - y)).
Proof.
exists (slopes m s (A *m x + b) (A *m y + b)) => [mL hs i|]; first by rewrite mxE quotient_in.
rewrite /activated (by_coordinates_diff m); congr (_ *m _).
by rewrite opprD addrACA subrr addr0 mulmxBr.
Qed.

Theorem logarithmic_norm_two : m <= L -> 0 <= m + L -> (forall i, slope_in m L (s i)) ->
  (forall x, dot (A *m x) x <= mu * sqn x) -> 0 <= a -> opbound A (a ^+ 2) ->
  forall x y, dot (activated x - activated y) (x - y) <=
    ((L + m) / 2%:R * mu + (L - m) / 2%:R * a) * sqn (x - y).
Proof.
move=> mL mL0 hs hmu a0 ha x y; have [d hd ->] := activated_diff x y; have {}hd := hd mL hs.
move: (x - y) => z; set c := (L + m) / 2%:R; set r := (L - m) / 2%:R.
have two : (2%:R : F) != 0 by rewrite pnatr_eq0.
have c0 : 0 <= c by rewrite divr_ge0 ?ler0n // addrC.
have r0 : 0 <= r by rewrite divr_ge0 ?ler0n // subr_ge0.
pose e : 'rV[F]_n := \row_i (d 0 i - c).
have -> : diag_mx d *m (A *m z) = c *: (A *m z) + diag_mx e *m (A *m z).
  by apply/matrixP => i j; rewrite !mul_diag_mx; move: (A *m z) => u; rewrite !mxE; move: (u i j) (d 0 i) => p q; ring.
rewrite dotDl dotZl mulrDl -mulrA; apply: ler_add; first exact: ler_wpmul2l.
have eb : opbound (diag_mx e) (r ^+ 2).
  apply: diag_bound => i; rewrite mxE; have /andP [d1 d2] := hd i; apply: square_le_abs.
    by rewrite -subr_ge0 (_ : d 0 i - c - - r = d 0 i - m) ?subr_ge0 //; rewrite /c /r; field.
  by rewrite -subr_ge0 (_ : r - (d 0 i - c) = L - d 0 i) ?subr_ge0 //; rewrite /c /r; field.
clearbody r; rewrite -[r * a]mulr1; apply: Cauchy_Schwarz_le;
  [exact: mulr_ge0 | exact: ler01 | exact: sqn_ge0 | | by rewrite expr1n mul1r].
by apply: le_trans (eb _) _; rewrite exprMn -[X in _ <= X]mulrA; apply: ler_wpmul2l; [exact: sqr_ge0 | exact: ha].
Qed.

(* One row in the maximum norm. *)
Definition row_c i := A i i + \sum_(j | j != i) `|A i j|.

Theorem logarithmic_norm_max i (r : F) : 0 <= m -> m <= L -> (forall j, slope_in m L (s j)) ->
  0 <= h -> 0 <= 1 + h * (L * A i i) -> forall x y : 'cV[F]_n, (forall j, `|(x - y) j 0| <= r) ->
  `|((x + h *: activated x) - (y + h *: activated y)) i 0| <= (1 + h * Num.max (m * row_c i) (L * row_c i)) * r.
Proof.
move=> m0 mL hs h0 hA x y hr; have [d hd ed] := activated_diff x y.
have /andP [d1 d2] := hd mL hs i; have d0 : 0 <= d 0 i := le_trans m0 d1.
have -> : (x + h *: activated x) - (y + h *: activated y) = (x - y) + h *: (activated x - activated y).
  by move: (activated x) (activated y) => u v; by_entries.
rewrite ed; move: (x - y) hr {ed} => z hr; set di := d 0 i in d1 d2 d0.
have r0 : 0 <= r by apply: le_trans (hr i).
have -> : (z + h *: (diag_mx d *m (A *m z))) i 0 =
    (1 + h * (di * A i i)) * z i 0 + h * di * \sum_(j | j != i) A i j * z j 0.
  have e1 : (diag_mx d *m (A *m z)) i 0 = di * (A *m z) i 0 by rewrite mul_diag_mx mxE.
  have e2 : (A *m z) i 0 = A i i * z i 0 + \sum_(j | j != i) A i j * z j 0 by rewrite mxE (bigD1 i).
  rewrite mxE [X in _ + X]mxE e1 e2; ring.
have diag0 : 0 <= 1 + h * (di * A i i).
  case: (leP 0 (A i i)) => [p|/ltW p]; first by rewrite addr_ge0 ?ler01 // !mulr_ge0.
  by apply: le_trans hA _; rewrite ler_add2l ler_wpmul2l // ler_wnmul2r.
have step : `|(1 + h * (di * A i i)) * z i 0 + h * di * \sum_(j | j != i) A i j * z j 0| <= (1 + h * (di * row_c i)) * r.
  apply: le_trans (ler_norm_add _ _) _; rewrite !normrM (ger0_norm diag0) (ger0_norm h0) (ger0_norm d0).
  have h1 : (1 + h * (di * A i i)) * `|z i 0| <= (1 + h * (di * A i i)) * r by rewrite ler_wpmul2l.
  have h2 : h * di * `|\sum_(j | j != i) A i j * z j 0| <= h * di * ((\sum_(j | j != i) `|A i j|) * r).
    rewrite ler_wpmul2l ?mulr_ge0 // (le_trans (ler_norm_sum _ _ _)) // mulr_suml; apply: ler_sum => j _.
    by rewrite normrM ler_wpmul2l.
  by apply: le_trans (ler_add h1 h2) _; rewrite le_eqVlt; apply/orP; left; apply/eqP; rewrite /row_c; ring.
apply: le_trans step _; rewrite ler_wpmul2r // ler_add2l ler_wpmul2l //.
case: (leP 0 (row_c i)) => [p|/ltW p].
  by rewrite le_maxr; apply/orP; right; rewrite ler_wpmul2r.
by rewrite le_maxr; apply/orP; left; rewrite ler_wnmul2r.
Qed.
End Activated.

Section Dissipative.
Variables (F : realFieldType) (k n : nat) (W : 'M[F]_(k, n)) (b : 'cV[F]_k) (sg : 'I_k -> F -> F) (S : 'M[F]_n).
Variables (m L K s2 gamma : F).

Definition dissipative (x : 'cV[F]_n) := gradient_field W b sg x + (S - S^T) *m x - gamma *: x.

Theorem logarithmic_norm_dissipative : 0 <= m -> m <= L -> (forall i, slope_in m L (sg i)) -> opbound W K ->
  oplower W s2 -> forall x y, dot (dissipative x - dissipative y) (x - y) <= - (gamma + m * s2) * sqn (x - y).
Proof.
move=> m0 mL hs hW hb x y.
have g := @strongly_monotone F _ _ W b sg m L s2 m0 mL hs x y hb.
have -> : dissipative x - dissipative y =
   (gradient_field W b sg x - gradient_field W b sg y) + (S - S^T) *m (x - y) - gamma *: (x - y).
  rewrite /dissipative mulmxBr; move: (gradient_field W b sg x) (gradient_field W b sg y) (_ *m x) (_ *m y) => u v p q.
  by by_entries.
rewrite dotBl dotDl dotZl -/(sqn (x - y)).
have -> : dot ((S - S^T) *m (x - y)) (x - y) = 0.
  by rewrite mulmxBl dotBl [dot (S^T *m _) _]dotC -dot_adj subrr.
rewrite addr0; apply: le_trans (ler_add g (lexx _)) _.
by rewrite le_eqVlt; apply/orP; left; apply/eqP; ring.
Qed.
End Dissipative.
