(* The norm of a convolution with zero padding by the symbols of a torus, periodic or twisted along each axis.

   On a twisted axis of N points what leaves at one end comes in at the other with the other sign, x(i + N) = - x(i), and
   the frequencies are (2 d + 1) pi/N.  The windows of the outputs that count read points of the image, where nothing was
   wrapped, and zeros, whose sign does not matter; so the convolution is a compression of that operator, too.

   signed_compression     torus.v's theorem for circular operators with signs that are 1 wherever a point of the image is read
   read_unsigned          one axis: they are, if  lead + width <= N
   signed_bound           the operator with the signs of two axes is bounded by its symbols
   signed_zero_padded_bound
                          zero_padded_bound of fourier.v for every choice of the two signs: what Convolution::norm_on proves
   one_tap                an axis on which each phase has a single tap has one symbol for all frequencies, so that the
                          program takes one point for it

   Source: Sedghi, Gupta, Long (2019) for periodic tori. *)

From mathcomp Require Import all_ssreflect all_algebra zify.
From mathcomp Require Import ring.
Require Import euclidean operator_norm torus fourier.
Set Implicit Arguments. Unset Strict Implicit. Unset Printing Implicit Defensive.
Import GRing.Theory Num.Theory Order.TTheory.
Local Open Scope ring_scope.

Section Compression.
Variables (F : realFieldType) (c c' : nat) (I J GI GJ T : finType).
Variables (src : J -> T -> option I) (shift : GJ -> T -> GI) (iota : I -> GI) (kappa : J -> GJ).
Variables (eps : GJ -> T -> F) (w : T -> 'M[F]_(c', c)).

Definition signed (X : GI -> 'cV[F]_c) (g : GJ) : 'cV[F]_c' := \sum_t eps g t *: (w t *m X (shift g t)).

Hypothesis emb : embeds src shift iota kappa.
Hypothesis unsigned : forall j t i, src j t = Some i -> eps (kappa j) t = 1.

Lemma signed_embed x j : signed (embed iota x) (kappa j) = convolution src w x j.
Proof.
apply: eq_bigr => t _; case e : (src j t) => [i|].
  by rewrite (unsigned e) scale1r (reads emb e) (embed_iota emb).
by rewrite embed_outside ?mulmx0 ?scaler0 // => i; apply: (pads emb e).
Qed.

Theorem signed_compression K : (forall X, \sum_g sqn (signed X g) <= K * \sum_h sqn (X h)) ->
  forall x, \sum_j sqn (convolution src w x j) <= K * \sum_i sqn (x i).
Proof.
move=> hK x; rewrite -(embed_norm emb); apply: le_trans (hK _).
rewrite (eq_bigr (fun j => sqn (signed (embed iota x) (kappa j)))) => [|j _]; last by rewrite signed_embed.
rewrite -(big_imset (fun g => sqn (signed (embed iota x) g))) /=; last by move=> i j _ _; apply: (kappa_inj emb).
rewrite [X in _ <= X](bigID (mem [set kappa j | j in predT])) /= ler_addl.
by apply: sumr_ge0 => g _; apply: sqn_ge0.
Qed.
End Compression.

(* One axis: N + 1 points, twisted or not. *)
Section OneAxis.
Variables (F : realFieldType) (n p k s N : nat) (o : bool).

Definition axis_sign : 'I_N.+1 -> 'I_k -> F := sign F o (fun t : 'I_k => t %/ s)%N.

Lemma read_unsigned (j : 'I_(n_out n p k s)) (t : 'I_k) i : (0 < s)%N -> (lead p s + width n p s <= N.+1)%N ->
  (n_out n p k s <= N.+1)%N -> @read n p k s j t = Some i -> axis_sign (@place_out n p k s N j) t = 1.
Proof.
move=> s_pos N_data N_out; rewrite /read; case: leqP => // h; case: insubP => // v lt ev _.
have jN : (j < N.+1)%N by apply: leq_trans N_out.
rewrite /axis_sign /sign /place_out inordK //.
have e : (j + t %/ s = (v + p) %/ s)%N by rewrite ev subnK // divnMDl.
have le : ((v + p) %/ s <= (n + p - 1) %/ s)%N by apply: leq_div2r; have := ltn_ord v; lia.
have small : ((v + p) %/ s < N.+1)%N.
  move: N_data le; rewrite /width; move: (lead p s) ((n + p - 1) %/ s)%N ((v + p) %/ s)%N => a b c; lia.
by rewrite e divn_small // muln0 expr0.
Qed.

(* with a single tap in each phase the angle of every frequency is 0 *)
Lemma one_tap (f : nat -> F) (d : 'I_N.+1) (t : 'I_k) : (0 < s)%N -> kernel_length k s = 1%N ->
  f (frequency o d * (t %/ s))%N = f 0%N.
Proof.
move=> s_pos; rewrite /kernel_length => one; rewrite divn_small ?muln0 //.
have := divn_eq (k + s - 1) s; have := ltn_pmod (k + s - 1) s_pos; rewrite one mul1n.
have := ltn_ord t; move: ((k + s - 1) %% s)%N => r; lia.
Qed.
End OneAxis.

Section Torus.
Variables (F : realFieldType) (N1 N2 k1 k2 s1 s2 c c' : nat) (s1_pos : (0 < s1)%N) (s2_pos : (0 < s2)%N) (o1 o2 : bool).
Variables (C1 S1 C2 S2 : nat -> F).
Let T := ('I_k1 * 'I_k2)%type.
Let G := ('I_N1.+1 * 'I_N2.+1)%type.
Let P := ('I_s1 * 'I_s2)%type.
Let eigenvalue (N k s : nat) (o : bool) (f : nat -> F) (d : 'I_N.+1) (t : 'I_k) : F := f (frequency o d * (t %/ s))%N.

Definition signed_re : G -> T -> F := product_re (@eigenvalue N1 k1 s1 o1 C1) (@eigenvalue N1 k1 s1 o1 S1)
  (@eigenvalue N2 k2 s2 o2 C2) (@eigenvalue N2 k2 s2 o2 S2).
Definition signed_im : G -> T -> F := product_im (@eigenvalue N1 k1 s1 o1 C1) (@eigenvalue N1 k1 s1 o1 S1)
  (@eigenvalue N2 k2 s2 o2 C2) (@eigenvalue N2 k2 s2 o2 S2).
Definition signs : G -> T -> F := product_sign (@axis_sign F k1 s1 N1 o1) (@axis_sign F k2 s2 N2 o2).
Variable w : T -> 'M[F]_(c', c).
Let phase : T -> P := circular_phase s1_pos s2_pos.
Let shift := @circular_shift N1 N2 k1 k2 s1 s2 s1_pos s2_pos.

Theorem signed_bound K : waves N1 C1 S1 -> waves N2 C2 S2 ->
  (forall d, symbol_bounded signed_re signed_im w phase d K) ->
  forall X, \sum_g sqn (signed shift signs w X g) <= K * \sum_h sqn (X h).
Proof.
move=> [[a1 b1] u1 z1 e1 p1] [[a2 b2] u2 z2 e2 p2] hK X.
have sp1 := axis_spectral o1 (fun t : 'I_k1 => t %/ s1)%N a1 b1 u1 z1 e1 p1.
have sp2 := axis_spectral o2 (fun t : 'I_k2 => t %/ s2)%N a2 b2 u2 z2 e2 p2.
have sp := product_spectral sp1 sp2.
have := symbol_bound sp hK (fun g p => X ((g.1, p.1), (g.2, p.2))).
rewrite -(sum_regrouped (fun h => sqn (X h))) => hX; apply: le_trans hX.
by rewrite le_eqVlt; apply/orP; left; apply/eqP; apply: eq_bigr => g _; congr sqn; apply: eq_bigr => t _.
Qed.

Theorem signed_zero_padded_bound n1 p1 n2 p2 K : fits n1 p1 k1 s1 N1 -> fits n2 p2 k2 s2 N2 ->
  waves N1 C1 S1 -> waves N2 C2 S2 ->
  (forall d, opbound (real_of_complex (symbol_matrix w phase signed_re d) (symbol_matrix w phase signed_im d)) K) ->
  forall x, \sum_j sqn (convolution (src_product (@read n1 p1 k1 s1) (@read n2 p2 k2 s2)) w x j) <= K * \sum_i sqn (x i).
Proof.
move=> [a1 b1 c1 d1 e1] [a2 b2 c2 d2 e2] w1 w2 hK.
apply: (signed_compression (axis_product (axis_embeds s1_pos a1 b1 c1 d1 e1) (axis_embeds s2_pos a2 b2 c2 d2 e2))
  (eps := signs)).
- move=> [j1 j2] [t1 t2] i; rewrite /src_product /signs /product_sign /=.
  case h1 : (read _ _) => [i1|] //; case h2 : (read _ _) => [i2|] // _.
  by rewrite (@read_unsigned F n1 p1 k1 s1 N1 o1 j1 t1 i1 s1_pos c1 e1 h1)
    (@read_unsigned F n2 p2 k2 s2 N2 o2 j2 t2 i2 s2_pos c2 e2 h2) mulr1.
- by apply: signed_bound w1 w2 _ => d; apply: symbol_of_matrix.
Qed.
End Torus.
