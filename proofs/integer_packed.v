(* The packed form of the norm check is the plain one.

   Theorem.  packed_norm_z alpha beta W R = true  gives  norm_z alpha beta W R = true.

   An integer has one representation by n digits of absolute value at most half in the base 2 half + 1; the entries of a
   residual are such digits (dot_bound), and packing is linear, so the digits of a packed row are its entries. *)

From Coq Require Import ZArith List Lia Bool.
Require Import integer_core.
Import ListNotations.
Local Open Scope Z_scope.

Lemma dot_acc a b acc : dot_z acc a b = acc + dot_z 0 a b.
Proof.
  revert b acc; induction a as [|x a IH]; intros [|y b] acc; simpl; try lia.
  rewrite (IH b (acc + x * y)), (IH b (x * y)); lia.
Qed.

Lemma dot_cons x a y b : dot_z 0 (x :: a) (y :: b) = x * y + dot_z 0 a b.
Proof. simpl; apply dot_acc. Qed.

Lemma dot_nil a : dot_z 0 a [] = 0.
Proof. now destruct a. Qed.

(* Packing is linear. *)
Lemma dot_push B c a b : dot_z 0 c (push_z B a b) = dot_z 0 c a + B * dot_z 0 c b.
Proof.
  revert a b; induction c as [|x c IH]; intros a b; [simpl; lia|].
  destruct a as [|y a], b as [|z b].
  - simpl; lia.
  - change (push_z B [] (z :: b)) with (B * z :: push_z B [] b).
    rewrite !dot_cons, (IH [] b), !dot_nil; ring.
  - change (push_z B (y :: a) []) with (y :: a); rewrite dot_nil; lia.
  - change (push_z B (y :: a) (z :: b)) with (y + B * z :: push_z B a b); rewrite !dot_cons, IH; ring.
Qed.

(* The largest product. *)
Lemma max_z_l a b : a <= max_z a b.
Proof. unfold max_z; destruct (Z.leb_spec a b); lia. Qed.
Lemma max_z_r a b : b <= max_z a b.
Proof. unfold max_z; destruct (Z.leb_spec a b); lia. Qed.

Lemma max_abs_acc l acc : acc <= max_abs_z acc l.
Proof.
  revert acc; induction l as [|x l IH]; intros acc; simpl; [lia|].
  pose proof (IH (max_z acc (Z.abs x))); pose proof (max_z_l acc (Z.abs x)); lia.
Qed.

Lemma max_abs_in l acc x : In x l -> Z.abs x <= max_abs_z acc l.
Proof.
  revert acc; induction l as [|y l IH]; intros acc; simpl; [tauto|].
  intros [<-|h]; [|now apply IH].
  pose proof (max_abs_acc l (max_z acc (Z.abs y))); pose proof (max_z_r acc (Z.abs y)); lia.
Qed.

Lemma largest_acc L acc : acc <= largest_z acc L.
Proof.
  revert acc; induction L as [|l L IH]; intros acc; simpl; [lia|].
  pose proof (IH (max_abs_z acc l)); pose proof (max_abs_acc l acc); lia.
Qed.

Lemma largest_in L acc l x : In l L -> In x l -> Z.abs x <= largest_z acc L.
Proof.
  revert acc; induction L as [|k L IH]; intros acc; simpl; [tauto|].
  intros [<-|h] hx; [|now apply IH].
  pose proof (largest_acc L (max_abs_z acc k)); pose proof (max_abs_in k acc x hx); lia.
Qed.

Lemma size_acc l acc : size_z acc l = acc + Z.of_nat (length l).
Proof. revert acc; induction l as [|x l IH]; intros acc; simpl length; simpl size_z; [lia|]. rewrite IH; lia. Qed.

Lemma longest_acc L acc : acc <= longest_z acc L.
Proof.
  revert acc; induction L as [|l L IH]; intros acc; simpl; [lia|].
  pose proof (IH (max_z acc (size_z 0 l))); pose proof (max_z_l acc (size_z 0 l)); lia.
Qed.

Lemma longest_in L acc l : In l L -> Z.of_nat (length l) <= longest_z acc L.
Proof.
  revert acc; induction L as [|k L IH]; intros acc; simpl; [tauto|].
  intros [<-|h]; [|now apply IH].
  pose proof (longest_acc L (max_z acc (size_z 0 k))); pose proof (max_z_r acc (size_z 0 k)).
  rewrite size_acc in *; lia.
Qed.

Lemma dot_le m a b : (forall x, In x a -> Z.abs x <= m) -> (forall x, In x b -> Z.abs x <= m) ->
  Z.abs (dot_z 0 a b) <= Z.of_nat (length a) * (m * m).
Proof.
  revert b; induction a as [|x a IH]; intros b ha hb; [simpl; lia|].
  destruct b as [|y b]; [rewrite dot_nil; simpl Z.abs; nia|].
  rewrite dot_cons; simpl length; rewrite Nat2Z.inj_succ.
  assert (h : Z.abs (dot_z 0 a b) <= Z.of_nat (length a) * (m * m))
    by (apply IH; intros; [apply ha | apply hb]; now right).
  assert (hx := ha x (or_introl eq_refl)); assert (hy := hb y (or_introl eq_refl)).
  assert (Z.abs (x * y) <= m * m) by (rewrite Z.abs_mul; nia).
  lia.
Qed.

Lemma dot_bound L a b : In a L -> In b L -> Z.abs (dot_z 0 a b) <= dot_bound_z L.
Proof.
  intros ha hb; unfold dot_bound_z; set (m := largest_z 0 L).
  assert (h := dot_le m a b (fun x hx => largest_in L 0 a x ha hx) (fun x hx => largest_in L 0 b x hb hx)).
  pose proof (longest_in L 0 a ha); nia.
Qed.

(* Digits. *)
Fixpoint value (B : Z) (e : list Z) : Z := match e with x :: e' => x + B * value B e' | [] => 0 end.
Definition abs_sum (e : list Z) : Z := fold_right (fun x s => Z.abs x + s) 0 e.

Lemma digit_sum_value half e : (forall x, In x e -> Z.abs x <= half) ->
  digit_sum_z (length e) half (2 * half + 1) (value (2 * half + 1) e) = abs_sum e.
Proof.
  induction e as [|x e IH]; intros h; [reflexivity|].
  assert (hx := h x (or_introl eq_refl)).
  cbn [length digit_sum_z value abs_sum fold_right].
  replace (Z.div (x + (2 * half + 1) * value (2 * half + 1) e + half) (2 * half + 1))
    with (value (2 * half + 1) e).
  2: { apply (Z.div_unique _ _ _ (x + half)); [left|]; lia. }
  rewrite IH; [|intros y hy; apply h; now right].
  unfold abs_sum; f_equal; f_equal; ring.
Qed.

(* A row of the residual, from column j on. *)
Fixpoint row_list (i j : nat) (alpha : Z) (wi ri : list Z) (W R : list (list Z)) : list Z :=
  match W, R with
  | w :: W', r :: R' =>
      (if Nat.eqb i j then alpha else 0) - dot_z 0 wi w - dot_z 0 ri r :: row_list i (S j) alpha wi ri W' R'
  | _, _ => []
  end.

Lemma row_sum_list i j alpha wi ri W R : row_sum_z i j alpha wi ri W R = abs_sum (row_list i j alpha wi ri W R).
Proof. revert j R; induction W as [|w W IH]; intros j [|r R]; simpl; try reflexivity. now rewrite IH. Qed.

Lemma row_list_length i j alpha wi ri W R : length W = length R -> length (row_list i j alpha wi ri W R) = length W.
Proof. revert j R; induction W as [|w W IH]; intros j [|r R]; simpl; try easy. intros [=]; f_equal; auto. Qed.

Definition shifted (B alpha : Z) (i j k : nat) : Z :=
  if (Nat.leb j i && Nat.ltb i (j + k))%bool then alpha * B ^ Z.of_nat (i - j) else 0.

Lemma shifted_step B alpha i j k :
  shifted B alpha i j (S k) = (if Nat.eqb i j then alpha else 0) + B * shifted B alpha i (S j) k.
Proof.
  unfold shifted; destruct (Nat.eqb_spec i j) as [<-|ne].
  - rewrite Nat.leb_refl, (proj2 (Nat.ltb_lt i (i + S k))), (proj2 (Nat.leb_gt (S i) i)), Nat.sub_diag by lia.
    simpl; ring.
  - destruct (Nat.leb_spec j i), (Nat.ltb_spec i (j + S k)), (Nat.leb_spec (S j) i), (Nat.ltb_spec i (S j + k));
      simpl; try lia.
    replace (i - j)%nat with (S (i - S j)) by lia.
    rewrite Nat2Z.inj_succ, Z.pow_succ_r by lia; ring.
Qed.

Lemma row_value B i j alpha wi ri W R : length W = length R ->
  value B (row_list i j alpha wi ri W R) =
  shifted B alpha i j (length W) - dot_z 0 wi (pack_z B W) - dot_z 0 ri (pack_z B R).
Proof.
  revert j R; induction W as [|w W IH]; intros j [|r R]; try easy.
  - intros _; simpl; rewrite !dot_nil; unfold shifted; rewrite Nat.add_0_r.
    destruct (Nat.leb_spec j i), (Nat.ltb_spec i j); simpl; lia.
  - intros [=]; cbn [row_list value length]; rewrite IH, shifted_step by assumption.
    change (pack_z B (w :: W)) with (push_z B w (pack_z B W)).
    change (pack_z B (r :: R)) with (push_z B r (pack_z B R)).
    rewrite !dot_push; ring.
Qed.

Lemma row_list_le i j alpha wi ri W R W0 R0 : In wi W0 -> In ri R0 -> incl W W0 -> incl R R0 ->
  forall x, In x (row_list i j alpha wi ri W R) -> Z.abs x <= Z.abs alpha + dot_bound_z W0 + dot_bound_z R0.
Proof.
  intros hw hr; revert j R; induction W as [|w W IH]; intros j [|r R] iW iR x; try easy.
  cbn [row_list In]; intros [<-|h].
  - assert (a := dot_bound W0 wi w hw (iW w (or_introl eq_refl))).
    assert (b := dot_bound R0 ri r hr (iR r (or_introl eq_refl))).
    destruct (Nat.eqb i j); lia.
  - apply (IH (S j) R); [intros y hy; apply iW; now right | intros y hy; apply iR; now right | exact h].
Qed.

Lemma packed_lengths n half B shift alpha beta Ws Rs P Q :
  packed_rows_z n half B shift alpha beta Ws Rs P Q = true -> length Ws = length Rs.
Proof.
  revert shift Rs; induction Ws as [|w Ws IH]; intros shift [|r Rs]; simpl; try easy.
  intros h; apply andb_prop in h; f_equal; eapply IH; apply h.
Qed.

Theorem packed_norm_sound alpha beta W R : packed_norm_z alpha beta W R = true -> norm_z alpha beta W R = true.
Proof.
  unfold packed_norm_z, norm_z; set (half := _ + dot_bound_z R); set (B := 2 * half + 1); intros h.
  assert (len := packed_lengths _ _ _ _ _ _ _ _ _ _ h).
  assert (general : forall Ws Rs i, incl Ws W -> incl Rs R -> (i + length Ws = length W)%nat ->
    packed_rows_z (length W) half B (B ^ Z.of_nat i) alpha beta Ws Rs (pack_z B W) (pack_z B R) = true ->
    norm_rows_z i alpha beta Ws Rs W R = true).
  2: { apply (general W R 0%nat); auto using incl_refl. }
  induction Ws as [|w Ws IH]; intros [|r Rs] i iW iR hi; try easy.
  cbn [packed_rows_z norm_rows_z length] in *; intros h'; apply andb_prop in h'; destruct h' as [h1 h2].
  apply andb_true_intro; split.
  - rewrite row_sum_list, <- (digit_sum_value half).
    + rewrite row_list_length, row_value by assumption; fold B; unfold shifted.
      rewrite (proj2 (Nat.ltb_lt i (0 + length W))) by lia; rewrite Nat.sub_0_r; exact h1.
    + eapply row_list_le; try (apply incl_refl); [apply iW | apply iR]; now left.
  - apply IH.
    + intros y hy; apply iW; now right.
    + intros y hy; apply iR; now right.
    + lia.
    + rewrite Nat2Z.inj_succ, Z.pow_succ_r by lia; exact h2.
Qed.
