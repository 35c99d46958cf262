(* The fields of the family: what a difference of two values is, as matrices, and what follows.

   G is a symmetric matrix between a and b, K a skew one with |K|^2 <= k2.  Write f for the difference of the field's values and
   z for that of the points, s = |z|^2.

   Theorems.
     dissipative_one_sided      f = (K - G) z:   <f, z> <= - a s
     dissipative_lipschitz      |f|^2 <= (q + d)^2 s   for  q^2 = k2 + c^2, 2 c = a + b, 2 d = b - a
     dissipative_cocoercive     a |f|^2 <= - (a b + k2) <f, z>, so  nu = a / (a b + k2)
     skew_gradient_one_sided    f = (K - r) G z:   <f, z> <= (- r c + d q) s   for  q^2 = k2 + r^2
     skew_gradient_lipschitz    |f|^2 <= (q g)^2 s   for  |G| <= g
     skew_gradient_step         |z + h f|^2 <= (e + |h| d q)^2 s   for  e^2 = (1 - h r c)^2 + (h c)^2 k2
     antisymmetric_one_sided    f = G (K - r) z:   the same as for (K - r) G
     antisymmetric_step         likewise
     nais_one_sided             f = - D P z, D symmetric between m and L, P between p1 and p2:
                                <f, z> <= (- e + d p) s  for  e <= c p1, e <= c p2, |P| <= p, 2 c = m + L, 2 d = L - m

   In the fields: G = W^T D W + gamma with the slopes D, K = S - S^T (dissipative); G = K^T D K + M^T M, or a block diagonal of
   two of these (Hamiltonian); G = D (antisymmetric).

   Source: Ehrhardt, Murari, Sherry, arXiv:2510.22299; the constants are elementary. *)

From mathcomp Require Import all_ssreflect all_algebra.
From mathcomp Require Import ring.
Require Import euclidean.
Set Implicit Arguments. Unset Strict Implicit. Unset Printing Implicit Defensive.
Import GRing.Theory Num.Theory Order.TTheory.
Local Open Scope ring_scope.

Section Forms.
Variables (F : realFieldType) (n : nat).
Implicit Types (G K : 'M[F]_n) (z : 'cV[F]_n).

(* Symmetric, and between a and b. *)
Definition between a b G := G^T = G /\ forall z, a * sqn z <= dot z (G *m z) /\ dot z (G *m z) <= b * sqn z.
Definition skew K := K^T = - K.

Lemma skew_form K z : skew K -> dot (K *m z) z = 0.
Proof.
move=> sk; have e : dot (K *m z) z = - dot (K *m z) z.
  by rewrite {1}dot_adj sk mulNmx dotNr dotC.
have : 2%:R * dot (K *m z) z = 0 by rewrite mulr2n mulrDl mul1r {2}e subrr.
by move/eqP; rewrite mulf_eq0 pnatr_eq0 /= => /eqP.
Qed.

Variables (G K : 'M[F]_n) (a b c d k2 : F).
Hypothesis G_ab : between a b G.
Hypothesis K_skew : skew K.
Hypothesis K_k2 : opbound K k2.
Hypothesis middle : 2%:R * c = a + b.
Hypothesis spread : 2%:R * d = b - a.
Hypothesis d0 : 0 <= d.

Let two_neq0 : 2%:R != 0 :> F. Proof. by rewrite pnatr_eq0. Qed.
Let ca : c - d = a.
Proof. by apply: (mulfI two_neq0); rewrite mulrBr middle spread; ring. Qed.
Let cb : c + d = b.
Proof. by apply: (mulfI two_neq0); rewrite mulrDr middle spread; ring. Qed.

(* |G z - c z| <= d |z| *)
Lemma centred z : sqn (G *m z - c *: z) <= d ^+ 2 * sqn z.
Proof.
have [sym form] := G_ab.
have e y : (G - c%:M) *m y = G *m y - c *: y by rewrite mulmxBl mul_scalar_mx.
rewrite -e; apply: symmetric_bound => //.
- by rewrite linearB /= sym tr_scalar_mx.
- move=> y; rewrite e dotBr dotZr -/(sqn y); have [low _] := form y.
  by rewrite -subr_ge0; apply: (le_of_diff (_ : 0 <= dot y (G *m y) - a * sqn y)); rewrite ?subr_ge0 // -ca; ring.
- move=> y; rewrite e dotBr dotZr -/(sqn y); have [_ high] := form y.
  by rewrite -subr_ge0; apply: (le_of_diff (_ : 0 <= b * sqn y - dot y (G *m y))); rewrite ?subr_ge0 // -cb; ring.
Qed.

Theorem dissipative_one_sided z : dot ((K - G) *m z) z <= - (a * sqn z).
Proof.
have [_ form] := G_ab; have [low _] := form z.
by rewrite mulmxBl dotBl skew_form // sub0r ler_opp2 dotC.
Qed.

Lemma skew_shift r z : sqn (K *m z - r *: z) = sqn (K *m z) + r ^+ 2 * sqn z.
Proof. by rewrite sqnB dotZr skew_form // mulr0 mulr0 subr0 sqnZ. Qed.

Lemma skew_shift_bound q r z : q ^+ 2 = k2 + r ^+ 2 -> sqn (K *m z - r *: z) <= q ^+ 2 * sqn z.
Proof. by move=> ->; rewrite skew_shift mulrDl ler_add2r; exact: K_k2. Qed.

Theorem dissipative_lipschitz q z : 0 <= q -> q ^+ 2 = k2 + c ^+ 2 ->
  sqn ((K - G) *m z) <= (q + d) ^+ 2 * sqn z.
Proof.
move=> q0 eq.
have -> : (K - G) *m z = (K *m z - c *: z) + (- (G *m z - c *: z)).
  by rewrite mulmxBl opprB addrA subrK.
apply: triangle => //; first exact: sqn_ge0.
- exact: skew_shift_bound.
- by rewrite sqnN; exact: centred.
Qed.

Theorem dissipative_cocoercive z : 0 < a ->
  a * sqn ((K - G) *m z) <= - ((a * b + k2) * dot ((K - G) *m z) z).
Proof.
move=> a0; have [_ form] := G_ab; have [low _] := form z.
set s := sqn z; set k := K *m z; set u := G *m z.
have kz : dot k z = 0 by exact: skew_form.
have zk : dot z k = 0 by rewrite dotC.
pose v1 := u - a *: z.
pose w := dot u z - a * s.
have w0 : 0 <= w by rewrite subr_ge0 dotC.
have s0 : 0 <= s by exact: sqn_ge0.
(* |u - a z|^2 <= (b - a) w *)
have hv : sqn v1 <= (b - a) * w.
  have h := centred z; rewrite -/u in h.
  rewrite /v1 /w sqnB dotZr sqnZ -/s.
  move: h; rewrite sqnB dotZr sqnZ -/s -subr_ge0 => h.
  by apply: (le_of_diff h); rewrite -ca -cb; ring.
have ev1z : dot v1 z = w by rewrite /v1 /w dotBl dotZl.
(* it is enough that this is not negative *)
pose X := k2 * w + a ^+ 2 * ((b - a) * s - w) + 2%:R * a * dot k v1.
have kk : sqn k <= k2 * s by exact: K_k2.
have X0 : 0 <= X.
  have [s_eq|s_neq] := eqVneq s 0.
    have z0 : z = 0 by exact: sqn_eq0.
    have k0 : k = 0 by rewrite /k z0 mulmx0.
    have u0 : u = 0 by rewrite /u z0 mulmx0.
    have w_0 : w = 0 by rewrite /w u0 s_eq dot0l mulr0 subr0.
    by rewrite /X w_0 s_eq k0 dot0l !mulr0 subr0 !mulr0 !addr0.
  have sp : 0 < s by rewrite lt0r s_neq.
  pose v := s *: v1 - w *: z.
  have kv : dot k v = s * dot k v1 by rewrite /v dotBr !dotZr kz mulr0 subr0.
  have hv2 : sqn v <= s * w * ((b - a) * s - w).
    have -> : sqn v = s ^+ 2 * sqn v1 - s * w ^+ 2.
      by rewrite /v sqnB !sqnZ dotZl dotZr ev1z -/s; ring.
    have := ler_wpmul2l (sqr_ge0 s) hv; rewrite -subr_ge0 => h.
    by apply: (le_of_diff h); ring.
  have [w_eq|w_neq] := eqVneq w 0.
    have v_0 : v = 0.
      apply: sqn_eq0; apply/eqP; rewrite eq_le sqn_ge0 andbT.
      by apply: le_trans hv2 _; rewrite w_eq mulr0 mul0r.
    have kv1 : dot k v1 = 0.
      by move: kv; rewrite v_0 dot0r => /esym/eqP; rewrite mulf_eq0 (negbTE s_neq) /= => /eqP.
    rewrite /X kv1 w_eq mulr0 mulr0 subr0 add0r addr0.
    rewrite mulr_ge0 ?sqr_ge0 // mulr_ge0 //.
    have -> : b - a = 2%:R * d by rewrite spread.
    by rewrite mulr_ge0 ?ler0n.
  have wp : 0 < w by rewrite lt0r w_neq.
  rewrite -(pmulr_rge0 _ (mulr_gt0 wp sp)).
  apply: le_trans (sqn_ge0 (w *: k + a *: v)) _.
  rewrite sqnD !sqnZ dotZl dotZr kv /X.
  have h1 := ler_wpmul2l (sqr_ge0 w) kk; have h2 := ler_wpmul2l (sqr_ge0 a) hv2.
  move: h1 h2; rewrite -subr_ge0 => h1; rewrite -subr_ge0 => h2.
  by apply: (le_of_diff (addr_ge0 h1 h2)); ring.
have e : dot ((K - G) *m z) z = - dot u z by rewrite mulmxBl dotBl -/k -/u kz sub0r.
rewrite e mulrN opprK.
have ez : v1 + a *: z = u by rewrite /v1 addrNK.
have -> : (K - G) *m z = k - (v1 + a *: z) by rewrite mulmxBl ez.
have kv1z : sqn (k - (v1 + a *: z)) = sqn k - 2%:R * dot k v1 + sqn v1 + 2%:R * a * w + a ^+ 2 * s.
  by rewrite sqnB sqnD !dotDr !dotZr sqnZ kz ev1z -/s; ring.
rewrite kv1z.
have uz : dot u z = w + a * s by rewrite /w subrK.
rewrite uz.
have h1 := ler_wpmul2l (ltW a0) kk; have h2 := ler_wpmul2l (ltW a0) hv.
move: h1 h2; rewrite -subr_ge0 => h1; rewrite -subr_ge0 => h2.
by apply: (le_of_diff (addr_ge0 (addr_ge0 h1 h2) X0)); rewrite /X; ring.
Qed.

(* (K - r) G *)
Theorem skew_gradient_one_sided q r z : 0 <= q -> q ^+ 2 = k2 + r ^+ 2 ->
  dot ((K - r%:M) *m (G *m z)) z <= (- (r * c) + d * q) * sqn z.
Proof.
move=> q0 eq; set B := G *m z - c *: z.
have -> : (K - r%:M) *m (G *m z) = c *: (K *m z - r *: z) + (K *m B - r *: B).
  have e y : (K - r%:M) *m y = K *m y - r *: y by rewrite mulmxBl mul_scalar_mx.
  have eB : c *: z + B = G *m z by rewrite /B addrC subrK.
  by rewrite -!e scalemxAr -mulmxDr eB.
rewrite dotDl dotZl dotBl skew_form // dotZl -/(sqn z) sub0r mulrDl.
have -> : c * - (r * sqn z) = - (r * c) * sqn z by ring.
rewrite ler_add2l mulrC.
have := @Cauchy_Schwarz_le _ _ (K *m B - r *: B) z (q * d) 1 (sqn z).
rewrite mulr1 expr1n mul1r => h; rewrite [X in _ <= X]mulrC [d * q]mulrC; apply: h => //.
- exact: mulr_ge0.
- exact: sqn_ge0.
- rewrite exprMn -mulrA; apply: le_trans (skew_shift_bound B eq) _.
  by rewrite ler_wpmul2l ?sqr_ge0 //; exact: centred.
Qed.

Theorem skew_gradient_lipschitz q r g z : 0 <= q -> q ^+ 2 = k2 + r ^+ 2 -> opbound G (g ^+ 2) ->
  sqn ((K - r%:M) *m (G *m z)) <= (q * g) ^+ 2 * sqn z.
Proof.
move=> q0 eq hg.
have -> : (K - r%:M) *m (G *m z) = K *m (G *m z) - r *: (G *m z) by rewrite mulmxBl mul_scalar_mx.
rewrite exprMn -mulrA; apply: le_trans (skew_shift_bound _ eq) _.
by rewrite ler_wpmul2l ?sqr_ge0.
Qed.

(* The middle of an Euler step: z + h c (K - r) z is e-Lipschitz, for its two parts are orthogonal. *)
Lemma middle_of_step h r e z : e ^+ 2 = (1 - h * r * c) ^+ 2 + (h * c) ^+ 2 * k2 ->
  sqn (z + (h * c) *: (K *m z - r *: z)) <= e ^+ 2 * sqn z.
Proof.
move=> ->.
have -> : z + (h * c) *: (K *m z - r *: z) = (1 - h * r * c) *: z + (h * c) *: (K *m z).
  by rewrite scalerBr scalerA scalerBl scale1r addrA [z + _ - _]addrAC; congr (z - _ *: _ + _); ring.
rewrite sqnD !sqnZ dotZl dotZr [dot z _]dotC skew_form // !mulr0 addr0 mulrDl ler_add2l -mulrA.
by rewrite ler_wpmul2l ?sqr_ge0 //; exact: K_k2.
Qed.

(* An Euler step of (K - r) G. *)
Theorem skew_gradient_step h q r e z : 0 <= q -> q ^+ 2 = k2 + r ^+ 2 ->
  0 <= e -> e ^+ 2 = (1 - h * r * c) ^+ 2 + (h * c) ^+ 2 * k2 ->
  sqn (z + h *: ((K - r%:M) *m (G *m z))) <= (e + `|h| * d * q) ^+ 2 * sqn z.
Proof.
move=> q0 eq e0 ee; set B := G *m z - c *: z.
have -> : z + h *: ((K - r%:M) *m (G *m z)) = (z + (h * c) *: (K *m z - r *: z)) + h *: (K *m B - r *: B).
  have ek y : (K - r%:M) *m y = K *m y - r *: y by rewrite mulmxBl mul_scalar_mx.
  have eB : c *: z + B = G *m z by rewrite /B addrC subrK.
  by rewrite -!ek -scalerA -addrA -scalerDr [c *: _]scalemxAr -mulmxDr eB.
apply: triangle => //.
- by rewrite !mulr_ge0.
- exact: sqn_ge0.
- exact: middle_of_step.
have -> : (`|h| * d * q) ^+ 2 * sqn z = h ^+ 2 * (q ^+ 2 * (d ^+ 2 * sqn z)).
  by rewrite !exprMn (real_normK (num_real h)); ring.
rewrite sqnZ; apply: ler_wpmul2l; first exact: sqr_ge0.
apply: le_trans (skew_shift_bound B eq) _.
by rewrite ler_wpmul2l ?sqr_ge0 //; exact: centred.
Qed.

(* An Euler step of G (K - r). *)
Theorem antisymmetric_step h q r e z : 0 <= q -> q ^+ 2 = k2 + r ^+ 2 ->
  0 <= e -> e ^+ 2 = (1 - h * r * c) ^+ 2 + (h * c) ^+ 2 * k2 ->
  sqn (z + h *: (G *m ((K - r%:M) *m z))) <= (e + `|h| * d * q) ^+ 2 * sqn z.
Proof.
move=> q0 eq e0 ee; set y := (K - r%:M) *m z.
have ey : y = K *m z - r *: z by rewrite /y mulmxBl mul_scalar_mx.
have -> : z + h *: (G *m y) = (z + (h * c) *: (K *m z - r *: z)) + h *: (G *m y - c *: y).
  by rewrite -ey -scalerA -addrA -scalerDr [c *: y + _]addrC subrK.
apply: triangle => //.
- by rewrite !mulr_ge0.
- exact: sqn_ge0.
- exact: middle_of_step.
have -> : (`|h| * d * q) ^+ 2 * sqn z = h ^+ 2 * (d ^+ 2 * (q ^+ 2 * sqn z)).
  by rewrite !exprMn (real_normK (num_real h)); ring.
rewrite sqnZ; apply: ler_wpmul2l; first exact: sqr_ge0.
apply: le_trans (centred y) _; rewrite ler_wpmul2l ?sqr_ge0 // ey.
exact: skew_shift_bound.
Qed.
End Forms.

(* G (K - r) is the transpose of (- K - r) G. *)
Theorem antisymmetric_one_sided (F : realFieldType) n (G K : 'M[F]_n) a b c d k2 q r z :
  between a b G -> skew K -> opbound K k2 -> 2%:R * c = a + b -> 2%:R * d = b - a -> 0 <= d ->
  0 <= q -> q ^+ 2 = k2 + r ^+ 2 ->
  dot (G *m ((K - r%:M) *m z)) z <= (- (r * c) + d * q) * sqn z.
Proof.
move=> hG sk hK hc hd d0 q0 eq.
have skN : skew (- K) by rewrite /skew linearN /= sk.
have hKN : opbound (- K) k2 by move=> x; rewrite mulNmx sqnN; exact: hK.
have := @skew_gradient_one_sided F n G (- K) a b c d k2 hG skN hKN hc hd d0 q r z q0 eq.
have [sym _] := hG.
have -> : dot (G *m ((K - r%:M) *m z)) z = dot ((- K - r%:M) *m (G *m z)) z => //.
by rewrite dot_adj sym dot_adj linearB /= sk tr_scalar_mx dotC.
Qed.

Theorem nais_one_sided (F : realFieldType) n (D P : 'M[F]_n) m L c d p1 p2 e p z :
  between m L D -> between p1 p2 P -> 2%:R * c = m + L -> 2%:R * d = L - m -> 0 <= d -> 0 <= p ->
  opbound P (p ^+ 2) -> e <= c * p1 -> e <= c * p2 ->
  dot (- (D *m (P *m z))) z <= (- e + d * p) * sqn z.
Proof.
move=> hD hP hc hd d0 p0 Pp e1 e2; have [_ form] := hP; have [low high] := form z.
set y := P *m z.
have -> : - (D *m y) = - (c *: y) + - (D *m y - c *: y) by rewrite opprB addrA addNr add0r.
rewrite dotDl mulrDl; apply: ler_add.
  rewrite dotNl dotZl mulNr ler_opp2 [dot y z]dotC.
  have s0 := sqn_ge0 z.
  case: (leP 0 c) => c0.
    by apply: le_trans (ler_wpmul2r s0 e1) _; rewrite -mulrA ler_wpmul2l.
  apply: le_trans (ler_wpmul2r s0 e2) _; rewrite -mulrA.
  by rewrite -ler_opp2 -!mulNr ler_wpmul2l // oppr_ge0 ltW.
have := @Cauchy_Schwarz_le _ _ (- (D *m y - c *: y)) z (d * p) 1 (sqn z).
rewrite mulr1 expr1n mul1r; apply => //; first exact: mulr_ge0; first exact: sqn_ge0.
rewrite sqnN exprMn -mulrA; apply: le_trans (@centred F n D m L c d hD hc hd d0 y) _.
by rewrite ler_wpmul2l ?sqr_ge0 //; exact: Pp.
Qed.
