(* A convolution around the image is bounded by its torus: what circulant_core.v's columns and circulant_ok show of the matrix of a
   Circular whose strides divide the sizes of the image, and which has no more outputs than the strides around it.

   The image is a torus already: n = N t points of each axis are N points of each of t phases, shifted by the padding, which
   changes no norm.  So nothing is to be said of what lies beyond a border, and no function changes its sign (twisted tori). *)

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

Section Circular.
Variable F : realFieldType.
Notation zc := (zc F).

(* a function of the place around n points, from another point on *)
Lemma sum_around n s (g : nat -> F) : \sum_(i < n) g ((i + s) %% n)%N = \sum_(i < n) g i.
Proof.
case: n => [|n]; first by rewrite !big_ord0.
rewrite (@sum_shift F n (fun i => g (i %% n.+1)%N) s) => [|i]; last by rewrite modnDr.
by apply: eq_bigr => i _; rewrite modn_small.
Qed.

Variables (c h w a b t1 t2 p : nat) (ks : seq (seq Z)) (x : 'cV[F]_(len (Image c h w))).
Hypothesis fit : operator_fits (Circular a b t1 t2 p ks) (Image c h w).
Let rows := window_count h a t1 p.
Let cols := window_count w b t2 p.

Let parts : [/\ (0 < t1)%N /\ (0 < t2)%N, (0 < a)%N, (0 < b)%N, (p <= h)%N & (p <= w)%N].
Proof.
move: fit => /=; rewrite -!andbA => /and5P [h1 h2 h3 h4 /and3P [h5 h6 _]].
by split; [split | | | |]; move: h1 h2 h3 h4 h5 h6; lia.
Qed.
Let t10 : (0 < t1)%N. Proof. by case: parts => -[]. Qed.
Let t20 : (0 < t2)%N. Proof. by case: parts => -[]. Qed.
Let a0 : (0 < a)%N. Proof. by case: parts. Qed.
Let b0 : (0 < b)%N. Proof. by case: parts. Qed.
Let sizes : (0 < h)%N /\ (0 < w)%N.
Proof.
move: fit => /=; rewrite -!andbA => /and5P [_ _ h3 h4 /and5P [h5 h6 h7 h8 _]].
by split; move: h3 h4 h5 h6 h7 h8; lia.
Qed.
Let h0 : (0 < h)%N. Proof. by case: sizes. Qed.
Let w0 : (0 < w)%N. Proof. by case: sizes. Qed.
Let ker_size o : (o < size ks)%N -> size (nth [::] ks o) = (c * (a * b))%N.
Proof.
move=> ho; move: fit => /=; rewrite -!andbA => /and5P [_ _ _ _ /and5P [_ _ _ _]].
by rewrite forallbE => /allP /(_ _ (mem_nth [::] ho)); rewrite nat_eqE => /eqP.
Qed.

(* the number at a point of the padded image, whose rows and columns go on around it *)
Definition around (ch Y X : nat) : F := at_place x (ch * (h * w) + ((Y + (h - p)) %% h * w + (X + (w - p)) %% w)).

Lemma ring_F y z k0 ker :
  \sum_(q <- ring h w a b (t1 * y + (h - p)) (t2 * z + (w - p)) k0 ker) zc q.2 * at_place x q.1 =
  \sum_(m < size ker) zc (nth Z0 ker m) * around ((k0 + m) %/ (a * b)) (t1 * y + ((k0 + m) %/ b) %% a) (t2 * z + (k0 + m) %% b).
Proof.
elim: ker k0 => [|v ker IH] k0; first by rewrite big_nil big_ord0.
have ab0 : (0 < a * b)%N by rewrite muln_gt0 a0.
cbn [ring]; rewrite big_cons big_ord_recl /= addn0 IH; congr (_ * at_place x _ + _).
- rewrite !div_of_nat // !mod_of_nat // -!plusE -!multE -!minusE !plusE !multE !minusE.
  by rewrite (addnAC (t1 * y)%N) (addnAC (t2 * z)%N).
- by apply: eq_bigr => m _; rewrite /= /bump /= add1n addnS addSn.
Qed.

Lemma output_sound o y z : (o < size ks)%N -> (y < rows)%N -> (z < cols)%N ->
  \sum_(j < len (Image c h w)) zc (operator_entry (Circular a b t1 t2 p ks) (Image c h w) (o * (rows * cols) + (y * cols + z)) j) * x j 0 =
  output c a b t1 t2 ks around o y z.
Proof.
move=> ho hy hz; rewrite tap_sum_F /taps -/rows -/cols.
have r0 : (0 < rows)%N by apply: leq_ltn_trans hy.
have c0 : (0 < cols)%N by apply: leq_ltn_trans hz.
have [e1 e2 e3] := parts3 o hy hz.
have rc : (0 < rows * cols)%N by rewrite muln_gt0 r0.
rewrite !div_of_nat // !mod_of_nat // e1 e2 e3 nth_listE ring_F ker_size //.
rewrite (@split3 F c a b (fun ch u v => zc (nth Z0 (nth [::] ks o) (ch * (a * b) + (u * b + v))) * around ch (t1 * y + u) (t2 * z + v))
  (fun m => zc (nth Z0 (nth [::] ks o) m) * around ((0 + m) %/ (a * b)) (t1 * y + ((0 + m) %/ b) %% a) (t2 * z + (0 + m) %% b))) //.
by move=> ch u v _ hu hv; rewrite add0n; have [-> -> ->] := parts3 ch hu hv.
Qed.

Variables (n1 n2 : nat) (alpha beta fine : Z) (R : columns).
Let N1 := n1.+1.
Let N2 := n2.+1.
Hypothesis closed1 : axis_closed h p a t1 n1.
Hypothesis closed2 : axis_closed w p b t2 n2.
Let V := phase_columns n1 n2 a b t1 t2 c fine ks.
Hypothesis ok : circulant_ok n1 n2 false false alpha beta V R.

Let closed : [/\ (N1 * t1 = h)%N, (N2 * t2 = w)%N, (rows <= N1)%N & (cols <= N2)%N] /\ (a <= N1 * t1)%N /\ (b <= N2 * t2)%N.
Proof.
move: closed1 closed2; rewrite /axis_closed -/rows -/cols !nat_eqE -/N1 -/N2.
move=> /andP [/andP [/eqP e1 r1] k1] /andP [/andP [/eqP e2 r2] k2].
by rewrite -!multE e1 e2; split; [split|]; rewrite ?e1 ?e2 //; move: r1 r2 k1 k2; rewrite /N1 /N2; lia.
Qed.

Let q := (c * (t1 * t2))%N.
Definition laid (col : 'I_q) (i j : nat) : F := around (col %/ (t1 * t2)) (i * t1 + (col %/ t2) %% t1) (j * t2 + col %% t2).

Lemma laid_torus col : on_torus n1 n2 (sign_of F false) (sign_of F false) (laid col).
Proof.
have [[e1 e2 _ _] _] := closed.
split=> i j; rewrite /laid /around /sign_of mul1r; congr (at_place x (_ + _)); congr (_ + _)%N.
- by congr (_ * w)%N; rewrite mulnDl e1 -!addnA (addnC h) !addnA modnDr.
- by rewrite mulnDl e2 -!addnA (addnC w) !addnA modnDr.
Qed.

Lemma laid_norm : \sum_(col < q) norm2 n1 n2 (laid col) = sqn x.
Proof.
have [[e1 e2 _ _] _] := closed.
rewrite (eq_bigr _ (fun col _ => norm2E n1 n2 (laid col))) (phases c n1 n2 t10 t20 (fun ch u v => around ch u v ^+ 2)) e1 e2 image_norm.
apply: eq_bigr => ch _.
pose g y z : F := at_place x (ch * (h * w) + (y * w + z)) ^+ 2.
rewrite -(sum_around h (h - p) (fun y => \sum_(z < w) g y z)); apply: eq_bigr => Y _.
by rewrite -(sum_around w (w - p) (g _)).
Qed.

Theorem circular_bound :
  zc fine ^+ 2 * (\sum_(i < len (operator_out (Circular a b t1 t2 p ks) (Image c h w)))
    (\sum_(j < len (Image c h w)) zc (operator_entry (Circular a b t1 t2 p ks) (Image c h w) i j) * x j 0) ^+ 2) <=
  (zc alpha + zc beta) * sqn x.
Proof.
have [[_ _ rN cN] [aN bN]] := closed; rewrite -laid_norm.
pose entry_of i : F := \sum_(j < len (Image c h w)) zc (operator_entry (Circular a b t1 t2 p ks) (Image c h w) i j) * x j 0.
refine (torus_bound (f := entry_of) t10 t20 aN bN _ ok laid_torus rN cN output_sound).
by move=> col i j y z _ _ _ _ _ _; rewrite /laid !mulnDl !addnA (mulnC y) (mulnC z).
Qed.
End Circular.
