(* The check of circulant.v in integers: definitions only, made for extraction; circulant_sound.v says what they mean.

   A kernel is the list of its N1 rows of N2 integers; a column holds a kernel for each output, and later outputs may be left
   out, which are zero.  A kernel is encoded as one integer, the value of its polynomial at (B2, B), so that the product of two
   integers is a product of polynomials; and the coefficients are the digits of the result in the bases B2 and B, none of
   which exceeds half in absolute value, with B = 2 half + 1.

     circulant_ok   the residual of alpha I - V^T V - R^T R has row sums of at most beta *)

From Coq Require Import ZArith List Bool.
Require Import integer_core integer_tree network_core.
Import ListNotations.
Local Open Scope Z_scope.

Definition kernel := list (list Z).
Definition columns := list (list kernel).

(* sum_i l_i B^i *)
Fixpoint value_at (B : Z) (l : list Z) : Z := match l with [] => 0 | x :: l' => x + B * value_at B l' end.
Fixpoint digits (n : nat) (half B s : Z) : list Z :=
  match n with
  | O => []
  | S n' => let q := Z.div (s + half) B in (s - B * q) :: digits n' half B q
  end.

Definition sum_z (l : list Z) : Z := fold_right Z.add 0 l.
Definition weight_z (l : list Z) : Z := sum_z (map Z.abs l).
Definition weight2_z (k : kernel) : Z := sum_z (map weight_z k).

Definition encode (B2 B : Z) (k : kernel) : Z := value_at B2 (map (value_at B) k).
Definition reversed (k : kernel) : kernel := rev (map (@rev Z) k).

(* l has 2 n + 1 entries, and those of the places k < n belong to the place k + 1 of the torus *)
Definition fold_z {A : Type} (n : nat) (op : A -> A -> A) (zero : A) (l : list A) : list A :=
  map2_z op (skipn n l) (zero :: firstn n l).

Definition signed_add (twisted : bool) : Z -> Z -> Z := if twisted then Z.sub else Z.add.

Section Check.
(* a torus of S n1 x S n2 points *)
Variables (n1 n2 : nat) (twisted1 twisted2 : bool) (alpha beta : Z).

Definition bases (V R : columns) : Z * Z * Z :=
  let total W := fold_right (fun c a => max_z (sum_z (map weight2_z c)) a) 0 W in
  let half := Z.abs alpha + total V * total V + total R * total R in
  (half, 2 * half + 1, value_at (2 * half + 1) (repeat half (S (n2 + n2)))).

(* the sum of the absolute values of the residual whose unfolded coefficients are the digits of s *)
Definition torus_weight (half B half2 B2 s : Z) : Z :=
  let rows := map (fun row => fold_z n2 (signed_add twisted2) 0 (digits (S (n2 + n2)) half B row))
    (digits (S (n1 + n1)) half2 B2 s) in
  weight2_z (fold_z n1 (map2_z (signed_add twisted1)) (repeat 0 (S n2)) rows).

(* for each column the weights of the residuals with itself and the later ones *)
Fixpoint weights (w : Z -> Z) (one : Z) (Vr Rr V R : list (list Z)) : list (list Z) :=
  match Vr, Rr, V, R with
  | v :: Vr', r :: Rr', v0 :: V', r0 :: R' =>
      (w (alpha * one - dot_z 0 v v0 - dot_z 0 r r0) ::
       map2_z (fun v' r' => w (- dot_z 0 v v' - dot_z 0 r r')) V' R') :: weights w one Vr' Rr' V' R'
  | _, _, _, _ => []
  end.

Definition weight_of (T : list (list Z)) (a b : nat) : Z := nth (Nat.sub b a) (nth a T []) 0.

Definition kernel_ok (k : kernel) : bool :=
  Nat.eqb (length k) (S n1) && forallb (fun r => Nat.eqb (length r) (S n2)) k.

Definition circulant_ok (V R : columns) : bool :=
  forallb (forallb kernel_ok) V && forallb (forallb kernel_ok) R && Nat.eqb (length V) (length R) &&
  (let '(half, B, half2) := bases V R in
   let B2 := 2 * half2 + 1 in
   let forward := map (map (encode B2 B)) in
   let backward := map (map (fun k => encode B2 B (reversed k))) in
   let one := value_at B2 (repeat 0 n1 ++ [value_at B (repeat 0 n2 ++ [1])]) in
   let T := weights (torus_weight half B half2 B2) one (backward V) (backward R) (forward V) (forward R) in
   let n := length V in
   forallb (fun a => Z.leb (sum_z (map (fun b => weight_of T (Nat.min a b) (Nat.max a b)) (seq 0 n))) beta) (seq 0 n)).
End Check.

(* A convolution with zero padding as one on a torus: each pair of phases of its strides is a column, channel by channel. *)
Definition phase_kernel (n1 n2 a b t1 t2 channel r1 r2 : nat) (fine : Z) (k : list Z) : kernel :=
  map (fun i => map (fun j =>
    if Nat.ltb (i * t1 + r1)%nat a && Nat.ltb (j * t2 + r2)%nat b
    then fine * nth (channel * (a * b) + ((i * t1 + r1) * b + (j * t2 + r2)))%nat k 0 else 0) (seq 0 (S n2))) (seq 0 (S n1)).
Definition phase_columns (n1 n2 a b t1 t2 c : nat) (fine : Z) (kernels : list (list Z)) : columns :=
  map (fun q => map (phase_kernel n1 n2 a b t1 t2 (q / (t1 * t2))%nat ((q / t2) mod t1)%nat (q mod t2)%nat fine) kernels) (seq 0 (c * (t1 * t2))%nat).

(* torus.v: an axis of n points with padding p and kernel length k is embedded in N = S N' points of each phase *)
Definition axis_fits (n p k t N' : nat) : bool :=
  let outputs := window_count n k t p in
  (Nat.leb (n + p) (S N' * t) && Nat.leb (outputs + (k + t - 1) / t) (S (S N' + p / t)) && Nat.leb outputs (S N') &&
  Nat.leb k (S N' * t))%nat.

(* The same of an axis that is a torus of N = S N' points of each phase itself. *)
Definition axis_closed (n p k t N' : nat) : bool :=
  (Nat.eqb (S N' * t) n && Nat.leb (window_count n k t p) (S N') && Nat.leb k n)%nat.
