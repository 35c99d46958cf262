(* What a program may compute of a layer (executed_network.v) lies within the reach that executed_core.v computes.

     facts_sound          what is known of a layer is what check_layer says
     reach_function_sound a function by coordinates, or of sorted groups
     reach_step_sound     a step of Euler's method, its rounding errors included
     reach_layer_sound    any layer *)

From Coq Require Import ZArith List.
From mathcomp Require Import all_ssreflect all_algebra zify ssrZ.
From mathcomp Require Import ring.
Require Import euclidean slope gradient_step circle_contractivity integer_core integer_sound network_core network_sound network_value.
Require Import witness_core witness_norm witness_sound batch_core batch_sound enclosure_core enclosure_sound.
Require Import executed_core executed_network executed_reach.
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
Local Arguments through : simpl never.
Local Arguments charged : simpl never.
Local Arguments norm_of : simpl never.
Local Arguments quotient_up : simpl never.

Lemma facts_sound l s p x : facts_layer l s p = Some x -> check_layer l s p = Some (lip x).
Proof.
rewrite /facts_layer; case: l => [a|g|mean d dev e|m h h_den k [a g|a g v]|first last g|low high d|group].
4: by rewrite /check_layer; case: (layer_fits _ s) => //; case: (flow_bounds _ _ _ _ _ _ _) => // b [<-].
all: by case: (check_layer _ s p) => // b [<-].
Qed.

Section Sound.
Variable F : realFieldType.
Notation zc := (zc F).
Notation over := (network_sound.over F).
Notation vec := (vec F).
Variables (K : Z) (f : format) (depth : Z).
Hypothesis K0 : Z.ltb 0 K.
Hypothesis u0 : Z.ltb 0 (inverse_u f).
Hypothesis eta0 : Z.ltb 0 (inverse_eta f).
Notation within := (within K).
Notation sum_of := (sum_of f depth).

(* The features of sample m of N, and a point within the reach of them. *)
Variable N : nat.
Definition near n (m : nat) (c : reached) (v : 'cV[F]_n) :=
  [/\ all (well n) c.1, (m < size c.1)%N, size c.2 = size c.1, size c.1 = N
    & forall r, nth None c.2 m = Some r -> within (v - vec n (nth (Z0, [::]) c.1 m)) r].

Lemma kept_near n m ys rs (v : 'cV[F]_n) : all (well n) ys -> (m < size ys)%N -> size rs = size ys -> size ys = N ->
  (forall r, nth None rs m = Some r -> within (v - vec n (nth (Z0, [::]) ys m)) r) -> near m (kept K n ys rs) v.
Proof.
move=> hw hm hs hN h; split=> /=; rewrite ?size_maps //.
  by rewrite all_maps; apply: sub_all hw => x; apply: rounded_well.
move=> r; rewrite (nth_maps _ None) ?hs // => /bindE [r0 h0 [<-]]; rewrite (nth_maps _ (Z0, [::])) //.
set y := nth _ ys m; have hy : well n y by apply: all_nth.
rewrite (_ : v - _ = (v - vec n y) + (vec n y - vec n (rounded K y))); last by rewrite addrA subrK.
apply: (within_add K0) => //; first exact: h.
split; last by rewrite sqnBC; apply: rounded_error.
by have [] := @root_up_sound (Z.of_nat n) 1 ltac:(lia) isT.
Qed.

(* Affine layers. *)
Lemma linear_rounding l s (v c : 'cV[F]_(len s)) (y : 'cV[F]_(len (linear_out l s))) size r e : linear_fits l s ->
  within (absolute_matrix F l s *m magnitude c + absolute_bias F l s) size -> within (v - c) r ->
  summed K f depth (terms l s) (len (linear_out l s)) (Z.add size (through (schur l s) r)) = Some e ->
  @executed_linear F f depth l s v y -> within (y - linear_map l v) e.
Proof.
move=> fits hc hx he hy; have [p0 q0 hA] := schur_sound F fits.
apply: (summed_sound K0 u0 eta0 he _ hy).
rewrite [schur l s]surjective_pairing; apply: (magnitude_near K0 _ _ p0 q0 hA hc hx).
- exact: absolute_matrix_ge0.
- exact: absolute_bias_ge0.
Qed.

Lemma nth_many l s xs m : linear_fits l s -> all (well (len s)) xs -> (m < size xs)%N ->
  nth (Z0, [::]) (affine_many l s xs) m = affine l s (nth (Z0, [::]) xs m).
Proof. by move=> fits hw hm; rewrite affine_many_sound // (nth_maps _ (Z0, [::])). Qed.
Lemma size_many l s xs : linear_fits l s -> all (well (len s)) xs -> size (affine_many l s xs) = size xs.
Proof. by move=> fits hw; rewrite affine_many_sound // size_maps. Qed.
Lemma all_sizes n xs : all (well n) xs -> all (well n) (List.map sizes xs).
Proof. by rewrite all_maps; apply: sub_all => x; apply: sizes_well. Qed.

(* |W||c| + |b| of sample m *)
Lemma nth_magnitude l s xs m : linear_fits l s -> all (well (len s)) xs -> (m < size xs)%N ->
  within (absolute_matrix F l s *m magnitude (vec (len s) (nth (Z0, [::]) xs m)) + absolute_bias F l s)
    (nth Z0 (List.map (norm_of K) (affine_many (absolute l) s (List.map sizes xs))) m).
Proof.
move=> fits hw hm; have fits' := absolute_linear_fits fits; have hs := all_sizes hw.
rewrite (nth_maps _ (Z0, [::])) ?size_many ?size_maps // nth_many ?size_maps // (nth_maps _ (Z0, [::])) //.
have [wa <-] := magnitude_sound F fits (all_nth hw hm); exact: norm_of_sound.
Qed.

Lemma reach_affine_sound l s p x m c (v : 'cV[F]_(len s)) (y : 'cV[F]_(len (linear_out l s))) : facts_layer (Affine l) s p = Some x -> near m c v ->
  @executed_linear F f depth l s v y -> near m (reach_affine K f depth l x s c) y.
Proof.
move=> hx [hw hm hs hN hr] hy; move: hx; rewrite /facts_layer.
case hc: (check_layer _ s p) => [[a b]|] // [<-] {x}; have [a0 b0 hl] := layer_sound F hc.
have fits : linear_fits l s by move: hc; rewrite /check_layer /=; case: (linear_fits l s).
have fits' := absolute_linear_fits fits; have hsz := all_sizes hw.
apply: kept_near.
- by rewrite affine_many_sound //; apply: affine_well.
- by rewrite size_many.
- by rewrite size_map2g ?size_maps ?size_many ?size_maps // -hs.
- by rewrite size_many.
move=> r; rewrite (nth_map2g _ Z0 None) ?size_maps ?size_many ?size_maps ?hs // => /bindE [r0 /hr h0] /bindE [e he [<-]].
rewrite nth_many // affine_sound //; last by apply/wellP/all_nth.
set cm := vec _ _ in h0 *.
rewrite (_ : y - _ = (linear_map l v - linear_map l cm) + (y - linear_map l v)); last by rewrite [RHS]addrC addrA subrK.
apply: (within_add K0); last exact: (linear_rounding fits (nth_magnitude fits hw hm) h0 he hy).
apply: (within_lipschitz K0 a0 b0 _ h0); exact: hl.
Qed.

(* Functions by coordinates. *)
Notation sigma g := (by_coordinates (fun _ => @leaky F g)).
Lemma leaky_nonexpansive g n (x x' : 'cV[F]_n) : check_slope g -> sqn (sigma g x - sigma g x') <= sqn (x - x').
Proof.
move=> hg; have [a0 a1 hs] := slope_sound F hg; have [_ h] := slope_lipschitz (n := n) a1 (fun _ => hs).
by apply: le_trans (h _ _) _; rewrite (ger0_norm a0) (ger0_norm ler01) (max_r a1) expr1n mul1r.
Qed.

Lemma activated_sound g n (z c y : 'cV[F]_n) size r e : check_slope g -> within (sigma g c) size -> within (z - c) r ->
  activated K f (exact_slope g) n (Z.add size r) = Some e -> executed_activation f g z y ->
  within (y - sigma g z) e /\ within (sigma g z - sigma g c) r.
Proof.
move=> hg hc [r0 hr] he hy; have h : within (sigma g z - sigma g c) r.
  by split=> //; apply: le_trans hr; apply: leaky_nonexpansive.
split=> //; move: he hy; rewrite /activated /executed_activation; case: (exact_slope g).
  by move=> [<-] ->; rewrite subrr; apply: within0.
move=> he hy; have hz : within (sigma g z) (Z.add size r).
  by rewrite -[sigma g z](subrK (sigma g c)) addrC; apply: (within_add K0).
apply: (@charged_sound F K f K0 u0 eta0 _ _ _ _ _ _ (magnitude (sigma g z)) (magnitude (sigma g z)) _ _ _ he) => //;
  try exact: within_magnitude.
by move=> i; rewrite !mxE.
Qed.

Lemma reach_function_sound exact value s (phi : 'cV[F]_(len s) -> 'cV[F]_(len s)) x m c (v y : 'cV[F]_(len s)) :
  (forall u, well (len s) u -> well (len s) (value u) /\ vec (len s) (value u) = phi (vec (len s) u)) ->
  Z.leb 0 (lip x).1 -> Z.ltb 0 (lip x).2 ->
  (forall u w : 'cV[F]_(len s), sqn (phi u - phi w) <= zc (lip x).1 / zc (lip x).2 * sqn (u - w)) ->
  (if exact then y = phi v else forall i, rounded_to f 1 1 `|phi v i 0| `|phi v i 0| (phi v i 0) (y i 0)) ->
  near m c v -> near m (reach_function K f exact value x s c) y.
Proof.
case: x => [[a b] o nx ax] /= hvalue a0 b0 hl hy [hw hm hs hN hr].
apply: kept_near; rewrite ?size_maps //.
- by rewrite all_maps; apply: sub_all hw => u /hvalue [].
- by rewrite size_map2g ?size_maps // -hs.
move=> r; rewrite (nth_map2g _ Z0 None) ?size_maps ?hs // => /bindE [r0 /hr h0] /bindE [e he [<-]].
rewrite !(nth_maps _ (Z0, [::])) ?size_maps // in he *.
set cm := nth _ c.1 m in h0 he *; have [wl ec] := hvalue _ (all_nth hw hm).
have hn := norm_of_sound F K0 wl; rewrite ec in hn *.
have hz : within (phi v - phi (vec (len s) cm)) (through (a, b) r0) by apply: (within_lipschitz K0 a0 b0 _ h0); exact: hl.
rewrite (_ : y - _ = (phi v - phi (vec (len s) cm)) + (y - phi v)); last by rewrite [RHS]addrC addrA subrK.
apply: (within_add K0) => //; move: he hy; rewrite /activated; case: exact => [[<-] ->|he hy]; first by rewrite subrr; apply: within0.
have hv : within (phi v) (Z.add (norm_of K (value cm)) (through (a, b) r0)).
  by rewrite -[phi v](subrK (phi (vec (len s) cm))) addrC; apply: (within_add K0).
apply: (@charged_sound F K f K0 u0 eta0 _ _ _ _ _ _ (magnitude (phi v)) (magnitude (phi v)) _ _ _ he) => //;
  try exact: within_magnitude.
by move=> i; have := hy i; rewrite !mxE.
Qed.

(* (x - mean) / deviation *)
Lemma reach_normalize_sound mean d deviation e s p x m c (v y : 'cV[F]_(len s)) : facts_layer (Normalize mean d deviation e) s p = Some x ->
  near m c v -> executed_normalize f mean d deviation e v y -> near m (reach_normalize K f mean d deviation e x s c) y.
Proof.
move=> hx [hw hm hs hN hr] hy; move: hx; rewrite /facts_layer.
case hc: (check_layer _ s p) => [[a b]|] // [<-] {x}; have [a0 b0 hl] := layer_sound F hc.
have fits : layer_fits (Normalize mean d deviation e) s by move: hc; rewrite /check_layer; case: (layer_fits _ s).
have value u : well (len s) u -> well (len s) (normalize mean d deviation e s u) /\
    vec (len s) (normalize mean d deviation e s u) = normalized mean d deviation e (vec (len s) u).
  by move=> /wellP /(normalize_sound F fits) [pu eu]; split=> //; apply/wellP.
apply: kept_near; rewrite ?size_maps //.
- by rewrite all_maps; apply: sub_all hw => u /value [].
- by rewrite size_map2g ?size_maps // -hs.
move=> r; rewrite (nth_map2g _ Z0 None) ?size_maps ?hs // => /bindE [r0 /hr h0] /bindE [er he [<-]].
rewrite !(nth_maps _ (Z0, [::])) ?size_maps // in he *.
set cm := nth _ c.1 m in h0 he *; have [wn en] := value _ (all_nth hw hm).
have hn := norm_of_sound F K0 wn; rewrite en in hn *.
set z := normalized mean d deviation e v; set z0 := normalized _ _ _ _ _ in hn *.
have hz0 : within (z - z0) (through (a, b) r0) by apply: (within_lipschitz K0 a0 b0 _ h0); exact: hl.
have hz : within z (Z.add (norm_of K (normalize mean d deviation e s cm)) (through (a, b) r0)).
  by rewrite -[z](subrK z0) addrC; apply: (within_add K0).
rewrite /= in he; set whole := Z.add (norm_of _ _) (through _ _) in he hz; have [whole0 _] := hz.
rewrite (_ : y - z0 = (z - z0) + (y - z)); last by rewrite [RHS]addrC addrA subrK.
apply: (within_add K0) => //.
move: fits; rewrite /= !nat_eqE forallbE -!andbA => /and5P [d0 e0 hd /eqP sm /andP [/eqP sd p0]].
have most0 := most_ge0 deviation; have ep := zc_gt0 F e0.
have product0 : Z.leb 0 (Z.mul (List.fold_right max_z Z0 deviation) whole) by apply/Z.leb_le/Z.mul_nonneg_nonneg; apply/Z.leb_le.
have [q0 hq] := @quotient_up_sound F _ e product0 e0.
have gap : within (\col_i `|v i 0 - over d (nth Z0 mean (Nat.div i (points s)))|)
    (quotient_up (Z.mul (List.fold_right max_z Z0 deviation) whole) e).
  apply: (@within_le _ _ _ _ (over e (List.fold_right max_z Z0 deviation) *: z)) => [i|].
    rewrite !mxE normr_id normrM (ger0_norm (over_ge0 F e0 most0)).
    set u := Nat.div i (points s); have hu : (u < size deviation)%N by rewrite (sd : size deviation = units s); apply: unit_lt.
    have s0 : 0 < over e (nth Z0 deviation u) by apply: divr_gt0 ep; apply: zc_gt0; move/allP: hd; apply; apply: mem_nth.
    set w := v i 0 - _; rewrite normrM (ger0_norm (_ : 0 <= (over e (nth Z0 deviation u))^-1)); last by rewrite invr_ge0 ltW.
    rewrite mulrCA ler_pemulr // ler_pdivl_mulr // mul1r /network_sound.over ler_pmul2r ?invr_gt0 // zc_le; exact: most_ge.
  split=> //; rewrite sqnZ; have [_ h] := hz.
  apply: le_trans (_ : over e (List.fold_right max_z Z0 deviation) ^+ 2 * over K whole ^+ 2 <= _).
    by apply: ler_wpmul2l h; apply: sqr_ge0.
  rewrite -exprMn; apply: square_le; first by apply: mulr_ge0; apply: over_ge0.
  rewrite /network_sound.over mulrA ler_pmul2r ?invr_gt0 ?zc_gt0 //; apply: le_trans hq; by rewrite zcM mulrAC.
apply: (@charged_sound F K f K0 u0 eta0 _ _ _ _ _ _ ((\col_i `|v i 0 - over d (nth Z0 mean (Nat.div i (points s)))|) + magnitude z)
  (magnitude z) _ _ _ he) => //.
- by rewrite Z.add_comm; apply: (within_add K0) => //; apply: within_magnitude.
- exact: within_magnitude.
- by move=> i; have := hy i; rewrite !mxE.
Qed.
(* Steps of Euler's method. *)
Definition slope_of l g s (v : 'cV[F]_(len s)) : 'cV[F]_(len s) := (matrix F l s)^T *m sigma g (linear_map l v).
Definition euler l h h_den g s (v : 'cV[F]_(len s)) : 'cV[F]_(len s) := v - over h_den h *: @slope_of l g s v.

Lemma euler_means t h h_den l g s v : is_euler t -> Z.ltb 0 (t_d t) ->
  step_of t h h_den (@field_map F (Gradient l g) s) v (@euler l h h_den g s v).
Proof.
case: t => A b d; rewrite /is_euler /=; case: A => [//|row A]; case: row => [//|a row]; case: row => [|a' row]; case: A => [|row' A] //.
case: b => [//|b bs]; case: bs => [|b' bs] // /andP [/zc_eq -> /zc_eq ->] d0.
exists (fun _ => v); split=> [i|].
  rewrite big1 ?scaler0 ?addr0 // => j _; rewrite mxE (ord1 i) (ord1 j) /= zc0 mul0r scale0r //.
rewrite big_ord1 /tableau_b /= divff ?zc_nz // scale1r /euler /slope_of /gradient_field scalerN //.
Qed.

Lemma within_scale n (v : 'cV[F]_n) h h_den r : Z.leb 0 h -> Z.ltb 0 h_den -> within v r ->
  within (over h_den h *: v) (quotient_up (Z.mul h r) h_den).
Proof.
move=> h0 hd [r0 hv]; have hr0 : Z.leb 0 (Z.mul h r) by apply/Z.leb_le/Z.mul_nonneg_nonneg; apply/Z.leb_le.
have [q0 hq] := @quotient_up_sound F _ _ hr0 hd; split=> //; rewrite sqnZ.
apply: le_trans (_ : over h_den h ^+ 2 * over K r ^+ 2 <= _); first by apply: ler_wpmul2l hv; apply: sqr_ge0.
rewrite -exprMn; apply: square_le; first by apply: mulr_ge0; apply: over_ge0.
by rewrite /network_sound.over mulrA ler_pmul2r ?invr_gt0 ?zc_gt0 //; apply: le_trans hq; rewrite zcM mulrAC.
Qed.

Theorem reach_step_sound l h h_den g x s (v c y : 'cV[F]_(len s)) point first middle second r r' :
  linear_fits l s -> check_slope g -> Z.leb 0 h -> Z.ltb 0 h_den ->
  Z.leb 0 (norm x).1 -> Z.ltb 0 (norm x).2 -> opbound (matrix F l s) (zc (norm x).1 / zc (norm x).2) -> absolute_norm x = schur l s ->
  Z.leb 0 (one_step x).1 -> Z.ltb 0 (one_step x).2 ->
  (forall u w, sqn (@euler l h h_den g s u - @euler l h h_den g s w) <= zc (one_step x).1 / zc (one_step x).2 * sqn (u - w)) ->
  within c point -> within (absolute_matrix F l s *m magnitude c + absolute_bias F l s) first ->
  within (sigma g (linear_map l c)) middle -> within ((absolute_matrix F l s)^T *m magnitude (sigma g (linear_map l c))) second ->
  within (v - c) r -> @executed_step F f depth l h h_den g s v y ->
  reach_step K f depth l h h_den g x s point first middle second r = Some r' ->
  within (y - @euler l h h_den g s c) r'.
Proof.
case: x => [whole [la lb] [na nb] ax] /= fits hg h0 hd na0 nb0 hW ->; have [p0 q0 hA] := schur_sound F fits.
move=> la0 lb0 hT hc hf hm hs hx [z [w [k [ez ew ek ey]]]].
rewrite /reach_step /= => /bindE [e1 he1] /bindE [ea hea] /bindE [e2 he2] /bindE [e4 he4] [<-].
have h1 := linear_rounding fits hf hx he1 ez.
set Wv := linear_map l v in h1 *; set Wc := linear_map l c in hm hs *.
have hl : within (Wv - Wc) (through (na, nb) r).
  by rewrite /Wv /Wc /linear_map opprD addrACA subrr addr0 -mulmxBr; apply: (within_through K0).
have hz : within (z - Wc) (Z.add (through (na, nb) r) e1).
  by rewrite (_ : z - Wc = (Wv - Wc) + (z - Wv)); [apply: (within_add K0) | rewrite [RHS]addrC addrA subrK].
have [hw hzc] := activated_sound hg hm hz hea ew.
have hw2 : within (w - sigma g Wc) (Z.add (Z.add (through (na, nb) r) e1) ea).
  rewrite (_ : w - _ = (sigma g z - sigma g Wc) + (w - sigma g z)); last by rewrite [RHS]addrC addrA subrK.
  exact: (within_add K0).
set W := matrix F l s in hW *; have hWt : opbound W^T (zc na / zc nb) by apply: opbound_tr hW; apply: over_ge0.
have h2 : within (k - W^T *m w) e2.
  apply: (summed_sound K0 u0 eta0 he2 _ ek); rewrite [schur l s]surjective_pairing.
  rewrite -[X in within X _]addr0; apply: (magnitude_near K0 _ _ p0 q0 _ _ hw2) => [i j|i||].
  - by rewrite mxE; apply: absolute_matrix_ge0.
  - by rewrite mxE.
  - by apply: opbound_tr hA; apply: over_ge0.
  - by rewrite addr0.
have hsz : within (w - sigma g Wv) (Z.add e1 ea).
  rewrite (_ : w - _ = (sigma g z - sigma g Wv) + (w - sigma g z)); last by rewrite [RHS]addrC addrA subrK.
  apply: (within_add K0) => //; have [e10 he10] := h1; split=> //; apply: le_trans he10; exact: leaky_nonexpansive.
have h3 : within (k - @slope_of l g s v) (Z.add (through (na, nb) (Z.add e1 ea)) e2).
  rewrite (_ : k - _ = W^T *m (w - sigma g Wv) + (k - W^T *m w)); last first.
    by rewrite mulmxBr [RHS]addrC addrA subrK.
  by apply: (within_add K0) => //; apply: (within_through K0).
have hk : within k (Z.add (through (na, nb) (Z.add middle (Z.add (Z.add (through (na, nb) r) e1) ea))) e2).
  rewrite (_ : k = W^T *m (sigma g Wc + (w - sigma g Wc)) + (k - W^T *m w)); last first.
    by rewrite (addrC (sigma g Wc)) subrK addrC subrK.
  by apply: (within_add K0) => //; apply: (within_through K0) => //; apply: (within_add K0).
set size := Z.add (Z.add point r) _ in he4.
have hsize : within (magnitude v + over h_den h *: magnitude k) size.
  apply: (within_add K0); last by apply: within_scale => //; apply: within_magnitude.
  by apply: within_magnitude; rewrite -[v](subrK c) addrC; apply: (within_add K0).
have h4 : within (y - (v - over h_den h *: k)) e4.
  apply: (@charged_sound F K f K0 u0 eta0 _ _ _ _ _ _ _ _ _ _ _ he4 hsize hsize) => // i.
  by have := ey i; rewrite !mxE.
rewrite (_ : y - _ = (@euler l h h_den g s v - @euler l h h_den g s c) + - (over h_den h *: (k - @slope_of l g s v)) + (y - (v - over h_den h *: k))).
  apply: (within_add K0) => //; apply: (within_add K0); first exact: (within_lipschitz K0 la0 lb0 (hT _ _) hx).
  by have [t0 ht] := within_scale h0 hd h3; split=> //; rewrite sqnN.
rewrite /euler scalerBr; move: (over _ _ *: _) (over _ _ *: _) (over _ _ *: _) => a b d.
by apply/colP => i; rewrite !mxE; ring.
Qed.
Lemma nth_map4 A (g : Z -> Z -> Z -> Z -> A -> A) (z : A) a b c d e m :
  (m < size a)%N -> (m < size b)%N -> (m < size c)%N -> (m < size d)%N -> (m < size e)%N ->
  nth z (map4 g a b c d e) m = g (nth Z0 a m) (nth Z0 b m) (nth Z0 c m) (nth Z0 d m) (nth z e m).
Proof. by elim: a b c d e m => [|x a IH] [|y b] [|u c] [|w d] [|v e] [|m] //= *; apply: IH. Qed.
Lemma size_map4 A (g : Z -> Z -> Z -> Z -> A -> A) a b c d e :
  size b = size a -> size c = size a -> size d = size a -> size e = size a -> size (map4 g a b c d e) = size a.
Proof. by elim: a b c d e => [|x a IH] [|y b] [|u c] [|w d] [|v e] //= [h1] [h2] [h3] [h4]; rewrite IH. Qed.

Lemma adjoint_manyE l s ys : linear_fits l s -> all (well (len (linear_out l s))) ys ->
  linear_adjoint_many l s ys = List.map (linear_adjoint l s) ys.
Proof.
move=> /andP [_ fit] hy; rewrite /linear_adjoint_many (adjoint_many_sound F fit) ?map_maps ?map2_map //.
exact: batch_sound.sizes.
Qed.

Lemma reach_euler_sound t h h_den k l g s p x m c (v y : 'cV[F]_(len s)) : facts_layer (Flow t h h_den k (Gradient l g)) s p = Some x ->
  is_euler t -> near m c v -> @executed_step F f depth l h h_den g s v y -> near m (reach_euler K f depth l h h_den g x s c) y.
Proof.
move=> hx et [hw hm hs hN hr] hy.
move: hx; rewrite /facts_layer; case lf: (layer_fits _ s) => //; case hb: (flow_bounds t h h_den l s g p) => [[[na nb] [la lb]]|] // [ex].
have [[na0 nb0 hW] [hg h0] la0 lb0 hl] := flow_bounds_sound F lf hb.
move: (lf); rewrite /layer_fits /field_fits => /andP [/andP [/andP [/andP [fits g0] hd] td] _].
have hT u w : sqn (@euler l h h_den g s u - @euler l h h_den g s w) <= zc la / zc lb * sqn (u - w).
  exact: hl (euler_means h h_den l g u et td) (euler_means h h_den l g w et td).
have wz : all (well (len (linear_out l s))) (affine_many l s c.1) by rewrite affine_many_sound //; apply: affine_well.
have wm : all (well (len (linear_out l s))) (List.map (leaky_vector g) (affine_many l s c.1)) by apply: leaky_well.
have e : len (linear_out (absolute l) s) = len (linear_out l s) by rewrite /linear_out /= absolute_out.
have fits' := absolute_linear_fits fits; have wa := all_sizes hw; have wma := all_sizes wm; have wma' := wma; rewrite -e in wma'.
have wsl : all (well (len s)) (linear_adjoint_many l s (List.map (leaky_vector g) (affine_many l s c.1))).
  by rewrite adjoint_manyE // all_maps; apply: sub_all wm => u /wellP pu; apply/wellP/linear_adjoint_proper.
have sz : size (affine_many l s c.1) = size c.1 by rewrite size_many.
set cm := nth (Z0, [::]) c.1 m in hr; have wc : well (len s) cm by apply: all_nth.
set mid := leaky_vector g (affine l s cm).
have nm : nth (Z0, [::]) (List.map (leaky_vector g) (affine_many l s c.1)) m = mid.
  by rewrite (nth_maps _ (Z0, [::])) ?sz // nth_many.
have wmid : well (len (linear_out l s)) mid by rewrite -nm; apply: all_nth => //; rewrite size_maps sz.
have vmid : vec (len (linear_out l s)) mid = sigma g (linear_map l (vec (len s) cm)).
  by rewrite leaky_sound // ?affine_sound //; [apply/wellP | apply: affine_proper => //; apply/wellP].
have nsl : nth (Z0, [::]) (linear_adjoint_many l s (List.map (leaky_vector g) (affine_many l s c.1))) m = linear_adjoint l s mid.
  by rewrite adjoint_manyE // (nth_maps _ (Z0, [::])) ?size_maps ?sz // nm.
have szsl : size (linear_adjoint_many l s (List.map (leaky_vector g) (affine_many l s c.1))) = size c.1.
  by rewrite adjoint_manyE // !size_maps sz.
have vnext : vec (len s) (nth (Z0, [::]) (map2_z (axpy (Z.opp h) h_den)
    (linear_adjoint_many l s (List.map (leaky_vector g) (affine_many l s c.1))) c.1) m) = @euler l h h_den g s (vec (len s) cm).
  rewrite (nth_map2g _ (Z0, [::]) (Z0, [::])) ?szsl // nsl -/cm axpy_sound //; last by apply/wellP.
    rewrite linear_adjoint_sound // ?vmid; last by apply/wellP.
    rewrite /euler /slope_of; have -> : over h_den (Z.opp h) = - over h_den h.
      by rewrite -mulNr; congr (_ / _); rewrite -[Z.opp h]/(Z.sub Z0 h) zcB zc0 sub0r.
    by rewrite scaleNr.
  by apply: linear_adjoint_proper => //; apply/wellP.
have s1 : size (List.map (norm_of K) c.1) = size c.1 by rewrite size_maps.
have s2 : size (List.map (norm_of K) (affine_many (absolute l) s (List.map executed_core.sizes c.1))) = size c.1.
  by rewrite size_maps size_many // size_maps.
have s3 : size (List.map (norm_of K) (List.map (leaky_vector g) (affine_many l s c.1))) = size c.1 by rewrite !size_maps.
have s4 : size (List.map (norm_of K) (linear_adjoint_many (absolute l) s
    (List.map executed_core.sizes (List.map (leaky_vector g) (affine_many l s c.1))))) = size c.1.
  by rewrite size_maps adjoint_manyE // !size_maps.
apply: kept_near.
- apply/(all_nthP (Z0, [::])) => i; rewrite size_map2g ?szsl // => hi.
  rewrite (nth_map2g _ (Z0, [::]) (Z0, [::])) ?szsl //; apply/wellP/axpy_proper => //; apply/wellP/all_nth => //; by rewrite szsl.
- by rewrite size_map2g ?szsl.
- by rewrite size_map4 ?s1 ?s2 ?s3 ?s4 // size_map2g ?szsl.
- by rewrite size_map2g ?szsl.
move=> r; rewrite nth_map4 ?s1 ?s2 ?s3 ?s4 ?hs // => /bindE [r0 /hr h1].
rewrite (nth_maps _ (Z0, [::])) // [nth Z0 (List.map _ (List.map _ (affine_many l s c.1))) m](nth_maps _ (Z0, [::])) ?size_maps ?sz //.
rewrite vnext -ex => he; apply: (@reach_step_sound _ _ _ _ (Fact (power_up k (la, lb)) (la, lb) (na, nb) (schur l s)) _ _ _ _ _ _ _ _ _ _ fits hg h0 hd na0 nb0 hW erefl la0 lb0 hT _ _ _ _ h1 hy he) => //.
- exact: norm_of_sound.
- exact: nth_magnitude.
- by rewrite nm -vmid; apply: norm_of_sound.
- rewrite (nth_maps _ (Z0, [::])); last by rewrite -s4 size_maps in hm *.
  rewrite adjoint_manyE // (nth_maps _ (Z0, [::])) ?size_maps ?sz // (nth_maps _ (Z0, [::])) ?size_maps ?sz // nm -vmid.
  by have [wy <-] := adjoint_magnitude_sound F fits wmid; apply: norm_of_sound.
Qed.

Lemma facts_fits l s p x : facts_layer l s p = Some x -> layer_fits l s.
Proof. by move=> /facts_sound; rewrite /check_layer; case: (layer_fits l s). Qed.
Lemma facts_lipschitz l s p x : facts_layer l s p = Some x ->
  [/\ Z.leb 0 (lip x).1, Z.ltb 0 (lip x).2 & forall (v v' : 'cV[F]_(len s)) y y', @layer_means F l s v y -> @layer_means F l s v' y' ->
    sqn (y - y') <= zc (lip x).1 / zc (lip x).2 * sqn (v - v')].
Proof. by move=> /facts_sound; case: (lip x) => a b /(layer_sound F). Qed.

Theorem reach_layer_sound l s p x m c c' (v : 'cV[F]_(len s)) (y : 'cV[F]_(len (layer_out l s))) : facts_layer l s p = Some x ->
  reach_layer K f depth l x s c = Some c' -> near m c v -> executed_layer f depth v y -> near m c' y.
Proof.
case: l y => [l|g|mean d dev e|t h h_den k [l g|l g w]|first last g|low high d|group] y hx //=.
- by move=> [<-]; apply: reach_affine_sound hx.
- move=> [<-] hn hy; have [a0 b0 hl] := facts_lipschitz hx; have g0 := facts_fits hx.
  apply: (reach_function_sound (phi := by_coordinates (fun _ => @leaky F g)) _ a0 b0 (fun u w => hl _ _ _ _ erefl erefl) _ hn).
    by move=> u wu; split; [apply/wellP/leaky_proper => //; apply/wellP | apply: leaky_sound => //; apply/wellP].
  by move: hy; rewrite /executed_activation; case: (exact_slope g) => // h i; have := h i; rewrite !mxE.
- by move=> [<-]; apply: reach_normalize_sound hx.
- case et: (is_euler t) => // -[<-] hn.
  move: (y : 'cV[F]_(len s)) => {}y; apply: (_ : forall j c v, near m c v -> steps_of (@executed_step F f depth l h h_den g s) j v y ->
    near m (repeated j (reach_euler K f depth l h h_den g x s) c) y) hn.
  elim=> [|j IH] {}c {}v hn /=; first by move=> ->.
  by move=> [z [ez es]]; apply: (IH _ z) => //; apply: reach_euler_sound hx et hn ez.
- move=> [<-] hn hy; have [a0 b0 hl] := facts_lipschitz hx; have fits := facts_fits hx.
  have hp (u w : 'cV[F]_(len s)) : sqn (partial_map first last g u - partial_map first last g w) <= zc (lip x).1 / zc (lip x).2 * sqn (u - w) by apply: hl.
  have h a := @reach_function_sound (exact_slope g) (partial_vector first last g s) s (@partial_map F first last g s) x m c v y a a0 b0 hp hy hn; apply: h => u /wellP pu.
  by have [pv ev] := partial_sound F first last fits pu; split; [apply/wellP | ].
- move=> [<-] hn hy; have [a0 b0 hl] := facts_lipschitz hx; have /andP [d0 lh] := facts_fits hx.
  have hp (u w : 'cV[F]_(len s)) : sqn (by_coordinates (fun _ => clip (over d low) (over d high)) u - by_coordinates (fun _ => clip (over d low) (over d high)) w) <= zc (lip x).1 / zc (lip x).2 * sqn (u - w) by apply: hl.
  have h a := @reach_function_sound true (clip_vector low high d) s (by_coordinates (fun _ => clip (over d low) (over d high))) x m c v y a a0 b0 hp hy hn; apply: h => u /wellP pu.
  by have [pv ev] := clip_sound F d0 lh pu; split; [apply/wellP | ].
- move=> [<-] hn hy; have [a0 b0 hl] := facts_lipschitz hx; have fits := facts_fits hx.
  have hp (u w : 'cV[F]_(len s)) : sqn (sorted_groups group u - sorted_groups group w) <= zc (lip x).1 / zc (lip x).2 * sqn (u - w) by apply: hl.
  have h a := @reach_function_sound true (sort_vector group s) s (@sorted_groups F group s) x m c v y a a0 b0 hp hy hn; apply: h => u /wellP pu.
  by have [pv ev] := sort_sound F fits pu; split; [apply/wellP | ].
Qed.
End Sound.
