(* Executed margin (ahead of the code).

   Exact layer  z' = T z with T L-Lipschitz; executed  zh' = T zh + e.  If |zh - z| <= D and |e| <= v then
       |zh' - z'| <= D' = L D + v                              (error_step; a network: error_chain)
   Local error of an affine layer in any order of summation, at the executed input zh with |zh - c| <= rho + D, c the centre
   of the ball: when |e_i| <= nu |W_i| |zh| + omega_i with norms of rows,
       |e_i| <= nu (|W_i| |c| + |W_i| (rho + D)) + omega_i     (local_error)
   (rounding.v gives |e_i| <= n u sum_j |W_ij zh_j| + n eta, and the sum is at most |W_i| |zh|; the document's sharper
   |W_i| |c| with entrywise absolute values is dot_abs_le.)

   Margin: fh the executed logits, E(x) a bound of the error of fh_i - fh_j at x, and the same at x'.  If
       fh_i(x) - fh_j(x) > eps L |w_i - w_j| + E(x) + E(x')
   then fh_i(x') > fh_j(x').

   Source: arXiv:2603.13334. *)

From mathcomp Require Import all_ssreflect all_algebra.
From mathcomp Require Import ring.
Require Import euclidean.
Set Implicit Arguments. Unset Strict Implicit. Unset Printing Implicit Defensive.
Import GRing.Theory Num.Theory Order.TTheory.
Local Open Scope ring_scope.

Section ErrorStep.
Variable F : realFieldType.

Theorem error_step n m (T : 'cV[F]_n -> 'cV[F]_m) L D v z zh e : lipschitz L T -> 0 <= D -> 0 <= v ->
  sqn (zh - z) <= D ^+ 2 -> sqn e <= v ^+ 2 -> sqn ((T zh + e) - T z) <= (L * D + v) ^+ 2.
Proof.
move=> [L0 hT] D0 v0 hz he; rewrite addrAC -[X in _ <= X]mulr1.
apply: triangle; [exact: mulr_ge0 | by [] | exact: ler01 | | by rewrite mulr1].
by rewrite mulr1 exprMn; apply: (le_trans (hT _ _)); apply: ler_wpmul2l; [exact: sqr_ge0 | exact: hz].
Qed.

(* Layers of one width; error_step alone changes the width. *)
Fixpoint executed n (Ts : seq ('cV[F]_n -> 'cV[F]_n)) (es : seq 'cV[F]_n) zh :=
  match Ts, es with T :: Ts', e :: es' => executed Ts' es' (T zh + e) | _, _ => zh end.
Fixpoint exactly n (Ts : seq ('cV[F]_n -> 'cV[F]_n)) z := if Ts is T :: Ts' then exactly Ts' (T z) else z.
Fixpoint error (Ls vs : seq F) D := match Ls, vs with L :: Ls', v :: vs' => error Ls' vs' (L * D + v) | _, _ => D end.

Theorem error_chain n (Ts : seq ('cV[F]_n -> 'cV[F]_n)) es Ls vs z zh D :
  size es = size Ts -> size Ls = size Ts -> size vs = size Ts -> 0 <= D -> sqn (zh - z) <= D ^+ 2 ->
  (forall i, (i < size Ts)%N -> [/\ lipschitz (nth 0 Ls i) (nth id Ts i), 0 <= nth 0 vs i & sqn (nth 0 es i) <= nth 0 vs i ^+ 2]) ->
  sqn (executed Ts es zh - exactly Ts z) <= error Ls vs D ^+ 2.
Proof.
elim: Ts es Ls vs z zh D => [|T Ts IH] [|e es] [|L Ls] [|v vs] z zh D //= [s1] [s2] [s3] D0 hz h.
have [hT v0 he] := h 0%N isT; have L0 : 0 <= L by case: hT.
apply: IH => //; first by rewrite addr_ge0 ?mulr_ge0.
  exact: (error_step hT D0 v0 hz he).
by move=> i hi; apply: (h i.+1).
Qed.
End ErrorStep.

Section LocalError.
Variables (F : realFieldType) (n : nat).

(* sum_j |w_j| |z_j| <= |w| |z|: with w2 >= |w| and z2 >= |z| *)
Theorem dot_abs_le (w z : 'cV[F]_n) w2 z2 : 0 <= w2 -> 0 <= z2 -> sqn w <= w2 ^+ 2 -> sqn z <= z2 ^+ 2 ->
  \sum_j `|w j 0| * `|z j 0| <= w2 * z2.
Proof.
move=> w0 z0 hw hz; have ab (x : 'cV[F]_n) : sqn (\col_j `|x j 0|) = sqn x.
  by apply: eq_bigr => j _; rewrite !mxE -!expr2 real_normK ?num_real.
have -> : \sum_j `|w j 0| * `|z j 0| = dot (\col_j `|w j 0|) (\col_j `|z j 0|).
  by apply: eq_bigr => j _; rewrite !mxE.
rewrite -[w2 * z2]mulr1; apply: Cauchy_Schwarz_le; rewrite ?ler01 ?mulr1 ?ab //.
Qed.

(* the executed input lies within rho + D of the centre: sum |w| |zh| <= sum |w| |c| + |w| (rho + D) *)
Theorem local_error (w c zh : 'cV[F]_n) w2 r nu omega e : 0 <= nu -> 0 <= w2 -> 0 <= r -> sqn w <= w2 ^+ 2 ->
  sqn (zh - c) <= r ^+ 2 -> e <= nu * (\sum_j `|w j 0| * `|zh j 0|) + omega ->
  e <= nu * (\sum_j `|w j 0| * `|c j 0| + w2 * r) + omega.
Proof.
move=> nu0 w0 r0 hw hz he; apply: le_trans he _; rewrite ler_add2r ler_wpmul2l //.
apply: (@le_trans _ _ (\sum_j (`|w j 0| * `|c j 0| + `|w j 0| * `|(zh - c) j 0|))).
  apply: ler_sum => j _; rewrite -mulrDr ler_wpmul2l // !mxE.
  by rewrite -{1}(subrK (c j 0) (zh j 0)) addrC ler_norm_add.
by rewrite big_split /= ler_add2l dot_abs_le.
Qed.
End LocalError.

Section ExecutedMargin.
Variables (F : realFieldType) (n d k : nat).
Variables (g : 'cV[F]_n -> 'cV[F]_d) (w : 'I_k -> 'cV[F]_d) (b : 'I_k -> F) (fh : 'I_k -> 'cV[F]_n -> F).

Definition exact_logit i x := dot (w i) (g x) + b i.

Theorem executed_margin L eps dj i j x x' E E' : lipschitz L g -> 0 <= eps -> 0 <= dj ->
  sqn (w i - w j) <= dj ^+ 2 -> sqn (x - x') <= eps ^+ 2 ->
  `|(fh i x - fh j x) - (exact_logit i x - exact_logit j x)| <= E ->
  `|(fh i x' - fh j x') - (exact_logit i x' - exact_logit j x')| <= E' ->
  eps * L * dj + E + E' < fh i x - fh j x -> fh j x' < fh i x'.
Proof.
move=> [L0 gL] e0 d0 hd hx; rewrite !ler_norml => /andP [_ h1] /andP [h2 _] hm.
have cs : dot (w i - w j) (g x - g x') <= dj * (L * eps) * 1.
  apply: Cauchy_Schwarz_le; rewrite ?mulr_ge0 ?ler01 ?mulr1 //.
  by rewrite exprMn; apply: (le_trans (gL _ _)); apply: ler_wpmul2l; [exact: sqr_ge0 | exact: hx].
rewrite mulr1 in cs.
have e1 : exact_logit i x' - exact_logit j x' = (exact_logit i x - exact_logit j x) - dot (w i - w j) (g x - g x').
  rewrite /exact_logit dotBr !dotBl; ring.
rewrite e1 in h2; move: h1 h2 hm cs.
move: (exact_logit i x - exact_logit j x) (dot _ _) (fh i x - fh j x) => f t a h1 h2 hm cs.
rewrite -subr_gt0; move: (fh i x' - fh j x') h2 => a' h2.
have s1 : 0 < a - (eps * L * dj + E + E') by rewrite subr_gt0.
have s2 : 0 <= E - (a - f) by rewrite subr_ge0.
have s3 : 0 <= (a' - (f - t)) - - E' by rewrite subr_ge0.
have s4 : 0 <= dj * (L * eps) - t by rewrite subr_ge0.
have -> : a' = (a - (eps * L * dj + E + E')) + ((E - (a - f)) + ((a' - (f - t)) - - E') + (dj * (L * eps) - t)) by ring.
apply: ltr_paddr s1; exact: addr_ge0 (addr_ge0 s2 s3) s4.
Qed.
End ExecutedMargin.
