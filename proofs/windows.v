(* Windows: sorting, maxima and norms of groups of coordinates.

   A window is a set of coordinates; a group of outputs is a function of one window that is non-expansive. If a coordinate
   lies in at most M windows, the whole map is sqrt(M)-Lipschitz:

     |T x - T y|^2 = sum_w |T_w x - T_w y|^2 <= sum_w sum_(j in w) (x_j - y_j)^2 <= M |x - y|^2.

   What is non-expansive in a window: an exchange (a, b) |-> (min, max), and so every sequence of exchanges, such as the
   odd-even transposition that sorts; the largest number; the Euclidean norm.

   Source for sorting: Anil, Lucas, Grosse, Sorting out Lipschitz function approximation, ICML 2019. *)

From mathcomp Require Import all_ssreflect all_algebra.
From mathcomp Require Import ring.
Require Import euclidean.
Set Implicit Arguments. Unset Strict Implicit. Unset Printing Implicit Defensive.
Import GRing.Theory Num.Theory Order.TTheory.
Local Open Scope ring_scope.

Section Windows.
Variables (F : realFieldType) (n m k : nat).
(* window w j: the coordinate j lies in the window w;  source i: the window of the output i *)
Variables (window : 'I_k -> pred 'I_n) (source : 'I_m -> 'I_k) (M : nat).
Variable T : 'cV[F]_n -> 'cV[F]_m.

Hypothesis in_window : forall w x y,
  \sum_(i | source i == w) (T x i 0 - T y i 0) ^+ 2 <= \sum_(j | window w j) (x j 0 - y j 0) ^+ 2.
Hypothesis multiplicity : forall j, (#|[pred w | window w j]| <= M)%N.

Theorem windows x y : sqn (T x - T y) <= M%:R * sqn (x - y).
Proof.
have square p (u v : 'cV[F]_p) : sqn (u - v) = \sum_i (u i 0 - v i 0) ^+ 2.
  by apply: eq_bigr => i _; rewrite !mxE expr2.
rewrite !square (partition_big source predT) //=.
apply: (@le_trans _ _ (\sum_w \sum_(j | window w j) (x j 0 - y j 0) ^+ 2)).
  by apply: ler_sum => w _; exact: in_window.
rewrite (exchange_big_dep predT) //= mulr_sumr; apply: ler_sum => j _.
rewrite sumr_const -[X in X <= _]mulr_natl; apply: ler_wpmul2r; first exact: sqr_ge0.
by rewrite ler_nat; apply: leq_trans (multiplicity j); apply: subset_leq_card; apply/subsetP => w.
Qed.
End Windows.

Section InOneWindow.
Variable F : realFieldType.
Implicit Types a b c d : F.

(* An exchange. *)
Lemma exchange_pair a b c d :
  (Num.min a b - Num.min c d) ^+ 2 + (Num.max a b - Num.max c d) ^+ 2 <= (a - c) ^+ 2 + (b - d) ^+ 2.
Proof.
have crossed (p q r s : F) : p <= q -> s <= r -> (p - s) ^+ 2 + (q - r) ^+ 2 <= (p - r) ^+ 2 + (q - s) ^+ 2.
  move=> pq sr; rewrite -subr_ge0.
  have -> : (p - r) ^+ 2 + (q - s) ^+ 2 - ((p - s) ^+ 2 + (q - r) ^+ 2) = 2%:R * ((q - p) * (r - s)) by ring.
  by rewrite mulr_ge0 ?ler0n // mulr_ge0 // subr_ge0.
case: (leP a b) => ab; case: (leP c d) => cd //.
- exact: (crossed a b c d ab (ltW cd)).
- have := crossed b a d c (ltW ab) cd.
  by rewrite [X in X <= _]addrC [X in _ <= X]addrC [X in X <= _]addrC.
- by rewrite addrC.
Qed.

Variable n : nat.

Definition exchange (p : 'I_n * 'I_n) (x : 'cV[F]_n) : 'cV[F]_n :=
  \col_i if i == p.1 then Num.min (x p.1 0) (x p.2 0) else
         if i == p.2 then Num.max (x p.1 0) (x p.2 0) else x i 0.

Lemma exchange_nonexpansive p : p.1 != p.2 -> nonexpansive (exchange p).
Proof.
move=> ne x y; rewrite /sqn /dot.
rewrite (bigD1 p.1) // (bigD1 p.2) 1?eq_sym //= [X in _ <= X](bigD1 p.1) // [X in _ <= _ + X](bigD1 p.2) 1?eq_sym //=.
rewrite !addrA ler_add //; last first.
  apply: ler_sum => i /andP [i1 i2]; rewrite !mxE (negbTE i1) (negbTE i2); exact: lexx.
rewrite !mxE !eqxx [p.2 == p.1]eq_sym (negbTE ne) -!expr2; exact: exchange_pair.
Qed.

(* Every sequence of exchanges; the one that sorts is among them. *)
Theorem exchanges_nonexpansive (s : seq ('I_n * 'I_n)) :
  all (fun p => p.1 != p.2) s -> nonexpansive (fun x => foldl (fun x p => exchange p x) x s).
Proof.
elim: s => [_ x y|p s ih /= /andP [ne all_s] x y]; first exact: lexx.
by apply: le_trans (ih all_s _ _) _; exact: exchange_nonexpansive.
Qed.

Variable P : pred 'I_n.

(* The largest number: u is attained at i, and bounds all; so does v at j. *)
Lemma largest (x y : 'cV[F]_n) i j : P i -> P j ->
  (forall l, P l -> x l 0 <= x i 0) -> (forall l, P l -> y l 0 <= y j 0) ->
  (x i 0 - y j 0) ^+ 2 <= \sum_(l | P l) (x l 0 - y l 0) ^+ 2.
Proof.
move=> Pi Pj hx hy.
have term (l : 'I_n) : P l -> (x l 0 - y l 0) ^+ 2 <= \sum_(l | P l) (x l 0 - y l 0) ^+ 2.
  move=> Pl; rewrite (bigD1 l) //= ler_addl; apply: sumr_ge0 => q _; exact: sqr_ge0.
case: (leP (y j 0) (x i 0)) => c.
  apply: le_trans (term i Pi); apply: square_le; first by rewrite subr_ge0.
  by rewrite ler_sub // hy.
apply: le_trans (term j Pj); rewrite -sqrrN opprB -[X in _ <= X]sqrrN opprB.
apply: square_le; first by rewrite subr_ge0 ltW.
by rewrite ler_sub // hx.
Qed.

(* Norms: u^2 and v^2 are the sums of squares over the window. *)
Lemma norm_window (x y : 'cV[F]_n) u v : 0 <= u -> 0 <= v ->
  u ^+ 2 = \sum_(l | P l) x l 0 ^+ 2 -> v ^+ 2 = \sum_(l | P l) y l 0 ^+ 2 ->
  (u - v) ^+ 2 <= \sum_(l | P l) (x l 0 - y l 0) ^+ 2.
Proof.
move=> u0 v0 hu hv.
pose r (z : 'cV[F]_n) : 'cV[F]_n := \col_l if P l then z l 0 else 0.
have sq z : sqn (r z) = \sum_(l | P l) z l 0 ^+ 2.
  rewrite [RHS]big_mkcond /=; apply: eq_bigr => l _; rewrite !mxE; case: ifP => _; by rewrite -?expr2 ?expr0n.
have cs : dot (r x) (r y) <= u * v.
  apply: le_square; first exact: mulr_ge0.
  by rewrite exprMn hu hv -!sq; exact: Cauchy_Schwarz.
have -> : \sum_(l | P l) (x l 0 - y l 0) ^+ 2 = sqn (r x - r y).
  rewrite big_mkcond /=; apply: eq_bigr => l _; rewrite !mxE; case: ifP => _; by rewrite ?subr0 -?expr2 ?expr0n.
rewrite sqnB !sq -hu -hv.
have -> : (u - v) ^+ 2 = u ^+ 2 - 2%:R * (u * v) + v ^+ 2 by ring.
by rewrite ler_add2r ler_add2l ler_opp2 ler_pmul2l // ltr0n.
Qed.
End InOneWindow.
