(* The phases of a convolution with a stride: what its tori have in common, whatever lies beyond the border of the image.

   Column (ch, r1, r2) of a torus of N1 x N2 points holds the points (i t1 + r1, j t2 + r2) of channel ch, and of its kernels the
   taps there.  `shown ch Y X` is what an output reads at (Y, X) of the padded image, `laid` what the columns hold: where these are the
   same for all that a window of an output reads (laid_shown), the columns compute the outputs (act_output), and the bound of the
   torus is one of the convolution (torus_bound).  convolution_sound.v and circular_sound.v say what is laid out. *)

From Coq Require Import ZArith List.
From mathcomp Require Import all_ssreflect all_algebra zify ssrZ.
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

Section Phases.
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

Lemma image_norm c h w (x : 'cV[F]_(len (Image c h w))) :
  sqn x = \sum_(ch < c) \sum_(y < h) \sum_(z < w) at_place x (ch * (h * w) + (y * w + z)) ^+ 2.
Proof.
have -> : sqn x = \sum_(j < c * (h * w)) at_place x j ^+ 2.
  by apply: eq_bigr => j _; rewrite /at_place (insubT (fun k => (k < c * (h * w))%N) (ltn_ord j)) expr2; congr (x _ _ * x _ _); apply: val_inj.
rewrite (sum_split c (h * w) (fun j => at_place x j ^+ 2)); apply: eq_bigr => ch _.
exact: (sum_split h w (fun j => at_place x (ch * (h * w) + j) ^+ 2)).
Qed.

Variables (c a b t1 t2 n1 n2 : nat) (fine : Z) (ks : seq (seq Z)).
Let N1 := n1.+1.
Let N2 := n2.+1.
Hypothesis t10 : (0 < t1)%N.
Hypothesis t20 : (0 < t2)%N.
Hypothesis aN : (a <= N1 * t1)%N.
Hypothesis bN : (b <= N2 * t2)%N.
Let V := phase_columns n1 n2 a b t1 t2 c fine ks.
Let q := (c * (t1 * t2))%N.

Lemma column_entry col o i j : (col < q)%N -> (o < size ks)%N -> (i < N1)%N -> (j < N2)%N ->
  kernel_of F V col o i j = if ((i * t1 + (col %/ t2) %% t1 < a) && (j * t2 + col %% t2 < b))%N
    then zc fine * zc (nth Z0 (nth [::] ks o) (col %/ (t1 * t2) * (a * b) + ((i * t1 + (col %/ t2) %% t1) * b + (j * t2 + col %% t2)))) else 0.
Proof.
move=> hc ho hi hj; have tt0 : (0 < t1 * t2)%N by rewrite muln_gt0 t10 t20.
rewrite /kernel_of /entry /V /phase_columns !map_listE (nth_map 0%N) ?seqE ?size_iota // nth_iota // add0n.
rewrite map_listE (nth_map [::]) // /phase_kernel map_listE (nth_map 0%N) ?seqE ?size_iota // nth_iota // add0n.
rewrite map_listE (nth_map 0%N) ?seqE ?size_iota // nth_iota // add0n !div_of_nat // !mod_of_nat //.
rewrite nth_listE; set u := Nat.add _ _; set v := Nat.add _ _.
rewrite (_ : Nat.ltb u a && Nat.ltb v b = ((i * t1 + (col %/ t2) %% t1 < a) && (j * t2 + col %% t2 < b))%N).
  by case: ifP => _; rewrite ?zcM.
by rewrite /u /v -!plusE -!multE; move: (Nat.add _ _) (Nat.add _ _) => k l; lia.
Qed.

Lemma columns_outputs col : (size (nth [::] V col) <= size ks)%N.
Proof.
rewrite /V /phase_columns map_listE seqE; case: (ltnP col q) => hc; last by rewrite nth_default ?size_map ?size_iota.
by rewrite (nth_map 0%N) ?size_iota // map_listE size_map.
Qed.

(* all phases and their points are all points of an axis *)
Lemma phases (g : nat -> nat -> nat -> F) : \sum_(col < q) \sum_(i < N1) \sum_(j < N2)
    g (col %/ (t1 * t2))%N (i * t1 + (col %/ t2) %% t1)%N (j * t2 + col %% t2)%N =
  \sum_(ch < c) \sum_(u < N1 * t1) \sum_(v < N2 * t2) g ch u v.
Proof.
rewrite (@split3 c t1 t2 (fun ch r1 r2 => \sum_(i < N1) \sum_(j < N2) g ch (i * t1 + r1)%N (j * t2 + r2)%N)
  (fun col => \sum_(i < N1) \sum_(j < N2) g (col %/ (t1 * t2))%N (i * t1 + (col %/ t2) %% t1)%N (j * t2 + col %% t2)%N)) //; last first.
  by move=> ch r1 r2 _ h1 h2; have [-> -> ->] := parts3 ch h1 h2.
apply: eq_bigr => ch _; rewrite (sum_split N1 t1 (fun u => \sum_(v < N2 * t2) g ch u v)).
under [RHS]eq_bigr => i _ do under eq_bigr => r _ do rewrite (sum_split N2 t2 (fun v => g ch (i * t1 + r)%N v)).
rewrite [RHS]exchange_big /=; apply: eq_bigr => r1 _.
under [RHS]eq_bigr => i _ do rewrite exchange_big /=.
by rewrite [RHS]exchange_big.
Qed.

Variables (shown : nat -> nat -> nat -> F) (laid : 'I_q -> nat -> nat -> F) (rows cols : nat).
(* an output of the convolution *)
Definition output (o y z : nat) : F := \sum_(ch < c) \sum_(u < a) \sum_(v < b)
  zc (nth Z0 (nth [::] ks o) (ch * (a * b) + (u * b + v))) * shown ch (t1 * y + u) (t2 * z + v).
Hypothesis laid_shown : forall (col : 'I_q) i j y z, (y < rows)%N -> (z < cols)%N -> (i < N1)%N -> (j < N2)%N ->
  (i * t1 + (col %/ t2) %% t1 < a)%N -> (j * t2 + col %% t2 < b)%N ->
  laid col (y + i)%N (z + j)%N = shown (col %/ (t1 * t2)) (t1 * y + (i * t1 + (col %/ t2) %% t1)) (t2 * z + (j * t2 + col %% t2)).

Lemma act_output o y z : (o < size ks)%N -> (y < rows)%N -> (z < cols)%N ->
  \sum_(col < q) \sum_(i < N1) \sum_(j < N2) kernel_of F V col o i j * laid col (y + i)%N (z + j)%N = zc fine * output o y z.
Proof.
move=> ho hy hz; pose ker := nth [::] ks o.
pose G ch u v : F := if ((u < a) && (v < b))%N
  then zc fine * zc (nth Z0 ker (ch * (a * b) + (u * b + v))) * shown ch (t1 * y + u) (t2 * z + v) else 0.
have term (col : 'I_q) (i : 'I_N1) (j : 'I_N2) : kernel_of F V col o i j * laid col (y + i)%N (z + j)%N =
    G (col %/ (t1 * t2))%N (i * t1 + (col %/ t2) %% t1)%N (j * t2 + col %% t2)%N.
  by rewrite column_entry // /G; case: ifP => [/andP [hu hv]|_]; [rewrite laid_shown | rewrite mul0r].
under eq_bigr => col _ do under eq_bigr => i _ do under eq_bigr => j _ do rewrite term.
rewrite phases /output mulr_sumr; apply: eq_bigr => ch _.
rewrite (sum_widen (n := a) (g := fun u => \sum_(v < N2 * t2) G ch u v)) //; last first.
  by move=> u /andP [hu _]; apply: big1 => v _; rewrite /G ltnNge hu.
rewrite mulr_sumr; apply: eq_bigr => u _; rewrite (sum_widen (n := b) (g := G ch u)) //; last first.
  by move=> v /andP [hv _]; rewrite /G [(v < b)%N]ltnNge hv andbF.
by rewrite mulr_sumr; apply: eq_bigr => v _; rewrite /G !ltn_ord /= mulrA.
Qed.

Variables (twisted1 twisted2 : bool) (alpha beta : Z) (R : columns) (f : nat -> F).
Hypothesis ok : circulant_ok n1 n2 twisted1 twisted2 alpha beta V R.
Hypothesis laid_torus : forall col, on_torus n1 n2 (sign_of F twisted1) (sign_of F twisted2) (laid col).
Hypothesis rN : (rows <= N1)%N.
Hypothesis cN : (cols <= N2)%N.
Hypothesis outputs : forall o y z, (o < size ks)%N -> (y < rows)%N -> (z < cols)%N ->
  f (o * (rows * cols) + (y * cols + z))%N = output o y z.

Theorem torus_bound : zc fine ^+ 2 * (\sum_(i < size ks * (rows * cols)) f i ^+ 2) <=
  (zc alpha + zc beta) * \sum_(col < q) norm2 n1 n2 (laid col).
Proof.
have sV : size V = q by rewrite /V /phase_columns map_listE seqE size_map size_iota.
have := circulant_sound sV ok columns_outputs laid_torus; apply: le_trans.
case: (posnP rows) => [r0|r0]; first by rewrite r0 mul0n muln0 big_ord0 mulr0; do 3 (apply: sumr_ge0 => ? _); apply: sqr_ge0.
case: (posnP cols) => [c0|c0]; first by rewrite c0 muln0 muln0 big_ord0 mulr0; do 3 (apply: sumr_ge0 => ? _); apply: sqr_ge0.
rewrite (@split3 (size ks) rows cols (fun o y z => output o y z ^+ 2) (fun i => f i ^+ 2)) //; last first.
  by move=> o y z ho hy hz; rewrite outputs.
rewrite mulr_sumr; apply: ler_sum => o _.
pose A (y z : nat) : F := act n1 n2 laid (fun (col : 'I_q) (o : 'I_(size ks)) => kernel_of F V col o) o y z ^+ 2.
have A0 y z : 0 <= A y z by apply: sqr_ge0.
rewrite mulr_sumr; apply: (@le_trans _ _ (\sum_(y < rows) \sum_(z < N2) A y z)); last first.
  by apply: (sum_wider (g := fun y => \sum_(z < N2) A y z) rN) => y; apply: sumr_ge0.
apply: ler_sum => y _; rewrite mulr_sumr; apply: le_trans (sum_wider (g := A y) cN (A0 y)).
by apply: ler_sum => z _; rewrite /A /act /tap act_output // exprMn.
Qed.
End Phases.
