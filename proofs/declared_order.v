(* The declared order of summation: each product passes through at most d roundings on its way into a sum.

   For a tree of additions (rounding.v) let depth be the largest number of roundings that a product passes through, adding
   an empty sum counting for nothing.  While nothing overflows,
       declared_order         |fl - sum x_i y_i| <= ((1 + u)^d - 1) sum |x_i y_i| + n (1 + u)^d omega
       declared_order_gamma   ... <= gamma_d sum |x_i y_i| + n eta,   gamma_d = d u/(1 - d u),   for  d u <= 1/2:
   the inequality of rigor/rounding.rs.  The depths that kernels declare (operator/summation.rs), for chunks of at most m terms:
       depth_any              any order:                        d <= n
       depth_one_by_one       c chunks one after the other:     d <= m + c - 1
       depth_pairwise         c <= 2^h chunks by a counter:     d <= m + h
   The counter is that of the program: sums of 2^k chunks, at most one for each k, merged when two are alike, and at the end
   from the smallest to the largest.

   Source: Higham, Accuracy and stability of numerical algorithms (2002), 3.1 and 4.2; Blanchard, Higham, Mary (2020). *)

From Coq Require Import Reals Lra Lia Psatz List ZArith.
From Flocq Require Import Core Plus_error Relative.
Require Import rounding.
Import ListNotations.
Local Open Scope R_scope.

Fixpoint depth t : nat := match t with
  | Zero => 0
  | Product _ _ => 1
  | Add l r => match terms l, terms r with O, _ => depth r | _, O => depth l | _, _ => S (Nat.max (depth l) (depth r)) end
  | Fma t _ _ => match terms t with O => 1 | _ => S (depth t) end
  end.

Section Order.
Variables (emin prec : Z).
Context {prec_pos : Prec_gt_0 prec}.
Notation fexp := (FLT_exp emin prec).
Notation rnd := (round radix2 fexp ZnearestE).
Notation u := (u_ro radix2 prec).
Notation omega := (omega emin).
Notation eta := (eta emin).
Notation fl := (fl emin prec).

Lemma pow_ge_1 d : 1 <= (1 + u) ^ d.
Proof. apply pow_R1_Rle. pose proof (u_pos prec). lra. Qed.

Lemma pow_up d e : (d <= e)%nat -> (1 + u) ^ d <= (1 + u) ^ e.
Proof. intros H. apply Rle_pow; [pose proof (u_pos prec); lra | exact H]. Qed.

Definition within t d := Rabs (fl t - exact t) <= ((1 + u) ^ d - 1) * absolute t + INR (terms t) * (1 + u) ^ d * omega.

Lemma within_up t d e : (d <= e)%nat -> within t d -> within t e.
Proof.
unfold within. intros L H. eapply Rle_trans; [exact H|]. pose proof (pow_up _ _ L) as P. pose proof (absolute_ge0 t).
pose proof (pos_INR (terms t)). pose proof (omega_pos emin). apply Rplus_le_compat.
- apply Rmult_le_compat_r; lra.
- apply Rmult_le_compat_r; [lra|]. apply Rmult_le_compat_l; lra.
Qed.

Lemma exact_le t : Rabs (exact t) <= absolute t.
Proof.
induction t as [|x y|l IHl r IHr|t IH x y]; simpl; [rewrite Rabs_R0; lra | lra | |].
- pose proof (Rabs_triang (exact l) (exact r)). lra.
- pose proof (Rabs_triang (exact t) (x * y)). lra.
Qed.

Lemma no_terms t : terms t = 0%nat -> fl t = 0 /\ exact t = 0 /\ absolute t = 0.
Proof.
induction t as [|x y|l IHl r IHr|t IH x y]; simpl; intros H; try lia; [auto|].
destruct IHl as (-> & -> & ->); [lia|]. destruct IHr as (-> & -> & ->); [lia|].
rewrite Rplus_0_r, round_0 by auto with typeclass_instances. auto.
Qed.

(* rounding once: the error is relative, or below omega *)
Lemma rounded_once z : Rabs (rnd z - z) <= u * Rabs z + omega.
Proof.
pose proof (omega_pos emin). pose proof (u_pos prec). pose proof (v_le_u prec) as V. pose proof (Rabs_pos z).
destruct (round_error emin prec z) as [E | E].
- eapply Rle_trans; [exact E|]. apply Rle_trans with (u * Rabs z); [apply Rmult_le_compat_r; lra | lra].
- eapply Rle_trans; [exact E|]. assert (0 <= u * Rabs z) by (apply Rmult_le_pos; lra). lra.
Qed.

(* adding rounded numbers: no underflow *)
Lemma added_once a b : generic_format radix2 fexp a -> generic_format radix2 fexp b ->
  Rabs (rnd (a + b) - (a + b)) <= u * Rabs (a + b).
Proof.
intros A B. eapply Rle_trans; [apply sum_error; assumption|]. apply Rmult_le_compat_r; [apply Rabs_pos | apply v_le_u].
Qed.

(* the induction step: sums with errors e, sizes a and underflows o, and one rounding *)
Lemma one_more P z x a o r : 1 <= P -> 0 <= a -> 0 <= o -> Rabs (z - x) <= (P - 1) * a + P * o -> Rabs x <= a ->
  Rabs (r - z) <= u * Rabs z -> Rabs (r - x) <= (P * (1 + u) - 1) * a + P * (1 + u) * o.
Proof.
intros HP A O E X R. pose proof (u_pos prec) as U. set (q := u) in *. clearbody q.
assert (Z : Rabs z <= P * a + P * o).
{ replace z with ((z - x) + x) by ring. eapply Rle_trans; [apply Rabs_triang|]. lra. }
replace (r - x) with ((r - z) + (z - x)) by ring. eapply Rle_trans; [apply Rabs_triang|].
assert (q * Rabs z <= q * (P * a + P * o)) by (apply Rmult_le_compat_l; lra).
replace ((P * (1 + q) - 1) * a + P * (1 + q) * o) with (q * (P * a + P * o) + ((P - 1) * a + P * o)) by ring. lra.
Qed.

Lemma both l r d : within l d -> within r d ->
  Rabs (fl l + fl r - (exact l + exact r)) <=
    ((1 + u) ^ d - 1) * (absolute l + absolute r) + (1 + u) ^ d * ((INR (terms l) + INR (terms r)) * omega).
Proof.
unfold within. intros L R.
replace (fl l + fl r - (exact l + exact r)) with ((fl l - exact l) + (fl r - exact r)) by ring.
eapply Rle_trans; [apply Rabs_triang|]. lra.
Qed.

Theorem declared_order t : within t (depth t).
Proof.
induction t as [|x y|l IHl r IHr|t IH x y].
- unfold within; simpl. rewrite Rminus_diag_eq, Rabs_R0 by reflexivity. lra.
- unfold within; simpl. pose proof (rounded_once (x * y)). pose proof (omega_pos emin). pose proof (u_pos prec).
  rewrite !Rmult_1_r, Rmult_1_l. assert (0 <= u * omega) by (apply Rmult_le_pos; lra). lra.
- destruct (terms l) as [|nl] eqn:L.
  { destruct (no_terms l L) as (F & E & A). replace (depth (Add l r)) with (depth r) by (simpl; rewrite L; reflexivity).
    unfold within in *. cbn [rounding.fl exact absolute terms]. rewrite F, E, A, L, !Rplus_0_l.
    rewrite (rnd_format emin prec _ (format_fl emin prec r)). exact IHr. }
  destruct (terms r) as [|nr] eqn:R.
  { destruct (no_terms r R) as (F & E & A). replace (depth (Add l r)) with (depth l) by (simpl; rewrite L, R; reflexivity).
    unfold within in *. cbn [rounding.fl exact absolute terms]. rewrite F, E, A, R, !Rplus_0_r, Nat.add_0_r.
    rewrite (rnd_format emin prec _ (format_fl emin prec l)). exact IHl. }
  replace (depth (Add l r)) with (S (Nat.max (depth l) (depth r))) by (simpl; rewrite L, R; reflexivity).
  set (d := Nat.max (depth l) (depth r)).
  assert (HL : within l d) by (apply within_up with (2 := IHl); apply Nat.le_max_l).
  assert (HR : within r d) by (apply within_up with (2 := IHr); apply Nat.le_max_r).
  unfold within. cbn [rounding.fl exact absolute terms]. rewrite plus_INR. simpl pow. rewrite (Rmult_comm (1 + u)).
  pose proof (absolute_ge0 l). pose proof (absolute_ge0 r). pose proof (exact_le l). pose proof (exact_le r).
  pose proof (pos_INR (terms l)). pose proof (pos_INR (terms r)). pose proof (omega_pos emin).
  replace ((INR (terms l) + INR (terms r)) * ((1 + u) ^ d * (1 + u)) * omega) with
    ((1 + u) ^ d * (1 + u) * ((INR (terms l) + INR (terms r)) * omega)) by ring.
  apply one_more with (z := fl l + fl r).
  + apply pow_ge_1.
  + lra.
  + apply Rmult_le_pos; lra.
  + apply both; assumption.
  + eapply Rle_trans; [apply Rabs_triang|]. lra.
  + apply added_once; apply (format_fl emin prec).
- destruct (terms t) as [|n] eqn:N.
  { destruct (no_terms t N) as (F & E & A). replace (depth (Fma t x y)) with 1%nat by (simpl; rewrite N; reflexivity).
    unfold within. cbn [rounding.fl exact absolute terms]. rewrite F, E, A, N, !Rplus_0_l. simpl.
    pose proof (rounded_once (x * y)). pose proof (omega_pos emin). pose proof (u_pos prec).
    rewrite !Rmult_1_r, Rmult_1_l. assert (0 <= u * omega) by (apply Rmult_le_pos; lra). lra. }
  replace (depth (Fma t x y)) with (S (depth t)) by (simpl; rewrite N; reflexivity).
  unfold within in *. cbn [rounding.fl exact absolute terms]. rewrite S_INR. simpl pow.
  set (P := (1 + u) ^ depth t) in *. assert (P1 : 1 <= P) by apply pow_ge_1.
  pose proof (absolute_ge0 t). pose proof (exact_le t). pose proof (Rabs_pos (x * y)). pose proof (pos_INR (terms t)).
  pose proof (omega_pos emin). pose proof (u_pos prec) as U.
  set (z := fl t + x * y). pose proof (rounded_once z) as Z.
  assert (ZX : Rabs (z - (exact t + x * y)) <= (P - 1) * absolute t + INR (terms t) * P * omega).
  { unfold z. replace (fl t + x * y - (exact t + x * y)) with (fl t - exact t) by ring. exact IH. }
  assert (ZA : Rabs z <= P * (absolute t + Rabs (x * y)) + INR (terms t) * P * omega).
  { replace z with ((z - (exact t + x * y)) + (exact t + x * y)) by ring. eapply Rle_trans; [apply Rabs_triang|].
    pose proof (Rabs_triang (exact t) (x * y)). assert (Rabs (x * y) <= P * Rabs (x * y)) by nra. lra. }
  replace (rnd z - (exact t + x * y)) with ((rnd z - z) + (z - (exact t + x * y))) by ring.
  eapply Rle_trans; [apply Rabs_triang|].
  assert (UZ : u * Rabs z <= u * (P * (absolute t + Rabs (x * y)) + INR (terms t) * P * omega))
    by (apply Rmult_le_compat_l; lra).
  set (a := absolute t) in *. set (b := Rabs (x * y)) in *. set (m := INR (terms t)) in *. set (q := u) in *.
  assert (0 <= (P - 1) * b) by (apply Rmult_le_pos; lra).
  assert (omega <= (1 + q) * P * omega). { assert (1 <= (1 + q) * P) by nra. nra. }
  replace (((1 + q) * P - 1) * (a + b) + (m + 1) * ((1 + q) * P) * omega) with
    (q * (P * (a + b) + m * P * omega) + ((P - 1) * a + m * P * omega) + (P - 1) * b + (1 + q) * P * omega) by ring.
  lra.
Qed.

(* (1 + u)^d - 1 is at most gamma_d *)
Lemma pow_gamma d : INR d * u < 1 -> (1 + u) ^ d * (1 - INR d * u) <= 1.
Proof.
pose proof (u_pos prec) as U. induction d as [|d IH]; intros H; [simpl; lra|].
rewrite S_INR in *. assert (H' : INR d * u < 1) by lra. specialize (IH H').
pose proof (pow_ge_1 d) as P. pose proof (pos_INR d). simpl pow. set (q := u) in *. set (p := (1 + q) ^ d) in *. clearbody p q.
apply Rle_trans with (p * (1 - INR d * q)); [|exact IH].
replace ((1 + q) * p * (1 - (INR d + 1) * q)) with (p * ((1 + q) * (1 - (INR d + 1) * q))) by ring.
apply Rmult_le_compat_l; [lra|]. assert (0 <= INR d * q * q) by (repeat apply Rmult_le_pos; lra). nra.
Qed.

Theorem declared_order_gamma t d : (depth t <= d)%nat -> INR d * u <= / 2 ->
  Rabs (fl t - exact t) <= INR d * u / (1 - INR d * u) * absolute t + INR (terms t) * eta.
Proof.
intros L H. pose proof (within_up t _ d L (declared_order t)) as W. unfold within in W.
assert (G : (1 + u) ^ d * (1 - INR d * u) <= 1) by (apply pow_gamma; lra).
set (x := INR d * u) in *. set (p := (1 + u) ^ d) in *. pose proof (absolute_ge0 t). pose proof (pos_INR (terms t)).
pose proof (omega_pos emin).
assert (p <= / (1 - x)).
{ apply Rmult_le_reg_r with (1 - x); [lra|]. rewrite Rinv_l by lra. exact G. }
assert (/ (1 - x) <= 2) by (replace 2 with (/ / 2) by field; apply Rinv_le_contravar; lra).
replace eta with (2 * omega) by (unfold rounding.eta, rounding.omega; lra).
eapply Rle_trans; [exact W|]. apply Rplus_le_compat.
- apply Rmult_le_compat_r; [lra|]. replace (x / (1 - x)) with (/ (1 - x) - 1) by (field; lra). lra.
- rewrite Rmult_assoc. apply Rmult_le_compat_l; [lra|]. apply Rmult_le_compat_r; lra.
Qed.
End Order.

(* -- how deep the orders are *)

Lemma depth_any t : (depth t <= terms t)%nat.
Proof.
induction t as [|x y|l IHl r IHr|t IH x y]; simpl; [lia | lia | |].
- destruct (terms l) eqn:L, (terms r) eqn:R; simpl in *; lia.
- destruct (terms t) eqn:N; simpl in *; lia.
Qed.

Lemma depth_add l r : (depth (Add l r) <= S (Nat.max (depth l) (depth r)))%nat.
Proof. simpl. destruct (terms l), (terms r); lia. Qed.

(* chunk after chunk, into one accumulator *)
Fixpoint one_by_one acc (chunks : list tree) := match chunks with
  | nil => acc | chunk :: rest => one_by_one (Add acc chunk) rest end.

Lemma depth_accumulated m rest : forall acc, (forall c, In c rest -> (terms c <= m)%nat) ->
  (depth (one_by_one acc rest) <= Nat.max (depth acc) m + length rest)%nat.
Proof.
induction rest as [|c rest IH]; intros acc H; cbn [one_by_one length]; [lia|].
specialize (IH (Add acc c) (fun x X => H x (or_intror X))).
pose proof (depth_add acc c). pose proof (depth_any c). specialize (H c (or_introl eq_refl)). lia.
Qed.

Theorem depth_one_by_one m c rest : (forall x, In x (c :: rest) -> (terms x <= m)%nat) ->
  (depth (one_by_one c rest) <= m + length (c :: rest) - 1)%nat.
Proof.
intros H. pose proof (depth_accumulated m rest c (fun x X => H x (or_intror X))) as D. pose proof (depth_any c).
specialize (H c (or_introl eq_refl)). cbn [length]. lia.
Qed.

(* The counter: sums with the logarithm of their number of chunks, the last one first. *)
Fixpoint carry (k : nat) (sum : tree) (counter : list (nat * tree)) := match counter with
  | (k', sum') :: rest => if Nat.eqb k' k then carry (S k) (Add sum' sum) rest else (k, sum) :: counter
  | nil => [(k, sum)] end.
Fixpoint push_all counter (chunks : list tree) := match chunks with
  | nil => counter | chunk :: rest => push_all (carry 0 chunk counter) rest end.
Fixpoint finish (sum : tree) (counter : list (nat * tree)) := match counter with
  | nil => sum | (_, sum') :: rest => finish (Add sum' sum) rest end.
Definition pairwise chunks := match push_all nil chunks with nil => Zero | (_, sum) :: rest => finish sum rest end.

(* exponents grow from one sum to the next, and a sum of 2^k chunks is at most m + k deep *)
Fixpoint ordered (low : nat) (counter : list (nat * tree)) := match counter with
  | nil => True | (k, _) :: rest => (low <= k)%nat /\ ordered (S k) rest end.
Definition shallow m (counter : list (nat * tree)) := forall k sum, In (k, sum) counter -> (depth sum <= m + k)%nat.
Fixpoint total (counter : list (nat * tree)) : nat := match counter with
  | nil => 0 | (k, _) :: rest => 2 ^ k + total rest end.

Lemma ordered_low counter low low' : (low' <= low)%nat -> ordered low counter -> ordered low' counter.
Proof. destruct counter as [|[k sum] rest]; simpl; [auto | intros L [H1 H2]; split; [lia | exact H2]]. Qed.

Lemma carry_spec m counter : forall k sum, ordered k counter -> shallow m counter -> (depth sum <= m + k)%nat ->
  ordered k (carry k sum counter) /\ shallow m (carry k sum counter) /\ (total (carry k sum counter) = 2 ^ k + total counter)%nat.
Proof.
induction counter as [|[k' sum'] rest IH]; intros k sum O Sh D; cbn [carry].
- split; [simpl; lia|]. split; [|simpl; lia]. intros x y [X | []]. injection X as -> ->. exact D.
- destruct O as [O1 O2]. destruct (Nat.eqb_spec k' k) as [-> | N].
  + destruct (IH (S k) (Add sum' sum)) as (A & B & C).
    * exact O2.
    * intros x y X. apply Sh. right. exact X.
    * pose proof (depth_add sum' sum). pose proof (Sh k sum' (or_introl eq_refl)). lia.
    * split; [apply ordered_low with (2 := A); lia|]. split; [exact B|]. rewrite C. cbn [total Nat.pow]. lia.
  + split; [|split].
    * cbn [ordered]. split; [lia|]. split; [lia | exact O2].
    * intros x y [X | X]; [injection X as -> ->; exact D | apply Sh; exact X].
    * reflexivity.
Qed.

Lemma push_spec m chunks : forall counter, (forall c, In c chunks -> (terms c <= m)%nat) -> ordered 0 counter -> shallow m counter ->
  ordered 0 (push_all counter chunks) /\ shallow m (push_all counter chunks) /\
  (total (push_all counter chunks) = total counter + length chunks)%nat.
Proof.
induction chunks as [|c rest IH]; intros counter H O Sh; cbn [push_all length].
- split; [exact O|]. split; [exact Sh|]. lia.
- destruct (carry_spec m counter 0 c O Sh) as (A & B & C).
  { pose proof (depth_any c). specialize (H c (or_introl eq_refl)). lia. }
  destruct (IH (carry 0 c counter) (fun x X => H x (or_intror X)) A B) as (A' & B' & C').
  split; [exact A'|]. split; [exact B'|]. rewrite C', C. simpl. lia.
Qed.

Lemma in_total k s counter : In (k, s) counter -> (2 ^ k <= total counter)%nat.
Proof.
induction counter as [|[k' s'] rest IH]; [intros []|]. intros [X | X]; cbn [total].
- injection X as -> ->. lia.
- specialize (IH X). lia.
Qed.

(* what is merged at the end: each merger is one deeper than the larger of the two *)
Lemma finish_spec m h rest : forall sum d, ordered d rest -> shallow m rest -> (depth sum <= m + d)%nat -> (d <= h)%nat ->
  (forall k s, In (k, s) rest -> (k < h)%nat) -> (depth (finish sum rest) <= m + h)%nat.
Proof.
induction rest as [|[k s] rest IH]; intros sum d O Sh D L T; cbn [finish]; [lia|]. destruct O as [O1 O2].
apply IH with (S k).
- exact O2.
- intros x y X. apply Sh. right. exact X.
- pose proof (depth_add s sum). pose proof (Sh k s (or_introl eq_refl)). lia.
- apply (T k s). left. reflexivity.
- intros x y X. apply (T x y). right. exact X.
Qed.

Theorem depth_pairwise m h chunks : (forall c, In c chunks -> (terms c <= m)%nat) -> (length chunks <= 2 ^ h)%nat ->
  (depth (pairwise chunks) <= m + h)%nat.
Proof.
intros H L. unfold pairwise.
assert (S0 : shallow m nil) by (intros k s []).
destruct (push_spec m chunks nil H I S0) as (Or & Sh & T). cbn [total] in T. rewrite Nat.add_0_l in T. rewrite <- T in L.
set (q := push_all nil chunks) in *. clearbody q. clear T. destruct q as [|[d sum] rest]; [simpl; lia|].
cbn [ordered] in Or. destruct Or as [_ Or]. cbn [total] in L.
assert (P : (1 <= 2 ^ d)%nat) by (pose proof (Nat.pow_nonzero 2 d); lia).
apply finish_spec with (d := d).
- apply ordered_low with (2 := Or). lia.
- intros x y X. apply Sh. right. exact X.
- apply Sh. left. reflexivity.
- apply (proj2 (Nat.pow_le_mono_r_iff 2 d h ltac:(lia))). lia.
- intros k s X. apply (proj2 (Nat.pow_lt_mono_r_iff 2 k h ltac:(lia))). pose proof (in_total _ _ _ X). lia.
Qed.

(* What it sums is what it was given. *)
Lemma counted f : (forall l r, f (Add l r) = f l + f r) -> f Zero = 0 -> forall chunks,
  f (pairwise chunks) = fold_right (fun c s => f c + s) 0 chunks.
Proof.
intros A Z chunks. set (all := fun counter : list (nat * tree) => fold_right (fun c s => f (snd c) + s) 0 counter).
assert (C : forall counter k sum, all (carry k sum counter) = f sum + all counter).
{ induction counter as [|[k' s'] rest IH]; intros k sum; cbn [carry]; [reflexivity|].
  destruct (Nat.eqb k' k); [|reflexivity]. rewrite IH, A. unfold all. simpl. ring. }
assert (P : forall l counter, all (push_all counter l) = all counter + fold_right (fun c s => f c + s) 0 l).
{ induction l as [|c rest IH]; intros counter; cbn [push_all fold_right]; [ring|]. rewrite IH, C. ring. }
assert (E : forall rest sum, f (finish sum rest) = f sum + all rest).
{ induction rest as [|[k s] rest IH]; intros sum; cbn [finish]; [unfold all; simpl; ring|]. rewrite IH, A. unfold all. simpl. ring. }
unfold pairwise. specialize (P chunks nil). set (q := push_all nil chunks) in *. clearbody q.
destruct q as [|[k sum] rest].
- rewrite Z. unfold all in P. simpl in P. lra.
- rewrite E. unfold all in *. simpl in *. lra.
Qed.

Theorem pairwise_exact chunks : exact (pairwise chunks) = fold_right (fun c s => exact c + s) 0 chunks /\
  absolute (pairwise chunks) = fold_right (fun c s => absolute c + s) 0 chunks.
Proof. split; apply counted; reflexivity. Qed.
