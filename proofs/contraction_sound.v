(* Flows of gradient fields: the constant of a step, and of several.

     below_bound_sound    below_bound l s p = Some (a, b)   gives   |W x|^2 >= (a / b) |x|^2
     euler_sound          a step of Euler's method is sqrt(euler_bound)-Lipschitz, contracting or too long to be non-expansive
     power_up_sound       power_up k (a, b) is at least (a / b)^k
     flow_bounds_sound    flow_bounds = Some (b, c)   gives   |W|^2 <= b,   and a step is sqrt c-Lipschitz
     flow_sound           ... and k steps are sqrt (power_up k c)-Lipschitz *)

From Coq Require Import ZArith List.
From mathcomp Require Import all_ssreflect all_algebra zify ssrZ.
From mathcomp Require Import ring.
Require Import euclidean slope gradient_step circle_contractivity operator_norm.
Require Import integer_core integer_sound integer_packed network_core network_sound phases convolution_sound witness_core witness_norm functions_sound.
Set Implicit Arguments. Unset Strict Implicit. Unset Printing Implicit Defensive.
Import GRing.Theory Num.Theory Order.TTheory.
Local Open Scope ring_scope.
Local Arguments Z.eqb : simpl never.
Local Arguments Z.leb : simpl never.
Local Arguments Z.ltb : simpl never.
Local Arguments Z.mul : simpl never.
Local Arguments Z.add : simpl never.
Local Arguments Z.sub : simpl never.
Local Arguments Z.abs : simpl never.
Local Arguments Nat.eqb : simpl never.

(* A large number, that is never to be unfolded. *)
Lemma root_den_pos : Z.ltb 0 root_den.
Proof. exact: isT. Qed.
Global Opaque root_den.

Section Contraction.
Variable F : realFieldType.
Notation zc := (zc F).
Notation over := (over F).

Lemma quotient_up_sound a b : Z.leb 0 a -> Z.ltb 0 b -> Z.leb 0 (quotient_up a b) /\ zc a / zc b <= zc (quotient_up a b).
Proof.
move=> a0 b0; split; first by apply/Z.leb_le; apply: Z.div_pos; lia.
rewrite ler_pdivr_mulr ?zc_gt0 // -zcM zc_le; apply/Z.leb_le.
move/Z.ltb_lt: b0 => b0; have := Z.mul_succ_div_gt (a + b - 1) b b0; rewrite /quotient_up Z.mul_succ_r; lia.
Qed.

(* Powers. *)
Lemma power_up_sound k a b : Z.leb 0 a -> Z.ltb 0 b ->
  [/\ Z.leb 0 (power_up k (a, b)).1, Z.ltb 0 (power_up k (a, b)).2
    & (zc a / zc b) ^+ k <= zc (power_up k (a, b)).1 / zc (power_up k (a, b)).2].
Proof.
move=> a0 b0; rewrite /power_up /=; have := root_den_pos; move: root_den => d d0; set u := Z.mul d d.
have u0 : Z.ltb 0 u by apply/Z.ltb_lt/Z.mul_pos_pos; apply/Z.ltb_lt.
have q0 : 0 <= zc a / zc b by apply: over_ge0.
suff h r : Z.leb 0 r -> Z.leb 0 (repeated k (fun r => quotient_up (Z.mul r a) b) r) /\
    (zc a / zc b) ^+ k * zc r <= zc (repeated k (fun r => quotient_up (Z.mul r a) b) r).
  have [h0 h1] := h u ltac:(lia); split=> //; by rewrite ler_pdivl_mulr ?zc_gt0.
elim: k r => [|k IH] r r0 /=; first by rewrite expr0 mul1r.
have ra : Z.leb 0 (Z.mul r a) by apply/Z.leb_le/Z.mul_nonneg_nonneg; apply/Z.leb_le.
have [s0 hs] := quotient_up_sound ra b0; have [t0 ht] := IH _ s0; split=> //.
apply: le_trans ht; rewrite exprSr -mulrA; apply: ler_wpmul2l; first exact: exprn_ge0.
by apply: le_trans hs; rewrite zcM mulrC mulrA.
Qed.

Lemma steps_lipschitz n (R : 'cV[F]_n -> 'cV[F]_n -> Prop) c k : 0 <= c ->
  (forall x y x' y', R x y -> R x' y' -> sqn (y - y') <= c * sqn (x - x')) ->
  forall x y x' y', steps_of R k x y -> steps_of R k x' y' -> sqn (y - y') <= c ^+ k * sqn (x - x').
Proof.
move=> c0 hR; elim: k => [|k IH] x y x' y' /=; first by move=> -> ->; rewrite expr0 mul1r.
move=> [z [r s]] [z' [r' s']]; apply: le_trans (IH _ _ _ _ s s') _.
by rewrite exprSr -mulrA; apply: ler_wpmul2l (hR _ _ _ _ r r'); apply: exprn_ge0.
Qed.

(* The operator from below: all of its rows, whatever it is. *)
Theorem below_bound_sound l s q a b : linear_fits l s -> below_bound l s q = Some (a, b) ->
  Z.ltb 0 b /\ oplower (matrix F l s) (zc a / zc b).
Proof.
move=> fits; case: q => [[fine alpha beta factor]|] /=; last first.
  by move=> [<- <-]; split=> // x; rewrite zc0 mul0r mul0r sqn_ge0.
have [d0 _ _] := linear_den_parts F fits; rewrite fits /=; move: (fits) => /andP [dp fit].
case ok: (_ && _) => // -[<- <-]; move: ok => /andP [f0 /packed_below_sound hb].
have e0 : Z.ltb 0 (Z.mul fine (linear_den l s)) by apply/Z.ltb_lt/Z.mul_pos_pos; apply/Z.ltb_lt.
split; first by apply/Z.ltb_lt/Z.mul_pos_pos; apply/Z.ltb_lt.
have [sr hr entries] := written_rows (op l) s.
set rows := whole_rows (op l) s in hb; set n := len s in hb *; pose m := len (linear_out l s).
have st := size_transpose hr; have ht : all (fun c => size c == m) (transpose n rows).
  apply/(all_nthP [::]) => j; rewrite st => hj; by rewrite nth_transpose // size_map sr.
have -> : matrix F l s = of_columns F n (linear_den l s) m (transpose n rows).
  apply/matrixP => i j; rewrite !mxE nth_transpose // (nth_map [::]) ?sr //.
  by rewrite entries // entry_taps.
rewrite -(of_columns_scaled F _ f0 st ht) zcB [zc (Z.mul (Z.mul _ _) _)]zcM -expr2.
apply: (below_sound (zc_nz F e0) _ _ hb); first by rewrite map_listE size_map.
by rewrite map_listE all_map; apply: sub_all ht => c; rewrite /= map_listE size_map.
Qed.

(* One step of Euler's method. *)
Lemma euler_step t h h_den n (f : 'cV[F]_n -> 'cV[F]_n) x z : is_euler t -> Z.ltb 0 (t_d t) -> step_of t h h_den f x z ->
  z = x + over h_den h *: f x.
Proof.
case: t => A b d; rewrite /is_euler /=; case: A => [//|row A]; case: row => [//|a row]; case: row => [|a' row]; case: A => [|row' A] //.
case: b => [//|b bs]; case: bs => [|b' bs] // /andP [/zc_eq -> /zc_eq ->] d0 [X [/(_ ord0)]].
rewrite big_ord1 big_ord1 mxE /= /over zc0 mul0r scale0r scaler0 addr0 => -> ->.
by rewrite /tableau_b /= /over divff ?zc_nz // scale1r.
Qed.

Theorem euler_sound t h h_den l g s b c : is_euler t -> Z.ltb 0 h_den -> Z.ltb 0 (t_d t) -> check_slope g ->
  Z.ltb 0 b.2 -> opbound (matrix F l s) (zc b.1 / zc b.2) -> Z.ltb 0 c.2 -> oplower (matrix F l s) (zc c.1 / zc c.2) ->
  let r := euler_bound h h_den g b c in
  [/\ Z.leb 0 r.1, Z.ltb 0 r.2 & forall x y x' y', step_of t h h_den (@field_map F (Gradient l g) s) x y ->
    step_of t h h_den (@field_map F (Gradient l g) s) x' y' -> sqn (y - y') <= zc r.1 / zc r.2 * sqn (x - x')].
Proof.
case: b c => [u v] [a q] et hd td hg v0 above q0 below /=; set m := max_z _ _; set d := Z.mul (Z.mul h_den _) q; set e := Z.mul h_den v.
move: (hg) => /andP [/andP [g0 _] _].
have d0 : Z.ltb 0 d by apply/Z.ltb_lt/Z.mul_pos_pos; [apply: Z.mul_pos_pos|]; apply/Z.ltb_lt.
have e0 : Z.ltb 0 e by apply/Z.ltb_lt/Z.mul_pos_pos; apply/Z.ltb_lt.
have f0 : Z.ltb 0 (Z.mul d e) by apply/Z.ltb_lt/Z.mul_pos_pos; apply/Z.ltb_lt.
split; [exact/Z.leb_le/Z.square_nonneg | by apply/Z.ltb_lt/Z.mul_pos_pos; apply/Z.ltb_lt | ].
move=> x y x' y' hy hy'; rewrite (euler_step et td hy) (euler_step et td hy').
have [a0 a1 hs] := slope_sound F hg.
have [_ lip] := @step_interval F _ _ (matrix F l s) (bias_of F l s) (fun _ => leaky g) _ 1 _ _ (over h_den h) a0 a1 (fun _ => hs) above below.
apply: le_trans (lip _ _) _; apply: ler_wpmul2r; first exact: sqn_ge0.
have hp := zc_gt0 F hd; have gp := zc_gt0 F g0; have vp := zc_gt0 F v0; have qp := zc_gt0 F q0.
have dp := zc_gt0 F d0; have ep := zc_gt0 F e0.
have -> : zc (Z.mul m m) / zc (Z.mul (Z.mul d e) (Z.mul d e)) = (zc m / zc (Z.mul d e)) ^+ 2 by rewrite !zcM expr2 mulf_div.
have part z w k : Z.ltb 0 w -> Z.ltb 0 k -> Z.leb (Z.mul (Z.abs z) k) m -> Z.mul w k = Z.mul d e -> `|zc z / zc w| <= zc m / zc (Z.mul d e).
  move=> /(zc_gt0 F) w0 /(zc_gt0 F) k0 le <-; move: le; rewrite -(zc_le F) !zcM zc_abs => le.
  by rewrite normrM normfV (gtr0_norm w0) ler_pdivr_mulr // invfM mulrA mulrAC divfK ?lt0r_neq0 // ler_pdivl_mulr.
apply: square_le; first by rewrite le_maxr normr_ge0.
rewrite le_maxl; apply/andP; split.
- have -> : 1 - over h_den h * (over (slope_den g) (slope_num g) * (zc a / zc q)) =
      zc (Z.sub d (Z.mul (Z.mul h (slope_num g)) a)) / zc d.
    by rewrite zcB /d !zcM /over; field; rewrite !lt0r_neq0.
  by apply: (part _ _ e) => //; apply/Z.leb_le; apply: max_z_l.
- have -> : 1 - over h_den h * (1 * (zc u / zc v)) = zc (Z.sub e (Z.mul h u)) / zc e.
    by rewrite zcB /e !zcM /over; field; rewrite !lt0r_neq0.
  by apply: (part _ _ d) => //; [apply/Z.leb_le; apply: max_z_r | apply: Z.mul_comm].
Qed.

(* Any flow that is known. *)
Theorem flow_bounds_sound t h h_den k l g s p b c : layer_fits (Flow t h h_den k (Gradient l g)) s ->
  flow_bounds t h h_den l s g p = Some (b, c) ->
  [/\ [/\ Z.leb 0 b.1, Z.ltb 0 b.2 & opbound (matrix F l s) (zc b.1 / zc b.2)], check_slope g /\ Z.leb 0 h, Z.leb 0 c.1, Z.ltb 0 c.2
    & forall x y x' y', step_of t h h_den (@field_map F (Gradient l g) s) x y ->
      step_of t h h_den (@field_map F (Gradient l g) s) x' y' -> sqn (y - y') <= zc c.1 / zc c.2 * sqn (x - x')].
Proof.
rewrite /layer_fits /field_fits => /andP [/andP [/andP [/andP [fits g0] hd] td] _]; rewrite /flow_bounds.
case: (flow_norm p) => [q|] //; case hn: (norm_bound l s q) => [[u v]|] //; have [u0 v0 hw] := norm_bound_sound F hn.
rewrite /step_bound; case hg0: (_ && _) => //; move: hg0 => /andP [hg h0].
case: p => [|r|r kn kd|r below] //.
  case ok: (_ && _) => // -[<- <-]; move: ok => /andP [hc hh]; have [a0 a1 hs] := slope_sound F hg.
  split=> // x y x' y' [X hX] [Y hY]; rewrite divff ?oner_eq0 // mul1r.
  have [k0 b0 psd] := circle_sound F hc.
  have kd0 : 0 < zc kd by move: hc; rewrite /circle_z -!andbA => /and5P [_ kp _ _ _]; apply: zc_gt0.
  have hp := zc_gt0 F hd; have qp := zc_gt0 F v0.
  apply: (@gradient_flow F _ _ _ _ _ _ _ _ _ 1 (zc u / zc v) (over h_den h) _ b0 psd a0 a1 (fun _ => hs) _ hw _ k0 _ _ _ _ _ _ _ hX hY).
  + by apply: divr_ge0; [apply: zc_ge0 | apply: ltW].
  + exact: over_ge0.
  + have := hh; rewrite -(zc_le F) !zcM mul1r /over.
    move: (zc u) (zc v) qp (zc h) (zc h_den) hp (zc kn) (zc kd) kd0 => C Q Q0 H D D0 N K K0 le.
    have e : H / D * (N / K) * (C / Q) * (K * D * Q) = H * N * C by field; rewrite !lt0r_neq0.
    by rewrite -(ler_pmul2r (_ : 0 < K * D * Q)) ?e ?mulr_gt0 // (_ : 2%:R * (K * D * Q) = 2%:R * K * D * Q) //; ring.
case et: (is_euler t) => //; case hb: (below_bound l s below) => [[a e]|] // [<- <-].
have [e0 hl] := below_bound_sound fits hb.
by have [r0 r1 lip] := @euler_sound t h h_den l g s (u, v) (a, e) et hd td hg v0 hw e0 hl.
Qed.

Theorem flow_sound t h h_den k l g s p b c : layer_fits (Flow t h h_den k (Gradient l g)) s ->
  flow_bounds t h h_den l s g p = Some (b, c) -> let r := power_up k c in
  [/\ Z.leb 0 r.1, Z.ltb 0 r.2 & forall (x x' : 'cV[F]_(len s)) y y', @layer_means F (Flow t h h_den k (Gradient l g)) s x y ->
    @layer_means F (Flow t h h_den k (Gradient l g)) s x' y' -> sqn (y - y') <= zc r.1 / zc r.2 * sqn (x - x')].
Proof.
move=> fits /(flow_bounds_sound fits) [_ _]; case: c => u v /= u0 v0 lip; have [r0 r1 hp] := power_up_sound k u0 v0.
split=> // x x' y y' hy hy'; apply: (le_trans (steps_lipschitz _ lip hy hy')); first exact: over_ge0.
by apply: ler_wpmul2r hp; apply: sqn_ge0.
Qed.
End Contraction.
