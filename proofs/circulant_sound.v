(* What the check of circulant_core.v shows, over any real field.

     digits_value   the digits of the value of a polynomial are its coefficients, if none of them is large
     circulant_sound   circulant_ok V R  gives  |V f|^2 <= (alpha + beta) |f|^2  for all functions f on the torus *)

From Coq Require Import ZArith List.
From mathcomp Require Import all_ssreflect all_algebra zify ssrZ.
From mathcomp Require Import ring.
Require Import euclidean circulant integer_core integer_packed integer_sound network_sound circulant_core.
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
Local Arguments digits : simpl never.
Local Arguments List.repeat : simpl never.

(* Digits. *)
Lemma digits_value half l : all (fun x => Z.leb (Z.abs x) half) l ->
  digits (size l) half (Z.add (Z.mul 2 half) 1) (value_at (Z.add (Z.mul 2 half) 1) l) = l.
Proof.
elim: l => //= x l IH /andP [hx /IH e]; rewrite /digits -/digits; set B := Z.add _ _ in e *; set v := value_at B l in e *.
have -> : Z.div (Z.add (Z.add x (Z.mul B v)) half) B = v.
  move/Z.leb_le: hx => hx; symmetry; apply: (Z.div_unique _ _ _ (Z.add x half)); [left; rewrite /B; lia | ].
  move: (Z.mul B v) => p; lia.
by rewrite e; congr cons; move: (Z.mul B v) => p; lia.
Qed.

Lemma value_bound half B l : Z.leb 0 half -> Z.leb 0 B -> all (fun x => Z.leb (Z.abs x) half) l ->
  Z.leb (Z.abs (value_at B l)) (value_at B (List.repeat half (size l))).
Proof.
move=> /Z.leb_le h0 /Z.leb_le B0; elim: l => [|x l IH]; first by move=> _; exact: Z.leb_refl.
move=> /= /andP [/Z.leb_le hx hl]; move/Z.leb_le: (IH hl); move: (value_at B l) (value_at B _) => v w hv; apply/Z.leb_le.
apply: Z.le_trans (Z.abs_triangle _ _) _; apply: Z.add_le_mono => //.
by rewrite Z.abs_mul (Z.abs_eq B) //; apply: Z.mul_le_mono_nonneg_l.
Qed.

Section Sound.
Variable F : realFieldType.
Notation zc := (zc F).

Lemma zc_inj a b : zc a = zc b -> a = b.
Proof.
move=> e; have h1 : Z.leb a b by rewrite -(zc_le F) e.
by have h2 : Z.leb b a by [rewrite -(zc_le F) e]; lia.
Qed.

Lemma zc_bigsum (I : Type) (r : seq I) (P : pred I) (f : I -> Z) : zc (\sum_(i <- r | P i) f i) = \sum_(i <- r | P i) zc (f i).
Proof. exact: (big_morph zc (fun a b => zcD F a b) (zc0 F)). Qed.

Lemma zc_sum_z l : zc (sum_z l) = \sum_(x <- l) zc x.
Proof. by elim: l => [|x l IH]; rewrite ?big_nil // big_cons -IH -zcD. Qed.

Lemma zc_weight l : zc (weight_z l) = \sum_(x <- l) `|zc x|.
Proof. by rewrite /weight_z zc_sum_z map_listE big_map; apply: eq_bigr => x _; rewrite zc_abs. Qed.

Lemma zc_weight2 k : zc (weight2_z k) = \sum_(r <- k) \sum_(x <- r) `|zc x|.
Proof. by rewrite /weight2_z zc_sum_z map_listE big_map; apply: eq_bigr => x _; rewrite zc_weight. Qed.

Lemma zc_value B l n : (size l <= n)%N -> zc (value_at B l) = \sum_(i < n) zc (nth Z0 l i) * zc B ^+ i.
Proof.
elim: l n => [|x l IH] [|n] //= h; first by rewrite big_ord0.
  by rewrite big1 // => i _; rewrite nth_nil zc0 mul0r.
rewrite zcD zcM (IH n) // big_ord_recl /= expr0 mulr1 mulr_sumr; congr (_ + _).
by apply: eq_bigr => i _; rewrite /= /bump /= add1n exprS mulrCA.
Qed.

Variables (n1 n2 : nat) (twisted1 twisted2 : bool) (alpha beta : Z).
Let N1 := n1.+1.
Let N2 := n2.+1.
Definition sign_of (twisted : bool) : F := if twisted then -1 else 1.
Lemma sign_sq twisted : sign_of twisted * sign_of twisted = 1.
Proof. by case: twisted; rewrite /sign_of ?mulr1 // mulrNN mulr1. Qed.

Definition entry (k : kernel) (i j : nat) : Z := nth Z0 (nth [::] k i) j.
Definition sized (k : kernel) := k = [::] \/ (size k = N1 /\ all (fun r => size r == N2) k).

Lemma zc_encode B2 B k : sized k ->
  zc (encode B2 B k) = \sum_(i < N1) \sum_(j < N2) zc (entry k i j) * (zc B2 ^+ i * zc B ^+ j).
Proof.
move=> sz; rewrite /encode (@zc_value _ _ N1) ?map_listE; last first.
  by rewrite size_map; case: sz => [->|[-> _]].
apply: eq_bigr => i _; case: sz => [->|[s1 s2]].
  by rewrite nth_nil zc0 mul0r big1 // => j _; rewrite /entry !nth_nil zc0 mul0r.
rewrite (nth_map [::]) ?s1 // (@zc_value _ _ N2); last first.
  by have := allP s2 _ (mem_nth [::] (_ : (i < size k)%N)); rewrite s1 => /(_ (ltn_ord i)) /eqP ->.
rewrite mulr_suml; apply: eq_bigr => j _; rewrite /entry; ring.
Qed.

Lemma zc_encode_reversed B2 B k : sized k ->
  zc (encode B2 B (reversed k)) = \sum_(i < N1) \sum_(j < N2) zc (entry k i j) * (zc B2 ^+ (n1 - i) * zc B ^+ (n2 - j)).
Proof.
have revE T (l : seq T) : List.rev l = rev l.
  by elim: l => //= x l IH; rewrite rev_cons -cats1 -IH.
move=> sz; have sz' : sized (reversed k).
  rewrite /reversed revE map_listE; case: sz => [->|[s1 s2]]; [by left | right].
  by rewrite size_rev size_map all_rev all_map; split=> //; apply: sub_all s2 => r; rewrite /= revE size_rev.
rewrite zc_encode // (reindex_inj rev_ord_inj) /=; apply: eq_bigr => i _.
rewrite (reindex_inj rev_ord_inj) /=; apply: eq_bigr => j _; rewrite !subSS; congr (zc _ * _).
rewrite /entry /reversed revE map_listE; case: sz => [->|[s1 s2]]; first by rewrite !nth_nil.
have si : size (nth [::] k i) = N2.
  by have := allP s2 _ (mem_nth [::] (_ : (i < size k)%N)); rewrite s1 => /(_ (ltn_ord i)) /eqP.
have hi : (n1 - i < N1)%N by rewrite ltnS leq_subr.
have hj : (n2 - j < N2)%N by rewrite ltnS leq_subr.
rewrite nth_rev size_map s1 // (nth_map [::]) ?s1; last by rewrite subSS ltnS leq_subr.
have li : (i <= n1)%N by rewrite -ltnS.
have lj : (j <= n2)%N by rewrite -ltnS.
by rewrite revE subSS subKn // nth_rev si // subSS subKn.
Qed.

(* The columns. *)
Definition kernel_of (W : columns) (a o i j : nat) : F := zc (entry (nth [::] (nth [::] W a) o) i j).
Definition all_sized (W : columns) := all (all (fun k => (size k == N1) && all (fun r => size r == N2) k)) W.

Lemma all_sized_nth W a o : all_sized W -> sized (nth [::] (nth [::] W a) o).
Proof.
move=> /allP h; case: (ltnP a (size W)) => ha; last by rewrite (nth_default _ ha) nth_nil; left.
have := h _ (mem_nth [::] ha) => /allP h2.
case: (ltnP o (size (nth [::] W a))) => ho; last by rewrite (nth_default _ ho); left.
by have := h2 _ (mem_nth [::] ho) => /andP [/eqP e1 e2]; right.
Qed.

Lemma sum_nth (T : Type) (d : T) (g : T -> F) (l : seq T) n : (size l <= n)%N -> g d = 0 ->
  \sum_(x <- l) g x = \sum_(i < n) g (nth d l i).
Proof.
elim: l n => [|x l IH] [|n] //= h gd; rewrite ?big_nil ?big_ord0 //.
  by rewrite big1 // => i _; rewrite nth_nil.
by rewrite big_cons big_ord_recl /= (IH n).
Qed.

(* the sum of the absolute values of a column *)
Lemma zc_column_weight c q : (size c <= q)%N -> (forall o, sized (nth [::] c o)) ->
  zc (sum_z (List.map weight2_z c)) = \sum_(o < q) \sum_(i < N1) \sum_(j < N2) `|zc (entry (nth [::] c o) i j)|.
Proof.
move=> sq hs; rewrite zc_sum_z map_listE big_map (@sum_nth _ [::] (fun k => zc (weight2_z k)) c q) //=.
  apply: eq_bigr => o _; rewrite zc_weight2 (@sum_nth _ [::] (fun r => \sum_(x <- r) `|zc x|) _ N1) ?big_nil //; last first.
    by case: (hs o) => [->|[-> _]].
  apply: eq_bigr => i _; rewrite (@sum_nth _ Z0 (fun x => `|zc x|) _ N2) ?zc0 ?normr0 //.
  case: (hs o) => [->|[s1 s2]]; first by rewrite nth_nil.
  by have := allP s2 _ (mem_nth [::] (_ : (i < size (nth [::] c o))%N)); rewrite s1 => /(_ (ltn_ord i)) /eqP ->.
Qed.

Definition total (W : columns) : Z := List.fold_right (fun c a => max_z (sum_z (List.map weight2_z c)) a) Z0 W.
Lemma total_le W a : Z.leb 0 (total W) /\ Z.leb (sum_z (List.map weight2_z (nth [::] W a))) (total W).
Proof.
elim: W a => [|c W IH] a; first by rewrite nth_nil.
have [h0 _] := IH 0%N; rewrite (_ : total (c :: W) = max_z (sum_z (List.map weight2_z c)) (total W)) //.
have m1 := max_z_l (sum_z (List.map weight2_z c)) (total W); have m2 := max_z_r (sum_z (List.map weight2_z c)) (total W).
have [_ h1] := IH a.-1; move: m1 m2 h0 h1; move: (total W) (max_z _ _) => u m.
case: a => [|a] /=; move: (sum_z _) (sum_z _) => *; split; lia.
Qed.

(* The coefficients of a product, as integers. *)
Section Product.
Variables (W : columns) (n q : nat).
Hypothesis W_sized : all_sized W.
Hypothesis W_outputs : forall a, (size (nth [::] W a) <= q)%N.
Let K (a : 'I_n) (o : 'I_q) (i j : nat) : F := kernel_of W a o i j.

Definition coefficient (a b k l : nat) : Z :=
  \sum_(o < q) \sum_(t1 < N1) \sum_(t2 < N2) \sum_(t1' < N1) \sum_(t2' < N2)
    (if (k == n1 - t1 + t1')%N && (l == n2 - t2 + t2')%N
     then Z.mul (entry (nth [::] (nth [::] W a) o) t1 t2) (entry (nth [::] (nth [::] W b) o) t1' t2') else Z0).

Lemma zc_coefficient (a b : 'I_n) k l : zc (coefficient a b k l) = product n1 n2 K a b k l.
Proof.
do 5 (rewrite zc_bigsum; apply: eq_bigr => ? _).
by case: (_ && _); rewrite ?mulr1n ?mulr0n // zcM.
Qed.

Lemma dot_encoded B2 B (a b : 'I_n) :
  zc (dot_z 0 (List.map (fun k => encode B2 B (reversed k)) (nth [::] W a)) (List.map (encode B2 B) (nth [::] W b))) =
  \sum_(k < n1 + N1) \sum_(l < n2 + N2) product n1 n2 K a b k l * (zc B2 ^+ k * zc B ^+ l).
Proof.
rewrite (product_weighted n1 n2 K a b (fun k l => zc B2 ^+ k * zc B ^+ l)).
rewrite !map_listE (@dot_zE F q) ?size_map // zc0 add0r; apply: eq_bigr => o _.
have at_ (f : kernel -> Z) (c : seq kernel) : f [::] = Z0 -> nth Z0 [seq f k | k <- c] o = f (nth [::] c o).
  move=> e; case: (ltnP o (size c)) => h; first by rewrite (nth_map [::]).
  by rewrite !nth_default ?size_map.
rewrite !at_ // zc_encode_reversed ?zc_encode; try exact: all_sized_nth.
rewrite mulr_suml; apply: eq_bigr => t1 _; rewrite mulr_suml; apply: eq_bigr => t2 _.
rewrite mulr_sumr; apply: eq_bigr => t1' _; rewrite mulr_sumr; apply: eq_bigr => t2' _.
have r (x y b1 b2 c1 c2 : F) : x * (b1 * c1) * (y * (b2 * c2)) = x * y * (b1 * b2 * (c1 * c2)) by ring.
by rewrite !exprD /K /kernel_of r.
Qed.

Lemma product_bounded (a b : 'I_n) k l : `|product n1 n2 K a b k l| <= zc (Z.mul (total W) (total W)).
Proof.
pose w (c : 'I_n) (o : 'I_q) : F := \sum_(i < N1) \sum_(j < N2) `|K c o i j|.
have w0 c o : 0 <= w c o by apply: sumr_ge0 => i _; apply: sumr_ge0.
have wt c : \sum_o w c o <= zc (total W).
  have [_ h] := total_le W c; apply: le_trans (_ : zc (sum_z (List.map weight2_z (nth [::] W c))) <= _); last by rewrite zc_le.
  by rewrite (@zc_column_weight _ q) // => o; apply: all_sized_nth.
have step : `|product n1 n2 K a b k l| <= \sum_o w a o * w b o.
  rewrite /product; apply: le_trans (ler_norm_sum _ _ _) _; apply: ler_sum => o _.
  rewrite /w mulr_suml; apply: le_trans (ler_norm_sum _ _ _) _; apply: ler_sum => t1 _.
  rewrite mulr_suml; apply: le_trans (ler_norm_sum _ _ _) _; apply: ler_sum => t2 _.
  rewrite mulr_sumr; apply: le_trans (ler_norm_sum _ _ _) _; apply: ler_sum => t1' _.
  rewrite mulr_sumr; apply: le_trans (ler_norm_sum _ _ _) _; apply: ler_sum => t2' _.
  by rewrite -normrM; case: (_ && _); rewrite ?mulr1n ?mulr0n ?normr0.
apply: le_trans step _; apply: (@le_trans _ _ ((\sum_o w a o) * \sum_o w b o)).
  rewrite mulr_suml; apply: ler_sum => o _; apply: ler_wpmul2l => //.
  by rewrite (bigD1 o) //= ler_addl; apply: sumr_ge0.
by rewrite zcM; apply: ler_pmul => //; apply: sumr_ge0.
Qed.
End Product.

(* What the program reads off the digits. *)
Lemma size_fold_z T n (op : T -> T -> T) z l : size l = (n + n.+1)%N -> size (fold_z n op z l) = n.+1.
Proof.
move=> sl; rewrite /fold_z; have s1 : size (List.skipn n l) = n.+1 by rewrite -[size _]/(List.length _) List.skipn_length [List.length l]sl; lia.
have s2 : size (z :: List.firstn n l) = n.+1.
  by rewrite /= -[size _]/(List.length _) List.firstn_length [List.length l]sl; congr S; lia.
have size2 (T1 T2 T3 : Type) (f : T1 -> T2 -> T3) (u : seq T1) (v : seq T2) : size u = size v -> size (map2_z f u v) = size v.
  by elim: u v => [|x u IH] [|y v] //= [e]; rewrite IH.
by rewrite size2 ?s1 ?s2.
Qed.

Lemma nth_fold_z T n (op : T -> T -> T) z d l m : size l = (n + n.+1)%N -> (m < n.+1)%N ->
  nth d (fold_z n op z l) m = op (nth d l (n + m)) (if m is m'.+1 then nth d l m' else z).
Proof.
move=> sl hm; rewrite /fold_z.
have s1 : size (List.skipn n l) = n.+1 by rewrite -[size _]/(List.length _) List.skipn_length [List.length l]sl; lia.
have s2 : size (z :: List.firstn n l) = n.+1.
  by rewrite /= -[size _]/(List.length _) List.firstn_length [List.length l]sl; congr S; lia.
have nth2 (u v : seq T) k : (k < size u)%N -> (k < size v)%N -> nth d (map2_z op u v) k = op (nth d u k) (nth d v k).
  by elim: u v k => [|x u IH] [|y v] [|k] //= h1 h2; apply: IH.
rewrite nth2 ?s1 ?s2 //; congr op.
- by elim: n l {sl hm s1 s2} => [|n IH] [|x l] //=; rewrite ?nth_nil.
- case: m hm => // m hm /=; elim: n l m hm {sl s1 s2} => [|n IH] [|x l] [|m] //= hm; rewrite ?nth_nil //; exact: IH.
Qed.

Lemma zc_signed_add tw a b : zc (signed_add tw a b) = zc a + sign_of tw * zc b.
Proof. by case: tw; rewrite /signed_add /sign_of ?zcB ?zcD ?mulN1r ?mul1r. Qed.

Lemma torus_weightE half s (e : nat -> nat -> Z) (B := Z.add (Z.mul 2 half) 1)
    (half2 := value_at B (List.repeat half (S (n2 + n2)))) (B2 := Z.add (Z.mul 2 half2) 1) : Z.leb 0 half ->
  (forall k l, Z.leb (Z.abs (e k l)) half) ->
  zc s = \sum_(k < n1 + N1) \sum_(l < n2 + N2) zc (e k l) * (zc B2 ^+ k * zc B ^+ l) ->
  zc (torus_weight n1 n2 twisted1 twisted2 half B half2 B2 s) =
  absolute n1 n2 (sign_of twisted1) (sign_of twisted2) (fun k l => zc (e k l)).
Proof.
move=> h0 small es; have B0 : Z.leb 0 B by rewrite /B; lia.
set rows := mkseq (fun k => mkseq (e k) (n2 + N2)) (n1 + N1).
have row_in r : r \in rows -> size r = (n2 + N2)%N /\ all (fun x => Z.leb (Z.abs x) half) r.
  move=> /mapP [k _ ->]; rewrite size_mkseq; split=> //; by apply/allP => x /mapP [l _ ->].
have {}es : s = value_at B2 [seq value_at B r | r <- rows].
  apply: zc_inj; rewrite es (@zc_value _ _ (n1 + N1)) ?size_map ?size_iota //; apply: eq_bigr => k _.
  rewrite (nth_map [::]) ?size_mkseq // nth_mkseq // (@zc_value _ _ (n2 + N2)) ?size_mkseq // mulr_suml.
  apply: eq_bigr => l _; rewrite nth_mkseq //; ring.
have d1 : digits (S (n1 + n1)) half2 B2 s = [seq value_at B r | r <- rows].
  rewrite es (_ : S (n1 + n1) = size [seq value_at B r | r <- rows]); last by rewrite !size_map size_iota addnS.
  apply: digits_value; rewrite all_map; apply/allP => r /row_in [sr hr] /=.
  by have := value_bound h0 B0 hr; rewrite sr addnS.
rewrite /torus_weight d1 map_listE -map_comp.
set folded := fold_z _ _ _ _.
have eq_rows : [seq ((fun row => fold_z n2 (signed_add twisted2) Z0 (digits (S (n2 + n2)) half B row)) \o value_at B) r | r <- rows] =
    [seq fold_z n2 (signed_add twisted2) Z0 r | r <- rows].
  apply/eq_in_map => r /row_in [sr hr] /=; congr fold_z.
  by rewrite (_ : S (n2 + n2) = size r) ?digits_value // sr addnS.
have s_rows : size [seq fold_z n2 (signed_add twisted2) Z0 r | r <- rows] = (n1 + n1.+1)%N by rewrite size_map size_mkseq.
have inner k : (k < n1 + N1)%N -> forall j, (j < N2)%N ->
    nth Z0 (nth [::] [seq fold_z n2 (signed_add twisted2) Z0 r | r <- rows] k) j =
    signed_add twisted2 (e k (n2 + j)%N) (if j is j'.+1 then e k j' else Z0).
  move=> hk j hj; rewrite (nth_map [::]) ?size_mkseq // nth_mkseq // (nth_fold_z _ _ _ _ hj) ?size_mkseq //.
  rewrite nth_mkseq; last by rewrite ltn_add2l.
  by case: j hj => // j hj; rewrite nth_mkseq //; move: hj; rewrite /N2; lia.
have sizes k : (k < n1 + N1)%N -> size (nth [::] [seq fold_z n2 (signed_add twisted2) Z0 r | r <- rows] k) = N2.
  by move=> hk; rewrite (nth_map [::]) ?size_mkseq // nth_mkseq // size_fold_z ?size_mkseq.
rewrite /folded eq_rows {folded eq_rows}; move: s_rows inner sizes; set L := [seq _ | _ <- rows] => sL inner sizes.
set op := map2_z _; set z := List.repeat Z0 (S n2).
have sz : size z = N2 := size_zeros (S n2).
have size2 (u v : seq Z) : size u = size v -> size (op u v) = size v.
  by rewrite /op; elim: u v => [|x u IH] [|y v] //= [h]; rewrite IH.
have nth2 (u v : seq Z) j : (j < size u)%N -> (j < size v)%N -> nth Z0 (op u v) j = signed_add twisted1 (nth Z0 u j) (nth Z0 v j).
  by rewrite /op; elim: u v j => [|x u IH] [|y v] [|j] //= h1 h2; apply: IH.
rewrite zc_weight2 (@sum_nth _ [::] (fun r => \sum_(x <- r) `|zc x|) _ N1) ?big_nil ?size_fold_z //.
apply: eq_bigr => i _; rewrite (nth_fold_z _ _ _ sL (ltn_ord i)).
have hi : (n1 + i < n1 + N1)%N by rewrite ltn_add2l.
have si k : (k < N1)%N -> size (if k is k'.+1 then nth [::] L k' else z) = N2.
  by case: k => [|k] //= hk; rewrite sizes //; move: (hk); rewrite /N1; lia.
have si' := si _ (ltn_ord i).
have so : size (op (nth [::] L (n1 + i)) (if nat_of_ord i is i'.+1 then nth [::] L i' else z)) = N2 by rewrite size2 si' // sizes.
rewrite (@sum_nth _ Z0 (fun x => `|zc x|) _ N2) ?zc0 ?normr0 ?so //; apply: eq_bigr => j _.
rewrite nth2 ?si' ?sizes // zc_signed_add /fold2 /fold inner // zc_signed_add; congr (`| _ + _ |).
  by congr (_ + _); case: j => [[|j] hj] //=; rewrite zc0 mulr0.
case: i {so} si' hi => [[|i] hi0] /= si' hi.
  by rewrite (nth_zeros (S n2) j : nth Z0 z j = Z0) zc0 mulr0.
congr (_ * _); rewrite inner // ?zc_signed_add; last by move: (hi0); rewrite /N1; lia.
by congr (_ + _); case: j => [[|j] hj] //=; rewrite zc0 mulr0.
Qed.

Lemma weights_nth w one Vr Rr V R a b : size Vr = size V -> size Rr = size V -> size R = size V -> (a <= b)%N -> (b < size V)%N ->
  weight_of (weights alpha w one Vr Rr V R) a b =
  w (Z.sub (Z.sub (if a == b then Z.mul alpha one else Z0) (dot_z 0 (nth [::] Vr a) (nth [::] V b))) (dot_z 0 (nth [::] Rr a) (nth [::] R b))).
Proof.
rewrite /weight_of; elim: V Vr Rr R a b => [|v0 V IH] [|v Vr] [|r Rr] [|r0 R] // a b [s1] [s2] [s3] le lt.
case: a b le lt => [|a] [|b] // le lt; last by rewrite /= ?eqSS; apply: (IH Vr Rr R).
rewrite /=; have {}lt : (b < size V)%N := lt.
have general (u : seq (seq Z)) (x : seq (seq Z)) : (b < size u)%N -> (b < size x)%N ->
    List.nth b (map2_z (fun v' r' => w (Z.sub (Z.opp (dot_z 0 v v')) (dot_z 0 r r'))) u x) Z0 =
    w (Z.sub (Z.opp (dot_z 0 v (nth [::] u b))) (dot_z 0 r (nth [::] x b))).
  by elim: u x (b) {lt le} => [|y u IHu] [|z x] [|k] //= h1 h2; apply: IHu.
by rewrite general ?s3 //; congr w; move: (dot_z _ _ _) => p; lia.
Qed.

Theorem circulant_sound V R n m (f : 'I_n -> nat -> nat -> F) : size V = n ->
  circulant_ok n1 n2 twisted1 twisted2 alpha beta V R -> (forall a, (size (nth [::] V a) <= m)%N) ->
  (forall a, on_torus n1 n2 (sign_of twisted1) (sign_of twisted2) (f a)) ->
  \sum_(o < m) \sum_(i < N1) \sum_(j < N2) act n1 n2 f (fun (a : 'I_n) (o : 'I_m) => kernel_of V a o) o i j ^+ 2 <=
  (zc alpha + zc beta) * \sum_a norm2 n1 n2 (f a).
Proof.
move=> sV; rewrite /circulant_ok; case eb: (bases _ _ _ _) => [[half B] half2].
rewrite -!andbA !forallbE nat_eqE => /and4P [okV okR /eqP sVR ok] outV torus.
have sized_of W : all (forallb (kernel_ok n1 n2)) W -> all_sized W.
  move=> h; apply: sub_all h => c; rewrite forallbE; apply: sub_all => k; rewrite /kernel_ok nat_eqE forallbE.
  by rewrite (eq_all (fun r => nat_eqE (length r) (S n2))).
have zV := sized_of _ okV; have zR := sized_of _ okR.
have sR : size R = n by rewrite -sV [RHS]sVR.
pose q := \max_(a < size R) size (nth [::] R a).
have outR a : (size (nth [::] R a) <= q)%N.
  case: (ltnP a (size R)) => h; last by rewrite (nth_default _ h).
  exact: (leq_bigmax (Ordinal h)).
move: eb ok; rewrite /bases -/(total V) -/(total R) => -[<- <- <-]; cbv zeta.
set h := Z.add (Z.add (Z.abs alpha) (Z.mul (total V) (total V))) (Z.mul (total R) (total R)).
set B' := Z.add (Z.mul 2 h) 1; set h2 := value_at B' (List.repeat h (S (n2 + n2))); set B2 := Z.add (Z.mul 2 h2) 1.
set one := value_at B2 _; set T := weights _ _ _ _ _ _ _.
have [tV _] := total_le V 0%N; have [tR _] := total_le R 0%N.
have sqV : Z.leb 0 (Z.mul (total V) (total V)) by apply/Z.leb_le/Z.square_nonneg.
have sqR : Z.leb 0 (Z.mul (total R) (total R)) by apply/Z.leb_le/Z.square_nonneg.
have h0 : Z.leb 0 h by rewrite /h; move: sqV sqR; move: (Z.mul _ _) (Z.mul _ _) => x y; lia.
pose e a b k l := Z.sub (Z.sub (if [&& a == b, k == n1 & l == n2] then alpha else Z0) (coefficient V m a b k l)) (coefficient R q a b k l).
pose KV (a : 'I_n) (o : 'I_m) := kernel_of V a o; pose KR (a : 'I_n) (o : 'I_q) := kernel_of R a o.
have eE (a b : 'I_n) k l : zc (e a b k l) = residual n1 n2 KV KR (zc alpha) a b k l.
  rewrite /e !zcB !zc_coefficient /residual; congr (_ - _ - _).
  rewrite val_eqE; by case: [&& _, _ & _]; rewrite ?mulr1n ?mulr0n.
have small (a b : 'I_n) k l : Z.leb (Z.abs (e a b k l)) h.
  rewrite -(zc_le F) zc_abs eE /residual /h !zcD zc_abs.
  apply: le_trans (ler_norm_sub _ _) _; apply: ler_add; last exact: product_bounded.
  apply: le_trans (ler_norm_sub _ _) _; apply: ler_add; last exact: product_bounded.
  by case: [&& _, _ & _]; rewrite ?mulr1n ?mulr0n ?normr0.
have zone : zc one = zc B2 ^+ n1 * zc B' ^+ n2.
  have at_end C k x : zc (value_at C (List.repeat Z0 k ++ [:: x])) = zc x * zc C ^+ k.
    elim: k => [|k IH] /=; first by rewrite zcD zcM zc0 mulr0 addr0 expr0 mulr1.
    by rewrite zcD zcM zc0 add0r IH exprS mulrCA.
  by rewrite /one at_end at_end zc1 mul1r mulrC.
have entries (a b : 'I_n) : (a <= b)%N ->
    zc (weight_of T a b) = absolute n1 n2 (sign_of twisted1) (sign_of twisted2) (residual n1 n2 KV KR (zc alpha) a b).
  move=> le; rewrite /T weights_nth ?map_listE ?size_map ?sR ?sV //.
  have mapped (g : kernel -> Z) (W : columns) (c : nat) : nth [::] [seq List.map g k | k <- W] c = List.map g (nth [::] W c).
    case: (ltnP c (size W)) => hc; first by rewrite (nth_map [::]).
    by rewrite !nth_default ?size_map.
  rewrite !mapped (torus_weightE (e := e a b) h0) //; last first.
    rewrite !zcB (dot_encoded zV outV) (dot_encoded zR outR).
    under [RHS]eq_bigr => k _ do under eq_bigr => l _ do rewrite eE /residual !mulrBl.
    under [RHS]eq_bigr => k _ do rewrite !sumrB.
    rewrite !sumrB; congr (_ - _ - _); rewrite val_eqE; case: (eqVneq a b) => [_|_] /=; last first.
      by rewrite zc0 big1 // => k _; apply: big1 => l _; rewrite ?mulr0n mul0r.
    rewrite zcM zone (pick (fun k l => zc B2 ^+ k * zc B' ^+ l) (zc alpha) (k := n1) (l := n2)) //.
    + by rewrite /N1 addnS ltnS leq_addr.
    + by rewrite /N2 addnS ltnS leq_addr.
  by rewrite /absolute; apply: eq_bigr => i _; apply: eq_bigr => j _; rewrite /fold2 /fold !eE; case: (val i) => [|?]; case: (val j) => [|?]; rewrite ?eE.
move=> ok; apply: (@circulant_bound _ _ _ _ _ (sign_sq _) (sign_sq _) _ _ _ KV KR f torus _ _ (fun a b => zc (weight_of T a b))).
- by move=> a b le; rewrite -entries.
- move=> a; move: ok; rewrite seqE => /allP /(_ (val a)); rewrite mem_iota add0n [length V]sV leq0n ltn_ord => /(_ isT).
  rewrite -(zc_le F) zc_sum_z map_listE big_map => hb; apply: le_trans hb.
  rewrite -(big_mkord xpredT (fun b => zc (weight_of T (minn a b) (maxn a b)))) /index_iota subn0.
  rewrite le_eqVlt; apply/orP; left; apply/eqP; apply: eq_bigr => b _; congr (zc (weight_of _ _ _)); rewrite ?/minn ?/maxn /=; case: ltnP => h3; lia.
Qed.
End Sound.
