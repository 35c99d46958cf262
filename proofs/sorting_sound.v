(* Sorting moves no two points apart: the numbers of a group, in ascending order, and so the groups of a layer.

     gap_sort         the sum of the squares of the differences of two lists is not smaller than that of the sorted lists
     sort_lipschitz   the layer Sort *)

From Coq Require Import ZArith List.
From mathcomp Require Import all_ssreflect all_algebra zify ssrZ.
From mathcomp Require Import ring.
Require Import euclidean integer_core integer_sound network_core network_sound network_value phases.
Set Implicit Arguments. Unset Strict Implicit. Unset Printing Implicit Defensive.
Import GRing.Theory Num.Theory Order.TTheory.
Local Open Scope ring_scope.
Local Arguments Nat.eqb : simpl never.
Local Arguments Nat.ltb : simpl never.
Local Arguments Nat.div : simpl never.
Local Arguments Nat.modulo : simpl never.

Section Sorting.
Variable F : realFieldType.

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
End Sorting.
