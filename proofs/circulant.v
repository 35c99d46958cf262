(* The norm of a convolution on a torus by a residual that is a convolution itself.  No frequency, cosine or root occurs.

   Functions on the torus are functions f of two naturals with  f (i + N1) j = s1 f i j,  f i (j + N2) = s2 f i j,  the signs
   s1, s2 being 1 (a periodic axis) or -1 (a twisted one); their inner product is the sum over 0 <= i < N1, 0 <= j < N2.

   For kernels V and R  (column a, output o:  (V f)_o (g) = sum_(a, t) V_ao(t) f_a(g + t)) let
       e_ab(k) = alpha [a = b][k = 0] - sum_o (V_ao * V_bo)(k) - sum_o (R_ao * R_bo)(k),
   * the correlation on the torus: the residual of alpha I - V^T V - R^T R, which is a convolution, too.

   Theorem (circulant_bound).  If  sum_b |e_ab|_1 <= beta  for every a, where |e|_1 is the sum of the absolute values of e on
   the torus, and |e_ba|_1 may be taken for |e_ab|_1, then  |V f|^2 <= (alpha + beta) |f|^2.

   The correlation is given unfolded, as the coefficients of a product of polynomials of which one is reversed: those of
   X^k Y^l, 0 <= k < 2 N1 - 1, 0 <= l < 2 N2 - 1; fold adds those that fall together on the torus.

   Any R will do, as in operator_norm.v; a program takes the inverse Fourier transform of the Cholesky factors of
   alpha I - D(w)^* D(w), D the symbol of V, so that e is rounding alone. *)

From mathcomp Require Import all_ssreflect all_algebra zify.
From mathcomp Require Import ring.
Require Import euclidean.
Set Implicit Arguments. Unset Strict Implicit. Unset Printing Implicit Defensive.
Import GRing.Theory Num.Theory Order.TTheory.
Local Open Scope ring_scope.

(* One axis. *)
Section Axis.
Variables (F : realFieldType) (N' : nat) (s : F).
Let N := N'.+1.
Hypothesis s2 : s * s = 1.

Lemma sum_shift (u : nat -> F) m : (forall i, u (i + N)%N = u i) -> \sum_(i < N) u (i + m)%N = \sum_(i < N) u i.
Proof.
move=> p; elim: m => [|m IH]; first by apply: eq_bigr => i _; rewrite addn0.
rewrite -IH [RHS]big_ord_recl big_ord_recr /= addrC; congr (_ + _).
- by rewrite add0n addnS -addSn (addnC N'.+1) p.
- by apply: eq_bigr => i _; rewrite /= /bump /= add1n addnS addSn.
Qed.

(* the place on the torus of the coefficient k of a product with a reversed polynomial, and its sign *)
Definition place (k : nat) : nat := if (k < N')%N then k.+1 else (k - N')%N.
Definition turn_sign (k : nat) : F := if (k < N')%N then s else 1.

Lemma correlate (a b : nat -> F) t t' : (forall i, a (i + N)%N = s * a i) -> (forall i, b (i + N)%N = s * b i) ->
  (t <= N')%N -> (t' <= N')%N ->
  \sum_(i < N) a (i + t)%N * b (i + t')%N = turn_sign (N' - t + t') * \sum_(i < N) a i * b (i + place (N' - t + t'))%N.
Proof.
move=> pa pb ht ht'; set k := (N' - t + t')%N.
have per m i : a (i + N)%N * b (i + N + m)%N = a i * b (i + m)%N.
  by rewrite pa (addnAC i) pb mulrACA s2 mul1r.
rewrite -(sum_shift t (u := fun i => a i * b (i + place k)%N)) => [|i]; last exact: per.
rewrite mulr_sumr; apply: eq_bigr => i _; rewrite /place /turn_sign /k; case: ltnP => h.
- rewrite (_ : (i + t + (N' - t + t').+1 = i + t' + N)%N); last by rewrite /N; lia.
  by rewrite pb -[LHS]mul1r -s2; ring.
- by rewrite mul1r (_ : (i + t + (N' - t + t' - N') = i + t')%N) //; lia.
Qed.

(* adds the coefficients that fall together *)
Definition fold (e : nat -> F) (m : nat) : F := e (N' + m)%N + (if m is m'.+1 then s * e m' else 0).

Lemma fold_sum (e q : nat -> F) :
  \sum_(k < N' + N) e k * (turn_sign k * q (place k)) = \sum_(m < N) fold e m * q m.
Proof.
rewrite big_split_ord /= addrC; rewrite [in RHS]big_ord_recl /fold addr0 [X in X + _]big_ord_recl.
rewrite /turn_sign /place addn0 ltnn subnn mul1r -addrA; congr (_ + _).
rewrite -big_split /=; apply: eq_bigr => i _.
by rewrite (ltn_ord i) /bump /= add1n ltnNge leq_addr /= addKn; ring.
Qed.
End Axis.

(* Two axes. *)
Section Torus.
Variables (F : realFieldType) (N1' N2' : nat) (s1 s2 : F).
Let N1 := N1'.+1.
Let N2 := N2'.+1.
Hypothesis s1_sq : s1 * s1 = 1.
Hypothesis s2_sq : s2 * s2 = 1.
Implicit Types f h : nat -> nat -> F.

Definition on_torus f := (forall i j, f (i + N1)%N j = s1 * f i j) /\ (forall i j, f i (j + N2)%N = s2 * f i j).
(* <f(. + t), h(. + t')> *)
Definition pair f h t1 t2 t1' t2' : F := \sum_(i < N1) \sum_(j < N2) f (i + t1)%N (j + t2)%N * h (i + t1')%N (j + t2')%N.
Definition norm2 f : F := pair f f 0 0 0 0.

Lemma norm2E f : norm2 f = \sum_(i < N1) \sum_(j < N2) f i j ^+ 2.
Proof. by apply: eq_bigr => i _; apply: eq_bigr => j _; rewrite !addn0 expr2. Qed.

Lemma norm2_ge0 f : 0 <= norm2 f.
Proof. by rewrite norm2E; apply: sumr_ge0 => i _; apply: sumr_ge0 => j _; apply: sqr_ge0. Qed.

Lemma pair_reduced f h t1 t2 t1' t2' : on_torus f -> on_torus h ->
  (t1 <= N1')%N -> (t1' <= N1')%N -> (t2 <= N2')%N -> (t2' <= N2')%N ->
  pair f h t1 t2 t1' t2' = turn_sign N1' s1 (N1' - t1 + t1') * (turn_sign N2' s2 (N2' - t2 + t2') *
    pair f h 0 0 (place N1' (N1' - t1 + t1')) (place N2' (N2' - t2 + t2'))).
Proof.
move=> [f1 f2] [h1 h2] a1 a2 b1 b2; rewrite /pair exchange_big /=.
under eq_bigr => j _ do rewrite (correlate s1_sq (a := fun i => f i (j + t2)%N) (b := fun i => h i (j + t2')%N)) //.
rewrite -mulr_sumr exchange_big /=; congr (_ * _).
under eq_bigr => i _ do rewrite (correlate s2_sq (a := f i) (b := h (i + place N1' (N1' - t1 + t1'))%N)) //.
rewrite -mulr_sumr; congr (_ * _).
by apply: eq_bigr => i _; apply: eq_bigr => j _; rewrite !addn0.
Qed.

Lemma norm2_shift f t1 t2 : on_torus f ->
  \sum_(i < N1) \sum_(j < N2) f (i + t1)%N (j + t2)%N ^+ 2 = norm2 f.
Proof.
move=> [f1 f2]; rewrite norm2E exchange_big /=.
have e1 j : \sum_(i < N1) f (i + t1)%N j ^+ 2 = \sum_(i < N1) f i j ^+ 2.
  by apply: (sum_shift t1 (u := fun i => f i j ^+ 2)) => i; rewrite f1 exprMn [s1 ^+ 2]expr2 s1_sq mul1r.
have e2 i : \sum_(j < N2) f i (j + t2)%N ^+ 2 = \sum_(j < N2) f i j ^+ 2.
  by apply: (sum_shift t2 (u := fun j => f i j ^+ 2)) => j; rewrite f2 exprMn [s2 ^+ 2]expr2 s2_sq mul1r.
by under eq_bigr => j _ do rewrite e1; rewrite exchange_big /=; apply: eq_bigr => i _; rewrite e2.
Qed.

Lemma pair_bound f h t1 t2 : on_torus f -> on_torus h -> `|pair f h 0 0 t1 t2| <= (norm2 f + norm2 h) / 2%:R.
Proof.
move=> pf ph; rewrite ler_pdivl_mulr ?ltr0n // -(norm2_shift 0 0 pf) -(norm2_shift t1 t2 ph).
rewrite -[2%:R](ger0_norm (ler0n F 2)) -normrM /pair mulr_suml -big_split /=.
apply: le_trans (ler_norm_sum _ _ _) _; apply: ler_sum => i _; rewrite mulr_suml -big_split /=.
apply: le_trans (ler_norm_sum _ _ _) _; apply: ler_sum => j _; rewrite ler_norml.
move: (f _ _) (h _ _) => x y; apply/andP; split; rewrite -subr_ge0.
- rewrite opprK (_ : x * y * 2%:R + (x ^+ 2 + y ^+ 2) = (x + y) ^+ 2) ?sqr_ge0 //; ring.
- rewrite (_ : x ^+ 2 + y ^+ 2 - x * y * 2%:R = (x - y) ^+ 2) ?sqr_ge0 //; ring.
Qed.

(* The sum over a torus of a folded array. *)
Definition fold2 (e : nat -> nat -> F) (m1 m2 : nat) : F := fold N1' s1 (fun k => fold N2' s2 (e k) m2) m1.

Lemma fold2_sum (e q : nat -> nat -> F) :
  \sum_(k < N1' + N1) \sum_(l < N2' + N2) e k l * (turn_sign N1' s1 k * (turn_sign N2' s2 l * q (place N1' k) (place N2' l))) =
  \sum_(m1 < N1) \sum_(m2 < N2) fold2 e m1 m2 * q m1 m2.
Proof.
under eq_bigr => k _ do under eq_bigr => l _ do rewrite mulrCA.
under eq_bigr => k _ do rewrite -mulr_sumr (fold_sum N2' s2 (e k) (q (place N1' k))).
under eq_bigr => k _ do rewrite mulr_sumr.
rewrite exchange_big [RHS]exchange_big /=; apply: eq_bigr => m2 _.
rewrite -(fold_sum N1' s1 (fun k => fold N2' s2 (e k) m2) (fun m1 => q m1 m2)); apply: eq_bigr => k _; exact: mulrCA.
Qed.

(* Kernels. *)
Variables (n m r : nat) (V : 'I_n -> 'I_m -> nat -> nat -> F) (R : 'I_n -> 'I_r -> nat -> nat -> F).
Variable f : 'I_n -> nat -> nat -> F.
Hypothesis f_torus : forall a, on_torus (f a).

Definition tap q (W : 'I_n -> 'I_q -> nat -> nat -> F) a o (i j : nat) : F :=
  \sum_(t1 < N1) \sum_(t2 < N2) W a o t1 t2 * f a (i + t1)%N (j + t2)%N.
Definition act q (W : 'I_n -> 'I_q -> nat -> nat -> F) o (i j : nat) : F := \sum_a tap W a o i j.
(* the coefficient of X^k Y^l *)
Definition product q (W : 'I_n -> 'I_q -> nat -> nat -> F) a b (k l : nat) : F :=
  \sum_(o < q) \sum_(t1 < N1) \sum_(t2 < N2) \sum_(t1' < N1) \sum_(t2' < N2)
    W a o t1 t2 * W b o t1' t2' *+ ((k == N1' - t1 + t1')%N && (l == N2' - t2 + t2')%N).

Definition theta a b (k l : nat) : F :=
  turn_sign N1' s1 k * (turn_sign N2' s2 l * pair (f a) (f b) 0 0 (place N1' k) (place N2' l)).

Lemma pick (K L : nat) (g : nat -> nat -> F) c k l : (k < K)%N -> (l < L)%N ->
  \sum_(x < K) \sum_(y < L) (c *+ ((x == k :> nat) && (y == l :> nat))) * g x y = c * g k l.
Proof.
move=> hk hl; rewrite (bigD1 (Ordinal hk)) //= [X in _ + X]big1 ?addr0 => [|x nx]; last first.
  by apply: big1 => y _; rewrite -val_eqE /= in nx; rewrite (negbTE nx) mulr0n mul0r.
rewrite (bigD1 (Ordinal hl)) //= [X in _ + X]big1 ?addr0 => [|y ny]; last first.
  by rewrite -val_eqE /= in ny; rewrite (negbTE ny) andbF mulr0n mul0r.
by rewrite !eqxx mulr1n.
Qed.

Lemma product_weighted q (W : 'I_n -> 'I_q -> nat -> nat -> F) a b (g : nat -> nat -> F) :
  \sum_(k < N1' + N1) \sum_(l < N2' + N2) product W a b k l * g k l =
  \sum_(o < q) \sum_(t1 < N1) \sum_(t2 < N2) \sum_(t1' < N1) \sum_(t2' < N2)
    W a o t1 t2 * W b o t1' t2' * g (N1' - t1 + t1')%N (N2' - t2 + t2')%N.
Proof.
rewrite /product; under eq_bigr => k _ do under eq_bigr => l _ do rewrite mulr_suml.
under eq_bigr => k _ do rewrite exchange_big /=.
rewrite exchange_big /=; apply: eq_bigr => o _.
under eq_bigr => k _ do under eq_bigr => l _ do rewrite mulr_suml.
under eq_bigr => k _ do rewrite exchange_big /=.
rewrite exchange_big /=; apply: eq_bigr => t1 _.
under eq_bigr => k _ do under eq_bigr => l _ do rewrite mulr_suml.
under eq_bigr => k _ do rewrite exchange_big /=.
rewrite exchange_big /=; apply: eq_bigr => t2 _.
under eq_bigr => k _ do under eq_bigr => l _ do rewrite mulr_suml.
under eq_bigr => k _ do rewrite exchange_big /=.
rewrite exchange_big /=; apply: eq_bigr => t1' _.
under eq_bigr => k _ do under eq_bigr => l _ do rewrite mulr_suml.
under eq_bigr => k _ do rewrite exchange_big /=.
rewrite exchange_big /=; apply: eq_bigr => t2' _.
rewrite -(pick g (W a o t1 t2 * W b o t1' t2') (k := (N1' - t1 + t1')%N) (l := (N2' - t2 + t2')%N) (K := (N1' + N1)%N) (L := (N2' + N2)%N)) //.
- by have := ltn_ord t1'; rewrite /N1; lia.
- by have := ltn_ord t2'; rewrite /N2; lia.
Qed.

Lemma product_sum q (W : 'I_n -> 'I_q -> nat -> nat -> F) a b :
  \sum_(o < q) \sum_(i < N1) \sum_(j < N2) tap W a o i j * tap W b o i j =
  \sum_(k < N1' + N1) \sum_(l < N2' + N2) product W a b k l * theta a b k l.
Proof.
rewrite product_weighted; apply: eq_bigr => o _; rewrite /tap.
have -> : \sum_(i < N1) \sum_(j < N2)
    (\sum_(t1 < N1) \sum_(t2 < N2) W a o t1 t2 * f a (i + t1)%N (j + t2)%N) *
    (\sum_(t1 < N1) \sum_(t2 < N2) W b o t1 t2 * f b (i + t1)%N (j + t2)%N) =
  \sum_(i < N1) \sum_(j < N2) \sum_(t1 < N1) \sum_(t2 < N2) \sum_(t1' < N1) \sum_(t2' < N2)
    W a o t1 t2 * W b o t1' t2' * (f a (i + t1)%N (j + t2)%N * f b (i + t1')%N (j + t2')%N).
  apply: eq_bigr => i _; apply: eq_bigr => j _; rewrite mulr_suml; apply: eq_bigr => t1 _.
  rewrite mulr_suml; apply: eq_bigr => t2 _; rewrite mulr_sumr; apply: eq_bigr => t1' _.
  by rewrite mulr_sumr; apply: eq_bigr => t2' _; rewrite mulrACA.
under eq_bigr => i _ do rewrite exchange_big /=.
rewrite exchange_big /=; apply: eq_bigr => t1 _.
under eq_bigr => i _ do rewrite exchange_big /=.
rewrite exchange_big /=; apply: eq_bigr => t2 _.
under eq_bigr => i _ do rewrite exchange_big /=.
rewrite exchange_big /=; apply: eq_bigr => t1' _.
under eq_bigr => i _ do rewrite exchange_big /=.
rewrite exchange_big /=; apply: eq_bigr => t2' _.
under eq_bigr => i _ do rewrite -mulr_sumr.
rewrite -mulr_sumr; congr (_ * _); rewrite /theta.
by rewrite -(pair_reduced (f_torus a) (f_torus b)) ?leq_ord // -ltnS ltn_ord.
Qed.

Variables (alpha beta : F) (c : nat -> nat -> F).
Definition residual a b (k l : nat) : F :=
  alpha *+ [&& a == b, k == N1' & l == N2'] - product V a b k l - product R a b k l.

Definition absolute (e : nat -> nat -> F) : F := \sum_(m1 < N1) \sum_(m2 < N2) `|fold2 e m1 m2|.

Hypothesis half : forall a b : 'I_n, (a <= b)%N -> absolute (residual a b) <= c a b.
Hypothesis rows : forall a : 'I_n, \sum_(b < n) c (minn a b) (maxn a b) <= beta.

Theorem circulant_bound :
  \sum_(o < m) \sum_(i < N1) \sum_(j < N2) act V o i j ^+ 2 <= (alpha + beta) * \sum_(a < n) norm2 (f a).
Proof.
pose X (a b : 'I_n) := \sum_(k < N1' + N1) \sum_(l < N2' + N2) residual a b k l * theta a b k l.
pose Q q (W : 'I_n -> 'I_q -> nat -> nat -> F) a b := \sum_(o < q) \sum_(i < N1) \sum_(j < N2) tap W a o i j * tap W b o i j.
have XE a b : X a b = alpha * norm2 (f a) *+ (a == b) - Q _ V a b - Q _ R a b.
  rewrite /X /residual; under eq_bigr => k _ do under eq_bigr => l _ do rewrite !mulrBl.
  under eq_bigr => k _ do rewrite !sumrB.
  rewrite !sumrB -!product_sum; congr (_ - _ - _).
  case: (eqVneq a b) => [<-|_] /=; last first.
    by rewrite mulr0n; apply: big1 => k _; apply: big1 => l _; rewrite ?mulr0n mul0r.
  rewrite mulr1n (pick (theta a a) alpha) /N1 /N2 ?leq_addr //; try by rewrite addnS ltnS leq_addr.
  by rewrite /theta /turn_sign /place !ltnn !subnn !mul1r.
have XS a b : X a b = X b a.
  rewrite !XE; have sym q W : Q q W a b = Q q W b a.
    by apply: eq_bigr => o _; apply: eq_bigr => i _; apply: eq_bigr => j _; rewrite mulrC.
  by rewrite !sym eq_sym; case: eqP => [->|].
have bound (a b : 'I_n) : (a <= b)%N -> - X a b <= c a b * ((norm2 (f a) + norm2 (f b)) / 2%:R).
  move=> le; have p0 : 0 <= (norm2 (f a) + norm2 (f b)) / 2%:R.
    by apply: divr_ge0; rewrite ?ler0n // addr_ge0 ?norm2_ge0.
  apply: le_trans (ler_wpmul2r p0 (half le)); apply: le_trans (ler_norm _) _; rewrite normrN.
  rewrite /X /theta (fold2_sum (residual a b) (fun k l => pair (f a) (f b) 0 0 k l)).
  apply: le_trans (ler_norm_sum _ _ _) _; rewrite mulr_suml; apply: ler_sum => i _.
  apply: le_trans (ler_norm_sum _ _ _) _; rewrite mulr_suml; apply: ler_sum => j _.
  by rewrite normrM; apply: ler_wpmul2l; [exact: normr_ge0 | apply: pair_bound; apply: f_torus].
have both (a b : 'I_n) : - X a b <= c (minn a b) (maxn a b) * ((norm2 (f a) + norm2 (f b)) / 2%:R).
  case: (leqP a b) => h; first by rewrite bound.
  by rewrite XS addrC bound // ltnW.
have squares q (W : 'I_n -> 'I_q -> nat -> nat -> F) :
    \sum_(o < q) \sum_(i < N1) \sum_(j < N2) act W o i j ^+ 2 = \sum_a \sum_b Q _ W a b.
  rewrite /Q; under [RHS]eq_bigr => a _ do rewrite exchange_big /=.
  rewrite [RHS]exchange_big /=; apply: eq_bigr => o _.
  under [RHS]eq_bigr => a _ do rewrite exchange_big /=.
  rewrite [RHS]exchange_big /=; apply: eq_bigr => i _.
  under [RHS]eq_bigr => a _ do rewrite exchange_big /=.
  rewrite [RHS]exchange_big /=; apply: eq_bigr => j _.
  by rewrite expr2 /act mulr_suml; apply: eq_bigr => a _; rewrite mulr_sumr.
have total : \sum_a \sum_b X a b = alpha * (\sum_a norm2 (f a)) - \sum_a \sum_b Q _ V a b - \sum_a \sum_b Q _ R a b.
  rewrite mulr_sumr -!sumrB; apply: eq_bigr => a _; rewrite (eq_bigr _ (fun b _ => XE a b)) !sumrB; congr (_ - _ - _).
  rewrite (bigD1 a) //= eqxx mulr1n big1 ?addr0 // => b ne; by rewrite eq_sym (negbTE ne) mulr0n.
have R0 : 0 <= \sum_a \sum_b Q _ R a b.
  by rewrite -squares; apply: sumr_ge0 => o _; apply: sumr_ge0 => i _; apply: sumr_ge0 => j _; apply: sqr_ge0.
have low : - (\sum_(a < n) \sum_(b < n) X a b) <= beta * \sum_(a < n) norm2 (f a).
  rewrite -sumrN; apply: (@le_trans _ _ (\sum_(a < n) \sum_(b < n) c (minn a b) (maxn a b) * ((norm2 (f a) + norm2 (f b)) / 2%:R))).
    by apply: ler_sum => a _; rewrite -sumrN; apply: ler_sum => b _; apply: both.
  have half_sum : \sum_(a < n) \sum_(b < n) c (minn a b) (maxn a b) * ((norm2 (f a) + norm2 (f b)) / 2%:R) =
      \sum_(a < n) (\sum_(b < n) c (minn a b) (maxn a b)) * norm2 (f a).
    pose T := \sum_(a < n) \sum_(b < n) c (minn a b) (maxn a b) * norm2 (f a).
    have -> : \sum_(a < n) (\sum_(b < n) c (minn a b) (maxn a b)) * norm2 (f a) = T by apply: eq_bigr => a _; rewrite mulr_suml.
    have eT : \sum_(a < n) \sum_(b < n) c (minn a b) (maxn a b) * norm2 (f b) = T.
      by rewrite exchange_big; apply: eq_bigr => a _; apply: eq_bigr => b _; rewrite minnC maxnC.
    under eq_bigr => a _ do under eq_bigr => b _ do rewrite mulrA mulrDr.
    under eq_bigr => a _ do rewrite -mulr_suml big_split /=.
    by rewrite -mulr_suml big_split /= eT -/T -mulr2n -mulr_natr mulfK // pnatr_eq0.
  rewrite half_sum mulr_sumr; apply: ler_sum => a _; apply: ler_wpmul2r; [exact: norm2_ge0 | exact: rows].
rewrite squares; move: low; rewrite total => low; rewrite -subr_ge0.
have last (A B w u v : F) : 0 <= v + (B * w - - (A * w - u - v)) -> 0 <= (A + B) * w - u.
  by move=> h; rewrite (_ : _ - u = v + (B * w - - (A * w - u - v))) //; ring.
apply: last (addr_ge0 R0 _); by rewrite subr_ge0.
Qed.
End Torus.
