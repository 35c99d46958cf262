(* What a proof of a norm shows: norm_bound l s p = Some (a, b)  gives  |W x|^2 <= a / b |x|^2  for the matrix W of l. *)

From Coq Require Import ZArith List.
From mathcomp Require Import all_ssreflect all_algebra zify ssrZ.
From mathcomp Require Import ring.
Require Import euclidean operator_norm pointwise.
Require Import integer_core integer_sound integer_packed integer_tree network_core network_sound circulant_core phases convolution_sound circular_sound witness_core.
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
Local Arguments Nat.leb : simpl never.
Local Arguments Nat.div : simpl never.
Local Arguments Nat.modulo : simpl never.

(* Rows that are read from disjoint inputs. *)
Section Disjoint.
Variables (F : realFieldType) (m n : nat) (W : 'M[F]_(m, n)) (K : F).
Hypothesis once : forall j i i', W i j != 0 -> W i' j != 0 -> i = i'.
Hypothesis K0 : 0 <= K.
Hypothesis rows : forall i, \sum_j W i j ^+ 2 <= K.

Theorem disjoint_bound : opbound W K.
Proof.
move=> x; pose P i j := W i j != 0.
have e i : (W *m x) i 0 ^+ 2 <= K * \sum_(j | P i j) x j 0 ^+ 2.
  pose u : 'cV[F]_n := \col_j W i j; pose v : 'cV[F]_n := \col_j (if P i j then x j 0 else 0).
  have -> : (W *m x) i 0 = dot u v.
    rewrite mxE; apply: eq_bigr => j _; rewrite !mxE /P; by case: eqP => [->|]; rewrite ?mul0r ?mulr0.
  apply: le_trans (Cauchy_Schwarz u v) _.
  have -> : sqn v = \sum_(j | P i j) x j 0 ^+ 2.
    rewrite [RHS]big_mkcond; apply: eq_bigr => j _; rewrite !mxE; by case: (P i j); rewrite ?mulr0.
  apply: ler_wpmul2r; first by apply: sumr_ge0 => j _; apply: sqr_ge0.
  by apply: le_trans (rows i); rewrite /sqn /dot le_eqVlt; apply/orP; left; apply/eqP; apply: eq_bigr => j _; rewrite !mxE.
rewrite /sqn /dot (eq_bigr (fun i => (W *m x) i 0 ^+ 2)) => [|i _]; last by rewrite expr2.
apply: (@le_trans _ _ (\sum_i K * \sum_(j | P i j) x j 0 ^+ 2)); first by apply: ler_sum => i _; apply: e.
rewrite -mulr_sumr; apply: ler_wpmul2l => //; under eq_bigr => i _ do rewrite big_mkcond.
rewrite exchange_big; apply: ler_sum => j _ /=; rewrite -expr2.
case: (pickP (fun i => P i j)) => [i0 p0|none]; last by rewrite big1 ?sqr_ge0 // => i _; rewrite none.
rewrite (bigD1 i0) //= p0 big1 ?addr0 // => i; case: (boolP (P i j)) => // pi /eqP; by rewrite (once pi p0).
Qed.
End Disjoint.

Section Norm.
Variable F : realFieldType.
Notation zc := (zc F).

Definition of_fun (e : nat -> nat -> F) m n : 'M[F]_(m, n) := \matrix_(i, j) e i j.

Lemma opbound_ext (e e' : nat -> nat -> F) m n K : (forall i j, (i < m)%N -> (j < n)%N -> e i j = e' i j) ->
  opbound (of_fun e' m n) K -> opbound (of_fun e m n) K.
Proof. by move=> h; rewrite (_ : of_fun e m n = of_fun e' m n) //; apply/matrixP => i j; rewrite !mxE h. Qed.

Definition entry_of (l : linear) (s : shape) (i j : nat) : F := over F (linear_den l s) (operator_entry (op l) s i j).
Lemma matrix_of_fun l s : matrix F l s = of_fun (entry_of l s) _ _.
Proof. by apply/matrixP => i j; rewrite !mxE. Qed.

(* Counting. *)
Lemma tap_sum_ge0 ts j : all (fun t => Z.leb 0 t.2) ts -> Z.leb 0 (tap_sum ts j).
Proof. elim: ts => //= t ts IH /andP [h /IH]; move: h; case: (Nat.eqb _ _); lia. Qed.

Lemma tap_sum_ones ts j : Z.leb 0 (tap_sum (ones ts) j).
Proof. by apply: tap_sum_ge0; rewrite /ones map_listE all_map; apply/allP => t _ /=; case: (Z.eqb _ _). Qed.

Lemma tap_sum_absent ts j : Z.leb (tap_sum (ones ts) j) 0 -> tap_sum ts j = Z0.
Proof.
elim: ts => //= t ts IH; have := tap_sum_ones ts j; case: (Nat.eqb _ _) => /=; rewrite ?Z.add_0_l; last by move=> _; exact: IH.
by case: (Z.eqb_spec t.2 0) => [->|_]; rewrite ?Z.add_0_l; [move=> _; exact: IH | lia].
Qed.

Lemma tap_sum_square ts j : Z.leb (tap_sum (ones ts) j) 1 ->
  Z.mul (tap_sum ts j) (tap_sum ts j) = tap_sum [seq (t.1, Z.mul t.2 t.2) | t <- ts] j.
Proof.
elim: ts => //= t ts IH; have := tap_sum_ones ts j; case: (Nat.eqb _ _) => /=; rewrite ?Z.add_0_l; last by move=> _; exact: IH.
case: (Z.eqb_spec t.2 0) => [->|_] h0 h1; first by rewrite Z.mul_0_l !Z.add_0_l in h1 *; exact: IH.
have h2 : Z.leb (tap_sum (ones ts) j) 0 by lia.
by rewrite -IH ?(tap_sum_absent h2) ?Z.add_0_r //; lia.
Qed.

Lemma tap_sum_total ts n : all (fun t => Z.leb 0 t.2) ts ->
  \sum_(j < n) zc (tap_sum ts j) <= zc (List.fold_right (fun t a => Z.add t.2 a) Z0 ts).
Proof.
elim: ts => [|[k z] ts IH] /=; first by rewrite big1.
move=> /andP [h /IH le]; under eq_bigr => j _ do rewrite zcD.
rewrite big_split zcD /=; apply: ler_add le.
have z0 : 0 <= zc z by apply: zc_ge0.
case: (ltnP k n) => [kn|nk].
- rewrite (bigD1 (Ordinal kn)) //= nat_eqE eqxx big1 ?addr0 // => j jk; rewrite nat_eqE.
  by case: eqP => [e|//]; rewrite -val_eqE /= e eqxx in jk.
- rewrite big1 // => j _; rewrite nat_eqE.
  by case: eqP => [e|//]; move: (ltn_ord j); rewrite -e ltnNge nk.
Qed.

Lemma reads_once_sound o s i i' j : reads_once o s -> (j < len s)%N -> (i < len (operator_out o s))%N ->
  (i' < len (operator_out o s))%N -> ~~ Z.leb (tap_sum (ones (taps o s i)) j) 0 ->
  Z.leb (tap_sum (ones (taps o s i)) j) 1 /\ (~~ Z.leb (tap_sum (ones (taps o s i')) j) 0 -> i = i').
Proof.
rewrite /reads_once forallbE => /allP h hj hi hi' pi.
have sz k : size (repeat (Zpos xH) k) = k by elim: k => //= k ->.
have nt k q : (q < k)%N -> nth Z0 (repeat (Zpos xH) k) q = Zpos xH by elim: k q => // k IH [|q] //=; apply: IH.
have := h j; rewrite seqE mem_iota leq0n add0n hj => /(_ isT); rewrite -(zc_le F).
rewrite get_scatter_rows ?inside_from_list ?size_zeros // get_from_list nth_zeros zc0 add0r sz.
pose c q := tap_sum (ones (taps o s q)) j.
rewrite (eq_bigr (fun q : 'I_(len (operator_out o s)) => zc (c q))) => [|q _]; last by rewrite add0n nt // zc1 mulr1.
have c0 q : 0 <= zc (c q) by apply: zc_ge0; apply: tap_sum_ones.
rewrite (bigD1 (Ordinal hi)) //= => le; have rest : 0 <= \sum_(q < len (operator_out o s) | q != Ordinal hi) zc (c q).
  by apply: sumr_ge0 => q _.
split; first by rewrite -(zc_le F); apply: le_trans le; rewrite ler_addl.
move=> pi'; apply/eqP; apply: contraT => ne.
have ne' : Ordinal hi' != Ordinal hi by rewrite -val_eqE /= eq_sym.
move: le; rewrite (bigD1 (Ordinal hi')) //= => le.
have rest' : 0 <= \sum_(q < len (operator_out o s) | (q != Ordinal hi) && (q != Ordinal hi')) zc (c q).
  by apply: sumr_ge0 => q _.
have big q : ~~ Z.leb (c q) 0 -> 1 <= zc (c q) by move=> p; rewrite -(zc1 F) zc_le; lia.
have : 2%:R <= zc 1.
  have e2 : 2%:R = 1 + (1 + 0) :> F by rewrite addr0.
  apply: le_trans le; rewrite e2.
  by apply: ler_add; [exact: big | apply: ler_add => //; exact: big].
by rewrite zc1 -[X in _ <= X]/(1%:R) ler_nat.
Qed.

Lemma largest_row_sound o s i : (i < len (operator_out o s))%N -> Z.leb (square_sum (taps o s i)) (largest_row o s).
Proof.
rewrite /largest_row => hi; have : i \in List.seq 0 (len (operator_out o s)) by rewrite seqE mem_iota.
elim: (List.seq _ _) => //= k l IH; rewrite inE; set a := List.fold_right _ _ l in IH *.
have h1 := max_z_l a (square_sum (taps o s k)); have h2 := max_z_r a (square_sum (taps o s k)).
by move=> /orP [/eqP e|/IH h]; rewrite ?e; move: h1 h2; move: (max_z _ _) => z *; lia.
Qed.

Lemma largest_row_ge0 o s : Z.leb 0 (largest_row o s).
Proof.
rewrite /largest_row; elim: (List.seq _ _) => //= k l IH; set a := List.fold_right _ _ l in IH *.
have h1 := max_z_l a (square_sum (taps o s k)); move: h1; move: (max_z _ _) => z *; lia.
Qed.

Lemma entry_taps o s i j : operator_fits o s -> (i < len (operator_out o s))%N -> operator_entry o s i j = tap_sum (taps o s i) j.
Proof.
case: o => // n rows; case: s => // m /=; rewrite forallbE => /andP [_ /allP hr] hi.
have {hr} sr : size (nth [::] rows i) = n by have := hr _ (mem_nth [::] hi); rewrite nat_eqE => /eqP.
rewrite nth_listE; move: (nth [::] rows i) sr => r.
have general k l q : size l = q -> tap_sum (List.combine (List.seq k q) l) j = if (k <= j)%N then nth Z0 l (j - k) else Z0.
  elim: l k q => [|a l IH] k [|q] //= sz; first by rewrite nth_nil if_same.
  have {}sz : size l = q by case: sz.
  rewrite IH // nat_eqE; case: (ltngtP k j) => [lt|gt|->].
  + by rewrite Z.add_0_l (_ : (j - k = (j - k.+1).+1)%N) //; lia.
  + by [].
  + by rewrite subnn Z.add_0_r.
by move=> sr; rewrite general // subn0.
Qed.

Theorem disjoint_sound l s : linear_fits l s -> reads_once (op l) s ->
  opbound (matrix F l s) (zc (largest_row (op l) s) / zc (Z.mul (linear_den l s) (linear_den l s))).
Proof.
move=> fits once; have [d0 _ _] := linear_den_parts F fits; move: fits => /andP [_ fit].
have nonzero i j : (matrix F l s) i j != 0 -> ~~ Z.leb (tap_sum (ones (taps (op l) s i)) j) 0.
  by apply: contra => h; rewrite mxE /over entry_taps // (tap_sum_absent h) zc0 mul0r.
apply: disjoint_bound => [j i i' /nonzero h /nonzero h'||i].
- have [_ e] := reads_once_sound once (ltn_ord j) (ltn_ord i) (ltn_ord i') h.
  by apply: val_inj; apply: e.
- by apply: divr_ge0; rewrite ?zcM -?expr2 ?sqr_ge0 //; apply: zc_ge0; apply: largest_row_ge0.
- have count j : (j < len s)%N -> Z.leb (tap_sum (ones (taps (op l) s i)) j) 1.
    move=> hj; case: (boolP (Z.leb (tap_sum (ones (taps (op l) s i)) j) 0)) => [z|nz]; first by lia.
    by have [] := reads_once_sound once hj (ltn_ord i) (ltn_ord i) nz.
  apply: (@le_trans _ _ (zc (square_sum (taps (op l) s i)) / zc (Z.mul (linear_den l s) (linear_den l s)))); last first.
    apply: ler_wpmul2r; first by rewrite invr_ge0 zcM -expr2 sqr_ge0.
    by rewrite zc_le; apply: largest_row_sound.
  rewrite (eq_bigr (fun j : 'I_(len s) => zc (tap_sum [seq (t.1, Z.mul t.2 t.2) | t <- taps (op l) s i] j) /
    zc (Z.mul (linear_den l s) (linear_den l s)))) => [|j _]; last first.
    by rewrite mxE /over entry_taps // expr_div_n zcM -tap_sum_square ?count // zcM !expr2.
  rewrite -mulr_suml; apply: ler_wpmul2r; first by rewrite invr_ge0 zcM -expr2 sqr_ge0.
  apply: le_trans (tap_sum_total _ _) _; first by rewrite all_map; apply/allP => t _ /=; apply/Z.leb_le; apply: Z.square_nonneg.
  rewrite zc_le; have -> : List.fold_right (fun t a => Z.add t.2 a) Z0 [seq (t.1, Z.mul t.2 t.2) | t <- taps (op l) s i] =
    square_sum (taps (op l) s i) by elim: (taps (op l) s i) => //= t ts ->.
  exact: Z.leb_refl.
Qed.

(* The residual of a Gram matrix. *)
Lemma of_columns_scaled m n fine d (L : seq (seq Z)) : Z.ltb 0 fine -> size L = n -> all (fun c => size c == m) L ->
  of_columns F n (Z.mul fine d) m (List.map (List.map (Z.mul fine)) L) = of_columns F n d m L.
Proof.
move=> f0 sL hL; have e : List.map (List.map (Z.mul fine)) L = [seq [seq Z.mul fine z | z <- c] | c <- L].
  by rewrite map_listE; apply: eq_map => c; rewrite map_listE.
apply/matrixP => i j; rewrite !mxE e (nth_map [::]) ?sL //.
have := allP hL _ (mem_nth [::] (_ : (j < size L)%N)); rewrite sL => /(_ (ltn_ord j)) /eqP sj.
rewrite (nth_map Z0) ?sj // !zcM -mulf_div divff ?mul1r //; exact: zc_nz.
Qed.

Lemma size_transpose n rows : all (fun r => size r == n) rows -> size (transpose n rows) = n.
Proof.
rewrite /transpose /column; elim: rows => [_|r rows IH] /=; first by elim: n => //= n ->.
move=> /andP [/eqP sr h]; have := IH h; move: (List.fold_right _ _ _) => l sl.
by elim: r l n sr sl {IH h} => [|a r IHr] [|b l] [|n] //= [sr] [sl]; rewrite (IHr _ n).
Qed.

Lemma nth_transpose n rows j : all (fun r => size r == n) rows -> (j < n)%N ->
  nth [::] (transpose n rows) j = [seq nth Z0 r j | r <- rows].
Proof.
move=> h hj; elim: rows h => [_|r rows IH]; first by rewrite /transpose /column /=; elim: n j hj => // n IH [|j] //=; apply: IH.
rewrite (_ : transpose n (r :: rows) = map2_z cons r (transpose n rows)) // => /= /andP [/eqP sr h]; rewrite -IH //.
have st := size_transpose h; move: (transpose n rows) st => l sl.
by elim: r l n j hj sr sl {IH h} => [|a r IHr] [|b l] [|n] [|j] //= hj [sr] [sl]; apply: (IHr _ n).
Qed.

(* a matrix of integers over d, its rows given *)
Lemma gram_sound (rows : seq (seq Z)) m n d (transposed : bool) fine alpha beta factor : zc d != 0 ->
  size rows = m -> all (fun r => size r == n) rows -> Z.ltb 0 fine -> Z.leb 0 (Z.add alpha beta) ->
  packed_norm_z alpha beta (List.map (List.map (Z.mul fine)) (if transposed then rows else transpose n rows)) factor ->
  opbound (of_fun (fun i j => over F d (nth Z0 (nth [::] rows i) j)) m n)
    (zc (Z.add alpha beta) / zc (Z.mul (Z.mul fine d) (Z.mul fine d))).
Proof.
move=> d0 sr hr f0 k0 /packed_norm_sound hn; rewrite zcD [zc (Z.mul (Z.mul _ _) _)]zcM -expr2.
have e0 : zc (Z.mul fine d) != 0 by rewrite zcM mulf_neq0 // zc_nz.
have K0 : 0 <= (zc alpha + zc beta) / zc (Z.mul fine d) ^+ 2.
  by apply: divr_ge0; rewrite ?sqr_ge0 // -zcD; apply: zc_ge0.
have sizes (p : nat) (L : seq (seq Z)) : all (fun c => size c == p) L -> all (fun c => size c == p) (List.map (List.map (Z.mul fine)) L).
  by move=> h; rewrite map_listE all_map; apply: sub_all h => c; rewrite /= map_listE size_map.
move: hn; case: transposed => hn.
- have h : opbound (of_columns F m d n rows) ((zc alpha + zc beta) / zc (Z.mul fine d) ^+ 2).
    rewrite -(of_columns_scaled _ f0 sr hr); apply: (norm_sound e0 _ (sizes _ _ hr) hn).
    by rewrite map_listE size_map.
  rewrite (_ : of_fun _ _ _ = (of_columns F m d n rows)^T); first exact: opbound_tr.
  by apply/matrixP => i j; rewrite !mxE.
- have st := size_transpose hr; have ht : all (fun c => size c == m) (transpose n rows).
    apply/(all_nthP [::]) => j; rewrite st => hj; by rewrite nth_transpose // size_map sr.
  have h : opbound (of_columns F n d m (transpose n rows)) ((zc alpha + zc beta) / zc (Z.mul fine d) ^+ 2).
    rewrite -(of_columns_scaled _ f0 st ht); apply: (norm_sound e0 _ (sizes _ _ ht) hn).
    by rewrite map_listE size_map.
  rewrite (_ : of_fun _ _ _ = of_columns F n d m (transpose n rows)) //.
  by apply/matrixP => i j; rewrite !mxE nth_transpose // (nth_map [::]) ?sr.
Qed.

(* the rows of a sparse matrix, written out *)
Lemma written_rows o s (rows := List.map (fun i => to_list (len s) (scatter (Zpos xH) (taps o s i) (from_list (zeros (len s)))))
    (List.seq 0 (len (operator_out o s)))) :
  [/\ size rows = len (operator_out o s), all (fun r => size r == len s) rows
    & forall i j, (i < len (operator_out o s))%N -> (j < len s)%N -> nth Z0 (nth [::] rows i) j = tap_sum (taps o s i) j].
Proof.
rewrite /rows map_listE seqE; split; first by rewrite size_map size_iota.
- by rewrite all_map; apply/allP => i _ /=; rewrite size_to_list.
- move=> i j hi hj; rewrite (nth_map 0%N) ?size_iota // nth_iota // add0n nth_to_list //.
  have general ts t : inside t j -> get (scatter (Zpos xH) ts t) j = Z.add (get t j) (tap_sum ts j).
    elim: ts t => [|[k w] ts IH] t h /=; first by rewrite Z.add_0_r.
    rewrite IH ?inside_add // get_add // nat_eqE Z.mul_1_l; case: eqP => _; lia.
  by rewrite general ?inside_from_list ?size_zeros // get_from_list nth_zeros.
Qed.

Lemma divE a b : (0 < b)%N -> Nat.div a b = (a %/ b)%N.
Proof.
move=> b0; symmetry; apply: (PeanoNat.Nat.div_unique _ _ _ (a %% b)%N); first by apply/ssrnat.ltP; rewrite ltn_mod.
by rewrite {1}(divn_eq a b) mulnC.
Qed.
Lemma modE a b : (0 < b)%N -> Nat.modulo a b = (a %% b)%N.
Proof.
move=> b0; symmetry; apply: (PeanoNat.Nat.mod_unique _ _ (a %/ b)%N); first by apply/ssrnat.ltP; rewrite ltn_mod.
by rewrite {1}(divn_eq a b) mulnC.
Qed.

(* A kernel of one point. *)
Lemma window_one h w top left k ker j (P := (h * w)%N) (q := (top * w + left)%N) : (top < h)%N -> (left < w)%N ->
  tap_sum (window h w 1 1 0 top left k ker) j =
  if (j %% P == q)%N && (k <= j %/ P)%N then nth Z0 ker (j %/ P - k) else Z0.
Proof.
move=> ht hl; have qP : (q < P)%N.
  by rewrite /q /P (leq_trans (_ : _ < top.+1 * w)%N) ?leq_mul2r ?ht ?orbT // mulSn addnC ltn_add2r.
elim: ker k => [|z ker IH] k; first by rewrite /= nth_nil if_same.
cbn [window]; rewrite !PeanoNat.Nat.mod_1_r (_ : Nat.mul 1 1 = 1%N) // PeanoNat.Nat.div_1_r.
case: ifP => [_|cond]; last by exfalso; move: cond; rewrite !PeanoNat.Nat.add_0_r; move: ht hl; lia.
rewrite /= IH nat_eqE.
have -> : Nat.add (Nat.add (Nat.mul k (Nat.mul h w)) (Nat.mul (Nat.sub (Nat.add top 0) 0) w)) (Nat.sub (Nat.add left 0) 0) = (k * P + q)%N.
  by rewrite !PeanoNat.Nat.add_0_r !PeanoNat.Nat.sub_0_r /q addnA.
have dj := divn_eq j P; case: (ltngtP k (j %/ P)%N) => [lt|gt|e].
- rewrite (_ : (k * P + q)%N == j = false) ?Z.add_0_l.
    by rewrite (_ : (j %/ P - k = (j %/ P - k.+1).+1)%N) //; lia.
  by apply/eqP => e; move: lt; rewrite -e divnMDl ?divn_small ?addn0 ?ltnn //; apply: leq_ltn_trans qP.
- rewrite !andbF Z.add_0_r; case: eqP => // e; move: gt; rewrite -e divnMDl ?divn_small ?addn0 ?ltnn //.
  exact: leq_ltn_trans qP.
- rewrite andbT !andbF Z.add_0_r -e subnn /=; case: (eqVneq (j %% P)%N q) => [eq|ne].
    by rewrite -{1}eq e -dj eqxx.
  by case: eqP => // ej; move: ne; rewrite -ej modnMDl modn_small ?eqxx.
Qed.

Lemma window_count_one n : (0 < n)%N -> window_count n 1 1 0 = n.
Proof. by rewrite /window_count PeanoNat.Nat.div_1_r => h; lia. Qed.

Lemma pointwise_entry c h w ks i j (P := (h * w)%N) : (0 < h)%N -> (0 < w)%N ->
  tap_sum (taps (Conv 1 1 1 1 0 ks) (Image c h w) i) j =
  if (i %% P == j %% P)%N then nth Z0 (nth [::] ks (i %/ P)) (j %/ P) else Z0.
Proof.
move=> h0 w0; have P0 : (0 < P)%N by rewrite muln_gt0 h0.
rewrite /taps !window_count_one // !PeanoNat.Nat.mul_1_l nth_listE.
have e : (Nat.modulo (Nat.div i w) h * w + Nat.modulo i w = i %% P)%N.
  rewrite divE // !modE //; have hi : i = (i %/ w %/ h * P + (i %/ w %% h * w + i %% w))%N.
    by rewrite {1}(divn_eq i w) {1}(divn_eq (i %/ w) h) /P mulnDl -mulnA addnA.
  have lt : (i %/ w %% h * w + i %% w < P)%N.
    apply: (@leq_trans ((i %/ w %% h).+1 * w)); first by rewrite mulSn addnC ltn_add2r ltn_mod.
    by rewrite leq_mul2r ltn_mod h0 orbT.
  by rewrite [in RHS]hi modnMDl (modn_small lt).
have lt1 : (Nat.modulo (Nat.div i w) h < h)%N by rewrite modE // ltn_mod.
have lt2 : (Nat.modulo i w < w)%N by rewrite modE // ltn_mod.
rewrite (window_one _ _ _ lt1 lt2) e leq0n andbT subn0 divE // eq_sym; by case: eqP.
Qed.

(* what is said of sums over the inputs, of a matrix of numbers over d *)
Lemma scaled_bound m n (e : nat -> nat -> Z) d fine (k : F) (v : 'cV[F]_n) : Z.ltb 0 d -> Z.ltb 0 fine ->
  zc fine ^+ 2 * (\sum_(i < m) (\sum_(j < n) zc (e i j) * v j 0) ^+ 2) <= k * sqn v ->
  sqn ((\matrix_(i < m, j < n) over F d (e i j)) *m v) <= k / zc (Z.mul (Z.mul fine d) (Z.mul fine d)) * sqn v.
Proof.
move=> dp f0; set S := (X in _ * X <= _) => hS; have fp := zc_gt0 F f0; have dq := zc_gt0 F dp.
have -> : sqn ((\matrix_(i < m, j < n) over F d (e i j)) *m v) = S / zc d ^+ 2.
  rewrite /sqn /dot /S mulr_suml; apply: eq_bigr => i _; rewrite mxE -expr2 -expr_div_n mulr_suml; congr (_ ^+ 2).
  by apply: eq_bigr => j _; rewrite mxE /over mulrAC.
rewrite !zcM ler_pdivr_mulr ?exprn_gt0 //.
have -> : k / (zc fine * zc d * (zc fine * zc d)) * sqn v * zc d ^+ 2 = k * sqn v / zc fine ^+ 2.
  by field; rewrite !lt0r_neq0.
by rewrite ler_pdivl_mulr ?exprn_gt0 // mulrC.
Qed.

Theorem torus_sound l s n1 n2 twisted1 twisted2 fine alpha beta factor a b :
  norm_bound l s (Torus n1 n2 twisted1 twisted2 fine alpha beta factor) = Some (a, b) ->
  [/\ Z.leb 0 a, Z.ltb 0 b & opbound (matrix F l s) (zc a / zc b)].
Proof.
rewrite /norm_bound; case fits: (linear_fits l s) => //.
have dp : Z.ltb 0 (linear_den l s) by move/andP: fits => [].
have sq z : Z.ltb 0 z -> Z.ltb 0 (Z.mul z z) by move=> hz; apply/Z.ltb_lt/Z.mul_pos_pos; apply/Z.ltb_lt.
have sq2 z : Z.ltb 0 z -> Z.ltb 0 (Z.mul (Z.mul z (linear_den l s)) (Z.mul z (linear_den l s))).
  by move=> hz; apply: sq; apply/Z.ltb_lt/Z.mul_pos_pos; apply/Z.ltb_lt.
move: dp sq2; move: fits => /andP [_]; rewrite /matrix /linear_out.
case: (op l) => // x y t1 t2 q ks; case: s => // c h w fit dp sq2; case ok: (_ && _) => // -[<- <-].
- move: ok => /andP [/andP [/andP [/andP [f0 k0] fits1] fits2] ok]; split=> // [|v]; first exact: sq2.
  by rewrite zcD; apply: scaled_bound => //; apply: (convolution_bound v fit fits1 fits2 ok).
- move: ok => /andP [/andP [/andP [/andP [/andP [/andP [f0 k0] _] _] fits1] fits2] ok]; split=> // [|v]; first exact: sq2.
  by rewrite zcD; apply: scaled_bound => //; apply: (circular_bound v fit fits1 fits2 ok).
Qed.

Theorem norm_bound_sound l s p a b : norm_bound l s p = Some (a, b) ->
  [/\ Z.leb 0 a, Z.ltb 0 b & opbound (matrix F l s) (zc a / zc b)].
Proof.
case: p => [|n1 n2 w1 w2 fn al be R|transposed fine alpha beta factor]; [ | exact: torus_sound | ].
  rewrite /norm_bound; case fits: (linear_fits l s) => //.
  have dp : Z.ltb 0 (linear_den l s) by move/andP: fits => [].
  case once: (reads_once _ _) => // -[<- <-]; split; [exact: largest_row_ge0 | | exact: disjoint_sound].
  by apply/Z.ltb_lt/Z.mul_pos_pos; apply/Z.ltb_lt.
rewrite /norm_bound; case fits: (linear_fits l s) => //; have [d0 _ _] := linear_den_parts F fits.
have dp : Z.ltb 0 (linear_den l s) by move/andP: fits => [].
have sq x : Z.ltb 0 x -> Z.ltb 0 (Z.mul x x) by move=> h; apply/Z.ltb_lt/Z.mul_pos_pos; apply/Z.ltb_lt.
have fit : operator_fits (op l) s by move/andP: fits => [].
case ok: (_ && _) => // -[<- <-]; move: ok => /andP [/andP [f0 k0] hn]; split=> //.
  by apply: sq; apply/Z.ltb_lt/Z.mul_pos_pos; apply/Z.ltb_lt.
rewrite matrix_of_fun.
have plain (rows : seq (seq Z)) : size rows = len (linear_out l s) -> all (fun r => size r == len s) rows ->
    (forall i j, (i < len (linear_out l s))%N -> (j < len s)%N -> nth Z0 (nth [::] rows i) j = operator_entry (op l) s i j) ->
    norm_rows (op l) s = rows -> norm_columns (op l) s = len s ->
    opbound (of_fun (entry_of l s) (len (linear_out l s)) (len s))
      (zc (Z.add alpha beta) / zc (Z.mul (Z.mul fine (linear_den l s)) (Z.mul fine (linear_den l s)))).
  move=> sr hr he e1 e2; rewrite e1 e2 in hn.
  apply: opbound_ext (gram_sound d0 sr hr f0 k0 hn) => i j hi hj; by rewrite /entry_of he.
have [w1 w2 w3] := written_rows (op l) s.
have sparse : norm_rows (op l) s = List.map (fun i => to_list (len s) (scatter (Zpos xH) (taps (op l) s i) (from_list (zeros (len s)))))
    (List.seq 0 (len (operator_out (op l) s))) -> is_pointwise (op l) = false ->
    opbound (of_fun (entry_of l s) (len (linear_out l s)) (len s))
      (zc (Z.add alpha beta) / zc (Z.mul (Z.mul fine (linear_den l s)) (Z.mul fine (linear_den l s)))).
  move=> e1 e2; apply: (plain _ w1 w2 _ e1); last by rewrite /norm_columns e2.
  by move=> i j hi hj; rewrite w3 // entry_taps.
case point: (is_pointwise (op l)); last first.
  move: sparse; rewrite /norm_rows point; case o: (op l) => [n rows|x y t1 t2 q ks|k||k|k|||x y t1 t2 q ks|circ ms|fs] sparse; try exact: sparse.
  apply: (plain rows); rewrite /norm_columns /linear_out ?point ?o //.
  move: fit; rewrite o; case: (s) => //= m /andP []; rewrite nat_eqE => /eqP ->; rewrite forallbE.
  by rewrite (eq_all (fun r => nat_eqE (length r) n)).
move: point fit hn; rewrite /norm_rows /norm_columns /linear_out /entry_of; case o: (op l) => [//|x y t1 t2 q ks|//|//|//|//|//|//|//|//|//].
case: s fits dp d0 w1 w2 w3 plain sparse => // c h w fits dp d0 _ _ _ _ _ point.
have : [&& Nat.eqb x 1 && Nat.eqb y 1 && Nat.eqb t1 1 && Nat.eqb t2 1 & Nat.eqb q 0] := point.
move=> /andP [/andP [/andP [/andP []]]]; rewrite !nat_eqE => /eqP ? /eqP ? /eqP ? /eqP ? /eqP ?; subst x y t1 t2 q.
move=> fit' hn; have : Nat.ltb 0 1 && Nat.ltb 0 1 && Nat.ltb 0 1 && Nat.ltb 0 1 && Nat.leb 1 (Nat.add h (Nat.mul 2 0)) &&
  Nat.leb 1 (Nat.add w (Nat.mul 2 0)) && forallb (fun r => Nat.eqb (length r) (Nat.mul c (Nat.mul 1 1))) ks := fit'.
rewrite forallbE -!andbA => /and5P [_ _ _ _ /and3P [h0 w0 hk]].
have {}h0 : (0 < h)%N by move: h0; lia.
have {}w0 : (0 < w)%N by move: w0; lia.
have hk' : all (fun r => size r == c) ks.
  by apply: sub_all hk => r; rewrite nat_eqE (_ : Nat.mul c (Nat.mul 1 1) = c) ?PeanoNat.Nat.mul_1_r.
have g := gram_sound d0 (erefl (size ks)) hk' f0 k0 hn.
have P0 : (0 < h * w)%N by rewrite muln_gt0 h0.
have := pointwise_bound P0 g.
rewrite (_ : len (operator_out _ _) = (size ks * (h * w))%N); last by rewrite /= !window_count_one.
rewrite (_ : len (Image c h w) = (c * (h * w))%N) //.
have -> : pointwise (h * w) (fun i j => over F (linear_den l (Image c h w)) (nth Z0 (nth [::] ks i) j)) (size ks * (h * w)) (c * (h * w)) =
  of_fun (fun i j => if (i %% (h * w) == j %% (h * w))%N then over F (linear_den l (Image c h w)) (nth Z0 (nth [::] ks (i %/ (h * w))) (j %/ (h * w))) else 0) _ _.
  by apply/matrixP => i j; rewrite !mxE.
apply: opbound_ext => i j _ _; rewrite -[operator_entry _ _ _ _]/(tap_sum (taps (Conv 1 1 1 1 0 ks) (Image c h w) i) j) pointwise_entry //.
by case: ifP => // _; rewrite /over zc0 mul0r.
Qed.
End Norm.
