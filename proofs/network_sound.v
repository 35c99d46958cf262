(* What the integer functions of network_core.v mean, over any real field F.

   network ls s x y says that y is the output of the layers ls at x: linear maps as matrices of the stored numbers,
   functions by coordinates, normalisation, and flows by the equations of their stages, implicit methods included.

     apply_sound, adjoint_sound   the sums of the program are W x and W^T x
     affine_sound, axpy_sound     so are sums of vectors of fractions

   That the value of a whole network is exact is proved in network_value.v. *)

From Coq Require Import ZArith List.
From mathcomp Require Import all_ssreflect all_algebra zify ssrZ.
From mathcomp Require Import ring.
Require Import euclidean slope gradient_step circle_contractivity quadratic_constraint.
Require Import integer_core integer_sound integer_tree network_core.
Set Implicit Arguments. Unset Strict Implicit. Unset Printing Implicit Defensive.
Import GRing.Theory Num.Theory Order.TTheory.
Local Open Scope ring_scope.
Local Arguments Z.eqb : simpl never.
Local Arguments Z.leb : simpl never.
Local Arguments Z.ltb : simpl never.
Local Arguments Z.mul : simpl never.
Local Arguments Z.add : simpl never.
Local Arguments Z.div : simpl never.
Local Arguments Z.lcm : simpl never.
Local Arguments Nat.eqb : simpl never.
Local Arguments Nat.div : simpl never.
Local Arguments Nat.modulo : simpl never.

(* Sums over taps. *)
Definition tap_sum (ts : seq (nat * Z)) (j : nat) : Z :=
  List.fold_right (fun t a => Z.add (if Nat.eqb t.1 j then t.2 else Z0) a) Z0 ts.

Definition operator_entry (o : operator) (s : shape) (i j : nat) : Z :=
  match o with Dense _ rows => nth Z0 (nth [::] rows i) j | _ => tap_sum (taps o s i) j end.

Section Meaning.
Variable F : realFieldType.
Notation zc := (zc F).

Definition over (d : Z) (z : Z) : F := zc z / zc d.

(* W of  x |-> W x + b *)
Definition matrix (l : linear) (s : shape) : 'M[F]_(len (linear_out l s), len s) :=
  \matrix_(i, j) over (linear_den l s) (operator_entry (op l) s i j).
Definition bias_of (l : linear) (s : shape) : 'cV[F]_(len (linear_out l s)) := \col_i over (den l) (bias_at l s i).
Definition linear_map (l : linear) (s : shape) (x : 'cV[F]_(len s)) := matrix l s *m x + bias_of l s.

Definition leaky (g : slope) : F -> F := leaky_relu (over (slope_den g) (slope_num g)).

(* the same numbers, of which there are as many *)
Definition resized m n (x : 'cV[F]_m) : 'cV[F]_n := \col_i (if insub (val i) is Some o then x o 0 else 0).

Definition field_map (f : field) (s : shape) : 'cV[F]_(len s) -> 'cV[F]_(len s) :=
  match f with
  | Gradient l g => gradient_field (matrix l s) (bias_of l s) (fun _ => leaky g)
  | Residual l g v => fun x => resized _ (linear_map v (by_coordinates (fun _ => leaky g) (linear_map l x)))
  end.

Definition step_of (m : tableau) (h h_den : Z) n (f : 'cV[F]_n -> 'cV[F]_n) (x z : 'cV[F]_n) :=
  exists X, runge_kutta (@tableau_A F (t_A m) (t_b m) (t_d m)) (@tableau_b F (t_b m) (t_d m)) f (over h_den h) x X z.

Fixpoint steps_of n (R : 'cV[F]_n -> 'cV[F]_n -> Prop) (k : nat) (x y : 'cV[F]_n) : Prop :=
  match k with O => y = x | S k' => exists z, R x z /\ steps_of R k' z y end.

Definition normalized (mean : seq Z) (d : Z) (deviation : seq Z) (e : Z) (s : shape) (x : 'cV[F]_(len s)) : 'cV[F]_(len s) :=
  \col_i ((x i 0 - over d (nth Z0 mean (Nat.div i (points s)))) / over e (nth Z0 deviation (Nat.div i (points s)))).

(* the numbers of a vector, 0 beyond them *)
Definition at_place n (x : 'cV[F]_n) (j : nat) : F := if insub j is Some o then x o 0 else 0.

Definition partial_map (first last : nat) (g : slope) (s : shape) (x : 'cV[F]_(len s)) : 'cV[F]_(len s) :=
  \col_i (if is_between first last (points s) i then leaky g (x i 0) else x i 0).
Definition clip (low high : F) (u : F) : F := Num.max low (Num.min u high).
Definition sorted_groups (group : nat) (s : shape) (x : 'cV[F]_(len s)) : 'cV[F]_(len s) :=
  \col_i nth 0 (sort <=%R [seq at_place x j | j <- group_places group (points s) i]) (Nat.modulo (Nat.div i (points s)) group).

Definition layer_means (l : layer) (s : shape) : 'cV[F]_(len s) -> 'cV[F]_(len (layer_out l s)) -> Prop :=
  match l return 'cV[F]_(len s) -> 'cV[F]_(len (layer_out l s)) -> Prop with
  | Affine l => fun x y => y = linear_map l x
  | Activation g => fun x y => y = by_coordinates (fun _ => leaky g) x
  | Normalize mean d deviation e => fun x y => y = normalized mean d deviation e x
  | Flow m h h_den steps f => fun x y => steps_of (@step_of m h h_den _ (@field_map f s)) steps x y
  | Partial first last g => fun x y => y = partial_map first last g x
  | Clip low high d => fun x y => y = by_coordinates (fun _ => clip (over d low) (over d high)) x
  | Sort group => fun x y => y = sorted_groups group x
  end.

Fixpoint network (ls : seq layer) (s : shape) : 'cV[F]_(len s) -> 'cV[F]_(len (layers_out ls s)) -> Prop :=
  match ls return 'cV[F]_(len s) -> 'cV[F]_(len (layers_out ls s)) -> Prop with
  | [::] => fun x y => y = x
  | l :: ls' => fun x z => exists2 y : 'cV[F]_(len (layer_out l s)), layer_means x y & @network ls' (layer_out l s) y z
  end.

Fixpoint sum_means n (branches : seq (seq layer)) (s : shape) (x : 'cV[F]_(len s)) (y : 'cV[F]_n) : Prop :=
  match branches with
  | [::] => y = 0
  | ls :: branches' => exists z y', [/\ @network ls s x z, sum_means branches' x y' & y = y' + resized n z]
  end.
Definition block_means (b : node) (s : shape) : 'cV[F]_(len s) -> 'cV[F]_(len (block_out b s)) -> Prop :=
  match b return 'cV[F]_(len s) -> 'cV[F]_(len (block_out b s)) -> Prop with
  | Single l => @layer_means l s
  | Mean branches => fun x y => exists2 z, sum_means branches x z & y = (size branches)%:R^-1 *: z
  | Sum branches => fun x y => sum_means branches x y
  end.
Fixpoint network_blocks (bs : seq node) (s : shape) : 'cV[F]_(len s) -> 'cV[F]_(len (blocks_out bs s)) -> Prop :=
  match bs return 'cV[F]_(len s) -> 'cV[F]_(len (blocks_out bs s)) -> Prop with
  | [::] => fun x y => y = x
  | b :: bs' => fun x z => exists2 y : 'cV[F]_(len (block_out b s)), block_means x y & @network_blocks bs' (block_out b s) y z
  end.

(* What a pair of a denominator and numerators stands for. *)
Definition vec n (x : ratios) : 'cV[F]_n := \col_i over x.1 (nth Z0 x.2 i).
Definition proper n (x : ratios) := Z.ltb 0 x.1 /\ size x.2 = n.

Lemma zc_nz d : Z.ltb 0 d -> zc d != 0.
Proof. by move=> h; rewrite lt0r_neq0 // zc_gt0. Qed.

Lemma zc_tap_sum (ts : seq (nat * Z)) n (v : seq Z) : (size v <= n)%N ->
  \sum_(j < n) zc (tap_sum ts j) * zc (nth Z0 v j) = \sum_(t <- ts) zc t.2 * zc (nth Z0 v t.1).
Proof.
move=> sv; elim: ts => [|[k z] ts IH]; first by rewrite big_nil big1 // => j _; rewrite mul0r.
rewrite big_cons -IH (eq_bigr (fun j : 'I_n => zc (if Nat.eqb k j then z else Z0) * zc (nth Z0 v j) +
  zc (tap_sum ts j) * zc (nth Z0 v j))) => [|j _]; last by rewrite /= zcD mulrDl.
rewrite big_split /=; congr (_ + _); case: (ltnP k n) => [kn|nk].
- rewrite (bigD1 (Ordinal kn)) //= nat_eqE eqxx big1 ?addr0 // => j jk; rewrite nat_eqE.
  by case: eqP => [e|_]; [rewrite -val_eqE /= e eqxx in jk | rewrite mul0r].
- rewrite (nth_default _ (leq_trans sv nk)) mulr0 big1 // => j _; rewrite nat_eqE.
  by case: eqP => [e|_]; [move: (ltn_ord j); rewrite -e ltnNge nk | rewrite mul0r].
Qed.

Lemma zc_taps_dot ts t acc : zc (taps_dot acc ts t) = zc acc + \sum_(p <- ts) zc p.2 * zc (get t p.1).
Proof.
elim: ts acc => [|[k z] ts IH] acc /=; first by rewrite big_nil addr0.
by rewrite IH big_cons zcD zcM /= (mulrC (zc (get t k))) addrA.
Qed.

Lemma seqE k n : List.seq k n = iota k n.
Proof. by elim: n k => //= n IH k; rewrite IH. Qed.

Lemma size_apply o s x : size (apply o s x) = len (operator_out o s).
Proof.
case: o => [n rows|a b t1 t2 p ks|k||k|k|||a b t1 t2 p ks|circ ms|fs]; rewrite /apply ?map_listE ?size_map ?seqE ?size_iota //.
Qed.

Theorem apply_sound o s x i : operator_fits o s -> size x = len s -> (i < len (operator_out o s))%N ->
  zc (nth Z0 (apply o s x) i) = \sum_(j < len s) zc (operator_entry o s i j) * zc (nth Z0 x j).
Proof.
move=> fit sx hi.
have sparse : zc (nth Z0 [seq taps_dot Z0 (taps o s k) (from_list x) | k <- iota 0 (len (operator_out o s))] i) =
    \sum_(j < len s) zc (tap_sum (taps o s i) j) * zc (nth Z0 x j).
  rewrite (nth_map 0%N) ?size_iota // nth_iota // add0n zc_taps_dot zc0 add0r zc_tap_sum ?sx //.
  by apply: eq_bigr => t _; rewrite get_from_list.
move: fit hi sparse; case: o => [n rows|a b t1 t2 p ks|k||k|k|||a b t1 t2 p ks|circ ms|fs] fit hi sparse; rewrite /apply ?map_listE ?seqE //.
case: s sx fit hi sparse => // m sx /= /andP [nm hr] hi _.
have sr : size (nth [::] rows i) = n by move: hr; rewrite forallbE => /allP /(_ _ (mem_nth [::] hi)) /=; rewrite nat_eqE => /eqP.
rewrite (nth_map [::]) // (@dot_zE F m) ?zc0 ?add0r // sr; move: nm; rewrite nat_eqE => /eqP ->.
by [].
Qed.

Lemma zc_sum (I : Type) (r : seq I) (f : I -> Z) : zc (List.fold_right Z.add Z0 (map f r)) = \sum_(i <- r) zc (f i).
Proof. by elim: r => [|a r IH]; rewrite ?big_nil // big_cons -IH /= zcD. Qed.

Lemma nth_map2_z A B (f : A -> B -> Z) (a : seq A) (b : seq B) x y i : (i < size a)%N -> (i < size b)%N ->
  nth Z0 (map2_z f a b) i = f (nth x a i) (nth y b i).
Proof. elim: a b i => [|u a IH] [|v b] [|i] //= h1 h2; exact: IH. Qed.

Lemma size_map2_z A B (f : A -> B -> Z) (a : seq A) (b : seq B) : size a = size b -> size (map2_z f a b) = size b.
Proof. by elim: a b => [|u a IH] [|v b] //= [h]; rewrite IH. Qed.

Lemma size_zeros n : size (zeros n) = n.
Proof. by elim: n => //= n ->. Qed.
Lemma nth_zeros n i : nth Z0 (zeros n) i = Z0.
Proof. by elim: n i => [|n IH] [|i] //=. Qed.

(* W^T y *)
Lemma size_axpy_rows rows y x n : all (fun r => size r == n) rows -> size x = n -> size (axpy_rows rows y x) = n.
Proof.
elim: rows y x => [|r rows IH] [|a y] x //= /andP [/eqP sr h] sx; apply: IH => //.
by rewrite size_map2_z sr.
Qed.

Lemma axpy_rows_sound rows y x n j : all (fun r => size r == n) rows -> size x = n -> (j < n)%N -> size y = size rows ->
  zc (nth Z0 (axpy_rows rows y x) j) = zc (nth Z0 x j) + \sum_(i < size rows) zc (nth Z0 (nth [::] rows i) j) * zc (nth Z0 y i).
Proof.
elim: rows y x => [|r rows IH] [|a y] x //= hr sx jn; rewrite ?big_ord0 ?addr0 //.
move: hr => /andP [/eqP sr hr] [sy]; rewrite IH ?size_map2_z ?sr // big_ord_recl /= addrA; congr (_ + _).
by rewrite (nth_map2_z _ Z0 Z0) ?sx ?sr // zcD zcM mulrC.
Qed.

Lemma inside_scatter z ts t i : inside (scatter z ts t) i = inside t i.
Proof. by elim: ts t => //= p ts IH t; rewrite IH inside_add. Qed.

Lemma get_scatter z ts t i : inside t i -> zc (get (scatter z ts t) i) = zc (get t i) + zc (tap_sum ts i) * zc z.
Proof.
elim: ts t => [|[k w] ts IH] t h /=; first by rewrite zc0 mul0r addr0.
rewrite IH ?inside_add // get_add // zcD nat_eqE mulrDl addrA; congr (_ + _).
by case: eqP => _; rewrite ?zcD ?zcM ?zc0 ?mul0r ?addr0 // (mulrC (zc z)).
Qed.

Lemma get_scatter_rows row k y t j : inside t j ->
  zc (get (scatter_rows row k y t) j) = zc (get t j) + \sum_(i < size y) zc (tap_sum (row (k + i)%N) j) * zc (nth Z0 y i).
Proof.
elim: y k t => [|a y IH] k t h /=; first by rewrite big_ord0 addr0.
rewrite IH ?inside_scatter // get_scatter // big_ord_recl addn0 addrA; congr (_ + _).
by apply: eq_bigr => i _; rewrite /= /bump add1n addnS addSn.
Qed.

Lemma size_adjoint o s y : operator_fits o s -> size (adjoint o s y) = len s.
Proof.
case: o => [n rows|a b t1 t2 p ks|k||k|k|||a b t1 t2 p ks|circ ms|fs]; rewrite /adjoint ?size_to_list //.
case: s => // m /= /andP []; rewrite nat_eqE => /eqP -> hr; rewrite (@size_axpy_rows _ _ _ n) ?size_zeros //.
Qed.

Theorem adjoint_sound o s y j : operator_fits o s -> size y = len (operator_out o s) -> (j < len s)%N ->
  zc (nth Z0 (adjoint o s y) j) = \sum_(i < len (operator_out o s)) zc (operator_entry o s i j) * zc (nth Z0 y i).
Proof.
move=> fit sy hj.
have sparse : zc (nth Z0 (to_list (len s) (scatter_rows (taps o s) 0 y (from_list (zeros (len s))))) j) =
    \sum_(i < len (operator_out o s)) zc (tap_sum (taps o s i) j) * zc (nth Z0 y i).
  rewrite nth_to_list // get_scatter_rows ?inside_from_list ?size_zeros // get_from_list nth_zeros zc0 add0r sy.
  by apply: eq_bigr => i _; rewrite add0n.
move: fit sy sparse; case: o => [n rows|a b t1 t2 p ks|k||k|k|||a b t1 t2 p ks|circ ms|fs] fit sy sparse; rewrite /adjoint //.
case: s hj fit sy sparse => // m hj /= /andP []; rewrite nat_eqE => /eqP <-; rewrite forallbE.
rewrite (eq_all (fun r => nat_eqE (length r) m)) => hr sy _.
by rewrite (@axpy_rows_sound _ _ _ m) ?size_zeros // nth_zeros zc0 add0r.
Qed.

(* Vectors of ratios. *)
Lemma vecE n x (i : 'I_n) : vec n x i 0 = over x.1 (nth Z0 x.2 i).
Proof. by rewrite mxE. Qed.

Lemma linear_den_parts l s : linear_fits l s -> [/\ zc (linear_den l s) != 0, zc (den l) != 0 & zc (operator_den (op l) s) != 0].
Proof.
move=> /andP [h _]; have h0 := zc_nz h; have h1 := h0; rewrite /linear_den zcM mulf_eq0 negb_or in h1.
by move: h1 => /andP [h1 h2].
Qed.

Lemma affine_proper l s x : linear_fits l s -> proper (len s) x -> proper (len (linear_out l s)) (affine l s x).
Proof.
move=> /andP [h fit] [d0 sx]; split; first by rewrite /affine /=; apply/Z.ltb_lt/Z.mul_pos_pos; apply/Z.ltb_lt.
by rewrite /affine /= size_map2_z seqE size_iota // size_apply.
Qed.

Theorem affine_sound l s x : linear_fits l s -> proper (len s) x ->
  vec (len (linear_out l s)) (affine l s x) = linear_map l (vec (len s) x).
Proof.
move=> fits [/zc_nz d0 sx]; have [h0 h1 h2] := linear_den_parts fits; move: fits => /andP [h fit].
apply/colP => i; rewrite !mxE /over /=.
rewrite (nth_map2_z _ Z0 0%N) ?size_apply ?seqE ?size_iota // nth_iota // add0n.
rewrite zcD !zcM apply_sound //; move: h0; rewrite /linear_den zcM => h0.
rewrite mulrDl mulr_suml; congr (_ + _).
- apply: eq_bigr => j _; rewrite !mxE /over /linear_den zcM; field; by rewrite h1 h2 d0.
- rewrite -/(bias_at l s i); field; by rewrite h1 h2 d0.
Qed.

Lemma linear_adjoint_proper l s y : linear_fits l s -> proper (len (linear_out l s)) y -> proper (len s) (linear_adjoint l s y).
Proof.
move=> /andP [h fit] [d0 sy]; split; last exact: size_adjoint.
by rewrite /=; apply/Z.ltb_lt/Z.mul_pos_pos; apply/Z.ltb_lt.
Qed.

Theorem linear_adjoint_sound l s y : linear_fits l s -> proper (len (linear_out l s)) y ->
  vec (len s) (linear_adjoint l s y) = (matrix l s)^T *m vec (len (linear_out l s)) y.
Proof.
move=> fits [/zc_nz d0 sy]; have [h0 h1 h2] := linear_den_parts fits; move: fits => /andP [h fit].
apply/colP => j; rewrite !mxE /over /= adjoint_sound // zcM mulr_suml; apply: eq_bigr => i _.
by rewrite !mxE /over mulf_div (mulrC (zc (linear_den l s))).
Qed.

Lemma leaky_proper n g x : Z.ltb 0 (slope_den g) -> proper n x -> proper n (leaky_vector g x).
Proof.
move=> g0 [d0 sx]; split; last by rewrite /leaky_vector map_listE size_map.
by rewrite /=; apply/Z.ltb_lt/Z.mul_pos_pos; apply/Z.ltb_lt.
Qed.

Lemma leaky_sound n g x : Z.ltb 0 (slope_den g) -> proper n x ->
  vec n (leaky_vector g x) = by_coordinates (fun _ => leaky g) (vec n x).
Proof.
move=> g0 [d0 sx]; apply/colP => i; rewrite !mxE /over /= map_listE (nth_map Z0) ?sx // /leaky_z.
have zg := zc_nz g0; have zd := zc_nz d0; rewrite /leaky /leaky_relu /over.
have -> : (0 <= zc (nth Z0 x.2 i) / zc x.1) = Z.leb 0 (nth Z0 x.2 i).
  by rewrite pmulr_lge0 ?invr_gt0 ?zc_gt0 //; exact: (zc_le F Z0).
by case: (Z.leb _ _); rewrite !zcM; field; rewrite ?zg ?zd.
Qed.

Lemma lcm_parts a b : Z.ltb 0 a -> Z.ltb 0 b ->
  [/\ Z.ltb 0 (Z.lcm a b), Z.mul (Z.div (Z.lcm a b) a) a = Z.lcm a b & Z.mul (Z.div (Z.lcm a b) b) b = Z.lcm a b].
Proof.
move=> /Z.ltb_lt ha /Z.ltb_lt hb; split.
- apply/Z.ltb_lt; have := Z.lcm_nonneg a b; have : Z.lcm a b <> Z0 by rewrite Z.lcm_eq_0; lia.
  lia.
- have [k ->] := Z.divide_lcm_l a b; rewrite Z.div_mul //; lia.
- have [k ->] := Z.divide_lcm_r a b; rewrite Z.div_mul //; lia.
Qed.

Lemma axpy_proper n p q x y : Z.ltb 0 q -> proper n x -> proper n y -> proper n (axpy p q x y).
Proof.
move=> q0 [dx sx] [dy sy]; rewrite /axpy; case: (Z.eqb _ _) => //.
have qd : Z.ltb 0 (Z.mul q x.1) by apply/Z.ltb_lt/Z.mul_pos_pos; apply/Z.ltb_lt.
by have [l0 _ _] := lcm_parts dy qd; split=> //=; rewrite size_map2_z ?sx ?sy.
Qed.

Theorem axpy_sound n p q x y : Z.ltb 0 q -> proper n x -> proper n y ->
  vec n (axpy p q x y) = vec n y + over q p *: vec n x.
Proof.
move=> q0 [dx sx] [dy sy]; rewrite /axpy; case: (boolP (Z.eqb _ _)) => [/zc_eq -> |_].
  by rewrite /over zc0 mul0r scale0r addr0.
have qd : Z.ltb 0 (Z.mul q x.1) by apply/Z.ltb_lt/Z.mul_pos_pos; apply/Z.ltb_lt.
have [l0 e1 e2] := lcm_parts dy qd; apply/colP => i; rewrite !mxE /over /=.
rewrite (nth_map2_z _ Z0 Z0) ?sx ?sy // zcD !zcM.
move: (zc_nz l0) (congr1 zc e1) (congr1 zc e2) (zc_nz dx) (zc_nz dy) (zc_nz q0); rewrite !zcM.
move: (zc (Z.lcm _ _)) (zc (Z.div _ _)) (zc (Z.div _ _)) (zc (nth _ _ _)) (zc (nth _ _ _)) => L b a v u.
move: (zc x.1) (zc y.1) (zc p) (zc q) => X Y P Q L0 ea eb X0 Y0 Q0.
have -> : (a * u + P * b * v) / L = a / L * u + P * (b / L) * v by field.
have -> : a / L = Y^-1 by apply: (mulIf Y0); rewrite mulVf // mulrAC ea divff.
have -> : b / L = (Q * X)^-1 by apply: (mulIf (mulf_neq0 Q0 X0)); rewrite mulVf ?mulf_neq0 // mulrAC eb divff.
by field; rewrite Q0 X0 Y0.
Qed.
End Meaning.
