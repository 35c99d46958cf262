(* Shu-Osher form: convex combinations of Euler steps.

   A method whose stages are  y_0 = x,   y_i = sum_{j < i} a_ij E_ij(y_j),   a_ij >= 0,  where each
   E_ij(y) = y + h (b_ij / a_ij) f(y) is an Euler step that is rho_ij-Lipschitz, has stages that are Lipschitz with
       r_0 = 1,    r_i = sum_{j < i} a_ij rho_ij r_j.
   If the a_ij of each stage sum to 1 and all the Euler steps are non-expansive, so is the method.
   A factor below one of the Euler steps passes to the method: this gives rates of contraction, not only stability.

   Source: Gottlieb, Shu, Tadmor, SIAM Review 43 (2001), section 2; Shu and Osher (1988). *)

From mathcomp Require Import all_ssreflect all_algebra.
From mathcomp Require Import ring.
Require Import euclidean.
Set Implicit Arguments. Unset Strict Implicit. Unset Printing Implicit Defensive.
Import GRing.Theory Num.Theory Order.TTheory.
Local Open Scope ring_scope.

Section ShuOsher.
Variables (F : realFieldType) (n : nat).
Variables (a : nat -> nat -> F) (euler : nat -> nat -> 'cV[F]_n -> 'cV[F]_n) (rho : nat -> nat -> F).
Variables (y : nat -> 'cV[F]_n -> 'cV[F]_n) (r : nat -> F).

Hypothesis a_ge0 : forall i j, 0 <= a i j.
Hypothesis euler_lipschitz : forall i j, lipschitz (rho i j) (euler i j).
Hypothesis stage_first : forall x, y 0%N x = x.
Hypothesis stage : forall i x, y i.+1 x = \sum_(j < i.+1) a i.+1 j *: euler i.+1 j (y j x).

(* r may be rounded up at each stage *)
Hypothesis factor_first : 1 <= r 0%N.
Hypothesis factor : forall i, \sum_(j < i.+1) a i.+1 j * rho i.+1 j * r j <= r i.+1.

Theorem shu_osher i : lipschitz (r i) (y i).
Proof.
elim/ltn_ind: i => [[|i]] IH.
  split=> [|u v]; first exact: le_trans factor_first.
  rewrite !stage_first -[X in X <= _]mul1r ler_wpmul2r ?sqn_ge0 //.
  by have := square_le (@ler01 F) factor_first; rewrite expr1n.
have part (j : 'I_i.+1) : 0 <= a i.+1 j * rho i.+1 j * r j.
  have [rho0 _] := euler_lipschitz i.+1 j; have [r0 _] := IH j (ltn_ord j).
  exact: mulr_ge0 (mulr_ge0 (a_ge0 _ _) rho0) r0.
split=> [|u v]; first by apply: le_trans (factor i); apply: sumr_ge0.
have -> : y i.+1 u - y i.+1 v = \sum_(j < i.+1) a i.+1 j *: (euler i.+1 j (y j u) - euler i.+1 j (y j v)).
  by rewrite !stage -sumrB; apply: eq_bigr => j _; rewrite scalerBr.
have [|t0 h] := @triangle_sum F n _ (index_enum (ordinal_finType i.+1)) xpredT
  (fun j : 'I_i.+1 => a i.+1 j *: (euler i.+1 j (y j u) - euler i.+1 j (y j v)))
  (fun j : 'I_i.+1 => a i.+1 j * rho i.+1 j * r j) (sqn (u - v)) (sqn_ge0 _).
  move=> j _; split=> //; rewrite sqnZ.
  have e (p q r' t : F) : (p * q * r') ^+ 2 * t = p ^+ 2 * (q ^+ 2 * (r' ^+ 2 * t)) by ring.
  rewrite e ler_wpmul2l ?sqr_ge0 //.
  have [rho0 he] := euler_lipschitz i.+1 j; have [r0 hr] := IH j (ltn_ord j).
  by apply: (le_trans (he _ _)); apply: ler_wpmul2l; [exact: sqr_ge0 | exact: hr].
apply: (le_trans h); apply: ler_wpmul2r; first exact: sqn_ge0.
by apply: square_le; [exact: t0 | exact: factor].
Qed.
End ShuOsher.

Section NonExpansive.
Variables (F : realFieldType) (n : nat).
Variables (a : nat -> nat -> F) (euler : nat -> nat -> 'cV[F]_n -> 'cV[F]_n).
Variable (y : nat -> 'cV[F]_n -> 'cV[F]_n).

Theorem shu_osher_nonexpansive :
  (forall i j, 0 <= a i j) -> (forall i, \sum_(j < i.+1) a i.+1 j = 1) ->
  (forall i j, nonexpansive (euler i j)) -> (forall x, y 0%N x = x) ->
  (forall i x, y i.+1 x = \sum_(j < i.+1) a i.+1 j *: euler i.+1 j (y j x)) ->
  forall i, nonexpansive (y i).
Proof.
move=> a0 a1 e1 y0 ys i; apply/nonexpansive_lipschitz.
apply: (@shu_osher F n a euler (fun _ _ => 1) y (fun _ => 1) a0 _ y0 ys _ _ i) => //.
  by move=> p q; apply/nonexpansive_lipschitz.
by move=> p; rewrite (eq_bigr (fun j : 'I_p.+1 => a p.+1 j)) ?a1 // => j _; rewrite !mulr1.
Qed.
End NonExpansive.
