(* Convolution with zero padding as a compression of a circular convolution.

   One axis: input x_0 .. x_{n-1}, zero outside; padding p, kernel w_0 .. w_{k-1} (matrices between channels), stride s >= 1:
       y_j = sum_{t < k} w_t x_{j s + t - p},   j < n_out,     n_out = floor((n + 2p - k)/s) + 1.
   Polyphase: u = i + p = s Q + r, Q the coarse position and r < s the phase; with t = s a + r the sum becomes a
   convolution of stride 1 with kernel length k' = ceil(k/s) in the s channels r:
       y_j = sum_{a < k', r < s} w_{s a + r} X_{j + a, r}.
   Circular version on Z_N:  (C X)_g = sum_{t < k} w_t X_{(g + floor(t/s)) mod N, t mod s}.

   Theorem (compression).  |C| <= sqrt K implies |y|^2 <= K |x|^2, for every
       N >= lead + width,   N >= n_out + k' - 1 - lead,   N >= n_out,
       lead = floor(p/s),   width = floor((n + p - 1)/s) - lead + 1.
   The third condition follows from the second when p <= k - 1 (third_condition).  N >= k' is not needed as long as the
   circular operator adds the taps that fall together, as the sum above and the symbol sum_t w_t omega^t do; a program that
   writes the kernel into an array of N entries needs it.  With s = 1 and p <= k - 1 the conditions are N >= n + p.
   They are the least for this embedding: with s = 1 and 0 < p, N < n + p lets x_{n-1} wrap into the first window.

   Several axes: the product of axes that satisfy the conditions satisfies them (axis_product), so the theorem holds for
   images with s^2 c channels.

   The theorem takes a bound of the circular operator; fourier.v proves one from its symbols.

   Source: Sedghi, Gupta, Long (2019) for the circular case; compression: Araujo, Negrevergne, Chevaleyre, Atif (2021). *)

From mathcomp Require Import all_ssreflect all_algebra zify.
From mathcomp Require Import ring.
Require Import euclidean.
Set Implicit Arguments. Unset Strict Implicit. Unset Printing Implicit Defensive.
Import GRing.Theory Num.Theory Order.TTheory.
Local Open Scope ring_scope.

(* Where tap t of output j reads (None: in the zero padding), and where it reads on the torus. *)
Section Axis.
Variables (I J GI GJ T : finType) (src : J -> T -> option I) (shift : GJ -> T -> GI) (iota : I -> GI) (kappa : J -> GJ).

Record embeds : Prop := Embeds {
  iota_inj : injective iota;
  kappa_inj : injective kappa;
  reads : forall j t i, src j t = Some i -> shift (kappa j) t = iota i;
  pads : forall j t, src j t = None -> forall i, shift (kappa j) t != iota i }.
End Axis.

Section Compression.
Variables (F : realFieldType) (c c' : nat) (I J GI GJ T : finType).
Variables (src : J -> T -> option I) (shift : GJ -> T -> GI) (iota : I -> GI) (kappa : J -> GJ).
Variable w : T -> 'M[F]_(c', c).

Definition convolution (x : I -> 'cV[F]_c) (j : J) : 'cV[F]_c' :=
  \sum_t if src j t is Some i then w t *m x i else 0.
Definition circular (X : GI -> 'cV[F]_c) (g : GJ) : 'cV[F]_c' := \sum_t w t *m X (shift g t).

Hypothesis emb : embeds src shift iota kappa.

Definition embed (x : I -> 'cV[F]_c) (h : GI) : 'cV[F]_c := \sum_(i | iota i == h) x i.

Lemma embed_iota x i : embed x (iota i) = x i.
Proof.
rewrite /embed (bigD1 i) //= big1 ?addr0 // => l /andP [/eqP /(iota_inj emb) -> ]; by rewrite eqxx.
Qed.

Lemma embed_outside x h : (forall i, h != iota i) -> embed x h = 0.
Proof. by move=> out; rewrite /embed big1 // => l /eqP e; have := out l; rewrite e eqxx. Qed.

Lemma embed_norm x : \sum_h sqn (embed x h) = \sum_i sqn (x i).
Proof.
rewrite [RHS](partition_big iota xpredT) //=; apply: eq_bigr => h _.
case: (pickP (fun i => iota i == h)) => [i /eqP <-|none].
  rewrite embed_iota (bigD1 i) //= big1 ?addr0 // => l /andP [/eqP /(iota_inj emb) ->]; by rewrite eqxx.
rewrite embed_outside ?sqn0 ?big_pred0 // => i; by rewrite eq_sym none.
Qed.

Lemma circular_embed x j : circular (embed x) (kappa j) = convolution x j.
Proof.
apply: eq_bigr => t _; case e : (src j t) => [i|]; first by rewrite (reads emb e) embed_iota.
by rewrite embed_outside ?mulmx0 // => i; apply: (pads emb e).
Qed.

Theorem compression K : (forall X, \sum_g sqn (circular X g) <= K * \sum_h sqn (X h)) ->
  forall x, \sum_j sqn (convolution x j) <= K * \sum_i sqn (x i).
Proof.
move=> hK x; rewrite -embed_norm; apply: le_trans (hK _).
rewrite (eq_bigr (fun j => sqn (circular (embed x) (kappa j)))) => [|j _]; last by rewrite circular_embed.
rewrite -(big_imset (fun g => sqn (circular (embed x) g))) /=; last by move=> i j _ _; apply: (kappa_inj emb).
rewrite [X in _ <= X](bigID (mem [set kappa j | j in predT])) /= ler_addl.
by apply: sumr_ge0 => g _; apply: sqn_ge0.
Qed.
End Compression.

(* Two axes at once. *)
Section Product.
Variables (I1 J1 GI1 GJ1 T1 I2 J2 GI2 GJ2 T2 : finType).
Variables (src1 : J1 -> T1 -> option I1) (shift1 : GJ1 -> T1 -> GI1) (iota1 : I1 -> GI1) (kappa1 : J1 -> GJ1).
Variables (src2 : J2 -> T2 -> option I2) (shift2 : GJ2 -> T2 -> GI2) (iota2 : I2 -> GI2) (kappa2 : J2 -> GJ2).

Definition src_product (j : J1 * J2) (t : T1 * T2) : option (I1 * I2) :=
  if src1 j.1 t.1 is Some i1 then if src2 j.2 t.2 is Some i2 then Some (i1, i2) else None else None.
Definition shift_product (g : GJ1 * GJ2) (t : T1 * T2) := (shift1 g.1 t.1, shift2 g.2 t.2).

Theorem axis_product : embeds src1 shift1 iota1 kappa1 -> embeds src2 shift2 iota2 kappa2 ->
  embeds src_product shift_product (fun i => (iota1 i.1, iota2 i.2)) (fun j => (kappa1 j.1, kappa2 j.2)).
Proof.
move=> e1 e2; split.
- by move=> [i1 i2] [i1' i2'] [/(iota_inj e1) -> /(iota_inj e2) ->].
- by move=> [j1 j2] [j1' j2'] [/(kappa_inj e1) -> /(kappa_inj e2) ->].
- move=> [j1 j2] [t1 t2] [i1 i2]; rewrite /src_product /shift_product /=.
  case h1 : (src1 j1 t1) => [a|] //; case h2 : (src2 j2 t2) => [b|] // -[<- <-].
  by rewrite (reads e1 h1) (reads e2 h2).
- move=> [j1 j2] [t1 t2]; rewrite /src_product /shift_product /=.
  case h1 : (src1 j1 t1) => [a|]; last by move=> _ [i1 i2]; rewrite xpair_eqE (negbTE (pads e1 h1 i1)).
  case h2 : (src2 j2 t2) => [b|] // _ [i1 i2]; by rewrite xpair_eqE (negbTE (pads e2 h2 i2)) andbF.
Qed.
End Product.

(* One axis with padding p, kernel length k, stride s. *)
Section OneAxis.
Variables (n p k s : nat).
Local Open Scope nat_scope.

Definition n_out := ((n + 2 * p - k) %/ s).+1.
Definition lead := p %/ s.
Definition width := (n + p - 1) %/ s - lead + 1.
Definition kernel_length := (k + s - 1) %/ s.

Variable N' : nat.
Let N := N'.+1.
Hypothesis s_pos : 0 < s.
Hypothesis n_pos : 0 < n.
Hypothesis fits : k <= n + 2 * p.
Hypothesis N_data : lead + width <= N.
Hypothesis N_reach : n_out + kernel_length - 1 - lead <= N.
Hypothesis N_out : n_out <= N.

Lemma kernel_lengthE : 0 < k -> kernel_length = ((k - 1) %/ s).+1.
Proof.
move=> k0; rewrite /kernel_length (_ : k + s - 1 = 1 * s + (k - 1)); last by lia.
by rewrite divnMDl.
Qed.

(* N_out follows from N_reach when p <= k - 1 *)
Lemma third_condition : p < k -> n_out + kernel_length - 1 - lead <= N -> n_out <= N.
Proof.
move=> pk; have : lead < kernel_length by rewrite kernel_lengthE ?ltnS ?leq_div2r //; lia.
by move: N' lead kernel_length n_out; lia.
Qed.

Definition read (j : 'I_n_out) (t : 'I_k) : option 'I_n :=
  if p <= j * s + t then insub (j * s + t - p) else None.
Definition torus_read (g : 'I_N) (t : 'I_k) : 'I_N * 'I_s :=
  (inord ((g + t %/ s) %% N), Ordinal (ltn_pmod t s_pos)).
Definition place (i : 'I_n) : 'I_N * 'I_s := (inord (((i + p) %/ s) %% N), Ordinal (ltn_pmod (i + p) s_pos)).
Definition place_out (j : 'I_n_out) : 'I_N := inord j.

Let modN a : a %% N < N'.+1. Proof. by rewrite ltn_mod. Qed.

Lemma data_coarse (i : 'I_n) : lead <= (i + p) %/ s < lead + width.
Proof.
have h1 : lead <= (i + p) %/ s by rewrite /lead leq_div2r // leq_addl.
have h2 : (i + p) %/ s <= (n + p - 1) %/ s by rewrite leq_div2r //; have := ltn_ord i; lia.
by rewrite h1 /width; move: h1 h2; move: lead (_ %/ _) (_ %/ _); lia.
Qed.

Lemma tap_coarse (t : 'I_k) : t %/ s < kernel_length.
Proof.
rewrite kernel_lengthE; last by have := ltn_ord t; lia.
by rewrite ltnS leq_div2r //; have := ltn_ord t; lia.
Qed.

(* Two numbers below N + m and not below m ... congruent modulo N, at distance less than N, are equal. *)
Lemma congruent a b : a %% N = b %% N -> a < b + N -> b < a + N -> a = b.
Proof.
move=> e h1 h2; have := divn_eq a N; have := divn_eq b N; rewrite -e.
move: (a %/ N) (b %/ N) (a %% N) => qa qb r eb ea.
have : qa = qb; last by move=> q; rewrite ea q -eb.
have [lt|lt|//] := ltngtP qa qb.
- have : (qa.+1) * N <= qb * N by rewrite leq_mul2r lt orbT.
  by rewrite mulSn; lia.
- have : (qb.+1) * N <= qa * N by rewrite leq_mul2r lt orbT.
  by rewrite mulSn; lia.
Qed.

Lemma close (l w' kl no M j t q : nat) : l <= q < l + w' -> t < kl -> j < no ->
  l + w' <= M -> no + kl - 1 - l <= M -> j + t < q + M /\ q < j + t + M.
Proof. lia. Qed.

Theorem axis_embeds : embeds read torus_read place place_out.
Proof.
split.
- move=> i i' [/(congr1 val)] /=; rewrite !inordK // => e1 e2.
  have d1 := data_coarse i; have d2 := data_coarse i'.
  have close2 (l w' M q q' : nat) : l <= q < l + w' -> l <= q' < l + w' -> l + w' <= M -> q < q' + M by lia.
  have e := congruent e1 (close2 _ _ _ _ _ d1 d2 N_data) (close2 _ _ _ _ _ d2 d1 N_data).
  apply: val_inj => /=; have := divn_eq (i + p) s; have := divn_eq (i' + p) s; rewrite e e2; lia.
- move=> j j' /(congr1 val); rewrite /place_out /= !inordK; first exact: val_inj.
  + by apply: leq_trans N_out; apply: ltn_ord.
  + by apply: leq_trans N_out; apply: ltn_ord.
- move=> j t i; rewrite /read; case: leqP => // h; case: insubP => // u _ eu [<-].
  rewrite /torus_read /place /place_out inordK; last by apply: leq_trans N_out; apply: ltn_ord.
  have -> : u + p = j * s + t by rewrite eu subnK.
  by congr (_, _); [rewrite divnMDl | apply: val_inj; rewrite /= modnMDl].
- move=> j t; rewrite /read => out i; apply/eqP; rewrite /torus_read /place /place_out.
  rewrite (inordK (_ : j < N)); last by apply: leq_trans N_out; apply: ltn_ord.
  move=> [/(congr1 val)] /=; rewrite !inordK // => e1 e2.
  have d := data_coarse i; have tc := tap_coarse t; have jo := ltn_ord j.
  have [c1 c2] := close d tc jo N_data N_reach.
  have e : j + t %/ s = (i + p) %/ s := congruent e1 c1 c2.
  have ee : j * s + t = i + p by rewrite (divn_eq (i + p) s) -e -e2 mulnDl -addnA -divn_eq.
  move: out; rewrite ee leq_addl addnK; case: insubP => //; by rewrite ltn_ord.
Qed.
End OneAxis.

(* Stride 1: the three conditions are N >= n + p when p <= k - 1. *)
Lemma stride_one n p k : (0 < n)%N -> (p < k)%N -> (k <= n + 2 * p)%N ->
  [/\ (lead p 1 + width n p 1 = n + p)%N, (n_out n p k 1 + kernel_length k 1 - 1 - lead p 1 = n + p)%N
    & (n_out n p k 1 <= n + p)%N].
Proof. by move=> n0 pk kn; rewrite /width /lead /n_out /kernel_length !divn1; split; lia. Qed.
