(* The packed form of the norm check is the plain one.

   Theorem.  packed_norm_z alpha beta W R = true  gives  norm_z alpha beta W R = true, and packed_below_z gives below_z.

   Packing is linear, so the product of a row with a packed block is the row of products packed; none of them exceeds
   half (dot_bound), so they are its digits in the base 2 half + 1, one after the other. *)

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

(* A digit d in front of others, whose value is v. *)
Lemma digit_sum_step i j alpha n half d v : Z.abs d <= half ->
  digit_sum_z i j alpha (S n) half (2 * half + 1) (d + (2 * half + 1) * v) =
  Z.abs ((if Nat.eqb i j then alpha else 0) + d) + digit_sum_z i (S j) alpha n half (2 * half + 1) v.
Proof.
  intros h; cbn [digit_sum_z].
  replace (Z.div (d + (2 * half + 1) * v + half) (2 * half + 1)) with v.
  2: { apply (Z.div_unique _ _ _ (d + half)); [left|]; lia. }
  f_equal; f_equal; ring.
Qed.

Lemma block_sum_row i j alpha wi ri W R W0 R0 half : half = dot_bound_z W0 + dot_bound_z R0 ->
  In wi W0 -> In ri R0 -> incl W W0 -> incl R R0 ->
  block_sum_z i j alpha half (2 * half + 1) wi ri (blocks_z (2 * half + 1) W R) = row_sum_z i j alpha wi ri W R.
Proof.
  intros hh hw hr; revert j R; induction W as [|w W IH]; intros j [|r R] iW iR; try reflexivity.
  assert (rest := IH (S j) R (fun y hy => iW y (or_intror hy)) (fun y hy => iR y (or_intror hy))).
  set (d := - dot_z 0 wi w - dot_z 0 ri r).
  assert (hd : Z.abs d <= half).
  { assert (a := dot_bound W0 wi w hw (iW w (or_introl eq_refl))).
    assert (b := dot_bound R0 ri r hr (iR r (or_introl eq_refl))); unfold d; lia. }
  assert (he : (if Nat.eqb i j then alpha else 0) - dot_z 0 wi w - dot_z 0 ri r = (if Nat.eqb i j then alpha else 0) + d)
    by (unfold d; ring).
  cbn [row_sum_z]; rewrite he, <- rest; clear rest IH.
  assert (one : digit_sum_z i j alpha 1 half (2 * half + 1) d = Z.abs ((if Nat.eqb i j then alpha else 0) + d)).
  { assert (s := digit_sum_step i j alpha 0 half d 0 hd).
    rewrite Z.mul_0_r, Z.add_0_r in s; rewrite s; apply Z.add_0_r. }
  cbn [blocks_z]; destruct (blocks_z (2 * half + 1) W R) as [|[[n P] Q] bs].
  - cbn [block_sum_z]; fold d; rewrite one; reflexivity.
  - destruct (Nat.ltb n block_size); cbn [block_sum_z].
    + rewrite !dot_push.
      replace (- (dot_z 0 wi w + (2 * half + 1) * dot_z 0 wi P) - (dot_z 0 ri r + (2 * half + 1) * dot_z 0 ri Q))
        with (d + (2 * half + 1) * (- dot_z 0 wi P - dot_z 0 ri Q)) by (unfold d; ring).
      rewrite digit_sum_step, Nat.add_succ_r by exact hd; cbn [Nat.add]; ring.
    + fold d; rewrite one; rewrite Nat.add_1_r; reflexivity.
Qed.

Lemma packed_rows_sound alpha beta half W R W0 R0 : half = dot_bound_z W0 + dot_bound_z R0 -> incl W W0 -> incl R R0 ->
  forall Ws Rs i, incl Ws W0 -> incl Rs R0 ->
  packed_rows_z i alpha beta half (2 * half + 1) Ws Rs (blocks_z (2 * half + 1) W R) = true ->
  norm_rows_z i alpha beta Ws Rs W R = true.
Proof.
  intros hh hW hR; induction Ws as [|w Ws IH]; intros [|r Rs] i iW iR; try easy.
  cbn [packed_rows_z norm_rows_z]; intros h; apply andb_prop in h; destruct h as [h1 h2].
  apply andb_true_intro; split.
  - rewrite <- (block_sum_row i 0 alpha w r W R W0 R0 half hh); auto.
    + apply iW; now left.
    + apply iR; now left.
  - apply IH; [intros y hy; apply iW; now right | intros y hy; apply iR; now right | exact h2].
Qed.

Theorem packed_norm_sound alpha beta W R : packed_norm_z alpha beta W R = true -> norm_z alpha beta W R = true.
Proof. apply (packed_rows_sound _ _ _ W R W R eq_refl); apply incl_refl. Qed.

Theorem packed_below_sound alpha beta W R : packed_below_z alpha beta W R = true -> below_z alpha beta W R = true.
Proof.
  apply (packed_rows_sound _ _ _ W R W (opposite_z R ++ R) eq_refl);
    auto using incl_refl, incl_appl, incl_appr.
Qed.
