(* Quadratic constraint.

   T(x) = x + h B sigma(A x + b), slopes of sigma in [m, L].  If some diagonal Lambda = diag t >= 0 makes the symmetric matrix

       [ (rho^2 - 1) I + 2 m L A^T Lambda A      - h B - (m + L) A^T Lambda ]
       [            transpose                      2 Lambda - h^2 B^T B     ]

   positive semidefinite, then T is rho-Lipschitz.  t is the witness; any solver may propose it.  No sign of m <= L
   or of h is assumed.

   Proof: with z = A Dx, p = D sigma:  t_i (p_i - m z_i) (L z_i - p_i) >= 0, and
       rho^2 |Dx|^2 - |DT|^2  =  form (Dx, p) + 2 sum_i t_i (p_i - m z_i) (L z_i - p_i).

   Source: Fazlyab et al. (2019); Araujo et al. (2023). *)

From mathcomp Require Import all_ssreflect all_algebra.
From mathcomp Require Import ring.
Require Import euclidean slope.
Set Implicit Arguments. Unset Strict Implicit. Unset Printing Implicit Defensive.
Import GRing.Theory Num.Theory Order.TTheory.
Local Open Scope ring_scope.

Section QuadraticConstraint.
Variable F : realFieldType.
Variables (k n : nat) (A : 'M[F]_(k, n)) (B : 'M[F]_(n, k)) (b : 'cV[F]_k) (s : 'I_k -> F -> F).
Variables (m L h rho : F) (t : 'rV[F]_k).

Definition residual_step (x : 'cV[F]_n) := x + h *: (B *m by_coordinates s (A *m x + b)).

Definition constraint_matrix : 'M[F]_(n + k) :=
  block_mx ((rho ^+ 2 - 1)%:M + (2%:R * m * L) *: (A^T *m diag_mx t *m A))
           (- (h *: B) - (m + L) *: (A^T *m diag_mx t))
           ((- (h *: B) - (m + L) *: (A^T *m diag_mx t))^T)
           (2%:R *: diag_mx t - h ^+ 2 *: (B^T *m B)).

Lemma dot_col_mx p q (u u' : 'cV[F]_p) (v v' : 'cV[F]_q) : dot (col_mx u v) (col_mx u' v') = dot u u' + dot v v'.
Proof.
rewrite /dot big_split_ord /=; congr (_ + _); apply: eq_bigr => i _; by rewrite ?col_mxEu ?col_mxEd.
Qed.

(* sum_i t_i u_i v_i *)
Definition weighted (u v : 'cV[F]_k) := \sum_i t 0 i * (u i 0 * v i 0).

Lemma dot_diag (u v : 'cV[F]_k) : dot u (diag_mx t *m v) = weighted u v.
Proof. by apply: eq_bigr => i _; rewrite mul_diag_mx [X in _ * X]mxE mulrCA. Qed.

Lemma constraint_form (x : 'cV[F]_n) (p : 'cV[F]_k) :
  dot (col_mx x p) (constraint_matrix *m col_mx x p) =
  (rho ^+ 2 - 1) * sqn x + 2%:R * m * L * weighted (A *m x) (A *m x)
  - 2%:R * (h * dot x (B *m p) + (m + L) * weighted (A *m x) p)
  + 2%:R * weighted p p - h ^+ 2 * sqn (B *m p).
Proof.
rewrite /constraint_matrix mul_block_col dot_col_mx !dotDr.
have e1 : dot x (((rho ^+ 2 - 1)%:M + (2%:R * m * L) *: (A^T *m diag_mx t *m A)) *m x) =
          (rho ^+ 2 - 1) * sqn x + 2%:R * m * L * weighted (A *m x) (A *m x).
  by rewrite mulmxDl dotDr mul_scalar_mx dotZr -scalemxAl dotZr -!mulmxA -dot_adj dot_diag.
have e2 : dot x ((- (h *: B) - (m + L) *: (A^T *m diag_mx t)) *m p) =
          - (h * dot x (B *m p) + (m + L) * weighted (A *m x) p).
  rewrite mulmxBl mulNmx dotBr dotNr -!scalemxAl !dotZr -mulmxA -dot_adj dot_diag; ring.
have e3 : dot p ((- (h *: B) - (m + L) *: (A^T *m diag_mx t))^T *m x) =
          - (h * dot x (B *m p) + (m + L) * weighted (A *m x) p) by rewrite -dot_adj dotC e2.
have e4 : dot p ((2%:R *: diag_mx t - h ^+ 2 *: (B^T *m B)) *m p) = 2%:R * weighted p p - h ^+ 2 * sqn (B *m p).
  by rewrite mulmxBl dotBr -!scalemxAl !dotZr dot_diag -mulmxA -dot_adj.
rewrite e1 e2 e3 e4; ring.
Qed.

Theorem quadratic_constraint : 0 <= rho -> m <= L -> (forall i, 0 <= t 0 i) -> (forall i, slope_in m L (s i)) ->
  (forall v, 0 <= dot v (constraint_matrix *m v)) -> lipschitz rho residual_step.
Proof.
move=> r0 mL t0 hs psd; split=> // x y.
set p := by_coordinates s (A *m x + b) - by_coordinates s (A *m y + b).
have -> : residual_step x - residual_step y = (x - y) + h *: (B *m p).
  rewrite /residual_step /p mulmxBr; move: (B *m _) (B *m _) => u v; by_entries.
have form := psd (col_mx (x - y) p); rewrite constraint_form in form.
have z : A *m (x - y) = (A *m x + b) - (A *m y + b) by rewrite opprD addrACA subrr addr0 mulmxBr.
have slopes : 0 <= (m + L) * weighted (A *m (x - y)) p - weighted p p - m * L * weighted (A *m (x - y)) (A *m (x - y)).
  rewrite /weighted !mulr_sumr -!sumrB; apply: sumr_ge0 => i _.
  have ez : (A *m (x - y)) i 0 = (A *m x + b) i 0 - (A *m y + b) i 0 by rewrite z; move: (A *m x + b) => v; rewrite !mxE.
  have ep : p i 0 = quotient m (s i) ((A *m x + b) i 0) ((A *m y + b) i 0) * (A *m (x - y)) i 0.
    by rewrite ez -quotientE /p; move: (A *m x + b) (A *m y + b) => u v; rewrite !mxE.
  have /andP [q1 q2] := quotient_in mL (hs i) ((A *m x + b) i 0) ((A *m y + b) i 0).
  rewrite ep; move: (quotient _ _ _ _) q1 q2 ((A *m (x - y)) i 0) (t 0 i) (t0 i) => q.
  move=> q1 q2 e w w0; have {}q1 : 0 <= q - m by rewrite subr_ge0.
  have {}q2 : 0 <= L - q by rewrite subr_ge0.
  have -> : (m + L) * (w * (e * (q * e))) - w * (q * e * (q * e)) - m * L * (w * (e * e)) =
            w * ((q - m) * (L - q) * e ^+ 2) by ring.
  exact: mulr_ge0 w0 (mulr_ge0 (mulr_ge0 q1 q2) (sqr_ge0 e)).
move: form slopes; move: (weighted _ p) (weighted p p) (weighted _ _) => wzp wpp wzz form sl.
have d := addr_ge0 form (mulr_ge0 (ler0n F 2) sl).
apply: (le_of_diff d); move: (x - y) (B *m p) => v u; rewrite sqnD sqnZ dotZr; ring.
Qed.
End QuadraticConstraint.

(* A field  f(x) = C x + B sigma(A x + b).  If some t >= 0 make the form

       kappa |x|^2 - 2 a <x, C x + B p> - c |C x + B p|^2 + 2 sum_i t_i (p - m A x)_i (p - L A x)_i

   nonnegative for all x and p, then  2 a <Dx, Df> + c |Df|^2 <= kappa |Dx|^2.  The four choices of a, c and kappa below are
   the Lipschitz constant, the factor of an Euler step, the one-sided Lipschitz constant and the cocoercivity. *)
Section Field.
Variable F : realFieldType.
Variables (k n : nat) (A : 'M[F]_(k, n)) (B : 'M[F]_(n, k)) (C : 'M[F]_n) (b : 'cV[F]_k) (s : 'I_k -> F -> F).
Variables (m L : F) (t : 'I_k -> F).

Definition lurie (x : 'cV[F]_n) := C *m x + B *m by_coordinates s (A *m x + b).

Definition supply_form (a c kappa : F) (x : 'cV[F]_n) (p : 'cV[F]_k) :=
  kappa * sqn x - 2%:R * a * dot x (C *m x + B *m p) - c * sqn (C *m x + B *m p) +
  2%:R * \sum_i t i * ((p i 0 - m * (A *m x) i 0) * (p i 0 - L * (A *m x) i 0)).

Hypothesis mL : m <= L.
Hypothesis t0 : forall i, 0 <= t i.
Hypothesis slopes : forall i, slope_in m L (s i).

Theorem lurie_supply a c kappa : (forall x p, 0 <= supply_form a c kappa x p) -> forall x y,
  2%:R * a * dot (x - y) (lurie x - lurie y) + c * sqn (lurie x - lurie y) <= kappa * sqn (x - y).
Proof.
move=> psd x y; pose p := by_coordinates s (A *m x + b) - by_coordinates s (A *m y + b).
have form := psd (x - y) p; rewrite /supply_form in form.
have nonpositive : \sum_i t i * ((p i 0 - m * (A *m (x - y)) i 0) * (p i 0 - L * (A *m (x - y)) i 0)) <= 0.
  rewrite -oppr_ge0 -sumrN; apply: sumr_ge0 => i _.
  pose u := (A *m x + b) i 0; pose v := (A *m y + b) i 0.
  have ez : (A *m (x - y)) i 0 = u - v.
    by rewrite /u /v mulmxBr; move: (A *m x) (A *m y) => q r; rewrite !mxE; ring.
  have ep : p i 0 = quotient m (s i) u v * (u - v) by rewrite -quotientE /p !mxE /u /v !mxE.
  have /andP [q1 q2] := quotient_in mL (slopes i) u v.
  rewrite ep ez; move: (quotient _ _ _ _) q1 q2 (u - v) (t i) (t0 i) => q q1 q2 e w w0.
  have {}q1 : 0 <= q - m by rewrite subr_ge0.
  have {}q2 : 0 <= L - q by rewrite subr_ge0.
  have -> : w * ((q * e - m * e) * (q * e - L * e)) = - (w * ((q - m) * (L - q) * e ^+ 2)) by ring.
  by rewrite opprK; exact: mulr_ge0 w0 (mulr_ge0 (mulr_ge0 q1 q2) (sqr_ge0 e)).
have -> : lurie x - lurie y = C *m (x - y) + B *m p.
  rewrite /lurie /p !mulmxBr; move: (C *m x) (C *m y) (B *m _) (B *m _) => q r u v; by_entries.
move: form nonpositive; move: (\sum_i _) (C *m _ + B *m p) => S f form S0.
have {}S0 : 0 <= 2%:R * - S by rewrite mulr_ge0 ?ler0n // oppr_ge0.
by apply: (le_of_diff (addr_ge0 form S0)); ring.
Qed.

Theorem lurie_lipschitz rho : 0 <= rho -> (forall x p, 0 <= supply_form 0 1 (rho ^+ 2) x p) -> lipschitz rho lurie.
Proof. by move=> r0 psd; split=> // x y; have := lurie_supply psd x y; rewrite mulr0 mul0r add0r mul1r. Qed.

Theorem lurie_step h rho : 0 <= rho -> (forall x p, 0 <= supply_form h (h ^+ 2) (rho ^+ 2 - 1) x p) ->
  lipschitz rho (fun x => x + h *: lurie x).
Proof.
move=> r0 psd; split=> // x y; have form := lurie_supply psd x y.
have -> : (x + h *: lurie x) - (y + h *: lurie y) = (x - y) + h *: (lurie x - lurie y).
  rewrite scalerBr; move: (h *: lurie x) (h *: lurie y) => u v; by_entries.
move: form; move: (x - y) (lurie x - lurie y) => u v form.
have {}form : 0 <= (rho ^+ 2 - 1) * sqn u - (2%:R * h * dot u v + h ^+ 2 * sqn v) by rewrite subr_ge0.
by apply: (le_of_diff form); rewrite sqnD sqnZ dotZr; ring.
Qed.

Theorem lurie_one_sided mu : (forall x p, 0 <= supply_form 1 0 (2%:R * mu) x p) -> forall x y,
  dot (x - y) (lurie x - lurie y) <= mu * sqn (x - y).
Proof.
move=> psd x y; have := lurie_supply psd x y.
by rewrite mulr1 mul0r addr0 -mulrA ler_pmul2l ?ltr0n.
Qed.

Theorem lurie_cocoercive nu : (forall x p, 0 <= supply_form 1 (2%:R * nu) 0 x p) -> forall x y,
  dot (x - y) (lurie x - lurie y) <= - nu * sqn (lurie x - lurie y).
Proof.
move=> psd x y; have := lurie_supply psd x y.
rewrite mulr1 mul0r -mulrA -mulrDr pmulr_rle0 ?ltr0n // => form.
by rewrite mulNr -subr_le0 opprK.
Qed.
End Field.

(* A stack  y = B sigma_k (W_k ... sigma_1 (W_1 x + c_1) ... + c_k)  is rho-Lipschitz if some t >= 0 make the form

       rho^2 |v_0|^2 - |B v_k|^2 + 2 sum_l sum_i t_l,i (v_(l+1) - m_l W_l v_l)_i (v_(l+1) - L_l W_l v_l)_i

   nonnegative for all v_0, ..., v_k: v_0 is the difference of two points, v_l that of what comes out of sigma_l.  The
   matrix that the program proves positive semidefinite is the one of this form. *)
Section Stack.
Variable F : realFieldType.
Variables (d : nat -> nat) (W : forall l, 'M[F]_(d l.+1, d l)) (c : forall l, 'cV[F]_(d l.+1)).
Variables (s : forall l, 'I_(d l.+1) -> F -> F) (m L : nat -> F) (t : forall l, 'I_(d l.+1) -> F).
Variables (k n : nat) (B : 'M[F]_(n, d k)) (rho : F).

Fixpoint stage (l : nat) (x : 'cV[F]_(d 0)) : 'cV[F]_(d l) :=
  match l with
  | 0%N => x
  | l'.+1 => by_coordinates (@s l') (W l' *m stage l' x + c l')
  end.

Definition stack (x : 'cV[F]_(d 0)) := B *m stage k x.

Definition stack_form (v : forall l, 'cV[F]_(d l)) :=
  rho ^+ 2 * sqn (v 0%N) - sqn (B *m v k) +
  2%:R * \sum_(l < k) \sum_i
    t i * ((v l.+1 i 0 - m l * (W l *m v l) i 0) * (v l.+1 i 0 - L l * (W l *m v l) i 0)).

Theorem quadratic_constraint_stack : 0 <= rho -> (forall l, m l <= L l) -> (forall l (i : 'I_(d l.+1)), 0 <= t i) ->
  (forall l (i : 'I_(d l.+1)), slope_in (m l) (L l) (s i)) -> (forall v, 0 <= stack_form v) -> lipschitz rho stack.
Proof.
move=> r0 mL t0 hs psd; split=> // x y.
pose v l := stage l x - stage l y.
have form := psd v; rewrite /stack_form in form.
have nonpositive : \sum_(l < k) \sum_i
    t i * ((v l.+1 i 0 - m l * (W l *m v l) i 0) * (v l.+1 i 0 - L l * (W l *m v l) i 0)) <= 0.
  rewrite -oppr_ge0 -sumrN; apply: sumr_ge0 => l _; rewrite -sumrN; apply: sumr_ge0 => i _.
  pose a := (W l *m stage l x + c l) i 0; pose b := (W l *m stage l y + c l) i 0.
  have ez : (W l *m v l) i 0 = a - b.
    by rewrite /a /b /v mulmxBr; move: (W l *m stage l x) (W l *m stage l y) => p q; rewrite !mxE; ring.
  have ep : v l.+1 i 0 = quotient (m l) (s i) a b * (a - b) by rewrite -quotientE /v !mxE /a /b !mxE.
  have /andP [q1 q2] := quotient_in (mL l) (hs l i) a b.
  rewrite ep ez; move: (quotient _ _ _ _) q1 q2 (a - b) (t i) (t0 l i) => q q1 q2 e w w0.
  have {}q1 : 0 <= q - m l by rewrite subr_ge0.
  have {}q2 : 0 <= L l - q by rewrite subr_ge0.
  have -> : w * ((q * e - m l * e) * (q * e - L l * e)) = - (w * ((q - m l) * (L l - q) * e ^+ 2)) by ring.
  by rewrite opprK; exact: mulr_ge0 w0 (mulr_ge0 (mulr_ge0 q1 q2) (sqr_ge0 e)).
have -> : stack x - stack y = B *m v k by rewrite /stack /v mulmxBr.
move: form nonpositive; move: (\sum_(l < k) _) => S form S0.
have {}S0 : 0 <= 2%:R * - S by rewrite mulr_ge0 ?ler0n // oppr_ge0.
apply: (le_of_diff (addr_ge0 form S0)); rewrite /v /=; ring.
Qed.
End Stack.

(* Single combinations of what comes out.  If phi is L-Lipschitz and R phi is rho-Lipschitz, then <u, phi> is
   (a rho + b L)-Lipschitz for |y| <= a and |u - R^T y| <= b, whatever y is:  <u, v> = <y, R v> + <u - R^T y, v>. *)
Section Combination.
Variable F : realFieldType.
Variables (n d p : nat) (phi : 'cV[F]_n -> 'cV[F]_d) (R : 'M[F]_(p, d)) (u : 'cV[F]_d) (y : 'cV[F]_p).
Variables (rho L a b : F).

Theorem pair_constant : 0 <= a -> 0 <= b -> lipschitz rho (fun x => R *m phi x) -> lipschitz L phi ->
  sqn y <= a ^+ 2 -> sqn (u - R^T *m y) <= b ^+ 2 ->
  forall x z, dot u (phi x - phi z) ^+ 2 <= (a * rho + b * L) ^+ 2 * sqn (x - z).
Proof.
move=> a0 b0 [rho0 hR] [L0 hphi] hy hu x z.
have s0 := sqn_ge0 (x - z); have {hR} := hR x z; have {hphi} := hphi x z.
rewrite -mulmxBr; move: (phi x - phi z) (sqn (x - z)) s0 => v s s0 hv hR.
have e : dot u v = dot y (R *m v) + dot (u - R^T *m y) v.
  by rewrite dotBl [dot (R^T *m y) v]dot_adj trmxK; ring.
have h1 := le_trans (Cauchy_Schwarz y (R *m v)) (ler_pmul (sqn_ge0 y) (sqn_ge0 _) hy hR).
have h2 := le_trans (Cauchy_Schwarz (u - R^T *m y) v) (ler_pmul (sqn_ge0 _) (sqn_ge0 v) hu hv).
rewrite e; move: (dot y _) (dot (u - _) v) h1 h2 => f g h1 h2.
have r0 : 0 <= a * rho by rewrite mulr_ge0.
have t0 : 0 <= b * L by rewrite mulr_ge0.
have h3 : f * g <= (a * rho) * (b * L) * s.
  apply: le_square; first by rewrite !mulr_ge0.
  have -> : (f * g) ^+ 2 = f ^+ 2 * g ^+ 2 by ring.
  have -> : ((a * rho) * (b * L) * s) ^+ 2 = (a ^+ 2 * (rho ^+ 2 * s)) * (b ^+ 2 * (L ^+ 2 * s)) by ring.
  by apply: ler_pmul; rewrite ?sqr_ge0.
have -> : (f + g) ^+ 2 = f ^+ 2 + 2%:R * (f * g) + g ^+ 2 by ring.
apply: le_trans (ler_add (ler_add h1 (ler_wpmul2l (ler0n F 2) h3)) h2) _.
by rewrite le_eqVlt; apply/orP; left; apply/eqP; ring.
Qed.
End Combination.
