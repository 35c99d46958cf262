(* Isometries and pooling.

   Reshape, flatten, permutation, space-to-depth: y_i = x_{p(i)} with a bijection p; |y| = |x|.
   Channel padding: zeros are appended; |y| = |x|.
   Mean pooling: the coordinates are split into groups of exactly q, and y_i is the mean of group i:
       |y|^2 <= |x|^2 / q,  with equality when x is constant on each group.
   So s x s pooling with stride s (q = s^2) has the norm 1/s exactly, and the global mean over h x w (q = h w) 1/sqrt(h w).
   Normalisation x_i |-> (x_i - mu_i) / sd_i: Lipschitz with max 1/|sd_i|.
   Each is affine and acts on differences as the linear map itself, so the bounds are Lipschitz constants.

   Source: folklore. *)

From mathcomp Require Import all_ssreflect all_algebra.
From mathcomp Require Import ring.
Require Import euclidean slope.
Set Implicit Arguments. Unset Strict Implicit. Unset Printing Implicit Defensive.
Import GRing.Theory Num.Theory Order.TTheory.
Local Open Scope ring_scope.

Section Reindex.
Variables (F : realFieldType) (n m : nat).

Definition reindex_by (p : 'I_m -> 'I_n) (x : 'cV[F]_n) : 'cV[F]_m := \col_i x (p i) 0.

Theorem reshape_isometry (p : 'I_m -> 'I_n) x : bijective p -> sqn (reindex_by p x) = sqn x.
Proof.
move=> bp; rewrite /sqn /dot [RHS](reindex p) /=; last exact: onW_bij.
by apply: eq_bigr => i _; rewrite !mxE.
Qed.

Theorem reshape_isometry_diff (p : 'I_m -> 'I_n) x y : bijective p ->
  sqn (reindex_by p x - reindex_by p y) = sqn (x - y).
Proof.
by move=> bp; rewrite -(reshape_isometry (x - y) bp); congr sqn; apply/matrixP => i j; rewrite !mxE.
Qed.

(* A selection of coordinates, each at most once, does not increase the norm. *)
Theorem selection (p : 'I_m -> 'I_n) x : injective p -> sqn (reindex_by p x) <= sqn x.
Proof.
move=> ip; rewrite /sqn /dot (eq_bigr (fun i => x (p i) 0 * x (p i) 0)) => [|i _]; last by rewrite !mxE.
rewrite -(big_imset (fun j => x j 0 * x j 0)) /=; last by move=> i j _ _; apply: ip.
rewrite [X in _ <= X](bigID (mem [set p i | i in predT])) /= ler_addl.
by apply: sumr_ge0 => j _; rewrite -expr2 sqr_ge0.
Qed.
End Reindex.

Section Padding.
Variables (F : realFieldType) (n k : nat).

Definition pad_zeros (x : 'cV[F]_n) : 'cV[F]_(n + k) := col_mx x 0.

Theorem padding_isometry x : sqn (pad_zeros x) = sqn x.
Proof.
rewrite /sqn /dot big_split_ord /= [X in _ + X]big1 ?addr0 => [|i _]; last by rewrite col_mxEd mxE mul0r.
by apply: eq_bigr => i _; rewrite col_mxEu.
Qed.

Theorem padding_isometry_diff x y : sqn (pad_zeros x - pad_zeros y) = sqn (x - y).
Proof. by rewrite -(padding_isometry (x - y)) /pad_zeros opp_col_mx add_col_mx oppr0 addr0. Qed.
End Padding.

Section MeanPool.
Variables (F : realFieldType) (n m q : nat) (group : 'I_n -> 'I_m).

Definition mean_pool (x : 'cV[F]_n) : 'cV[F]_m := \col_i ((\sum_(j | group j == i) x j 0) / q%:R).

Hypothesis q_pos : (0 < q)%N.
Hypothesis group_size : forall i, #|[pred j | group j == i]| = q.

Let q0 : q%:R != 0 :> F. Proof. by rewrite pnatr_eq0 -lt0n. Qed.

(* (sum of q numbers)^2 <= q * sum of squares *)
Lemma sum_square (P : pred 'I_n) (x : 'I_n -> F) :
  (\sum_(j | P j) x j) ^+ 2 <= #|P|%:R * \sum_(j | P j) x j ^+ 2.
Proof.
rewrite -(ler_pmul2l (ltr0n F 2)).
have cst (c : F) : \sum_(j | P j) c = #|P|%:R * c by rewrite sumr_const [RHS]mulr_natl.
have e : 2%:R * (#|P|%:R * \sum_(j | P j) x j ^+ 2) - 2%:R * (\sum_(j | P j) x j) ^+ 2 =
         \sum_(i | P i) \sum_(j | P j) (x i - x j) ^+ 2.
  have -> : \sum_(i | P i) \sum_(j | P j) (x i - x j) ^+ 2 =
     \sum_(i | P i) \sum_(j | P j) (x i ^+ 2 + x j ^+ 2 - 2%:R * (x i * x j)).
    by apply: eq_bigr => i _; apply: eq_bigr => j _; ring.
  set S2 := \sum_(j | P j) x j ^+ 2; set S := \sum_(j | P j) x j.
  rewrite (eq_bigr (fun i => #|P|%:R * x i ^+ 2 + (S2 - 2%:R * S * x i))) => [|i _].
    by rewrite big_split /= sumrB -!mulr_sumr cst -/S -/S2; move: #|P|%:R S S2 => N a c; ring.
  by rewrite sumrB big_split /= !cst -/S2 -!mulr_sumr -/S; move: #|P|%:R => N; ring.
by apply: (le_of_diff _ e); apply: sumr_ge0 => i _; apply: sumr_ge0 => j _; apply: sqr_ge0.
Qed.

Theorem mean_pool_bound x : sqn (mean_pool x) <= sqn x / q%:R.
Proof.
have -> : sqn x = \sum_i \sum_(j | group j == i) x j 0 ^+ 2.
  by rewrite /sqn /dot (partition_big group xpredT) //=; apply: eq_bigr => i _; apply: eq_bigr => j _; rewrite expr2.
rewrite mulr_suml /sqn /dot; apply: ler_sum => i _; rewrite !mxE -expr2 expr_div_n.
have qp : 0 < q%:R :> F by rewrite ltr0n.
rewrite ler_pdivr_mulr ?exprn_gt0 //; set S2 := \sum_(j | _) _ ^+ 2.
have -> : S2 / q%:R * q%:R ^+ 2 = q%:R * S2 by move: q%:R q0 => r r0; field.
by have := sum_square [pred j | group j == i] (fun j => x j 0); rewrite group_size.
Qed.

(* The bound is attained: x constant on each group. *)
Theorem mean_pool_attained (z : 'cV[F]_m) :
  let x := \col_j z (group j) 0 in mean_pool x = z /\ sqn (mean_pool x) = sqn x / q%:R.
Proof.
move=> x; have e : mean_pool x = z.
  apply/matrixP => i j; rewrite ord1 mxE (eq_bigr (fun _ => z i 0)) => [|l /eqP <-]; last by rewrite mxE.
  by rewrite sumr_const group_size -[z i 0 *+ q]mulr_natr mulfK.
split=> //; rewrite e; have -> : sqn x = \sum_i \sum_(j | group j == i) z i 0 ^+ 2.
  rewrite /sqn /dot (partition_big group xpredT) //=; apply: eq_bigr => i _; apply: eq_bigr => j /eqP <-.
  by rewrite !mxE expr2.
rewrite mulr_suml; apply: eq_bigr => i _.
by rewrite sumr_const group_size -[z i 0 ^+ 2 *+ q]mulr_natr mulfK // expr2.
Qed.

Theorem mean_pool_lipschitz x y : sqn (mean_pool x - mean_pool y) <= sqn (x - y) / q%:R.
Proof.
have <- : mean_pool (x - y) = mean_pool x - mean_pool y; last exact: mean_pool_bound.
apply/matrixP => i j; rewrite !mxE -mulrBl -sumrB; congr (_ / _); apply: eq_bigr => l _; by rewrite !mxE.
Qed.
End MeanPool.

(* Means over windows of q points that may overlap, or lie in part beyond the border: a window shares at most S points with all
   windows, itself included. *)
Section MeanWindows.
Variables (F : realFieldType) (n m q S : nat) (window : 'I_m -> pred 'I_n).
Hypothesis shared : forall i, (\sum_k #|[pred j | window i j && window k j]| <= S)%N.

Definition means : 'M[F]_(m, n) := \matrix_(i, j) ((window i j)%:R / q%:R).

Lemma means_gram i k : (means *m means^T) i k = #|[pred j | window i j && window k j]|%:R / q%:R ^+ 2.
Proof.
rewrite mxE -sum1_card natr_sum mulr_suml [RHS]big_mkcond /=; apply: eq_bigr => j _.
rewrite !mxE inE; case: (window i j); case: (window k j); rewrite /= ?mul0r ?mulr0 //.
by rewrite !mul1r expr2 invfM.
Qed.

Theorem mean_windows x y : sqn (means *m x - means *m y) <= S%:R / q%:R ^+ 2 * sqn (x - y).
Proof.
have q2 : 0 <= q%:R ^+ 2 :> F by rewrite exprn_ge0 ?ler0n.
have S0 : 0 <= S%:R / q%:R ^+ 2 :> F by rewrite divr_ge0 ?ler0n.
suff h : opbound means^T (S%:R / q%:R ^+ 2) by have := opbound_tr S0 h (x - y); rewrite trmxK mulmxBr.
move=> u.
have -> : sqn (means^T *m u) = dot u (means *m means^T *m u) by rewrite /sqn dot_adj trmxK mulmxA.
apply: row_sum_bound => [|i]; first by rewrite trmx_mul trmxK.
rewrite (eq_bigr (fun k => #|[pred j | window i j && window k j]|%:R / q%:R ^+ 2)) => [|k _]; last first.
  by rewrite means_gram ger0_norm // divr_ge0 ?ler0n.
by rewrite -mulr_suml -natr_sum ler_wpmul2r ?invr_ge0 // ler_nat.
Qed.
End MeanWindows.

Section Normalize.
Variables (F : realFieldType) (n : nat) (mu : 'cV[F]_n) (inv_sd : 'rV[F]_n).

Theorem normalize_bound K : (forall i, inv_sd 0 i ^+ 2 <= K) ->
  forall x y, sqn (diag_mx inv_sd *m (x - mu) - diag_mx inv_sd *m (y - mu)) <= K * sqn (x - y).
Proof.
move=> h x y; rewrite -mulmxBr (_ : x - mu - (y - mu) = x - y); last by by_entries.
exact: diag_bound.
Qed.
End Normalize.
