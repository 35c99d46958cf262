(* Lengths in integers, as executed_core.v computes them: what they bound, over any real field.

     charged_sound     the errors of m numbers, together
     schur_sound       || |W| ||^2 is at most the largest sum of a row times the largest sum of a column
     magnitude_sound   |W||c| + |b| is computed as W c + b is *)

From Coq Require Import ZArith List.
From mathcomp Require Import all_ssreflect all_algebra zify ssrZ.
From mathcomp Require Import ring.
Require Import euclidean slope integer_core integer_sound network_core network_sound network_value.
Require Import witness_core witness_norm witness_sound batch_core batch_sound enclosure_core enclosure_sound executed_core executed_network.
Set Implicit Arguments. Unset Strict Implicit. Unset Printing Implicit Defensive.
Import GRing.Theory Num.Theory Order.TTheory.
Local Open Scope ring_scope.
Local Arguments Z.eqb : simpl never.
Local Arguments Z.leb : simpl never.
Local Arguments Z.ltb : simpl never.
Local Arguments Z.mul : simpl never.
Local Arguments Z.add : simpl never.
Local Arguments Z.sub : simpl never.
Local Arguments Z.div : simpl never.
Local Arguments Z.sqrt_up : simpl never.
Local Arguments Nat.eqb : simpl never.
Local Arguments Nat.ltb : simpl never.
Local Arguments Nat.div : simpl never.

Lemma nth_map2g A B C (g : A -> B -> C) x y z (a : seq A) (b : seq B) i : (i < size a)%N -> (i < size b)%N ->
  nth z (map2_z g a b) i = g (nth x a i) (nth y b i).
Proof. by elim: a b i => [|u a IH] [|v b] [|i] //= h1 h2; apply: IH. Qed.
Lemma size_map2g A B C (g : A -> B -> C) (a : seq A) (b : seq B) : size a = size b -> size (map2_z g a b) = size a.
Proof. by elim: a b => [|u a IH] [|v b] //= [h]; rewrite IH. Qed.
Lemma nth_maps A B (g : A -> B) x y (a : seq A) i : (i < size a)%N -> nth y (List.map g a) i = g (nth x a i).
Proof. by move=> h; rewrite map_listE (nth_map x). Qed.
Lemma size_maps A B (g : A -> B) (a : seq A) : size (List.map g a) = size a.
Proof. by rewrite map_listE size_map. Qed.
Lemma bindE x g r : bind x g = Some r -> exists2 y, x = Some y & g y = Some r.
Proof. by case: x => // y h; exists y. Qed.

Section Reach.
Variable F : realFieldType.
Notation zc := (zc F).
Notation over := (network_sound.over F).
Notation vec := (vec F).
Variables (K : Z) (f : format) (depth : Z).
Hypothesis K0 : Z.ltb 0 K.
Hypothesis u0 : Z.ltb 0 (inverse_u f).
Hypothesis eta0 : Z.ltb 0 (inverse_eta f).

(* |v| <= r / K *)
Definition within n (v : 'cV[F]_n) (r : Z) := Z.leb 0 r /\ sqn v <= over K r ^+ 2.

Lemma overD a b : over K (Z.add a b) = over K a + over K b.
Proof. by rewrite /network_sound.over zcD mulrDl. Qed.
Lemma overK_ge0 r : Z.leb 0 r -> 0 <= over K r. Proof. exact: over_ge0. Qed.
Lemma over_le a b : Z.leb a b -> over K a <= over K b.
Proof. by move=> h; rewrite /network_sound.over ler_pmul2r ?invr_gt0 ?zc_gt0 // zc_le. Qed.

Lemma within_add n (u v : 'cV[F]_n) a b : within u a -> within v b -> within (u + v) (Z.add a b).
Proof.
move=> [a0 ha] [b0 hb]; split; first by lia.
by rewrite overD; apply: triangle1 => //; apply: overK_ge0.
Qed.
Lemma within_sub n (u v : 'cV[F]_n) a b : within u a -> within v b -> within (u - v) (Z.add a b).
Proof. by move=> ha [b0 hb]; apply: within_add ha _; split=> //; rewrite sqnN. Qed.
Lemma within0 n : within (0 : 'cV[F]_n) 0.
Proof. by split=> //; rewrite sqn0 sqr_ge0. Qed.
Lemma within_entry n (v : 'cV[F]_n) r i : within v r -> `|v i 0| <= over K r.
Proof.
move=> [r0 h]; apply: le_square; first exact: overK_ge0.
by rewrite real_normK ?num_real //; apply: le_trans h; apply: coord_le_sqn.
Qed.
Lemma sqn_le n (u v : 'cV[F]_n) : (forall i, `|u i 0| <= `|v i 0|) -> sqn u <= sqn v.
Proof.
move=> h; rewrite /sqn /dot; apply: ler_sum => i _; rewrite -!expr2 -(real_normK (num_real (u i 0))) -(real_normK (num_real (v i 0))).
exact: square_le.
Qed.
Lemma within_le n (u v : 'cV[F]_n) r : (forall i, `|u i 0| <= `|v i 0|) -> within v r -> within u r.
Proof. by move=> h [r0 hv]; split=> //; apply: le_trans hv; apply: sqn_le. Qed.
Lemma within_magnitude n (v : 'cV[F]_n) r : within v r -> within (magnitude v) r.
Proof. by apply: within_le => i; rewrite mxE normr_id. Qed.

Lemma through_sound a b r : Z.leb 0 a -> Z.ltb 0 b -> Z.leb 0 (through (a, b) r) /\
  zc a / zc b * over K r ^+ 2 <= over K (through (a, b) r) ^+ 2.
Proof.
move=> a0 b0; rewrite /through /=; set t := Z.mul a _.
have t0 : Z.leb 0 t by apply/Z.leb_le/Z.mul_nonneg_nonneg; [apply/Z.leb_le | apply: Z.square_nonneg].
have [r0 hr] := root_up_sound t0 b0; split=> //.
have bp := zc_gt0 F b0; have kp := zc_gt0 F K0.
rewrite /network_sound.over !expr_div_n mulrA ler_pmul2r ?invr_gt0 ?exprn_gt0 // mulrAC ler_pdivr_mulr //.
by move: hr; rewrite -(zc_le F) /t !zcM -!expr2 => hr; rewrite [X in _ <= X]mulrC.
Qed.
Lemma within_lipschitz n m (y y' : 'cV[F]_m) (x x' : 'cV[F]_n) a b r : Z.leb 0 a -> Z.ltb 0 b ->
  sqn (y - y') <= zc a / zc b * sqn (x - x') -> within (x - x') r -> within (y - y') (through (a, b) r).
Proof.
move=> a0 b0 h [r0 hr]; have [t0 ht] := through_sound r a0 b0; split=> //; apply: le_trans ht; apply: le_trans h _.
by apply: ler_wpmul2l => //; apply: over_ge0.
Qed.
Lemma within_through n m (W : 'M[F]_(m, n)) a b r x : Z.leb 0 a -> Z.ltb 0 b -> opbound W (zc a / zc b) -> within x r ->
  within (W *m x) (through (a, b) r).
Proof.
move=> a0 b0 h hx; have := @within_lipschitz _ _ (W *m x) 0 x 0 a b r a0 b0; rewrite !subr0; apply=> //; exact: h.
Qed.

Lemma norm_of_sound n x : well n x -> within (vec n x) (norm_of K x).
Proof.
move=> /andP [d0 /eqP sx]; have dp := zc_gt0 F d0; have kp := zc_gt0 F K0; rewrite /norm_of.
have e : zc (dot_z 0 x.2 x.2) / zc x.1 ^+ 2 = sqn (vec n x).
  rewrite (@dot_zE F n) ?sx // zc0 add0r mulr_suml; apply: eq_bigr => i _; rewrite !mxE /network_sound.over.
  by field; rewrite lt0r_neq0.
have s0 : Z.leb 0 (dot_z 0 x.2 x.2).
  rewrite -(zc_le F) zc0; have := sqn_ge0 (vec n x); rewrite -e pmulr_lge0 // invr_gt0; exact: exprn_gt0.
have t0 : Z.leb 0 (Z.mul (dot_z 0 x.2 x.2) (Z.mul K K)) by apply/Z.leb_le/Z.mul_nonneg_nonneg; [lia | apply: Z.square_nonneg].
have b0 : Z.ltb 0 (Z.mul x.1 x.1) by apply/Z.ltb_lt/Z.mul_pos_pos; lia.
have [r0 hr] := root_up_sound t0 b0; split=> //; rewrite -e.
have bp := zc_gt0 F b0; rewrite expr2 -zcM ler_pdivr_mulr // /network_sound.over expr_div_n mulrAC ler_pdivl_mulr ?exprn_gt0 //.
by move: hr; rewrite -(zc_le F) !zcM -!expr2 (mulrC (_ ^+ 2) (zc (root_up _ _) ^+ 2)).
Qed.

(* Errors. *)
Lemma within_const n (t : F) r : 0 <= t -> Z.leb 0 r -> t <= over K r ->
  within (\col_(i < n) t) (Z.mul (root_up (Z.of_nat n) 1) r).
Proof.
move=> t0 r0 h; have [q0 hq] := @root_up_sound (Z.of_nat n) 1 ltac:(lia) isT; split.
  by apply/Z.leb_le/Z.mul_nonneg_nonneg; lia.
have -> : sqn (\col_(i < n) t) = n%:R * t ^+ 2.
  rewrite /sqn /dot (eq_bigr (fun=> t ^+ 2)) => [|i _]; last by rewrite !mxE expr2.
  by rewrite sumr_const card_ord mulr_natl.
have -> : over K (Z.mul (root_up (Z.of_nat n) 1) r) = zc (root_up (Z.of_nat n) 1) * over K r by rewrite /network_sound.over zcM mulrA.
rewrite exprMn; apply: ler_pmul; rewrite ?ler0n ?sqr_ge0 //; last exact: square_le.
by move: hq; rewrite Z.mul_1_l -(zc_le F) zc_of_nat zcM expr2.
Qed.

Theorem charged_sound d n m guard size e (g a y z : 'cV[F]_m) : Z.leb 0 n ->
  charged K f d n m guard size = Some e -> within g guard -> within a size ->
  (forall i, rounded_to f d n (g i 0) (a i 0) (y i 0) (z i 0)) -> within (z - y) e.
Proof.
move=> n0; rewrite /charged; case ok: (_ && _) => // -[<-] hg ha hr.
move: ok => /andP [/andP [d0 d1] hl]; have [g0 _] := hg; have [a0 _] := ha.
have p0 : Z.ltb 0 (Z.sub (inverse_u f) d) by lia.
have pp := zc_gt0 F p0; have kp := zc_gt0 F K0; have dp := zc_ge0 F d0.
have gam : gamma F f d = zc d / zc (Z.sub (inverse_u f) d) by rewrite /gamma zcB.
have gam0 : 0 <= gamma F f d by rewrite gam divr_ge0 // ltW.
have scaled r : Z.leb 0 r -> Z.leb 0 (quotient_up (Z.mul d r) (Z.sub (inverse_u f) d)) /\
    gamma F f d * over K r <= over K (quotient_up (Z.mul d r) (Z.sub (inverse_u f) d)).
  move=> r0; have [q0 hq] := @quotient_up_sound F (Z.mul d r) _ ltac:(apply/Z.leb_le/Z.mul_nonneg_nonneg; lia) p0; split=> //.
  rewrite /network_sound.over mulrA ler_pmul2r ?invr_gt0 //; apply: le_trans hq; rewrite gam zcM; by rewrite mulrAC.
have [t0 ht] := @quotient_up_sound F (Z.mul n K) _ ltac:(apply/Z.leb_le/Z.mul_nonneg_nonneg; lia) eta0.
set under := quotient_up _ (inverse_eta f) in hl t0 ht *.
have eta_le : zc n * eta F f <= over K under.
  rewrite /network_sound.over ler_pdivl_mulr //; apply: le_trans ht; rewrite zcM /eta; by rewrite mulrAC.
have eta_ge : 0 <= zc n * eta F f by rewrite mulr_ge0 ?zc_ge0 // /eta invr_ge0; apply: ltW; apply: zc_gt0.
have [s0 hs] := scaled _ a0; have [q0 hq] := scaled _ g0.
have bound i : `|z i 0 - y i 0| <= gamma F f d * a i 0 + zc n * eta F f.
  apply: hr; rewrite mulrDr mulr1.
  have gi : g i 0 <= over K guard by apply: le_trans (ler_norm _) (within_entry i hg).
  apply: le_trans (_ : over K (Z.add (Z.add guard (quotient_up (Z.mul d guard) (Z.sub (inverse_u f) d))) under) <= _).
    rewrite !overD; apply: ler_add eta_le; apply: (ler_add gi); apply: le_trans hq; rewrite mulrC.
    exact: (ler_wpmul2l gam0 gi).
  by rewrite /network_sound.over ler_pdivr_mulr // -zcM zc_le.
apply: (@within_le _ _ (gamma F f d *: a + \col_(i < m) (zc n * eta F f))) => [i|].
  rewrite !mxE; apply: le_trans (bound i) _; exact: ler_norm.
apply: within_add; last exact: within_const.
split=> //; rewrite sqnZ; have [_ h] := ha; apply: le_trans (_ : gamma F f d ^+ 2 * over K size ^+ 2 <= _).
  by apply: ler_wpmul2l h; apply: sqr_ge0.
rewrite -exprMn; apply: square_le hs; apply: mulr_ge0 => //; exact: overK_ge0.
Qed.

Lemma summed_sound n m size e (a y z : 'cV[F]_m) : summed K f depth n m size = Some e -> within a size ->
  (forall i, sum_of f depth n (a i 0) (y i 0) (z i 0)) -> within (z - y) e.
Proof. by move=> h ha hr; apply: (charged_sound _ h ha ha hr); lia. Qed.
(* |W| *)
Lemma absolute_fits o s : operator_fits o s -> operator_fits (absolute_operator o) s.
Proof.
have e n (rows : seq (seq Z)) : all (fun r => Nat.eqb (List.length r) n) (List.map (List.map Z.abs) rows) = all (fun r => Nat.eqb (List.length r) n) rows.
  by elim: rows => //= r rows ->; rewrite List.map_length.
case: o => [n rows|a b t1 t2 p ks|k||k|k|||a b t1 t2 p ks|b ms|fs] //=; last by rewrite List.map_length.
- by case: s => [m|c h w] //; rewrite !forallbE e.
- by case: s => [m|c h w] //; rewrite !forallbE e.
- by case: s => [m|c h w] //; rewrite !forallbE e.
Qed.
Lemma absolute_out o s : operator_out (absolute_operator o) s = operator_out o s.
Proof. by case: o => [n rows|a b t1 t2 p ks|k||k|k|||a b t1 t2 p ks|b ms|fs] //=; rewrite -?[List.length _]/(size _) ?size_maps //; case: s. Qed.
Lemma absolute_den l s : linear_den (absolute l) s = linear_den l s.
Proof. by rewrite /linear_den /absolute /=; case: (op l). Qed.
Lemma absolute_linear_fits l s : linear_fits l s -> linear_fits (absolute l) s.
Proof. by move=> /andP [h fit]; rewrite /linear_fits absolute_den h absolute_fits. Qed.

Lemma tap_sum_ge0 (ts : seq (nat * Z)) j : all (fun t => Z.leb 0 t.2) ts -> Z.leb 0 (tap_sum ts j).
Proof. by elim: ts => //= t ts IH /andP [h /IH hs]; case: (Nat.eqb _ _); lia. Qed.
Lemma window_ge0 h w a b p top left k kernel : all (Z.leb 0) kernel ->
  all (fun t : nat * Z => Z.leb 0 t.2) (window h w a b p top left k kernel).
Proof. by elim: kernel k => //= z kernel IH k /andP [z0 hz]; have h' := IH k.+1 hz; case: ifP => //= _; rewrite z0. Qed.
Lemma ring_ge0 h w a b top left k kernel : all (Z.leb 0) kernel ->
  all (fun t : nat * Z => Z.leb 0 t.2) (ring h w a b top left k kernel).
Proof. by elim: kernel k => //= z kernel IH k /andP [-> hz]; apply: IH. Qed.
Lemma nth_abs (rows : seq (seq Z)) i : nth [::] (List.map (List.map Z.abs) rows) i = List.map Z.abs (nth [::] rows i).
Proof. by elim: rows i => [|r rows IH] [|i] //=. Qed.
Lemma all_abs (l : seq Z) : all (Z.leb 0) (List.map Z.abs l).
Proof. by elim: l => //= z l ->; rewrite andbT; lia. Qed.
Lemma nth_abs_z (l : seq Z) i : nth Z0 (List.map Z.abs l) i = Z.abs (nth Z0 l i).
Proof. by elim: l i => [|r l IH] [|i] //=. Qed.

Lemma absolute_entry o s i j : Z.leb 0 (operator_entry (absolute_operator o) s i j).
Proof.
have units (ts : seq (nat * Z)) : (forall t, t \in ts -> t.2 = Zpos xH) -> Z.leb 0 (tap_sum ts j).
  by move=> h; apply: tap_sum_ge0; apply/allP => t /h ->.
case: o => [n rows|a b t1 t2 p ks|k||k|k|||a b t1 t2 p ks|b ms|fs]; rewrite /operator_entry /absolute_operator.
- by rewrite nth_abs nth_abs_z; lia.
- apply: tap_sum_ge0; case: s => [m|c h w] //=; apply: window_ge0; rewrite nth_listE nth_abs; exact: all_abs.
- apply: units; case: s => [m|c h w] u /=; first by rewrite inE => /eqP ->.
  exact: square_one.
- apply: units; case: s => [m|c h w] u /=; first by rewrite inE => /eqP ->.
  by rewrite map_listE => /mapP [q _ ->].
- by apply: units; case: s => [m|c h w] u /=; rewrite inE => /eqP ->.
- by apply: units; case: s => [m|c h w] u /=; rewrite inE => /eqP ->.
- by apply: units; case: s => [m|c h w] u /=; rewrite inE => /eqP ->.
- by apply: units; case: s => [m|c h w] u /=; rewrite inE => /eqP ->.
- apply: tap_sum_ge0; case: s => [m|c h w] //=; apply: ring_ge0; rewrite nth_listE nth_abs; exact: all_abs.
- apply: units; case: s => [m|c h w] u /=; first by rewrite inE => /eqP ->.
  by case: (List.nth _ _ _) => [[x y] [z v]] /=; case: b; last (case: ifP => // _); rewrite inE => /eqP ->.
- by apply: tap_sum_ge0 => /=; rewrite nth_listE nth_abs_z andbT; lia.
Qed.

Lemma absolute_matrix_ge0 l s : linear_fits l s -> forall i j, 0 <= absolute_matrix F l s i j.
Proof. by move=> /andP [d0 _] i j; rewrite mxE; apply: over_ge0 => //; apply: absolute_entry. Qed.

Lemma schur_bound m n (A : 'M[F]_(m, n)) r c : (forall i j, 0 <= A i j) -> 0 <= r -> (forall i, \sum_j A i j <= r) ->
  (forall j, \sum_i A i j <= c) -> opbound A (r * c).
Proof.
move=> A0 r0 hr hc x; rewrite -(operator_norm.form_of_gram A x); apply: row_sum_bound.
  by rewrite trmx_mul trmxK.
move=> i; have -> : \sum_j `|(A^T *m A) i j| = \sum_k A k i * \sum_j A k j.
  under eq_bigr => j _ do (rewrite mxE ger0_norm; last by apply: sumr_ge0 => k _; rewrite mxE mulr_ge0).
  rewrite exchange_big; apply: eq_bigr => k _; rewrite mulr_sumr; apply: eq_bigr => j _; by rewrite mxE.
apply: le_trans (_ : \sum_k A k i * r <= _); first by apply: ler_sum => k _; apply: ler_wpmul2l.
by rewrite -mulr_suml mulrC; apply: ler_wpmul2l.
Qed.

Lemma most_ge (l : seq Z) i : Z.leb (nth Z0 l i) (List.fold_right max_z Z0 l).
Proof.
elim: l i => [|z l IH] [|i] //=; have [h1 h2] := max_z_ge z (List.fold_right max_z Z0 l); first exact: h1.
by have := IH i; move: h2; move: (nth _ _ _) (List.fold_right _ _ _) (max_z _ _) => a b c; lia.
Qed.
Lemma most_ge0 (l : seq Z) : Z.leb 0 (List.fold_right max_z Z0 l).
Proof. by have := most_ge l (size l); rewrite nth_default. Qed.

Lemma ones_ofE n i : (i < n)%N -> nth Z0 (ones_of n) i = Zpos xH.
Proof. by elim: n i => [|n IH] [|i] //= h; apply: IH. Qed.
Lemma size_ones_of n : size (ones_of n) = n.
Proof. by elim: n => //= n ->. Qed.

Theorem schur_sound l s : linear_fits l s -> [/\ Z.leb 0 (schur l s).1, Z.ltb 0 (schur l s).2
  & opbound (absolute_matrix F l s) (zc (schur l s).1 / zc (schur l s).2)].
Proof.
move=> fits; have A0 := absolute_matrix_ge0 fits; move: (fits) => /andP [d0 fit]; have fit' := absolute_fits fit.
have dp := zc_gt0 F d0; rewrite /schur /= absolute_out; set R := List.fold_right _ _ _; set C := List.fold_right _ _ (adjoint _ _ _).
have R0 : Z.leb 0 R := most_ge0 _; have C0 : Z.leb 0 C := most_ge0 _.
split; [by apply/Z.leb_le/Z.mul_nonneg_nonneg; lia | by apply/Z.ltb_lt/Z.mul_pos_pos; lia |].
have -> : zc (Z.mul R C) / zc (Z.mul (linear_den l s) (linear_den l s)) = over (linear_den l s) R * over (linear_den l s) C.
  move: (linear_den l s) (dp) => D {}dp; move: (R) (C) => r c; rewrite !zcM /network_sound.over; field; exact: lt0r_neq0.
apply: schur_bound => //; first exact: over_ge0.
- move=> i; under eq_bigr => j _ do rewrite mxE.
  rewrite /network_sound.over -mulr_suml ler_pmul2r ?invr_gt0 //.
  have hi : (i < len (operator_out (absolute_operator (op l)) s))%N by rewrite absolute_out.
  apply: le_trans (_ : zc (nth Z0 (apply (absolute_operator (op l)) s (ones_of (len s))) i) <= _); last by rewrite zc_le; apply: most_ge.
  rewrite apply_sound ?size_ones_of //; apply: ler_sum => j _; by rewrite ones_ofE // zc1 mulr1.
- move=> j; under eq_bigr => i _ do rewrite mxE.
  rewrite /network_sound.over -mulr_suml ler_pmul2r ?invr_gt0 //.
  apply: le_trans (_ : zc (nth Z0 (adjoint (absolute_operator (op l)) s (ones_of (len (operator_out (op l) s)))) j) <= _); last by rewrite zc_le; apply: most_ge.
  rewrite adjoint_sound ?size_ones_of ?absolute_out // /linear_out; apply: ler_sum => i _; by rewrite ones_ofE // zc1 mulr1.
Qed.

(* |W||c| + |b|, and |W|^T |c| *)
Lemma sizes_well n x : well n x -> well n (sizes x).
Proof. by move=> /andP [d0 /eqP sx]; rewrite /well /= d0 size_maps sx eqxx. Qed.
Lemma sizes_vec n x : well n x -> vec n (sizes x) = magnitude (vec n x).
Proof.
move=> /andP [d0 _]; apply/colP => i; rewrite !mxE /network_sound.over /= nth_abs_z zc_abs normrM normfV.
by rewrite (ger0_norm (ltW (zc_gt0 F d0))).
Qed.

Theorem magnitude_sound l s x : linear_fits l s -> well (len s) x -> well (len (linear_out l s)) (affine (absolute l) s (sizes x)) /\
  vec (len (linear_out l s)) (affine (absolute l) s (sizes x)) = absolute_matrix F l s *m magnitude (vec (len s) x) + absolute_bias F l s.
Proof.
move=> fits hx; have fits' := absolute_linear_fits fits.
have px : proper (len s) (sizes x) by apply/wellP/sizes_well.
have e : len (linear_out (absolute l) s) = len (linear_out l s) by rewrite /linear_out /= absolute_out.
have pa := affine_proper fits' px; split; first by apply/wellP; rewrite -e.
apply/colP => i; have hi : (i < len (linear_out (absolute l) s))%N by rewrite e.
have := congr1 (fun v : 'cV[F]__ => v (Ordinal hi) 0) (affine_sound F fits' px); rewrite [LHS]mxE [RHS]mxE [in LHS]/= => h.
rewrite mxE; rewrite /= in h; rewrite h !mxE; congr (_ + _); apply: eq_bigr => j _.
by have hs := congr1 (fun v : 'cV[F]__ => v j 0) (sizes_vec hx); rewrite !mxE in hs; rewrite !mxE absolute_den hs.
Qed.

Theorem adjoint_magnitude_sound l s y : linear_fits l s -> well (len (linear_out l s)) y ->
  well (len s) (linear_adjoint (absolute l) s (sizes y)) /\
  vec (len s) (linear_adjoint (absolute l) s (sizes y)) = (absolute_matrix F l s)^T *m magnitude (vec (len (linear_out l s)) y).
Proof.
move=> fits hy; have fits' := absolute_linear_fits fits.
have e : len (linear_out (absolute l) s) = len (linear_out l s) by rewrite /linear_out /= absolute_out.
have py : proper (len (linear_out (absolute l) s)) (sizes y) by rewrite e; apply/wellP/sizes_well.
split; first by apply/wellP/(linear_adjoint_proper fits' py).
rewrite (linear_adjoint_sound F fits' py) -(sizes_vec hy); apply/colP => j; rewrite !mxE.
move: (sizes y) => y'; rewrite /matrix; move: e fits' => e _.
rewrite (eq_bigr (fun i : 'I_(len (linear_out (absolute l) s)) =>
  over (linear_den l s) (operator_entry (absolute_operator (op l)) s i j) * over y'.1 (nth Z0 y'.2 i))) => [|i _]; last by rewrite !mxE absolute_den.
rewrite [RHS](eq_bigr (fun i : 'I_(len (linear_out l s)) =>
  over (linear_den l s) (operator_entry (absolute_operator (op l)) s i j) * over y'.1 (nth Z0 y'.2 i))) => [|i _]; last by rewrite !mxE.
by move: (len (linear_out l s)) e => n <-.
Qed.

Lemma absolute_bias_ge0 l s : linear_fits l s -> forall i, 0 <= absolute_bias F l s i 0.
Proof.
move=> /andP [h _] i; rewrite mxE /bias_at /absolute /= nth_listE nth_abs_z; apply: over_ge0; last by lia.
have : Z.le 0 (operator_den (op l) s) by case: (op l) => *; case: s {h i} => * /=; lia.
by move: h; rewrite /linear_den; move: (operator_den _ _) => d /Z.ltb_lt h d0; apply/Z.ltb_lt; nia.
Qed.

(* |W||x| + b for an x within r of c, b >= 0 *)
Lemma magnitude_near m n (A : 'M[F]_(m, n)) (b : 'cV[F]_m) (x c : 'cV[F]_n) p q size r : (forall i j, 0 <= A i j) -> (forall i, 0 <= b i 0) ->
  Z.leb 0 p -> Z.ltb 0 q -> opbound A (zc p / zc q) -> within (A *m magnitude c + b) size -> within (x - c) r ->
  within (A *m magnitude x + b) (Z.add size (through (p, q) r)).
Proof.
move=> A0 b0 p0 q0 hA hc hx.
have h := within_add hc (within_through p0 q0 hA (within_magnitude hx)); apply: within_le h => i; rewrite !mxE.
have t0 (u : 'cV[F]_n) : 0 <= \sum_j A i j * magnitude u j 0 by apply: sumr_ge0 => j _; rewrite mxE mulr_ge0.
rewrite !ger0_norm ?addr_ge0 //; rewrite addrAC ler_add2r -big_split /=; apply: ler_sum => j _; rewrite !mxE -mulrDr.
by apply: ler_wpmul2l => //; rewrite addrC -{1}[x j 0](subrK (c j 0)); apply: ler_norm_add.
Qed.
End Reach.
