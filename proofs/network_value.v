(* The value that forward computes is the network's, exactly.

     field_sound     the vector fields of flows
     step_explicit   a step of an explicit Runge-Kutta method satisfies the equations of its stages
     forward_sound   forward ls s x = Some y  gives  network ls s x y *)

From Coq Require Import ZArith List.
From mathcomp Require Import all_ssreflect all_algebra zify ssrZ.
From mathcomp Require Import ring.
Require Import euclidean slope gradient_step circle_contractivity.
Require Import integer_core integer_sound integer_tree network_core network_sound.
Set Implicit Arguments. Unset Strict Implicit. Unset Printing Implicit Defensive.
Import GRing.Theory Num.Theory Order.TTheory.
Local Open Scope ring_scope.
Local Arguments Z.eqb : simpl never.
Local Arguments Z.leb : simpl never.
Local Arguments Z.ltb : simpl never.
Local Arguments Z.mul : simpl never.
Local Arguments Z.add : simpl never.
Local Arguments Z.div : simpl never.
Local Arguments Z.lcm : simpl never.
Local Arguments Nat.eqb : simpl never.
Local Arguments Nat.div : simpl never.
Local Arguments Nat.modulo : simpl never.

Section Value.
Variable F : realFieldType.
Notation zc := (zc F).
Notation over := (over F).
Notation vec := (vec F).

(* Fields. *)
Lemma field_proper f s x : field_fits f s -> proper (len s) x -> proper (len s) (field_value f s x).
Proof.
case: f => [l g|l g v] /=.
- move=> /andP [fit g0] px.
  have [d0 sy] := linear_adjoint_proper fit (leaky_proper g0 (affine_proper fit px)).
  by split=> //; rewrite /gradient /= map_listE size_map.
- move=> /andP [/andP [/andP [f1 f2] g0]]; rewrite nat_eqE => /eqP e px.
  by have := affine_proper f2 (leaky_proper g0 (affine_proper f1 px)); rewrite e.
Qed.

Lemma vec_resized m n x : proper m x -> m = n -> resized n (vec m x) = vec n x.
Proof.
move=> [_ sx] e; apply/colP => i; rewrite !mxE.
have hi : (i < m)%N by rewrite e.
by rewrite (insubT (fun k => (k < m)%N) hi) mxE.
Qed.

Theorem field_sound f s x : field_fits f s -> proper (len s) x ->
  vec (len s) (field_value f s x) = field_map f (vec (len s) x).
Proof.
case: f => [l g|l g v] /=.
- move=> /andP [fit g0] px; have py := leaky_proper g0 (affine_proper fit px).
  have [d0 sy] := linear_adjoint_proper fit py.
  rewrite /gradient_field -[by_coordinates _ _]/(by_coordinates _ (linear_map l _)) -affine_sound // -leaky_sound //; last exact: affine_proper.
  rewrite -linear_adjoint_sound //; apply/colP => i; rewrite !mxE /over /= map_listE (nth_map Z0) ?sy //.
  by rewrite -mulNr; congr (_ / _); rewrite -[Z.opp _]/(Z.sub Z0 _) zcB zc0 sub0r.
- move=> /andP [/andP [/andP [f1 f2] g0]]; rewrite nat_eqE => /eqP e px.
  have p1 := affine_proper f1 px; have p2 := leaky_proper g0 p1.
  by rewrite -affine_sound // -leaky_sound // -affine_sound // vec_resized //; apply: affine_proper.
Qed.

(* Explicit methods. *)
Section Explicit.
Variables (n : nat) (f : ratios -> ratios) (g : 'cV[F]_n -> 'cV[F]_n) (p q : Z).
Hypothesis q0 : Z.ltb 0 q.
Hypothesis f_proper : forall x, proper n x -> proper n (f x).
Hypothesis f_sound : forall x, proper n x -> vec n (f x) = g (vec n x).

Lemma moved_proper a ks x : all (fun k => (Z.ltb 0 k.1) && (size k.2 == n)) ks -> proper n x -> proper n (moved p q a ks x).
Proof.
elim: a ks x => [|aj a IH] [|k ks] x //= /andP [/andP [k0 /eqP sk] h] px.
by apply: IH => //; apply: axpy_proper.
Qed.

Lemma moved_sound a ks x : all (fun k => (Z.ltb 0 k.1) && (size k.2 == n)) ks -> proper n x ->
  vec n (moved p q a ks x) = vec n x + over q p *: \sum_(j < size ks) zc (nth Z0 a j) *: vec n (nth (Z0, [::]) ks j).
Proof.
elim: a ks x => [|aj a IH] ks x /=.
  by rewrite big1 ?scaler0 ?addr0 // => j _; rewrite nth_nil zc0 scale0r.
case: ks => [|k ks] /=; first by rewrite big_ord0 scaler0 addr0.
move=> /andP [/andP [k0 /eqP sk] h] px; have pk : proper n k by split.
rewrite IH //; last exact: axpy_proper.
rewrite axpy_sound // big_ord_recl /= scalerDr addrA; congr (_ + _ + _).
by rewrite scalerA /over zcM mulrAC.
Qed.

Lemma stages_spec A x ks : let K := stages f p q A x ks in
  [/\ size K = (size ks + size A)%N, take (size ks) K = ks
    & forall i, (i < size A)%N ->
      nth (Z0, [::]) K (size ks + i) = f (moved p q (nth [::] A i) (take (size ks + i) K) x)].
Proof.
elim: A ks => [|a A IH] ks /=; first by rewrite addn0 take_size; split.
have [s1 s2 s3] := IH (ks ++ [:: f (moved p q a ks x)]).
set K := stages _ _ _ _ _ _ in s1 s2 s3 *; rewrite size_cat /= addn1 in s1 s2 s3.
have e : take (size ks) K = ks.
  have := congr1 (take (size ks)) s2; by rewrite take_take ?take_size_cat // leqnSn.
split=> [||[|i] hi]; rewrite ?addn0 ?s1 ?addSnnS //.
- have := congr1 (fun l => nth (Z0, [::]) l (size ks)) s2.
  by rewrite nth_take // nth_cat ltnn subnn /= e => ->.
- by rewrite -addSnnS s3.
Qed.

Lemma stages_proper A x ks : proper n x -> all (fun k => (Z.ltb 0 k.1) && (size k.2 == n)) ks ->
  all (fun k => (Z.ltb 0 k.1) && (size k.2 == n)) (stages f p q A x ks).
Proof.
move=> px; elim: A ks => [|a A IH] ks h //=; apply: IH; rewrite all_cat h /= andbT.
by have [-> ->] := f_proper (moved_proper a h px); rewrite eqxx.
Qed.

Lemma explicit_zero k A i j : explicit k A -> (i < size A)%N -> (k + i <= j)%N -> nth Z0 (nth [::] A i) j = Z0.
Proof.
elim: A k i => //= a A IH k [|i] /andP [h1 h2] hi hj; last by apply: (IH k.+1) => //; rewrite addSnnS.
rewrite addn0 in hj; have e : nth Z0 a j = nth Z0 (List.skipn k a) (j - k).
  by elim: k a j hj {h1 h2 IH} => [|k IHk] [|b a] [|j] //= hj; rewrite ?subn0 ?nth_nil // subSS; apply: IHk.
rewrite e; case: (ltnP (j - k) (size (List.skipn k a))) => [lt|ge]; last by rewrite nth_default.
by move: h1; rewrite forallbE => /allP /(_ _ (mem_nth Z0 lt)) /zc_eq.
Qed.

Theorem step_explicit (m : tableau) x h h_den : explicit 0 (t_A m) -> size (t_A m) = size (t_b m) ->
  p = h -> q = Z.mul h_den (t_d m) -> Z.ltb 0 h_den -> Z.ltb 0 (t_d m) -> proper n x ->
  proper n (step f m h h_den x) /\ step_of m h h_den g (vec n x) (vec n (step f m h h_den x)).
Proof.
move=> ex sA ep eq h0 d0 px; rewrite /step -ep -eq; set K := stages f p q (t_A m) x [::].
have [sK _ hK] := stages_spec (t_A m) x [::]; rewrite -/K /= add0n in sK hK.
have pK : all (fun k => (Z.ltb 0 k.1) && (size k.2 == n)) K by apply: stages_proper.
have pt i : all (fun k => (Z.ltb 0 k.1) && (size k.2 == n)) (take i K).
  by apply/allP => k /mem_take /(allP pK).
split; first exact: moved_proper.
have scale a (v : 'cV[F]_n) : over q p *: (zc a *: v) = over h_den h *: (over (t_d m) a *: v).
  rewrite !scalerA eq ep /over zcM; congr (_ *: _); field; by rewrite !zc_nz.
pose X (i : 'I_(size (t_b m))) := vec n (moved p q (nth [::] (t_A m) i) (take i K) x).
have fX i : g (X i) = vec n (nth (Z0, [::]) K i).
  rewrite -f_sound; last exact: moved_proper.
  by rewrite hK ?add0n // sA.
exists X; split=> [i|].
- rewrite /X moved_sound //; congr (_ + _); rewrite !scaler_sumr.
  have hi : (i < size (t_A m))%N by rewrite sA.
  rewrite size_takel ?sK ?(ltnW hi) //.
  rewrite (big_ord_widen (size (t_b m)) (fun j => over q p *: (zc (nth Z0 (nth [::] (t_A m) i) j) *:
    vec n (nth (Z0, [::]) (take i K) j)))); last exact: ltnW (ltn_ord i).
  rewrite big_mkcond; apply: eq_bigr => j _; rewrite -/(X j) fX scale mxE -/(over _ _).
  case: (ltnP j i) => ji; first by rewrite nth_take // ep.
  by rewrite (explicit_zero ex hi ji) /over zc0 mul0r scale0r scaler0.
- rewrite moved_sound // sK sA; congr (_ + _); rewrite !scaler_sumr; apply: eq_bigr => j _.
  by rewrite scale -/(X j) fX ep.
Qed.
End Explicit.

Lemma repeated_sound n (f : ratios -> ratios) (R : 'cV[F]_n -> 'cV[F]_n -> Prop) k x : proper n x ->
  (forall y, proper n y -> proper n (f y) /\ R (vec n y) (vec n (f y))) ->
  proper n (repeated k f x) /\ steps_of R k (vec n x) (vec n (repeated k f x)).
Proof.
move=> px h; elim: k x px => [|k IH] x px //=; have [p1 r1] := h x px; have [p2 r2] := IH _ p1.
by split=> //; exists (vec n (f x)).
Qed.

(* Normalisation. *)
Lemma product_sound (l : seq Z) : all (Z.ltb 0) l -> Z.ltb 0 (List.fold_right Z.mul (Zpos xH) l) /\
  forall u, (u < size l)%N -> Z.mul (Z.div (List.fold_right Z.mul (Zpos xH) l) (nth (Zpos xH) l u)) (nth (Zpos xH) l u) = List.fold_right Z.mul (Zpos xH) l.
Proof.
elim: l => [|a l IH] //= /andP [a0 /IH [p0 hp]]; move/Z.ltb_lt: a0 => a0; move/Z.ltb_lt: p0 => p0.
split=> [|[|u] hu] /=; first by apply/Z.ltb_lt/Z.mul_pos_pos.
- by rewrite (Z.mul_comm a) Z.div_mul //; lia.
- have := hp u hu; set P := List.fold_right _ _ _ => e; have nz : nth (Zpos xH) l u <> Z0 by move=> z; move: e p0; rewrite z; lia.
  have -> : Z.mul a P = Z.mul (Z.mul a (Z.div P (nth (Zpos xH) l u))) (nth (Zpos xH) l u) by rewrite -Z.mul_assoc e.
  by rewrite Z.div_mul.
Qed.

Lemma unit_lt s i : Nat.ltb 0 (points s) -> (i < len s)%N -> (Nat.div i (points s) < units s)%N.
Proof.
move=> /PeanoNat.Nat.ltb_lt p0 hi; apply/ssrnat.ltP/PeanoNat.Nat.div_lt_upper_bound; first lia.
by case: s p0 hi => [n|c a b] /= p0 /ssrnat.ltP hi; rewrite -?multE ?mul1n //; move: hi; rewrite /len /points /units; lia.
Qed.

Lemma normalize_sound mean d deviation e s x : layer_fits (Normalize mean d deviation e) s -> proper (len s) x ->
  proper (len s) (normalize mean d deviation e s x) /\
  vec (len s) (normalize mean d deviation e s x) = normalized mean d deviation e (vec (len s) x).
Proof.
rewrite /= !nat_eqE forallbE -!andbA => /and5P [d0 e0 hd /eqP sm /andP [/eqP sd p0]] [x0 sx].
have [P0 hP] := product_sound hd; split.
  split; last by rewrite /= size_map2_z seqE size_iota.
  by rewrite /=; do 2 (apply/Z.ltb_lt/Z.mul_pos_pos; apply/Z.ltb_lt => //).
apply/colP => i; rewrite !mxE /over /= (nth_map2_z _ Z0 0%N) ?seqE ?size_iota ?sx // nth_iota // add0n !nth_listE.
set u := Nat.div i (points s); have hu : (u < size deviation)%N by rewrite (sd : size deviation = units s); apply: unit_lt.
have := congr1 zc (hP u hu); rewrite (set_nth_default Z0) // !zcM zcB !zcM => eP.
have s0 : zc (nth Z0 deviation u) != 0 by apply: zc_nz; move/allP: hd; apply; apply: mem_nth.
move: eP (zc_nz F P0) (zc_nz F d0) (zc_nz F e0) (zc_nz F x0) s0; rewrite ?(set_nth_default Z0 _ hu).
move: (zc (List.fold_right _ _ _)) (zc (Z.div _ _)) (zc d) (zc e) (zc x.1) (zc (nth _ deviation u)) (zc (nth _ mean u)) (zc (nth _ x.2 i)).
move=> P r D E X S m z eP P0' D0 E0 X0 S0; rewrite -eP.
have r0 : r != 0 by apply: contraNneq P0' => z0; rewrite -eP z0 mul0r.
by field; rewrite r0 D0 E0 X0 S0.
Qed.

(* Functions of some units, and sorting. *)
Lemma partial_sound first last g s x : Z.ltb 0 (slope_den g) -> proper (len s) x ->
  proper (len s) (partial_vector first last g s x) /\
  vec (len s) (partial_vector first last g s x) = partial_map first last g (vec (len s) x).
Proof.
move=> g0 px; have := leaky_sound F g0 px; move: px => [d0 sx] e; split.
  split; last by rewrite /= size_map2_z seqE size_iota.
  by rewrite /=; apply/Z.ltb_lt/Z.mul_pos_pos; apply/Z.ltb_lt.
apply/colP => i; rewrite !mxE /= (nth_map2_z _ Z0 0%N) ?seqE ?size_iota ?sx // nth_iota // add0n.
case: (is_between _ _ _ _).
- by move/colP: e => /(_ i); rewrite !mxE /= map_listE (nth_map Z0) ?sx.
- by rewrite /network_sound.over !zcM invfM mulrACA divff ?mulr1 //; apply: zc_nz.
Qed.

Lemma over_le d a b : Z.ltb 0 d -> (over d a <= over d b) = Z.leb a b.
Proof. by move=> d0; rewrite /network_sound.over ler_pmul2r ?invr_gt0 ?zc_gt0 // zc_le. Qed.

Lemma clip_sound low high e n x : Z.ltb 0 e -> Z.leb low high -> proper n x -> proper n (clip_vector low high e x) /\
  vec n (clip_vector low high e x) = by_coordinates (fun _ => clip (over e low) (over e high)) (vec n x).
Proof.
move=> e0 lh [d0 sx]; have p := zc_gt0 F d0; have q := zc_gt0 F e0.
have de : Z.ltb 0 (Z.mul x.1 e) by apply/Z.ltb_lt/Z.mul_pos_pos; apply/Z.ltb_lt.
split; first by split=> //; rewrite /= map_listE size_map.
have fraction z : over e z = over (Z.mul x.1 e) (Z.mul z x.1).
  by rewrite /network_sound.over !zcM; field; rewrite !lt0r_neq0.
apply/colP => i; rewrite !mxE /= map_listE (nth_map Z0) ?sx //; move: (nth Z0 x.2 i) => z.
rewrite /clip !fraction (_ : over x.1 z = over (Z.mul x.1 e) (Z.mul z e)); last first.
  by rewrite /network_sound.over !zcM; field; rewrite !lt0r_neq0.
have hle : Z.leb (Z.mul low x.1) (Z.mul high x.1).
  by apply/Z.leb_le/Z.mul_le_mono_nonneg_r; [apply/Z.lt_le_incl/Z.ltb_lt | apply/Z.leb_le].
move: (Z.mul x.1 e) (Z.mul low x.1) (Z.mul high x.1) (Z.mul z e) de hle => D L H Z' de hle; rewrite /clip_z.
have le a b := over_le a b de; case: (boolP (Z.leb Z' L)) => h1.
- rewrite (min_l (_ : over D Z' <= over D H)); first by rewrite max_l // le.
  by rewrite le; move: h1 hle; clear; lia.
- case: (boolP (Z.leb H Z')) => h2.
  + by rewrite (min_r (_ : over D H <= over D Z')) ?le // max_r // le.
  + rewrite (min_l (_ : over D Z' <= over D H)); last by rewrite le; move: h2; clear; lia.
    by rewrite max_r // le; move: h1; clear; lia.
Qed.

Definition insert_F (u : F) := fix insert (l : seq F) := match l with [::] => [:: u] | v :: l' => if u <= v then u :: l else v :: insert l' end.
Definition sort_F (l : seq F) : seq F := foldr insert_F [::] l.

Lemma path_insert u v l : v <= u -> path <=%R v l -> path <=%R v (insert_F u l).
Proof.
elim: l v => [|w l IH] v /=; first by move=> ->.
by move=> vu /andP [vw hl]; case: ifP => uw /=; rewrite ?vu ?uw // vw IH // ltW // ltNge uw.
Qed.

Lemma sorted_insert u l : sorted <=%R l -> sorted <=%R (insert_F u l).
Proof.
case: l => //= v l hl; case: ifP => uv /=; first by rewrite uv.
by apply: path_insert => //; rewrite ltW // ltNge uv.
Qed.

Lemma perm_insert u l : perm_eq (insert_F u l) (u :: l).
Proof.
elim: l => //= v l IH; case: ifP => // _.
have h : perm_eq (v :: insert_F u l) (v :: u :: l) by rewrite perm_cons.
apply: perm_trans h _; by rewrite -[v :: u :: l]/([:: v] ++ [:: u] ++ l) perm_catCA.
Qed.

Lemma sort_F_sort l : sort <=%R l = sort_F l.
Proof.
have [s1 p1] : sorted <=%R (sort_F l) /\ perm_eq (sort_F l) l.
  elim: l => //= u l [hs hp]; split; first exact: sorted_insert.
  by apply: perm_trans (perm_insert _ _) _; rewrite perm_cons.
apply: (@sorted_eq _ <=%R) => //; [exact: le_trans | exact: le_anti | exact/sort_sorted/le_total | ].
by rewrite perm_sort perm_sym.
Qed.

Lemma sort_z_sound d l : Z.ltb 0 d -> [seq over d z | z <- sort_z l] = sort_F [seq over d z | z <- l].
Proof.
move=> d0; elim: l => //= z l <-; move: (sort_z l) => {l} l.
by elim: l => //= y l IH; rewrite over_le //; case: ifP => //= _; rewrite IH.
Qed.

Lemma group_place_lt group s i j : Nat.ltb 0 group -> Nat.ltb 0 (points s) -> Nat.eqb (Nat.modulo (units s) group) 0 -> (i < len s)%N ->
  j \in group_places group (points s) i -> (j < len s)%N.
Proof.
move=> g0 p0; rewrite nat_eqE => /eqP hu hi; rewrite /group_places map_listE => /mapP [k]; rewrite seqE mem_iota add0n => /= hk ->.
have lu := unit_lt p0 hi; have g1 : (0 < group)%N by move: g0; lia.
have p1 : (0 < points s)%N by move: p0; lia.
have e : len s = (units s * points s)%N by case: (s) => [n|c a b] /=; rewrite ?muln1.
have [q eq] : exists q, units s = (q * group)%N.
  by exists (Nat.div (units s) group); have := PeanoNat.Nat.div_mod (units s) group; rewrite hu -multE; lia.
set u := Nat.div (Nat.div i (points s)) group.
have uq : (u < q)%N.
  by apply/ssrnat.ltP/PeanoNat.Nat.div_lt_upper_bound; [lia | apply/ssrnat.ltP; rewrite multE mulnC -eq].
have hm := PeanoNat.Nat.mod_upper_bound i (points s).
have h1 : (u * group + k < units s)%N.
  by rewrite eq (leq_trans (_ : _ < u.+1 * group)%N) ?leq_mul2r ?uq ?orbT // mulSn addnC ltn_add2r.
have hm' : (Nat.modulo i (points s) < points s)%N by apply/ssrnat.ltP/hm; lia.
have h2 : ((u * group + k) * points s + Nat.modulo i (points s) < units s * points s)%N.
  by apply: (@leq_trans ((u * group + k).+1 * points s)%N); [rewrite mulSn addnC ltn_add2r | rewrite leq_mul2r h1 orbT].
by rewrite e.
Qed.

Lemma sort_sound group s x : layer_fits (Sort group) s -> proper (len s) x ->
  proper (len s) (sort_vector group s x) /\ vec (len s) (sort_vector group s x) = sorted_groups group (vec (len s) x).
Proof.
move=> /= /andP [/andP [g0 p0] hu] [d0 sx]; split; first by split=> //; rewrite /= map_listE size_map seqE size_iota.
apply/colP => i; rewrite !mxE /= map_listE seqE (nth_map 0%N) ?size_iota // nth_iota // add0n nth_listE sort_F_sort.
have -> : [seq at_place (vec (len s) x) j | j <- group_places group (points s) i] =
    [seq over x.1 z | z <- [seq nth Z0 x.2 j | j <- group_places group (points s) i]].
  rewrite -map_comp; apply/eq_in_map => j hj; rewrite /at_place (insubT (fun k => (k < len s)%N) (group_place_lt g0 p0 hu (ltn_ord i) hj)).
  by rewrite mxE.
rewrite -sort_z_sound // map_listE.
rewrite (eq_map (f2 := nth Z0 x.2)) => [|j]; last exact: get_from_list.
set l := sort_z _; set r := Nat.modulo _ _.
case: (ltnP r (size l)) => h; first by rewrite (nth_map Z0).
by rewrite !nth_default ?size_map // /network_sound.over zc0 mul0r.
Qed.

(* The value of a network. *)
Theorem layer_value_sound l s x y : layer_value l s x = Some y -> proper (len s) x ->
  proper (len (layer_out l s)) y /\ @layer_means F l s (vec (len s) x) (vec (len (layer_out l s)) y).
Proof.
rewrite /layer_value; case fits: (layer_fits l s) => //; case: l fits => [l|g|mean d dev e|m h h_den k f|a b g|low high e|k] fits;
  [ | | | | by move=> [<-] px; apply: partial_sound | by move/andP: fits => [e0 lh] [<-] px; apply: clip_sound | by move=> [<-] px; apply: sort_sound].
- by move=> [<-] px; split; [apply: affine_proper | apply: affine_sound].
- by move=> [<-] px; split; [apply: leaky_proper | apply: leaky_sound].
- by move=> [<-] px; apply: normalize_sound.
- case ex: (explicit 0 (t_A m)) => // -[<-] px.
  move: fits; rewrite /= nat_eqE -!andbA => /and4P [hf h0 d0 /eqP sA].
  apply: repeated_sound => // z pz.
  apply: (@step_explicit _ _ _ h (Z.mul h_den (t_d m))) => //.
  + by apply/Z.ltb_lt/Z.mul_pos_pos; apply/Z.ltb_lt.
  + by move=> w; apply: field_proper.
  + by move=> w; apply: field_sound.
Qed.

Theorem forward_sound ls s x y : forward ls s x = Some y -> proper (len s) x ->
  proper (len (layers_out ls s)) y /\ @network F ls s (vec (len s) x) (vec (len (layers_out ls s)) y).
Proof.
elim: ls s x => [|l ls IH] s x /=; first by move=> [<-].
case hl: (layer_value l s x) => [z|] // hf px; have [p1 m1] := layer_value_sound hl px.
by have [p2 m2] := IH _ _ hf p1; split=> //; exists (vec (len (layer_out l s)) z).
Qed.

(* Means of branches. *)
Lemma sum_value_sound n branches s x y : sum_value n branches s x = Some y -> proper (len s) x ->
  all (fun ls => len (layers_out ls s) == n) branches -> proper n y /\ sum_means branches (vec (len s) x) (vec n y).
Proof.
elim: branches y => [|ls branches IH] y /=.
  move=> [<-] _ _; split; first by split=> //; rewrite size_zeros.
  by apply/colP => i; rewrite !mxE /over nth_zeros zc0 mul0r.
case hf: (forward ls s x) => [z|] //; case hs: (sum_value _ _ _ _) => [u|] // [<-] px /andP [/eqP el hl].
have [pz mz] := forward_sound hf px; have [pu mu] := IH _ hs px hl.
have pz' : proper n z by move: pz; rewrite el.
split; first exact: axpy_proper.
exists (vec (len (layers_out ls s)) z), (vec n u); split=> //.
rewrite axpy_sound // /over zc1 divr1 scale1r (vec_resized pz) //.
Qed.

Lemma zc_of_nat k : zc (Z.of_nat k) = k%:R.
Proof. by rewrite /integer_sound.zc (_ : int_of_Z (Z.of_nat k) = k :> int) //; lia. Qed.

Lemma branches_value_sound branches s x y : branches_value branches s x = Some y -> proper (len s) x ->
  proper (len (branches_out branches s)) y /\ sum_means branches (vec (len s) x) (vec (len (branches_out branches s)) y).
Proof.
rewrite /branches_value; case fits: (branches_fit branches s) => // hs px; apply: sum_value_sound hs px _.
by move: fits => /andP [_]; rewrite forallbE (eq_all (fun ls => nat_eqE (len (layers_out ls s)) _)).
Qed.

Lemma divided_sound n k x : (0 < k)%N -> proper n x -> proper n (divided k x) /\ vec n (divided k x) = k%:R^-1 *: vec n x.
Proof.
move=> k0 [x0 sx]; split; first by split=> //=; apply/Z.ltb_lt/Z.mul_pos_pos; lia.
by apply/colP => i; rewrite !mxE /network_sound.over /= zcM zc_of_nat invfM mulrA mulrC.
Qed.

Lemma branches_pos branches s : branches_fit branches s -> (0 < size branches)%N.
Proof. by move=> /andP [b0 _]; move: b0; rewrite -[List.length _]/(size branches); lia. Qed.

Theorem block_value_sound b s x y : block_value b s x = Some y -> proper (len s) x ->
  proper (len (block_out b s)) y /\ @block_means F b s (vec (len s) x) (vec (len (block_out b s)) y).
Proof.
case: b => [l|branches|branches]; [exact: layer_value_sound | | exact: branches_value_sound].
rewrite /block_value; case hv: (branches_value branches s x) => [u|] //= [<-] px.
have k0 : (0 < size branches)%N by move: hv; rewrite /branches_value; case fits: (branches_fit _ _) => // _; apply: branches_pos fits.
have [pu mu] := branches_value_sound hv px; have [p1 e1] := divided_sound k0 pu.
by split=> //; exists (vec (len (branches_out branches s)) u).
Qed.

Theorem forward_blocks_sound bs s x y : forward_blocks bs s x = Some y -> proper (len s) x ->
  proper (len (blocks_out bs s)) y /\ @network_blocks F bs s (vec (len s) x) (vec (len (blocks_out bs s)) y).
Proof.
elim: bs s x => [|b bs IH] s x /=; first by move=> [<-].
case hb: (block_value b s x) => [z|] // hf px; have [p1 m1] := block_value_sound hb px.
by have [p2 m2] := IH _ _ hf p1; split=> //; exists (vec (len (block_out b s)) z).
Qed.
End Value.
