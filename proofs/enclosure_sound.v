(* What the functions of enclosure_core.v enclose, over any real field.

     bounds_sound           blocks_product of the bounds is what check_blocks says
     enclose_logits_sound   the features of a sample are within e / K of those whose logits enclose_logits gives
     margin_within_sound    ... and margin_within gives: at every point within the radius, the class is the only largest logit *)

From Coq Require Import ZArith List.
From mathcomp Require Import all_ssreflect all_algebra zify ssrZ.
From mathcomp Require Import ring.
Require Import euclidean operator_norm margin integer_core integer_sound integer_packed network_core network_sound network_value.
Require Import witness_core witness_norm witness_sound batch_core batch_sound enclosure_core.
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

(* Bounds. *)
Lemma bounds_layersE ls ps s : check_layers ls ps s = omap product (bounds_layers ls ps s).
Proof.
elim: ls ps s => [|l ls IH] [|p ps] s //=; case: (check_layer l s p) => [[a b]|] //.
by rewrite IH; case: (bounds_layers _ _ _) => [x|] //=; case: (product x).
Qed.
Lemma bounds_branchesE branches ps s : check_branches branches ps s = omap roots_sum (bounds_branches branches ps s).
Proof.
elim: branches ps => [|ls branches IH] [|p ps] //=; rewrite bounds_layersE IH.
by case: (bounds_layers _ _ _) => [x|] //=; case: (bounds_branches _ _ _).
Qed.
Lemma bounds_blockE b p s : check_block b p s = omap (block_product b) (bounds_block b p s).
Proof.
case: b p => [l|branches|branches] [p|ps] //=; first by case: (check_layer l s p).
all: by case: (branches_fit _ _) => //; rewrite bounds_branchesE; case: (bounds_branches _ _ _).
Qed.
Theorem bounds_sound bs ps s : check_blocks bs ps s = omap (blocks_product bs) (bounds_blocks bs ps s).
Proof.
elim: bs ps s => [|b bs IH] [|p ps] s //=; rewrite bounds_blockE IH.
case: (bounds_block _ _ _) => [x|] //=; case: (bounds_blocks _ _ _) => [y|] //=; last by case: (block_product b x).
by case: (block_product b x) => c d; case: (blocks_product bs y).
Qed.

Lemma all_map2 (f : ratios -> ratios -> ratios) (p q r : pred ratios) (xs ys : seq ratios) :
  (forall x y, p x -> q y -> r (f x y)) -> all p xs -> all q ys -> all r (map2_z f xs ys).
Proof. by move=> h; elim: xs ys => [|x xs IH] [|y ys] //= /andP [px hx] /andP [py hy]; rewrite h ?IH. Qed.
Lemma nth_map2 A (f : A -> A -> A) (x0 : A) (xs ys : seq A) i : (i < size xs)%N -> (i < size ys)%N ->
  nth x0 (map2_z f xs ys) i = f (nth x0 xs i) (nth x0 ys i).
Proof. by elim: xs ys i => [|x xs IH] [|y ys] [|i] //= h1 h2; apply: IH. Qed.
Lemma size_map2 A (f : A -> A -> A) (xs ys : seq A) i : (i < size xs)%N -> (i < size ys)%N -> (i < size (map2_z f xs ys))%N.
Proof. by elim: xs ys i => [|x xs IH] [|y ys] [|i] //= h1 h2; apply: IH. Qed.

Section Sound.
Variable F : realFieldType.
Notation zc := (zc F).
Notation over := (over F).
Notation vec := (vec F).
Variable K : Z.
Hypothesis K0 : Z.ltb 0 K.

Lemma triangle1 n (u v : 'cV[F]_n) p q : 0 <= p -> 0 <= q -> sqn u <= p ^+ 2 -> sqn v <= q ^+ 2 -> sqn (u + v) <= (p + q) ^+ 2.
Proof. by move=> p0 q0 hu hv; rewrite -[X in _ <= X]mulr1; apply: triangle; rewrite ?mulr1 ?ler01. Qed.

Lemma rounded_well n x : well n x -> well n (rounded K x).
Proof. by move=> /andP [_ /eqP sx]; rewrite /well /= K0 map_listE size_map sx eqxx. Qed.

Lemma rounded_error n x : well n x -> sqn (vec n (rounded K x) - vec n x) <= over K (root_up (Z.of_nat n) 1) ^+ 2.
Proof.
move=> /andP [d0 /eqP sx]; have kp := zc_gt0 F K0; have dp := zc_gt0 F d0.
apply: le_trans (_ : n%:R / zc K ^+ 2 <= _); last first.
  rewrite /network_sound.over expr_div_n ler_pmul2r ?invr_gt0 ?exprn_gt0 // -(zc_of_nat F) expr2 -zcM zc_le.
  have n0 : Z.leb 0 (Z.of_nat n) by apply/Z.leb_le; lia.
  by have [_] := root_up_sound n0 (isT : Z.ltb 0 1); rewrite Z.mul_1_l.
rewrite /sqn /dot -[X in X%:R](card_ord n) -sum1_card natr_sum mulr_suml; apply: ler_sum => i _.
rewrite !mxE /network_sound.over /= map_listE (nth_map Z0) ?sx // mul1r -expr2 -exprVn.
set z := nth Z0 x.2 i; set q := Z.div _ _.
have h1 : zc x.1 * zc q <= zc z * zc K.
  by rewrite -!zcM zc_le; apply/Z.leb_le/Z.mul_div_le; move/Z.ltb_lt: d0.
have h2 : zc z * zc K < zc x.1 * (zc q + 1).
  rewrite -(zc1 F) -zcD -!zcM zc_lt; apply/Z.ltb_lt; rewrite Z.add_1_r; apply: Z.mul_succ_div_gt; exact/Z.ltb_lt.
move: (zc q) (zc z) (zc x.1) (zc K) dp kp h1 h2 => Q V D k dp kp h1 h2.
have e : Q / k - V / D = (D * Q - V * k) / (D * k) by field; rewrite !lt0r_neq0.
rewrite e; apply: square_le_abs.
- rewrite ler_pdivl_mulr ?mulr_gt0 // mulNr mulrCA mulVf ?lt0r_neq0 // mulr1 -subr_ge0.
  by rewrite (_ : _ - - D = D * (Q + 1) - V * k); [rewrite subr_ge0 ltW | ring].
- rewrite ler_pdivr_mulr ?mulr_gt0 // mulrCA mulVf ?lt0r_neq0 // mulr1; apply: le_trans (_ : 0 <= _); last exact: ltW.
  by rewrite subr_le0.
Qed.

Definition enclosed n (m : nat) (c : enclosure) (y : ratios) :=
  [/\ all (well n) c.1, (m < size c.1)%N, Z.leb 0 c.2, proper n y & sqn (vec n (nth (Z0, [::]) c.1 m) - vec n y) <= over K c.2 ^+ 2].

Lemma all_nth n m (xs : seq ratios) : all (well n) xs -> (m < size xs)%N -> well n (nth (Z0, [::]) xs m).
Proof. by move=> h hm; apply: (allP h); apply: mem_nth. Qed.

Lemma step_enclosed n n' m fs g L c y : Z.leb 0 L -> (forall x, proper n x -> proper n' (g x)) ->
  (forall xs, all (well n) xs -> fs xs = List.map g xs) ->
  (forall u v, proper n u -> proper n v -> sqn (vec n' (g u) - vec n' (g v)) <= zc L ^+ 2 * sqn (vec n u - vec n v)) ->
  enclosed n m c y -> enclosed n' m (enclose_step K fs L n' c) (g y).
Proof.
move=> L0 gp hf hL [hw hm e0 py he]; rewrite /enclose_step /enclosed /= hf // map_maps.
have r0 : Z.leb 0 (root_up (Z.of_nat n') 1) by have [] := @root_up_sound (Z.of_nat n') 1; lia.
have lp := zc_ge0 F L0; have kp := zc_gt0 F K0; have ep := zc_ge0 F e0.
have wx := all_nth hw hm; set x := nth _ c.1 m in he wx.
have gx : well n' (g x) by apply/wellP/gp/wellP.
split; first by rewrite all_maps; apply: sub_all hw => z /wellP pz; apply/rounded_well/wellP/gp.
- by rewrite map_listE size_map.
- by apply/Z.leb_le; apply: Z.add_nonneg_nonneg; [apply: Z.mul_nonneg_nonneg|]; apply/Z.leb_le.
- exact: gp.
rewrite map_listE (nth_map (Z0, [::])) // -/x.
rewrite (_ : _ - vec n' (g y) = (vec n' (g x) - vec n' (g y)) + (vec n' (rounded K (g x)) - vec n' (g x))); last first.
  by rewrite [RHS]addrC addrA subrK.
have eo : over K (Z.add (Z.mul L c.2) (root_up (Z.of_nat n') 1)) = zc L * over K c.2 + over K (root_up (Z.of_nat n') 1).
  by rewrite /network_sound.over zcD zcM mulrDl mulrA.
rewrite eo; apply: triangle1.
- by apply: mulr_ge0 => //; apply: over_ge0.
- exact: over_ge0.
- apply: le_trans (hL _ _ _ py) _; first exact/wellP.
  by rewrite exprMn; apply: ler_wpmul2l => //; apply: exprn_ge0.
- exact: rounded_error.
Qed.

(* The Lipschitz constant of the values. *)
Lemma value_lipschitz l s p b u v u' v' : check_layer l s p = Some b -> layer_value l s u = Some u' -> layer_value l s v = Some v' ->
  proper (len s) u -> proper (len s) v ->
  sqn (vec (len (layer_out l s)) u' - vec (len (layer_out l s)) v') <= zc (root_up b.1 b.2) ^+ 2 * sqn (vec (len s) u - vec (len s) v).
Proof.
case: b => a b hc hu hv pu pv; have [a0 b0 h] := layer_sound F hc.
have [_ mu] := layer_value_sound F hu pu; have [_ mv] := layer_value_sound F hv pv.
apply: le_trans (h _ _ _ _ mu mv) _; apply: ler_wpmul2r; first exact: sqn_ge0.
have [_] := root_up_sound a0 b0; rewrite -(zc_le F) !zcM -expr2 => hr.
by rewrite ler_pdivr_mulr ?zc_gt0 // mulrC.
Qed.

(* Of a step alone: 1 or the constant of all steps, whichever is larger. *)
Lemma step_value_lipschitz t h h_den k f s p b u v u' v' : check_layer (Flow t h h_den k.+1 f) s p = Some b ->
  layer_value (Flow t h h_den 1 f) s u = Some u' -> layer_value (Flow t h h_den 1 f) s v = Some v' -> proper (len s) u -> proper (len s) v ->
  sqn (vec (len s) u' - vec (len s) v') <= zc (max_z 1 (root_up b.1 b.2)) ^+ 2 * sqn (vec (len s) u - vec (len s) v).
Proof.
move=> hc hu hv pu pv; have [_ [y [hy ey]]] := layer_value_sound F hu pu; have [_ [z [hz ez]]] := layer_value_sound F hv pv.
have e1 : vec (len s) u' = y := ey; have e2 : vec (len s) v' = z := ez; rewrite e1 e2 {e1 e2 ey ez hu hv}; move: hc; rewrite /check_layer.
case fits: (layer_fits _ s) => //; case: f fits hy hz => [l g|//] fits hy hz; case hb: (flow_bounds _ _ _ _ _ _ _) => [[d c]|] //= [<-].
have [_ _ c0 c1 /(_ _ _ _ _ hy hz) lip] := flow_bounds_sound F fits hb; apply: le_trans lip _; apply: ler_wpmul2r; first exact: sqn_ge0.
case: c {hb} c0 c1 => n m n0 m0; have [p0 p1 hp] := power_up_sound F k.+1 n0 m0.
move: (power_up _ _) p0 p1 hp => [P Q] /= p0 p1 hp; have [r0] := root_up_sound p0 p1.
rewrite -(zc_le F) !zcM -expr2 mulrC -ler_pdivr_mulr ?zc_gt0 // => hr.
have M1 := max_z_l 1 (root_up P Q); have M2 := max_z_r 1 (root_up P Q).
have q0 : 0 <= zc n / zc m by apply: over_ge0.
case: (leP (zc n / zc m) 1) => [le|/ltW ge].
- apply: le_trans le _; apply: exprn_ege1; rewrite -(zc1 F) zc_le; exact/Z.leb_le.
- apply: le_trans (_ : (zc n / zc m) ^+ k.+1 <= _); first by rewrite exprS ler_pemulr // exprn_ege1.
  apply: le_trans hp (le_trans hr _); apply: square_le; first exact: zc_ge0.
  by rewrite zc_le; apply/Z.leb_le.
Qed.

Lemma root_up_ge0 l s p b : check_layer l s p = Some b -> Z.leb 0 (root_up b.1 b.2).
Proof. by case: b => a b hc; have [a0 b0 _] := layer_sound F hc; have [] := root_up_sound a0 b0. Qed.

Theorem enclose_layer_sound l s p b m c c' x : check_layer l s p = Some b -> enclose_layer K l b s c = Some c' ->
  enclosed (len s) m c x -> exists2 y, layer_value l s x = Some y & enclosed (len (layer_out l s)) m c' y.
Proof.
move=> hc; rewrite /enclose_layer /layer_value; case fits: (layer_fits l s) => //.
have L0 := root_up_ge0 hc; have lip := value_lipschitz hc.
have value u : layer_value l s u = match l with
    | Affine l => Some (affine l s u) | Activation g => Some (leaky_vector g u)
    | Normalize mean d deviation e => Some (normalize mean d deviation e s u)
    | Flow m h h_den steps f => if explicit 0 (t_A m) then Some (repeated steps (step (field_value f s) m h h_den) u) else None
    | Partial first last g => Some (partial_vector first last g s u) | Clip low high d => Some (clip_vector low high d u)
    | Sort group => Some (sort_vector group s u) end.
  by rewrite /layer_value fits.
case: l hc fits L0 lip value => [l|g|mean d dev e|t h h_den k f|from upto g|low high d|k] hc fits L0 lip value.
- move=> [<-] en; exists (affine l s x) => //; apply: step_enclosed en => // [u pu|xs hx|u v pu pv].
  + exact: affine_proper.
  + exact: affine_many_sound.
  + exact: (lip _ _ _ _ (value u) (value v)).
- move=> [<-] en; exists (leaky_vector g x) => //; apply: step_enclosed en => // [u pu|u v pu pv].
  + exact: leaky_proper.
  + exact: (lip _ _ _ _ (value u) (value v)).
- move=> [<-] en; exists (normalize mean d dev e s x) => //; apply: step_enclosed en => // [u pu|u v pu pv].
  + by have [] := normalize_sound F fits pu.
  + exact: (lip _ _ _ _ (value u) (value v)).
- case ex: (explicit 0 (t_A t)) => // -[<-] en; exists (repeated k (step (field_value f s) t h h_den) x) => //.
  have fits1 : layer_fits (Flow t h h_den 1 f) s by [].
  move: (fits); rewrite /= -!andbA => /and4P [ff hd td _].
  have fp u : proper (len s) u -> proper (len s) (step (field_value f s) t h h_den u).
    move=> pu; have vu : layer_value (Flow t h h_den 1 f) s u = Some (step (field_value f s) t h h_den u).
      by rewrite /layer_value fits1 ex.
    by have [] := layer_value_sound F vu pu.
  have vu w : layer_value (Flow t h h_den 1 f) s w = Some (step (field_value f s) t h h_den w) by rewrite /layer_value fits1 ex.
  have L1 : Z.leb 0 (max_z 1 (root_up b.1 b.2)) by have := max_z_l 1 (root_up b.1 b.2); lia.
  case: k hc {fits lip value} => [|k] hc //; have one u v := step_value_lipschitz hc (vu u) (vu v).
  move: k.+1 => j; elim: j c x en => [|j IH] {hc} c x en //=; apply: IH; apply: step_enclosed en => // xs hx.
  have [] := @step_many_sound (len s) (field_many f s) (field_value f s) t h h_den xs hd td _ _ hx => //.
  + by move=> u; apply: field_proper.
  + by move=> ys hy; apply: field_many_sound.
- move=> [<-] en; exists (partial_vector from upto g s x) => //; apply: step_enclosed en => // [u pu|u v pu pv].
  + by have [] := partial_sound F from upto fits pu.
  + exact: (lip _ _ _ _ (value u) (value v)).
- move=> [<-] en; exists (clip_vector low high d x) => //; apply: step_enclosed en => // [u pu|u v pu pv].
  + by move/andP: fits => [d0 lh]; have [] := clip_sound F d0 lh pu.
  + exact: (lip _ _ _ _ (value u) (value v)).
- move=> [<-] en; exists (sort_vector k s x) => //; apply: step_enclosed en => // [u pu|u v pu pv].
  + by have [] := sort_sound F fits pu.
  + exact: (lip _ _ _ _ (value u) (value v)).
Qed.

Theorem enclose_layers_sound ls ps s l m c c' x : bounds_layers ls ps s = Some l -> enclose_layers K ls l s c = Some c' ->
  enclosed (len s) m c x -> exists2 y, forward ls s x = Some y & enclosed (len (layers_out ls s)) m c' y.
Proof.
elim: ls ps s l c x => [|a ls IH] [|p ps] s l c x //=; first by move=> [<-] [<-] en; exists x.
case hb: (check_layer a s p) => [b|] //; case hl: (bounds_layers _ _ _) => [l'|] // [<-].
case he: (enclose_layer _ _ _ _ _) => [d|] // hd en; have [y vy ey] := enclose_layer_sound hb he en.
by have [z vz ez] := IH _ _ _ _ _ hl hd ey; exists z => //; rewrite vy.
Qed.

Lemma enclose_branches_sound n branches ps s l m c c' x : bounds_branches branches ps s = Some l ->
  enclose_branches K n branches l s c = Some c' -> all (fun ls => len (layers_out ls s) == n) branches ->
  enclosed (len s) m c x -> exists2 y, sum_value n branches s x = Some y & enclosed n m c' y.
Proof.
elim: branches ps l c' => [|ls branches IH] [|p ps] l c' //=.
  move=> [<-] [<-] _ [hw hm e0 px he]; exists (Zpos xH, zeros n) => //; split=> //=.
  - by rewrite all_maps; apply/allP => z _; rewrite /well /= size_zeros eqxx.
  - by rewrite map_listE size_map.
  - by split=> //=; rewrite size_zeros.
  - by rewrite map_listE (nth_map (Z0, [::])) // subrr sqn0 sqr_ge0.
case hl: (bounds_layers _ _ _) => [a|] //; case hb: (bounds_branches _ _ _) => [b|] // [<-].
case ha: (enclose_layers _ _ _ _ _) => [d|] //; case hd: (enclose_branches _ _ _ _ _ _) => [d'|] // [<-] /andP [/eqP el hs] en.
have [y vy [w1 m1 e1 p1 h1]] := enclose_layers_sound hl ha en; have [z vz [w2 m2 e2 p2 h2]] := IH _ _ _ hb hd hs en.
rewrite el in w1 p1 h1; exists (axpy 1 1 y z); rewrite ?vy ?vz //; split=> /=.
- by apply: all_map2 w1 w2 => u v /wellP pu /wellP pv; apply/wellP/axpy_proper.
- exact: size_map2.
- by apply/Z.leb_le; apply: Z.add_nonneg_nonneg; apply/Z.leb_le.
- exact: axpy_proper.
have pu := elimT (wellP _ _) (all_nth w1 m1); have pv := elimT (wellP _ _) (all_nth w2 m2).
rewrite nth_map2 // !axpy_sound // /network_sound.over zc1 divr1 !scale1r zcD mulrDl opprD addrACA addrC.
by apply: triangle1 => //; apply: over_ge0.
Qed.

Lemma enclose_sum_sound branches ps s l m c c' x : branches_fit branches s -> bounds_branches branches ps s = Some l ->
  enclose_sum K branches l s c = Some c' -> enclosed (len s) m c x ->
  exists2 y, branches_value branches s x = Some y & enclosed (len (branches_out branches s)) m c' y.
Proof.
move=> fits hb; rewrite /enclose_sum /branches_value fits => hc en.
exact: enclose_branches_sound hb hc (fit_branches fits) en.
Qed.

Theorem enclose_block_sound b p s l m c c' x : bounds_block b p s = Some l -> enclose_block K b l s c = Some c' ->
  enclosed (len s) m c x -> exists2 y, block_value b s x = Some y & enclosed (len (block_out b s)) m c' y.
Proof.
case: b p => [a|branches|branches] [p|ps] //=.
- by case hb: (check_layer a s p) => [b|] // [<-]; apply: enclose_layer_sound hb.
- case fits: (branches_fit _ _) => // hb; case hc: (enclose_sum _ _ _ _ _) => [d|] //= [<-] en.
  have [y vy [w1 m1 e1 p1 h1]] := enclose_sum_sound fits hb hc en; have k0 := branches_pos fits.
  rewrite vy /=; eexists; first reflexivity.
  have [py ey] := divided_sound F k0 p1; split=> //=.
  + by rewrite all_maps; apply: sub_all w1 => u /wellP pu; apply/wellP; have [] := divided_sound F k0 pu.
  + by rewrite map_listE size_map.
  rewrite map_listE (nth_map (Z0, [::])) // -[List.length branches]/(size branches) ey.
  have [_ ->] := divided_sound F k0 (elimT (wellP _ _) (all_nth w1 m1)); rewrite -scalerBr sqnZ; apply: le_trans h1.
  rewrite -[X in _ <= X]mul1r; apply: ler_wpmul2r; first exact: sqn_ge0.
  by apply: exprn_ile1; rewrite ?invr_ge0 ?ler0n // invf_le1 ?ltr0n // ler1n.
- by case fits: (branches_fit _ _) => // hb hc en; apply: enclose_sum_sound hb hc en.
Qed.

Theorem enclose_blocks_sound bs ps s l m c c' x : bounds_blocks bs ps s = Some l -> enclose_blocks K bs l s c = Some c' ->
  enclosed (len s) m c x -> exists2 y, forward_blocks bs s x = Some y & enclosed (len (blocks_out bs s)) m c' y.
Proof.
elim: bs ps s l c x => [|a bs IH] [|p ps] s l c x //=; first by move=> [<-] [<-] en; exists x.
case hb: (bounds_block a p s) => [b|] //; case hl: (bounds_blocks _ _ _) => [l'|] // [<-].
case he: (enclose_block _ _ _ _ _) => [d|] // hd en; have [y vy ey] := enclose_block_sound hb he en.
by have [z vz ez] := IH _ _ _ _ _ hl hd ey; exists z => //; rewrite vy.
Qed.

(* The features and the logits of sample m. *)
Theorem enclose_logits_sound bs ps s l hd xs zs e m : bounds_blocks bs ps s = Some l -> enclose_logits K bs l hd s xs = Some (zs, e) ->
  all (well (len s)) xs -> (m < size xs)%N ->
  exists y y', [/\ forward_blocks bs s (nth (Z0, [::]) xs m) = Some y, linear_fits hd (blocks_out bs s),
    proper (len (blocks_out bs s)) y' /\ nth (Z0, [::]) zs m = affine hd (blocks_out bs s) y', Z.leb 0 e
    & sqn (vec (len (blocks_out bs s)) y' - vec (len (blocks_out bs s)) y) <= over K e ^+ 2].
Proof.
move=> hb; rewrite /enclose_logits; case hc: (enclose_blocks _ _ _ _ _) => [c|] //; case fits: (linear_fits _ _) => // -[<- <-] hw hm.
have en : enclosed (len s) m (xs, Z0) (nth (Z0, [::]) xs m).
  by split=> //=; [apply/wellP/all_nth | rewrite subrr sqn0 sqr_ge0].
have [y vy [w1 m1 e1 p1 h1]] := enclose_blocks_sound hb hc en.
exists y, (nth (Z0, [::]) c.1 m); split=> //; split; first by apply/wellP/all_nth.
by rewrite affine_many_sound // map_listE (nth_map (Z0, [::])).
Qed.

(* |u + v|^2 <= (1 + 1/T) |u|^2 + (1 + T) |v|^2 *)
Lemma young n (u v : 'cV[F]_n) T : 0 < T -> T * sqn (u + v) <= (T + 1) * (sqn u + T * sqn v).
Proof.
move=> t0; rewrite sqnD; have := sqn_ge0 (u - T *: v); rewrite sqnB dotZr sqnZ => h; rewrite -subr_ge0.
by apply: le_trans h _; rewrite le_eqVlt; apply/orP; left; apply/eqP; ring.
Qed.

Theorem margin_within_sound bs ps s l hd xs zs e m T radius d i : bounds_blocks bs ps s = Some l ->
  enclose_logits K bs l hd s xs = Some (zs, e) -> all (well (len s)) xs -> (m < size xs)%N ->
  margin_within K (blocks_product bs l) hd T e (nth (Z0, [::]) zs m) radius d i ->
  forall (x' : 'cV[F]_(len s)) y', @network_blocks F bs s x' y' ->
  sqn (vec (len s) (nth (Z0, [::]) xs m) - x') <= over d radius ^+ 2 ->
  forall j k : 'I_(len (linear_out hd (blocks_out bs s))), val k = i -> j != k ->
  linear_map hd y' j 0 < linear_map hd y' k 0.
Proof.
move=> hb hen hw hm; have [y [w [fy fits [pw ez] e0 herr]]] := enclose_logits_sound hb hen hw hm.
have hcheck := bounds_sound bs ps s; rewrite hb /= in hcheck; move: hcheck; case ep: (blocks_product bs l) => [a b] hc.
have [a0 b0 lip] := blocks_sound F hc; set x := nth _ xs m in fy *; set z := nth _ zs m in ez *.
have px : proper (len s) x by apply/wellP/all_nth.
have [py ny] := forward_blocks_sound F fy px.
rewrite /margin_within -!andbA => /and5P [r0 dp tp kp /andP [hi hg]] x' y' hy' hx j k ki jk.
have hk : (k < head_rows hd)%N by rewrite ki; move: hi => /PeanoNat.Nat.ltb_lt /ssrnat.ltP.
have [n [rows [eo es sk hk']]] := head_rows_sound fits hk.
have e_rows : head_rows hd = len (linear_out hd (blocks_out bs s)) by rewrite /head_rows /linear_out eo.
have hj : (j < head_rows hd)%N by rewrite e_rows.
have [n2 [rows2 [eo2 es2 sj _]]] := head_rows_sound fits hj.
have eden : linear_den hd (blocks_out bs s) = den hd by rewrite /linear_den eo Z.mul_1_r.
have dhp : Z.ltb 0 (den hd) by rewrite -eden; move: fits => /andP [].
have {}sk : size (head_row hd k) = len (blocks_out bs s) by rewrite sk es.
have {}sj : size (head_row hd j) = len (blocks_out bs s) by rewrite sj es2.
pose r q : 'cV[F]_(len (blocks_out bs s)) := \col_c over (den hd) (nth Z0 (head_row hd q) c).
have value q v : linear_map hd v q 0 = dot (r (val q)) v + over (den hd) (bias_at hd (blocks_out bs s) q).
  rewrite /linear_map !mxE; congr (_ + _); rewrite /dot; apply: eq_bigr => c _; rewrite !mxE eden.
  by rewrite /operator_entry /head_row eo nth_listE.
pose W : 'cV[F]_(len (blocks_out bs s)) := vec _ w.
have hz : linear_map hd W = vec (len (linear_out hd (blocks_out bs s))) z by rewrite /W ez affine_sound.
have gap q : linear_map hd W q 0 = over z.1 (nth Z0 z.2 q) by rewrite hz vecE.
have zp : Z.ltb 0 z.1 by rewrite ez; have [] := affine_proper fits pw.
have := hg; rewrite forallbE => /allP /(_ (val j)); rewrite seqE mem_iota leq0n add0n hj => /(_ isT).
rewrite /gap_within nat_eqE -ki val_eqE (negbTE jk) /= !nth_listE => /andP [g0 hlt].
have G0 : 0 < linear_map hd W k 0 - linear_map hd W j 0.
  by rewrite !gap /network_sound.over -mulrBl -zcB divr_gt0 // zc_gt0.
have e' : linear_map hd y' k 0 - linear_map hd y' j 0 =
    (linear_map hd W k 0 - linear_map hd W j 0) - dot (r k - r j) (W - y').
  rewrite !value dotBr !dotBl; move: (dot _ _) (dot _ _) (dot _ _) (dot _ _) (over _ _) (over _ _) => *; ring.
rewrite -subr_gt0 e'.
have d2 : sqn (r k - r j) <= zc (square_distance (head_row hd k) (head_row hd j)) / zc (den hd) ^+ 2.
  by rewrite square_distance_sound.
have tp' := zc_gt0 F tp.
have near : zc T * sqn (W - y') <= (zc T + 1) * (zc a / zc b * over d radius ^+ 2 + zc T * over K e ^+ 2).
  rewrite (_ : _ - y' = (vec _ y - y') + (W - vec _ y)); last by rewrite [RHS]addrC addrA subrK.
  apply: le_trans (young _ _ tp') _; apply: ler_wpmul2l; first by rewrite addr_ge0 // ltW.
  apply: ler_add; last by apply: ler_wpmul2l herr; exact: ltW.
  by apply: le_trans (lip _ _ _ _ ny hy') _; apply: ler_wpmul2l hx; apply: over_ge0.
pose Q := (zc T + 1) / zc T * (zc a / zc b * over d radius ^+ 2 + zc T * over K e ^+ 2).
have eQ : zc T * Q = (zc T + 1) * (zc a / zc b * over d radius ^+ 2 + zc T * over K e ^+ 2).
  by rewrite /Q mulrA [zc T * _]mulrC divfK ?lt0r_neq0.
have nearQ : sqn (W - y') <= 1 * Q.
  by rewrite mul1r -(ler_pmul2l tp') eQ.
apply: (margin_vectors d2 nearQ G0).
rewrite mul1r !gap /Q /network_sound.over -mulrBl -zcB; move: (Z.sub _ _) hlt => G.
rewrite -(zc_lt F) !zcM !zcD !zcM zc1.
move: (zc_gt0 F zp) (zc_gt0 F dhp) (zc_gt0 F dp) (zc_gt0 F b0) (zc_gt0 F kp) tp'.
move: (zc (square_distance _ _)) (zc G) (zc z.1) (zc (den hd)) (zc d) (zc b) (zc a) (zc radius) (zc T) (zc K) (zc e).
move=> D g Z0' H E B A R TT KK ee Zp Hp Ep Bp Kp Tp lt.
have m0 : 0 < TT * B * H ^+ 2 * E ^+ 2 * KK ^+ 2 * Z0' ^+ 2 by rewrite !mulr_gt0 // exprn_gt0.
rewrite -(ltr_pmul2r m0).
have -> : D / H ^+ 2 * ((TT + 1) / TT * (A / B * (R / E) ^+ 2 + TT * (ee / KK) ^+ 2)) * (TT * B * H ^+ 2 * E ^+ 2 * KK ^+ 2 * Z0' ^+ 2) =
    D * (Z0' * Z0') * ((TT + 1) * (A * (R * R) * (KK * KK) + TT * B * (E * E) * (ee * ee))).
  by field; rewrite !lt0r_neq0.
have -> : (g / Z0') ^+ 2 * (TT * B * H ^+ 2 * E ^+ 2 * KK ^+ 2 * Z0' ^+ 2) = g * g * (TT * B * (E * E) * (KK * KK)) * (H * H).
  by field; rewrite lt0r_neq0.
exact: lt.
Qed.
End Sound.
