(* A convolution with zero padding is bounded by its torus: what circulant_core.v's columns and circulant_ok show of the
   matrix of a Conv, any stride and either sign along either axis.

   The image is laid out on the torus, phase by phase (the columns), zero elsewhere.  What leaves the torus at one end comes in
   at the other, where the axis is zero (axis_wrap); so the windows of the outputs read what the convolution reads.  *)

From Coq Require Import ZArith List.
From mathcomp Require Import all_ssreflect all_algebra zify ssrZ.
Require Import euclidean circulant integer_core integer_sound integer_tree network_core network_sound circulant_core circulant_sound phases.
Set Implicit Arguments. Unset Strict Implicit. Unset Printing Implicit Defensive.
Import GRing.Theory Num.Theory Order.TTheory.
Local Open Scope ring_scope.
Local Arguments Z.eqb : simpl never.
Local Arguments Z.leb : simpl never.
Local Arguments Z.ltb : simpl never.
Local Arguments Z.mul : simpl never.
Local Arguments Z.add : simpl never.
Local Arguments Nat.eqb : simpl never.
Local Arguments Nat.leb : simpl never.
Local Arguments Nat.ltb : simpl never.
Local Arguments Nat.div : simpl never.
Local Arguments Nat.modulo : simpl never.

Definition within (n p Y : nat) := (p <= Y < n + p)%N.

Lemma axis_wrap n p k t N' y i r (N := N'.+1) : (0 < t)%N -> axis_fits n p k t N' -> (y < window_count n k t p)%N ->
  (r < t)%N -> (i * t + r < k)%N -> ((y + i) < N)%N \/
  ~~ within n p ((y + i) %% N * t + r)%N /\ ~~ within n p ((y + i) * t + r)%N.
Proof.
move=> t0; rewrite /axis_fits => /andP [/andP [/andP [c1 c2] c3] c4] hy hr hi.
case: (ltnP (y + i) N) => h; [by left | right].
have {}c1 : (n + p <= N * t)%N by move: c1; rewrite /N; lia.
have {}c2 : (window_count n k t p + (k + t - 1) %/ t <= N + p %/ t + 1)%N by move: c2; rewrite !div_of_nat // /N; lia.
have hi' : (i < (k + t - 1) %/ t)%N by rewrite leq_divRL // mulSn; lia.
have pt : (p %/ t * t <= p)%N by rewrite leq_trunc_div.
have pN : (p %/ t <= N)%N by rewrite -(mulnK N t0) leq_div2r //; lia.
have small : (y + i - N < p %/ t)%N by lia.
have -> : ((y + i) %% N = y + i - N)%N by rewrite -{1}(subnK h) modnDr modn_small //; lia.
split; rewrite /within negb_and -ltnNge -leqNgt.
- have := leq_mul small (leqnn t); rewrite mulSn => h2; apply/orP; left; lia.
- have := leq_mul h (leqnn t); move: c1 => c1 h2; apply/orP; right; lia.
Qed.

Section Conv.
Variable F : realFieldType.
Notation zc := (zc F).

Lemma sum_within n p M (g : nat -> F) : (n + p <= M)%N -> \sum_(Y < M) (if within n p Y then g (Y - p)%N else 0) = \sum_(y < n) g y.
Proof.
move=> le; pose f Y := if within n p Y then g (Y - p)%N else 0.
have out i : (p + n <= i < M)%N -> f i = 0 by move=> hi; rewrite /f (_ : within n p i = false) // /within; lia.
rewrite -/(\sum_(Y < M) f Y) (sum_widen _ out); last by rewrite addnC.
rewrite big_split_ord /= big1 ?add0r => [|i _]; last first.
  by rewrite /f (_ : within n p i = false) // /within; have := ltn_ord i; lia.
apply: eq_bigr => i _; rewrite /f (_ : within n p (p + i) = true) ?addKn //.
by rewrite /within; have := ltn_ord i; lia.
Qed.

Variables (c h w a b t1 t2 p : nat) (ks : seq (seq Z)) (x : 'cV[F]_(len (Image c h w))).
Hypothesis fit : operator_fits (Conv a b t1 t2 p ks) (Image c h w).
Let rows := window_count h a t1 p.
Let cols := window_count w b t2 p.

Let parts : [/\ (0 < t1)%N, (0 < t2)%N, (0 < a)%N & (0 < b)%N].
Proof. by move: fit => /=; rewrite -!andbA => /and5P [h1 h2 h3 h4 _]; split; move: h1 h2 h3 h4; lia. Qed.
Let t10 : (0 < t1)%N. Proof. by case: parts. Qed.
Let t20 : (0 < t2)%N. Proof. by case: parts. Qed.
Let a0 : (0 < a)%N. Proof. by case: parts. Qed.
Let b0 : (0 < b)%N. Proof. by case: parts. Qed.

Definition padded (ch Y X : nat) : F :=
  if within h p Y && within w p X then at_place x (ch * (h * w) + ((Y - p) * w + (X - p))) else 0.

Lemma window_F top left k0 ker :
  \sum_(q <- window h w a b p top left k0 ker) zc q.2 * at_place x q.1 =
  \sum_(m < size ker) zc (nth Z0 ker m) * padded ((k0 + m) %/ (a * b)) (top + ((k0 + m) %/ b) %% a) (left + (k0 + m) %% b).
Proof.
have ab0 : (0 < a * b)%N by rewrite muln_gt0 a0.
elim: ker k0 => [|z ker IH] k0; first by rewrite big_nil big_ord0.
rewrite big_ord_recl /= addn0; cbn [window]; rewrite !div_of_nat // !mod_of_nat //.
set R := (top + _)%N; set C := (left + _)%N.
have e : Nat.leb p (Nat.add top ((k0 %/ b) %% a)) && Nat.ltb (Nat.add top ((k0 %/ b) %% a)) (Nat.add h p) &&
    Nat.leb p (Nat.add left (k0 %% b)) && Nat.ltb (Nat.add left (k0 %% b)) (Nat.add w p) = within h p R && within w p C.
  by rewrite /within /R /C; move: ((k0 %/ b) %% a)%N (k0 %% b)%N => u v; lia.
have tail : \sum_(q <- window h w a b p top left (S k0) ker) zc q.2 * at_place x q.1 =
    \sum_(m < size ker) zc (nth Z0 (z :: ker) (lift ord0 m)) * padded ((k0 + lift ord0 m) %/ (a * b))
      (top + ((k0 + lift ord0 m) %/ b) %% a) (left + (k0 + lift ord0 m) %% b).
  by rewrite IH; apply: eq_bigr => m _; rewrite /= /bump /= add1n addnS addSn.
cbv zeta; rewrite e /padded; case: ifP => _; last by rewrite mulr0 add0r tail.
rewrite big_cons tail /=; congr (_ * at_place x _ + _).
by rewrite -/(padded _ _ _) /R /C -!plusE -!multE -!minusE !plusE !multE !minusE addnA.
Qed.

Let ker_size o : (o < size ks)%N -> size (nth [::] ks o) = (c * (a * b))%N.
Proof.
move=> ho; move: fit => /=; rewrite -!andbA => /and5P [_ _ _ _ /and3P [_ _]]; rewrite forallbE => /allP /(_ _ (mem_nth [::] ho)).
by rewrite nat_eqE => /eqP.
Qed.

Lemma output_sound o y z : (o < size ks)%N -> (y < rows)%N -> (z < cols)%N ->
  \sum_(j < len (Image c h w)) zc (operator_entry (Conv a b t1 t2 p ks) (Image c h w) (o * (rows * cols) + (y * cols + z)) j) * x j 0 =
  output c a b t1 t2 ks padded o y z.
Proof.
move=> ho hy hz; rewrite tap_sum_F /taps -/rows -/cols.
have r0 : (0 < rows)%N by apply: leq_ltn_trans hy.
have c0 : (0 < cols)%N by apply: leq_ltn_trans hz.
have [e1 e2 e3] := parts3 o hy hz.
have rc : (0 < rows * cols)%N by rewrite muln_gt0 r0.
rewrite !div_of_nat // !mod_of_nat // e1 e2 e3 nth_listE window_F ker_size //.
rewrite (@split3 F c a b (fun ch u v => zc (nth Z0 (nth [::] ks o) (ch * (a * b) + (u * b + v))) * padded ch (t1 * y + u) (t2 * z + v))
  (fun m => zc (nth Z0 (nth [::] ks o) m) * padded ((0 + m) %/ (a * b)) (t1 * y + ((0 + m) %/ b) %% a) (t2 * z + (0 + m) %% b))) //.
by move=> ch u v _ hu hv; rewrite add0n; have [-> -> ->] := parts3 ch hu hv.
Qed.

Variables (n1 n2 : nat) (twisted1 twisted2 : bool) (alpha beta fine : Z) (R : columns).
Let N1 := n1.+1.
Let N2 := n2.+1.
Hypothesis fits1 : axis_fits h p a t1 n1.
Hypothesis fits2 : axis_fits w p b t2 n2.
Let V := phase_columns n1 n2 a b t1 t2 c fine ks.
Hypothesis ok : circulant_ok n1 n2 twisted1 twisted2 alpha beta V R.

Let q := (c * (t1 * t2))%N.
Definition laid (col : 'I_q) (i j : nat) : F :=
  sign_of F twisted1 ^+ (i %/ N1) * sign_of F twisted2 ^+ (j %/ N2) *
  padded (col %/ (t1 * t2)) ((i %% N1) * t1 + (col %/ t2) %% t1) ((j %% N2) * t2 + col %% t2).

Lemma laid_torus col : on_torus n1 n2 (sign_of F twisted1) (sign_of F twisted2) (laid col).
Proof.
split=> i j; rewrite /laid modnDr divnDr ?dvdnn // divnn /= addn1 exprS; first by rewrite -!mulrA.
by rewrite mulrCA -!mulrA.
Qed.

Lemma laid_norm : \sum_(col < q) norm2 n1 n2 (laid col) = sqn x.
Proof.
have [hN wN] : (h + p <= N1 * t1)%N /\ (w + p <= N2 * t2)%N.
  by move: fits1 fits2; rewrite /axis_fits => /andP [/andP [/andP [k1 _] _] _] /andP [/andP [/andP [k2 _] _] _]; move: k1 k2; rewrite /N1 /N2; split; lia.
pose S ch Y X : F := padded ch Y X ^+ 2.
have e (col : 'I_q) : norm2 n1 n2 (laid col) = \sum_(i < N1) \sum_(j < N2) S (col %/ (t1 * t2))%N (i * t1 + (col %/ t2) %% t1)%N (j * t2 + col %% t2)%N.
  rewrite norm2E; apply: eq_bigr => i _; apply: eq_bigr => j _.
  have s1 : (i < N1)%N := ltn_ord i; have s2 : (j < N2)%N := ltn_ord j.
  by rewrite /laid (divn_small s1) (divn_small s2) (modn_small s1) (modn_small s2) !expr0 !mul1r.
rewrite (eq_bigr _ (fun col _ => e col)) (phases c n1 n2 t10 t20 S) image_norm; apply: eq_bigr => ch _.
pose g y z : F := at_place x (ch * (h * w) + (y * w + z)) ^+ 2.
rewrite -(sum_within (fun y => \sum_(z < w) g y z) hN); apply: eq_bigr => Y _.
case: ifP => hY; last by apply: big1 => X _; rewrite /S /padded hY expr0n.
rewrite -(sum_within (g (Y - p)%N) wN); apply: eq_bigr => X _.
by rewrite /S /padded hY /=; case: ifP; rewrite ?expr0n.
Qed.

Theorem convolution_bound :
  zc fine ^+ 2 * (\sum_(i < len (operator_out (Conv a b t1 t2 p ks) (Image c h w)))
    (\sum_(j < len (Image c h w)) zc (operator_entry (Conv a b t1 t2 p ks) (Image c h w) i j) * x j 0) ^+ 2) <=
  (zc alpha + zc beta) * sqn x.
Proof.
have sizes : [/\ (a <= N1 * t1)%N, (b <= N2 * t2)%N, (rows <= N1)%N & (cols <= N2)%N].
  move: fits1 fits2; rewrite /axis_fits -/rows -/cols => /andP [/andP [_ r1] k1] /andP [/andP [_ r2] k2].
  by move: r1 r2 k1 k2; rewrite /N1 /N2; split; lia.
have [aN bN rN cN] := sizes; rewrite -laid_norm.
pose entry_of i : F := \sum_(j < len (Image c h w)) zc (operator_entry (Conv a b t1 t2 p ks) (Image c h w) i j) * x j 0.
refine (torus_bound (f := entry_of) t10 t20 aN bN _ ok laid_torus rN cN output_sound).
move=> col i j y z hy hz hi hj hu hv.
have r1 : ((col %/ t2) %% t1 < t1)%N by rewrite ltn_mod.
have r2 : (col %% t2 < t2)%N by rewrite ltn_mod.
have w1 := axis_wrap t10 fits1 hy r1 hu; have w2 := axis_wrap t20 fits2 hz r2 hv.
have e1 : ((y + i) * t1 + (col %/ t2) %% t1 = t1 * y + (i * t1 + (col %/ t2) %% t1))%N by rewrite mulnDl addnA (mulnC y).
have e2 : ((z + j) * t2 + col %% t2 = t2 * z + (j * t2 + col %% t2))%N by rewrite mulnDl addnA (mulnC z).
rewrite /laid; case: w1 => [s1|[/negbTE z1 /negbTE z1']]; last by rewrite /padded z1 -e1 z1' mulr0.
case: w2 => [s2|[/negbTE z2 /negbTE z2']]; last by rewrite /padded z2 -e2 z2' !andbF mulr0.
by rewrite (divn_small s1) (divn_small s2) (modn_small s1) (modn_small s2) !expr0 !mul1r e1 e2.
Qed.
End Conv.
