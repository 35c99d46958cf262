(* Circle contractivity of a Runge-Kutta method, explicit or implicit.

   Tableau (A, b), s stages:   X_i = x_0 + h sum_j a_ij f(X_j),    x_1 = x_0 + h sum_i b_i f(X_i).
   M = B A + A^T B - b b^T with B = diag b, that is   m_ij = b_i a_ij + b_j a_ji - b_i b_j.

   Theorem. Let b >= 0, kappa >= 0 and M + kappa B be positive semidefinite, and let f be cocoercive with nu >= 0:
       <f(x) - f(y), x - y> <= - nu |f(x) - f(y)|^2.
   If 0 <= h and h kappa <= 2 nu then |x_1 - y_1| <= |x_0 - y_0| for any two runs of the method.

   algebraic_stability: kappa = 0, and <f(x) - f(y), x - y> <= 0 is enough, for any h >= 0.

   kappa = 1/r is the reciprocal of the radius of circle contractivity: h <= 2 r nu.  kappa = 0 is r = infinity: any h >= 0.
   With the gradient field (gradient_step.v), nu = 1/(L K), the condition reads h kappa L K <= 2: gradient_flow.

   Proof: expand |Dx_1|^2; it is |Dx_0|^2 + 2h sum_i b_i <DX_i, Df_i> - h^2 sum_ij m_ij <Df_i, Df_j>.

   Sharpness.  circle_sharp: a vector z with z^T (M + kappa B) z = 0 < z^T B z shows that no smaller kappa will do.
   The radii of the shipped tableaux are computed in tableau_radii.v.

   Source: Dahlquist and Jeltsch (1979; BIT 46, 2006). *)

From mathcomp Require Import all_ssreflect all_algebra.
From mathcomp Require Import ring.
Require Import euclidean slope gradient_step.
Set Implicit Arguments. Unset Strict Implicit. Unset Printing Implicit Defensive.
Import GRing.Theory Num.Theory Order.TTheory.
Local Open Scope ring_scope.

Section Tableau.
Variables (F : realFieldType) (s : nat) (A : 'M[F]_s) (b : 'I_s -> F).

Definition stability i j := b i * A i j + b j * A j i - b i * b j.

(* M + kappa B is positive semidefinite *)
Definition form kappa (z : 'I_s -> F) := \sum_i \sum_j (stability i j + kappa * b i *+ (i == j)) * (z i * z j).
Definition circle_contractive kappa := forall z, 0 <= form kappa z.

Lemma form_split kappa z :
  form kappa z = \sum_i \sum_j stability i j * (z i * z j) + kappa * \sum_i b i * z i ^+ 2.
Proof.
rewrite /form mulr_sumr -big_split; apply: eq_bigr => i _ /=.
under eq_bigr => j _ do rewrite mulrDl; rewrite big_split /=; congr (_ + _).
rewrite (bigD1 i) //= eqxx mulr1n big1 ?addr0 => [|j /negbTE ji]; first by ring.
by rewrite eq_sym ji mulr0n mul0r.
Qed.

(* A larger kappa, that is a smaller radius, is allowed. *)
Lemma circle_weaken kappa kappa' : (forall i, 0 <= b i) -> kappa <= kappa' ->
  circle_contractive kappa -> circle_contractive kappa'.
Proof.
move=> b0 kk h z; have := h z; rewrite !form_split => h1; apply: le_trans h1 _.
rewrite ler_add2l ler_wpmul2r // sumr_ge0 // => i _; by rewrite mulr_ge0 ?sqr_ge0.
Qed.

Theorem circle_sharp kappa kappa' z : form kappa z = 0 -> 0 < \sum_i b i * z i ^+ 2 ->
  kappa' < kappa -> ~ circle_contractive kappa'.
Proof.
move=> e p kk /(_ z); rewrite form_split => h; move: e; rewrite form_split.
set S := \sum_i \sum_j _ in h *; set Q := \sum_i b i * _ in h p * => e.
have : 0 < (kappa - kappa') * Q by rewrite mulr_gt0 // subr_gt0.
by rewrite mulrBl subr_gt0 -(ltr_add2l S) e ltNge h.
Qed.

(* The same form with vectors in place of numbers: coordinate by coordinate. *)
Lemma form_vectors kappa n (k : 'I_s -> 'cV[F]_n) : circle_contractive kappa ->
  0 <= \sum_i \sum_j stability i j * dot (k i) (k j) + kappa * (\sum_i b i * sqn (k i)).
Proof.
move=> h; have h' : 0 <= \sum_(l < n) form kappa (fun i => k i l 0) by apply: sumr_ge0.
suff -> : \sum_i \sum_j stability i j * dot (k i) (k j) + kappa * (\sum_i b i * sqn (k i)) =
          \sum_(l < n) form kappa (fun i => k i l 0) by [].
rewrite (eq_bigr _ (fun l _ => form_split kappa (fun i => k i l 0))) big_split /= -mulr_sumr; congr (_ + _ * _).
- rewrite [RHS]exchange_big; apply: eq_bigr => i _; rewrite [RHS]exchange_big; apply: eq_bigr => j _.
  by rewrite -mulr_sumr.
- by rewrite [RHS]exchange_big; apply: eq_bigr => i _; rewrite -mulr_sumr.
Qed.

Section Run.
Variables (n : nat) (f : 'cV[F]_n -> 'cV[F]_n) (h nu : F).

(* A run of one step: stages and result satisfy the equations; implicit methods included. *)
Definition runge_kutta (x0 : 'cV[F]_n) (X : 'I_s -> 'cV[F]_n) (x1 : 'cV[F]_n) :=
  (forall i, X i = x0 + h *: \sum_j A i j *: f (X j)) /\ x1 = x0 + h *: \sum_i b i *: f (X i).

Definition cocoercive_with := forall x y, dot (f x - f y) (x - y) <= - (nu * sqn (f x - f y)).

Variables (x0 y0 x1 y1 : 'cV[F]_n) (X Y : 'I_s -> 'cV[F]_n).
Hypotheses (run_x : runge_kutta x0 X x1) (run_y : runge_kutta y0 Y y1).
Let k i := f (X i) - f (Y i).

Lemma stage_diff i : X i - Y i = (x0 - y0) + h *: \sum_j A i j *: k j.
Proof.
rewrite {1}(proj1 run_x i) {1}(proj1 run_y i) opprD addrACA -scalerBr -sumrB.
by congr (_ + _ *: _); apply: eq_bigr => j _; rewrite scalerBr.
Qed.

Lemma result_diff : x1 - y1 = (x0 - y0) + h *: \sum_i b i *: k i.
Proof.
rewrite (proj2 run_x) (proj2 run_y) opprD addrACA -scalerBr -sumrB.
by congr (_ + _ *: _); apply: eq_bigr => j _; rewrite scalerBr.
Qed.

(* |Dx_1|^2 = |Dx_0|^2 + 2h sum_i b_i <DX_i, Df_i> - h^2 sum_ij m_ij <Df_i, Df_j> *)
Lemma energy : sqn (x1 - y1) = sqn (x0 - y0)
  + 2%:R * h * (\sum_i b i * dot (X i - Y i) (k i)) - h ^+ 2 * (\sum_i \sum_j stability i j * dot (k i) (k j)).
Proof.
rewrite result_diff sqnD dotZr sqnZ -addrA -addrA; congr (_ + _).
set d := x0 - y0.
have e1 : dot d (\sum_i b i *: k i) = \sum_i b i * dot d (k i).
  by rewrite dot_sumr; apply: eq_bigr => i _; rewrite dotZr.
have e2 : sqn (\sum_i b i *: k i) = \sum_i \sum_j b i * b j * dot (k i) (k j).
  rewrite /sqn dot_suml; apply: eq_bigr => i _; rewrite dot_sumr; apply: eq_bigr => j _.
  by rewrite dotZl dotZr mulrA.
have e3 : \sum_i b i * dot (X i - Y i) (k i) =
          \sum_i b i * dot d (k i) + h * (\sum_i \sum_j b i * A i j * dot (k i) (k j)).
  rewrite mulr_sumr -big_split /=; apply: eq_bigr => i _; rewrite stage_diff dotDl mulrDr; congr (_ + _).
  rewrite dotZl dot_suml mulrCA mulr_sumr; congr (_ * _); apply: eq_bigr => j _.
  by rewrite dotZl mulrA (dotC (k j)).
have e4 : \sum_i \sum_j stability i j * dot (k i) (k j) =
          2%:R * (\sum_i \sum_j b i * A i j * dot (k i) (k j)) - \sum_i \sum_j b i * b j * dot (k i) (k j).
  have sym : \sum_i \sum_j b j * A j i * dot (k i) (k j) = \sum_i \sum_j b i * A i j * dot (k i) (k j).
    by rewrite exchange_big; apply: eq_bigr => i _; apply: eq_bigr => j _; rewrite dotC.
  have -> : 2%:R * (\sum_i \sum_j b i * A i j * dot (k i) (k j)) =
    \sum_i \sum_j b i * A i j * dot (k i) (k j) + \sum_i \sum_j b j * A j i * dot (k i) (k j).
    by rewrite sym mulrDl mul1r.
  rewrite -big_split /= -sumrB; apply: eq_bigr => i _.
  by rewrite -big_split /= -sumrB; apply: eq_bigr => j _; rewrite /stability !mulrDl mulNr.
rewrite e1 e2 e3 e4; ring.
Qed.

Theorem circle_contractivity kappa : (forall i, 0 <= b i) -> circle_contractive kappa ->
  cocoercive_with -> 0 <= h -> h * kappa <= 2%:R * nu -> sqn (x1 - y1) <= sqn (x0 - y0).
Proof.
move=> b0 psd coco h0 hk; rewrite energy.
have q := form_vectors k psd.
set S := \sum_i \sum_j _ in q *; set Q := \sum_i b i * sqn _ in q.
have Q0 : 0 <= Q by apply: sumr_ge0 => i _; rewrite mulr_ge0 ?sqn_ge0.
have c : \sum_i b i * dot (X i - Y i) (k i) <= - (nu * Q).
  rewrite /Q mulr_sumr -sumrN; apply: ler_sum => i _; rewrite dotC mulrCA -mulrN ler_wpmul2l //; exact: coco.
set P := \sum_i _ in c *.
have d1 : 0 <= - (nu * Q) - P by rewrite subr_ge0.
have d2 : 0 <= 2%:R * nu - h * kappa by rewrite subr_ge0.
have d := addr_ge0 (addr_ge0 (mulr_ge0 (mulr_ge0 (ler0n F 2) h0) d1) (mulr_ge0 (mulr_ge0 h0 d2) Q0))
                   (mulr_ge0 (sqr_ge0 h) q).
by apply: (le_of_diff d); ring.
Qed.

(* kappa = 0 and nu = 0: a monotone field and an algebraically stable method. *)
Theorem algebraic_stability : (forall i, 0 <= b i) -> circle_contractive 0 ->
  (forall x y, dot (f x - f y) (x - y) <= 0) -> 0 <= h -> sqn (x1 - y1) <= sqn (x0 - y0).
Proof.
move=> b0 psd mono h0; rewrite energy.
have q := form_vectors k psd.
have c : \sum_i b i * dot (X i - Y i) (k i) <= 0.
  rewrite -oppr_ge0 -sumrN; apply: sumr_ge0 => i _; rewrite -mulrN mulr_ge0 // oppr_ge0 dotC; exact: mono.
move: q; rewrite mul0r addr0 => q; set P := \sum_i _ in c *.
have d1 : 0 <= - P by rewrite oppr_ge0.
have d := addr_ge0 (mulr_ge0 (mulr_ge0 (ler0n F 2) h0) d1) (mulr_ge0 (sqr_ge0 h) q).
by apply: (le_of_diff d); ring.
Qed.
End Run.
End Tableau.

(* The flow of a gradient field: h kappa L K <= 2. *)
Section GradientFlow.
Variable F : realFieldType.
Variables (s m n : nat) (A : 'M[F]_s) (bt : 'I_s -> F) (W : 'M[F]_(m, n)) (b : 'cV[F]_m) (sg : 'I_m -> F -> F).
Variables (lo L K h kappa : F).

Theorem gradient_flow : (forall i, 0 <= bt i) -> circle_contractive A bt kappa ->
  0 <= lo -> lo <= L -> (forall i, slope_in lo L (sg i)) -> 0 <= K -> opbound W K ->
  0 <= h -> 0 <= kappa -> h * kappa * (L * K) <= 2%:R ->
  forall x0 y0 X Y x1 y1, runge_kutta A bt (gradient_field W b sg) h x0 X x1 ->
    runge_kutta A bt (gradient_field W b sg) h y0 Y y1 -> sqn (x1 - y1) <= sqn (x0 - y0).
Proof.
move=> b0 psd lo0 loL hs K0 hW h0 k0 hk x0 y0 X Y x1 y1 rx ry.
have coco x y := @cocoercive F m n W b sg lo L K lo0 loL hs hW x y K0.
have LK0 : 0 <= L * K by rewrite mulr_ge0 // (le_trans lo0).
have [z|nz] := eqVneq (L * K) 0.
  (* L K = 0: the field is constant *)
  have c0 x y : gradient_field W b sg x - gradient_field W b sg y = 0.
    by apply: sqn_eq0; apply/eqP; rewrite eq_le sqn_ge0 andbT; have := coco x y; rewrite z mul0r oppr0.
  rewrite (result_diff rx ry) big1 ?scaler0 ?addr0 // => i _; by rewrite c0 scaler0.
have p : 0 < L * K by rewrite lt0r nz.
apply: (@circle_contractivity F s A bt n _ h (L * K)^-1 x0 y0 x1 y1 X Y rx ry kappa) => //.
- move=> x y; rewrite -(ler_pmul2l p) mulrN mulrA divff // mul1r ler_oppr; exact: coco.
- by rewrite ler_pdivl_mulr.
Qed.
End GradientFlow.
