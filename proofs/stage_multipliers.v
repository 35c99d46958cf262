(* Stage multipliers: one quadratic form in s + 1 variables bounds a step of any Runge-Kutta method, explicit or implicit.

   Tableau (A, b), s stages:   X_i = x_0 + h sum_j a_ij f_j(X_j),    x_1 = x_0 + h sum_i b_i f_i(X_i).
   The field may differ by stage, so it may depend on time.  For two runs, Psi_i = h (f_i(X_i) - f_i(Y_i)).

   Let the field satisfy, for each c of finitely many inequalities and each stage i, with constants of its own,

       p_ci |Psi|^2 + 2 q_ci <Psi, DX> + r_ci |DX|^2 <= 0        Psi = h (f_i(u) - f_i(v)), DX = u - v, for all u, v,

   and let t >= 0 make the form

       S(x, z) = rho^2 x^2 - (x + sum_i b_i z_i)^2 + sum_c sum_i t_ci (p_ci z_i^2 + 2 q_ci z_i xi_i + r_ci xi_i^2),
       xi_i = x + sum_j a_ij z_j,

   non-negative for all numbers x, z.

   Theorems.
     stage_multipliers    then |x_1 - y_1|^2 <= rho^2 |x_0 - y_0|^2 for any two runs; nothing is asked of b, h or rho
     curvature            G symmetric, a |z|^2 <= <z, h G z> <= b |z|^2, Psi = - h G DX:
                          <Psi + a DX, Psi + b DX> <= 0, that is p = 1, q = (a + b)/2, r = a b
     gradient_curvature   the gradient field of gradient_step.v satisfies it, for h of either sign
     one_sided            <Df, DX> <= mu |DX|^2, 0 <= h, h mu <= m:              p = 0, q = 1/2, r = - m
     lipschitz_inequality |Df|^2 <= l^2 |DX|^2, |h| l <= k:                      p = 1, q = 0, r = - k^2
     cocoercivity         <Df, DX> <= - nu |Df|^2, 0 < h, c h <= nu:             p = c, q = 1/2, r = 0
     lipschitz_step       an explicit method and an l-Lipschitz field: |D x_1| <= (1 + z sum_i |b_i| L_i) |D x_0| with
                          L_i = 1 + z sum_(j < i) |a_ij| L_j, |h| l <= z

   Proof of the first: the sum of S over the coordinates of (Dx_0, Psi) is rho^2 |Dx_0|^2 - |Dx_1|^2 plus brackets that are
   not positive.

   Sources: Dahlquist and Jeltsch (1979; BIT 46, 2006) for rho = 1; Nesterov (2018), (2.1.24), for the curvature. *)

From mathcomp Require Import all_ssreflect all_algebra.
From mathcomp Require Import ring.
Require Import euclidean slope gradient_step.
Set Implicit Arguments. Unset Strict Implicit. Unset Printing Implicit Defensive.
Import GRing.Theory Num.Theory Order.TTheory.
Local Open Scope ring_scope.

Lemma sum_le0 (F : realFieldType) (I : finType) (g : I -> F) : (forall i, g i <= 0) -> \sum_i g i <= 0.
Proof. by move=> h; rewrite -oppr_ge0 -sumrN; apply: sumr_ge0 => i _; rewrite oppr_ge0. Qed.

Section StageMultipliers.
Variables (F : realFieldType) (s k : nat) (A : 'M[F]_s) (b : 'I_s -> F).
Variables (p q r t : 'I_k -> 'I_s -> F) (rho : F).

Definition stage_of (x : F) (z : 'I_s -> F) i := x + \sum_j A i j * z j.
Definition end_of (x : F) (z : 'I_s -> F) := x + \sum_i b i * z i.
Definition bracket c i (z xi : F) := p c i * z ^+ 2 + 2%:R * q c i * (z * xi) + r c i * xi ^+ 2.
Definition stage_form (x : F) (z : 'I_s -> F) :=
  rho ^+ 2 * x ^+ 2 - end_of x z ^+ 2 + \sum_c \sum_i t c i * bracket c i (z i) (stage_of x z i).

Variables (n : nat) (f : 'I_s -> 'cV[F]_n -> 'cV[F]_n) (h : F).

(* The field satisfies its inequalities. *)
Definition inequalities := forall c i u v, let psi := h *: (f i u - f i v) in
  p c i * sqn psi + 2%:R * q c i * dot psi (u - v) + r c i * sqn (u - v) <= 0.

(* A run of one step, its stage equations solved. *)
Definition run (x0 : 'cV[F]_n) (X : 'I_s -> 'cV[F]_n) (x1 : 'cV[F]_n) :=
  (forall i, X i = x0 + h *: \sum_j A i j *: f j (X j)) /\ x1 = x0 + h *: \sum_i b i *: f i (X i).

Variables (x0 y0 x1 y1 : 'cV[F]_n) (X Y : 'I_s -> 'cV[F]_n).
Hypotheses (run_x : run x0 X x1) (run_y : run y0 Y y1).
Let psi i := h *: (f i (X i) - f i (Y i)).

Lemma combined (w : 'I_s -> F) :
  h *: (\sum_j w j *: f j (X j)) - h *: (\sum_j w j *: f j (Y j)) = \sum_j w j *: psi j.
Proof.
rewrite -scalerBr -sumrB scaler_sumr; apply: eq_bigr => j _.
by rewrite -scalerBr /psi !scalerA mulrC.
Qed.

Lemma stage_difference i : X i - Y i = (x0 - y0) + \sum_j A i j *: psi j.
Proof. by rewrite {1}(proj1 run_x i) {1}(proj1 run_y i) opprD addrACA (combined (A i)). Qed.

Lemma end_difference : x1 - y1 = (x0 - y0) + \sum_i b i *: psi i.
Proof. by rewrite (proj2 run_x) (proj2 run_y) opprD addrACA combined. Qed.

Lemma coordinate (w : 'I_s -> F) l :
  ((x0 - y0) + \sum_j w j *: psi j) l 0 = (x0 - y0) l 0 + \sum_j w j * psi j l 0.
Proof. by rewrite mxE summxE; congr (_ + _); apply: eq_bigr => j _; rewrite mxE. Qed.

Lemma sqn_coordinates (u : 'cV[F]_n) : sqn u = \sum_l u l 0 ^+ 2.
Proof. by apply: eq_bigr => l _; rewrite expr2. Qed.

(* The sum of the form over the coordinates. *)
Lemma form_sum : \sum_l stage_form ((x0 - y0) l 0) (fun i => psi i l 0) =
  rho ^+ 2 * sqn (x0 - y0) - sqn (x1 - y1) +
  \sum_c \sum_i t c i * (p c i * sqn (psi i) + 2%:R * q c i * dot (psi i) (X i - Y i) + r c i * sqn (X i - Y i)).
Proof.
rewrite /stage_form big_split /= sumrB -mulr_sumr -sqn_coordinates; congr (_ - _ + _).
  rewrite sqn_coordinates end_difference; apply: eq_bigr => l _; by rewrite coordinate.
rewrite exchange_big; apply: eq_bigr => c _; rewrite exchange_big; apply: eq_bigr => i _.
rewrite -mulr_sumr; congr (_ * _); rewrite !sqn_coordinates /dot !mulr_sumr -!big_split /=.
apply: eq_bigr => l _; rewrite stage_difference coordinate; by rewrite /bracket.
Qed.

Theorem stage_multipliers : (forall c i, 0 <= t c i) -> (forall x z, 0 <= stage_form x z) -> inequalities ->
  sqn (x1 - y1) <= rho ^+ 2 * sqn (x0 - y0).
Proof.
move=> t0 psd field.
have sum0 : 0 <= \sum_l stage_form ((x0 - y0) l 0) (fun i => psi i l 0) by apply: sumr_ge0 => l _; exact: psd.
rewrite form_sum in sum0.
have brackets : \sum_c \sum_i t c i * (p c i * sqn (psi i) + 2%:R * q c i * dot (psi i) (X i - Y i)
                                       + r c i * sqn (X i - Y i)) <= 0.
  apply: sum_le0 => c; apply: sum_le0 => i; exact: mulr_ge0_le0 (t0 c i) (field c i (X i) (Y i)).
rewrite -subr_ge0; apply: (le_trans sum0); by rewrite ger_addl.
Qed.
End StageMultipliers.

(* The inequalities that what is claimed of a field implies. *)
Section Inequalities.
Variables (F : realFieldType) (n : nat).
Implicit Types (u v d : 'cV[F]_n) (h : F).

(* A symmetric H with 0 <= H <= w: |H z|^2 <= w <z, H z>. *)
Lemma symmetric_square (H : 'M[F]_n) (w : F) : H^T = H -> 0 <= w ->
  (forall z, 0 <= dot z (H *m z)) -> (forall z, dot z (H *m z) <= w * sqn z) ->
  forall z, sqn (H *m z) <= w * dot z (H *m z).
Proof.
move=> sH w0 lo hi z.
(* 0 <= <w z - H z, H (w z - H z)> = w^2 <z, H z> - 2 w |H z|^2 + <H z, H H z> *)
have h1 := lo (w *: z - H *m z); have h2 := hi (H *m z).
have e : dot (w *: z - H *m z) (H *m (w *: z - H *m z)) =
         w ^+ 2 * dot z (H *m z) - 2%:R * w * sqn (H *m z) + dot (H *m z) (H *m (H *m z)).
  have c : dot z (H *m (H *m z)) = sqn (H *m z) by rewrite /sqn [RHS]dot_adj sH.
  rewrite mulmxBr -scalemxAr dotBl !dotBr !dotZl !dotZr c -/(sqn (H *m z)).
  by move: (dot z (H *m z)) (sqn (H *m z)) (dot (H *m z) (H *m (H *m z))) => X S D; ring.
rewrite e in h1.
have [w00|wp] := eqVneq w 0.
  (* H vanishes *)
  have z0 y : dot y (H *m y) = 0.
    by apply/eqP; rewrite eq_le lo andbT; apply: le_trans (hi y) _; rewrite w00 mul0r.
  have h3 := lo (z - H *m z); have h4 := z0 (z - H *m z).
  have e' : dot (z - H *m z) (H *m (z - H *m z)) =
            dot z (H *m z) - 2%:R * sqn (H *m z) + dot (H *m z) (H *m (H *m z)).
    have c : dot z (H *m (H *m z)) = sqn (H *m z) by rewrite /sqn [RHS]dot_adj sH.
    rewrite mulmxBr dotBl !dotBr c -/(sqn (H *m z)); ring.
  rewrite e' !z0 add0r addr0 in h4.
  rewrite w00 mul0r; move/eqP: h4; rewrite oppr_eq0 mulf_eq0 pnatr_eq0 /= => /eqP ->; exact: lexx.
have wpos : 0 < w by rewrite lt0r wp.
rewrite -(ler_pmul2l wpos).
have d := addr_ge0 h1 (etrans (subr_ge0 _ _) h2).
by apply: (le_of_diff d); ring.
Qed.

Theorem curvature (G : 'M[F]_n) h a b : G^T = G -> (forall z, a * sqn z <= h * dot z (G *m z)) ->
  (forall z, h * dot z (G *m z) <= b * sqn z) -> forall d psi,
  psi = - (h *: (G *m d)) ->
  1 * sqn psi + 2%:R * ((a + b) / 2%:R) * dot psi d + a * b * sqn d <= 0.
Proof.
move=> sG lo hi d psi ePsi.
have [d0|dn] := eqVneq (sqn d) 0.
  have dz := sqn_eq0 d0.
  by rewrite ePsi dz mulmx0 scaler0 oppr0 dot0l !sqn0 !mulr0 !addr0.
have dp : 0 < sqn d by rewrite lt0r dn sqn_ge0.
have ab : 0 <= b - a.
  have := le_trans (lo d) (hi d); by rewrite ler_pmul2r // subr_ge0.
pose H := h *: G - a%:M.
have sH : H^T = H by rewrite /H linearB /= linearZ /= sG tr_scalar_mx.
have form z : dot z (H *m z) = h * dot z (G *m z) - a * sqn z.
  by rewrite /H mulmxBl -scalemxAl mul_scalar_mx dotBr !dotZr.
have low z : 0 <= dot z (H *m z) by rewrite form subr_ge0.
have high z : dot z (H *m z) <= (b - a) * sqn z by rewrite form mulrBl ler_add2r.
have main := symmetric_square sH ab low high d.
have e : H *m d = - (psi + a *: d) by rewrite /H ePsi mulmxBl -scalemxAl mul_scalar_mx opprD opprK.
rewrite e sqnN dotNr dotDr dotZr sqnD sqnZ dotZr (dotC d) -/(sqn d) -subr_ge0 in main.
by apply: (le_of_diff main); field; rewrite ?pnatr_eq0.
Qed.

(* The gradient field of gradient_step.v, its smallest singular value squared at least s2; s2 = 0 is always allowed. *)
Theorem gradient_curvature (m : nat) (W : 'M[F]_(m, n)) (w : 'cV[F]_m) (sg : 'I_m -> F -> F) (lo L K s2 h a b : F) :
  0 <= lo -> lo <= L -> (forall i, slope_in lo L (sg i)) -> opbound W K -> oplower W s2 ->
  a <= h * (lo * s2) -> a <= h * (L * K) -> h * (lo * s2) <= b -> h * (L * K) <= b ->
  forall u v psi, psi = h *: (gradient_field W w sg u - gradient_field W w sg v) ->
  1 * sqn psi + 2%:R * ((a + b) / 2%:R) * dot psi (u - v) + a * b * sqn (u - v) <= 0.
Proof.
move=> lo0 loL hs hW hB a1 a2 b1 b2 u v psi ePsi.
pose G := secant W w sg lo u v.
have below z : lo * s2 * sqn z <= dot z (G *m z) by exact: (secant_below w lo0 loL hs u v z hB).
have above z : dot z (G *m z) <= L * K * sqn z by exact: (secant_above w lo0 loL hs hW u v z).
apply: (@curvature G); last by rewrite ePsi (gradient_field_diff W w sg lo) scalerN.
- exact: secant_sym.
- move=> z.
  case: (leP 0 h) => [h0|/ltW h0].
  + apply: le_trans (ler_wpmul2l h0 (below z)); by rewrite mulrA ler_wpmul2r ?sqn_ge0.
  + apply: le_trans (ler_wnmul2l h0 (above z)); by rewrite mulrA ler_wpmul2r ?sqn_ge0.
- move=> z; case: (leP 0 h) => [h0|/ltW h0].
  + apply: (le_trans (ler_wpmul2l h0 (above z))); by rewrite mulrA ler_wpmul2r ?sqn_ge0.
  + apply: (le_trans (ler_wnmul2l h0 (below z))); by rewrite mulrA ler_wpmul2r ?sqn_ge0.
Qed.

Variables (f : 'cV[F]_n -> 'cV[F]_n) (h : F).

Theorem one_sided (mu m : F) : (forall u v, dot (f u - f v) (u - v) <= mu * sqn (u - v)) -> 0 <= h -> h * mu <= m ->
  forall u v psi, psi = h *: (f u - f v) ->
  0 * sqn psi + 2%:R * (1 / 2%:R) * dot psi (u - v) + (- m) * sqn (u - v) <= 0.
Proof.
move=> hf h0 hm u v psi ->; rewrite dotZl.
have h1 := ler_wpmul2l h0 (hf u v); have h2 := ler_wpmul2r (sqn_ge0 (u - v)) hm.
rewrite -subr_ge0 in h1; rewrite -subr_ge0 in h2.
by apply: (le_of_diff (addr_ge0 h1 h2)); field; rewrite ?pnatr_eq0.
Qed.

Theorem lipschitz_inequality (l k : F) : (forall u v, sqn (f u - f v) <= l ^+ 2 * sqn (u - v)) -> `|h| * l <= k ->
  0 <= l -> forall u v psi, psi = h *: (f u - f v) ->
  1 * sqn psi + 2%:R * 0 * dot psi (u - v) + (- k ^+ 2) * sqn (u - v) <= 0.
Proof.
move=> hf hk l0 u v psi ->; rewrite sqnZ.
have h1 := ler_wpmul2l (sqr_ge0 h) (hf u v).
have h3 : h ^+ 2 * l ^+ 2 <= k ^+ 2.
  by rewrite -[h ^+ 2]real_normK ?num_real // -exprMn square_le // mulr_ge0.
have h2 := ler_wpmul2r (sqn_ge0 (u - v)) h3.
rewrite -subr_ge0 in h1; rewrite -subr_ge0 in h2.
by apply: (le_of_diff (addr_ge0 h1 h2)); ring.
Qed.

Theorem cocoercivity (nu c : F) : (forall u v, dot (f u - f v) (u - v) <= - (nu * sqn (f u - f v))) -> 0 < h ->
  c * h <= nu -> forall u v psi, psi = h *: (f u - f v) ->
  c * sqn psi + 2%:R * (1 / 2%:R) * dot psi (u - v) + 0 * sqn (u - v) <= 0.
Proof.
move=> hf h0 hc u v psi ->; rewrite sqnZ dotZl.
have h1 := ler_wpmul2l (ltW h0) (hf u v).
have h2 := ler_wpmul2l (ltW h0) (ler_wpmul2r (sqn_ge0 (f u - f v)) hc).
rewrite -subr_ge0 in h1; rewrite -subr_ge0 in h2.
by apply: (le_of_diff (addr_ge0 h1 h2)); field; rewrite ?pnatr_eq0.
Qed.
End Inequalities.

(* An explicit method and a field of which nothing is known but its Lipschitz constant. *)
Section LipschitzStep.
Variables (F : realFieldType) (s n : nat) (A : 'M[F]_s) (b : 'I_s -> F) (f : 'cV[F]_n -> 'cV[F]_n) (h l z : F).
Hypothesis l0 : 0 <= l.
Hypothesis f_lipschitz : forall u v, sqn (f u - f v) <= l ^+ 2 * sqn (u - v).
Hypothesis hl : `|h| * l <= z.
Hypothesis explicit : forall i j : 'I_s, (i <= j)%N -> A i j = 0.

Let z0 : 0 <= z. Proof. by apply: le_trans hl; rewrite mulr_ge0. Qed.

Variables (x0 y0 x1 y1 : 'cV[F]_n) (X Y : 'I_s -> 'cV[F]_n).
Hypotheses (run_x : run A b (fun _ => f) h x0 X x1) (run_y : run A b (fun _ => f) h y0 Y y1).
Let psi i := h *: (f (X i) - f (Y i)).

(* sum_j w_j Psi_j, where the stages j that matter are Lipschitz with L_j *)
Lemma weighted_bound (w : 'I_s -> F) (L : 'I_s -> F) :
  (forall j, w j != 0 -> 0 <= L j /\ sqn (X j - Y j) <= L j ^+ 2 * sqn (x0 - y0)) ->
  let rho := 1 + z * \sum_j `|w j| * L j in
  1 <= rho /\ sqn ((x0 - y0) + \sum_j w j *: psi j) <= rho ^+ 2 * sqn (x0 - y0).
Proof.
move=> stages rho.
have each j : 0 <= z * (`|w j| * L j) /\ sqn (w j *: psi j) <= (z * (`|w j| * L j)) ^+ 2 * sqn (x0 - y0).
  have [w0|wn] := eqVneq (w j) 0; first by rewrite w0 normr0 mul0r mulr0 scale0r sqn0 expr0n mul0r.
  have [L0 hL] := stages j wn; split; first by rewrite !mulr_ge0.
  have h1 : sqn (psi j) <= (z * L j) ^+ 2 * sqn (x0 - y0).
    rewrite /psi sqnZ; apply: (le_trans (ler_wpmul2l (sqr_ge0 h) (f_lipschitz _ _))).
    have h3 : h ^+ 2 * l ^+ 2 <= z ^+ 2.
      by rewrite -[h ^+ 2]real_normK ?num_real // -exprMn square_le // mulr_ge0.
    rewrite mulrA; apply: (le_trans (ler_wpmul2r (sqn_ge0 _) h3)).
    rewrite exprMn -[X in _ <= X]mulrA; apply: ler_wpmul2l; [exact: sqr_ge0 | exact: hL].
  rewrite sqnZ; apply: (le_trans (ler_wpmul2l (sqr_ge0 (w j)) h1)).
  have e (a c d y : F) : a ^+ 2 * ((c * d) ^+ 2 * y) = (c * (a * d)) ^+ 2 * y by ring.
  by rewrite -[w j ^+ 2]real_normK ?num_real // e.
have [r0 hr] := @triangle_sum F n _ (index_enum (ordinal_finType s)) xpredT (fun j => w j *: psi j)
  (fun j => z * (`|w j| * L j)) (sqn (x0 - y0)) (sqn_ge0 _) (fun j _ => each j).
rewrite -mulr_sumr in r0 hr; split; first by rewrite ler_addl.
by apply: triangle; rewrite ?ler01 ?sqn_ge0 // expr1n mul1r.
Qed.

(* Any numbers that satisfy the recursion of the stages. *)
Theorem lipschitz_step (L : 'I_s -> F) : (forall i, L i = 1 + z * \sum_j `|A i j| * L j) ->
  sqn (x1 - y1) <= (1 + z * \sum_i `|b i| * L i) ^+ 2 * sqn (x0 - y0).
Proof.
move=> recursion.
have stages k : forall i : 'I_s, (i < k)%N -> 0 <= L i /\ sqn (X i - Y i) <= L i ^+ 2 * sqn (x0 - y0).
  elim: k => [//|k IH] i ik.
  have earlier j : A i j != 0 -> 0 <= L j /\ sqn (X j - Y j) <= L j ^+ 2 * sqn (x0 - y0).
    move=> aij; apply: IH; have ji : (j < i)%N.
      by rewrite ltnNge; apply/negP => ij; move: aij; rewrite explicit ?eqxx.
    exact: leq_trans ji ik.
  have [r1 hr] := weighted_bound earlier; rewrite -recursion in r1 hr; split; first exact: le_trans ler01 r1.
  by rewrite (stage_difference run_x run_y).
have all j : b j != 0 -> 0 <= L j /\ sqn (X j - Y j) <= L j ^+ 2 * sqn (x0 - y0).
  by move=> _; exact: stages (ltn_ord j).
by have [_ hr] := weighted_bound all; rewrite (end_difference run_x run_y).
Qed.
End LipschitzStep.
