(* Radii of circle contractivity of the shipped tableaux, by computation in the kernel.

   A tableau is (A/d, b/d) with integers.  valid_radius t p q says: M + (q/p) B is positive semidefinite, so that p/q is a valid
   radius, over every real field.  exact_radius t p q: moreover no larger radius is valid, each kappa < q/p is refuted.
   infinite_radius t: kappa = 0, M itself is positive semidefinite.

     Euler 1, Heun = SSPRK(2,2) 1, SSPRK(3,3) 1, RK4 1, Kutta3 1/2, SSPRK(3,2) 2, SSPRK(4,3) 2, trapezoid 2:  exact
     Ralston2 = (sqrt 21 - 3)/2,  Ralston3 = 2 sqrt 6 - 4,  3/8 rule = 2 sqrt 3 - 3:  irrational; enclosed to 7 digits
     implicit Euler, implicit midpoint, Radau IIA (2 stages), Lobatto IIIC (2 stages):  infinity
     explicit midpoint, Heun3:  some b_i = 0 while stage i is used; no radius at all

   Beware of the decimals that are often quoted: 0.79129 (Ralston2) and 0.89898 (Ralston3) are rounded up, and are
   not valid radii; ralston2_rounded_up and ralston3_rounded_up refute them. *)

From Coq Require Import ZArith.
From mathcomp Require Import all_ssreflect all_algebra zify ssrZ.
From mathcomp Require Import ring.
Require Import euclidean circle_contractivity integer_core integer_sound.
Set Implicit Arguments. Unset Strict Implicit. Unset Printing Implicit Defensive.
Import GRing.Theory Num.Theory Order.TTheory.
Local Open Scope ring_scope.

Record tableau := Tableau { t_A : seq (seq Z); t_b : seq Z; t_d : Z }.

Section Meaning.
Variables (F : realFieldType) (t : tableau).

Definition contractive (kappa : F) :=
  (forall i, 0 <= @tableau_b F (t_b t) (t_d t) i) /\
  circle_contractive (@tableau_A F (t_A t) (t_b t) (t_d t)) (@tableau_b F (t_b t) (t_d t)) kappa.

(* radius p / q, kappa = q / p *)
Theorem radius p q : circle_z (t_A t) (t_b t) (t_d t) q p -> contractive (zc F q / zc F p).
Proof. by move=> /(@circle_sound F) []. Qed.

Theorem no_larger p q z kappa : Z.ltb 0 (t_d t) -> Z.ltb 0 p -> size z = size (t_b t) ->
  form_z (circle_matrix (t_A t) (t_b t) (t_d t) q p) z = Z0 ->
  Z.ltb 0 (List.fold_right Z.add Z0 (map2_z (fun bi x => Z.mul bi (Z.mul x x)) (t_b t) z)) ->
  kappa < zc F q / zc F p -> ~ contractive kappa.
Proof. by move=> d0 p0 sz f0 z0 lt [_]; apply: (circle_sharp_sound d0 p0 sz f0 z0 lt). Qed.

Theorem not_radius p q z : Z.ltb 0 (t_d t) -> Z.ltb 0 p -> size z = size (t_b t) ->
  Z.ltb (form_z (circle_matrix (t_A t) (t_b t) (t_d t) q p) z) 0 -> ~ contractive (zc F q / zc F p).
Proof. by move=> d0 p0 sz f0 [_]; apply: (circle_negative_sound d0 p0 sz f0). Qed.
End Meaning.

(* A weight b_i = 0 of a stage that is used: the form has a zero on the diagonal and something beside it. *)
Section NoRadius.
Variables (F : realFieldType) (s : nat) (A : 'M[F]_s) (b : 'I_s -> F).

Theorem no_radius i j kappa : b i = 0 -> b j * A j i != 0 -> ~ circle_contractive A b kappa.
Proof.
move=> bi nz h; set m := b j * A j i in nz.
pose C : 'M[F]_s := \matrix_(p, q) (stability A b p q + kappa * b p *+ (p == q)).
have formE (z : 'cV_s) : dot z (C *m z) = form A b kappa (fun p => z p 0).
  rewrite /form; apply: eq_bigr => p _; rewrite mxE mulr_sumr; apply: eq_bigr => q _; by rewrite mxE mulrCA.
have ij : i != j by apply: contraNneq nz => e; rewrite /m -e bi mul0r.
have c1 : C i j = m by rewrite !mxE /stability bi (negbTE ij) mulr0n /m; ring.
have c2 : C j i = m by rewrite !mxE /stability bi [j == i]eq_sym (negbTE ij) mulr0n /m; ring.
have cii : C i i = 0 by rewrite mxE /stability bi eqxx mulr1n; ring.
have dd p q : dot (delta_mx p 0) (C *m delta_mx q 0) = C p q.
  rewrite -colE /dot (bigD1 p) //= !mxE !eqxx mul1r big1 ?addr0 // => l /negbTE lp.
  by rewrite !mxE lp mul0r.
pose t := - (C j j + 1) / (2%:R * m).
have := h (fun p => (delta_mx j 0 + t *: delta_mx i 0 : 'cV_s) p 0); rewrite -formE.
rewrite mulmxDr -scalemxAr dotDl !dotDr !dotZl !dotZr !dd cii c1 c2.
have -> : C j j + t * m + (t * m + t * (t * 0)) = - 1 by rewrite /t; field.
by rewrite oppr_ge0 ler10.
Qed.
End NoRadius.

Section Shipped.
Local Open Scope Z_scope.
Definition euler := Tableau [:: [:: 0]] [:: 1] 1.
Definition heun := Tableau [:: [:: 0; 0]; [:: 2; 0]] [:: 1; 1] 2.
Definition ssprk33 := Tableau [:: [:: 0; 0; 0]; [:: 12; 0; 0]; [:: 3; 3; 0]] [:: 2; 2; 8] 12.
Definition rk4 := Tableau [:: [:: 0; 0; 0; 0]; [:: 3; 0; 0; 0]; [:: 0; 3; 0; 0]; [:: 0; 0; 6; 0]] [:: 1; 2; 2; 1] 6.
Definition kutta3 := Tableau [:: [:: 0; 0; 0]; [:: 3; 0; 0]; [:: -6; 12; 0]] [:: 1; 4; 1] 6.
Definition ssprk32 := Tableau [:: [:: 0; 0; 0]; [:: 3; 0; 0]; [:: 3; 3; 0]] [:: 2; 2; 2] 6.
Definition ssprk43 :=
  Tableau [:: [:: 0; 0; 0; 0]; [:: 3; 0; 0; 0]; [:: 3; 3; 0; 0]; [:: 1; 1; 1; 0]] [:: 1; 1; 1; 3] 6.
Definition trapezoid := Tableau [:: [:: 0; 0]; [:: 1; 1]] [:: 1; 1] 2.
Definition ralston2 := Tableau [:: [:: 0; 0]; [:: 8; 0]] [:: 3; 9] 12.
Definition ralston3 := Tableau [:: [:: 0; 0; 0]; [:: 18; 0; 0]; [:: 0; 27; 0]] [:: 8; 12; 16] 36.
Definition three_eighths :=
  Tableau [:: [:: 0; 0; 0; 0]; [:: 8; 0; 0; 0]; [:: -8; 24; 0; 0]; [:: 24; -24; 24; 0]] [:: 3; 9; 9; 3] 24.
Definition implicit_euler := Tableau [:: [:: 1]] [:: 1] 1.
Definition implicit_midpoint := Tableau [:: [:: 1]] [:: 2] 2.
Definition radau_iia := Tableau [:: [:: 5; -1]; [:: 9; 3]] [:: 9; 3] 12.
Definition lobatto_iiic := Tableau [:: [:: 1; -1]; [:: 1; 1]] [:: 1; 1] 2.
Definition explicit_midpoint := Tableau [:: [:: 0; 0]; [:: 1; 0]] [:: 0; 2] 2.
Definition heun3 := Tableau [:: [:: 0; 0; 0]; [:: 4; 0; 0]; [:: 0; 8; 0]] [:: 3; 0; 9] 12.
End Shipped.

(* Exact radii: valid at kappa = q/p, refuted for every smaller kappa. *)
Definition exact_radius t (p q : Z) := forall F : realFieldType,
  contractive t (zc F q / zc F p) /\ forall kappa, kappa < zc F q / zc F p -> ~ contractive t kappa.
Definition infinite_radius t := forall F : realFieldType, contractive t (0 : F).
Definition valid_radius t (p q : Z) := forall F : realFieldType, contractive t (zc F q / zc F p).
Definition invalid_radius t (p q : Z) := forall F : realFieldType, ~ contractive t (zc F q / zc F p).

Ltac exact_by z :=
  intro; split; [apply: radius | intro; apply: (@no_larger _ _ _ _ z)]; vm_compute; reflexivity.
Lemma infinite_by t : circle_z (t_A t) (t_b t) (t_d t) Z0 (Zpos xH) -> infinite_radius t.
Proof. by move=> h F; have := radius F h; rewrite zc0 mul0r. Qed.
Ltac infinite := apply: infinite_by; vm_compute; reflexivity.
Ltac valid := intro; apply: radius; vm_compute; reflexivity.
Ltac invalid z := intro; apply: (@not_radius _ _ _ _ z); vm_compute; reflexivity.

Section Radii.
Local Open Scope Z_scope.

Theorem radius_euler : exact_radius euler 1 1.              Proof. exact_by [:: 1]. Qed.
Theorem radius_heun : exact_radius heun 1 1.                Proof. exact_by [:: 1; -1]. Qed.
Theorem radius_ssprk33 : exact_radius ssprk33 1 1.          Proof. exact_by [:: 1; -1; 0]. Qed.
Theorem radius_rk4 : exact_radius rk4 1 1.                  Proof. exact_by [:: 1; -1; 1; -1]. Qed.
Theorem radius_kutta3 : exact_radius kutta3 1 2.            Proof. exact_by [:: 2; -1; 2]. Qed.
Theorem radius_ssprk32 : exact_radius ssprk32 2 1.          Proof. exact_by [:: 0; 1; -1]. Qed.
Theorem radius_ssprk43 : exact_radius ssprk43 2 1.          Proof. exact_by [:: 0; 0; 0; 1]. Qed.
Theorem radius_trapezoid : exact_radius trapezoid 2 1.      Proof. exact_by [:: 1; 0]. Qed.

Theorem radius_implicit_euler : infinite_radius implicit_euler.        Proof. infinite. Qed.
Theorem radius_implicit_midpoint : infinite_radius implicit_midpoint.  Proof. infinite. Qed.
Theorem radius_radau_iia : infinite_radius radau_iia.                  Proof. infinite. Qed.
Theorem radius_lobatto_iiic : infinite_radius lobatto_iiic.            Proof. infinite. Qed.

(* 0.7912878 < (sqrt 21 - 3)/2 < 0.7912879 *)
Theorem radius_ralston2 : valid_radius ralston2 7912878 10000000.      Proof. valid. Qed.
Theorem ralston2_above : invalid_radius ralston2 7912879 10000000.     Proof. invalid [:: -100000000; 81101009]. Qed.
Theorem ralston2_rounded_up : invalid_radius ralston2 79129 100000.           Proof. invalid [:: -100000000; 81101009]. Qed.

(* 0.8989794 < 2 sqrt 6 - 4 < 0.8989795 *)
Theorem radius_ralston3 : valid_radius ralston3 8989794 10000000.      Proof. valid. Qed.
Theorem ralston3_above : invalid_radius ralston3 8989795 10000000.     Proof. invalid [:: -93484692; 100000000; -93484692]. Qed.
Theorem ralston3_rounded_up : invalid_radius ralston3 89898 100000.           Proof. invalid [:: -93484692; 100000000; -93484692]. Qed.

(* 0.4641016 < 2 sqrt 3 - 3 < 0.4641017 *)
Theorem radius_three_eighths : valid_radius three_eighths 4641016 10000000.  Proof. valid. Qed.
Theorem three_eighths_above : invalid_radius three_eighths 4641017 10000000.
Proof. invalid [:: 100000000; -57735027; 57735027; -100000000]. Qed.
End Radii.

Ltac no_radius_by i j :=
  move=> [_]; apply: (@no_radius _ _ _ _ i j);
  [by rewrite /tableau_b /= zc0 mul0r |
   rewrite /tableau_b !mxE /= mulf_neq0 ?mulf_neq0 ?invr_neq0 //; by rewrite gt_eqF // zc_gt0].

Theorem explicit_midpoint_none (F : realFieldType) (kappa : F) : ~ contractive explicit_midpoint kappa.
Proof. by no_radius_by (@Ordinal 2 0 isT) (@Ordinal 2 1 isT). Qed.

Theorem heun3_none (F : realFieldType) (kappa : F) : ~ contractive heun3 kappa.
Proof. by no_radius_by (@Ordinal 3 1 isT) (@Ordinal 3 2 isT). Qed.
