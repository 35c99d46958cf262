(* What a program that evaluates a network in floating-point arithmetic may compute: a relation between its input and its output.

   Let u be the unit roundoff of the format, eta its smallest positive number, and gamma_d = d u / (1 - d u).  Nothing else is
   assumed of the program than that its operations are those of IEEE 754 with rounding to nearest and gradual underflow, in this order:
     W x + b, W^T y    each entry is a sum of its products, with the bias, in any order in which no product passes through more than
                       `depth` roundings, with or without fused multiply-add.  A mean is a sum of its quotients.
     activations       identity, ReLU, the absolute value, hardtanh and sorted groups without error; of a leaky ReLU one product
     normalisation     a difference, divided by the deviation
     flows             Euler's method for gradient fields: W x + b, the activation s, k = W^T s, and the sum x - h k
     branches          their sum; of a mean, divided by their number
     reorderings       without error
   `rounded_to d n guard a y z` says what follows for a number z that stands for y: if guard and its rounding do not exceed the largest
   number of the format, then |z - y| <= gamma_d a + n eta.  The premises are these theorems of declared_order.v, for emin and prec of the
   format (binary32: -149, 24; binary64: -1074, 53), so that u = 2^-prec and eta = 2^emin:
     sums              declared_order_gamma, for a tree of n terms whose depth is at most d, where a = absolute t; depth_any, for d = n.
                       A partial sum, and so every number that is formed on the way, is at most a (1 + gamma_d) + n eta by the same
                       theorem: if that is no larger than the largest number, nothing overflows, as the theorem requires.
     a quotient q      by an integer: |fl q - q| <= u |q| or <= eta / 2 (round_error of rounding.v).  As a leaf of a tree it counts
                       for one rounding more.
     s z, once         depth 1: the same.  x - h k: the tree Add (Product x 1) (Product h k), of depth 2.
     (x - m)/s         (1 + u)^2 - 1 <= 3 u <= gamma_3 of the quotient, and eta / 2 (sum_error and round_error of rounding.v)
     branches          k numbers have k - 1 additions, and the quotient of a mean is one rounding more, of the whole: the depths k and
                       k + 1 cover them
     W^T y of a mean   a quotient by an integer, or a product with its rounded inverse: depth 2
   Part of what is said here are these functions of executed_core.v: terms, adjoint_terms, roundings (no more than there are terms),
   absolute_operator, exact_slope and is_euler.
   Flows of other fields or by other methods are not described: of them nothing is assumed (True), and the checker proves nothing. *)

From Coq Require Import ZArith List.
From mathcomp Require Import all_ssreflect all_algebra zify ssrZ.
Require Import euclidean slope integer_core integer_sound network_core network_sound witness_core executed_core.
Set Implicit Arguments. Unset Strict Implicit. Unset Printing Implicit Defensive.
Import GRing.Theory Num.Theory Order.TTheory.
Local Open Scope ring_scope.

Section Executed.
Variables (F : realFieldType) (f : format) (depth : Z).
Notation zc := (zc F).
Notation over := (over F).

Definition gamma (d : Z) : F := zc d / (zc (inverse_u f) - zc d).
Definition eta : F := (zc (inverse_eta f))^-1.

Definition rounded_to (d n : Z) (guard a y z : F) : Prop :=
  guard * (1 + gamma d) + zc n * eta <= zc (largest f) -> `|z - y| <= gamma d * a + zc n * eta.
Definition sum_of (n : nat) (a y z : F) : Prop := rounded_to (roundings depth n) (Z.of_nat n) a a y z.

Definition magnitude n (x : 'cV[F]_n) : 'cV[F]_n := \col_i `|x i 0|.
(* |W| and |b|: the absolute values of the stored numbers *)
Definition absolute_matrix (l : linear) (s : shape) : 'M[F]_(len (linear_out l s), len s) :=
  \matrix_(i, j) over (linear_den l s) (operator_entry (absolute_operator (op l)) s i j).
Definition absolute_bias (l : linear) (s : shape) : 'cV[F]_(len (linear_out l s)) :=
  \col_i over (den l) (bias_at (absolute l) s i).

Definition executed_linear (l : linear) (s : shape) (x : 'cV[F]_(len s)) (y : 'cV[F]_(len (linear_out l s))) : Prop :=
  forall i, sum_of (terms l s) ((absolute_matrix l s *m magnitude x + absolute_bias l s) i 0) (linear_map l x i 0) (y i 0).
Definition executed_adjoint (l : linear) (s : shape) (y : 'cV[F]_(len (linear_out l s))) (x : 'cV[F]_(len s)) : Prop :=
  forall j, sum_of (adjoint_terms l s) (((absolute_matrix l s)^T *m magnitude y) j 0) (((matrix F l s)^T *m y) j 0) (x j 0).

Definition executed_activation (g : slope) n (x y : 'cV[F]_n) : Prop :=
  if exact_slope g then y = by_coordinates (fun _ => @leaky F g) x
  else forall i, rounded_to 1 1 `|leaky g (x i 0)| `|leaky g (x i 0)| (leaky g (x i 0)) (y i 0).

Definition executed_normalize (mean : seq Z) (d : Z) (deviation : seq Z) (e : Z) (s : shape) (x y : 'cV[F]_(len s)) : Prop :=
  let z := normalized mean d deviation e x in
  forall i, rounded_to 3 1 (`|x i 0 - over d (nth Z0 mean (Nat.div i (points s)))| + `|z i 0|) `|z i 0| (z i 0) (y i 0).

Definition executed_step (l : linear) (h h_den : Z) (g : slope) (s : shape) (x y : 'cV[F]_(len s)) : Prop :=
  exists z v k, [/\ executed_linear (l := l) x z, executed_activation g z v, executed_adjoint (l := l) v k
    & forall i, rounded_to 2 2 (`|x i 0| + over h_den h * `|k i 0|) (`|x i 0| + over h_den h * `|k i 0|)
        (x i 0 - over h_den h * k i 0) (y i 0)].

Definition executed_layer (l : layer) (s : shape) : 'cV[F]_(len s) -> 'cV[F]_(len (layer_out l s)) -> Prop :=
  match l return 'cV[F]_(len s) -> 'cV[F]_(len (layer_out l s)) -> Prop with
  | Affine l => fun x y => executed_linear x y
  | Activation g => fun x y => executed_activation g x y
  | Normalize mean d deviation e => fun x y => executed_normalize mean d deviation e x y
  | Flow m h h_den steps (Gradient l g) => fun x y =>
      if is_euler m then steps_of (@executed_step l h h_den g s) steps x y else True
  | Flow _ _ _ _ _ => fun _ _ => True
  | Partial first last g => fun x y => let v := partial_map first last g x in
      if exact_slope g then y = v else forall i, rounded_to 1 1 `|v i 0| `|v i 0| (v i 0) (y i 0)
  | Clip low high d => fun x y => y = by_coordinates (fun _ => clip (over d low) (over d high)) x
  | Sort group => fun x y => y = sorted_groups group x
  end.

Fixpoint executed_layers (ls : seq layer) (s : shape) : 'cV[F]_(len s) -> 'cV[F]_(len (layers_out ls s)) -> Prop :=
  match ls return 'cV[F]_(len s) -> 'cV[F]_(len (layers_out ls s)) -> Prop with
  | [::] => fun x y => y = x
  | l :: ls' => fun x z => exists2 y : 'cV[F]_(len (layer_out l s)), executed_layer x y & @executed_layers ls' (layer_out l s) y z
  end.

(* the sum of what branches give, and that of its absolute values *)
Fixpoint executed_sum n (branches : seq (seq layer)) (s : shape) (x : 'cV[F]_(len s)) (total size : 'cV[F]_n) : Prop :=
  match branches with
  | [::] => total = 0 /\ size = 0
  | ls :: branches' => exists z t a, [/\ @executed_layers ls s x z, executed_sum branches' x t a,
      total = t + resized n z & size = a + magnitude (resized n z)]
  end.
(* the sum, divided by q *)
Definition executed_join (d q : Z) n (branches : seq (seq layer)) (s : shape) (x : 'cV[F]_(len s)) (y : 'cV[F]_n) : Prop :=
  exists t a, executed_sum branches x t a /\ forall i, rounded_to d 1 (a i 0) (a i 0 / zc q) (t i 0 / zc q) (y i 0).
Definition executed_block (b : node) (s : shape) : 'cV[F]_(len s) -> 'cV[F]_(len (block_out b s)) -> Prop :=
  match b return 'cV[F]_(len s) -> 'cV[F]_(len (block_out b s)) -> Prop with
  | Single l => @executed_layer l s
  | Sum branches => fun x y => executed_join (Z.of_nat (size branches)) 1 branches x y
  | Mean branches => fun x y => executed_join (Z.add (Z.of_nat (size branches)) 1) (Z.of_nat (size branches)) branches x y
  end.
Fixpoint executed_blocks (bs : seq node) (s : shape) : 'cV[F]_(len s) -> 'cV[F]_(len (blocks_out bs s)) -> Prop :=
  match bs return 'cV[F]_(len s) -> 'cV[F]_(len (blocks_out bs s)) -> Prop with
  | [::] => fun x y => y = x
  | b :: bs' => fun x z => exists2 y : 'cV[F]_(len (block_out b s)), executed_block x y & @executed_blocks bs' (block_out b s) y z
  end.
End Executed.
