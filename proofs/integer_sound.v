(* What the integer functions of integer_core.v mean, over any real field F.

     psd_sound       psd_z n M = true     gives   sum_ij M_ij z_i z_j >= 0 for all z
     norm_sound      norm_z alpha beta W R = true   gives   |W x|^2 <= (alpha + beta) / S^2 |x|^2 for the matrix W / S
     below_sound     below_z alpha beta W R = true  gives   |W x|^2 >= (alpha - beta) / S^2 |x|^2
     circle_sound    circle_z A b d kn kd = true    gives   M + (kn/kd) B positive semidefinite and b >= 0 *)

From Coq Require Import ZArith List.
From mathcomp Require Import all_ssreflect all_algebra zify ssrZ.
From mathcomp Require Import ring.
Require Import euclidean operator_norm circle_contractivity integer_core.
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
Local Arguments Nat.eqb : simpl never.

Section Cast.
Variable F : realFieldType.

Definition zc (z : Z) : F := (int_of_Z z)%:~R.

Lemma zcD a b : zc (Z.add a b) = zc a + zc b.
Proof. by rewrite /zc (_ : Z.add a b = a + b) // !rmorphD. Qed.
Lemma zcM a b : zc (Z.mul a b) = zc a * zc b.
Proof. by rewrite /zc (_ : Z.mul a b = a * b) // !rmorphM. Qed.
Lemma zcB a b : zc (Z.sub a b) = zc a - zc b.
Proof. by rewrite /zc (_ : Z.sub a b = a - b) // !rmorphB. Qed.
Lemma zc0 : zc Z0 = 0. Proof. by []. Qed.
Lemma zc1 : zc (Zpos xH) = 1. Proof. by []. Qed.
Lemma zc_le a b : (zc a <= zc b) = Z.leb a b.
Proof. rewrite /zc ler_int; lia. Qed.
Lemma zc_lt a b : (zc a < zc b) = Z.ltb a b.
Proof. rewrite /zc ltr_int; lia. Qed.
Lemma zc_abs a : zc (Z.abs a) = `|zc a|.
Proof. rewrite /zc -intr_norm; congr (_%:~R); lia. Qed.
Lemma zc_gt0 a : Z.ltb Z0 a -> 0 < zc a.
Proof. by rewrite -zc_lt. Qed.
Lemma zc_ge0 a : Z.leb Z0 a -> 0 <= zc a.
Proof. by rewrite -zc_le. Qed.
Lemma zc_eq (a b : Z) : Z.eqb a b -> a = b.
Proof. by move=> h; apply/Z.eqb_eq. Qed.
Lemma forallbE T (p : T -> bool) (l : seq T) : forallb p l = all p l.
Proof. by elim: l => //= a l ->. Qed.
Lemma nat_eqE m n : Nat.eqb m n = (m == n).
Proof. by apply/idP/eqP => [/PeanoNat.Nat.eqb_eq | ->] //; apply/PeanoNat.Nat.eqb_eq. Qed.

(* sum_i a_i x_i over lists *)
Fixpoint dot_f (a : seq Z) (x : seq F) : F :=
  match a, x with a0 :: a', x0 :: x' => zc a0 * x0 + dot_f a' x' | _, _ => 0 end.

(* sum_i y_i (M x)_i *)
Fixpoint form_f (M : seq (seq Z)) (y x : seq F) : F :=
  match M, y with r :: M', y0 :: y' => y0 * dot_f r x + form_f M' y' x | _, _ => 0 end.

Lemma dot_f_sum s (f : nat -> Z) (g : nat -> F) (k : nat) :
  dot_f [seq f i | i <- List.seq k s] [seq g i | i <- List.seq k s] = \sum_(i < s) zc (f (k + i)%N) * g (k + i)%N.
Proof.
elim: s k => [|s IH] k /=; first by rewrite big_ord0.
by rewrite big_ord_recl addn0 IH; congr (_ + _); apply: eq_bigr => i _; rewrite /= /bump add1n addnS addSn.
Qed.

Lemma form_f_sum s (r : nat -> seq Z) (g : nat -> F) (x : seq F) (k : nat) :
  form_f [seq r i | i <- List.seq k s] [seq g i | i <- List.seq k s] x = \sum_(i < s) g (k + i)%N * dot_f (r (k + i)%N) x.
Proof.
elim: s k => [|s IH] k /=; first by rewrite big_ord0.
by rewrite big_ord_recl addn0 IH; congr (_ + _); apply: eq_bigr => i _; rewrite /= /bump add1n addnS addSn.
Qed.
Lemma map_listE A B (f : A -> B) (l : seq A) : List.map f l = [seq f i | i <- l].
Proof. by elim: l => //= a l ->. Qed.
Lemma nth_listE A (x : A) (l : seq A) i : List.nth i l x = nth x l i.
Proof. by elim: l i => [|a l IH] [|i] //=. Qed.
End Cast.

Section Psd.
Variable F : realFieldType.
Notation zc := (zc F).

Lemma eq_zP a b : eq_z a b -> a = b.
Proof. by elim: a b => [|x a IH] [|y b] //= /andP [h /IH ->]; rewrite (zc_eq h). Qed.

Lemma dot_f_zero v (x : seq F) : forallb (Z.eqb 0) v -> dot_f v x = 0.
Proof.
elim: v x => [|a v IH] [|x0 x] //= /andP [h0 h]; by rewrite -(zc_eq h0) mul0r add0r IH.
Qed.

(* row of p C - v v^T *)
Lemma dot_f_schur_row p vi row v (x : seq F) : size row = size v ->
  dot_f (map2_z (fun c vj => Z.sub (Z.mul p c) (Z.mul vi vj)) row v) x = zc p * dot_f row x - zc vi * dot_f v x.
Proof.
elim: row v x => [|c row IH] [|vj v] [|x0 x] //=; rewrite ?mulr0 ?subr0 // => -[sz].
rewrite IH // zcB !zcM; ring.
Qed.

Lemma form_f_schur p v0 C v (y x : seq F) : all (fun r => size r == size v0) C -> size C = size v ->
  form_f (map2_z (fun vi row => map2_z (fun c vj => Z.sub (Z.mul p c) (Z.mul vi vj)) row v0) v C) y x =
  zc p * form_f C y x - dot_f v y * dot_f v0 x.
Proof.
elim: C v y => [|r C IH] [|vi v] [|y0 y] //=; rewrite ?mulr0 ?mul0r ?subr0 //.
move=> /andP [/eqP sr hC] [sz]; rewrite IH // dot_f_schur_row //; ring.
Qed.

(* x coordinate split off the rows below the first *)
Lemma form_f_tail (M : seq (seq Z)) (y : seq F) x0 x :
  form_f M y (x0 :: x) = x0 * dot_f [seq head_z r | r <- M] y + form_f [seq tail_z r | r <- M] y x.
Proof.
elim: M y => [|r M IH] [|y0 y] //=; rewrite ?mulr0 ?addr0 // IH.
case: r => [|a r] /=; last by ring.
by rewrite zc0 !mulr0 mul0r !add0r.
Qed.

Theorem psd_sound n M (x : seq F) : psd_z n M -> size x = n -> 0 <= form_f M x x.
Proof.
elim: n M x => [|n IH] [|[|p v] M] [|x0 x] //=.
rewrite -!andbA !map_listE !nat_eqE forallbE (eq_all (fun r => nat_eqE (length r) n)).
move=> /and5P [/eqP sv /eqP sC hC /eq_zP hv hp] [sx].
have {}sv : size v = n := sv.
have {sC} sM : size M = n by rewrite -sC -[RHS]/(size _) size_map.
have sizes : all (fun r => size r == n) [seq tail_z r | r <- M] := hC.
rewrite form_f_tail hv.
move: (form_f_schur p (v0 := v) (C := [seq tail_z r | r <- M]) (v := v) x x).
set q := form_f [seq tail_z r | r <- M] x x; set d := dot_f v x => hs.
have -> : x0 * (zc p * x0 + d) + (x0 * d + q) = zc p * x0 ^+ 2 + 2%:R * x0 * d + q by ring.
case: (Z.ltb 0 p) (@zc_gt0 F p) hp => [/(_ isT) p0|_] hp.
- have h : 0 <= form_f (schur_z p v [seq tail_z r | r <- M]) x x by apply: IH.
  rewrite hs ?size_map ?sM ?sv // in h.
  rewrite -(pmulr_rge0 _ p0).
  have -> : zc p * (zc p * x0 ^+ 2 + 2%:R * x0 * d + q) = (zc p * x0 + d) ^+ 2 + (zc p * q - d * d) by ring.
  by rewrite addr_ge0 ?sqr_ge0.
- move: hp => /and3P [h0 hz hp].
  rewrite (zc_eq h0) zc0 mul0r /d dot_f_zero // mulr0 !add0r; exact: IH.
Qed.
End Psd.

(* Norm certificate: W and R are given by columns, as integers over the common scale S. *)
Section Norm.
Variable F : realFieldType.
Notation zc := (zc F).

(* shorter lists stand for vectors that end in zeros *)
Lemma dot_zE m : forall a b acc, (size a <= m)%N ->
  zc (dot_z acc a b) = zc acc + \sum_(k < m) zc (nth Z0 a k) * zc (nth Z0 b k).
Proof.
have z0 k b : \sum_(i < k) zc (nth Z0 [::] i) * zc (nth Z0 b i) = 0.
  by apply: big1 => i _; rewrite nth_nil zc0 mul0r.
elim: m => [|m IH] [|x a] b acc //=; first by rewrite big_ord0 addr0.
  by rewrite z0 addr0.
case: b => [|y b] sa; last by rewrite (IH a b) // zcD zcM big_ord_recl /= addrA.
by rewrite big1 ?addr0 // => i _; rewrite [nth _ [::] _]nth_nil zc0 mulr0.
Qed.

Lemma row_sum_zE m p n : forall Wl Rl i j al wi ri, (size wi <= m)%N -> (size ri <= p)%N ->
  size Wl = n -> size Rl = n ->
  zc (row_sum_z i j al wi ri Wl Rl) =
  \sum_(l < n) `| zc (if i == (j + l)%N then al else Z0)
      - (\sum_(k < m) zc (nth Z0 wi k) * zc (nth Z0 (nth [::] Wl l) k))
      - (\sum_(k < p) zc (nth Z0 ri k) * zc (nth Z0 (nth [::] Rl l) k)) |.
Proof.
elim: n => [|n IH] [|w Wl] [|r Rl] i j al wi ri //= swi sri; try by rewrite big_ord0.
move=> [sW] [sR]; rewrite big_ord_recl /= addn0 -nat_eqE.
rewrite zcD zc_abs !zcB (dot_zE (m:=m)) // (dot_zE (m:=p)) // zc0 !add0r; congr (_ + _).
by rewrite IH //; apply: eq_bigr => l _; rewrite /bump /= add1n addSnnS.
Qed.

Lemma norm_rows_zE : forall Ws Rs i al be W R, norm_rows_z i al be Ws Rs W R ->
  size Rs = size Ws /\ forall p, (p < size Ws)%N ->
  Z.leb (row_sum_z (i + p) 0 al (nth [::] Ws p) (nth [::] Rs p) W R) be.
Proof.
elim=> [|w Ws IH] [|r Rs] i al be W R //= /andP [h1 h2].
have [-> h] := IH _ _ _ _ _ _ h2; split=> // -[|p] hp /=; first by rewrite addn0.
by rewrite addnS -addSn; apply: h.
Qed.

Variables (m n : nat) (Wl Rl : seq (seq Z)) (al be S : Z).

(* the matrix whose columns are the lists, divided by S *)
Definition of_columns k (l : seq (seq Z)) : 'M[F]_(k, n) := \matrix_(i, j) (zc (nth Z0 (nth [::] l j) i) / zc S).

Theorem norm_sound : zc S != 0 -> size Wl = n -> all (fun c => size c == m) Wl ->
  norm_z al be Wl Rl -> opbound (of_columns m Wl) ((zc al + zc be) / zc S ^+ 2).
Proof.
move=> S0 sW hW hc; have [sR hrow] := norm_rows_zE hc; rewrite sW in sR.
pose p := (\max_(r <- Rl) size r)%N.
rewrite mulrDl; apply: (@residual_certificate _ _ _ p _ (of_columns p Rl)) => i.
have hi : (i < size Wl)%N by rewrite sW.
have := hrow i hi; rewrite add0n -(zc_le F).
have mw : (size (nth [::] Wl i) <= m)%N by rewrite (eqP (allP hW _ (mem_nth _ _))).
have mr : (size (nth [::] Rl i) <= p)%N.
  by rewrite /p (big_nth [::]) big_mkord; apply: (leq_bigmax (Ordinal (_ : (i < size Rl)%N))); rewrite sR.
rewrite (@row_sum_zE m p n) // => h.
have S2 : 0 < zc S ^+ 2 by rewrite lt0r sqrf_eq0 S0 sqr_ge0.
have S2i : 0 <= (zc S ^+ 2)^-1 by rewrite invr_ge0 ltW.
apply: le_trans (ler_wpmul2r S2i h); rewrite mulr_suml; apply: ler_sum => l _.
set X := zc _ - _ - _.
suff -> : residual (of_columns m Wl) (of_columns p Rl) (zc al / zc S ^+ 2) i l = X / zc S ^+ 2.
  by rewrite normrM normfV (ger0_norm (ltW S2)).
rewrite /residual !mxE /X !mulrBl !mulr_suml; congr (_ - _ - _).
- by rewrite add0n -val_eqE /=; case: eqP => _; rewrite ?mulr1n // mulr0n zc0 mul0r.
- by apply: eq_bigr => k _; rewrite !mxE mulf_div expr2.
- by apply: eq_bigr => k _; rewrite !mxE mulf_div expr2.
Qed.

(* The residual from below is the negative of  alpha I - W^T W + R^T R. *)
Theorem below_sound : zc S != 0 -> size Wl = n -> all (fun c => size c == m) Wl ->
  below_z al be Wl Rl -> oplower (of_columns m Wl) ((zc al - zc be) / zc S ^+ 2).
Proof.
move=> S0 sW hW hc; have [] := norm_rows_zE hc; rewrite sW /opposite_z map_listE size_map => sR hrow.
pose p := (\max_(r <- Rl) size r)%N.
rewrite mulrBl; apply: (@residual_certificate_below _ _ _ p _ (of_columns p Rl)) => i.
have hi : (i < size Wl)%N by rewrite sW.
have := hrow i (ltn_ord i); rewrite add0n -(zc_le F) (nth_map [::]) ?sR //.
have mw : (size (nth [::] Wl i) <= m)%N by rewrite (eqP (allP hW _ (mem_nth _ _))).
have mr : (size (nth [::] Rl i) <= p)%N.
  by rewrite /p (big_nth [::]) big_mkord; apply: (leq_bigmax (Ordinal (_ : (i < size Rl)%N))); rewrite sR.
rewrite (@row_sum_zE m p n) ?map_listE ?size_map // => h.
have S2 : 0 < zc S ^+ 2 by rewrite lt0r sqrf_eq0 S0 sqr_ge0.
have S2i : 0 <= (zc S ^+ 2)^-1 by rewrite invr_ge0 ltW.
apply: le_trans (ler_wpmul2r S2i h); rewrite mulr_suml; apply: ler_sum => l _.
set X := zc _ - _ - _.
suff -> : residual_below (of_columns m Wl) (of_columns p Rl) (zc al / zc S ^+ 2) i l = - (X / zc S ^+ 2).
  by rewrite normrN normrM normfV (ger0_norm (ltW S2)).
have opp k : zc (nth Z0 [seq Z.opp z | z <- nth [::] Rl i] k) = - zc (nth Z0 (nth [::] Rl i) k).
  case: (ltnP k (size (nth [::] Rl i))) => hk; last by rewrite (nth_default _ hk) nth_default ?size_map // zc0 oppr0.
  by rewrite (nth_map Z0) // -[Z.opp _]/(Z.sub Z0 _) zcB zc0 sub0r.
rewrite /residual_below !mxE /X !mulrBl !mulr_suml !opprB [in RHS]addrC; congr (_ - _ + _).
- by apply: eq_bigr => k _; rewrite !mxE mulf_div expr2.
- by rewrite add0n -val_eqE /=; case: eqP => _; rewrite ?mulr1n // mulr0n zc0 mul0r.
- by rewrite -sumrN; apply: eq_bigr => k _; rewrite !mxE opp mulNr mulf_div expr2 mulNr.
Qed.
End Norm.

(* Tableaux over a common denominator d, and kappa = kn / kd. *)
Section Circle.
Variables (F : realFieldType) (A : seq (seq Z)) (b : seq Z) (d : Z).
Notation zc := (zc F).
Let s := size b.

Definition tableau_A : 'M[F]_s := \matrix_(i, j) (zc (nth Z0 (nth [::] A i) j) / zc d).
Definition tableau_b (i : 'I_s) : F := zc (nth Z0 b i) / zc d.

Lemma circle_entryE kn kd (i j : 'I_s) : zc d != 0 -> zc kd != 0 ->
  zc (circle_entry A b d kn kd i j) =
  zc kd * zc d ^+ 2 * (stability tableau_A tableau_b i j + zc kn / zc kd * tableau_b i *+ (i == j)).
Proof.
move=> d0 k0; rewrite /circle_entry /entry_z !nth_listE /stability /tableau_b !mxE zcD zcM zcB zcD !zcM.
rewrite nat_eqE val_eqE; case: eqP => _; rewrite ?mulr1n ?mulr0n ?zcM ?zc0; field; by rewrite ?d0 ?k0.
Qed.

(* the list form of a vector given by coordinates *)
Definition to_list (z : 'I_s -> F) : seq F := [seq (if insub i is Some o then z o else 0 : F) | i <- List.seq 0 s].

Lemma to_listE z (i : 'I_s) : (if insub (val i) is Some o then z o else 0 : F) = z i.
Proof. by rewrite valK. Qed.

Lemma circle_formE kn kd z : zc d != 0 -> zc kd != 0 ->
  form_f (circle_matrix A b d kn kd) (to_list z) (to_list z) =
  zc kd * zc d ^+ 2 * form tableau_A tableau_b (zc kn / zc kd) z.
Proof.
move=> d0 k0; rewrite /circle_matrix /to_list map_listE -/s (form_f_sum s) /form mulr_sumr.
apply: eq_bigr => i _; rewrite add0n to_listE map_listE dot_f_sum mulr_sumr mulr_sumr.
by apply: eq_bigr => j _; rewrite add0n to_listE circle_entryE // mulrCA !mulrA; congr (_ * _); ring.
Qed.

Lemma size_to_list z : size (to_list z) = s.
Proof. by rewrite size_map; elim: s 0%N => //= n IH k; rewrite IH. Qed.

Theorem circle_sound kn kd : circle_z A b d kn kd ->
  [/\ 0 <= zc kn / zc kd, forall i, 0 <= tableau_b i & circle_contractive tableau_A tableau_b (zc kn / zc kd)].
Proof.
rewrite /circle_z -!andbA => /and5P [/(@zc_gt0 F) d0 /(@zc_gt0 F) k0 /(@zc_ge0 F) n0 hb hp].
split; first by rewrite divr_ge0 // ltW.
- move=> i; apply: divr_ge0; last exact: ltW.
  by apply: zc_ge0; rewrite forallbE in hb; apply: (allP hb); apply: mem_nth.
- move=> z; have p : 0 < zc kd * zc d ^+ 2 by rewrite mulr_gt0 // exprn_gt0.
  rewrite -(pmulr_rge0 _ p) -circle_formE ?lt0r_neq0 //.
  by apply: psd_sound hp _; rewrite size_to_list.
Qed.

(* Sharpness: an integer vector z with z^T (M + kappa B) z = 0 < z^T B z; no smaller kappa will do. *)
Definition of_list (z : seq Z) (i : 'I_s) : F := zc (nth Z0 z i).

Lemma zc_form_z M z : zc (form_z M z) = form_f M [seq zc x | x <- z] [seq zc x | x <- z].
Proof.
have dotE r y acc : zc (dot_z acc r y) = zc acc + dot_f r [seq zc x | x <- y].
  elim: r y acc => [|a r IH] [|y0 y] acc //=; rewrite ?addr0 // IH zcD zcM addrA //.
rewrite /form_z; move: {2 3}z => y; elim: M y => [|r M IH] [|y0 y] //=.
by rewrite zcD zcM IH dotE zc0 add0r.
Qed.

Lemma to_of_list z : size z = s -> to_list (of_list z) = [seq zc x | x <- z].
Proof.
move=> sz; apply: (@eq_from_nth _ 0); first by rewrite size_to_list size_map sz.
move=> i; rewrite size_to_list => hi; rewrite (nth_map Z0) ?sz // /to_list.
have si : (i < size (List.seq 0 s))%N by rewrite -[size _]/(List.length _) List.seq_length.
rewrite (nth_map 0%N) // -nth_listE List.seq_nth ?add0n; last by lia.
by rewrite (insubT (fun j => (j < s)%N) hi).
Qed.

Theorem circle_sharp_sound kn kd z kappa : Z.ltb 0 d -> Z.ltb 0 kd -> size z = s ->
  form_z (circle_matrix A b d kn kd) z = Z0 ->
  Z.ltb 0 (List.fold_right Z.add Z0 (map2_z (fun bi x => Z.mul bi (Z.mul x x)) b z)) ->
  kappa < zc kn / zc kd -> ~ circle_contractive tableau_A tableau_b kappa.
Proof.
move=> /(@zc_gt0 F) d0 /(@zc_gt0 F) k0 sz f0 /(@zc_gt0 F) p0 lt.
apply: (@circle_sharp _ _ _ _ (zc kn / zc kd) kappa (of_list z)) => //.
- have p : zc kd * zc d ^+ 2 != 0 by rewrite mulf_neq0 ?expf_neq0 ?lt0r_neq0.
  by apply: (mulfI p); rewrite mulr0 -circle_formE ?lt0r_neq0 // to_of_list // -zc_form_z f0.
- suff <- : zc (List.fold_right Z.add Z0 (map2_z (fun bi x => Z.mul bi (Z.mul x x)) b z)) / zc d =
            \sum_i tableau_b i * of_list z i ^+ 2 by rewrite divr_gt0.
  rewrite /tableau_b /of_list; move: sz {f0 p0}; rewrite /s; elim: b z => [|b0 b' IH] [|z0 z'] //=.
    by rewrite big_ord0 zc0 mul0r.
  move=> [sz]; rewrite big_ord_recl /= zcD !zcM mulrDl IH //; congr (_ + _); ring.
Qed.

Theorem circle_negative_sound kn kd z : Z.ltb 0 d -> Z.ltb 0 kd -> size z = s ->
  Z.ltb (form_z (circle_matrix A b d kn kd) z) 0 ->
  ~ circle_contractive tableau_A tableau_b (zc kn / zc kd).
Proof.
move=> /(@zc_gt0 F) d0 /(@zc_gt0 F) k0 sz; rewrite -(zc_lt F) zc_form_z -to_of_list //.
rewrite circle_formE ?lt0r_neq0 // => neg /(_ (of_list z)) h.
move: neg; rewrite ltNge mulr_ge0 // mulr_ge0 ?exprn_ge0 // ltW //.
Qed.
End Circle.
