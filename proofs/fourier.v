(* The norm of a circular convolution is bounded by those of its symbols.

   A complex number is a pair of reals here, so that everything stays over one real field, which has to hold the cosines
   and sines of the frequencies: functions C, S on the naturals with the laws of cos (m pi/N), sin (m pi/N), and
       C (N) = -1, S (N) = 0,   C (2 m) <> 1 for 0 < m < N.

   One axis (axis_spectral): the positions 0 .. N-1, with the frequencies theta_d = (2 d + o) pi/N, o = 0 or 1.  For o = 0
   what leaves the torus at one end comes in at the other; for o = 1 (a twisted torus) with the other sign.  The waves
   e^(i theta_d g) are orthogonal, and a shift by tau multiplies them by e^(i theta_d tau).
   Several axes (product_spectral): waves, eigenvalues and signs multiply.

   Theorem (symbol_bound).  Let  Y_g = sum_t eps(g, t) w_t X(g + tau_t, phase_t), with matrices w_t between channels.  If at
   every frequency the symbol  D(theta) v = sum_t e^(i theta tau_t) w_t v(phase_t)  has |D(theta) v|^2 <= K |v|^2 for all
   complex v, then  sum_g |Y_g|^2 <= K sum_(h, phase) |X(h, phase)|^2.

   circular_bound is this for the operator of torus.v on a product of two axes, zero_padded_bound for the convolution with
   zero padding that it is a compression of, symbol_of_matrix the hypothesis from an operator bound of the real matrix
   [[Re D, - Im D], [Im D, Re D]].  quarters_are_waves shows that the laws are not contradictory.

   Source: Sedghi, Gupta, Long, The singular values of convolutional layers (2019). *)

From mathcomp Require Import all_ssreflect all_algebra zify.
From mathcomp Require Import ring.
Require Import euclidean operator_norm torus.
Set Implicit Arguments. Unset Strict Implicit. Unset Printing Implicit Defensive.
Import GRing.Theory Num.Theory Order.TTheory.
Local Open Scope ring_scope.

(* Waves c + i s on G with the frequencies D, and the shifts g |-> sigma g t with signs eps, of which each conjugate wave is
   a common eigenvector with the eigenvalue lc + i ls; n is the squared length of a wave. *)
Record spectral (F : realFieldType) (G D T : finType) (sigma : G -> T -> G) (eps : G -> T -> F)
    (c s : D -> G -> F) (lc ls : D -> T -> F) (n : F) : Prop := Spectral {
  sp_pos : 0 < n;
  sp_bij : forall t, injective (sigma^~ t);
  sp_re : forall g h, \sum_d (c d g * c d h + s d g * s d h) = n *+ (g == h);
  sp_im : forall g h, \sum_d (s d g * c d h - c d g * s d h) = 0;
  sp_c : forall d g t, eps g t * c d g = lc d t * c d (sigma g t) + ls d t * s d (sigma g t);
  sp_s : forall d g t, eps g t * s d g = lc d t * s d (sigma g t) - ls d t * c d (sigma g t) }.

Section Bound.
Variables (F : realFieldType) (G D T P : finType) (sigma : G -> T -> G) (eps : G -> T -> F).
Variables (c s : D -> G -> F) (lc ls : D -> T -> F) (n : F).
Hypothesis sp : spectral sigma eps c s lc ls n.
Variables (m k : nat) (w : T -> 'M[F]_(m, k)) (phase : T -> P).

(* real and imaginary part of D(theta_d) (u + i v) *)
Definition symbol_re d (u v : P -> 'cV[F]_k) : 'cV[F]_m :=
  \sum_t w t *m (lc d t *: u (phase t) - ls d t *: v (phase t)).
Definition symbol_im d (u v : P -> 'cV[F]_k) : 'cV[F]_m :=
  \sum_t w t *m (lc d t *: v (phase t) + ls d t *: u (phase t)).

Definition symbol_bounded d K := forall u v : P -> 'cV[F]_k,
  sqn (symbol_re d u v) + sqn (symbol_im d u v) <= K * \sum_p (sqn (u p) + sqn (v p)).

Definition shifted_sum (X : G -> P -> 'cV[F]_k) (g : G) : 'cV[F]_m :=
  \sum_t eps g t *: (w t *m X (sigma g t) (phase t)).

(* the transform, its real and its imaginary part *)
Definition hat_re q (Z : G -> 'cV[F]_q) d : 'cV[F]_q := \sum_g c d g *: Z g.
Definition hat_im q (Z : G -> 'cV[F]_q) d : 'cV[F]_q := - \sum_g s d g *: Z g.

Lemma sqn_sum q (I : finType) (a : I -> F) (Z : I -> 'cV[F]_q) :
  sqn (\sum_i a i *: Z i) = \sum_i \sum_j a i * a j * dot (Z i) (Z j).
Proof.
have lin (u : I -> 'cV[F]_q) v : dot (\sum_i u i) v = \sum_i dot (u i) v.
  rewrite /dot exchange_big; apply: eq_bigr => e _; by rewrite summxE mulr_suml.
rewrite /sqn lin; apply: eq_bigr => i _; rewrite dotC lin; apply: eq_bigr => j _.
by rewrite dotZl dotZr dotC; ring.
Qed.

Lemma parseval q (Z : G -> 'cV[F]_q) :
  \sum_d (sqn (hat_re Z d) + sqn (hat_im Z d)) = n * \sum_g sqn (Z g).
Proof.
have opp (x : 'cV[F]_q) : sqn (- x) = sqn x by rewrite /sqn dotNr dotC dotNr opprK.
under eq_bigr => d _ do rewrite /hat_re /hat_im opp !sqn_sum -big_split /=.
rewrite exchange_big mulr_sumr; apply: eq_bigr => g _.
under eq_bigr => d _ do rewrite -big_split /=.
rewrite exchange_big /= (bigD1 g) //= [X in _ + X]big1 ?addr0 => [|h hg].
- under eq_bigr => d _ do rewrite -mulrDl.
  by rewrite -mulr_suml (sp_re sp) eqxx mulr1n.
- under eq_bigr => d _ do rewrite -mulrDl.
  by rewrite -mulr_suml (sp_re sp) eq_sym (negbTE hg) mulr0n mul0r.
Qed.

(* a sum over positions does not see a shift *)
Lemma reshift q (Z : G -> 'cV[F]_q) t : \sum_g Z (sigma g t) = \sum_g Z g.
Proof. by rewrite [RHS](reindex_inj (sp_bij sp (t := t))). Qed.

Lemma hat_shifted X d :
  hat_re (shifted_sum X) d = symbol_re d (fun p => hat_re (X^~ p) d) (fun p => hat_im (X^~ p) d) /\
  hat_im (shifted_sum X) d = symbol_im d (fun p => hat_re (X^~ p) d) (fun p => hat_im (X^~ p) d).
Proof.
have move (a : G -> F) : \sum_g a g *: shifted_sum X g =
    \sum_t w t *m \sum_g (eps g t * a g) *: X (sigma g t) (phase t).
  rewrite /shifted_sum; under eq_bigr => g _ do rewrite scaler_sumr.
  rewrite exchange_big; apply: eq_bigr => t _; rewrite mulmx_sumr; apply: eq_bigr => g _.
  by rewrite scalerA -scalemxAr mulrC.
rewrite /hat_re /hat_im !move; split.
- apply: eq_bigr => t _; congr (w t *m _).
  under eq_bigr => g _ do rewrite (sp_c sp) scalerDl -!scalerA.
  rewrite big_split /= -!scaler_sumr scalerN opprK.
  by congr (_ *: _ + _ *: _); [apply: (reshift (fun h => c d h *: X h _)) | apply: (reshift (fun h => s d h *: X h _))].
- rewrite -sumrN; apply: eq_bigr => t _; rewrite -mulmxN; congr (w t *m _).
  under eq_bigr => g _ do rewrite (sp_s sp) scalerBl -!scalerA.
  rewrite sumrB -!scaler_sumr opprB scalerN addrC.
  by congr (- (_ *: _) + _ *: _); [apply: (reshift (fun h => s d h *: X h _)) | apply: (reshift (fun h => c d h *: X h _))].
Qed.

Theorem symbol_bound K : (forall d, symbol_bounded d K) ->
  forall X, \sum_g sqn (shifted_sum X g) <= K * \sum_h \sum_p sqn (X h p).
Proof.
move=> hK X; rewrite -(ler_pmul2l (sp_pos sp)) -parseval exchange_big mulrCA mulr_sumr.
under [X in _ <= K * X]eq_bigr => p _ do rewrite -(parseval (X^~ p)).
rewrite exchange_big mulr_sumr /=; apply: ler_sum => d _.
by have [-> ->] := hat_shifted X d; apply: hK.
Qed.
End Bound.

(* The waves of one axis. *)
Section Axis.
Variables (F : realFieldType) (N' : nat) (o : bool) (T : finType) (tau : T -> nat) (C S : nat -> F).
Let N := N'.+1.
Hypothesis CD : forall a b, C (a + b) = C a * C b - S a * S b.
Hypothesis SD : forall a b, S (a + b) = S a * C b + C a * S b.
Hypothesis CS : forall a, C a ^+ 2 + S a ^+ 2 = 1.
Hypothesis C0 : C 0 = 1.
Hypothesis CN : C N = - 1.
Hypothesis primitive : forall m, (0 < m < N)%N -> C (2 * m) != 1.

Definition frequency (d : 'I_N) : nat := (2 * d + o)%N.
Definition turn (g : 'I_N) (t : T) : 'I_N := inord ((g + tau t) %% N).
Definition sign (g : 'I_N) (t : T) : F := (- 1) ^+ (o * ((g + tau t) %/ N)).

Lemma S_of_square a : C a ^+ 2 = 1 -> S a = 0.
Proof. by move=> h; apply/eqP; rewrite -sqrf_eq0 -(addKr (C a ^+ 2) (S a ^+ 2)) CS h addNr. Qed.

Lemma S0 : S 0 = 0. Proof. by apply: S_of_square; rewrite C0 expr1n. Qed.
Lemma SN : S N = 0. Proof. by apply: S_of_square; rewrite CN sqrrN expr1n. Qed.

Lemma half_turns q : C (N * q) = (- 1) ^+ q /\ S (N * q) = 0.
Proof.
elim: q => [|q [h1 h2]]; first by rewrite muln0 C0 S0.
by rewrite mulnSr CD SD h1 h2 CN SN exprSr; split; ring.
Qed.

Lemma full_turns q : C (2 * N * q) = 1 /\ S (2 * N * q) = 0.
Proof. by rewrite (mulnC 2%N) -mulnA; have [-> ->] := half_turns (2 * q)%N; rewrite exprM sqrrN !expr1n. Qed.

Lemma past_the_end d q r : C (frequency d * (N * q + r)) = (- 1) ^+ (o * q) * C (frequency d * r) /\
  S (frequency d * (N * q + r)) = (- 1) ^+ (o * q) * S (frequency d * r).
Proof.
have -> : (frequency d * (N * q + r) = 2 * N * (d * q) + (N * (o * q) + frequency d * r))%N.
  rewrite /frequency; have e (a b n : nat) :
      ((2 * a + b) * (n * q + r) = 2 * n * (a * q) + (n * (b * q) + (2 * a + b) * r))%N by nia.
  exact: e.
have [f1 f2] := full_turns (d * q)%N; have [h1 h2] := half_turns (o * q)%N.
rewrite (CD (2 * N * (d * q))%N) (SD (2 * N * (d * q))%N) (CD (N * (o * q))%N) (SD (N * (o * q))%N) f1 f2 h1 h2.
by split; ring.
Qed.

(* the sums over all frequencies vanish: they do not change when every angle grows by 2 m *)
Lemma waves_vanish m : (0 < m < N)%N ->
  \sum_(d < N) C (frequency d * m) = 0 /\ \sum_(d < N) S (frequency d * m) = 0.
Proof.
move=> hm; set A := \sum_d C _; set B := \sum_d S _.
have step (f : nat -> F) : f (2 * N + o)%N = f o -> \sum_(d < N) f (2 * d.+1 + o)%N = \sum_(d < N) f (2 * d + o)%N.
  move=> e; rewrite [RHS]big_ord_recl big_ord_recr /= addrC; congr (_ + _); first by rewrite e muln0.
have wrap a : C (2 * N * m + a) = C a /\ S (2 * N * m + a) = S a.
  by rewrite (CD (2 * N * m)%N) (SD (2 * N * m)%N); have [-> ->] := full_turns m; split; ring.
have next (d : 'I_N) : ((2 * d.+1 + o) * m = (2 * d + o) * m + 2 * m)%N by rewrite mulnSr -addnA (addnC 2%N) addnA mulnDl.
have eA : A = C (2 * m) * A - S (2 * m) * B.
  rewrite {1}/A /frequency -(step (fun a => C (a * m)%N)) /=; last by rewrite mulnDl; have [-> _] := wrap (o * m)%N.
  rewrite /A /B !mulr_sumr -sumrB; apply: eq_bigr => d _; by rewrite next CD /frequency; ring.
have eB : B = S (2 * m) * A + C (2 * m) * B.
  rewrite {1}/B /frequency -(step (fun a => S (a * m)%N)) /=; last by rewrite mulnDl; have [_ ->] := wrap (o * m)%N.
  rewrite /A /B !mulr_sumr -big_split; apply: eq_bigr => d _; by rewrite next SD /frequency /=; ring.
have ne := primitive hm; have u := CS (2 * m)%N.
move: (C (2 * m)%N) (S (2 * m)%N) ne u eA eB => x y ne u eA eB.
have d0 : (1 - x) ^+ 2 + y ^+ 2 != 0.
  have -> : (1 - x) ^+ 2 + y ^+ 2 = 2%:R * (1 - x) by rewrite -[y ^+ 2](addKr (x ^+ 2)) u; ring.
  by rewrite mulf_neq0 ?pnatr_eq0 // subr_eq0 eq_sym.
have zA : (1 - x) * A + y * B = 0 by rewrite mulrBl mul1r {1}eA; ring.
have zB : (1 - x) * B - y * A = 0 by rewrite mulrBl mul1r {1}eB; ring.
split; apply: (mulfI d0); rewrite mulr0.
- have -> : ((1 - x) ^+ 2 + y ^+ 2) * A = (1 - x) * ((1 - x) * A + y * B) - y * ((1 - x) * B - y * A) by ring.
  by rewrite zA zB !mulr0 subr0.
- have -> : ((1 - x) ^+ 2 + y ^+ 2) * B = (1 - x) * ((1 - x) * B - y * A) + y * ((1 - x) * A + y * B) by ring.
  by rewrite zA zB !mulr0 addr0.
Qed.

Lemma apart d (g h : 'I_N) : (h <= g)%N ->
  C (frequency d * g) * C (frequency d * h) + S (frequency d * g) * S (frequency d * h) = C (frequency d * (g - h)) /\
  S (frequency d * g) * C (frequency d * h) - C (frequency d * g) * S (frequency d * h) = S (frequency d * (g - h)).
Proof.
move=> le; have -> : (frequency d * g = frequency d * (g - h) + frequency d * h)%N by rewrite -mulnDr subnK.
have u := CS (frequency d * h)%N; rewrite CD SD.
move: (C (frequency d * (g - h))) (S (frequency d * (g - h))) (C (frequency d * h)) (S (frequency d * h)) u => a b x y u.
by split; rewrite -[RHS]mulr1 -u; ring.
Qed.

Lemma orthogonal (g h : 'I_N) :
  \sum_(d < N) (C (frequency d * g) * C (frequency d * h) + S (frequency d * g) * S (frequency d * h)) = N%:R *+ (g == h) /\
  \sum_(d < N) (S (frequency d * g) * C (frequency d * h) - C (frequency d * g) * S (frequency d * h)) = 0.
Proof.
have far (a b : 'I_N) : (b < a)%N -> (0 < a - b < N)%N by rewrite subn_gt0 => -> /=; apply: leq_ltn_trans (leq_subr _ _) _.
case: (ltngtP h g) => [lt|lt|/val_inj ->].
- have [z1 z2] := waves_vanish (far _ _ lt); rewrite -val_eqE /= gtn_eqF // mulr0n; split.
    by apply: etrans z1; apply: eq_bigr => d _; have [-> _] := apart d (ltnW lt).
  by apply: etrans z2; apply: eq_bigr => d _; have [_ ->] := apart d (ltnW lt).
- have [z1 z2] := waves_vanish (far _ _ lt); rewrite -val_eqE /= ltn_eqF // mulr0n; split.
    by apply: etrans z1; apply: eq_bigr => d _; have [<- _] := apart d (ltnW lt); ring.
  apply: oppr_inj; rewrite oppr0 -sumrN; apply: etrans z2; apply: eq_bigr => d _.
  by have [_ <-] := apart d (ltnW lt); ring.
- split; last by apply: big1 => d _; ring.
  by under eq_bigr => d _ do rewrite -!expr2 CS; rewrite sumr_const card_ord eqxx mulr1n.
Qed.

Theorem axis_spectral : spectral turn sign (fun d g => C (frequency d * g)) (fun d g => S (frequency d * g))
  (fun d t => C (frequency d * tau t)) (fun d t => S (frequency d * tau t)) N%:R.
Proof.
have N0 : (0 < N)%N by [].
have turned d (g : 'I_N) t : C (frequency d * g + frequency d * tau t) = sign g t * C (frequency d * turn g t) /\
    S (frequency d * g + frequency d * tau t) = sign g t * S (frequency d * turn g t).
  rewrite -mulnDr /turn inordK ?ltn_mod // {1 3}(divn_eq (g + tau t) N) (mulnC _ N); exact: past_the_end.
have sq g t : sign g t * sign g t = 1 by rewrite /sign -expr2 -exprM mulnC exprM sqrrN !expr1n.
split.
- by rewrite ltr0n.
- move=> t g h /(congr1 val); rewrite /turn /= !inordK ?ltn_mod // => e.
  by apply: val_inj => /=; move/eqP: e; rewrite eqn_modDr !modn_small // => /eqP.
- by move=> g h; have [-> _] := orthogonal g h.
- by move=> g h; have [_ ->] := orthogonal g h.
- move=> d g t; have [e1 e2] := turned d g t; have u := CS (frequency d * tau t)%N; have s2 := sq g t.
  rewrite -[C (frequency d * turn g t)]mul1r -[S (frequency d * turn g t)]mul1r -s2 -!mulrA -e1 -e2 CD SD.
  rewrite -[X in sign g t * X = _]mulr1 -u; ring.
- move=> d g t; have [e1 e2] := turned d g t; have u := CS (frequency d * tau t)%N; have s2 := sq g t.
  rewrite -[C (frequency d * turn g t)]mul1r -[S (frequency d * turn g t)]mul1r -s2 -!mulrA -e1 -e2 CD SD.
  rewrite -[X in sign g t * X = _]mulr1 -u; ring.
Qed.
End Axis.

(* Two axes. *)
Section Product.
Variables (F : realFieldType) (G1 D1 T1 G2 D2 T2 : finType).
Variables (sigma1 : G1 -> T1 -> G1) (eps1 : G1 -> T1 -> F) (c1 s1 : D1 -> G1 -> F) (lc1 ls1 : D1 -> T1 -> F) (n1 : F).
Variables (sigma2 : G2 -> T2 -> G2) (eps2 : G2 -> T2 -> F) (c2 s2 : D2 -> G2 -> F) (lc2 ls2 : D2 -> T2 -> F) (n2 : F).

Definition product_re A1 A2 B1 B2 (a1 b1 : A1 -> B1 -> F) (a2 b2 : A2 -> B2 -> F) (x : A1 * A2) (y : B1 * B2) : F :=
  a1 x.1 y.1 * a2 x.2 y.2 - b1 x.1 y.1 * b2 x.2 y.2.
Definition product_im A1 A2 B1 B2 (a1 b1 : A1 -> B1 -> F) (a2 b2 : A2 -> B2 -> F) (x : A1 * A2) (y : B1 * B2) : F :=
  b1 x.1 y.1 * a2 x.2 y.2 + a1 x.1 y.1 * b2 x.2 y.2.
Definition product_turn (g : G1 * G2) (t : T1 * T2) := (sigma1 g.1 t.1, sigma2 g.2 t.2).
Definition product_sign (g : G1 * G2) (t : T1 * T2) := eps1 g.1 t.1 * eps2 g.2 t.2.

Lemma sum_product (f1 : D1 -> F) (f2 : D2 -> F) : \sum_d f1 d.1 * f2 d.2 = (\sum_d f1 d) * \sum_d f2 d.
Proof. by rewrite big_distrlr /= pair_big. Qed.

Theorem product_spectral : spectral sigma1 eps1 c1 s1 lc1 ls1 n1 -> spectral sigma2 eps2 c2 s2 lc2 ls2 n2 ->
  spectral product_turn product_sign (product_re c1 s1 c2 s2) (product_im c1 s1 c2 s2)
    (product_re lc1 ls1 lc2 ls2) (product_im lc1 ls1 lc2 ls2) (n1 * n2).
Proof.
move=> p1 p2; split.
- by rewrite mulr_gt0 ?(sp_pos p1) ?(sp_pos p2).
- by move=> t [g1 g2] [h1 h2] [/(sp_bij p1) -> /(sp_bij p2) ->].
- move=> [g1 g2] [h1 h2].
  pose a1 d := c1 d g1 * c1 d h1 + s1 d g1 * s1 d h1; pose b1 d := s1 d g1 * c1 d h1 - c1 d g1 * s1 d h1.
  pose a2 d := c2 d g2 * c2 d h2 + s2 d g2 * s2 d h2; pose b2 d := s2 d g2 * c2 d h2 - c2 d g2 * s2 d h2.
  rewrite (eq_bigr (fun d => a1 d.1 * a2 d.2 - b1 d.1 * b2 d.2)); last first.
    by move=> [d1 d2] _; rewrite /a1 /a2 /b1 /b2 /product_re /product_im /=; ring.
  rewrite sumrB !sum_product (sp_re p1) (sp_re p2) (sp_im p1) mul0r subr0 xpair_eqE.
  by case: (g1 == h1); case: (g2 == h2); rewrite ?mulr1n ?mulr0n ?mulr0 ?mul0r.
- move=> [g1 g2] [h1 h2].
  pose a1 d := c1 d g1 * c1 d h1 + s1 d g1 * s1 d h1; pose b1 d := s1 d g1 * c1 d h1 - c1 d g1 * s1 d h1.
  pose a2 d := c2 d g2 * c2 d h2 + s2 d g2 * s2 d h2; pose b2 d := s2 d g2 * c2 d h2 - c2 d g2 * s2 d h2.
  rewrite (eq_bigr (fun d => b1 d.1 * a2 d.2 + a1 d.1 * b2 d.2)); last first.
    by move=> [d1 d2] _; rewrite /a1 /a2 /b1 /b2 /product_re /product_im /=; ring.
  by rewrite big_split /= !sum_product (sp_im p1) (sp_im p2) mul0r mulr0 addr0.
- move=> [d1 d2] [g1 g2] [t1 t2]; rewrite /product_sign /product_re /product_im /=.
  have -> : eps1 g1 t1 * eps2 g2 t2 * (c1 d1 g1 * c2 d2 g2 - s1 d1 g1 * s2 d2 g2) =
    (eps1 g1 t1 * c1 d1 g1) * (eps2 g2 t2 * c2 d2 g2) - (eps1 g1 t1 * s1 d1 g1) * (eps2 g2 t2 * s2 d2 g2) by ring.
  by rewrite (sp_c p1) (sp_c p2) (sp_s p1) (sp_s p2); ring.
- move=> [d1 d2] [g1 g2] [t1 t2]; rewrite /product_sign /product_re /product_im /=.
  have -> : eps1 g1 t1 * eps2 g2 t2 * (s1 d1 g1 * c2 d2 g2 + c1 d1 g1 * s2 d2 g2) =
    (eps1 g1 t1 * s1 d1 g1) * (eps2 g2 t2 * c2 d2 g2) + (eps1 g1 t1 * c1 d1 g1) * (eps2 g2 t2 * s2 d2 g2) by ring.
  by rewrite (sp_c p1) (sp_c p2) (sp_s p1) (sp_s p2); ring.
Qed.
End Product.

(* The hypothesis from an operator bound of the real matrix [[Re D, - Im D], [Im D, Re D]], whose columns are pairs of a
   phase and a channel. *)
Section Matrix.
Variables (F : realFieldType) (D T P : finType) (lc ls : D -> T -> F) (m k : nat) (w : T -> 'M[F]_(m, k)) (phase : T -> P).

Definition symbol_matrix (l : D -> T -> F) d : 'M[F]_(m, #|{: P * 'I_k}|) :=
  \matrix_(i, j) \sum_(t | phase t == (enum_val j).1) l d t * w t i (enum_val j).2.
Definition stacked (u : P -> 'cV[F]_k) : 'cV[F]_#|{: P * 'I_k}| := \col_j u (enum_val j).1 (enum_val j).2 0.

Lemma symbol_stacked l d u : symbol_matrix l d *m stacked u = \sum_t l d t *: (w t *m u (phase t)).
Proof.
apply/colP => i; rewrite !mxE summxE.
under eq_bigr => j _ do rewrite !mxE.
rewrite -(big_enum_val (fun pa => (\sum_(t | phase t == pa.1) l d t * w t i pa.2) * u pa.1 pa.2 0)) /=.
rewrite -(pair_big xpredT xpredT (fun p a => (\sum_(t | phase t == p) l d t * w t i a) * u p a 0)) /=.
rewrite [RHS](partition_big phase xpredT) //=; apply: eq_bigr => p _.
under eq_bigr => a _ do rewrite mulr_suml.
rewrite exchange_big /=; apply: eq_bigr => t /eqP <-; rewrite !mxE mulr_sumr.
by apply: eq_bigr => a _; rewrite mulrA.
Qed.

Lemma sqn_stacked u : sqn (stacked u) = \sum_p sqn (u p).
Proof.
rewrite /sqn /dot; under eq_bigr => j _ do rewrite !mxE.
rewrite -(big_enum_val (fun pa => u pa.1 pa.2 0 * u pa.1 pa.2 0)) /=.
by rewrite -(pair_big xpredT xpredT (fun p a => u p a 0 * u p a 0)).
Qed.

Theorem symbol_of_matrix d K :
  opbound (real_of_complex (symbol_matrix lc d) (symbol_matrix ls d)) K -> symbol_bounded lc ls w phase d K.
Proof.
move=> h u v; have := real_of_complex_bound h (stacked u) (stacked v).
rewrite !symbol_stacked !sqn_stacked big_split /= => hK.
have -> : symbol_re lc ls w phase d u v =
    \sum_t lc d t *: (w t *m u (phase t)) - \sum_t ls d t *: (w t *m v (phase t)).
  by rewrite -sumrB; apply: eq_bigr => t _; rewrite mulmxBr -!scalemxAr.
have -> : symbol_im lc ls w phase d u v =
    \sum_t lc d t *: (w t *m v (phase t)) + \sum_t ls d t *: (w t *m u (phase t)).
  by rewrite -big_split; apply: eq_bigr => t _; rewrite mulmxDr -!scalemxAr.
exact: hK.
Qed.
End Matrix.

Lemma sum_regrouped (F : realFieldType) (A1 B1 A2 B2 : finType) (f : (A1 * B1) * (A2 * B2) -> F) :
  \sum_h f h = \sum_(g : A1 * A2) \sum_(p : B1 * B2) f ((g.1, p.1), (g.2, p.2)).
Proof.
rewrite pair_big (reindex (fun q : (A1 * A2) * (B1 * B2) => ((q.1.1, q.2.1), (q.1.2, q.2.2)))) //=.
by exists (fun h => ((h.1.1, h.2.1), (h.1.2, h.2.2))) => [[[? ?] [? ?]]|[[? ?] [? ?]]].
Qed.

(* The circular operator of torus.v on the product of two axes, and the convolution with zero padding. *)
Section Torus.
Variables (F : realFieldType) (N1 N2 k1 k2 s1 s2 c c' : nat) (s1_pos : (0 < s1)%N) (s2_pos : (0 < s2)%N).
Variables (C1 S1 C2 S2 : nat -> F).
Let T := ('I_k1 * 'I_k2)%type.
Let G := ('I_N1.+1 * 'I_N2.+1)%type.
Let P := ('I_s1 * 'I_s2)%type.
Let eigenvalue (N k s : nat) (f : nat -> F) (d : 'I_N.+1) (t : 'I_k) : F := f (frequency false d * (t %/ s))%N.

Definition circular_re : G -> T -> F :=
  product_re (@eigenvalue N1 k1 s1 C1) (@eigenvalue N1 k1 s1 S1) (@eigenvalue N2 k2 s2 C2) (@eigenvalue N2 k2 s2 S2).
Definition circular_im : G -> T -> F :=
  product_im (@eigenvalue N1 k1 s1 C1) (@eigenvalue N1 k1 s1 S1) (@eigenvalue N2 k2 s2 C2) (@eigenvalue N2 k2 s2 S2).
Definition circular_phase (t : T) : P := (Ordinal (ltn_pmod t.1 s1_pos), Ordinal (ltn_pmod t.2 s2_pos)).
Definition circular_shift := shift_product (@torus_read k1 s1 N1 s1_pos) (@torus_read k2 s2 N2 s2_pos).
Variable w : T -> 'M[F]_(c', c).

Definition waves N (C S : nat -> F) := [/\ (forall a b, C (a + b)%N = C a * C b - S a * S b) /\
  (forall a b, S (a + b)%N = S a * C b + C a * S b), forall a, C a ^+ 2 + S a ^+ 2 = 1, C 0%N = 1, C N.+1 = - 1
  & forall m, (0 < m < N.+1)%N -> C (2 * m)%N != 1].

Theorem circular_bound K : waves N1 C1 S1 -> waves N2 C2 S2 ->
  (forall d, symbol_bounded circular_re circular_im w circular_phase d K) ->
  forall X, \sum_g sqn (circular circular_shift w X g) <= K * \sum_h sqn (X h).
Proof.
move=> [[a1 b1] u1 z1 e1 p1] [[a2 b2] u2 z2 e2 p2] hK X.
have sp1 := axis_spectral false (fun t : 'I_k1 => t %/ s1)%N a1 b1 u1 z1 e1 p1.
have sp2 := axis_spectral false (fun t : 'I_k2 => t %/ s2)%N a2 b2 u2 z2 e2 p2.
have sp := product_spectral sp1 sp2.
have := symbol_bound sp hK (fun g p => X ((g.1, p.1), (g.2, p.2))).
rewrite -(sum_regrouped (fun h => sqn (X h))) => hX; apply: le_trans hX.
rewrite le_eqVlt; apply/orP; left; apply/eqP; apply: eq_bigr => g _; congr sqn; apply: eq_bigr => t _.
by rewrite /product_sign /sign !mul0n !expr0 mulr1 scale1r.
Qed.

(* One axis of the convolution: n inputs, padding p, on a torus of N + 1 points that is large enough. *)
Definition fits n p k s N := [/\ (0 < n)%N, (k <= n + 2 * p)%N, (lead p s + width n p s <= N.+1)%N,
  (n_out n p k s + kernel_length k s - 1 - lead p s <= N.+1)%N & (n_out n p k s <= N.+1)%N].

Theorem zero_padded_bound n1 p1 n2 p2 K : fits n1 p1 k1 s1 N1 -> fits n2 p2 k2 s2 N2 ->
  waves N1 C1 S1 -> waves N2 C2 S2 ->
  (forall d, opbound (real_of_complex (symbol_matrix w circular_phase circular_re d)
                                      (symbol_matrix w circular_phase circular_im d)) K) ->
  forall x, \sum_j sqn (convolution (src_product (@read n1 p1 k1 s1) (@read n2 p2 k2 s2)) w x j) <= K * \sum_i sqn (x i).
Proof.
move=> [a1 b1 c1 d1 e1] [a2 b2 c2 d2 e2] w1 w2 hK.
apply: (compression (axis_product (axis_embeds s1_pos a1 b1 c1 d1 e1) (axis_embeds s2_pos a2 b2 c2 d2 e2))).
by apply: circular_bound w1 w2 _ => d; apply: symbol_of_matrix.
Qed.
End Torus.

(* The laws of the waves are not contradictory: the quarters of a turn are such waves, for N = 2, over any real field. *)
Section Quarters.
Variable F : realFieldType.
Definition quarter_cos (m : nat) : F := nth 0 [:: 1; 0; - 1; 0] (m %% 4).
Definition quarter_sin (m : nat) : F := nth 0 [:: 0; 1; 0; - 1] (m %% 4).

Lemma quarters_are_waves : waves 1 quarter_cos quarter_sin.
Proof.
have small a : (a %% 4 < 4)%N by rewrite ltn_mod.
split=> [| a | | | [|[|m]] //].
- split=> a b; rewrite /quarter_cos /quarter_sin -modnDm; move: (a %% 4)%N (b %% 4)%N (small a) (small b);
    by move=> [|[|[|[|?]]]] [|[|[|[|?]]]] //= _ _; rewrite /modn /=; ring.
- by rewrite /quarter_cos /quarter_sin; move: (a %% 4)%N (small a) => [|[|[|[|?]]]] //= _; ring.
- by [].
- by [].
- by rewrite /quarter_cos /= => _; rewrite eq_sym -subr_eq0 opprK -(natrD _ 1 1) pnatr_eq0.
Qed.
End Quarters.
