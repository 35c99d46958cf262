(* Linear maps of many samples at a time: definitions only, made for extraction.  What they are is proved in batch_sound.v.

   A linear map does to the digits of large integers what it does to integers.  So the numbers of all samples at one place become
   the digits of one integer; a sum over the inputs of a layer then costs one multiplication for all samples, and what is spent
   on lists and indices is spent once.  All that is not linear goes sample by sample.

     pack B n xs         for each of n places the number whose digits in the base B are those of the samples
     unpack k half B v   the first k digits of each number of v, from -half to half, sample by sample
     many n bound f xs   map f xs, for a linear f that makes no vector of n numbers larger than bound times as large
     gather o s y        W^T y, number by number; adjoint goes to and fro between all of them
     step_many f ...     map (step f ...), for an f that is a map of the samples *)

From Coq Require Import ZArith List Bool.
Require Import integer_core integer_tree network_core circulant_core witness_core.
Import ListNotations.
Local Open Scope Z_scope.

Definition pack (B : Z) (n : nat) (xs : list (list Z)) : list Z := map (value_at B) (transpose n xs).
Definition unpack (k : nat) (half B : Z) (v : list Z) : list (list Z) := transpose k (map (digits k half B) v).

Definition many (n : nat) (bound : Z) (f : list Z -> list Z) (xs : list (list Z)) : list (list Z) :=
  let half := bound * largest_z 0 xs in
  let B := 2 * half + 1 in
  unpack (length xs) half B (f (pack B n xs)).

(* Lists of taps by their place: the first place is the root, and those behind it alternate between left and right. *)
Inductive buckets := Leaf | Bucket (taps : list (nat * Z)) (left right : buckets).
Fixpoint bucket (t : buckets) (i : nat) : list (nat * Z) :=
  match t with
  | Leaf => []
  | Bucket ts l r => match i with O => ts | S k => if Nat.even k then bucket l (Nat.div2 k) else bucket r (Nat.div2 k) end
  end.
Fixpoint put (fuel i : nat) (x : nat * Z) (t : buckets) : buckets :=
  let '(ts, l, r) := match t with Leaf => ([], Leaf, Leaf) | Bucket ts l r => (ts, l, r) end in
  match fuel, i with
  | S fuel', S k => if Nat.even k then Bucket ts (put fuel' (Nat.div2 k) x l) r else Bucket ts l (put fuel' (Nat.div2 k) x r)
  | _, _ => Bucket (x :: ts) l r
  end.
Fixpoint put_row (i : nat) (ts : list (nat * Z)) (t : buckets) : buckets :=
  match ts with [] => t | (j, w) :: ts' => put_row i ts' (put j j (i, w) t) end.
Fixpoint put_rows (row : nat -> list (nat * Z)) (i count : nat) (t : buckets) : buckets :=
  match count with O => t | S count' => put_rows row (S i) count' (put_row i (row i) t) end.

Definition gather (o : operator) (s : shape) : list Z -> list Z :=
  match o with
  | Dense n rows => let columns := transpose n rows in fun y => map (fun c => dot_z 0 c y) columns
  | _ =>
      let t := put_rows (taps o s) 0 (len (operator_out o s)) Leaf in
      fun y => let y := from_list y in map (fun j => taps_dot 0 (bucket t j) y) (seq 0 (len s))
  end.

(* No row of the matrix has a larger sum of absolute values. *)
Definition heaviest (o : operator) (s : shape) : Z :=
  match o, s with
  | Dense _ rows, _ | Conv _ _ _ _ _ rows, _ | Circular _ _ _ _ _ rows, _ => fold_right (fun r a => max_z (weight_z r) a) 0 rows
  | Pool k, _ => Z.of_nat (k * k)
  | GlobalPool, _ => Z.of_nat (points s)
  | Scale factors, _ => fold_right (fun f a => max_z (Z.abs f) a) 0 factors
  | _, _ => 1
  end.

Definition apply_many (o : operator) (s : shape) : list (list Z) -> list (list Z) :=
  many (len s) (heaviest o s) (apply o s).
Definition adjoint_many (o : operator) (s : shape) : list (list Z) -> list (list Z) :=
  let n := len (operator_out o s) in many n (Z.of_nat n * heaviest o s) (gather o s).

(* Samples on their way through the network, each with its denominator. *)
Definition affine_many (l : linear) (s : shape) (xs : list ratios) : list ratios :=
  let e := operator_den (op l) s in
  map2_z (fun x y =>
      (fst x * linear_den l s, map2_z (fun a i => a + fst x * e * bias_at l s i) y (seq 0 (len (linear_out l s)))))
    xs (apply_many (op l) s (map snd xs)).
Definition linear_adjoint_many (l : linear) (s : shape) (ys : list ratios) : list ratios :=
  map2_z (fun y x => (fst y * linear_den l s, x)) ys (adjoint_many (op l) s (map snd ys)).

Definition field_many (f : field) (s : shape) (xs : list ratios) : list ratios :=
  match f with
  | Gradient l g =>
      map (fun y => (fst y, map Z.opp (snd y))) (linear_adjoint_many l s (map (leaky_vector g) (affine_many l s xs)))
  | Residual l g v => affine_many v (linear_out l s) (map (leaky_vector g) (affine_many l s xs))
  end.

Fixpoint moved_many (p q : Z) (a : list Z) (ks : list (list ratios)) (xs : list ratios) : list ratios :=
  match a, ks with aj :: a', k :: ks' => moved_many p q a' ks' (map2_z (axpy (p * aj) q) k xs) | _, _ => xs end.
Fixpoint stages_many (f : list ratios -> list ratios) (p q : Z) (A : list (list Z)) (xs : list ratios) (ks : list (list ratios)) :
    list (list ratios) :=
  match A with [] => ks | a :: A' => stages_many f p q A' xs (ks ++ [f (moved_many p q a ks xs)]) end.
Definition step_many (f : list ratios -> list ratios) (m : tableau) (h h_den : Z) (xs : list ratios) : list ratios :=
  let q := h_den * t_d m in moved_many h q (t_b m) (stages_many f h q (t_A m) xs []) xs.
