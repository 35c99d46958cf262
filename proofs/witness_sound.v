(* Soundness of the checker of witness_core.v: what its answers say of the network of network_sound.v, over any real field.

     layers_sound      check_layers ls ps s = Some (a, b)   gives   |y - y'|^2 <= (a / b) |x - x'|^2
     lipschitz_sound   ... and lipschitz_holds (a, b) bound den   gives   |y - y'| <= (bound / den) |x - x'|
     margin_sound      ... and margin_holds (a, b) hd z radius den i, z the logits that the checker computes at a sample,
                       gives: at every point within radius / den of the sample, class i is the only largest logit
     logits_sound      ... and those logits are the network's

   Nothing is assumed of the witness: it is an argument of the functions, and the statements do not mention it. *)

From Coq Require Import ZArith List.
From mathcomp Require Import all_ssreflect all_algebra zify ssrZ.
From mathcomp Require Import ring.
Require Import euclidean margin windows.
Require Import integer_core integer_sound integer_packed network_core network_sound network_value witness_core witness_norm.
Require Export functions_sound contraction_sound.
Set Implicit Arguments. Unset Strict Implicit. Unset Printing Implicit Defensive.
Import GRing.Theory Num.Theory Order.TTheory.
Local Open Scope ring_scope.
Local Arguments Z.eqb : simpl never.
Local Arguments Z.leb : simpl never.
Local Arguments Z.ltb : simpl never.
Local Arguments Z.mul : simpl never.
Local Arguments Z.add : simpl never.
Local Arguments Nat.eqb : simpl never.
Local Arguments Nat.ltb : simpl never.
Local Arguments Nat.div : simpl never.
Local Arguments Nat.modulo : simpl never.
Local Arguments Z.sqrt_up : simpl never.

Lemma root_up_sound a b : Z.leb 0 a -> Z.ltb 0 b -> Z.leb 0 (root_up a b) /\ Z.leb a (Z.mul b (Z.mul (root_up a b) (root_up a b))).
Proof.
move=> /Z.leb_le a0 /Z.ltb_lt b0; rewrite /root_up /quotient_up; set q := Z.div _ _.
have r0 := Z.sqrt_up_nonneg q; split; first exact/Z.leb_le.
have hq : Z.le a (Z.mul b q) by have := Z.mul_succ_div_gt (a + b - 1) b b0; rewrite -/q Z.mul_succ_r; lia.
have q0 : Z.le 0 q by apply: Z.div_pos; lia.
have : Z.le q (Z.mul (Z.sqrt_up q) (Z.sqrt_up q)).
  by case: (Z.eq_dec q 0) => [->|nz]; [rewrite Z.sqrt_up_eqn0; lia | have := Z.sqrt_up_spec q; lia].
by move: (Z.sqrt_up q) => r; move=> h; apply/Z.leb_le; apply: Z.le_trans hq _; apply: Z.mul_le_mono_nonneg_l; lia.
Qed.

Section Meaning.
Variable F : realFieldType.
Notation zc := (zc F).
Notation over := (over F).

Theorem layer_sound l s p a b : check_layer l s p = Some (a, b) ->
  [/\ Z.leb 0 a, Z.ltb 0 b & forall (x x' : 'cV[F]_(len s)) y y', @layer_means F l s x y -> @layer_means F l s x' y' ->
      sqn (y - y') <= zc a / zc b * sqn (x - x')].
Proof.
have one : zc 1 / zc 1 = 1 by rewrite divff // oner_eq0.
rewrite /check_layer; case fits: (layer_fits l s) => //; case: l fits => [l|g|mean d dev e|m h h_den k [l g|l g v]|from upto g|low high e|k] fits //.
- case: p => [|p|p kn kd|p q] // /norm_bound_sound -/(_ F) [h1 h2 h3]; split=> // x x' y y' -> ->.
  by rewrite /linear_map opprD addrACA subrr addr0 -mulmxBr.
- case: p => // -[<- <-]; have [a0 b0 _ h] := slope_bound_sound F fits; split=> // x x' y y' -> ->.
  by apply: by_each => i; rewrite !mxE.
- case: p => // -[<- <-]; split; first by apply/Z.leb_le; apply: Z.square_nonneg.
    move: fits => /=; rewrite !forallbE -!andbA => /and5P [_ _ hd _ _].
    by have [m0 _] := least_sound hd; apply/Z.ltb_lt/Z.mul_pos_pos; apply/Z.ltb_lt.
  by move=> x x' y y' -> ->; apply: normalize_lipschitz.
- by case hb: (flow_bounds m h h_den l s g p) => [[b' c]|] //= [<- <-]; apply: flow_sound hb.
- case: p => // -[<- <-]; have [a0 b0 h1 h] := slope_bound_sound F fits; split=> // x x' y y' -> ->.
  apply: by_each => i; rewrite !mxE; case: (is_between _ _ _ _) => //.
  by apply: ler_pemull => //; apply: sqr_ge0.
- case: p => // -[<- <-]; split=> // x x' y y' -> ->; rewrite one.
  by apply: by_each => i; rewrite !mxE mul1r; apply: clip_square.
- by case: p => // -[<- <-]; split=> // x x' y y' -> ->; rewrite one mul1r; apply: sort_lipschitz.
Qed.

Theorem layers_sound ls ps s a b : check_layers ls ps s = Some (a, b) ->
  [/\ Z.leb 0 a, Z.ltb 0 b & forall (x x' : 'cV[F]_(len s)) y y', @network F ls s x y -> @network F ls s x' y' ->
      sqn (y - y') <= zc a / zc b * sqn (x - x')].
Proof.
elim: ls ps s a b => [|l ls IH] [|p ps] s a b //=.
  by move=> [<- <-]; split=> // x x' y y' -> ->; rewrite divff ?mul1r // oner_eq0.
case hl: (check_layer l s p) => [[a1 b1]|] //; case hs: (check_layers ls ps _) => [[a2 b2]|] // [<- <-].
have [p1 q1 m1] := layer_sound hl; have [p2 q2 m2] := IH _ _ _ _ hs.
split; [by apply/Z.leb_le; apply: Z.mul_nonneg_nonneg; apply/Z.leb_le | by apply/Z.ltb_lt; apply: Z.mul_pos_pos; apply/Z.ltb_lt |].
move=> x x' z z' [y hy hz] [y' hy' hz']; rewrite !zcM -mulf_div (mulrC (zc a1 / _)) -mulrA.
apply: le_trans (m2 _ _ _ _ hz hz') _; apply: ler_wpmul2l; last exact: m1.
by apply: over_ge0.
Qed.

(* Means of branches. *)
Lemma resized_sub m n (x y : 'cV[F]_m) : resized n x - resized n y = resized n (x - y).
Proof. by apply/colP => i; rewrite !mxE; case: insubP => [o _ _|_]; rewrite ?mxE ?subr0. Qed.

Lemma resized_norm m n (x : 'cV[F]_m) : m = n -> sqn (resized n x) = sqn x.
Proof.
move=> e; subst m; congr sqn; apply/colP => i; rewrite mxE (insubT (fun k => (k < n)%N) (ltn_ord i)); congr (x _ 0); exact: val_inj.
Qed.

Lemma branch_root_sound a b : Z.leb 0 a -> Z.ltb 0 b ->
  Z.leb 0 (branch_root (a, b)) /\ zc a / zc b <= over root_den (branch_root (a, b)) ^+ 2.
Proof.
move=> a0 b0; rewrite /branch_root /=.
have k0 := root_den_pos.
have ak : Z.leb 0 (Z.mul a (Z.mul root_den root_den)).
  by apply/Z.leb_le/Z.mul_nonneg_nonneg; [apply/Z.leb_le | apply: Z.square_nonneg].
have [r0] := root_up_sound ak b0; move: (root_up _ _) r0 => r r0; rewrite -(zc_le F) !zcM => h; split=> //.
have kp := zc_gt0 F k0; have bp := zc_gt0 F b0; rewrite /over; move: (zc root_den) (zc a) (zc b) (zc r) h kp bp => k' A B R h kp bp.
by rewrite expr_div_n ler_pdivl_mulr ?exprn_gt0 // mulrAC ler_pdivr_mulr // !expr2 [X in _ <= X]mulrC.
Qed.

Lemma branches_sound n branches ps s r : check_branches branches ps s = Some r ->
  all (fun ls => len (layers_out ls s) == n) branches ->
  Z.leb 0 r /\ forall (x x' : 'cV[F]_(len s)) (y y' : 'cV[F]_n), sum_means branches x y -> sum_means branches x' y' ->
      sqn (y - y') <= over root_den r ^+ 2 * sqn (x - x').
Proof.
have k0 := root_den_pos.
elim: branches ps r => [|ls branches IH] [|p ps] r //=.
  by move=> [<-] _; split=> // x x' y y' -> ->; rewrite subr0 sqn0 mulr_ge0 ?sqr_ge0 ?sqn_ge0.
case h1: (check_layers ls p s) => [[a b]|] //; case h2: (check_branches _ _ _) => [r2|] // [<-] /andP [/eqP el hl].
have [p1 q1 m1] := layers_sound h1; have [r0 m2] := IH _ _ h2 hl; have [b0 hb] := branch_root_sound p1 q1.
split; first by move: (branch_root _) b0 r0 => c; clear; lia.
move=> x x' y y' [z [u [nz su ->]]] [z' [u' [nz' su' ->]]].
rewrite opprD addrACA resized_sub; set c := branch_root _ in b0 hb *.
have -> : over root_den (Z.add c r2) = over root_den r2 + over root_den c by rewrite /over zcD mulrDl addrC.
apply: triangle; [exact: over_ge0 | exact: over_ge0 | exact: sqn_ge0 | exact: m2 su su' | ].
by rewrite (resized_norm _ el); apply: le_trans (m1 _ _ _ _ nz nz') _; apply: ler_wpmul2r hb; exact: sqn_ge0.
Qed.

Lemma fit_branches branches s : branches_fit branches s ->
  all (fun ls => len (layers_out ls s) == len (branches_out branches s)) branches.
Proof. by move=> /andP [_]; rewrite forallbE (eq_all (fun ls => nat_eqE (len (layers_out ls s)) _)). Qed.

Theorem block_sound b s p c d : check_block b p s = Some (c, d) ->
  [/\ Z.leb 0 c, Z.ltb 0 d & forall (x x' : 'cV[F]_(len s)) y y', @block_means F b s x y -> @block_means F b s x' y' ->
      sqn (y - y') <= zc c / zc d * sqn (x - x')].
Proof.
have square m r : zc (Z.mul r r) / zc (Z.mul m m) = over m r ^+ 2 by rewrite !zcM /over expr2 mulf_div.
case: b p => [l|branches|branches] [p|ps] //; first exact: layer_sound.
- rewrite /check_block; case fits: (branches_fit _ s) => //; case hb: (check_branches _ _ _) => [r|] //= [<- <-].
  have [r0 m] := branches_sound hb (fit_branches fits); have k0 := branches_pos fits.
  have m0 : Z.ltb 0 (Z.mul root_den (Z.of_nat (size branches))) by apply/Z.ltb_lt/Z.mul_pos_pos; [apply/Z.ltb_lt/root_den_pos | move: k0; clear; lia].
  split; first by apply/Z.leb_le/Z.square_nonneg.
    by apply/Z.ltb_lt/Z.mul_pos_pos; apply/Z.ltb_lt.
  move=> x x' y y' [z hz ->] [z' hz' ->]; rewrite -scalerBr sqnZ square.
  have -> : over (Z.mul root_den (Z.of_nat (List.length branches))) r = over root_den r * (size branches)%:R^-1.
    by rewrite /over zcM zc_of_nat invfM mulrA.
  have e (A B S : F) : (A * B) ^+ 2 * S = B ^+ 2 * (A ^+ 2 * S) by ring.
  rewrite e; have h := m _ _ _ _ hz hz'; move: (over root_den r ^+ 2 * _) h => T h.
  by apply: ler_wpmul2l h; apply: sqr_ge0.
- rewrite /check_block; case fits: (branches_fit _ s) => //; case hb: (check_branches _ _ _) => [r|] //= [<- <-].
  have [r0 m] := branches_sound hb (fit_branches fits).
  split; [by apply/Z.leb_le/Z.square_nonneg | by apply/Z.ltb_lt/Z.mul_pos_pos; apply/Z.ltb_lt/root_den_pos | by move=> x x' y y' hy hy'; rewrite square; apply: m hy hy'].
Qed.

Theorem blocks_sound bs ps s a b : check_blocks bs ps s = Some (a, b) ->
  [/\ Z.leb 0 a, Z.ltb 0 b & forall (x x' : 'cV[F]_(len s)) y y', @network_blocks F bs s x y -> @network_blocks F bs s x' y' ->
      sqn (y - y') <= zc a / zc b * sqn (x - x')].
Proof.
elim: bs ps s a b => [|l ls IH] [|p ps] s a b //=.
  by move=> [<- <-]; split=> // x x' y y' -> ->; rewrite divff ?mul1r // oner_eq0.
case hl: (check_block l p s) => [[a1 b1]|] //; case hs: (check_blocks ls ps _) => [[a2 b2]|] // [<- <-].
have [p1 q1 m1] := block_sound hl; have [p2 q2 m2] := IH _ _ _ _ hs.
split; [by apply/Z.leb_le; apply: Z.mul_nonneg_nonneg; apply/Z.leb_le | by apply/Z.ltb_lt; apply: Z.mul_pos_pos; apply/Z.ltb_lt |].
move=> x x' z z' [y hy hz] [y' hy' hz']; rewrite !zcM -mulf_div (mulrC (zc a1 / _)) -mulrA.
apply: le_trans (m2 _ _ _ _ hz hz') _; apply: ler_wpmul2l; last exact: m1.
by apply: over_ge0.
Qed.

Theorem lipschitz_sound ls ps s proved bound d : check_blocks ls ps s = Some proved -> lipschitz_holds proved bound d ->
  forall (x x' : 'cV[F]_(len s)) y y', @network_blocks F ls s x y -> @network_blocks F ls s x' y' -> sqn (y - y') <= over d bound ^+ 2 * sqn (x - x').
Proof.
case: proved => a b hc; rewrite /lipschitz_holds => /andP [/andP [h0 hd] hle] x x' y y' hy hy'.
have [a0 b0 h] := blocks_sound hc; apply: le_trans (h _ _ _ _ hy hy') _; apply: ler_wpmul2r; first exact: sqn_ge0.
have := hle; rewrite -(zc_le F) !zcM /over expr_div_n => le.
by rewrite ler_pdivr_mulr ?zc_gt0 // mulrAC ler_pdivl_mulr ?exprn_gt0 ?zc_gt0 // !expr2.
Qed.

(* The head. *)
Theorem logits_sound ls hd s x z : logits ls hd s x = Some z -> proper (len s) x ->
  exists2 y : 'cV[F]_(len (blocks_out ls s)), @network_blocks F ls s (vec F (len s) x) y &
    linear_map hd y = vec F (len (linear_out hd (blocks_out ls s))) z.
Proof.
rewrite /logits; case hf: (forward_blocks ls s x) => [y|] //; case fits: (linear_fits hd _) => // -[<-] px.
have [py hy] := forward_blocks_sound F hf px; exists (vec F (len (blocks_out ls s)) y) => //.
by rewrite affine_sound.
Qed.

Definition row_of (hd : linear) n (j : nat) : 'cV[F]_n := \col_i over (den hd) (nth Z0 (head_row hd j) i).

Lemma head_rows_sound hd s j : linear_fits hd s -> (j < head_rows hd)%N ->
  exists n rows, [/\ op hd = Dense n rows, s = Features n, size (head_row hd j) = n & (j < size rows)%N].
Proof.
move=> /andP [_]; rewrite /head_rows /head_row; case: (op hd) => // n rows; case: s => //= m.
rewrite nat_eqE forallbE => /andP [/eqP -> /allP hr] hj; exists n, rows; split=> //.
by have := hr _ (mem_nth [::] hj); rewrite nat_eqE nth_listE => /eqP.
Qed.

Lemma square_distance_sound n d (u v : seq Z) : Z.ltb 0 d -> size u = n -> size v = n ->
  sqn ((\col_(i < n) over d (nth Z0 u i)) - \col_(i < n) over d (nth Z0 v i)) = zc (square_distance u v) / zc d ^+ 2.
Proof.
move=> d0 su sv; rewrite /square_distance (@dot_zE F n) ?size_map2_z ?su ?sv // zc0 add0r mulr_suml; apply: eq_bigr => i _.
by rewrite !mxE (nth_map2_z _ Z0 Z0) ?su ?sv // zcB /over; field; exact: zc_nz.
Qed.

Theorem margin_sound ls ps s hd x z proved radius d i : check_blocks ls ps s = Some proved ->
  logits ls hd s x = Some z -> proper (len s) x -> margin_holds proved hd z radius d i ->
  forall (x' : 'cV[F]_(len s)) y', @network_blocks F ls s x' y' -> sqn (vec F (len s) x - x') <= over d radius ^+ 2 ->
  forall j k : 'I_(len (linear_out hd (blocks_out ls s))), val k = i -> j != k ->
  linear_map hd y' j 0 < linear_map hd y' k 0.
Proof.
case: proved => a b hc hl px; have [a0 b0 lip] := blocks_sound hc; have [y hy hz] := logits_sound hl px.
move: (hl); rewrite /logits; case hf: (forward_blocks ls s x) => [w|] //; case fits: (linear_fits hd _) => // -[ez].
rewrite /margin_holds -!andbA => /and4P [r0 dp hi hg] x' y' hy' hx j k ki jk.
have hk : (k < head_rows hd)%N by rewrite ki; move: hi => /PeanoNat.Nat.ltb_lt /ssrnat.ltP.
have [n [rows [eo es sk hk']]] := head_rows_sound fits hk.
have e_rows : head_rows hd = len (linear_out hd (blocks_out ls s)) by rewrite /head_rows /linear_out eo.
have hj : (j < head_rows hd)%N by rewrite e_rows.
have [n2 [rows2 [eo2 es2 sj _]]] := head_rows_sound fits hj.
have [den0 den1 _] := linear_den_parts F fits.
have eden : linear_den hd (blocks_out ls s) = den hd by rewrite /linear_den eo Z.mul_1_r.
have dhp : Z.ltb 0 (den hd) by rewrite -eden; move: fits => /andP [].
have {}sk : size (head_row hd k) = len (blocks_out ls s) by rewrite sk es.
have {}sj : size (head_row hd j) = len (blocks_out ls s) by rewrite sj es2.
pose r q : 'cV[F]_(len (blocks_out ls s)) := \col_c over (den hd) (nth Z0 (head_row hd q) c).
have value q v : linear_map hd v q 0 = dot (r (val q)) v + over (den hd) (bias_at hd (blocks_out ls s) q).
  rewrite /linear_map !mxE; congr (_ + _); rewrite /dot; apply: eq_bigr => c _; rewrite !mxE eden.
  by rewrite /operator_entry /head_row eo nth_listE.
have gap q : linear_map hd y q 0 = over z.1 (nth Z0 z.2 q) by rewrite hz vecE.
have zp : Z.ltb 0 z.1.
  have [py _] := forward_blocks_sound F hf px; rewrite -ez; by have [] := affine_proper fits py.
have := hg; rewrite forallbE => /allP /(_ (val j)); rewrite seqE mem_iota leq0n add0n hj => /(_ isT).
rewrite /check_gap nat_eqE -ki val_eqE (negbTE jk) /= !nth_listE => /andP [g0 hlt].
have G0 : 0 < linear_map hd y k 0 - linear_map hd y j 0.
  by rewrite !gap /over -mulrBl -zcB divr_gt0 // zc_gt0.
have e : linear_map hd y' k 0 - linear_map hd y' j 0 =
    (linear_map hd y k 0 - linear_map hd y j 0) - dot (r k - r j) (y - y').
  rewrite !value dotBr !dotBl; move: (dot _ _) (dot _ _) (dot _ _) (dot _ _) (over _ _) (over _ _) => *; ring.
rewrite -subr_gt0 e.
have d2 : sqn (r k - r j) <= zc (square_distance (head_row hd k) (head_row hd j)) / zc (den hd) ^+ 2.
  by rewrite square_distance_sound.
apply: (margin_vectors d2 _ G0).
  apply: le_trans (lip _ _ _ _ hy hy') _; apply: ler_wpmul2l hx; exact: over_ge0.
rewrite !gap /over -mulrBl -zcB.
move: hlt; rewrite -(zc_lt F) !zcM.
move: (zc_gt0 F zp) (zc_gt0 F dhp) (zc_gt0 F dp) (zc_gt0 F b0).
move: (zc (square_distance _ _)) (zc (Z.sub _ _)) (zc z.1) (zc (den hd)) (zc d) (zc b) (zc a) (zc radius).
move=> D g Z0' H E B A R Zp Hp Ep Bp lt.
have m0 : 0 < B * H ^+ 2 * E ^+ 2 * Z0' ^+ 2 by rewrite !mulr_gt0 // exprn_gt0.
rewrite -(ltr_pmul2r m0).
have -> : A / B * (D / H ^+ 2) * (R / E) ^+ 2 * (B * H ^+ 2 * E ^+ 2 * Z0' ^+ 2) = A * D * (R * R) * (Z0' * Z0').
  by field; rewrite !lt0r_neq0.
have -> : (g / Z0') ^+ 2 * (B * H ^+ 2 * E ^+ 2 * Z0' ^+ 2) = g * g * B * (H * H) * (E * E) by field; rewrite lt0r_neq0.
exact: lt.
Qed.
End Meaning.
