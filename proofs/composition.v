(* Composition.

   Lipschitz constants multiply: if T_1 is L_1-Lipschitz and T_2 is L_2-Lipschitz, T_2 o T_1 is (L_2 L_1)-Lipschitz.

   Averaged operators: T is alpha-averaged, 0 <= alpha < 1, when
       |(x - T x) - (y - T y)|^2 <= phi (|x - y|^2 - |T x - T y|^2),    phi = alpha / (1 - alpha).
   (For alpha > 0 this is the usual T = (1 - alpha) I + alpha N with N non-expansive: averaged_iff.)
   Averaged operators compose: phi adds, so for T_1, ..., T_k
       phi = sum_i alpha_i / (1 - alpha_i),    alpha = phi / (1 + phi).

   Source: Combettes and Yamada, J. Math. Anal. Appl. 425 (2015), Proposition 2.5. *)

From mathcomp Require Import all_ssreflect all_algebra.
From mathcomp Require Import ring.
Require Import euclidean.
Set Implicit Arguments. Unset Strict Implicit. Unset Printing Implicit Defensive.
Import GRing.Theory Num.Theory Order.TTheory.
Local Open Scope ring_scope.

Section Lipschitz.
Variable F : realFieldType.

Theorem lipschitz_comp n m p L1 L2 (T1 : 'cV[F]_n -> 'cV[F]_m) (T2 : 'cV[F]_m -> 'cV[F]_p) :
  lipschitz L1 T1 -> lipschitz L2 T2 -> lipschitz (L2 * L1) (T2 \o T1).
Proof.
move=> [L10 h1] [L20 h2]; split=> [|x y /=]; first exact: mulr_ge0.
apply: (le_trans (h2 _ _)); rewrite exprMn -[X in _ <= X]mulrA; apply: ler_wpmul2l; [exact: sqr_ge0 | exact: h1].
Qed.

(* Branches on one input: constants add up. A mean is a sum of maps that are scaled. *)
Theorem lipschitz_sum n m L1 L2 (T1 T2 : 'cV[F]_n -> 'cV[F]_m) :
  lipschitz L1 T1 -> lipschitz L2 T2 -> lipschitz (L1 + L2) (fun x => T1 x + T2 x).
Proof.
move=> [L10 h1] [L20 h2]; split=> [|x y]; first exact: addr_ge0.
by rewrite opprD addrACA; apply: triangle; rewrite ?sqn_ge0 ?h1 ?h2.
Qed.

Theorem lipschitz_scale n m L c (T : 'cV[F]_n -> 'cV[F]_m) :
  0 <= c -> lipschitz L T -> lipschitz (c * L) (fun x => c *: T x).
Proof.
move=> c0 [L0 h]; split=> [|x y]; first exact: mulr_ge0.
rewrite -scalerBr sqnZ exprMn -[X in _ <= X]mulrA; apply: ler_wpmul2l; [exact: sqr_ge0 | exact: h].
Qed.

(* A chain of maps of one space, first map first; layers of different widths compose by lipschitz_comp. *)
Definition chain n (Ts : seq ('cV[F]_n -> 'cV[F]_n)) (x : 'cV[F]_n) := foldl (fun y T => T y) x Ts.

Theorem lipschitz_chain n (Ts : seq ('cV[F]_n -> 'cV[F]_n)) (Ls : seq F) :
  size Ts = size Ls -> (forall i, (i < size Ts)%N -> lipschitz (nth 0 Ls i) (nth id Ts i)) ->
  lipschitz (\prod_(L <- Ls) L) (chain Ts).
Proof.
elim: Ts Ls => [|T Ts IH] [|L Ls] //= => [_ _|[sz] h].
  by rewrite big_nil; split=> [|x y]; rewrite ?ler01 // expr1n mul1r.
rewrite big_cons mulrC; apply: (@lipschitz_comp _ _ _ _ _ T (chain Ts)); first exact: (h 0%N isT).
by apply: IH => // i hi; apply: (h i.+1).
Qed.
End Lipschitz.

Section Averaged.
Variables (F : realFieldType) (n : nat).
Implicit Types (T N : 'cV[F]_n -> 'cV[F]_n) (phi alpha : F).

(* averaged, in terms of phi = alpha / (1 - alpha) *)
Definition averaged_phi phi T := 0 <= phi /\ forall x y,
  sqn ((x - T x) - (y - T y)) <= phi * (sqn (x - y) - sqn (T x - T y)).

Definition averaged alpha T := [/\ 0 <= alpha, alpha < 1 & averaged_phi (alpha / (1 - alpha)) T].

(* T = (1 - alpha) I + alpha N *)
Theorem averaged_iff alpha T N : 0 < alpha -> alpha < 1 ->
  (forall x, T x = (1 - alpha) *: x + alpha *: N x) -> (nonexpansive N <-> averaged alpha T).
Proof.
move=> a0 a1 e.
have b0 : 0 < 1 - alpha by rewrite subr_gt0.
have key x y : sqn ((x - T x) - (y - T y)) * (1 - alpha) - alpha * (sqn (x - y) - sqn (T x - T y))
             = alpha ^+ 2 * (sqn (N x - N y) - sqn (x - y)).
  have -> : (x - T x) - (y - T y) = alpha *: ((x - y) - (N x - N y)).
    by rewrite !e; by_entries.
  have -> : T x - T y = (1 - alpha) *: (x - y) + alpha *: (N x - N y).
    by rewrite !e; by_entries.
  by move: (x - y) (N x - N y) => u v; rewrite sqnZ sqnB sqnD !sqnZ dotZl dotZr; ring.
have a2 : 0 < alpha ^+ 2 by rewrite exprn_gt0.
have iff x y : (sqn (N x - N y) <= sqn (x - y)) =
    (sqn ((x - T x) - (y - T y)) <= alpha / (1 - alpha) * (sqn (x - y) - sqn (T x - T y))).
  rewrite -subr_le0 -(pmulr_rle0 _ a2) -key subr_le0.
  by rewrite mulrAC ler_pdivl_mulr.
split=> [h|[_ _ [_ h]] x y]; last by rewrite iff.
split; [exact: ltW | exact: a1 | split=> [|x y]]; last by rewrite -iff.
by rewrite divr_ge0 // ltW.
Qed.

(* An averaged operator is non-expansive. *)
Lemma averaged_nonexpansive phi T : averaged_phi phi T -> 0 < phi -> nonexpansive T.
Proof.
move=> [_ h] p0 x y; have := le_trans (sqn_ge0 _) (h x y).
by rewrite pmulr_rge0 // subr_ge0.
Qed.

(* With phi = 0 the operator is a translation. *)
Lemma averaged0 T : averaged_phi 0 T -> forall x y, T x - T y = x - y.
Proof.
move=> [_ h] x y; have := h x y; rewrite mul0r => h0.
have e : sqn ((x - T x) - (y - T y)) = 0 by apply/eqP; rewrite eq_le h0 sqn_ge0.
have e' : (x - y) - (T x - T y) = 0 by rewrite -(sqn_eq0 e); by_entries.
by apply/esym/eqP; rewrite -subr_eq0 e'.
Qed.

Theorem averaged_comp phi1 phi2 T1 T2 :
  averaged_phi phi1 T1 -> averaged_phi phi2 T2 -> averaged_phi (phi1 + phi2) (T2 \o T1).
Proof.
move=> [p0 h1] [q0 h2]; split; first exact: addr_ge0.
move=> x y /=; set a := sqn (x - y); set b := sqn (T1 x - T1 y); set c := sqn (T2 _ - _).
have h1' := h1 x y; have h2' := h2 (T1 x) (T1 y).
set u := x - T1 x - _ in h1'; set v := T1 x - _ - _ in h2'; rewrite -/a -/b in h1'; rewrite -/b -/c in h2'.
have -> : x - T2 (T1 x) - (y - T2 (T1 y)) = u + v.
  by rewrite /u /v; by_entries.
have [ep|np] := eqVneq phi1 0.
  have u0 : u = 0 by apply: sqn_eq0; apply/eqP; rewrite eq_le sqn_ge0 andbT; move: h1'; rewrite ep mul0r.
  have ab : a = b by rewrite /a /b (averaged0 (conj (lexx 0) _)) // => z t; have := h1 z t; rewrite ep.
  by rewrite u0 add0r ep add0r ab.
have [eq|nq] := eqVneq phi2 0.
  have v0 : v = 0 by apply: sqn_eq0; apply/eqP; rewrite eq_le sqn_ge0 andbT; move: h2'; rewrite eq mul0r.
  have bc : c = b by rewrite /b /c (averaged0 (conj (lexx 0) _)) // => z t; have := h2 z t; rewrite eq.
  by rewrite v0 addr0 eq addr0 bc.
have pp : 0 < phi1 by rewrite lt0r np. have qp : 0 < phi2 by rewrite lt0r nq.
(* |u + v|^2 <= (phi1 + phi2) (|u|^2 / phi1 + |v|^2 / phi2) *)
have cs : phi1 * phi2 * sqn (u + v) <= (phi1 + phi2) * (phi2 * sqn u + phi1 * sqn v).
  have := sqn_ge0 (phi2 *: u - phi1 *: v); rewrite sqnB !sqnZ dotZl dotZr => s.
  by apply: (le_of_diff s); rewrite sqnD; ring.
have pq : 0 < phi1 * phi2 by rewrite mulr_gt0.
rewrite -(ler_pmul2l pq); apply: le_trans cs _.
have s0 : 0 <= phi1 + phi2 by rewrite addr_ge0.
have -> : phi1 * phi2 * ((phi1 + phi2) * (a - c)) =
          (phi1 + phi2) * (phi2 * (phi1 * (a - b)) + phi1 * (phi2 * (b - c))) by ring.
by rewrite ler_wpmul2l // ler_add // ler_wpmul2l.
Qed.

(* k operators: phi = sum of alpha_i / (1 - alpha_i). *)
Theorem averaged_chain (Ts : seq ('cV[F]_n -> 'cV[F]_n)) (phis : seq F) :
  size Ts = size phis -> (forall i, (i < size Ts)%N -> averaged_phi (nth 0 phis i) (nth id Ts i)) ->
  averaged_phi (\sum_(p <- phis) p) (chain Ts).
Proof.
elim: Ts phis => [|T Ts IH] [|p ps] //= => [_ _|[sz] h].
  rewrite big_nil; split=> // x y; by rewrite !subrr sqn0 mulr0.
rewrite big_cons; apply: (@averaged_comp _ _ T (chain Ts)); first exact: (h 0%N isT).
by apply: IH => // i hi; apply: (h i.+1).
Qed.

(* Back to alpha = phi / (1 + phi). *)
Theorem averaged_of_phi phi T : averaged_phi phi T -> averaged (phi / (1 + phi)) T.
Proof.
move=> [p0 h]; have p1 : 0 < 1 + phi by rewrite ltr_paddr // ltr01.
have e : 1 - phi / (1 + phi) = (1 + phi)^-1 by field; exact: lt0r_neq0.
split; first by rewrite divr_ge0 // ltW.
  by rewrite -subr_gt0 e invr_gt0.
by rewrite e invrK divfK ?lt0r_neq0.
Qed.

Theorem averaged_chain_alpha (Ts : seq ('cV[F]_n -> 'cV[F]_n)) (alphas : seq F) :
  size Ts = size alphas -> (forall i, (i < size Ts)%N -> averaged (nth 0 alphas i) (nth id Ts i)) ->
  let phi := \sum_(a <- alphas) a / (1 - a) in averaged (phi / (1 + phi)) (chain Ts).
Proof.
move=> sz h phi; apply: averaged_of_phi.
rewrite /phi -(big_map (fun a => a / (1 - a)) xpredT id).
apply: averaged_chain; first by rewrite size_map.
by move=> i hi; rewrite (nth_map 0) -?sz //; case: (h i hi).
Qed.
End Averaged.
