(* A convolution with zero padding is bounded by its torus: what circulant_core.v's columns and circulant_ok show of the
   matrix of a Conv, any stride and either sign along either axis.

   The image is laid out on the torus, phase by phase (the columns), zero elsewhere.  What leaves the torus at one end comes in
   at the other, where the axis is zero (axis_wrap); so the windows of the outputs read what the convolution reads.  *)

From Coq Require Import ZArith List.
From mathcomp Require Import all_ssreflect all_algebra zify ssrZ.
From mathcomp Require Import ring.
Require Import euclidean circulant integer_core integer_sound integer_tree network_core network_sound circulant_core circulant_sound.
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

Lemma div_of_nat a b : (0 < b)%N -> Nat.div a b = (a %/ b)%N.
Proof.
move=> b0; symmetry; apply: (PeanoNat.Nat.div_unique _ _ _ (a %% b)%N); first by apply/ssrnat.ltP; rewrite ltn_mod.
by rewrite {1}(divn_eq a b) mulnC.
Qed.
Lemma mod_of_nat a b : (0 < b)%N -> Nat.modulo a b = (a %% b)%N.
Proof.
move=> b0; symmetry; apply: (PeanoNat.Nat.mod_unique _ _ (a %/ b)%N); first by apply/ssrnat.ltP; rewrite ltn_mod.
by rewrite {1}(divn_eq a b) mulnC.
Qed.

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

Lemma sum_split A B (g : nat -> F) : \sum_(m < A * B) g m = \sum_(i < A) \sum_(j < B) g (i * B + j)%N.
Proof.
elim: A => [|A IH]; first by rewrite !big_ord0.
by rewrite mulSnr big_split_ord /= IH big_ord_recr.
Qed.

Lemma sum_widen n m (g : nat -> F) : (n <= m)%N -> (forall i, (n <= i < m)%N -> g i = 0) -> \sum_(i < m) g i = \sum_(i < n) g i.
Proof.
move=> le z; rewrite -(subnKC le) big_split_ord /= [X in _ + X]big1 ?addr0 // => i _; apply: z.
by have := ltn_ord i; rewrite /=; lia.
Qed.

Lemma sum_wider n m (g : nat -> F) : (n <= m)%N -> (forall i, 0 <= g i) -> \sum_(i < n) g i <= \sum_(i < m) g i.
Proof. by move=> le g0; rewrite -(subnKC le) big_split_ord /= ler_addl; apply: sumr_ge0. Qed.

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

Lemma tap_sum_F n (x : 'cV[F]_n) ts : \sum_(j < n) zc (tap_sum ts j) * x j 0 = \sum_(q <- ts) zc q.2 * at_place x q.1.
Proof.
elim: ts => [|[k z] ts IH]; first by rewrite big_nil big1 // => j _; rewrite mul0r.
rewrite big_cons -IH (eq_bigr (fun j : 'I_n => zc (if Nat.eqb k j then z else Z0) * x j 0 + zc (tap_sum ts j) * x j 0)) => [|j _];
  last by rewrite /= zcD mulrDl.
rewrite big_split /=; congr (_ + _); rewrite /at_place; case: insubP => [o kn eo|nk].
- rewrite (bigD1 o) //= -eo nat_eqE eqxx big1 ?addr0 // => j jk; rewrite nat_eqE.
  by case: eqP => [e|_]; [move: jk; rewrite -val_eqE /= -e eqxx | rewrite mul0r].
- rewrite mulr0 big1 // => j _; rewrite nat_eqE; case: eqP => [e|_]; last by rewrite mul0r.
  by move: (ltn_ord j); rewrite -e (negbTE nk).
Qed.

Variables (c h w a b t p : nat) (ks : seq (seq Z)) (x : 'cV[F]_(len (Image c h w))).
Hypothesis fit : operator_fits (Conv a b t p ks) (Image c h w).
Let rows := window_count h a t p.
Let cols := window_count w b t p.

Definition padded (ch Y X : nat) : F :=
  if within h p Y && within w p X then at_place x (ch * (h * w) + ((Y - p) * w + (X - p))) else 0.

Lemma window_F top left k0 ker :
  \sum_(q <- window h w a b p top left k0 ker) zc q.2 * at_place x q.1 =
  \sum_(m < size ker) zc (nth Z0 ker m) * padded ((k0 + m) %/ (a * b)) (top + ((k0 + m) %/ b) %% a) (left + (k0 + m) %% b).
Proof.
have [[a0 b0] _] : [/\ (0 < a)%N /\ (0 < b)%N & true].
  by move: fit => /=; rewrite -!andbA => /and5P [_ h1 h2 _ _]; split=> //; split; move: h1 h2; lia.
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

Let a0 : (0 < a)%N. Proof. by move: fit => /=; rewrite -!andbA => /and5P [_ h1 _ _ _]; move: h1; lia. Qed.
Let b0 : (0 < b)%N. Proof. by move: fit => /=; rewrite -!andbA => /and5P [_ _ h1 _ _]; move: h1; lia. Qed.
Let t0 : (0 < t)%N. Proof. by move: fit => /=; rewrite -!andbA => /and5P [h1 _ _ _ _]; move: h1; lia. Qed.
Let ker_size o : (o < size ks)%N -> size (nth [::] ks o) = (c * (a * b))%N.
Proof.
move=> ho; move: fit => /=; rewrite -!andbA => /and5P [_ _ _ _ /andP [_]]; rewrite forallbE => /allP /(_ _ (mem_nth [::] ho)).
by rewrite nat_eqE => /eqP.
Qed.

Lemma split3 A B C (g : nat -> nat -> nat -> F) (f : nat -> F) : (0 < B)%N -> (0 < C)%N ->
  (forall i u v, (i < A)%N -> (u < B)%N -> (v < C)%N -> f (i * (B * C) + (u * C + v))%N = g i u v) ->
  \sum_(m < A * (B * C)) f m = \sum_(i < A) \sum_(u < B) \sum_(v < C) g i u v.
Proof.
move=> B0 C0 e; rewrite sum_split; apply: eq_bigr => i _.
rewrite (sum_split B C (fun j => f (i * (B * C) + j)%N)); apply: eq_bigr => u _; apply: eq_bigr => v _; exact: e.
Qed.

Lemma parts3 B C i u v : (u < B)%N -> (v < C)%N ->
  [/\ (i * (B * C) + (u * C + v)) %/ (B * C) = i, ((i * (B * C) + (u * C + v)) %/ C) %% B = u & (i * (B * C) + (u * C + v)) %% C = v]%N.
Proof.
move=> hu hv; have C0 : (0 < C)%N by apply: leq_ltn_trans hv.
have B0 : (0 < B)%N by apply: leq_ltn_trans hu.
have small : (u * C + v < B * C)%N.
  by apply: (@leq_trans (u.+1 * C)); [rewrite mulSn addnC ltn_add2r | rewrite leq_mul2r hu orbT].
split; first by rewrite divnMDl ?muln_gt0 ?B0 // divn_small ?addn0.
- by rewrite addnA mulnA -mulnDl divnMDl // (divn_small hv) addn0 modnMDl modn_small.
- by rewrite addnA mulnA -mulnDl modnMDl modn_small.
Qed.

(* an output of the convolution *)
Definition output (o y z : nat) : F := \sum_(ch < c) \sum_(u < a) \sum_(v < b)
  zc (nth Z0 (nth [::] ks o) (ch * (a * b) + (u * b + v))) * padded ch (t * y + u) (t * z + v).

Lemma output_sound o y z : (o < size ks)%N -> (y < rows)%N -> (z < cols)%N ->
  \sum_(j < len (Image c h w)) zc (operator_entry (Conv a b t p ks) (Image c h w) (o * (rows * cols) + (y * cols + z)) j) * x j 0 =
  output o y z.
Proof.
move=> ho hy hz; rewrite tap_sum_F /taps -/rows -/cols.
have r0 : (0 < rows)%N by apply: leq_ltn_trans hy.
have c0 : (0 < cols)%N by apply: leq_ltn_trans hz.
have [e1 e2 e3] := parts3 o hy hz.
have rc : (0 < rows * cols)%N by rewrite muln_gt0 r0.
rewrite !div_of_nat // !mod_of_nat // e1 e2 e3 nth_listE window_F ker_size //.
rewrite (@split3 c a b (fun ch u v => zc (nth Z0 (nth [::] ks o) (ch * (a * b) + (u * b + v))) * padded ch (t * y + u) (t * z + v))
  (fun m => zc (nth Z0 (nth [::] ks o) m) * padded ((0 + m) %/ (a * b)) (t * y + ((0 + m) %/ b) %% a) (t * z + (0 + m) %% b))) //.
by move=> ch u v _ hu hv; rewrite add0n; have [-> -> ->] := parts3 ch hu hv.
Qed.

Variables (n1 n2 : nat) (twisted1 twisted2 : bool) (alpha beta fine : Z) (R : columns).
Let N1 := n1.+1.
Let N2 := n2.+1.
Hypothesis fits1 : axis_fits h p a t n1.
Hypothesis fits2 : axis_fits w p b t n2.
Let V := phase_columns n1 n2 a b t c fine ks.
Hypothesis ok : circulant_ok n1 n2 twisted1 twisted2 alpha beta V R.

Let q := (c * (t * t))%N.
Definition laid (col : 'I_q) (i j : nat) : F :=
  sign_of F twisted1 ^+ (i %/ N1) * sign_of F twisted2 ^+ (j %/ N2) *
  padded (col %/ (t * t)) ((i %% N1) * t + (col %/ t) %% t) ((j %% N2) * t + col %% t).

Lemma laid_torus col : on_torus n1 n2 (sign_of F twisted1) (sign_of F twisted2) (laid col).
Proof.
split=> i j; rewrite /laid modnDr divnDr ?dvdnn // divnn /= addn1 exprS; first by rewrite -!mulrA.
by rewrite mulrCA -!mulrA.
Qed.

Lemma column_entry col o i j : (col < q)%N -> (o < size ks)%N -> (i < N1)%N -> (j < N2)%N ->
  kernel_of F V col o i j = if ((i * t + (col %/ t) %% t < a) && (j * t + col %% t < b))%N
    then zc fine * zc (nth Z0 (nth [::] ks o) (col %/ (t * t) * (a * b) + ((i * t + (col %/ t) %% t) * b + (j * t + col %% t)))) else 0.
Proof.
move=> hc ho hi hj; have tt0 : (0 < t * t)%N by rewrite muln_gt0 t0.
rewrite /kernel_of /entry /V /phase_columns !map_listE (nth_map 0%N) ?seqE ?size_iota // nth_iota // add0n.
rewrite map_listE (nth_map [::]) // /phase_kernel map_listE (nth_map 0%N) ?seqE ?size_iota // nth_iota // add0n.
rewrite map_listE (nth_map 0%N) ?seqE ?size_iota // nth_iota // add0n !div_of_nat // !mod_of_nat //.
rewrite nth_listE; set u := Nat.add _ _; set v := Nat.add _ _.
rewrite (_ : Nat.ltb u a && Nat.ltb v b = ((i * t + (col %/ t) %% t < a) && (j * t + col %% t < b))%N).
  by case: ifP => _; rewrite ?zcM.
by rewrite /u /v -!plusE -!multE; move: (Nat.add _ _) (Nat.add _ _) => k l; lia.
Qed.

Lemma columns_outputs col : (size (nth [::] V col) <= size ks)%N.
Proof.
rewrite /V /phase_columns map_listE seqE; case: (ltnP col q) => hc; last by rewrite nth_default ?size_map ?size_iota.
by rewrite (nth_map 0%N) ?size_iota // map_listE size_map.
Qed.

Lemma act_output o y z : (o < size ks)%N -> (y < rows)%N -> (z < cols)%N ->
  \sum_(col < q) \sum_(i < N1) \sum_(j < N2) kernel_of F V col o i j * laid col (y + i)%N (z + j)%N = zc fine * output o y z.
Proof.
move=> ho hy hz; pose ker := nth [::] ks o.
pose G ch u v : F := if ((u < a) && (v < b))%N
  then zc fine * zc (nth Z0 ker (ch * (a * b) + (u * b + v))) * padded ch (t * y + u) (t * z + v) else 0.
have term (col : 'I_q) (i : 'I_N1) (j : 'I_N2) : kernel_of F V col o i j * laid col (y + i)%N (z + j)%N =
    G (col %/ (t * t))%N (i * t + (col %/ t) %% t)%N (j * t + col %% t)%N.
  rewrite column_entry // /G; case: ifP => [/andP [hu hv]|_]; last by rewrite mul0r.
  congr (_ * _).
  have r1 : ((col %/ t) %% t < t)%N by rewrite ltn_mod.
  have r2 : (col %% t < t)%N by rewrite ltn_mod.
  have w1 := axis_wrap t0 fits1 hy r1 hu; have w2 := axis_wrap t0 fits2 hz r2 hv.
  have e1 : ((y + i) * t + (col %/ t) %% t = t * y + (i * t + (col %/ t) %% t))%N by rewrite mulnDl addnA (mulnC t).
  have e2 : ((z + j) * t + col %% t = t * z + (j * t + col %% t))%N by rewrite mulnDl addnA (mulnC t).
  rewrite /laid; case: w1 => [s1|[/negbTE z1 /negbTE z1']]; last by rewrite /padded z1 -e1 z1' mulr0.
  case: w2 => [s2|[/negbTE z2 /negbTE z2']]; last by rewrite /padded z2 -e2 z2' !andbF mulr0.
  by rewrite (divn_small s1) (divn_small s2) (modn_small s1) (modn_small s2) !expr0 !mul1r e1 e2.
under eq_bigr => col _ do under eq_bigr => i _ do under eq_bigr => j _ do rewrite term.
rewrite (@split3 c t t (fun ch r1 r2 => \sum_(i < N1) \sum_(j < N2) G ch (i * t + r1)%N (j * t + r2)%N)
  (fun col => \sum_(i < N1) \sum_(j < N2) G (col %/ (t * t))%N (i * t + (col %/ t) %% t)%N (j * t + col %% t)%N)) //; last first.
  by move=> ch r1 r2 _ h1 h2; have [-> -> ->] := parts3 ch h1 h2.
rewrite /output mulr_sumr; apply: eq_bigr => ch _.
have [aN bN] : (a <= N1 * t)%N /\ (b <= N2 * t)%N.
  by move: fits1 fits2; rewrite /axis_fits => /andP [_ k1] /andP [_ k2]; move: k1 k2; rewrite /N1 /N2; split; lia.
transitivity (\sum_(u < N1 * t) \sum_(v < N2 * t) G ch u v).
  rewrite (sum_split N1 t (fun u => \sum_(v < N2 * t) G ch u v)).
  under [RHS]eq_bigr => i _ do under eq_bigr => r _ do rewrite (sum_split N2 t (fun v => G ch (i * t + r)%N v)).
  rewrite [RHS]exchange_big /=; apply: eq_bigr => r1 _.
  under [RHS]eq_bigr => i _ do rewrite exchange_big /=.
  by rewrite [RHS]exchange_big.
rewrite (sum_widen (n := a) (g := fun u => \sum_(v < N2 * t) G ch u v)) //; last first.
  by move=> u /andP [hu _]; apply: big1 => v _; rewrite /G ltnNge hu.
rewrite mulr_sumr; apply: eq_bigr => u _; rewrite (sum_widen (n := b) (g := G ch u)) //; last first.
  by move=> v /andP [hv _]; rewrite /G [(v < b)%N]ltnNge hv andbF.
by rewrite mulr_sumr; apply: eq_bigr => v _; rewrite /G !ltn_ord /= mulrA.
Qed.

Lemma laid_norm : \sum_(col < q) norm2 n1 n2 (laid col) = sqn x.
Proof.
have [hN wN] : (h + p <= N1 * t)%N /\ (w + p <= N2 * t)%N.
  by move: fits1 fits2; rewrite /axis_fits => /andP [/andP [/andP [k1 _] _] _] /andP [/andP [/andP [k2 _] _] _]; move: k1 k2; rewrite /N1 /N2; split; lia.
pose S ch Y X : F := padded ch Y X ^+ 2.
have e (col : 'I_q) : norm2 n1 n2 (laid col) = \sum_(i < N1) \sum_(j < N2) S (col %/ (t * t))%N (i * t + (col %/ t) %% t)%N (j * t + col %% t)%N.
  rewrite norm2E; apply: eq_bigr => i _; apply: eq_bigr => j _.
  have s1 : (i < N1)%N := ltn_ord i; have s2 : (j < N2)%N := ltn_ord j.
  by rewrite /laid (divn_small s1) (divn_small s2) (modn_small s1) (modn_small s2) !expr0 !mul1r.
rewrite (eq_bigr _ (fun col _ => e col)).
rewrite (@split3 c t t (fun ch r1 r2 => \sum_(i < N1) \sum_(j < N2) S ch (i * t + r1)%N (j * t + r2)%N)
  (fun col => \sum_(i < N1) \sum_(j < N2) S (col %/ (t * t))%N (i * t + (col %/ t) %% t)%N (j * t + col %% t)%N)) //; last first.
  by move=> ch r1 r2 _ h1 h2; have [-> -> ->] := parts3 ch h1 h2.
have -> : sqn x = \sum_(j < c * (h * w)) at_place x j ^+ 2.
  by apply: eq_bigr => j _; rewrite /at_place (insubT (fun k => (k < c * (h * w))%N) (ltn_ord j)) expr2; congr (x _ _ * x _ _); apply: val_inj.
rewrite (sum_split c (h * w) (fun j => at_place x j ^+ 2)); apply: eq_bigr => ch _.
transitivity (\sum_(u < N1 * t) \sum_(v < N2 * t) S ch u v).
  rewrite (sum_split N1 t (fun u => \sum_(v < N2 * t) S ch u v)).
  under [RHS]eq_bigr => i _ do under eq_bigr => r _ do rewrite (sum_split N2 t (fun v => S ch (i * t + r)%N v)).
  rewrite [RHS]exchange_big /=; apply: eq_bigr => r1 _.
  under [RHS]eq_bigr => i _ do rewrite exchange_big /=.
  by rewrite [RHS]exchange_big.
rewrite (sum_split h w (fun j => at_place x (ch * (h * w) + j) ^+ 2)).
pose g y z : F := at_place x (ch * (h * w) + (y * w + z)) ^+ 2.
rewrite -(sum_within (fun y => \sum_(z < w) g y z) hN); apply: eq_bigr => Y _.
case: ifP => hY; last by apply: big1 => X _; rewrite /S /padded hY expr0n.
rewrite -(sum_within (g (Y - p)%N) wN); apply: eq_bigr => X _.
by rewrite /S /padded hY /=; case: ifP; rewrite ?expr0n.
Qed.

Theorem convolution_bound :
  zc fine ^+ 2 * (\sum_(i < len (operator_out (Conv a b t p ks) (Image c h w)))
    (\sum_(j < len (Image c h w)) zc (operator_entry (Conv a b t p ks) (Image c h w) i j) * x j 0) ^+ 2) <=
  (zc alpha + zc beta) * sqn x.
Proof.
rewrite -laid_norm; have sV : size V = q by rewrite /V /phase_columns map_listE seqE size_map size_iota.
have := circulant_sound sV ok columns_outputs laid_torus; apply: le_trans.
have -> : len (operator_out (Conv a b t p ks) (Image c h w)) = (size ks * (rows * cols))%N by [].
case: (posnP rows) => [r0|r0]; first by rewrite r0 mul0n muln0 big_ord0 mulr0; do 3 (apply: sumr_ge0 => ? _); apply: sqr_ge0.
case: (posnP cols) => [c0|c0]; first by rewrite c0 muln0 muln0 big_ord0 mulr0; do 3 (apply: sumr_ge0 => ? _); apply: sqr_ge0.
rewrite (@split3 (size ks) rows cols (fun o y z => output o y z ^+ 2) (fun i =>
  (\sum_(j < len (Image c h w)) zc (operator_entry (Conv a b t p ks) (Image c h w) i j) * x j 0) ^+ 2)) //; last first.
  by move=> o y z ho hy hz; rewrite output_sound.
rewrite mulr_sumr; apply: ler_sum => o _.
have [rN cN] : (rows <= N1)%N /\ (cols <= N2)%N.
  by move: fits1 fits2; rewrite /axis_fits -/rows -/cols => /andP [/andP [_ k1] _] /andP [/andP [_ k2] _]; move: k1 k2; rewrite /N1 /N2; split; lia.
pose A (y z : nat) : F := act n1 n2 laid (fun (col : 'I_q) (o : 'I_(size ks)) => kernel_of F V col o) o y z ^+ 2.
have A0 y z : 0 <= A y z by apply: sqr_ge0.
rewrite mulr_sumr; apply: (@le_trans _ _ (\sum_(y < rows) \sum_(z < N2) A y z)); last first.
  by apply: (sum_wider (g := fun y => \sum_(z < N2) A y z) rN) => y; apply: sumr_ge0.
apply: ler_sum => y _; rewrite mulr_sumr; apply: le_trans (sum_wider (g := A y) cN (A0 y)).
by apply: ler_sum => z _; rewrite /A /act /tap act_output // exprMn.
Qed.
End Conv.
