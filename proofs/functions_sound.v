(* The Lipschitz constants of layers that need no proof: functions by coordinates, sorted groups, normalisation.

     slope_bound_sound     slope_bound g bounds the square of that of a leaky function (leaky_square), whatever its slope
     clip_square           hardtanh is non-expansive
     sort_lipschitz        sorting groups moves no two points apart: nor does sorting two lists (gap_sort)
     normalize_lipschitz   the smallest deviation counts *)

From Coq Require Import ZArith List.
From mathcomp Require Import all_ssreflect all_algebra zify ssrZ.
From mathcomp Require Import ring.
Require Import euclidean slope windows integer_core integer_sound integer_packed network_core network_sound network_value phases witness_core.
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

Section Functions.
Variable F : realFieldType.
Notation zc := (zc F).
Notation over := (over F).

Lemma over_ge0 d z : Z.ltb 0 d -> Z.leb 0 z -> 0 <= over d z.
Proof. by move=> h1 h2; apply: divr_ge0; [apply: zc_ge0 | apply/ltW/zc_gt0]. Qed.

Lemma slope_sound g : check_slope g ->
  [/\ 0 <= over (slope_den g) (slope_num g), over (slope_den g) (slope_num g) <= 1
    & slope_in (over (slope_den g) (slope_num g)) 1 (@leaky F g)].
Proof.
rewrite /check_slope -!andbA => /and3P [hs h0 h1]; have p := zc_gt0 F hs.
have a0 : 0 <= over (slope_den g) (slope_num g) by apply: over_ge0.
have a1 : over (slope_den g) (slope_num g) <= 1 by rewrite /over ler_pdivr_mulr // mul1r zc_le.
by split=> //; apply: slope_leaky_relu.
Qed.

(* The larger one of 1 and the size of the slope. *)
Lemma leaky_square (a M u v : F) : 1 <= M -> - M <= a -> a <= M -> (leaky_relu a u - leaky_relu a v) ^+ 2 <= M ^+ 2 * (u - v) ^+ 2.
Proof.
move=> M1 aM1 aM2; have M0 : 0 <= M by apply: le_trans M1.
have mixed p n : 0 <= p -> n < 0 -> (p - a * n) ^+ 2 <= (M * (p - n)) ^+ 2.
  move=> p0 n0; have q0 : 0 <= - n by rewrite oppr_ge0 ltW.
  have h1 : p <= M * p by rewrite ler_pemull.
  have h2 : a * (- n) <= M * (- n) by rewrite ler_wpmul2r.
  have h3 : - (M * (- n)) <= a * (- n) by rewrite -mulNr ler_wpmul2r.
  apply: square_le_abs.
  - have e : p - a * n - - (M * (p - n)) = (p + M * p) + (a * (- n) - - (M * (- n))) by ring.
    by rewrite -subr_ge0 e addr_ge0 ?subr_ge0 // addr_ge0 // mulr_ge0.
  - have e : M * (p - n) - (p - a * n) = (M * p - p) + (M * (- n) - a * (- n)) by ring.
    by rewrite -subr_ge0 e addr_ge0 ?subr_ge0.
have one (c w : F) : - M <= c -> c <= M -> (c * w) ^+ 2 <= M ^+ 2 * w ^+ 2.
  by move=> c1 c2; rewrite exprMn; apply: ler_wpmul2r; [exact: sqr_ge0 | exact: square_le_abs].
rewrite /leaky_relu -exprMn; case: (leP 0 u) => hu; case: (leP 0 v) => hv.
- by rewrite exprMn; apply: ler_pemull; [exact: sqr_ge0 | exact: exprn_ege1].
- exact: mixed.
- have -> : (a * u - v) ^+ 2 = (v - a * u) ^+ 2 by ring.
  have -> : (M * (u - v)) ^+ 2 = (M * (v - u)) ^+ 2 by ring.
  exact: mixed.
- by rewrite -mulrBr exprMn; apply: one.
Qed.

Lemma slope_bound_sound g : Z.ltb 0 (slope_den g) -> let b := slope_bound g in
  [/\ Z.leb 0 b.1, Z.ltb 0 b.2, 1 <= zc b.1 / zc b.2 & forall u v : F, (leaky g u - leaky g v) ^+ 2 <= zc b.1 / zc b.2 * (u - v) ^+ 2].
Proof.
move=> g0; rewrite /slope_bound /=; set m := max_z _ _.
have [h1 h2] : Z.le (Z.abs (slope_num g)) m /\ Z.le (slope_den g) m by split; [apply: max_z_l | apply: max_z_r].
have p := zc_gt0 F g0.
have M1 : 1 <= over (slope_den g) m by rewrite /over ler_pdivl_mulr // mul1r zc_le; apply/Z.leb_le.
have e : zc (Z.mul m m) / zc (Z.mul (slope_den g) (slope_den g)) = over (slope_den g) m ^+ 2 by rewrite !zcM /over expr2 mulf_div.
split; first by apply/Z.leb_le/Z.square_nonneg.
- by apply/Z.ltb_lt/Z.mul_pos_pos; apply/Z.ltb_lt.
- by rewrite e; apply: exprn_ege1.
- move=> u v; rewrite e; apply: leaky_square => //; rewrite /over; last first.
    by rewrite ler_pmul2r ?invr_gt0 // zc_le; apply/Z.leb_le; move: h1; clear; lia.
  rewrite -mulNr ler_pmul2r ?invr_gt0 // -[- zc m]sub0r -(zc0 F) -zcB zc_le; apply/Z.leb_le; move: h1; clear; lia.
Qed.

Lemma by_each n (x x' y y' : 'cV[F]_n) K : (forall i, (y i 0 - y' i 0) ^+ 2 <= K * (x i 0 - x' i 0) ^+ 2) ->
  sqn (y - y') <= K * sqn (x - x').
Proof. by move=> hy; rewrite /sqn /dot mulr_sumr; apply: ler_sum => i _; rewrite !mxE -!expr2. Qed.

Lemma clip_square low high u v : (clip low high u - clip low high v) ^+ 2 <= (u - v) ^+ 2 :> F.
Proof.
have least (p q c : F) : (Num.min p c - Num.min q c) ^+ 2 <= (p - q) ^+ 2.
  have := exchange_pair p c q c; rewrite subrr expr0n addr0; apply: le_trans; by rewrite ler_addl sqr_ge0.
have largest (p q c : F) : (Num.max p c - Num.max q c) ^+ 2 <= (p - q) ^+ 2.
  have := exchange_pair p c q c; rewrite subrr expr0n addr0; apply: le_trans; by rewrite ler_addr sqr_ge0.
by rewrite /clip maxC [Num.max low (Num.min v high)]maxC; apply: le_trans (largest _ _ _) (least _ _ _).
Qed.

(* Sorting. *)
Definition gap (s t : seq F) : F := \sum_(p <- zip s t) (p.1 - p.2) ^+ 2.
Lemma gap_cons u v s t : gap (u :: s) (v :: t) = (u - v) ^+ 2 + gap s t.
Proof. by rewrite /gap /= big_cons. Qed.

Lemma insert_head u (l : seq F) : path <=%R u l -> insert_F u l = u :: l.
Proof. by case: l => //= v l /andP [-> _]. Qed.

Lemma gap_insert a b (s t : seq F) : size s = size t -> sorted <=%R s -> sorted <=%R t ->
  gap (insert_F a s) (insert_F b t) <= (a - b) ^+ 2 + gap s t.
Proof.
have crossed (p q r w : F) : p <= q -> r <= w -> (p - r) ^+ 2 + (q - w) ^+ 2 <= (p - w) ^+ 2 + (q - r) ^+ 2.
  move=> pq rw; rewrite -subr_ge0 (_ : _ - _ = 2%:R * ((q - p) * (w - r))); last by ring.
  by rewrite mulr_ge0 ?ler0n // mulr_ge0 // subr_ge0.
elim: s t a b => [|u s IH] [|v t] a b //=; first by rewrite gap_cons.
move=> [st] hs ht; have ss := path_sorted hs; have tt := path_sorted ht.
case: (leP a u) => au; case: (leP b v) => bv; rewrite !gap_cons //.
- have := IH t u b st ss tt; rewrite (insert_head hs) => h.
  apply: le_trans (ler_add (lexx _) h) _; rewrite !addrA ler_add2r.
  by have := crossed a u v b au (ltW bv).
- have := IH t a v st ss tt; rewrite (insert_head ht) => h.
  apply: le_trans (ler_add (lexx _) h) _; rewrite !addrA ler_add2r.
  by have := crossed u a b v (ltW au) bv; rewrite addrC [X in _ <= X]addrC.
- by rewrite addrCA; apply: ler_add => //; apply: IH.
Qed.

Lemma size_insert_F u (l : seq F) : size (insert_F u l) = (size l).+1.
Proof. by have := perm_size (perm_insert u l). Qed.
Lemma size_sort_F (l : seq F) : size (sort_F l) = size l.
Proof. by elim: l => //= u l IH; rewrite size_insert_F IH. Qed.
Lemma sorted_sort_F (l : seq F) : sorted <=%R (sort_F l).
Proof. by elim: l => //= u l IH; apply: sorted_insert. Qed.

Lemma gap_sort (s t : seq F) : size s = size t -> gap (sort <=%R s) (sort <=%R t) <= gap s t.
Proof.
rewrite !sort_F_sort; elim: s t => [|u s IH] [|v t] //= [st]; rewrite gap_cons.
apply: le_trans (gap_insert _ _ _ _ _) _; rewrite ?size_sort_F ?sorted_sort_F //.
by rewrite ler_add2l IH.
Qed.

Lemma gapE (s t : seq F) n : size s = n -> size t = n -> gap s t = \sum_(i < n) (nth 0 s i - nth 0 t i) ^+ 2.
Proof.
move=> ss st; rewrite /gap (big_nth (0, 0)) size_zip ss st minnn big_mkord; apply: eq_bigr => i _.
by rewrite nth_zip ?ss ?st.
Qed.

Lemma sort_lipschitz group s : layer_fits (Sort group) s -> forall x x' : 'cV[F]_(len s),
  sqn (sorted_groups group x - sorted_groups group x') <= sqn (x - x').
Proof.
move=> /= /andP [/andP [g0 p0] hu] x x'.
have g1 : (0 < group)%N by move: g0; clear; lia.
have p1 : (0 < points s)%N by move: p0; clear; lia.
have [q eq] : exists q, units s = (q * group)%N.
  move: hu; rewrite nat_eqE => /eqP hu; exists (Nat.div (units s) group).
  by have := PeanoNat.Nat.div_mod (units s) group; rewrite hu -multE; move: g1; clear; lia.
have e : len s = (q * (group * points s))%N by rewrite mulnA -eq; case: (s) => [n|c a b] /=; rewrite ?muln1.
pose P := points s; pose place G r v := (G * (group * P) + (r * P + v))%N.
have parts G r v : (r < group)%N -> (v < P)%N ->
    [/\ Nat.div (place G r v) P = (G * group + r)%N, Nat.div (Nat.div (place G r v) P) group = G,
      Nat.modulo (Nat.div (place G r v) P) group = r & Nat.modulo (place G r v) P = v].
  move=> hr hv; have [h1 h2 h3] := parts3 G hr hv.
  have e1 : (place G r v %/ P = G * group + r)%N by rewrite /place mulnA addnA -mulnDl divnMDl // divn_small // addn0.
  rewrite !div_of_nat // !mod_of_nat // e1; split=> //; first by rewrite divnMDl // divn_small // addn0.
  by rewrite modnMDl modn_small.
have square (u v : 'cV[F]_(len s)) : sqn (u - v) = \sum_(m < q * (group * P)) (at_place u m - at_place v m) ^+ 2.
  rewrite /sqn /dot -(big_mkord xpredT (fun m => (at_place u m - at_place v m) ^+ 2)) -e big_mkord.
  by apply: eq_bigr => i _; rewrite !mxE /at_place (insubT (fun k => (k < len s)%N) (ltn_ord i)) -expr2; congr ((u _ _ - v _ _) ^+ 2); apply: val_inj.
have split3' (f : nat -> F) : \sum_(m < q * (group * P)) f m = \sum_(G < q) \sum_(v < P) \sum_(r < group) f (place G r v).
  by rewrite (@split3 F q group P (fun G r v => f (place G r v)) f) //; apply: eq_bigr => G _; rewrite exchange_big.
rewrite !square (split3' (fun m => (at_place (sorted_groups group x) m - at_place (sorted_groups group x') m) ^+ 2)).
rewrite (split3' (fun m => (at_place x m - at_place x' m) ^+ 2)); apply: ler_sum => G _; apply: ler_sum => v _.
pose L (z : 'cV[F]_(len s)) := [seq at_place z (place G j v) | j <- iota 0 group].
have sL z : size (L z) = group by rewrite size_map size_iota.
have val z (r : 'I_group) : at_place (sorted_groups group z) (place G r v) = nth 0 (sort <=%R (L z)) r.
  have hm : (place G r v < len s)%N.
    rewrite e /place (leq_trans (_ : _ < G.+1 * (group * P))%N) ?leq_mul2r ?ltn_ord ?orbT // mulSn addnC ltn_add2r.
    by rewrite (leq_trans (_ : _ < r.+1 * P)%N) ?leq_mul2r ?ltn_ord ?orbT // mulSn addnC ltn_add2r.
  rewrite /at_place (insubT (fun k => (k < len s)%N) hm) mxE /=.
  have [e1 e2 e3 e4] := parts G r v (ltn_ord r) (ltn_ord v); rewrite -/P e3; congr (nth 0 (sort _ _) _).
  rewrite /group_places map_listE seqE -map_comp; apply: eq_map => j /=; congr (at_place z _).
  by rewrite -/P e2 e4 /place mulnA addnA -mulnDl.
have plain z (r : 'I_group) : at_place z (place G r v) = nth 0 (L z) r by rewrite (nth_map 0%N) ?size_iota // nth_iota.
under eq_bigr => r _ do rewrite !val.
under [X in _ <= X]eq_bigr => r _ do rewrite !plain.
by rewrite -!gapE ?size_sort ?sL //; apply: gap_sort; rewrite !sL.
Qed.

(* Normalisation. *)
Lemma least_sound (l : seq Z) : all (Z.ltb 0) l -> Z.ltb 0 (least l) /\ forall u, (u < size l)%N -> Z.leb (least l) (nth Z0 l u).
Proof.
case: l => //= x l; elim: l => [|y l IH] /=; first by rewrite andbT => h; split=> // -[_|u //]; exact: Z.leb_refl.
move=> /and3P [hx hy hl]; have [h0 h] := IH (introT andP (conj hx hl)).
move: h0 h; set m := List.fold_right _ _ _ => h0 h; case: (boolP (Z.leb y m)) => hm; split=> // -[|[|u]] hu.
- have := h 0%N isT; move: hm => /Z.leb_le hm /Z.leb_le /= h1; apply/Z.leb_le; exact: Z.le_trans hm h1.
- exact: Z.leb_refl.
- have := h u.+1 hu; move: hm => /Z.leb_le hm /Z.leb_le /= h1; apply/Z.leb_le; exact: Z.le_trans hm h1.
- exact: (h 0%N isT).
- by move: hm => /=; lia.
- exact: (h u.+1 hu).
Qed.

Lemma normalize_lipschitz mean d deviation e s : layer_fits (Normalize mean d deviation e) s ->
  forall x x' : 'cV[F]_(len s), sqn (normalized mean d deviation e x - normalized mean d deviation e x') <=
    zc (Z.mul e e) / zc (Z.mul (least deviation) (least deviation)) * sqn (x - x').
Proof.
rewrite /= !nat_eqE forallbE -!andbA => /and5P [d0 e0 hd /eqP sm /andP [/eqP sd p0]] x x'.
have [m0 hm] := least_sound hd; rewrite /sqn /dot mulr_sumr; apply: ler_sum => i _; rewrite !mxE -!expr2.
set u := Nat.div i (points s); have hu : (u < size deviation)%N by rewrite (sd : size deviation = units s); apply: unit_lt.
have s0 : 0 < zc (nth Z0 deviation u) by apply: zc_gt0; move/allP: hd; apply; apply: mem_nth.
have le : zc (least deviation) <= zc (nth Z0 deviation u) by rewrite zc_le; apply: hm.
have mp := zc_gt0 F m0; have ep := zc_gt0 F e0; rewrite /over -mulrBl opprD addrACA subrr addr0 !zcM -!expr2.
move: (zc (nth Z0 deviation u)) (zc (least deviation)) (zc e) (x i 0 - x' i 0) s0 le mp ep => t m E v s0 le mp ep.
rewrite invf_div exprMn expr_div_n mulrC; apply: ler_wpmul2r; first exact: sqr_ge0.
rewrite ler_pmul2l ?exprn_gt0 // lef_pinv ?posrE ?exprn_gt0 //; apply: square_le => //; exact: ltW.
Qed.
End Functions.
