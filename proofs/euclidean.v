(* Euclidean space, shared by all the files that follow.

   Vectors are columns x : 'cV[F]_n over any real field F (rationals, reals, real algebraic numbers),
   and every norm appears squared, so no square root is needed and no axiom is used:

     dot x y = sum_i x_i y_i,    sqn x = dot x x = |x|^2,
     opbound W K        means    |W x|^2 <= K |x|^2 for all x,   that is |W|_2 <= sqrt K,
     lipschitz L T      means    0 <= L and |T x - T y| <= L |x - y| for all x, y,
     nonexpansive T     means    |T x - T y| <= |x - y| for all x, y.

   The main facts: Cauchy-Schwarz; |W^T| = |W|; the triangle inequality without roots; a quadratic form
   bounded in [-rho, rho] by a symmetric matrix B gives |B x| <= rho |x|; the rows of |E| bound a
   symmetric E (Gershgorin). *)

From mathcomp Require Import all_ssreflect all_algebra.
From mathcomp Require Import ring.
Set Implicit Arguments. Unset Strict Implicit. Unset Printing Implicit Defensive.
Import GRing.Theory Num.Theory Order.TTheory.
Local Open Scope ring_scope.

(* An identity between vectors, or matrices, that holds entry by entry as an identity of the ring. *)
Ltac by_entries :=
  apply/matrixP => ? ?; rewrite !mxE;
  repeat match goal with |- context [fun_of_matrix ?M ?i ?j] => move: (fun_of_matrix M i j) end;
  intros; ring.

(* Scalar facts. *)
Section Scalar.
Variable F : realFieldType.
Implicit Types a b c p q r s t : F.

(* A difference that is equal to something non-negative: how every polynomial inequality is proved here. *)
Lemma le_of_diff a b c : 0 <= c -> b - a = c -> a <= b.
Proof. by move=> c0 e; rewrite -subr_ge0 e. Qed.

Lemma le_square a b : 0 <= b -> a ^+ 2 <= b ^+ 2 -> a <= b.
Proof.
move=> b0 h; case: (leP a 0) => [a0|a0]; first exact: le_trans a0 b0.
by rewrite -(ler_pexpn2r (_ : (0 < 2)%N)) // ?nnegrE // ltW.
Qed.

Lemma square_le a b : 0 <= a -> a <= b -> a ^+ 2 <= b ^+ 2.
Proof. by move=> a0 ab; rewrite ler_pexpn2r // nnegrE // (le_trans a0). Qed.

Lemma square_le_abs a b : - b <= a -> a <= b -> a ^+ 2 <= b ^+ 2.
Proof.
move=> h1 h2; have : 0 <= (b - a) * (b + a) by rewrite mulr_ge0 ?subr_ge0 // -ler_subl_addl sub0r.
by move/le_of_diff; apply; ring.
Qed.

Lemma young a b : 2%:R * (a * b) <= a ^+ 2 + b ^+ 2.
Proof. by apply: (le_of_diff (sqr_ge0 (a - b))); ring. Qed.

(* |t - h q| <= rho t holds for every q in [a t, b t] when |1 - h a| <= rho and |1 - h b| <= rho; h of either sign. *)
Lemma interval_ends h a b q t : 0 <= t -> a * t <= q -> q <= b * t ->
  let rho := Num.max `|1 - h * a| `|1 - h * b| in - (rho * t) <= t - h * q /\ t - h * q <= rho * t.
Proof.
move=> t0 aq qb rho.
have ra : `|1 - h * a| <= rho by rewrite le_maxr lexx.
have rb : `|1 - h * b| <= rho by rewrite le_maxr lexx orbT.
move: ra rb; rewrite !ler_norml => /andP [a1 a2] /andP [b1 b2].
have ea : t - h * (a * t) = (1 - h * a) * t by ring.
have eb : t - h * (b * t) = (1 - h * b) * t by ring.
rewrite -mulNr; case: (leP 0 h) => [h0|/ltW h0]; split.
- by apply: (le_trans (ler_wpmul2r t0 b1)); rewrite -eb ler_add2l ler_opp2 ler_wpmul2l.
- by apply: (le_trans _ (ler_wpmul2r t0 a2)); rewrite -ea ler_add2l ler_opp2 ler_wpmul2l.
- by apply: (le_trans (ler_wpmul2r t0 a1)); rewrite -ea ler_add2l ler_opp2 ler_wnmul2l.
- by apply: (le_trans _ (ler_wpmul2r t0 b2)); rewrite -eb ler_add2l ler_opp2 ler_wnmul2l.
Qed.
End Scalar.

Section Dot.
Variable F : realFieldType.

Definition dot n (u v : 'cV[F]_n) : F := \sum_i u i 0 * v i 0.
Definition sqn n (u : 'cV[F]_n) : F := dot u u.

Lemma dotC n (u v : 'cV[F]_n) : dot u v = dot v u.
Proof. by apply: eq_bigr => i _; rewrite mulrC. Qed.

Lemma dotDl n (u v w : 'cV[F]_n) : dot (u + v) w = dot u w + dot v w.
Proof. by rewrite -big_split; apply: eq_bigr => i _; rewrite mxE mulrDl. Qed.

Lemma dotDr n (u v w : 'cV[F]_n) : dot u (v + w) = dot u v + dot u w.
Proof. by rewrite !(dotC u) dotDl. Qed.

Lemma dotZl n a (u w : 'cV[F]_n) : dot (a *: u) w = a * dot u w.
Proof. by rewrite mulr_sumr; apply: eq_bigr => i _; rewrite mxE mulrA. Qed.

Lemma dotZr n a (u w : 'cV[F]_n) : dot u (a *: w) = a * dot u w.
Proof. by rewrite dotC dotZl dotC. Qed.

Lemma dotNl n (u w : 'cV[F]_n) : dot (- u) w = - dot u w.
Proof. by rewrite -scaleN1r dotZl mulN1r. Qed.

Lemma dotNr n (u w : 'cV[F]_n) : dot u (- w) = - dot u w.
Proof. by rewrite dotC dotNl dotC. Qed.

Lemma dotBl n (u v w : 'cV[F]_n) : dot (u - v) w = dot u w - dot v w.
Proof. by rewrite dotDl dotNl. Qed.

Lemma dotBr n (u v w : 'cV[F]_n) : dot u (v - w) = dot u v - dot u w.
Proof. by rewrite dotDr dotNr. Qed.

Lemma dot0l n (u : 'cV[F]_n) : dot 0 u = 0.
Proof. by apply: big1 => i _; rewrite mxE mul0r. Qed.

Lemma dot0r n (u : 'cV[F]_n) : dot u 0 = 0.
Proof. by rewrite dotC dot0l. Qed.

Lemma dot_suml n (I : Type) (r : seq I) (P : pred I) (u : I -> 'cV[F]_n) v :
  dot (\sum_(i <- r | P i) u i) v = \sum_(i <- r | P i) dot (u i) v.
Proof.
by elim/big_rec2: _ => [|i y x _ <-]; rewrite ?dot0l ?dotDl.
Qed.

Lemma dot_sumr n (I : Type) (r : seq I) (P : pred I) (u : I -> 'cV[F]_n) v :
  dot v (\sum_(i <- r | P i) u i) = \sum_(i <- r | P i) dot v (u i).
Proof. by rewrite dotC dot_suml; apply: eq_bigr => i _; rewrite dotC. Qed.

(* <W x, y> = <x, W^T y> *)
Lemma dot_adj m n (W : 'M[F]_(m,n)) x y : dot (W *m x) y = dot x (W^T *m y).
Proof.
transitivity (\sum_i \sum_j W i j * x j 0 * y i 0).
  by apply: eq_bigr => i _; rewrite mxE mulr_suml.
rewrite exchange_big; apply: eq_bigr => j _; rewrite mxE mulr_sumr.
by apply: eq_bigr => i _; rewrite !mxE mulrCA mulrA.
Qed.

Lemma sqn_ge0 n (u : 'cV[F]_n) : 0 <= sqn u.
Proof. by apply: sumr_ge0 => i _; rewrite -expr2; apply: sqr_ge0. Qed.

Lemma sqn0 n : sqn (0 : 'cV[F]_n) = 0.
Proof. exact: dot0l. Qed.

Lemma sqn_eq0 n (u : 'cV[F]_n) : sqn u = 0 -> u = 0.
Proof.
move/eqP; rewrite psumr_eq0 => [/allP h|i _]; last by rewrite -expr2 sqr_ge0.
apply/matrixP => i j; rewrite ord1 mxE; have := h i; rewrite mem_index_enum => /(_ isT).
by rewrite -expr2 sqrf_eq0 => /eqP.
Qed.

Lemma sqnD n (u v : 'cV[F]_n) : sqn (u + v) = sqn u + 2%:R * dot u v + sqn v.
Proof. rewrite /sqn dotDl !dotDr (dotC v u); ring. Qed.

Lemma sqnN n (u : 'cV[F]_n) : sqn (- u) = sqn u.
Proof. by rewrite /sqn dotNl dotNr opprK. Qed.

Lemma sqnB n (u v : 'cV[F]_n) : sqn (u - v) = sqn u - 2%:R * dot u v + sqn v.
Proof. by rewrite sqnD dotNr sqnN mulrN. Qed.

Lemma sqnZ n a (u : 'cV[F]_n) : sqn (a *: u) = a ^+ 2 * sqn u.
Proof. by rewrite /sqn dotZl dotZr mulrA expr2. Qed.

Lemma sqnBC n (u v : 'cV[F]_n) : sqn (u - v) = sqn (v - u).
Proof. by rewrite -opprB sqnN. Qed.

(* Every coordinate is at most the norm. *)
Lemma coord_le_sqn n (u : 'cV[F]_n) i : u i 0 ^+ 2 <= sqn u.
Proof.
rewrite /sqn /dot (bigD1 i) //= -expr2 ler_addl.
by apply: sumr_ge0 => j _; rewrite -expr2 sqr_ge0.
Qed.

(* Cauchy-Schwarz: <u, v>^2 <= |u|^2 |v|^2 *)
Lemma Cauchy_Schwarz n (u v : 'cV[F]_n) : dot u v ^+ 2 <= sqn u * sqn v.
Proof.
have [v0|v0] := eqVneq (sqn v) 0; first by rewrite (sqn_eq0 v0) dot0r sqn0 mulr0 expr0n.
have vp : 0 < sqn v by rewrite lt0r v0 sqn_ge0.
have h := mulr_ge0 (ltW vp) (sqn_ge0 (u - (dot u v / sqn v) *: v)).
apply: (le_of_diff h); rewrite sqnB dotZr sqnZ; field; exact: v0.
Qed.

Lemma Cauchy_Schwarz_le n (u v : 'cV[F]_n) p q s : 0 <= p -> 0 <= q -> 0 <= s ->
  sqn u <= p ^+ 2 * s -> sqn v <= q ^+ 2 * s -> dot u v <= p * q * s.
Proof.
move=> p0 q0 s0 hu hv; apply: le_square; first by rewrite !mulr_ge0.
apply: (le_trans (Cauchy_Schwarz u v)).
have -> : (p * q * s) ^+ 2 = (p ^+ 2 * s) * (q ^+ 2 * s) by ring.
by apply: ler_pmul; rewrite ?sqn_ge0.
Qed.

(* The triangle inequality without roots: |u| <= p sqrt s and |v| <= q sqrt s give |u + v| <= (p + q) sqrt s. *)
Lemma triangle n (u v : 'cV[F]_n) p q s : 0 <= p -> 0 <= q -> 0 <= s ->
  sqn u <= p ^+ 2 * s -> sqn v <= q ^+ 2 * s -> sqn (u + v) <= (p + q) ^+ 2 * s.
Proof.
move=> p0 q0 s0 hu hv; rewrite sqnD.
have hd := ler_wpmul2l (ler0n F 2) (Cauchy_Schwarz_le p0 q0 s0 hu hv).
apply: le_trans (ler_add (ler_add hu hd) hv) _.
by rewrite le_eqVlt; apply/orP; left; apply/eqP; ring.
Qed.

Lemma triangle_sum n (I : Type) (r : seq I) (P : pred I) (u : I -> 'cV[F]_n) (p : I -> F) s : 0 <= s ->
  (forall i, P i -> 0 <= p i /\ sqn (u i) <= p i ^+ 2 * s) ->
  0 <= \sum_(i <- r | P i) p i /\
  sqn (\sum_(i <- r | P i) u i) <= (\sum_(i <- r | P i) p i) ^+ 2 * s.
Proof.
move=> s0 h; elim/big_rec2: _ => [|i x y Pi [y0 hy]]; first by rewrite sqn0 expr0n mul0r.
by have [p0 hp] := h i Pi; split; [exact: addr_ge0 | exact: triangle].
Qed.

(* Reverse use: |u| <= |u + v| + |v|. *)
Lemma triangle_back n (u v : 'cV[F]_n) p q s : 0 <= p -> 0 <= q -> 0 <= s ->
  sqn (u + v) <= p ^+ 2 * s -> sqn v <= q ^+ 2 * s -> sqn u <= (p + q) ^+ 2 * s.
Proof.
by move=> p0 q0 s0 h1 h2; rewrite -(addrK v u); apply: triangle => //; rewrite sqnN.
Qed.
End Dot.

Section Operators.
Variable F : realFieldType.

(* |W x|^2 <= K |x|^2 and, from below, s |x|^2 <= |W x|^2. *)
Definition opbound m n (W : 'M[F]_(m,n)) K := forall x, sqn (W *m x) <= K * sqn x.
Definition oplower m n (W : 'M[F]_(m,n)) s := forall x, s * sqn x <= sqn (W *m x).

Lemma opbound_weaken m n (W : 'M[F]_(m,n)) K K' : K <= K' -> opbound W K -> opbound W K'.
Proof. by move=> KK h x; apply: le_trans (h x) _; rewrite ler_wpmul2r ?sqn_ge0. Qed.

Lemma opboundM m n p (W : 'M[F]_(m,n)) (V : 'M[F]_(n,p)) K K' : 0 <= K ->
  opbound W K -> opbound V K' -> opbound (W *m V) (K * K').
Proof.
move=> K0 hW hV x; rewrite -mulmxA; apply: le_trans (hW _) _.
by rewrite -mulrA ler_wpmul2l.
Qed.

(* |W^T| = |W| *)
Lemma opbound_tr m n (W : 'M[F]_(m,n)) K : 0 <= K -> opbound W K -> opbound W^T K.
Proof.
move=> K0 hK y; set z := W^T *m y.
have [->|z0] := eqVneq (sqn z) 0; first by rewrite mulr_ge0 ?sqn_ge0.
have zp : 0 < sqn z by rewrite lt0r z0 sqn_ge0.
have e : sqn z = dot (W *m z) y by rewrite dot_adj.
have h1 := Cauchy_Schwarz (W *m z) y; rewrite -e in h1.
rewrite -(ler_pmul2r zp) -expr2 (le_trans h1) //.
rewrite (_ : K * _ * _ = K * sqn z * sqn y); last by ring.
by apply: ler_wpmul2r; [exact: sqn_ge0 | exact: hK].
Qed.

(* A symmetric B whose quadratic form lies in [-rho, rho] |x|^2 has |B x| <= rho |x|. Polarisation, no eigenvalue. *)
Lemma symmetric_bound n (B : 'M[F]_n) rho : B^T = B -> 0 <= rho ->
  (forall x, - (rho * sqn x) <= dot x (B *m x)) -> (forall x, dot x (B *m x) <= rho * sqn x) ->
  opbound B (rho ^+ 2).
Proof.
move=> sB r0 lo hi x.
have polar y : 4%:R * dot (B *m x) y <= 2%:R * rho * (sqn x + sqn y).
  have h1 := hi (x + y); have h2 := lo (x - y).
  have e1 : dot (x + y) (B *m (x + y)) = dot x (B *m x) + 2%:R * dot (B *m x) y + dot y (B *m y).
    by rewrite mulmxDr dotDl !dotDr (dotC y (B *m x)) -[dot x (B *m y)]dotC dot_adj sB (dotC y); ring.
  have e2 : dot (x - y) (B *m (x - y)) = dot x (B *m x) - 2%:R * dot (B *m x) y + dot y (B *m y).
    by rewrite mulmxBr dotBl !dotBr (dotC y (B *m x)) -[dot x (B *m y)]dotC dot_adj sB (dotC y); ring.
  rewrite e1 sqnD in h1; rewrite e2 sqnB in h2.
  have h : 0 <= _ + _ := addr_ge0 (etrans (subr_ge0 _ _) h1) (etrans (subr_ge0 _ _) h2).
  by apply: (le_of_diff h); ring.
case: (ltP 0 rho) => [rp|rn].
  have h := polar (rho^-1 *: (B *m x)).
  rewrite dotZr sqnZ -/(sqn (B *m x)) -subr_ge0 in h.
  have h' : 0 <= rho / 2%:R * _ := mulr_ge0 (divr_ge0 r0 (ler0n F 2)) h.
  apply: (le_of_diff h'); field; exact: lt0r_neq0.
have re : rho = 0 by apply/eqP; rewrite eq_le rn r0.
have h := polar (B *m x); rewrite re mulr0 mul0r -/(sqn (B *m x)) in h.
rewrite re expr0n mul0r.
by rewrite -(ler_pmul2l (ltr0n F 4)) mulr0.
Qed.

(* Gershgorin for a quadratic form: a symmetric E with row sums of |E| at most beta. *)
Lemma row_sum_bound n (E : 'M[F]_n) beta :
  E^T = E -> (forall i, \sum_j `|E i j| <= beta) -> forall x : 'cV_n, dot x (E *m x) <= beta * sqn x.
Proof.
move=> sE hb x.
have sE' i j : E i j = E j i by rewrite -{1}sE mxE.
have -> : dot x (E *m x) = \sum_i \sum_j E i j * (x i 0 * x j 0).
  by apply: eq_bigr => i _; rewrite mxE mulr_sumr; apply: eq_bigr => j _; exact: mulrCA.
rewrite -(ler_pmul2l (ltr0n F 2)).
apply: (@le_trans _ _ (\sum_i \sum_j (`|E i j| * x i 0 ^+ 2 + `|E j i| * x j 0 ^+ 2))).
  rewrite mulr_sumr; apply: ler_sum => i _; rewrite mulr_sumr; apply: ler_sum => j _.
  rewrite (sE' j i) -mulrDr mulrCA.
  have y0 := young `|x i 0| `|x j 0|; rewrite !real_normK ?num_real // in y0.
  apply: le_trans (ler_norm _) _; rewrite normrM ler_wpmul2l // normrM normrM.
  by rewrite (ger0_norm (ler0n F 2)).
under eq_bigr => i _ do rewrite big_split /=.
rewrite big_split /= [X in _ + X]exchange_big /=.
rewrite -mulr2n -mulr_natl ler_wpmul2l ?ler0n // mulr_sumr; apply: ler_sum => i _.
by rewrite -mulr_suml -expr2 ler_wpmul2r // sqr_ge0.
Qed.
End Operators.

Section Maps.
Variable F : realFieldType.
Implicit Types L a : F.

Definition lipschitz n m L (T : 'cV[F]_n -> 'cV[F]_m) :=
  0 <= L /\ forall x y, sqn (T x - T y) <= L ^+ 2 * sqn (x - y).
Definition nonexpansive n m (T : 'cV[F]_n -> 'cV[F]_m) := forall x y, sqn (T x - T y) <= sqn (x - y).

Lemma nonexpansive_lipschitz n m (T : 'cV[F]_n -> 'cV[F]_m) : nonexpansive T <-> lipschitz 1 T.
Proof.
split=> [h|[_ h] x y]; first by split=> [|x y]; rewrite ?ler01 // expr1n mul1r.
by have := h x y; rewrite expr1n mul1r.
Qed.

Lemma lipschitz_weaken n m L L' (T : 'cV[F]_n -> 'cV[F]_m) : L <= L' -> lipschitz L T -> lipschitz L' T.
Proof.
move=> LL [L0 h]; split; first exact: le_trans LL.
by move=> x y; apply: le_trans (h x y) _; rewrite ler_wpmul2r ?sqn_ge0 // square_le.
Qed.
End Maps.
