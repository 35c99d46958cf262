(* Directed arithmetic as the program does it: it moves to the next number only where the error says so.

   An operation is rounded to nearest; the sign of its error comes from an exact error term, and what is returned is the
   result itself if the error is not positive, else the next number above:
       up r e = if e <= 0 then r else succ r.
   Theorems, for numbers of a binary format with gradual underflow, p >= 4 bits, and rounding to nearest even:
     two_sum_exact     the error term of  a + b  is exact, always (Knuth)
     product_exact     that of  ab  is, where  2^(emin + 2p - 1) <= |ab|  or ab = 0 (Dekker, Veltkamp)
     add_up_directed, mul_up_directed, div_up_directed, sqrt_up_directed
                       what is returned is not below the exact result, under the conditions that the program tests: the
                       rounded product is at least 2^(emin + 2p) (2^-968 in binary64), and a quotient is normal
     add_up_exact, mul_up_exact
                       a result that is a number of the format comes out as it is: 1 * 1 is 1
   Where these conditions fail the program moves without asking: add_up_ge ... of rounding.v.  Numbers are real here, with
   no largest exponent: an error term in which something overflows is none, and the program then moves, too.

   The operations of an error term are in the order of the program (rigor/directed.rs).
   Source: Ogita, Rump, Oishi, SIAM J. Sci. Comput. 26 (2005), algorithms 3.1 to 3.3; Boldo, Pitfalls of a full floating-point
   proof: example on the formal proof of the Veltkamp/Dekker algorithms (2006), whose theorems Flocq has. *)

From Coq Require Import Reals Lra Lia ZArith.
From Flocq Require Import Core Plus_error Sterbenz Relative Pff.Pff2Flocq.
Local Open Scope R_scope.

Section Directed.
Variables (emin prec : Z).
Hypothesis prec_4 : (4 <= prec)%Z.
Hypothesis emin_neg : (emin < 0)%Z.

Local Instance prec_gt_0 : Prec_gt_0 prec.
Proof. unfold Prec_gt_0. lia. Qed.

Notation fexp := (FLT_exp emin prec).
Notation format := (generic_format radix2 fexp).
Notation rnd := (round radix2 fexp ZnearestE).
Notation u := (/ 2 * bpow radix2 (1 - prec)).

Definition up r e := if Rle_bool e 0 then r else succ radix2 fexp r.

Lemma up_ge z e : (e <= 0 -> z <= rnd z) -> z <= up (rnd z) e.
Proof.
intros H. unfold up. destruct (Rle_bool_spec e 0) as [E | E]; [exact (H E)|].
apply (succ_round_ge_id radix2 fexp ZnearestE).
Qed.

Lemma up_same r e : e <= 0 -> up r e = r.
Proof. intros H. unfold up. rewrite Rle_bool_true; [reflexivity | exact H]. Qed.

Lemma even_choice : forall x : Z, negb (Z.even x) = negb (negb (Z.even (- (x + 1)))).
Proof. intros x. rewrite Z.even_opp, Z.even_add. now destruct (Z.even x). Qed.

Lemma format_rnd x : format (rnd x).
Proof. apply generic_format_round; auto with typeclass_instances. Qed.

Lemma rnd_format x : format x -> rnd x = x.
Proof. intros H. apply round_generic; auto with typeclass_instances. Qed.

Lemma rnd_opp x : rnd (- x) = - rnd x.
Proof. apply round_NE_opp. Qed.

(* -- sums *)

Definition two_sum_error a b :=
  let s := rnd (a + b) in let t := rnd (s - a) in rnd (rnd (a - rnd (s - t)) + rnd (b - t)).

Theorem two_sum_exact a b : format a -> format b -> two_sum_error a b = a + b - rnd (a + b).
Proof.
intros A B. pose proof (TwoSum_correct emin prec (fun x => negb (Z.even x))) as T.
specialize (T ltac:(lia) ltac:(lia) even_choice a b A B). unfold two_sum_error. simpl in *. lra.
Qed.

Theorem add_up_directed a b : format a -> format b -> a + b <= up (rnd (a + b)) (two_sum_error a b).
Proof. intros A B. apply up_ge. rewrite two_sum_exact by assumption. lra. Qed.

Theorem add_up_exact a b : format a -> format b -> format (a + b) -> up (rnd (a + b)) (two_sum_error a b) = a + b.
Proof. intros A B C. rewrite up_same; rewrite ?two_sum_exact, rnd_format by assumption; lra. Qed.

(* -- products *)

Definition high x := let c := rnd (x * (bpow radix2 (prec - Z.div2 prec) + 1)) in rnd (c - rnd (c - x)).
Definition low x := rnd (x - high x).
Definition product_error a b p :=
  rnd (rnd (rnd (rnd (rnd (high a * high b) - p) + rnd (high a * low b)) + rnd (low a * high b)) + rnd (low a * low b)).

Lemma highE x : high x = let c := rnd (x * (bpow radix2 (prec - Z.div2 prec) + 1)) in rnd (rnd (x - c) + c).
Proof.
unfold high. cbv zeta. set (c := rnd (x * _)). assert (E : rnd (x - c) = - rnd (c - x)).
{ rewrite <- rnd_opp. f_equal. ring. }
rewrite E. f_equal. ring.
Qed.

Theorem product_exact a b : format a -> format b -> a * b = 0 \/ bpow radix2 (emin + 2 * prec - 1) <= Rabs (a * b) ->
  product_error a b (rnd (a * b)) = a * b - rnd (a * b).
Proof.
intros A B H.
destruct (Dekker radix2 emin prec (fun x => negb (Z.even x)) prec_4 emin_neg a b A B (or_introl eq_refl)) as [D _].
specialize (D H). unfold product_error, low. rewrite !highE. cbv zeta in *.
match type of D with _ = _ + ?e => assert (E : e = a * b - rnd (a * b)) by (clear - D; lra) end.
rewrite <- E. clear D E. assert (C : forall z, z - rnd (a * b) = - rnd (a * b) + z) by (intros; ring).
rewrite C. reflexivity.
Qed.

(* what the program tests is enough *)
Lemma large_product x : bpow radix2 (emin + 2 * prec) <= Rabs (rnd x) -> bpow radix2 (emin + 2 * prec - 1) <= Rabs x.
Proof.
intros H. destruct (Rle_or_lt (bpow radix2 (emin + 2 * prec - 1)) (Rabs x)) as [L | L]; [exact L | exfalso].
assert (Rabs (rnd x) <= bpow radix2 (emin + 2 * prec - 1)).
{ apply abs_round_le_generic; auto with typeclass_instances; [|lra].
  apply generic_format_bpow. unfold FLT_exp. lia. }
assert (bpow radix2 (emin + 2 * prec - 1) < bpow radix2 (emin + 2 * prec)) by (apply bpow_lt; lia). lra.
Qed.

Theorem mul_up_directed a b : format a -> format b -> bpow radix2 (emin + 2 * prec) <= Rabs (rnd (a * b)) ->
  a * b <= up (rnd (a * b)) (product_error a b (rnd (a * b))).
Proof. intros A B H. apply up_ge. rewrite product_exact by (try right; auto using large_product). lra. Qed.

Theorem mul_up_exact a b : format a -> format b -> format (a * b) -> bpow radix2 (emin + 2 * prec) <= Rabs (rnd (a * b)) ->
  up (rnd (a * b)) (product_error a b (rnd (a * b))) = a * b.
Proof.
intros A B C H. rewrite up_same; rewrite ?product_exact by (try right; auto using large_product);
  rewrite rnd_format by assumption; lra.
Qed.

(* -- quotients and roots *)

Lemma u_small : 0 < u <= / 16.
Proof.
pose proof (bpow_gt_0 radix2 (1 - prec)). assert (bpow radix2 (1 - prec) <= bpow radix2 (-3)) by (apply bpow_le; lia).
replace (bpow radix2 (-3)) with (/ 8) in * by (simpl; lra). lra.
Qed.

Lemma small_part x : 0 <= x -> 3 * u * ((1 + u) * x) <= / 4 * x.
Proof.
intros X. pose proof u_small as U. set (w := u) in *. clearbody w.
replace (3 * w * ((1 + w) * x)) with ((3 * w * (1 + w)) * x) by ring. apply Rmult_le_compat_r; [exact X | nra].
Qed.

(* the error of a rounded number that is not subnormal *)
Lemma relative x : bpow radix2 (emin + prec - 1) <= Rabs (rnd x) -> Rabs (x - rnd x) <= u * Rabs (rnd x).
Proof.
intros H. rewrite Rabs_minus_sym.
eapply Rle_trans; [apply error_le_half_ulp_round; auto with typeclass_instances|].
pose proof (ulp_FLT_le radix2 emin prec (rnd x) H). lra.
Qed.

Lemma sterbenz_near a p : format a -> format p -> Rabs (a - p) <= / 2 * Rabs p -> format (a - p).
Proof.
intros A P H. destruct (Rle_or_lt 0 p) as [S | S].
- rewrite (Rabs_pos_eq p S) in H. apply Rabs_le_inv in H.
  apply sterbenz; auto with typeclass_instances. lra.
- rewrite (Rabs_left p S) in H. apply Rabs_le_inv in H.
  replace (a - p) with (- (- a - - p)) by ring. apply generic_format_opp.
  apply sterbenz; auto using generic_format_opp with typeclass_instances. lra.
Qed.

(* the sign of a difference of numbers survives rounding *)
Lemma sign_kept x y : format x -> format y -> rnd (x - y) <= 0 -> x <= y.
Proof.
intros X Y H. destruct (Rle_or_lt x y) as [L | L]; [exact L | exfalso].
assert (N : rnd (x + - y) <> 0).
{ apply round_plus_neq_0; auto using generic_format_opp with typeclass_instances. lra. }
assert (0 <= rnd (x - y)).
{ rewrite <- (round_0 radix2 fexp ZnearestE). apply round_le; auto with typeclass_instances. lra. }
unfold Rminus in *. lra.
Qed.

(* the error term of  a / b  and of  sqrt a: the sign of  a - xy  for the rounded result x, y being b or x *)
Definition residual a x y := let p := rnd (x * y) in rnd (rnd (a - p) - product_error x y p).

Lemma residual_sign a x y : format a -> format x -> format y -> bpow radix2 (emin + 2 * prec) <= Rabs (rnd (x * y)) ->
  Rabs (a - x * y) <= / 4 * Rabs (rnd (x * y)) -> residual a x y <= 0 -> a <= x * y.
Proof.
intros A X Y H D. unfold residual. set (p := rnd (x * y)) in *.
assert (P : format p) by apply format_rnd.
assert (N : Rabs (x * y - p) <= u * Rabs p).
{ apply relative. apply Rle_trans with (2 := H). apply bpow_le. lia. }
pose proof u_small as U. pose proof (Rabs_pos p) as PP.
assert (S : format (a - p)).
{ apply sterbenz_near; auto. replace (a - p) with ((a - x * y) + (x * y - p)) by ring.
  eapply Rle_trans; [apply Rabs_triang|]. nra. }
rewrite (rnd_format _ S). unfold p. rewrite product_exact by (try right; auto using large_product). fold p.
intros E. apply sign_kept in E; [lra | exact S |].
replace (x * y - p) with (product_error x y p).
- unfold product_error. apply format_rnd.
- unfold p. rewrite product_exact by (try right; auto using large_product). reflexivity.
Qed.

Theorem div_up_directed a b : format a -> format b -> 0 < b -> bpow radix2 (emin + prec - 1) <= Rabs (rnd (a / b)) ->
  bpow radix2 (emin + 2 * prec) <= Rabs (rnd (rnd (a / b) * b)) ->
  a / b <= up (rnd (a / b)) (residual a (rnd (a / b)) b).
Proof.
intros A B B0 Q H. apply up_ge. intros E. set (q := rnd (a / b)) in *.
assert (P := relative _ Q). fold q in P.
assert (D : Rabs (a - q * b) <= u * Rabs (q * b)).
{ replace (a - q * b) with ((a / b - q) * b) by (field; lra).
  rewrite !Rabs_mult. rewrite (Rabs_pos_eq b) by lra. pose proof (Rabs_pos q). nra. }
assert (M : Rabs (q * b - rnd (q * b)) <= u * Rabs (rnd (q * b))).
{ apply relative. apply Rle_trans with (2 := H). apply bpow_le. lia. }
pose proof u_small as U. pose proof (Rabs_pos (rnd (q * b))) as PP.
assert (F : Rabs (q * b) <= (1 + u) * Rabs (rnd (q * b))).
{ replace (q * b) with (rnd (q * b) + (q * b - rnd (q * b))) at 1 by ring.
  eapply Rle_trans; [apply Rabs_triang|]. lra. }
assert (L : a <= q * b).
{ apply (residual_sign a q b); [exact A | apply format_rnd | exact B | exact H | | exact E]. eapply Rle_trans; [exact D|].
  apply Rle_trans with (u * ((1 + u) * Rabs (rnd (q * b)))); [apply Rmult_le_compat_l; lra|].
  pose proof (small_part _ PP). assert (0 <= u * ((1 + u) * Rabs (rnd (q * b)))) by (apply Rmult_le_pos; [|apply Rmult_le_pos]; lra).
  lra. }
apply Rmult_le_reg_r with b; [exact B0|]. replace (a / b * b) with a by (field; lra). exact L.
Qed.

Theorem sqrt_up_directed a : format a -> 0 < a -> let s := rnd (sqrt a) in
  bpow radix2 (emin + 2 * prec) <= Rabs (rnd (s * s)) -> sqrt a <= up s (residual a s s).
Proof.
intros A A0 s H. apply up_ge. intros E. fold s in E |- *.
assert (S0 : 0 <= s).
{ unfold s. rewrite <- (round_0 radix2 fexp ZnearestE). apply round_le; auto with typeclass_instances. apply sqrt_pos. }
assert (Q : bpow radix2 (emin + prec - 1) <= Rabs (rnd (sqrt a))).
{ fold s. destruct (Rle_or_lt (bpow radix2 (emin + prec - 1)) (Rabs s)) as [L | L]; [exact L | exfalso].
  rewrite Rabs_pos_eq in L by exact S0. pose proof (bpow_gt_0 radix2 (emin + prec - 1)) as P0.
  assert (s * s <= bpow radix2 (emin + 2 * prec - 1)).
  { apply Rle_trans with (bpow radix2 (emin + prec - 1) * bpow radix2 (emin + prec - 1)); [nra|].
    rewrite <- bpow_plus. apply bpow_le. lia. }
  pose proof (large_product _ H) as LP.
  assert (Rabs (rnd (s * s)) <= bpow radix2 (emin + 2 * prec - 1)).
  { apply abs_round_le_generic; auto with typeclass_instances.
    - apply generic_format_bpow. unfold FLT_exp. lia.
    - rewrite Rabs_pos_eq by nra. assumption. }
  assert (bpow radix2 (emin + 2 * prec - 1) < bpow radix2 (emin + 2 * prec)) by (apply bpow_lt; lia). lra. }
assert (P := relative _ Q). fold s in P. rewrite (Rabs_pos_eq s S0) in P.
assert (M : Rabs (s * s - rnd (s * s)) <= u * Rabs (rnd (s * s))).
{ apply relative. apply Rle_trans with (2 := H). apply bpow_le. lia. }
pose proof u_small as U. pose proof (Rabs_pos (rnd (s * s))) as PP.
assert (F : s * s <= (1 + u) * Rabs (rnd (s * s))).
{ apply Rle_trans with (Rabs (s * s)); [apply Rle_abs|].
  replace (s * s) with (rnd (s * s) + (s * s - rnd (s * s))) at 1 by ring.
  eapply Rle_trans; [apply Rabs_triang|]. lra. }
pose proof (sqrt_pos a) as RA. pose proof (sqrt_sqrt a (Rlt_le _ _ A0)) as RR.
assert (D : Rabs (a - s * s) <= 3 * u * (s * s)).
{ rewrite <- RR. set (r := sqrt a) in *. set (w := u) in *. clearbody r w.
  replace (r * r - s * s) with ((r - s) * (r + s)) by ring. rewrite Rabs_mult, (Rabs_pos_eq (r + s)) by lra.
  assert (N : r <= 2 * s). { pose proof (Rle_abs (r - s)). assert (w * s <= s) by nra. lra. }
  replace (3 * w * (s * s)) with (w * s * (3 * s)) by ring. apply Rmult_le_compat; try lra. apply Rabs_pos. }
assert (L : a <= s * s).
{ apply (residual_sign a s s); [exact A | apply format_rnd | apply format_rnd | exact H | | exact E].
  eapply Rle_trans; [exact D|].
  apply Rle_trans with (3 * u * ((1 + u) * Rabs (rnd (s * s)))); [apply Rmult_le_compat_l; lra|].
  apply small_part. exact PP. }
rewrite <- (sqrt_square s S0). apply sqrt_le_1_alt. exact L.
Qed.
End Directed.

(* binary64: the conditions are those of rigor/directed.rs, 2^-968 and the least normal number. *)
Lemma binary64 : ((-1074) + 2 * 53 = -968)%Z /\ ((-1074) + 53 - 1 = -1022)%Z /\ (53 - Z.div2 53 = 27)%Z.
Proof. repeat split. Qed.
