(* Rounding, as IEEE 754 does it.  Flocq; real numbers of the standard library (with their axioms).

   1. Next-up after round-to-nearest is an upper bound (binary64, finiteness as the program checks it):
        add_up_ge, mul_up_ge, div_up_ge, sqrt_up_ge      B2R x op B2R y <= B2R (next_up (x op y))
      whenever the arguments and the result are finite.  In particular an overflow to minus infinity is harmless:
      its next-up is the most negative finite number, and that is still an upper bound.  (div: y is not zero; sqrt:
      x >= 0.)  next_down is symmetric by negation.

   2. Sums and dot products in any order, with or without fused multiply-add, gradual underflow included.
      u = 2^-p (p bits), eta = the smallest positive subnormal number, omega = eta / 2.  For a tree of additions whose
      leaves are n rounded products x_i y_i, or that accumulates some of them by fma, and no overflow:
        dot_any_order      |fl - sum x_i y_i| <= n u sum |x_i y_i| + n (1 + n u) omega
        dot_any_order_eta  |fl - sum x_i y_i| <= n u sum |x_i y_i| + n eta               when n u <= 1
        sum_any_order      |fl - sum z_i|     <= (n - 1) u sum |z_i|                     numbers added, no underflow term
      The constant n u is the sharp one, with no condition on n and no 1/(1 - n u): Jeannerod and Rump.

   3. Chunks: m chunks of k products each in any order, then the m results in any order:
        dot_chunks         |fl - sum| <= (k + m) u sum |x_i y_i| + ...                   when (m - 1) k u <= 1

   Source: Jeannerod and Rump, SIAM J. Matrix Anal. Appl. 34 (2013) (Theorem 3.1 and section 4); Rump (2012). *)

From Coq Require Import Reals Lra Lia Psatz List ZArith.
From Flocq Require Import Core Plus_error Relative Operations.
Local Open Scope R_scope.

Section AnyOrder.
Variables (emin prec : Z).
Context {prec_pos : Prec_gt_0 prec}.

Notation fexp := (FLT_exp emin prec).
Notation format := (generic_format radix2 fexp).
Notation rnd := (round radix2 fexp ZnearestE).
Notation u := (u_ro radix2 prec).
Notation v := (u_ro radix2 prec / (1 + u_ro radix2 prec)).
Definition omega := / 2 * bpow radix2 emin.
Definition eta := bpow radix2 emin.

Lemma u_pos : 0 < u.
Proof. unfold u_ro. apply Rmult_lt_0_compat; [lra | apply bpow_gt_0]. Qed.

Lemma u_le_half : u <= / 2.
Proof.
unfold u_ro. pose proof (bpow_le radix2 (- prec + 1) 0) as H. change (bpow radix2 0) with 1 in H.
assert (- prec + 1 <= 0)%Z by (unfold Prec_gt_0 in prec_pos; lia). specialize (H H0). lra.
Qed.

(* v = u / (1 + u) without the quotient *)
Lemma v_spec : 0 < v /\ v * (1 + u) = u.
Proof.
pose proof u_pos. split; [|field; lra].
apply Rdiv_lt_0_compat; lra.
Qed.

Lemma format_rnd x : format (rnd x).
Proof. apply generic_format_round; auto with typeclass_instances. Qed.

(* The error is at most the distance to any number of the format. *)
Lemma nearest x g : format g -> Rabs (rnd x - x) <= Rabs (g - x).
Proof. intros Hg. exact (proj2 (round_N_pt radix2 fexp _ x) g Hg). Qed.

(* A sum of two numbers of the format has a relative error only: no underflow. *)
Lemma sum_error a b : format a -> format b -> Rabs (rnd (a + b) - (a + b)) <= v * Rabs (a + b).
Proof.
intros Ha Hb.
destruct (FLT_plus_error_N_ex radix2 emin prec (fun x => negb (Z.even x)) a b Ha Hb) as (eps & He & Hr).
rewrite Hr. replace ((a + b) * (1 + eps) - (a + b)) with (eps * (a + b)) by ring.
rewrite Rabs_mult. apply Rmult_le_compat_r; [apply Rabs_pos | exact He].
Qed.

(* Any number: a relative error, or an absolute one below omega. *)
Lemma round_error x : Rabs (rnd x - x) <= v * Rabs x \/ Rabs (rnd x - x) <= omega.
Proof.
destruct (relative_error_N_FLT'_ex radix2 emin prec prec_pos (fun x => negb (Z.even x)) x)
  as (eps & et & He & Ht & Hz & Hr).
rewrite Hr. destruct (Rmult_integral _ _ Hz) as [-> | ->].
- right. replace (x * (1 + 0) + et - x) with et by ring. exact Ht.
- left. replace (x * (1 + eps) + 0 - x) with (eps * x) by ring.
  rewrite Rabs_mult. apply Rmult_le_compat_r; [apply Rabs_pos | exact He].
Qed.

(* Any-order dot product: x_i y_i are rounded and added, or accumulated by fma; zero is an empty accumulator. *)
Inductive tree :=
  | Zero
  | Product (x y : R)
  | Add (l r : tree)
  | Fma (t : tree) (x y : R).

Fixpoint fl t := match t with
  | Zero => 0 | Product x y => rnd (x * y) | Add l r => rnd (fl l + fl r) | Fma t x y => rnd (fl t + x * y) end.
Fixpoint exact t := match t with
  | Zero => 0 | Product x y => x * y | Add l r => exact l + exact r | Fma t x y => exact t + x * y end.
Fixpoint absolute t := match t with
  | Zero => 0 | Product x y => Rabs (x * y) | Add l r => absolute l + absolute r
  | Fma t x y => absolute t + Rabs (x * y) end.
Fixpoint terms t : nat := match t with
  | Zero => 0 | Product _ _ => 1 | Add l r => terms l + terms r | Fma t _ _ => S (terms t) end.

Lemma format_fl t : format (fl t).
Proof. destruct t; simpl; try apply format_rnd. apply generic_format_0. Qed.

Lemma rnd_format x : format x -> rnd x = x.
Proof. intros H. apply round_generic; auto with typeclass_instances. Qed.

Lemma last_rounding q w d f x : 0 < q -> 0 < w -> w * (1 + q) = q -> d <= w * f -> f <= x -> (1 + q) * d <= q * x.
Proof.
intros Q W V D X. replace (q * x) with ((1 + q) * (w * x)) by (transitivity (w * (1 + q) * x); [ring | rewrite V; reflexivity]).
apply Rmult_le_compat_l; [lra|]. apply Rle_trans with (1 := D). apply Rmult_le_compat_l; lra.
Qed.

(* The scalar inequalities behind the induction: e is the error of a subtree, d that of the last addition. *)
Lemma combine_one n1 s1 s2 e1 e2 f1 f2 d : 1 <= n1 -> 0 <= s1 -> 0 <= s2 ->
  e1 <= n1 * u * s1 -> e2 <= v * s2 -> f1 <= s1 + e1 -> f2 <= s2 + e2 ->
  d <= f2 -> d <= v * (f1 + f2) -> e1 + e2 + d <= (n1 + 1) * u * (s1 + s2).
Proof.
intros Hn S1 S2 E1 E2 F1 F2 D1 D2.
pose proof u_pos as U. destruct v_spec as [V0 V].
set (w := v) in *. set (q := u) in *. clearbody w q.
assert (V2 : w * s2 + q * w * s2 = q * s2) by (transitivity ((w * (1 + q)) * s2); [ring | rewrite V; reflexivity]).
assert (Hw : w <= q) by nra.
destruct (Rle_or_lt ((1 + w) * s2) (q * s1 + (n1 * q + q * w) * s2)) as [A | B].
- nra.
- assert (Q : q * s1 <= s2). { assert (w <= n1 * q + q * w) by nra. nra. }
  assert (D : (1 + q) * d <= q * ((1 + n1 * q) * s1 + (1 + w) * s2)).
  { apply (last_rounding q w d (f1 + f2)); try assumption; lra. }
  assert (G : (n1 - 1) * (q * s1) <= (n1 - 1) * s2) by (apply Rmult_le_compat_l; lra).
  assert (D' : (1 + q) * d <= (1 + q) * (q * s1 + (n1 * q + q * w) * s2)).
  { apply Rle_trans with (1 := D).
    assert (H : (1 + n1 * q) * s1 + (1 + w) * s2 <= (1 + q) * s1 + (1 + q) * (n1 + w) * s2).
    { assert (0 <= q * w * s2) by (repeat apply Rmult_le_pos; lra).
      assert (0 <= n1 * q * s2) by (repeat apply Rmult_le_pos; lra). nra. }
    apply Rmult_le_compat_l with (r := q) in H; [|lra]. lra. }
  apply Rmult_le_reg_l in D'; [|lra]. nra.
Qed.

Lemma combine_two n1 n2 s1 s2 e1 e2 f1 f2 d : 2 <= n1 -> 2 <= n2 -> 0 <= s1 -> 0 <= s2 ->
  e1 <= n1 * u * s1 -> e2 <= n2 * u * s2 -> f1 <= s1 + e1 -> f2 <= s2 + e2 ->
  d <= f1 -> d <= f2 -> d <= v * (f1 + f2) -> e1 + e2 + d <= (n1 + n2) * u * (s1 + s2).
Proof.
intros N1 N2 S1 S2 E1 E2 F1 F2 D1 D2 D3.
pose proof u_pos as U. destruct v_spec as [V0 V].
set (w := v) in *. set (q := u) in *. clearbody w q.
assert (P12 : 0 <= n1 * q * s2) by (repeat apply Rmult_le_pos; lra).
assert (P21 : 0 <= n2 * q * s1) by (repeat apply Rmult_le_pos; lra).
destruct (Rle_or_lt ((1 + n2 * q) * s2) (n2 * q * s1)) as [A | A]; [nra|].
destruct (Rle_or_lt ((1 + n1 * q) * s1) (n1 * q * s2)) as [B | B]; [nra|].
assert (A' : q * s1 <= (/ 2 + q) * s2).
{ destruct (Rle_or_lt (q * s1) (q * s2)) as [C | C]; [nra|].
  assert (2 * (q * s1 - q * s2) <= n2 * (q * s1 - q * s2)) by (apply Rmult_le_compat_r; lra). nra. }
assert (B' : q * s2 <= (/ 2 + q) * s1).
{ destruct (Rle_or_lt (q * s2) (q * s1)) as [C | C]; [nra|].
  assert (2 * (q * s2 - q * s1) <= n1 * (q * s2 - q * s1)) by (apply Rmult_le_compat_r; lra). nra. }
assert (D : (1 + q) * d <= (1 + q) * (q * (n2 * s1 + n1 * s2))).
{ apply Rle_trans with (q * ((1 + n1 * q) * s1 + (1 + n2 * q) * s2)).
  - apply (last_rounding q w d (f1 + f2)); try assumption; lra.
  - replace ((1 + q) * (q * (n2 * s1 + n1 * s2))) with (q * ((1 + q) * (n2 * s1 + n1 * s2))) by ring.
    apply Rmult_le_compat_l; [lra|].
    assert (n1 * (q * s1) <= n1 * ((/ 2 + q) * s2)) by (apply Rmult_le_compat_l; lra).
    assert (n2 * (q * s2) <= n2 * ((/ 2 + q) * s1)) by (apply Rmult_le_compat_l; lra).
    nra. }
apply Rmult_le_reg_l in D; [|lra]. nra.
Qed.

(* Each product that underflows is replaced by a number within omega that is rounded without error. *)
Definition bounded t qs qa :=
  Rabs qs <= qa /\ Rabs (qs - exact t) <= INR (terms t) * omega /\ qa <= absolute t + INR (terms t) * omega /\
  (terms t = 0%nat -> fl t = 0 /\ qs = 0 /\ qa = 0) /\
  (terms t = 1%nat -> Rabs (fl t - qs) <= v * qa) /\
  Rabs (fl t - qs) <= INR (terms t) * u * qa.

Lemma omega_pos : 0 < omega.
Proof. unfold omega. pose proof (bpow_gt_0 radix2 emin). lra. Qed.

Lemma v_le_u : v <= u.
Proof. pose proof u_pos. destruct v_spec as [V0 V]. set (w := v) in *. clearbody w. nra. Qed.

(* the leaf, and the fma into an empty accumulator *)
Lemma leaf_step z : exists q, Rabs (q - z) <= omega /\ Rabs (rnd z - q) <= v * Rabs q.
Proof.
pose proof omega_pos. destruct v_spec as [V0 _]. destruct (round_error z) as [H1 | H1].
- exists z. split; [|exact H1]. rewrite Rminus_diag_eq, Rabs_R0; lra.
- exists (rnd z). split; [exact H1|]. rewrite Rminus_diag_eq, Rabs_R0 by reflexivity.
  apply Rmult_le_pos; [lra | apply Rabs_pos].
Qed.

Lemma absolute_ge0 t : 0 <= absolute t.
Proof. induction t; simpl; try lra; try apply Rabs_pos. pose proof (Rabs_pos (x * y)). lra. Qed.

Lemma rabs_near a b : Rabs a <= Rabs b + Rabs (a - b).
Proof. replace a with (b + (a - b)) at 1 by ring. apply Rabs_triang. Qed.

Lemma small n : n <> 0%nat -> n = 1%nat \/ 2 <= INR n.
Proof.
destruct n as [|[|n]]; intros H; [congruence | left; reflexivity | right].
rewrite !S_INR. pose proof (pos_INR n). lra.
Qed.

Lemma one_le n : n <> 0%nat -> 1 <= INR n.
Proof. destruct n; intros H; [congruence|]. rewrite S_INR. pose proof (pos_INR n). lra. Qed.

Lemma bounded_leaf t z : terms t = 1%nat -> exact t = z -> absolute t = Rabs z -> fl t = rnd z ->
  exists qs qa, bounded t qs qa.
Proof.
intros T E A Fl. destruct (leaf_step z) as (q & Q1 & Q2).
exists q, (Rabs q). unfold bounded. rewrite T, E, A, Fl. simpl.
pose proof (rabs_near q z). pose proof v_le_u. pose proof (Rabs_pos q).
split; [lra|]. split; [lra|]. split; [lra|]. split; [congruence|]. split; [intros _; exact Q2|].
apply Rle_trans with (1 := Q2). rewrite Rmult_1_l. apply Rmult_le_compat_r; lra.
Qed.

Theorem dot_bounded t : exists qs qa, bounded t qs qa.
Proof.
induction t as [|x y|l IHl r IHr|t IH x y].
- exists 0, 0. unfold bounded; simpl. rewrite !Rminus_diag_eq, Rabs_R0 by reflexivity.
  split; [lra|]. split; [lra|]. split; [lra|]. split; [intros _; auto|]. split; [congruence|lra].
- apply (bounded_leaf _ (x * y)); reflexivity.
- destruct IHl as (p & a & P1 & P2 & P3 & P4 & P5 & P6). destruct IHr as (q & b & Q1 & Q2 & Q3 & Q4 & Q5 & Q6).
  pose proof (absolute_ge0 l) as AL. pose proof (absolute_ge0 r) as AR.
  destruct (Nat.eq_dec (terms l) 0) as [L0|L0].
  { destruct (P4 L0) as (F0 & p0 & a0). subst p a. rewrite L0 in *. simpl in P2.
    assert (E0 : exact l = 0).
    { rewrite Rmult_0_l, Rminus_0_l, Rabs_Ropp in P2. pose proof (Rabs_pos (exact l)).
      apply Rabs_eq_R0. lra. }
    exists q, b. unfold bounded. simpl. rewrite L0, E0, F0, !Rplus_0_l, (rnd_format _ (format_fl r)). simpl.
    refine (conj Q1 (conj Q2 (conj _ (conj Q4 (conj Q5 Q6))))). lra. }
  destruct (Nat.eq_dec (terms r) 0) as [R0|R0].
  { destruct (Q4 R0) as (F0 & q0 & b0). subst q b. rewrite R0 in *. simpl in Q2.
    assert (E0 : exact r = 0).
    { rewrite Rmult_0_l, Rminus_0_l, Rabs_Ropp in Q2. pose proof (Rabs_pos (exact r)).
      apply Rabs_eq_R0. lra. }
    exists p, a. unfold bounded. simpl. rewrite R0, E0, F0, !Rplus_0_r, (rnd_format _ (format_fl l)), Nat.add_0_r.
    refine (conj P1 (conj P2 (conj _ (conj P4 (conj P5 P6))))). lra. }
  pose proof (one_le _ L0) as NL. pose proof (one_le _ R0) as NR.
  exists (p + q), (a + b). unfold bounded. simpl. rewrite plus_INR.
  split; [pose proof (Rabs_triang p q); lra|].
  split. { replace (p + q - (exact l + exact r)) with ((p - exact l) + (q - exact r)) by ring.
    pose proof (Rabs_triang (p - exact l) (q - exact r)). lra. }
  split; [lra|]. split; [intros; exfalso; lia|]. split; [intros; exfalso; lia|].
  set (z := fl l + fl r).
  assert (D : Rabs (rnd z - (p + q)) <= Rabs (fl l - p) + Rabs (fl r - q) + Rabs (rnd z - z)).
  { replace (rnd z - (p + q)) with ((fl l - p) + (fl r - q) + (rnd z - z)) by (unfold z; ring).
    eapply Rle_trans; [apply Rabs_triang|]. pose proof (Rabs_triang (fl l - p) (fl r - q)). lra. }
  eapply Rle_trans; [exact D|].
  pose proof (rabs_near (fl l) p) as FL. pose proof (rabs_near (fl r) q) as FR.
  pose proof (Rabs_pos p) as PP. pose proof (Rabs_pos q) as PQ.
  assert (DL : Rabs (rnd z - z) <= Rabs (fl l)).
  { eapply Rle_trans; [apply (nearest z (fl r)), format_fl|]. unfold z.
    replace (fl r - (fl l + fl r)) with (- fl l) by ring. rewrite Rabs_Ropp. lra. }
  assert (DR : Rabs (rnd z - z) <= Rabs (fl r)).
  { eapply Rle_trans; [apply (nearest z (fl l)), format_fl|]. unfold z.
    replace (fl l - (fl l + fl r)) with (- fl r) by ring. rewrite Rabs_Ropp. lra. }
  assert (DV : Rabs (rnd z - z) <= v * (Rabs (fl l) + Rabs (fl r))).
  { eapply Rle_trans; [apply sum_error; apply format_fl|]. destruct v_spec as [V0 _].
    apply Rmult_le_compat_l; [lra|]. apply Rabs_triang. }
  destruct (small _ R0) as [R1|R2].
  { rewrite R1. simpl INR. apply (combine_one _ _ _ _ _ (Rabs (fl l)) (Rabs (fl r))); try lra; auto. }
  destruct (small _ L0) as [L1|L2].
  { rewrite L1. simpl INR. rewrite (Rplus_comm 1), (Rplus_comm a), (Rplus_comm (Rabs (fl l - p))).
    apply (combine_one _ _ _ _ _ (Rabs (fl r)) (Rabs (fl l))); try lra; auto. }
  apply (combine_two _ _ _ _ _ _ (Rabs (fl l)) (Rabs (fl r))); try lra; auto.
- destruct IH as (p & a & P1 & P2 & P3 & P4 & P5 & P6).
  pose proof (absolute_ge0 t) as AT.
  destruct (Nat.eq_dec (terms t) 0) as [T0|T0].
  { destruct (P4 T0) as (F0 & p0 & a0). subst p a. rewrite T0 in *. simpl in P2, P3.
    assert (E0 : exact t = 0).
    { rewrite Rmult_0_l, Rminus_0_l, Rabs_Ropp in P2. pose proof (Rabs_pos (exact t)).
      apply Rabs_eq_R0. lra. }
    assert (A0 : absolute t = 0 -> exists qs qa, bounded (Fma t x y) qs qa).
    { intros A. apply (bounded_leaf _ (x * y)); simpl; rewrite ?T0, ?E0, ?A, ?F0, ?Rplus_0_l; reflexivity. }
    apply A0. clear - T0. induction t; simpl in *; try lia; [reflexivity|]. rewrite IHt1, IHt2 by lia. lra. }
  pose proof (one_le _ T0) as NT.
  set (z := fl t + x * y). pose proof (Rabs_pos p) as PP. pose proof (Rabs_pos (x * y)) as PXY.
  pose proof omega_pos as OM. pose proof u_pos as U.
  destruct (round_error z) as [H|H].
  + exists (p + x * y), (a + Rabs (x * y)). unfold bounded. cbn [terms exact absolute fl]. rewrite S_INR. fold z.
    split; [pose proof (Rabs_triang p (x * y)); lra|].
    split. { replace (p + x * y - (exact t + x * y)) with (p - exact t) by ring. lra. }
    split; [lra|]. split; [intros; exfalso; lia|]. split; [intros; exfalso; lia|].
    pose proof (rabs_near (fl t) p) as FT.
    assert (D : Rabs (rnd z - (p + x * y)) <= Rabs (fl t - p) + 0 + Rabs (rnd z - z)).
    { replace (rnd z - (p + x * y)) with ((fl t - p) + (rnd z - z)) by (unfold z; ring).
      pose proof (Rabs_triang (fl t - p) (rnd z - z)). lra. }
    eapply Rle_trans; [exact D|].
    destruct v_spec as [V0 _].
    apply (combine_one _ _ _ _ _ (Rabs (fl t)) (Rabs (x * y))); try lra.
    * apply Rmult_le_pos; lra.
    * eapply Rle_trans; [apply (nearest z (fl t)), format_fl|]. unfold z.
      replace (fl t - (fl t + x * y)) with (- (x * y)) by ring. rewrite Rabs_Ropp. lra.
    * eapply Rle_trans; [exact H|]. apply Rmult_le_compat_l; [lra|]. apply Rabs_triang.
  + (* the result is subnormal: charge the error to the product *)
    set (q := rnd z - fl t).
    assert (Q : Rabs (q - x * y) <= omega) by (unfold q; replace (rnd z - fl t - x * y) with (rnd z - z) by (unfold z; ring); exact H).
    exists (p + q), (a + Rabs q). unfold bounded. cbn [terms exact absolute fl]. rewrite S_INR. fold z.
    pose proof (rabs_near q (x * y)) as QN.
    split; [pose proof (Rabs_triang p q); lra|].
    split. { replace (p + q - (exact t + x * y)) with ((p - exact t) + (q - x * y)) by ring.
      pose proof (Rabs_triang (p - exact t) (q - x * y)). lra. }
    split; [lra|]. split; [intros; exfalso; lia|]. split; [intros; exfalso; lia|].
    replace (rnd z - (p + q)) with (fl t - p) by (unfold q; ring).
    eapply Rle_trans; [exact P6|]. pose proof (Rabs_pos q).
    apply Rmult_le_compat; [apply Rmult_le_pos; lra | lra | apply Rmult_le_compat_r; lra | lra].
Qed.

Theorem dot_any_order t :
  Rabs (fl t - exact t) <= INR (terms t) * u * absolute t + INR (terms t) * (1 + INR (terms t) * u) * omega.
Proof.
destruct (dot_bounded t) as (q & a & H1 & H2 & H3 & _ & _ & H6).
set (n := INR (terms t)) in *. assert (N : 0 <= n) by apply pos_INR. pose proof u_pos as U.
replace (fl t - exact t) with ((fl t - q) + (q - exact t)) by ring.
eapply Rle_trans; [apply Rabs_triang|].
assert (n * u * a <= n * u * (absolute t + n * omega)) by (apply Rmult_le_compat_l; [apply Rmult_le_pos|]; lra).
nra.
Qed.

Theorem dot_any_order_eta t : INR (terms t) * u <= 1 ->
  Rabs (fl t - exact t) <= INR (terms t) * u * absolute t + INR (terms t) * eta.
Proof.
intros H. eapply Rle_trans; [apply dot_any_order|]. apply Rplus_le_compat_l.
replace eta with (2 * omega) by (unfold eta, omega; lra).
pose proof omega_pos as O. pose proof (pos_INR (terms t)) as N. set (n := INR (terms t)) in *.
rewrite Rmult_assoc. apply Rmult_le_compat_l; [exact N|]. apply Rmult_le_compat_r; lra.
Qed.

(* Numbers of the format added in any order: an addition never underflows. *)
Inductive sum_tree := Empty | Number (z : R) | Plus (l r : sum_tree).
Fixpoint fl_sum t := match t with Empty => 0 | Number z => z | Plus l r => rnd (fl_sum l + fl_sum r) end.
Fixpoint exact_sum t := match t with Empty => 0 | Number z => z | Plus l r => exact_sum l + exact_sum r end.
Fixpoint absolute_sum t := match t with
  | Empty => 0 | Number z => Rabs z | Plus l r => absolute_sum l + absolute_sum r end.
Fixpoint numbers t : nat := match t with Empty => 0 | Number _ => 1 | Plus l r => numbers l + numbers r end.
Fixpoint all_format t : Prop := match t with
  | Empty => True | Number z => format z | Plus l r => all_format l /\ all_format r end.

Lemma format_fl_sum t : all_format t -> format (fl_sum t).
Proof. destruct t; simpl; intros H; [apply generic_format_0 | exact H | apply format_rnd]. Qed.

Lemma absolute_sum_ge0 t : 0 <= absolute_sum t.
Proof. induction t; simpl; try lra. apply Rabs_pos. Qed.

Lemma exact_sum_le t : Rabs (exact_sum t) <= absolute_sum t.
Proof.
induction t; simpl; [rewrite Rabs_R0; lra | lra |]. pose proof (Rabs_triang (exact_sum t1) (exact_sum t2)). lra.
Qed.

Lemma empty_sum t : numbers t = 0%nat -> all_format t -> fl_sum t = 0 /\ exact_sum t = 0 /\ absolute_sum t = 0.
Proof.
induction t; simpl; intros H F; [auto | congruence |]. destruct F as [F1 F2].
destruct IHt1 as (-> & -> & ->); [lia | exact F1 |]. destruct IHt2 as (-> & -> & ->); [lia | exact F2 |].
rewrite Rplus_0_l, round_0 by auto with typeclass_instances. auto.
Qed.

Lemma combine_sum n1 n2 s1 s2 e1 e2 f1 f2 d : 1 <= n1 -> 1 <= n2 -> 0 <= s1 -> 0 <= s2 -> s2 <= s1 ->
  e1 <= (n1 - 1) * u * s1 -> e2 <= (n2 - 1) * u * s2 -> f1 <= s1 + e1 -> f2 <= s2 + e2 ->
  d <= f2 -> d <= v * (f1 + f2) -> e1 + e2 + d <= (n1 + n2 - 1) * u * (s1 + s2).
Proof.
intros N1 N2 S1 S2 S E1 E2 F1 F2 D1 D2.
pose proof u_pos as U. pose proof u_le_half as UH. pose proof v_le_u as VU. destruct v_spec as [V0 V].
set (w := v) in *. set (q := u) in *. clearbody w q.
assert (P12 : 0 <= n1 * q * s2) by (repeat apply Rmult_le_pos; lra).
assert (M2 : (n2 - 1) * q * s2 <= (n2 - 1) * q * s1) by (apply Rmult_le_compat_l; [apply Rmult_le_pos|]; lra).
destruct (Rle_or_lt s2 (q * s1)) as [A|A]; [nra|].
assert (M1 : (n1 - 1) * (q * s1) <= (n1 - 1) * s2) by (apply Rmult_le_compat_l; lra).
assert (M3 : (n2 - 1) * (q * s2) <= (n2 - 1) * s1) by (apply Rmult_le_compat_l; nra).
assert (FF : f1 + f2 <= n1 * s2 + n2 * s1) by nra.
assert (D : d <= q * (n1 * s2 + n2 * s1)).
{ eapply Rle_trans; [exact D2|]. apply Rle_trans with (w * (n1 * s2 + n2 * s1)).
  - apply Rmult_le_compat_l; lra.
  - apply Rmult_le_compat_r; [|lra]. assert (0 <= n1 * s2) by (apply Rmult_le_pos; lra).
    assert (0 <= n2 * s1) by (apply Rmult_le_pos; lra). lra. }
nra.
Qed.

Theorem sum_any_order t : all_format t ->
  Rabs (fl_sum t - exact_sum t) <= INR (numbers t - 1) * u * absolute_sum t.
Proof.
induction t as [|z|l IHl r IHr]; simpl; intros F.
- rewrite Rminus_diag_eq, Rabs_R0 by reflexivity. lra.
- rewrite Rminus_diag_eq, Rabs_R0 by reflexivity. lra.
- destruct F as [FL FR]. specialize (IHl FL). specialize (IHr FR).
  pose proof (absolute_sum_ge0 l) as AL. pose proof (absolute_sum_ge0 r) as AR.
  destruct (Nat.eq_dec (numbers l) 0) as [L0|L0].
  { destruct (empty_sum l L0 FL) as (-> & -> & ->). rewrite L0, !Rplus_0_l, rnd_format by (apply format_fl_sum; exact FR).
    exact IHr. }
  destruct (Nat.eq_dec (numbers r) 0) as [R0|R0].
  { destruct (empty_sum r R0 FR) as (-> & -> & ->). rewrite R0, !Rplus_0_r, rnd_format by (apply format_fl_sum; exact FL).
    rewrite Nat.add_0_r. exact IHl. }
  pose proof (one_le _ L0) as NL. pose proof (one_le _ R0) as NR.
  rewrite minus_INR in IHl, IHr by lia. rewrite minus_INR, plus_INR by lia. simpl INR in *.
  set (z := fl_sum l + fl_sum r).
  assert (D : Rabs (rnd z - (exact_sum l + exact_sum r)) <=
              Rabs (fl_sum l - exact_sum l) + Rabs (fl_sum r - exact_sum r) + Rabs (rnd z - z)).
  { replace (rnd z - (exact_sum l + exact_sum r)) with
      ((fl_sum l - exact_sum l) + (fl_sum r - exact_sum r) + (rnd z - z)) by (unfold z; ring).
    eapply Rle_trans; [apply Rabs_triang|].
    pose proof (Rabs_triang (fl_sum l - exact_sum l) (fl_sum r - exact_sum r)). lra. }
  eapply Rle_trans; [exact D|].
  pose proof (rabs_near (fl_sum l) (exact_sum l)) as XL. pose proof (rabs_near (fl_sum r) (exact_sum r)) as XR.
  pose proof (exact_sum_le l) as YL. pose proof (exact_sum_le r) as YR.
  assert (DL : Rabs (rnd z - z) <= Rabs (fl_sum l)).
  { eapply Rle_trans; [apply (nearest z (fl_sum r)), format_fl_sum, FR|]. unfold z.
    replace (fl_sum r - (fl_sum l + fl_sum r)) with (- fl_sum l) by ring. rewrite Rabs_Ropp. lra. }
  assert (DR : Rabs (rnd z - z) <= Rabs (fl_sum r)).
  { eapply Rle_trans; [apply (nearest z (fl_sum l)), format_fl_sum, FL|]. unfold z.
    replace (fl_sum l - (fl_sum l + fl_sum r)) with (- fl_sum r) by ring. rewrite Rabs_Ropp. lra. }
  assert (DV : Rabs (rnd z - z) <= v * (Rabs (fl_sum l) + Rabs (fl_sum r))).
  { eapply Rle_trans; [apply sum_error; apply format_fl_sum; assumption|]. destruct v_spec as [V0 _].
    apply Rmult_le_compat_l; [lra|]. apply Rabs_triang. }
  destruct (Rle_or_lt (absolute_sum r) (absolute_sum l)) as [O|O].
  + apply (combine_sum _ _ _ _ _ _ (Rabs (fl_sum l)) (Rabs (fl_sum r))); lra.
  + rewrite (Rplus_comm (INR (numbers l))), (Rplus_comm (absolute_sum l)),
      (Rplus_comm (Rabs (fl_sum l - exact_sum l))).
    apply (combine_sum _ _ _ _ _ _ (Rabs (fl_sum r)) (Rabs (fl_sum l))); lra.
Qed.

(* m chunks of at most k products, each chunk in any order, and then the m results in any order. *)
Inductive chunk_tree := Chunk_empty | Chunk (t : tree) | Chunk_plus (l r : chunk_tree).
Fixpoint chunk_sum c := match c with
  | Chunk_empty => Empty | Chunk t => Number (fl t) | Chunk_plus l r => Plus (chunk_sum l) (chunk_sum r) end.
Fixpoint chunk_exact c := match c with
  | Chunk_empty => 0 | Chunk t => exact t | Chunk_plus l r => chunk_exact l + chunk_exact r end.
Fixpoint chunk_absolute c := match c with
  | Chunk_empty => 0 | Chunk t => absolute t | Chunk_plus l r => chunk_absolute l + chunk_absolute r end.
Fixpoint chunk_terms c : nat := match c with
  | Chunk_empty => 0 | Chunk t => terms t | Chunk_plus l r => chunk_terms l + chunk_terms r end.
Fixpoint chunks_at_most (k : nat) c : Prop := match c with
  | Chunk_empty => True | Chunk t => (terms t <= k)%nat
  | Chunk_plus l r => chunks_at_most k l /\ chunks_at_most k r end.

Definition chunk_fl c := fl_sum (chunk_sum c).
Definition chunks c := numbers (chunk_sum c).

Lemma chunk_format c : all_format (chunk_sum c).
Proof. induction c; simpl; auto. apply format_fl. Qed.

Lemma chunk_absolute_ge0 c : 0 <= chunk_absolute c.
Proof. induction c; simpl; try lra. apply absolute_ge0. Qed.

(* what the chunks contribute *)
Lemma chunk_inner k c : chunks_at_most k c -> let ku := INR k * u in
  Rabs (exact_sum (chunk_sum c) - chunk_exact c) <= ku * chunk_absolute c + INR (chunk_terms c) * (1 + ku) * omega /\
  absolute_sum (chunk_sum c) <= (1 + ku) * chunk_absolute c + INR (chunk_terms c) * (1 + ku) * omega.
Proof.
intros H ku. assert (KU : 0 <= ku) by (unfold ku; apply Rmult_le_pos; [apply pos_INR | pose proof u_pos; lra]).
induction c as [|t|l IHl r IHr]; simpl in H; cbn [chunk_sum exact_sum absolute_sum chunk_exact chunk_absolute chunk_terms].
- rewrite Rminus_diag_eq, Rabs_R0 by reflexivity. simpl. lra.
- pose proof (dot_any_order t) as D. pose proof (absolute_ge0 t) as A. pose proof omega_pos as O.
  pose proof (pos_INR (terms t)) as N. pose proof u_pos as U.
  assert (K : INR (terms t) * u <= ku) by (unfold ku; apply Rmult_le_compat_r; [lra | apply le_INR; exact H]).
  assert (E : Rabs (fl t - exact t) <= ku * absolute t + INR (terms t) * (1 + ku) * omega).
  { eapply Rle_trans; [exact D|]. apply Rplus_le_compat.
    - apply Rmult_le_compat_r; lra.
    - apply Rmult_le_compat_r; [lra|]. apply Rmult_le_compat_l; lra. }
  split; [exact E|].
  pose proof (rabs_near (fl t) (exact t)) as FN.
  assert (X : Rabs (exact t) <= absolute t).
  { clear. induction t; simpl; [rewrite Rabs_R0; lra | lra | | ].
    - pose proof (Rabs_triang (exact t1) (exact t2)). lra.
    - pose proof (Rabs_triang (exact t) (x * y)). lra. }
  lra.
- destruct H as [HL HR]. destruct (IHl HL) as [A1 A2]. destruct (IHr HR) as [B1 B2]. rewrite plus_INR. split.
  + replace (exact_sum (chunk_sum l) + exact_sum (chunk_sum r) - (chunk_exact l + chunk_exact r)) with
      ((exact_sum (chunk_sum l) - chunk_exact l) + (exact_sum (chunk_sum r) - chunk_exact r)) by ring.
    eapply Rle_trans; [apply Rabs_triang|]. lra.
  + lra.
Qed.

Theorem dot_chunks k c : chunks_at_most k c ->
  let ku := INR k * u in let mu := INR (chunks c - 1) * u in
  Rabs (chunk_fl c - chunk_exact c) <=
  (ku + mu + ku * mu) * chunk_absolute c + INR (chunk_terms c) * ((1 + ku) * (1 + mu)) * omega.
Proof.
intros H ku mu. destruct (chunk_inner k c H) as [H1 H2]. fold ku in H1, H2.
pose proof (sum_any_order (chunk_sum c) (chunk_format c)) as S. fold (chunks c) in S. fold mu in S.
assert (MU : 0 <= mu) by (unfold mu; apply Rmult_le_pos; [apply pos_INR | pose proof u_pos; lra]).
replace (chunk_fl c - chunk_exact c) with
  ((fl_sum (chunk_sum c) - exact_sum (chunk_sum c)) + (exact_sum (chunk_sum c) - chunk_exact c)) by (unfold chunk_fl; ring).
eapply Rle_trans; [apply Rabs_triang|].
pose proof (Rmult_le_compat_l mu _ _ MU H2). lra.
Qed.

(* the constant k + m, when (m - 1) k u <= 1 and k u, (m - 1) u <= 1/4 *)
Theorem dot_chunks_constant k c : chunks_at_most k c -> (1 <= chunks c)%nat ->
  INR (chunks c - 1) * INR k * u <= 1 -> INR k * u <= / 4 -> INR (chunks c - 1) * u <= / 4 ->
  Rabs (chunk_fl c - chunk_exact c) <= (INR k + INR (chunks c)) * u * chunk_absolute c + INR (chunk_terms c) * eta.
Proof.
intros H M1 HM HK HC. eapply Rle_trans; [apply (dot_chunks k c H)|].
pose proof u_pos as U. pose proof (chunk_absolute_ge0 c) as A. pose proof omega_pos as O.
pose proof (pos_INR (chunk_terms c)) as N. pose proof (pos_INR k) as K.
assert (C : INR (chunks c) = INR (chunks c - 1) + 1) by (rewrite <- S_INR; f_equal; lia).
pose proof (pos_INR (chunks c - 1)) as M. set (m := INR (chunks c - 1)) in *. set (kk := INR k) in *.
rewrite C. apply Rplus_le_compat.
- apply Rmult_le_compat_r; [lra|].
  assert (kk * u * (m * u) <= u). { replace (kk * u * (m * u)) with ((m * kk * u) * u) by ring. nra. }
  lra.
- replace eta with (2 * omega) by (unfold eta, omega; lra). rewrite Rmult_assoc. apply Rmult_le_compat_l; [lra|].
  apply Rmult_le_compat_r; [lra|].
  assert (0 <= kk * u) by (apply Rmult_le_pos; lra). assert (0 <= m * u) by (apply Rmult_le_pos; lra). nra.
Qed.
End AnyOrder.

(* Next-up after round-to-nearest, in the floating-point numbers themselves. *)
From Flocq Require Import IEEE754.BinarySingleNaN.

Section NextUp.
Variables (prec emax : Z).
Context {prec_pos : Prec_gt_0 prec} {prec_lt : Prec_lt_emax prec emax}.
Notation float := (binary_float prec emax).
Notation emin := (3 - emax - prec)%Z.
Notation fexp := (FLT_exp emin prec).
Notation rnd := (round radix2 fexp ZnearestE).

Lemma valid : Valid_exp fexp.
Proof. exact (@FLT_exp_valid emin prec prec_pos). Qed.

Lemma sign_le (x : float) : Bsign x = true -> B2R x <= 0.
Proof.
destruct x as [s|s| |s m e H]; simpl; try lra. intros ->. apply F2R_le_0. simpl. lia.
Qed.

Lemma sign_ge (x : float) : Bsign x = false -> 0 <= B2R x.
Proof.
destruct x as [s|s| |s m e H]; simpl; try lra. intros ->. apply F2R_ge_0. simpl. lia.
Qed.

(* An overflow towards minus infinity lies below every finite number. *)
Lemma overflow_below z g : bpow radix2 emax <= Rabs (rnd z) -> z <= 0 -> generic_format radix2 fexp g ->
  Rabs g < bpow radix2 emax -> z <= g.
Proof.
pose proof valid as V.
intros H Z G A. destruct (Rle_or_lt z g) as [L|L]; [exact L|exfalso].
assert (R : g <= rnd z) by (apply round_ge_generic; [exact V | apply valid_rnd_N | exact G | lra]).
assert (R0 : rnd z <= 0) by (apply round_le_generic; [exact V | apply valid_rnd_N | apply generic_format_0 | exact Z]).
rewrite Rabs_left1 in H by exact R0. apply Rabs_def2 in A. lra.
Qed.

(* r is what the machine returns for the real number z. *)
Lemma next_up_ge (r : float) z :
  (if Rlt_bool (Rabs (rnd z)) (bpow radix2 emax) then B2R r = rnd z /\ is_finite r = true
   else exists s, B2SF r = SpecFloat.S754_infinity s /\ (s = true -> z <= 0)) ->
  is_finite (Bsucc r) = true -> z <= B2R (Bsucc r).
Proof.
pose proof valid as V.
case Rlt_bool_spec; intros Hz.
- intros [HR HF] HS. pose proof (Bsucc_correct prec emax _ _ r HF) as C.
  destruct (Rlt_bool _ _) in C.
  + destruct C as [-> _]. rewrite HR. apply (succ_round_ge_id radix2 fexp ZnearestE).
  + exfalso. rewrite <- is_finite_SF_B2SF, C in HS. discriminate.
- intros (s & HS & HZ). destruct r as [b|b| |b m e Hb]; try discriminate. simpl in HS.
  injection HS as ->. destruct s; [|discriminate]. intros _.
  apply overflow_below; [exact Hz | auto | apply generic_format_B2R | apply abs_B2R_lt_emax].
Qed.

Theorem add_up_ge (x y : float) : is_finite x = true -> is_finite y = true ->
  is_finite (Bsucc (Bplus mode_NE x y)) = true -> B2R x + B2R y <= B2R (Bsucc (Bplus mode_NE x y)).
Proof.
intros Fx Fy. apply next_up_ge. pose proof (Bplus_correct prec emax _ _ mode_NE x y Fx Fy) as C.
change (round_mode mode_NE) with ZnearestE in C.
destruct (Rlt_bool _ _); [tauto|]. destruct C as [C S]. exists (Bsign x). split; [exact C|].
intros Sx. pose proof (sign_le x Sx). rewrite S in Sx. pose proof (sign_le y Sx). lra.
Qed.

Theorem sub_up_ge (x y : float) : is_finite x = true -> is_finite y = true ->
  is_finite (Bsucc (Bminus mode_NE x y)) = true -> B2R x - B2R y <= B2R (Bsucc (Bminus mode_NE x y)).
Proof.
intros Fx Fy. apply next_up_ge. pose proof (Bminus_correct prec emax _ _ mode_NE x y Fx Fy) as C.
change (round_mode mode_NE) with ZnearestE in C.
destruct (Rlt_bool _ _); [tauto|]. destruct C as [C S]. exists (Bsign x). split; [exact C|].
intros Sx. pose proof (sign_le x Sx). rewrite S in Sx.
assert (0 <= B2R y) by (apply sign_ge; destruct (Bsign y); [discriminate | reflexivity]). lra.
Qed.

Lemma product_sign (x y : float) : xorb (Bsign x) (Bsign y) = true -> B2R x * B2R y <= 0.
Proof.
destruct (Bsign x) eqn:Ex, (Bsign y) eqn:Ey; try discriminate; intros _.
- pose proof (sign_le x Ex). pose proof (sign_ge y Ey). nra.
- pose proof (sign_ge x Ex). pose proof (sign_le y Ey). nra.
Qed.

Theorem mul_up_ge (x y : float) : is_finite x = true -> is_finite y = true ->
  is_finite (Bsucc (Bmult mode_NE x y)) = true -> B2R x * B2R y <= B2R (Bsucc (Bmult mode_NE x y)).
Proof.
intros Fx Fy. apply next_up_ge. pose proof (Bmult_correct prec emax _ _ mode_NE x y) as C.
change (round_mode mode_NE) with ZnearestE in C.
destruct (Rlt_bool _ _); [rewrite Fx, Fy in C; tauto|].
exists (xorb (Bsign x) (Bsign y)). split; [exact C | apply product_sign].
Qed.

Theorem div_up_ge (x y : float) : is_finite x = true -> is_finite y = true -> B2R y <> 0 ->
  is_finite (Bsucc (Bdiv mode_NE x y)) = true -> B2R x / B2R y <= B2R (Bsucc (Bdiv mode_NE x y)).
Proof.
intros Fx Fy Ny. apply next_up_ge. pose proof (Bdiv_correct prec emax _ _ mode_NE x y Ny) as C.
change (round_mode mode_NE) with ZnearestE in C.
destruct (Rlt_bool _ _); [rewrite Fx in C; tauto|].
exists (xorb (Bsign x) (Bsign y)). split; [exact C|]. intros S. pose proof (product_sign x y S) as P.
replace (B2R x / B2R y) with (B2R x * B2R y * (/ B2R y * / B2R y)) by (field; exact Ny).
assert (0 < / B2R y * / B2R y) by (rewrite <- Rinv_mult; apply Rinv_0_lt_compat; nra). nra.
Qed.

Theorem sqrt_up_ge (x : float) : is_finite x = true -> 0 <= B2R x ->
  is_finite (Bsucc (Bsqrt mode_NE x)) = true -> sqrt (B2R x) <= B2R (Bsucc (Bsqrt mode_NE x)).
Proof.
pose proof valid as V.
intros Fx Px HS. destruct (Bsqrt_correct prec emax _ _ mode_NE x) as (C & CF & _).
change (round_mode mode_NE) with ZnearestE in C.
assert (HF : is_finite (Bsqrt mode_NE x) = true).
{ rewrite CF. destruct x as [s|s| |s m e H]; try discriminate; [reflexivity|]. destruct s; [|reflexivity].
  exfalso. assert (F2R (Float radix2 (Z.neg m) e) < 0) by (apply F2R_lt_0; simpl; lia). simpl in *. lra. }
pose proof (Bsucc_correct prec emax _ _ (Bsqrt mode_NE x) HF) as S.
destruct (Rlt_bool _ _) in S.
- destruct S as [-> _]. rewrite C. apply (succ_round_ge_id radix2 fexp ZnearestE).
- exfalso. rewrite <- is_finite_SF_B2SF, S in HS. discriminate.
Qed.

(* Accumulation: a chain of upward sums bounds the sum. *)
Fixpoint sum_up (acc : float) (l : list float) : float :=
  match l with nil => acc | (x :: t)%list => sum_up (Bsucc (Bplus mode_NE acc x)) t end.
Fixpoint sum_R (l : list float) : R := match l with nil => 0 | (x :: t)%list => B2R x + sum_R t end.

(* every partial result is finite: what the program checks, once, on the result if all terms are non-negative *)
Fixpoint sum_up_finite (acc : float) (l : list float) : Prop :=
  is_finite acc = true /\ match l with
  | nil => True | (x :: t)%list => is_finite x = true /\ sum_up_finite (Bsucc (Bplus mode_NE acc x)) t end.

Theorem sum_up_ge l : forall acc, sum_up_finite acc l -> B2R acc + sum_R l <= B2R (sum_up acc l).
Proof.
induction l as [|x t IH]; intros acc; simpl; [lra|]. intros (Fa & Fx & H).
assert (Fs : is_finite (Bsucc (Bplus mode_NE acc x)) = true) by (destruct t; simpl in H; tauto).
pose proof (add_up_ge acc x Fa Fx Fs). specialize (IH _ H). lra.
Qed.
End NextUp.
