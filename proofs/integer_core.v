(* Integer arithmetic that the verified checker runs: definitions only, over Z and lists, made for extraction.

   A matrix is the list of its rows.  Every number of a certificate is an integer times a power of two that is
   common to the object, so no rounding happens anywhere.  The meaning of each function is proved in integer_sound.v.

     dot_z acc a b            acc + sum_i a_i b_i
     psd_z n M                M (n rows) is symmetric and positive semidefinite, by exact elimination
     norm_z alpha beta W R    for the columns of W and R:  sum_j |alpha [i=j] - <W_i, W_j> - <R_i, R_j>| <= beta, each i
     packed_norm_z alpha beta W R   the same, many numbers at a time, as the digits of large integers
     below_z alpha beta W R   sum_j |alpha [i=j] - <W_i, W_j> + <R_i, R_j>| <= beta, each i;  packed_below_z is the same, packed
     circle_z A b d kn kd     kd d^2 (M + (kn/kd) B) is positive semidefinite, for the tableau (A/d, b/d), and b >= 0 *)

From Coq Require Import ZArith List.
Import ListNotations.
Local Open Scope Z_scope.

Fixpoint dot_z (acc : Z) (a b : list Z) : Z :=
  match a, b with x :: a', y :: b' => dot_z (acc + x * y) a' b' | _, _ => acc end.

Fixpoint map2_z {A B C : Type} (f : A -> B -> C) (a : list A) (b : list B) : list C :=
  match a, b with x :: a', y :: b' => f x y :: map2_z f a' b' | _, _ => [] end.

Definition head_z (r : list Z) : Z := match r with x :: _ => x | [] => 0 end.
Definition tail_z (r : list Z) : list Z := match r with _ :: r' => r' | [] => [] end.

Fixpoint eq_z (a b : list Z) : bool :=
  match a, b with
  | x :: a', y :: b' => Z.eqb x y && eq_z a' b'
  | [], [] => true
  | _, _ => false
  end.

(* p C - v v^T: the Schur complement times the pivot *)
Definition schur_z (p : Z) (v : list Z) (C : list (list Z)) : list (list Z) :=
  map2_z (fun vi row => map2_z (fun c vj => p * c - vi * vj) row v) v C.

Fixpoint psd_z (n : nat) (M : list (list Z)) : bool :=
  match n, M with
  | O, [] => true
  | S n', (p :: v) :: M' =>
      let C := map tail_z M' in
      Nat.eqb (length v) n' && Nat.eqb (length C) n' && forallb (fun r => Nat.eqb (length r) n') C &&
      eq_z (map head_z M') v &&
      (if Z.ltb 0 p then psd_z n' (schur_z p v C)
       else Z.eqb p 0 && forallb (Z.eqb 0) v && psd_z n' C)
  | _, _ => false
  end.

Fixpoint row_sum_z (i j : nat) (alpha : Z) (wi ri : list Z) (W R : list (list Z)) : Z :=
  match W, R with
  | w :: W', r :: R' =>
      Z.abs ((if Nat.eqb i j then alpha else 0) - dot_z 0 wi w - dot_z 0 ri r)
      + row_sum_z i (S j) alpha wi ri W' R'
  | _, _ => 0
  end.

Fixpoint norm_rows_z (i : nat) (alpha beta : Z) (Ws Rs W R : list (list Z)) : bool :=
  match Ws, Rs with
  | w :: Ws', r :: Rs' =>
      Z.leb (row_sum_z i 0 alpha w r W R) beta && norm_rows_z (S i) alpha beta Ws' Rs' W R
  | [], [] => true
  | _, _ => false
  end.

Definition norm_z (alpha beta : Z) (W R : list (list Z)) : bool := norm_rows_z 0 alpha beta W R W R.

Definition opposite_z (R : list (list Z)) : list (list Z) := map (map Z.opp) R.
Definition below_z (alpha beta : Z) (W R : list (list Z)) : bool := norm_rows_z 0 alpha beta W (opposite_z R) W R.

(* The same sums with few operations on larger integers.  The entries at place l of the lists of a block, W_j to
   W_(j+n-1), are the digits of one integer P_l in a base B, so that one product multiplies n pairs; likewise Q_l for R.
   Then  - sum_l W_il P_l - sum_l R_il Q_l  has the digits - <W_i, W_j> - <R_i, R_j>, ..., none of which exceeds half in
   absolute value, and B = 2 half + 1. *)
Definition max_z (a b : Z) : Z := if Z.leb a b then b else a.
Fixpoint max_abs_z (acc : Z) (l : list Z) : Z :=
  match l with x :: l' => max_abs_z (max_z acc (Z.abs x)) l' | [] => acc end.
Fixpoint size_z (acc : Z) (l : list Z) : Z := match l with _ :: l' => size_z (acc + 1) l' | [] => acc end.
Fixpoint largest_z (acc : Z) (L : list (list Z)) : Z :=
  match L with l :: L' => largest_z (max_abs_z acc l) L' | [] => acc end.
Fixpoint longest_z (acc : Z) (L : list (list Z)) : Z :=
  match L with l :: L' => longest_z (max_z acc (size_z 0 l)) L' | [] => acc end.

(* no product of two of the lists is larger *)
Definition dot_bound_z (L : list (list Z)) : Z := let m := largest_z 0 L in longest_z 0 L * (m * m).

(* a + B b, the shorter one continued with zeros *)
Fixpoint push_z (B : Z) (a b : list Z) : list Z :=
  match a, b with
  | x :: a', y :: b' => x + B * y :: push_z B a' b'
  | [], y :: b' => B * y :: push_z B [] b'
  | _, [] => a
  end.

(* the size of a block and its P and Q; larger blocks would save multiplications, but numbers of a few hundred words are
   those that are cheap to allocate *)
Definition block := (nat * list Z * list Z)%type.
Definition block_size : nat := 40.

Fixpoint blocks_z (B : Z) (W R : list (list Z)) : list block :=
  match W, R with
  | w :: W', r :: R' =>
      match blocks_z B W' R' with
      | (n, P, Q) :: rest =>
          if Nat.ltb n block_size then (S n, push_z B w P, push_z B r Q) :: rest
          else (S O, w, r) :: (n, P, Q) :: rest
      | [] => [(S O, w, r)]
      end
  | _, _ => []
  end.

(* row i from column j on: the sum of |alpha [i=j] + digit| over n digits, and over blocks *)
Fixpoint digit_sum_z (i j : nat) (alpha : Z) (n : nat) (half B s : Z) : Z :=
  match n with
  | O => 0
  | S n' =>
      let q := Z.div (s + half) B in
      Z.abs ((if Nat.eqb i j then alpha else 0) + (s - B * q)) + digit_sum_z i (S j) alpha n' half B q
  end.

Fixpoint block_sum_z (i j : nat) (alpha half B : Z) (wi ri : list Z) (bs : list block) : Z :=
  match bs with
  | (n, P, Q) :: bs' =>
      digit_sum_z i j alpha n half B (- dot_z 0 wi P - dot_z 0 ri Q) + block_sum_z i (Nat.add j n) alpha half B wi ri bs'
  | [] => 0
  end.

Fixpoint packed_rows_z (i : nat) (alpha beta half B : Z) (Ws Rs : list (list Z)) (bs : list block) : bool :=
  match Ws, Rs with
  | w :: Ws', r :: Rs' =>
      Z.leb (block_sum_z i 0 alpha half B w r bs) beta && packed_rows_z (S i) alpha beta half B Ws' Rs' bs
  | [], [] => true
  | _, _ => false
  end.

Definition packed_norm_z (alpha beta : Z) (W R : list (list Z)) : bool :=
  let half := dot_bound_z W + dot_bound_z R in
  let B := 2 * half + 1 in
  packed_rows_z 0 alpha beta half B W R (blocks_z B W R).

Definition packed_below_z (alpha beta : Z) (W R : list (list Z)) : bool :=
  let half := dot_bound_z W + dot_bound_z (opposite_z R ++ R) in
  let B := 2 * half + 1 in
  packed_rows_z 0 alpha beta half B W (opposite_z R) (blocks_z B W R).

(* Runge-Kutta tableau over the common denominator d. *)
Definition entry_z (A : list (list Z)) (i j : nat) : Z := nth j (nth i A []) 0.

Definition circle_entry (A : list (list Z)) (b : list Z) (d kn kd : Z) (i j : nat) : Z :=
  let bi := nth i b 0 in let bj := nth j b 0 in
  kd * (bi * entry_z A i j + bj * entry_z A j i - bi * bj) + (if Nat.eqb i j then kn * d * bi else 0).

Definition circle_matrix (A : list (list Z)) (b : list Z) (d kn kd : Z) : list (list Z) :=
  map (fun i => map (fun j => circle_entry A b d kn kd i j) (seq 0 (length b))) (seq 0 (length b)).

Definition circle_z (A : list (list Z)) (b : list Z) (d kn kd : Z) : bool :=
  Z.ltb 0 d && Z.ltb 0 kd && Z.leb 0 kn && forallb (Z.leb 0) b && psd_z (length b) (circle_matrix A b d kn kd).

(* z^T M z *)
Definition form_z (M : list (list Z)) (z : list Z) : Z :=
  fold_right Z.add 0 (map2_z (fun r x => x * dot_z 0 r z) M z).
