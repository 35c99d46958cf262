(* Soundness of executed_core.v: the class that a program computes, at every point within a radius.

     facts_blocks_sound     the facts are those that bounds_blocks finds, and more
     reach_blocks_sound     the program is within R / K of the features of a sample, wherever in the ball it began
     executed_margin_sound  ... and executed_holds gives: at every point within the radius, the logit that the program computes of the
                            class is larger than all others that it computes *)

From Coq Require Import ZArith List.
From mathcomp Require Import all_ssreflect all_algebra zify ssrZ.
From mathcomp Require Import ring.
Require Import euclidean slope integer_core integer_sound network_core network_sound network_value.
Require Import witness_core witness_norm witness_sound batch_core batch_sound enclosure_core enclosure_sound.
Require Import executed_core executed_network executed_reach executed_layers.
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
Local Arguments affine : simpl never.

(* Facts. *)
Lemma facts_layersE ls ps s l : facts_layers ls ps s = Some l -> bounds_layers ls ps s = Some (List.map lip l).
Proof.
elim: ls ps s l => [|a ls IH] [|p ps] s l //=; first by move=> [<-].
case ha: (facts_layer a s p) => [x|] //; case hs: (facts_layers _ _ _) => [y|] // [<-].
by rewrite (facts_sound ha) (IH _ _ _ hs).
Qed.
Lemma facts_branchesE branches ps s l : facts_branches branches ps s = Some l ->
  bounds_branches branches ps s = Some (List.map (List.map lip) l).
Proof.
elim: branches ps l => [|ls branches IH] [|p ps] l //=; first by move=> [<-].
case ha: (facts_layers ls p s) => [x|] //; case hs: (facts_branches _ _ _) => [y|] // [<-].
by rewrite (facts_layersE ha) (IH _ _ hs).
Qed.
Theorem facts_blocks_sound bs ps s l : facts_blocks bs ps s = Some l -> bounds_blocks bs ps s = Some (bounds_of l).
Proof.
elim: bs ps s l => [|b bs IH] [|p ps] s l //=; first by move=> [<-].
case hb: (facts_block b p s) => [x|] //; case hs: (facts_blocks _ _ _) => [y|] // [<-].
rewrite (IH _ _ _ hs); suff -> : bounds_block b p s = Some (List.map (List.map lip) x) by [].
move: hb {hs IH}; case: b p => [a|branches|branches] [p|ps'] //=; try by case: (branches_fit _ _) => // /facts_branchesE.
by case ha: (facts_layer a s p) => [y'|] // [<-]; rewrite (facts_sound ha).
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
Variable N : nat.
Notation near := (near K N).

Theorem reach_layers_sound ls ps s l m c c' (v : 'cV[F]_(len s)) (y : 'cV[F]_(len (layers_out ls s))) : facts_layers ls ps s = Some l ->
  reach_layers K f depth ls l s c = Some c' -> near m c v -> executed_layers f depth v y -> near m c' y.
Proof.
elim: ls ps s l c v y => [|a ls IH] [|p ps] s l c v y //=; first by move=> [<-] [<-] hv ->.
case ha: (facts_layer a s p) => [x|] //; case hs: (facts_layers _ _ _) => [l'|] // [<-].
case hc: (reach_layer _ _ _ _ _ _ _) => [d|] // hd hv [w hw hy].
exact: IH hs hd (reach_layer_sound K0 u0 eta0 ha hc hv hw) hy.
Qed.

(* Means of branches. *)
Lemma near_resized k n m c (z : 'cV[F]_k) : near m c z -> k = n -> near m c (resized n z).
Proof.
move=> h e; subst n; suff -> : resized k z = z by [].
by apply/colP => i; rewrite mxE (insubT (fun j => (j < k)%N) (ltn_ord i)); congr (z _ 0); apply: val_inj.
Qed.

Lemma reach_branches_sound n branches ps s l m c c' total (v : 'cV[F]_(len s)) (t a : 'cV[F]_n) : facts_branches branches ps s = Some l ->
  reach_branches K f depth n branches l s c = Some (c', total) -> all (fun ls => len (layers_out ls s) == n) branches ->
  near m c v -> executed_sum f depth branches v t a ->
  [/\ near m c' t, size total = size c'.1 & forall q, nth None total m = Some q -> within a q].
Proof.
elim: branches ps l c' total t a => [|ls branches IH] [|p ps] l c' total t a //=.
  move=> [<-] [<- <-] _ [hw hm _ hN _] [-> ->]; split; rewrite /= ?size_maps //.
  - split; rewrite /= ?size_maps //.
      by rewrite all_maps; apply/allP => z _; rewrite /well /= size_zeros eqxx.
    move=> r; rewrite !(nth_maps _ (Z0, [::])) // => -[<-].
    suff -> : vec n (Zpos xH, zeros n) = 0 by rewrite subrr; apply: within0.
    by apply/colP => i; rewrite !mxE /network_sound.over nth_zeros zc0 mul0r.
  - by move=> q; rewrite (nth_maps _ (Z0, [::])) // => -[<-]; apply: within0.
case hl: (facts_layers _ _ _) => [x|] //; case hb: (facts_branches _ _ _) => [xs|] // [<-].
case hd: (reach_layers _ _ _ _ _ _ _) => [d|] //; case hd': (reach_branches _ _ _ _ _ _ _) => [[b total']|] // [<- <-].
move=> /andP [/eqP el hs] hv [z [t' [a' [ez es -> ->]]]].
have [w1 m1 s1 n1 r1] := near_resized (reach_layers_sound hl hd hv ez) el.
have [[w2 m2 s2 n2 r2] s3 r3] := IH _ _ _ _ _ _ hb hd' hs hv es.
have e2 : size b.1 = size d.1 by rewrite n1.
have es2 : size b.2 = size d.2 by rewrite s1 s2.
have eb : size d.1 = size b.2 by rewrite s2 e2.
pose add := map2_z (fun a b => bind a (fun a => bind b (fun b => Some (Z.add a b)))).
have addE u w q : (m < size u)%N -> size u = size w -> nth None (add u w) m = Some q ->
    exists2 a, nth None u m = Some a & exists2 b, nth None w m = Some b & q = Z.add a b.
  move=> hu hw; rewrite (nth_map2g _ None None) -?hw // => /bindE [x1 h1] /bindE [x2 h2] [<-].
  by exists x1 => //; exists x2.
split=> /=.
- split=> /=.
  + by apply: all_map2 w1 w2 => u w /wellP pu /wellP pw; apply/wellP/axpy_proper.
  + by rewrite size_map2g.
  + by rewrite !size_map2g.
  + by rewrite size_map2g.
  + move=> r /addE; rewrite s1 => /(_ m1 eb) [x1 h1 [x2 h2 ->]].
    rewrite (nth_map2g _ (Z0, [::]) (Z0, [::])) ?e2 // axpy_sound //; last by apply/wellP/all_nth.
    rewrite /network_sound.over zc1 divr1 scale1r opprD addrACA Z.add_comm.
      by apply: (within_add K0); [apply: r2 | apply: r1].
    by apply/wellP/all_nth.
- by rewrite !size_map2g ?s1 // ?s3 // -?es2.
- move=> q /addE; rewrite size_map2g ?s1 // => /(_ m1); rewrite s3 e2 => /(_ erefl) [x1 + [x2 h2 ->]].
  rewrite (nth_map2g _ (Z0, [::]) None) ?s1 // => /bindE [r h1 [<-]]; rewrite Z.add_comm; apply: (within_add K0); first exact: r3.
  apply: within_magnitude; rewrite -[resized n z](subrK (vec n (nth (Z0, [::]) d.1 m))) addrC.
  by apply: (within_add K0); [apply: norm_of_sound => //; apply: all_nth | apply: r1].
Qed.

Lemma reach_join_sound d q branches ps s l m c c' (v : 'cV[F]_(len s)) (y : 'cV[F]_(len (branches_out branches s))) : Z.ltb 0 q ->
  branches_fit branches s -> facts_branches branches ps s = Some l -> near m c v ->
  reach_join K f depth d q (len (branches_out branches s)) branches l s c = Some c' -> executed_join f depth d q branches v y -> near m c' y.
Proof.
move=> q0 fits hb hv; set n := len _ in y *; rewrite /reach_join.
case hd: (reach_branches _ _ _ _ _ _ _ _) => [[b total]|] // [<-] [t [a [es ey]]].
move: (fits) => /andP [_]; rewrite forallbE (eq_all (fun ls => nat_eqE (len (layers_out ls s)) n)) => hl.
have [[w1 m1 s1 n1 r1] s2 r2] := reach_branches_sound hb hd hl hv es.
have value u : vec n (Z.mul u.1 q, u.2) = over q 1 *: vec n u.
  by apply/colP => i; rewrite !mxE /network_sound.over /= zcM zc1 div1r invfM [RHS]mulrC -mulrA.
split=> /=; rewrite ?size_maps //.
- by rewrite all_maps; apply: sub_all w1 => u /andP [d0 su]; rewrite /well /= su andbT; apply/Z.ltb_lt/Z.mul_pos_pos; apply/Z.ltb_lt.
- by rewrite size_map2g ?s2.
move=> r; rewrite (nth_map2g _ None None) ?s2 ?s1 // => /bindE [z /r2 hz] /bindE [r0 /r1 h1].
rewrite /reach_total => /bindE [e he [<-]]; rewrite (nth_maps _ (Z0, [::])) // value.
set u := vec n _ in h1 *; have scale w x : within w x -> within (over q 1 *: w) (quotient_up x q).
  by move=> hw; have := within_scale K0 (isT : Z.leb 0 1) q0 hw; rewrite Z.mul_1_l.
rewrite (_ : y - _ = over q 1 *: (t - u) + (y - over q 1 *: t)); last by rewrite scalerBr [RHS]addrC addrA subrK.
apply: (within_add K0); first exact: scale.
apply: (@charged_sound F K f K0 u0 eta0 _ _ _ _ _ _ a (over q 1 *: a) _ _ _ he) => // [|i]; first exact: scale.
by have := ey i; rewrite !mxE /network_sound.over zc1 mul1r ![(zc q)^-1 * _]mulrC.
Qed.

Theorem reach_block_sound b s p l m c c' (v : 'cV[F]_(len s)) (y : 'cV[F]_(len (block_out b s))) : facts_block b p s = Some l ->
  reach_block K f depth b l s c = Some c' -> near m c v -> executed_block f depth v y -> near m c' y.
Proof.
case: b p y => [a|branches|branches] [p|ps] y //=.
- by case ha: (facts_layer a s p) => [x|] // [<-] /= hc hv hy; apply: reach_layer_sound ha hc hv hy.
- case fits: (branches_fit _ _) => // hb hd hv; apply: (reach_join_sound _ fits hb hv hd).
  by move: fits => /andP [b0 _]; move: b0; rewrite -[List.length _]/(size branches); lia.
- by case fits: (branches_fit _ _) => // hb hd hv; apply: (reach_join_sound _ fits hb hv hd).
Qed.

Theorem reach_blocks_sound bs s ps l m c c' (v : 'cV[F]_(len s)) (y : 'cV[F]_(len (blocks_out bs s))) : facts_blocks bs ps s = Some l ->
  reach_blocks K f depth bs l s c = Some c' -> near m c v -> executed_blocks f depth v y -> near m c' y.
Proof.
elim: bs ps s l c v y => [|a bs IH] [|p ps] s l c v y //=; first by move=> [<-] [<-] hv ->.
case ha: (facts_block a p s) => [x|] //; case hs: (facts_blocks _ _ _) => [l'|] // [<-].
case hc: (reach_block _ _ _ _ _ _ _) => [d|] // hd hv [w hw hy].
exact: IH hs hd (reach_block_sound ha hc hv hw) hy.
Qed.

(* The head. *)
Lemma nth_combine A B (x : A) (y : B) u w m : size u = size w -> nth (x, y) (List.combine u w) m = (nth x u m, nth y w m).
Proof. by elim: u w m => [|a u IH] [|b w] [|m] //= [e]; apply: IH. Qed.

Lemma size_combine A B (u : seq A) (w : seq B) : size u = size w -> size (List.combine u w) = size u.
Proof. by elim: u w => [|a u IH] [|b w] //= [e]; rewrite IH. Qed.

Lemma dot_within n (u v : 'cV[F]_n) p q r : Z.leb 0 p -> Z.ltb 0 q -> sqn u <= zc p / zc q -> within v r ->
  `|dot u v| <= over K (through (p, q) r).
Proof.
move=> p0 q0 hu [r0 hv]; have [t0 ht] := through_sound F K0 r p0 q0; apply: le_square; first exact: over_ge0.
rewrite real_normK ?num_real //; apply: le_trans (Cauchy_Schwarz u v) _; apply: le_trans ht.
by apply: ler_pmul => //; apply: sqn_ge0.
Qed.

Lemma square_norm_sound n d (u : seq Z) : Z.ltb 0 d -> size u = n -> Z.leb 0 (square_norm u) /\ Z.ltb 0 (Z.mul d d) /\
  sqn (\col_(i < n) over d (nth Z0 u i)) = zc (square_norm u) / zc (Z.mul d d).
Proof.
move=> d0 su; have dp := zc_gt0 F d0; have e : zc (square_norm u) = \sum_(i < n) zc (nth Z0 u i) * zc (nth Z0 u i).
  by rewrite /square_norm (@dot_zE F n) ?su // zc0 add0r.
split; first by rewrite -(zc_le F) zc0 e; apply: sumr_ge0 => i _; rewrite -expr2 sqr_ge0.
split; first by apply/Z.ltb_lt/Z.mul_pos_pos; apply/Z.ltb_lt.
rewrite e mulr_suml; apply: eq_bigr => i _; rewrite !mxE zcM /network_sound.over; field; exact: lt0r_neq0.
Qed.

Section Head.
Variables (hd : linear) (s : shape).
Hypothesis fits : linear_fits hd s.
Definition row j : 'cV[F]_(len s) := \col_c over (den hd) (nth Z0 (head_row hd j) c).

Lemma head_facts j : (j < head_rows hd)%N -> [/\ size (head_row hd j) = len s, Z.ltb 0 (den hd),
  head_rows hd = len (linear_out hd s), forall i c, operator_entry (op hd) s i c = nth Z0 (head_row hd i) c
  & forall i c, operator_entry (absolute_operator (op hd)) s i c = Z.abs (nth Z0 (head_row hd i) c)].
Proof.
move=> hj; have [n [rows [eo es sk hk]]] := head_rows_sound fits hj; split.
- by rewrite sk es.
- by move: fits => /andP []; rewrite /linear_den eo Z.mul_1_r.
- by rewrite /head_rows /linear_out eo.
- by move=> i c; rewrite /operator_entry /head_row eo nth_listE.
- by move=> i c; rewrite /operator_entry /absolute_operator /head_row eo nth_abs nth_abs_z nth_listE.
Qed.

Lemma head_den j : (j < head_rows hd)%N -> linear_den hd s = den hd.
Proof. by move=> hj; have [n [rows [eo _ _ _]]] := head_rows_sound fits hj; rewrite /linear_den eo Z.mul_1_r. Qed.

Lemma logitE (q : 'I_(len (linear_out hd s))) v : (q < head_rows hd)%N ->
  linear_map hd v q 0 = dot (row q) v + over (den hd) (bias_at hd s q).
Proof.
move=> hq; have [_ _ _ he _] := head_facts hq; rewrite /linear_map !mxE; congr (_ + _); rewrite /dot.
by apply: eq_bigr => c _; rewrite !mxE he (head_den hq).
Qed.
End Head.

Variables (hd : linear) (s : shape).
Hypothesis fits : linear_fits hd s.
Notation n := (len s).

Lemma col1E (a : F) i : (\col_(_ < 1) a : 'cV[F]_1) i 0 = a. Proof. by rewrite mxE. Qed.

Lemma logit_error_sound c (v : 'cV[F]_n) z r (q : 'I_(len (linear_out hd s))) e : well n c -> (q < head_rows hd)%N ->
  within (v - vec n c) r -> @executed_linear F f depth hd s v z ->
  logit_error K f depth hd s (affine (absolute hd) s (executed_core.sizes c)) r q = Some e ->
  `|z q 0 - linear_map hd v q 0| <= over K e.
Proof.
move=> wc hq hv hz; have [sr d0 er _ ha] := head_facts fits hq; rewrite /logit_error.
have [wm em] := magnitude_sound F fits wc; set m := affine _ _ _ in wm em *.
have [p0 [q0 en]] := square_norm_sound d0 sr; rewrite !nth_listE; set size := Z.add _ _ => he.
have fd := head_den fits hq.
pose A := (absolute_matrix F hd s *m magnitude v + absolute_bias F hd s) q 0.
have A0 : 0 <= A.
  rewrite /A !mxE addr_ge0 //; last by have := absolute_bias_ge0 F fits q; rewrite mxE.
  by apply: sumr_ge0 => j _; apply: mulr_ge0; [apply: absolute_matrix_ge0 | rewrite mxE].
have base : (absolute_matrix F hd s *m magnitude (vec n c) + absolute_bias F hd s) q 0 <= over K (quotient_up (Z.mul (nth Z0 m.2 q) K) m.1).
  rewrite -em vecE; move: wm => /andP [m0 _]; have mp := zc_gt0 F m0; have kp := zc_gt0 F K0.
  have z0 : Z.leb 0 (nth Z0 m.2 q).
    have : 0 <= over m.1 (nth Z0 m.2 q).
      rewrite -vecE em !mxE addr_ge0 //; last by have := absolute_bias_ge0 F fits q; rewrite mxE.
      by apply: sumr_ge0 => j _; apply: mulr_ge0; [apply: absolute_matrix_ge0 | rewrite mxE].
    by rewrite /network_sound.over pmulr_lge0 ?invr_gt0 // -(zc_le F) zc0.
  have [_ h] := @quotient_up_sound F (Z.mul (nth Z0 m.2 q) K) m.1 ltac:(apply/Z.leb_le/Z.mul_nonneg_nonneg; lia) m0.
  by rewrite /network_sound.over ler_pdivl_mulr // mulrAC -zcM.
have grow : A <= (absolute_matrix F hd s *m magnitude (vec n c) + absolute_bias F hd s) q 0 + dot (magnitude (row hd s q)) (magnitude (v - vec n c)).
  rewrite /A [in X in X <= _]mxE [in X in _ <= X + _]mxE addrAC ler_add2r 2!mxE /dot -big_split /=.
  apply: ler_sum => j _; have -> : magnitude (row hd s q) j 0 = absolute_matrix F hd s q j.
    by rewrite !mxE ha fd /network_sound.over zc_abs normrM normfV (ger0_norm (ltW (zc_gt0 F d0))).
  rewrite -mulrDr; apply: ler_wpmul2l; first exact: absolute_matrix_ge0.
  by rewrite !mxE addrC -{1}[v j 0](subrK (vec n c j 0)) !mxE; apply: ler_norm_add.
have along : dot (magnitude (row hd s q)) (magnitude (v - vec n c)) <= over K (through (square_norm (head_row hd q), Z.mul (den hd) (den hd)) r).
  apply: le_trans (ler_norm _) (dot_within p0 q0 _ (within_magnitude hv)); rewrite -en.
  by apply: sqn_le => j; rewrite !mxE normr_id.
have hA : within (\col_(_ < 1) A) size.
  have hs : A <= over K size by rewrite /size overD; apply: le_trans grow _; apply: ler_add.
  split; first by rewrite -(zc_le F) zc0; have := le_trans A0 hs; rewrite /network_sound.over pmulr_lge0 // invr_gt0 zc_gt0.
  by rewrite /sqn /dot big_ord1 !mxE -expr2; apply: square_le.
have := @summed_sound F K f depth K0 u0 eta0 (terms hd s) 1 size e (\col_(_ < 1) A) (\col_(_ < 1) linear_map hd v q 0)
  (\col_(_ < 1) z q 0) he hA; case=> [i|e0 h]; first by rewrite !col1E; apply: hz.
by have := within_entry K0 (0 : 'I_1) (conj e0 h); rewrite mxE col1E mxE col1E.
Qed.
End Sound.

Section Margin.
Variable F : realFieldType.
Notation zc := (zc F).
Notation over := (network_sound.over F).
Notation vec := (vec F).
Variables (K : Z) (f : format) (depth : Z).
Hypothesis K0 : Z.ltb 0 K.
Hypothesis u0 : Z.ltb 0 (inverse_u f).
Hypothesis eta0 : Z.ltb 0 (inverse_eta f).
Notation nothing := ((Z0, [::], (Z0, [::]), None) : executed).

Theorem executed_margin_sound bs ps s fs hd xs radii zs m i : facts_blocks bs ps s = Some fs ->
  executed_logits K f depth bs fs hd s xs radii = Some zs -> all (well (len s)) xs -> (m < size xs)%N ->
  executed_holds K f depth hd (blocks_out bs s) (nth nothing zs m) i ->
  forall (x' : 'cV[F]_(len s)) y' z', @executed_blocks F f depth bs s x' y' ->
  @executed_linear F f depth hd (blocks_out bs s) y' z' ->
  sqn (vec (len s) (nth (Z0, [::]) xs m) - x') <= over (nth (Z0, Zpos xH) radii m).2 (nth (Z0, Zpos xH) radii m).1 ^+ 2 ->
  forall j k : 'I_(len (linear_out hd (blocks_out bs s))), val k = i -> j != k -> z' j 0 < z' k 0.
Proof.
move=> hf; rewrite /executed_logits; set start := (fun r : Z * Z => _); case hr: (reach_blocks _ _ _ _ _ _ _) => [c|] //.
case ok: (_ && _) => // -[<-] hw hm hh x' y' z' hy hz hx j k ki jk; move: ok => /andP [sz fits].
have {}sz : size radii = size xs by move: sz; rewrite nat_eqE => /eqP.
have hn : near K (size xs) m (xs, List.map start radii) x'.
  split=> //=; first by rewrite size_maps.
  move=> r; rewrite (nth_maps _ (Z0, Zpos xH)) ?sz // /start; case ok: (_ && _) => // -[<-]; move: ok => /andP [r0 d0].
  have hp : Z.leb 0 (Z.mul (nth (Z0, Zpos xH) radii m).1 K) by apply/Z.leb_le/Z.mul_nonneg_nonneg; lia.
  have [q0 hq] := @quotient_up_sound F _ _ hp d0; split=> //; rewrite sqnBC; apply: le_trans hx _; apply: square_le.
    exact: over_ge0.
  by rewrite /network_sound.over ler_pdivl_mulr ?zc_gt0 // mulrAC -zcM.
have [wc mc sc nc rc] := reach_blocks_sound K0 u0 eta0 hf hr hn hy.
have fits' := absolute_linear_fits fits; have wsz := all_sizes wc.
move: hh; rewrite !nth_combine ?size_many ?size_maps //.
rewrite nth_many // nth_many ?size_maps // (nth_maps _ (Z0, [::])) //; set cm := nth _ c.1 m; set m' := affine (absolute hd) _ _; set z := affine hd _ cm.
case er: (nth None c.2 m) => [r|] //= /andP [hi hg]; have hv := rc _ er; rewrite -/cm in hv.
have wcm : well (len (blocks_out bs s)) cm by apply: all_nth.
have hk : (k < head_rows hd)%N by rewrite ki; move: hi => /PeanoNat.Nat.ltb_lt /ssrnat.ltP.
have [sk d0 e_rows _ _] := head_facts fits hk.
have hj : (j < head_rows hd)%N by rewrite e_rows.
have [sj _ _ _ _] := head_facts fits hj.
have := hg; rewrite forallbE => /allP /(_ (val j)); rewrite seqE mem_iota leq0n add0n hj => /(_ isT).
rewrite /executed_gap nat_eqE -ki val_eqE (negbTE jk) [_ || _]/=.
case ea: (logit_error _ _ _ _ _ _ _ _) => [a|] //; case eb: (logit_error _ _ _ _ _ _ _ _) => [b|] //.
rewrite !nth_listE => hlt.
have bk := logit_error_sound K0 u0 eta0 fits wcm hk hv hz ea.
have bj := logit_error_sound K0 u0 eta0 fits wcm hj hv hz eb.
have pz : proper (len (linear_out hd (blocks_out bs s))) z by apply: affine_proper => //; apply/wellP.
have zp := zc_gt0 F (proj1 pz); have kp := zc_gt0 F K0; have dp := zc_gt0 F d0.
have value q : linear_map hd (vec (len (blocks_out bs s)) cm) q 0 = over z.1 (nth Z0 z.2 q).
  by rewrite -affine_sound ?vecE //; apply/wellP.
pose D := row F hd (blocks_out bs s) k - row F hd (blocks_out bs s) j.
have eD : sqn D = zc (square_distance (head_row hd k) (head_row hd j)) / zc (Z.mul (den hd) (den hd)).
  by rewrite /D /row square_distance_sound // zcM expr2.
have q0 : Z.ltb 0 (Z.mul (den hd) (den hd)) by apply/Z.ltb_lt/Z.mul_pos_pos; apply/Z.ltb_lt.
have p0 : Z.leb 0 (square_distance (head_row hd k) (head_row hd j)).
  by rewrite -(zc_le F) zc0; have := sqn_ge0 D; rewrite eD pmulr_lge0 // invr_gt0; apply: zc_gt0.
have hD : `|dot D (y' - vec _ cm)| <= over K (through (square_distance (head_row hd k) (head_row hd j), Z.mul (den hd) (den hd)) r).
  by apply: (dot_within K0 p0 q0 _ hv); rewrite eD.
have moved : linear_map hd y' k 0 - linear_map hd y' j 0 =
    over z.1 (nth Z0 z.2 k) - over z.1 (nth Z0 z.2 j) + dot D (y' - vec _ cm).
  by rewrite -!value !logitE // /D !dotBl !dotBr; ring.
have gap : over K (Z.div (Z.mul (Z.sub (nth Z0 z.2 k) (nth Z0 z.2 j)) K) z.1) <= over z.1 (nth Z0 z.2 k) - over z.1 (nth Z0 z.2 j).
  rewrite /network_sound.over -mulrBl -zcB ler_pdivr_mulr // mulrAC ler_pdivl_mulr // -!zcM zc_le; apply/Z.leb_le.
  rewrite Z.mul_comm; apply: Z.mul_div_le; have [h _] := pz; exact/Z.ltb_lt.
have {}hlt : over K (through (square_distance (head_row hd k) (head_row hd j), Z.mul (den hd) (den hd)) r) + over K a + over K b <
    over z.1 (nth Z0 z.2 k) - over z.1 (nth Z0 z.2 j).
  apply: lt_le_trans gap; rewrite -!overD /network_sound.over ltr_pmul2r ?invr_gt0 // zc_lt.
  by move: hlt; rewrite ki.
move: bk bj hD; rewrite !ler_norml => /andP [bk _] /andP [_ bj] /andP [hD _].
rewrite -subr_gt0; move: moved bk bj hD hlt.
set T := over K (through _ _); set A := over K a; set B := over K b; set d := dot _ _.
set vk := over z.1 (nth Z0 z.2 k); set vj := over z.1 (nth Z0 z.2 j).
move: (linear_map hd y' k 0) (linear_map hd y' j 0) (z' k 0) (z' j 0) => lk lj zk zj e1 bk bj hd' {}hlt.
have -> : zk - zj = (vk - vj - (T + A + B)) + ((zk - lk - - A) + (B - (zj - lj)) + (d - - T)) + ((lk - lj) - (vk - vj + d)) by ring.
rewrite [lk - lj]e1 subrr addr0 addrC; apply: ltr_paddl; last by rewrite subr_gt0.
  by apply: addr_ge0; [apply: addr_ge0|]; rewrite subr_ge0.
by rewrite size_combine !size_many ?size_maps.
Qed.
End Margin.
