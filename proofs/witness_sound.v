(* Soundness of the checker of witness_core.v.

   A network is given by its layers; `network ls n x y` says that y is its output at x, over any real field F, the stored
   integers taken as the exact numbers they are.  Flows are stated by the equations of their stages, so implicit
   methods are included: the theorem is about every solution.

     check_lipschitz_sound   check_lipschitz ls n L s = true  gives
                             |y - y'| <= (L / 2^s) |x - x'|
     check_margin_sound      check_margin ls n head claim = true, the claimed gaps are lower bounds of logit_i - logit_j
                             at x, and |x - x'| <= eps / 2^s  give  logit_j (y') < logit_i (y') for every other class j
     check_claims_sound      check_claims ls n cs says of each claim what these two functions say of it *)

From Coq Require Import ZArith List.
From mathcomp Require Import all_ssreflect all_algebra zify ssrZ.
From mathcomp Require Import ring.
Require Import euclidean slope gradient_step circle_contractivity operator_norm isometry margin pointwise.
Require Import integer_core integer_sound integer_packed witness_core.
Set Implicit Arguments. Unset Strict Implicit. Unset Printing Implicit Defensive.
Import GRing.Theory Num.Theory Order.TTheory.
Local Open Scope ring_scope.
Local Arguments Z.eqb : simpl never.
Local Arguments Z.leb : simpl never.
Local Arguments Z.ltb : simpl never.
Local Arguments Z.mul : simpl never.
Local Arguments Z.add : simpl never.
Local Arguments Nat.eqb : simpl never.
Local Arguments two_to : simpl never.

Section Meaning.
Variable F : realFieldType.
Notation zc := (zc F).

Definition dyadic (p s : Z) : F := zc p / zc (two_to s).

Definition vector m (s : Z) (l : seq Z) : 'cV[F]_m := \col_i dyadic (nth Z0 l i) s.

Definition entry (o : operator) (i j : nat) : F :=
  dyadic (if op_transposed o then nth Z0 (nth [::] (op_lists o) i) j else nth Z0 (nth [::] (op_lists o) j) i) (op_scale o).
Definition matrix_of (o : operator) m n : 'M[F]_(m, n) := pointwise (op_points o) (entry o) m n.

(* one number for each channel *)
Definition bias_of (o : operator) m (bias : seq Z) : 'cV[F]_m := \col_i dyadic (nth Z0 bias (i %/ op_points o)) (op_scale o).

Definition leaky (g : activation) : F -> F := leaky_relu (dyadic (slope_num g) (slope_scale g)).

Definition step_of (m : method) (h hs : Z) (o : operator) (bias : seq Z) (g : activation) n (x z : 'cV[F]_n) :=
  exists X, runge_kutta (@tableau_A F (m_A m) (m_b m) (m_d m)) (@tableau_b F (m_b m) (m_d m))
    (gradient_field (matrix_of o (op_out o) n) (bias_of o (op_out o) bias) (fun _ => leaky g))
    (dyadic h hs) x X z.

Fixpoint steps_of (R : forall n, 'cV[F]_n -> 'cV[F]_n -> Prop) (k : nat) n (x y : 'cV[F]_n) : Prop :=
  match k with O => y = x | S k' => exists z, R n x z /\ steps_of R k' z y end.

Definition layer_means (l : layer) n : 'cV[F]_n -> 'cV[F]_(layer_out l n) -> Prop :=
  match l return 'cV[F]_n -> 'cV[F]_(layer_out l n) -> Prop with
  | Affine o bias => fun x y => y = matrix_of o (op_out o) n *m x + bias_of o (op_out o) bias
  | Activation g => fun x y => y = by_coordinates (fun _ => leaky g) x
  | Pad extra => fun x y => y = pad_zeros extra x
  | Flow m h hs steps o bias g => fun x y => steps_of (@step_of m h hs o bias g) steps x y
  end.

Fixpoint network (ls : seq layer) n : 'cV[F]_n -> 'cV[F]_(layers_out ls n) -> Prop :=
  match ls return 'cV[F]_n -> 'cV[F]_(layers_out ls n) -> Prop with
  | [::] => fun x y => y = x
  | l :: ls' => fun x z => exists2 y : 'cV[F]_(layer_out l n), layer_means x y & @network ls' (layer_out l n) y z
  end.

Lemma two_to_pos s : Z.leb 0 s -> 0 < zc (two_to s).
Proof. move=> h; apply: zc_gt0; apply/Z.ltb_lt; apply: Z.pow_pos_nonneg; lia. Qed.

Lemma two_toD s t : Z.leb 0 s -> Z.leb 0 t -> zc (two_to (Z.add s t)) = zc (two_to s) * zc (two_to t).
Proof. by move=> h1 h2; rewrite /two_to Z.pow_add_r ?zcM //; lia. Qed.

Lemma double_ge0 s : Z.leb 0 s -> Z.leb 0 (Z.mul 2 s). Proof. lia. Qed.
Lemma add_ge0 s t : Z.leb 0 s -> Z.leb 0 t -> Z.leb 0 (Z.add s t). Proof. lia. Qed.
Lemma zc2 : zc 2 = 2%:R. Proof. by []. Qed.

Lemma two_to_double s : Z.leb 0 s -> zc (two_to (Z.mul 2 s)) = zc (two_to s) ^+ 2.
Proof. by move=> h; rewrite expr2 -two_toD //; congr (zc (two_to _)); lia. Qed.

Lemma dyadic_ge0 p s : Z.leb 0 s -> 0 <= zc p -> 0 <= dyadic p s.
Proof. by move=> hs hp; apply: divr_ge0 => //; apply: ltW; apply: two_to_pos. Qed.

Lemma dyadic_gt0 p s : Z.leb 0 s -> 0 < zc p -> 0 < dyadic p s.
Proof. by move=> hs hp; apply: divr_gt0 => //; apply: two_to_pos. Qed.

(* A proved operator. *)
Lemma operator_sound o : check_operator o -> Z.leb 0 (op_scale o) /\
  opbound (matrix_of o (op_out o) (op_in o)) (dyadic (Z.add (op_alpha o) (op_beta o)) (Z.mul 2 (op_scale o))) /\
  Z.leb 0 (Z.add (op_alpha o) (op_beta o)).
Proof.
rewrite /check_operator -!andbA !nat_eqE forallbE => /andP [/PeanoNat.Nat.ltb_lt /ssrnat.ltP p0].
move=> /and5P [hs /eqP hl hc hk /packed_norm_sound hn].
split=> //; split=> //; apply: (pointwise_bound p0).
have p := two_to_pos hs; have K0 := zc_ge0 F hk.
rewrite /dyadic two_to_double // zcD; rewrite zcD in K0.
have S0 : zc (two_to (op_scale o)) != 0 by rewrite lt0r_neq0.
rewrite (eq_all (fun c => nat_eqE (length c) _)) in hc.
have same : channels (entry o) (op_rows o) (op_cols o) =
  if op_transposed o then (of_columns F (op_rows o) (two_to (op_scale o)) (op_cols o) (op_lists o))^T
  else of_columns F (op_cols o) (two_to (op_scale o)) (op_rows o) (op_lists o).
  by apply/matrixP => i j; rewrite !mxE /entry; case: (op_transposed o); rewrite !mxE.
move: hl hc; rewrite same; case: (op_transposed o) => hl hc; last exact: (norm_sound S0 hl hc hn).
by apply: opbound_tr (norm_sound S0 hl hc hn); rewrite divr_ge0 // exprn_ge0 // ltW.
Qed.

Lemma activation_sound g : check_activation g ->
  [/\ 0 <= dyadic (slope_num g) (slope_scale g), dyadic (slope_num g) (slope_scale g) <= 1
    & slope_in (dyadic (slope_num g) (slope_scale g)) 1 (leaky g)].
Proof.
rewrite /check_activation -!andbA => /and3P [hs h0 h1]; have p := two_to_pos hs.
have a0 : 0 <= dyadic (slope_num g) (slope_scale g) by apply: dyadic_ge0 => //; apply: zc_ge0.
have a1 : dyadic (slope_num g) (slope_scale g) <= 1 by rewrite ler_pdivr_mulr // mul1r zc_le.
by split=> //; apply: slope_leaky_relu.
Qed.

Lemma steps_nonexpansive (R : forall n, 'cV[F]_n -> 'cV[F]_n -> Prop) n k :
  (forall x y x' y' : 'cV[F]_n, R n x y -> R n x' y' -> sqn (y - y') <= sqn (x - x')) ->
  forall x y x' y' : 'cV[F]_n, steps_of R k x y -> steps_of R k x' y' -> sqn (y - y') <= sqn (x - x').
Proof.
move=> hR; elim: k => [|k IH] x y x' y' /=; first by move=> -> ->.
by move=> [z [r s]] [z' [r' s']]; apply: le_trans (IH _ _ _ _ s s') (hR _ _ _ _ r r').
Qed.

Theorem layer_sound l n p s : check_layer l n = Some (p, s) ->
  [/\ Z.leb 0 s, 0 <= zc p & forall x y x' y', @layer_means l n x y -> @layer_means l n x' y' ->
      sqn (y - y') <= dyadic p s * sqn (x - x')].
Proof.
have one : dyadic 1 0 = 1 by rewrite /dyadic /two_to /= divr1.
have z1 : 0 <= zc 1 by apply: zc_ge0.
case: l => [o bias|g|extra|m h hs steps o bias g] /=.
- rewrite nat_eqE; case: eqP => //= <-; case hc: (check_operator o) => // -[<- <-].
  have [h1 [h2 h3]] := operator_sound hc.
  split; [exact: double_ge0 | exact: zc_ge0 |] => x y x' y' -> ->.
  by rewrite opprD addrACA subrr addr0 -mulmxBr.
- case hc: (check_activation g) => // -[<- <-]; split=> // x y x' y' -> ->.
  have [a0 a1 hg] := activation_sound hc.
  have [_ h] := @slope_lipschitz F n _ _ (fun _ => leaky g) a1 (fun _ => hg).
  apply: le_trans (h x x') _; rewrite one ler_wpmul2r ?sqn_ge0 // (ger0_norm a0) (ger0_norm (ler01)).
  by rewrite (max_r a1) expr1n.
- by move=> [<- <-]; split=> // x y x' y' -> ->; rewrite one mul1r padding_isometry_diff.
- rewrite nat_eqE; case: eqP => //= <-.
  case: ifP => // /andP [/andP [/andP [/andP [/andP [hc hg] hm] h0] hs0] hh] [<- <-]; split=> // x y x' y' r r'.
  rewrite one mul1r; move: x y x' y' r r'; apply: steps_nonexpansive => x y x' y' [X hX] [Y hY].
  have [h1 [h2 h3]] := operator_sound hc.
  have [a0 a1 hsl] := activation_sound hg.
  have [k0 b0 psd] := circle_sound F hm.
  have kd0 : 0 < zc (m_kd m) by move: hm => /andP [/andP [/andP [/andP [_ hk] _] _] _]; apply: zc_gt0.
  have p1 := two_to_pos hs0; have p2 := two_to_pos h1.
  apply: (@gradient_flow F _ _ _ _ _ _ _ _ _ 1 (dyadic (Z.add (op_alpha o) (op_beta o)) (Z.mul 2 (op_scale o)))
            (dyadic h hs) _ b0 psd a0 a1 (fun _ => hsl) _ h2 _ k0 _ _ _ _ _ _ _ hX hY).
  + by apply: dyadic_ge0; [exact: double_ge0 | exact: zc_ge0].
  + by apply: dyadic_ge0; [exact: hs0 | exact: zc_ge0].
  + rewrite mul1r /dyadic two_to_double //.
    have := hh; rewrite -(zc_le F) !zcM zc2 two_toD ?two_to_double //; last exact: double_ge0.
    move: (zc (Z.add _ _)) (zc h) (zc (m_kn m)) (zc (m_kd m)) kd0 (zc (two_to hs)) p1 (zc (two_to (op_scale o))) p2.
    move=> K H kn kd kd0' t p1' u p2' le.
    have q : 0 < kd * (t * u ^+ 2) by rewrite !mulr_gt0 // exprn_gt0.
    have e : H / t * (kn / kd) * (K / u ^+ 2) * (kd * (t * u ^+ 2)) = H * kn * K.
      by field; rewrite !lt0r_neq0.
    have e2 : 2%:R * (kd * (t * u ^+ 2)) = 2%:R * kd * (t * u ^+ 2) by ring.
    by rewrite -(ler_pmul2r q) e e2.
Qed.

Theorem layers_sound ls n p s : check_layers ls n = Some (p, s) ->
  [/\ Z.leb 0 s, 0 <= zc p & forall x x' y y', @network ls n x y -> @network ls n x' y' ->
      sqn (y - y') <= dyadic p s * sqn (x - x')].
Proof.
have z1 : 0 <= zc 1 by apply: zc_ge0.
elim: ls n p s => [|l ls IH] n p s /=.
  by move=> [<- <-]; split=> // x x' y y' -> ->; rewrite /dyadic /two_to /= divr1 mul1r.
case hl: (check_layer l n) => [[p1 s1]|] //; case hs: (check_layers ls _) => [[p2 s2]|] // [<- <-].
have [a1 a2 a3] := layer_sound hl; have [b1 b2 b3] := IH _ _ _ hs.
split; [exact: add_ge0 | by rewrite zcM mulr_ge0 |] => x x' z z' [y hy hz] [y' hy' hz'].
have e : dyadic (Z.mul p1 p2) (Z.add s1 s2) = dyadic p2 s2 * dyadic p1 s1.
  by rewrite /dyadic two_toD // zcM mulf_div (mulrC (zc p1)) (mulrC (zc (two_to s1))).
rewrite e -mulrA; apply: le_trans (b3 _ _ _ _ hz hz') _.
apply: ler_wpmul2l; last exact: a3.
exact: dyadic_ge0.
Qed.

Theorem check_lipschitz_sound ls n bound s : check_lipschitz ls n bound s ->
  forall x x' y y', @network ls n x y -> @network ls n x' y' ->
  sqn (y - y') <= dyadic bound s ^+ 2 * sqn (x - x').
Proof.
rewrite /check_lipschitz /lipschitz_holds; case hc: (check_layers ls n) => [[p t]|] // /andP [/andP [h0 hs] hle] x x' y y' hy hy'.
have [t0 p0 h] := layers_sound hc.
apply: le_trans (h _ _ _ _ hy hy') _; rewrite ler_wpmul2r ?sqn_ge0 //.
have ps := two_to_pos hs; have pt := two_to_pos t0.
rewrite /dyadic expr_div_n ler_pdivr_mulr // mulrAC ler_pdivl_mulr ?exprn_gt0 //.
by rewrite -two_to_double // expr2 -!zcM zc_le.
Qed.

(* logit_j (y) = <row_j, y> / 2^scale + b_j *)
Definition logit_of (hd : head) (b : nat -> F) d (j : nat) (y : 'cV[F]_d) : F :=
  dot (vector d (head_scale hd) (row hd j)) y + b j.

Lemma square_distance_sound d s (u v : seq Z) : Z.leb 0 s -> size u = d -> size v = d ->
  sqn (vector d s u - vector d s v) = zc (square_distance u v) / zc (two_to s) ^+ 2.
Proof.
move=> s0 su sv; rewrite /square_distance.
have sub (a b : seq Z) : size a = size b -> size (map2_z Z.sub a b) = size a /\
    forall i, (i < size a)%N -> nth Z0 (map2_z Z.sub a b) i = Z.sub (nth Z0 a i) (nth Z0 b i).
  elim: a b => [|x a IHa] [|y b] //= [sz]; have [-> h] := IHa b sz; split=> // -[|i] //=; exact: h.
have [sz hn] := sub u v (etrans su (esym sv)).
rewrite (@dot_zE F d) ?sz ?su // zc0 add0r mulr_suml; apply: eq_bigr => i _.
by rewrite !mxE hn ?su // zcB /dyadic; field; rewrite lt0r_neq0 // two_to_pos.
Qed.

Theorem check_margin_sound ls n hd c (b : nat -> F) : check_margin ls n hd c ->
  forall x y, @network ls n x y ->
  (forall j, (j < size (head_rows hd))%N -> j != winner c ->
     dyadic (nth Z0 (gaps c) j) (gap_scale c) <= logit_of hd b (winner c) y - logit_of hd b j y) ->
  forall x' y', @network ls n x' y' -> sqn (x - x') <= dyadic (eps c) (eps_scale c) ^+ 2 ->
  forall j, (j < size (head_rows hd))%N -> j != winner c -> logit_of hd b j y' < logit_of hd b (winner c) y'.
Proof.
rewrite /check_margin /margin_holds; case hc: (check_layers ls n) => [[p t]|] //.
rewrite -!andbA => /and5P [hh hg he hes /and3P [hrows hw hgaps]] x y hy hgap x' y' hy' hx j hj jw.
have [t0 p0 lip] := layers_sound hc.
have hjg : check_gap hd p t c j.
  move: hgaps; rewrite forallbE => /allP; apply; apply/(nthP 0%N); exists j.
    by rewrite -[size _]/(List.length _) List.seq_length.
  have hj' : (j < List.length (head_rows hd))%coq_nat by apply/ssrnat.ltP.
  by rewrite -nth_listE List.seq_nth.
move: hjg; rewrite /check_gap nat_eqE (negbTE jw) /= nth_listE => /andP [g0 hlt].
have gpos : 0 < dyadic (nth Z0 (gaps c) j) (gap_scale c) by apply: dyadic_gt0 => //; apply: zc_gt0.
have srow k : (k < size (head_rows hd))%N -> size (row hd k) = layers_out ls n.
  move=> hk; move: hrows; rewrite forallbE => /allP /(_ (row hd k)).
  by rewrite nat_eqE /row nth_listE mem_nth // => /(_ isT) /eqP.
have hw' : (winner c < size (head_rows hd))%N by apply/ssrnat.ltP/PeanoNat.Nat.ltb_lt.
set wi := vector (layers_out ls n) (head_scale hd) (row hd (winner c)).
set wj := vector (layers_out ls n) (head_scale hd) (row hd j).
have gap : dyadic (nth Z0 (gaps c) j) (gap_scale c) <= logit_of hd b (winner c) y - logit_of hd b j y := hgap j hj jw.
set G := logit_of hd b (winner c) y - logit_of hd b j y in gap.
have d2 : sqn (wi - wj) <= zc (square_distance (row hd (winner c)) (row hd j)) / zc (two_to (head_scale hd)) ^+ 2.
  by rewrite square_distance_sound ?srow.
have e : logit_of hd b (winner c) y' - logit_of hd b j y' = G - dot (wi - wj) (y - y').
  rewrite /G /logit_of -/wi -/wj dotBr !dotBl; ring.
rewrite -subr_gt0 e.
apply: (@margin_vectors F _ (wi - wj) (y - y') (dyadic p t) _ (dyadic (eps c) (eps_scale c) ^+ 2) G d2 _ (lt_le_trans gpos gap)).
  apply: le_trans (lip _ _ _ _ hy hy') _; apply: ler_wpmul2l hx.
  exact: dyadic_ge0.
apply: lt_le_trans (square_le (ltW gpos) gap).
have ph := two_to_pos hh; have pg := two_to_pos hg; have pe := two_to_pos hes; have pt := two_to_pos t0.
move: hlt; rewrite -(zc_lt F) !zcM !two_toD ?two_to_double ?add_ge0 ?double_ge0 //.
rewrite /dyadic; move: (zc (square_distance _ _)) (zc (nth _ _ _)) (zc (eps c)) (zc p) => D g ee P.
move: (zc (two_to (head_scale hd))) ph (zc (two_to (gap_scale c))) pg (zc (two_to (eps_scale c))) pe (zc (two_to t)) pt.
move=> a a0 q q0 r r0 v v0 lt.
have m0 : 0 < (v * a ^+ 2 * r ^+ 2) * q ^+ 2 by rewrite !mulr_gt0 // exprn_gt0.
rewrite -(ltr_pmul2r m0).
have -> : P / v * (D / a ^+ 2) * (ee / r) ^+ 2 * (v * a ^+ 2 * r ^+ 2 * q ^+ 2) = P * D * (ee * ee) * q ^+ 2.
  by field; rewrite !lt0r_neq0.
have -> : (g / q) ^+ 2 * (v * a ^+ 2 * r ^+ 2 * q ^+ 2) = g * g * (v * a ^+ 2 * r ^+ 2) by field; rewrite lt0r_neq0.
exact: lt.
Qed.
End Meaning.

Theorem check_claims_sound ls n cs k c : nth false (check_claims ls n cs) k -> (k < size cs)%N ->
  match nth c cs k with
  | LipschitzClaim bound s => check_lipschitz ls n bound s
  | MarginClaim hd m => check_margin ls n hd m
  end.
Proof.
by move=> h hk; move: h; rewrite /check_claims map_listE (nth_map c) // /check_claim; case: (nth c cs k).
Qed.
