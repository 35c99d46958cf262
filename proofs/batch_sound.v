(* The maps of batch_core.v are those of network_core.v, sample by sample.

     many_sound     many n bound f xs = map f xs, if f is a matrix of rows whose absolute values add up to bound at most
     gather_sound   the numbers of gather o s y are those of W^T y
     apply_many_sound, adjoint_many_sound, field_many_sound, step_many_sound *)

From Coq Require Import ZArith List.
From mathcomp Require Import all_ssreflect all_algebra zify ssrZ.
From mathcomp Require Import ring.
Require Import euclidean integer_core integer_packed integer_sound integer_tree network_core network_sound network_value.
Require Import circulant_core circulant_sound witness_core witness_norm batch_core.
Set Implicit Arguments. Unset Strict Implicit. Unset Printing Implicit Defensive.
Import GRing.Theory Num.Theory Order.TTheory.
Local Open Scope ring_scope.
Local Arguments Z.eqb : simpl never.
Local Arguments Z.leb : simpl never.
Local Arguments Z.ltb : simpl never.
Local Arguments Z.mul : simpl never.
Local Arguments Z.add : simpl never.
Local Arguments Z.sub : simpl never.
Local Arguments Z.abs : simpl never.
Local Arguments Z.div : simpl never.
Local Arguments Nat.eqb : simpl never.
Local Arguments Nat.div : simpl never.
Local Arguments Nat.modulo : simpl never.

(* Digits of vectors: the packed numbers of one sample more, and the digits behind the first ones. *)
Definition push (B : Z) : seq Z -> seq Z -> seq Z := map2_z (fun a b => Z.add a (Z.mul B b)).
Lemma pack0 B n : pack B n [::] = zeros n.
Proof. by rewrite /pack; elim: n => //= n; rewrite /transpose /= => ->. Qed.
Lemma packS B n x xs : pack B n (x :: xs) = push B x (pack B n xs).
Proof.
rewrite /pack (_ : transpose n (x :: xs) = map2_z cons x (transpose n xs)) //.
by elim: x (transpose n xs) => [|a x IH] [|b t] //=; rewrite IH.
Qed.
Lemma transposeS k (A : Type) (f : A -> Z) (g : A -> seq Z) (v : seq A) :
  transpose k.+1 (List.map (fun s => f s :: g s) v) = List.map f v :: transpose k (List.map g v).
Proof. by elim: v => //= s v; rewrite /transpose /= => ->. Qed.
Lemma unpack0 half B v : unpack 0 half B v = [::].
Proof. by rewrite /unpack; elim: v => //= s v; rewrite /transpose /= => ->. Qed.
Lemma unpackS k half B v : unpack k.+1 half B v = let q := List.map (fun s => Z.div (Z.add s half) B) v in
  map2_z (fun s c => Z.sub s (Z.mul B c)) v q :: unpack k half B q.
Proof.
rewrite /unpack (_ : digits k.+1 half B = fun s => let q := Z.div (Z.add s half) B in Z.sub s (Z.mul B q) :: digits k half B q) //.
rewrite transposeS /=; congr (_ :: transpose k _); last by elim: v => //= s v ->.
by elim: v => //= s v ->.
Qed.

Definition bounded (n : nat) (half : Z) (x : seq Z) := (size x == n) && all (fun z => Z.leb (Z.abs z) half) x.

Lemma size_pack B n xs : all (fun x => size x == n) xs -> size (pack B n xs) = n.
Proof.
elim: xs => [|x xs IH] /=; first by rewrite pack0 size_zeros.
by move=> /andP [/eqP sx /IH h]; rewrite packS /push size_map2_z ?h ?sx.
Qed.

Lemma digit_of half a b : Z.leb (Z.abs a) half ->
  Z.div (Z.add (Z.add a (Z.mul (Z.add (Z.mul 2 half) 1) b)) half) (Z.add (Z.mul 2 half) 1) = b.
Proof.
move/Z.leb_le => h; symmetry; apply: (Z.div_unique _ _ _ (Z.add a half)); [left; lia | ].
by move: (Z.mul _ b) => p; lia.
Qed.

Lemma unpack_pack n half xs : all (bounded n half) xs ->
  unpack (size xs) half (Z.add (Z.mul 2 half) 1) (pack (Z.add (Z.mul 2 half) 1) n xs) = xs.
Proof.
set B := Z.add _ _; elim: xs => [|x xs IH] /=; first by rewrite unpack0.
move=> /andP [/andP [/eqP sx hx] hxs]; rewrite packS unpackS /=.
have sp : size (pack B n xs) = size x.
  by rewrite sx; apply: size_pack; apply: sub_all hxs => y /andP [].
have {}IH := IH hxs; set p := pack B n xs in sp IH *; move: hx; clearbody p; clear sx hxs => hx.
have q : List.map (fun s => Z.div (Z.add s half) B) (push B x p) = p.
  elim: x p sp hx {IH} => [|a x IH] [|b p] //= [sp] /andP [ha hx]; by rewrite IH // digit_of.
rewrite q IH; congr cons; elim: x p sp hx {IH q} => [|a x IH] [|b p] //= [sp] /andP [ha hx]; rewrite IH //; congr cons.
by move: (Z.mul B b) => m; lia.
Qed.

Section Sound.
Variable F : realFieldType.
Notation zc := (zc F).

Section Many.
Variables (n m : nat) (bound : Z) (f : seq Z -> seq Z) (M : nat -> nat -> F).
Hypothesis f_size : forall x, size x = n -> size (f x) = m.
Hypothesis f_value : forall x i, size x = n -> (i < m)%N -> zc (nth Z0 (f x) i) = \sum_(j < n) M i j * zc (nth Z0 x j).
Hypothesis f_bound : forall i, (i < m)%N -> \sum_(j < n) `|M i j| <= zc bound.

Lemma f_push B x y : size x = n -> size y = n -> f (push B x y) = push B (f x) (f y).
Proof.
move=> sx sy; have sp : size (push B x y) = n by rewrite size_map2_z ?sx.
have e1 := f_size sx; have e2 := f_size sy.
apply: (@eq_from_nth _ Z0) => [|i]; first by rewrite f_size // size_map2_z ?e1 ?e2.
rewrite f_size // => hi; apply: (@zc_inj F).
rewrite f_value // (nth_map2_z _ Z0 Z0) ?e1 ?e2 // zcD zcM !f_value // mulr_sumr -big_split.
by apply: eq_bigr => j _; rewrite /= (nth_map2_z _ Z0 Z0) ?sx ?sy // zcD zcM; ring.
Qed.

Lemma f_zeros : f (zeros n) = zeros m.
Proof.
have e := f_size (size_zeros n); apply: (@eq_from_nth _ Z0) => [|i]; first by rewrite e size_zeros.
rewrite e => hi; apply: (@zc_inj F); rewrite f_value ?size_zeros // nth_zeros zc0 big1 // => j _.
by rewrite nth_zeros zc0 mulr0.
Qed.

Lemma f_pack B xs : all (fun x => size x == n) xs -> f (pack B n xs) = pack B m (List.map f xs).
Proof.
elim: xs => [|x xs IH] /=; first by rewrite !pack0 f_zeros.
by move=> /andP [/eqP sx hx]; rewrite !packS f_push ?size_pack // IH.
Qed.

Lemma f_bounded xs x : all (fun x => size x == n) xs -> x \in xs -> bounded m (Z.mul bound (largest_z Z0 xs)) (f x).
Proof.
move=> hs hx; have sx := eqP (allP hs _ hx); rewrite /bounded f_size // eqxx; apply/(all_nthP Z0) => i.
rewrite f_size // => hi; rewrite -(zc_le F) zc_abs zcM f_value //; apply: le_trans (ler_norm_sum _ _ _) _.
have hz z : z \in x -> `|zc z| <= zc (largest_z Z0 xs).
  move=> hz; rewrite -zc_abs zc_le; apply/Z.leb_le; apply: (@largest_in xs Z0 x).
  - by elim: xs hx {hs} => //= a xs IH; rewrite in_cons => /orP [/eqP ->|/IH]; [left | right].
  - by elim: (x) hz => //= a l IH; rewrite in_cons => /orP [/eqP ->|/IH]; [left | right].
apply: le_trans (_ : \sum_(j < n) `|M i j| * zc (largest_z Z0 xs) <= _).
  by apply: ler_sum => j _; rewrite normrM; apply: ler_wpmul2l => //; apply/hz/mem_nth; rewrite sx.
rewrite -mulr_suml; apply: ler_wpmul2r; last exact: f_bound.
by rewrite -(zc0 F) zc_le; apply/Z.leb_le; apply: largest_acc.
Qed.

Theorem many_sound xs : all (fun x => size x == n) xs -> many n bound f xs = List.map f xs.
Proof.
move=> hs; rewrite /many f_pack //; have -> : List.length xs = size (List.map f xs) by rewrite map_listE size_map.
apply: unpack_pack; rewrite map_listE all_map; apply/allP => x hx; exact: f_bounded.
Qed.
End Many.

(* The transposed taps. *)
Lemma bucket_put fuel t i x j : (i <= fuel)%N -> bucket (put fuel i x t) j = if i == j then x :: bucket t i else bucket t j.
Proof.
elim: fuel t i j => [|fuel IH] t [|k] j //.
1,2: by case: t => [|ts l r]; case: j => [|j] //= _; rewrite if_same.
rewrite ltnS => h; have d2 : (Nat.div2 k <= fuel)%N by rewrite div2E; lia.
rewrite [put _ _ _ _]/=; case: t => [|ts l r]; case ek: (Nat.even k); case: j => [|j] //=.
all: rewrite eqSS; case ej: (Nat.even j); rewrite ?IH ?parity_div2 ?ek ?ej //.
all: by case: eqP => // e; move: ej; rewrite -e ek.
Qed.

Lemma tap_sum_put_row i ts t j k : tap_sum (bucket (put_row i ts t) j) k = Z.add (if i == k then tap_sum ts j else Z0) (tap_sum (bucket t j) k).
Proof.
elim: ts t => [|[a w] ts IH] t /=; first by rewrite if_same.
rewrite IH bucket_put // nat_eqE; case: (a =P j) => [->|_]; last by case: eqP.
by rewrite /= nat_eqE; case: eqP => _; rewrite -/(tap_sum _ _); lia.
Qed.

Lemma tap_sum_put_rows row i count t j k : tap_sum (bucket (put_rows row i count t) j) k =
  Z.add (if (i <= k < i + count)%N then tap_sum (row k) j else Z0) (tap_sum (bucket t j) k).
Proof.
elim: count i t => [|count IH] i t /=; first by rewrite addn0; case: leqP => //= h; rewrite ltnNge h.
rewrite IH tap_sum_put_row addSnnS; case: (i =P k) => [->|ne].
  by rewrite ltnn leqnn /= -addSnnS ltn_addr.
have -> : (i.+1 <= k)%N = (i <= k)%N by rewrite ltn_neqAle; move/eqP: ne => ->.
by [].
Qed.

Lemma size_gather o s y : operator_fits o s -> size (gather o s y) = len s.
Proof.
case: o => [n rows|a b t1 t2 p ks|k||k|k|||a b t1 t2 p ks|circ ms|fs]; rewrite /gather map_listE size_map ?seqE ?size_iota //.
case: s => // m /= /andP []; rewrite nat_eqE forallbE => /eqP -> hr.
by apply: size_transpose; apply: sub_all hr => r /=; rewrite nat_eqE.
Qed.

Theorem gather_sound o s y j : operator_fits o s -> size y = len (operator_out o s) -> (j < len s)%N ->
  zc (nth Z0 (gather o s y) j) = \sum_(i < len (operator_out o s)) zc (operator_entry o s i j) * zc (nth Z0 y i).
Proof.
move=> fit sy hj.
have sparse : zc (nth Z0 (List.map (fun j => taps_dot Z0 (bucket (put_rows (taps o s) 0 (len (operator_out o s)) Leaf) j) (from_list y))
    (List.seq 0 (len s))) j) = \sum_(i < len (operator_out o s)) zc (tap_sum (taps o s i) j) * zc (nth Z0 y i).
  rewrite map_listE seqE (nth_map 0%N) ?size_iota // nth_iota // add0n zc_taps_dot zc0 add0r.
  rewrite (eq_bigr (fun p => zc p.2 * zc (nth Z0 y p.1))) => [|p _]; last by rewrite get_from_list.
  rewrite -(@zc_tap_sum F _ (len (operator_out o s))) ?sy //; apply: eq_bigr => i _.
  by rewrite tap_sum_put_rows /= add0n ltn_ord Z.add_0_r.
move: fit sy sparse; case: o => [n rows|a b t1 t2 p ks|k||k|k|||a b t1 t2 p ks|circ ms|fs] fit sy sparse; rewrite /gather //.
case: s hj fit sy {sparse} => // m hj /= /andP []; rewrite nat_eqE forallbE => /eqP <-.
rewrite (eq_all (fun r => nat_eqE (length r) m)) => hr sy.
rewrite map_listE (nth_map [::]) ?size_transpose // nth_transpose // (@dot_zE F (size rows)) ?size_map ?sy // zc0 add0r.
rewrite -[List.length rows]/(size rows); apply: eq_bigr => i _; rewrite (nth_map [::]) //.
Qed.

(* No row is heavier than heaviest. *)
Lemma max_z_ge a b : Z.leb a (max_z a b) /\ Z.leb b (max_z a b).
Proof. by split; apply/Z.leb_le; [apply: max_z_l | apply: max_z_r]. Qed.

Lemma weight_le (rows : seq (seq Z)) i : zc (weight_z (nth [::] rows i)) <= zc (List.fold_right (fun r a => max_z (weight_z r) a) Z0 rows).
Proof.
elim: rows i => [|r rows IH] i; first by rewrite nth_nil.
have [h1 h2] := max_z_ge (weight_z r) (List.fold_right (fun r a => max_z (weight_z r) a) Z0 rows).
case: i => [|i] /=; first by rewrite zc_le.
by apply: le_trans (IH i) _; rewrite zc_le.
Qed.

Lemma zc_one_sum (ts : seq (nat * Z)) : (forall t, t \in ts -> t.2 = Zpos xH) -> \sum_(t <- ts) `|zc t.2| = (size ts)%:R.
Proof.
elim: ts => [|t ts IH] h; first by rewrite big_nil.
rewrite big_cons (h t) ?mem_head // zc1 normr1 IH => [|u hu]; last by apply: h; rewrite in_cons hu orbT.
by rewrite /= mulrS.
Qed.

Lemma tap_weight (ts : seq (nat * Z)) n : \sum_(j < n) `|zc (tap_sum ts j)| <= \sum_(t <- ts) `|zc t.2|.
Proof.
elim: ts => [|[k z] ts IH]; first by rewrite big_nil big1 // => j _; rewrite normr0.
rewrite big_cons /=; apply: le_trans (_ : \sum_(j < n) ((if val j == k then `|zc z| else 0) + `|zc (tap_sum ts j)|) <= _).
  apply: ler_sum => j _; rewrite zcD nat_eqE eq_sym; apply: le_trans (ler_norm_add _ _) _.
  by case: eqP => _; rewrite ?zc0 ?normr0.
rewrite big_split; apply: ler_add => //; case: (ltnP k n) => [kn|nk].
- rewrite (bigD1 (Ordinal kn)) //= eqxx big1 ?addr0 // => j; by rewrite -val_eqE /= => /negbTE ->.
- rewrite big1 // => j _; case: eqP => // e; by move: (ltn_ord j); rewrite e ltnNge nk.
Qed.

Lemma window_weight h w a b p top left k kernel :
  \sum_(t <- window h w a b p top left k kernel) `|zc t.2| <= zc (weight_z kernel).
Proof.
elim: kernel k => [|z kernel IH] k /=; first by rewrite big_nil.
rewrite [weight_z _](_ : _ = Z.add (Z.abs z) (weight_z kernel)) // zcD zc_abs.
case: (_ && _); rewrite ?big_cons; first exact: ler_add.
by apply: le_trans (IH _) _; rewrite ler_addr.
Qed.

Lemma ring_weight h w a b top left k kernel :
  \sum_(t <- ring h w a b top left k kernel) `|zc t.2| = zc (weight_z kernel).
Proof.
elim: kernel k => [|z kernel IH] k; first by rewrite big_nil.
by cbn [ring]; rewrite big_cons IH [weight_z (z :: _)](_ : _ = Z.add (Z.abs z) (weight_z kernel)) // zcD zc_abs.
Qed.

Lemma moved_weight e h w base row column m : \sum_(t <- moved_tap e h w base row column m) `|zc t.2| <= zc 1.
Proof.
case: m => [[d u] [r l]]; rewrite /moved_tap; case: e; first by rewrite big_seq1 zc1 normr1.
by case: ifP => _; rewrite ?big_seq1 ?big_nil zc1 ?normr1 ?ler01.
Qed.

Lemma factor_le (fs : seq Z) i : `|zc (nth Z0 fs i)| <= zc (List.fold_right (fun f a => max_z (Z.abs f) a) Z0 fs).
Proof.
elim: fs i => [|f fs IH] i; first by rewrite nth_nil zc0 normr0.
have [h1 h2] := max_z_ge (Z.abs f) (List.fold_right (fun f a => max_z (Z.abs f) a) Z0 fs).
case: i => [|i] /=; first by rewrite -zc_abs zc_le.
by apply: le_trans (IH i) _; rewrite zc_le.
Qed.

Lemma flat_mapE A B (f : A -> seq B) (l : seq A) : List.flat_map f l = flatten [seq f a | a <- l].
Proof. by elim: l => //= a l ->. Qed.
Lemma square_one w top left side base u : u \in square w top left side base -> u.2 = Zpos xH.
Proof. by rewrite /square flat_mapE => /flatten_mapP [i _]; rewrite map_listE => /mapP [j _ ->]. Qed.
Lemma size_square w top left side base : size (square w top left side base) = Nat.mul side side.
Proof.
rewrite /square flat_mapE seqE; set f := (fun i => _); have e : forall l, size (flatten [seq f i | i <- l]) = (size l * side)%N.
  by elim=> //= a l IH; rewrite size_cat IH /f map_listE size_map size_iota mulSn.
by rewrite e size_iota.
Qed.

Theorem heaviest_sound o s i : operator_fits o s -> (i < len (operator_out o s))%N ->
  \sum_(j < len s) `|zc (operator_entry o s i j)| <= zc (heaviest o s).
Proof.
move=> fit hi; case: o fit hi => [n rows|a b t1 t2 p ks|k||k|k|||a b t1 t2 p ks|circ ms|fs] fit hi.
- apply: le_trans (weight_le rows i); rewrite zc_weight.
  case: s fit hi => // m /= /andP []; rewrite nat_eqE forallbE => /eqP -> /allP hr hi.
  have /eqP sr : size (nth [::] rows i) == n by rewrite -nat_eqE; apply: hr; apply: mem_nth.
  by rewrite [X in _ <= X](big_nth Z0) big_mkord sr.
- apply: le_trans (tap_weight _ _) _; case: s fit hi => // c h w fit hi.
  by apply: le_trans (window_weight _ _ _ _ _ _ _ _ _) _; rewrite nth_listE; apply: weight_le.
- apply: le_trans (tap_weight _ _) _; case: s fit hi => // c h w fit hi.
  rewrite zc_one_sum; last by move=> u; apply: square_one.
  by rewrite size_square /heaviest zc_of_nat.
- apply: le_trans (tap_weight _ _) _; case: s fit hi => // c h w fit hi.
  rewrite zc_one_sum; last by move=> u /=; rewrite map_listE => /mapP [q _ ->].
  by rewrite /= map_listE size_map seqE size_iota /heaviest zc_of_nat.
- apply: le_trans (tap_weight _ _) _; case: s fit hi => // c h w fit hi.
  by rewrite /= big_seq1 zc1 normr1.
- apply: le_trans (tap_weight _ _) _; case: s fit hi => // c h w fit hi.
  by rewrite /= big_seq1 zc1 normr1.
- by apply: le_trans (tap_weight _ _) _; case: s fit hi => [m|c h w] fit hi; rewrite /= big_seq1 zc1 normr1.
- apply: le_trans (tap_weight _ _) _; case: s fit hi => // c h w fit hi.
  by rewrite /= big_seq1 zc1 normr1.
- apply: le_trans (tap_weight _ _) _; case: s fit hi => // c h w fit hi.
  by rewrite /taps ring_weight nth_listE; apply: weight_le.
- apply: le_trans (tap_weight _ _) _; case: s fit hi => // c h w fit hi; exact: moved_weight.
- by apply: le_trans (tap_weight _ _) _; rewrite /taps big_seq1 /= nth_listE; case: s fit hi => *; apply: factor_le.
Qed.

Theorem apply_many_sound o s xs : operator_fits o s -> all (fun x => size x == len s) xs ->
  apply_many o s xs = List.map (apply o s) xs.
Proof.
move=> fit; apply: (@many_sound _ (len (operator_out o s)) _ _ (fun i j => zc (operator_entry o s i j))) => [x _|x i sx hi|i hi].
- exact: size_apply.
- exact: apply_sound.
- exact: heaviest_sound.
Qed.

Theorem adjoint_many_sound o s ys : operator_fits o s -> all (fun y => size y == len (operator_out o s)) ys ->
  adjoint_many o s ys = List.map (adjoint o s) ys.
Proof.
move=> fit hys; rewrite /adjoint_many.
rewrite (@many_sound _ (len s) _ _ (fun j i => zc (operator_entry o s i j))) // => [|x _|x j sx hj|j hj].
- rewrite !map_listE; apply/eq_in_map => y hy; have sy := eqP (allP hys _ hy).
  apply: (@eq_from_nth _ Z0) => [|j]; first by rewrite size_gather // size_adjoint.
  by rewrite size_gather // => hj; apply: (@zc_inj F); rewrite gather_sound // adjoint_sound.
- exact: size_gather.
- exact: gather_sound.
- rewrite zcM zc_of_nat -[X in X%:R](card_ord (len (operator_out o s))) -sum1_card natr_sum mulr_suml; apply: ler_sum => i _.
  rewrite mul1r; apply: le_trans (heaviest_sound fit (ltn_ord i)); rewrite (bigD1 (Ordinal hj)) //= ler_addl.
  by apply: sumr_ge0 => k _.
Qed.
End Sound.

(* Samples. *)
Definition well (n : nat) (x : ratios) := Z.ltb 0 x.1 && (size x.2 == n).
Lemma wellP n x : reflect (proper n x) (well n x).
Proof. by apply: (iffP andP) => -[h /eqP e]. Qed.

Lemma map2_maps A B C D (f : B -> C -> D) (g : A -> B) (h : A -> C) (xs : seq A) :
  map2_z f (List.map g xs) (List.map h xs) = List.map (fun x => f (g x) (h x)) xs.
Proof. by elim: xs => //= x xs ->. Qed.
Lemma map2_map B C D (f : B -> C -> D) (h : B -> C) (xs : seq B) : map2_z f xs (List.map h xs) = List.map (fun x => f x (h x)) xs.
Proof. by elim: xs => //= x xs ->. Qed.
Lemma map_maps A B C (f : B -> C) (g : A -> B) (xs : seq A) : List.map f (List.map g xs) = List.map (fun x => f (g x)) xs.
Proof. by elim: xs => //= x xs ->. Qed.
Lemma eq_maps (A : eqType) B (f g : A -> B) (xs : seq A) : (forall x, x \in xs -> f x = g x) -> List.map f xs = List.map g xs.
Proof. by move=> h; rewrite !map_listE; apply/eq_in_map. Qed.
Lemma all_maps A B (p : pred B) (f : A -> B) (xs : seq A) : all p (List.map f xs) = all (fun x => p (f x)) xs.
Proof. by rewrite map_listE all_map. Qed.

Section Many.
Let F := rat_realFieldType.

Lemma sizes n xs : all (well n) xs -> all (fun x => size x == n) (List.map snd xs).
Proof. by rewrite all_maps; apply: sub_all => x /andP []. Qed.

Lemma affine_many_sound l s xs : linear_fits l s -> all (well (len s)) xs -> affine_many l s xs = List.map (affine l s) xs.
Proof. by move=> /andP [_ fit] h; rewrite /affine_many (apply_many_sound F fit) ?sizes // map_maps map2_map. Qed.

Lemma affine_well l s xs : linear_fits l s -> all (well (len s)) xs -> all (well (len (linear_out l s))) (List.map (affine l s) xs).
Proof. by move=> fit h; rewrite all_maps; apply: sub_all h => x /wellP h; apply/wellP/affine_proper. Qed.

Lemma leaky_well n g xs : Z.ltb 0 (slope_den g) -> all (well n) xs -> all (well n) (List.map (leaky_vector g) xs).
Proof. by move=> g0 h; rewrite all_maps; apply: sub_all h => x /wellP h; apply/wellP/leaky_proper. Qed.

Theorem field_many_sound f s xs : field_fits f s -> all (well (len s)) xs -> field_many f s xs = List.map (field_value f s) xs.
Proof.
case: f => [l g|l g v] /=.
- move=> /andP [fit g0] h; rewrite affine_many_sound // map_maps /linear_adjoint_many.
  have hw : all (well (len (linear_out l s))) (List.map (fun x => leaky_vector g (affine l s x)) xs).
    by rewrite -map_maps; apply: leaky_well => //; apply: affine_well.
  move: (fit) => /andP [_ fit']; rewrite (adjoint_many_sound F fit') ?sizes //.
  by rewrite !map_maps map2_maps map_maps.
- move=> /andP [/andP [/andP [f1 f2] g0] _] h; rewrite (affine_many_sound f1 h) affine_many_sound ?map_maps //.
  by rewrite -map_maps; apply: leaky_well => //; apply: affine_well.
Qed.

Section Steps.
Variables (n : nat) (fs : seq ratios -> seq ratios) (f : ratios -> ratios) (p q : Z).
Hypothesis q0 : Z.ltb 0 q.
Hypothesis f_proper : forall x, proper n x -> proper n (f x).
Hypothesis fs_sound : forall xs, all (well n) xs -> fs xs = List.map f xs.

(* stages as functions of the sample *)
Notation at_ ks x := [seq k x | k <- ks].
Notation over_all ks xs := [seq List.map k xs | k <- ks].

Lemma moved_many_sound a (ks : seq (ratios -> ratios)) (g : ratios -> ratios) xs :
  moved_many p q a (over_all ks xs) (List.map g xs) = List.map (fun x => moved p q a (at_ ks x) (g x)) xs.
Proof. by elim: a ks g => [|aj a IH] [|k ks] g //=; rewrite map2_maps IH. Qed.

Lemma stages_many_sound A xs (ks : seq (ratios -> ratios)) : all (well n) xs ->
  (forall x, x \in xs -> all (well n) (at_ ks x)) ->
  exists ks', stages_many fs p q A xs (over_all ks xs) = over_all ks' xs /\
    forall x, x \in xs -> stages f p q A x (at_ ks x) = at_ ks' x.
Proof.
move=> hx; elim: A ks => [|a A IH] ks hk /=; first by exists ks.
have mw : all (well n) (List.map (fun x => moved p q a (at_ ks x) x) xs).
  rewrite all_maps; apply/allP => x xin; apply/wellP/moved_proper => //; first exact: hk.
  by apply/wellP; move/allP: hx => /(_ _ xin).
pose k' x := f (moved p q a (at_ ks x) x); have e := moved_many_sound a ks id xs.
rewrite List.map_id in e; rewrite e fs_sound // map_maps.
have [|ks' [h1 h2]] := IH (ks ++ [:: k']).
  move=> x xin; rewrite map_cat all_cat hk //= andbT; apply/wellP/f_proper/wellP.
  by move: mw; rewrite all_maps => /allP /(_ _ xin).
exists ks'; split; first by rewrite -h1 map_cat.
by move=> x xin; rewrite -h2 // map_cat.
Qed.
End Steps.

Theorem step_many_sound n fs f m h h_den xs : Z.ltb 0 h_den -> Z.ltb 0 (t_d m) ->
  (forall x, proper n x -> proper n (f x)) -> (forall xs, all (well n) xs -> fs xs = List.map f xs) -> all (well n) xs ->
  step_many fs m h h_den xs = List.map (step f m h h_den) xs /\ all (well n) (step_many fs m h h_den xs).
Proof.
move=> h0 d0 fp fss hx; rewrite /step_many.
have q0 : Z.ltb 0 (Z.mul h_den (t_d m)) by apply/Z.ltb_lt/Z.mul_pos_pos; apply/Z.ltb_lt.
have [|ks [h1 h2]] := @stages_many_sound n fs f h _ q0 fp fss (t_A m) xs [::] hx; first by [].
rewrite /= in h1 h2; rewrite h1; have e := @moved_many_sound h (Z.mul h_den (t_d m)) (t_b m) ks id xs.
rewrite List.map_id in e; rewrite e; split; first by apply: eq_maps => x xin; rewrite /step h2.
rewrite all_maps; apply/allP => x xin; have px : proper n x by apply/wellP; move/allP: hx => /(_ _ xin).
by apply/wellP/moved_proper => //; rewrite -h2 //; apply: stages_proper.
Qed.
End Many.
