(* The class that a program computes, rounding included: definitions only, made for extraction.  What is proved is in
   executed_sound.v, and what a program may do is said in executed_network.v.

   All lengths are integers over K, rounded up.  A sample goes through the network with one number R, its reach: what the program
   holds, at whatever point of the ball it began, lies within R / K of the features c that are kept of the sample.  Of a layer
   with the Lipschitz constant L, whose rounding errors are at most e anywhere within R of c,
       R' = L R + e + (what is rounded of c when it is kept).
   Errors are  gamma_d |W||x| + n eta  with  |W||x| <= |W||c| + ||W|| R:  the first is computed, the second norm is Schur's.

     facts_blocks       what the proofs say of each layer: its constant, the norm of its operator W, and that of |W|
     executed_logits    the features of samples, after the layers, as logits; and of each how far the program may be from them
     executed_holds     from these: the class at every point within the radius *)

From Coq Require Import ZArith List Bool.
Require Import integer_core network_core circulant_core witness_core batch_core enclosure_core.
Import ListNotations.
Local Open Scope Z_scope.

(* 1/u, 1/eta, and a number that is no larger than the largest one *)
Record format := Format { inverse_u : Z; inverse_eta : Z; largest : Z }.

(* |W| and |b|, with |x| *)
Definition absolute_operator (o : operator) : operator :=
  match o with
  | Dense n rows => Dense n (map (map Z.abs) rows)
  | Conv a b t1 t2 p kernels => Conv a b t1 t2 p (map (map Z.abs) kernels)
  | Circular a b t1 t2 p kernels => Circular a b t1 t2 p (map (map Z.abs) kernels)
  | Scale factors => Scale (map Z.abs factors)
  | _ => o
  end.
Definition absolute (l : linear) : linear := Linear (absolute_operator (op l)) (den l) (map Z.abs (bias l)).
Definition sizes (x : ratios) : ratios := (fst x, map Z.abs (snd x)).

(* The numbers of terms of an entry of Wx + b, and of W^T y.  Those of a mean are quotients: one rounding more.  What moves numbers
   has none and is exact. *)
Definition terms (l : linear) (s : shape) : nat :=
  match op l, s with
  | Dense n _, _ => n + length (firstn 1 (bias l))
  | Conv a b _ _ _ _, Image c _ _ | Circular a b _ _ _ _, Image c _ _ => c * (a * b) + length (firstn 1 (bias l))
  | Pool k, _ => S (k * k)
  | GlobalPool, _ => S (points s)
  | Scale _, _ => S (length (firstn 1 (bias l)))
  | _, _ => O
  end.
(* how often the windows of an output may read the same place of an axis, around it *)
Definition comes (n k p : nat) : nat := S ((n + 2 * p - k) / n).
Definition adjoint_terms (l : linear) (s : shape) : nat :=
  match op l, s with
  | Dense _ rows, _ => length rows
  | Conv a b _ _ _ kernels, _ => length kernels * (a * b)
  | Circular a b _ _ p kernels, Image _ h w => length kernels * (a * b) * (comes h a p * comes w b p)
  | Pool _, _ | GlobalPool, _ => 2
  | Scale _, _ => 1
  | _, _ => O
  end.

(* (lipschitz, that of one step of a flow, ||W||, || |W| ||), the squares as fractions *)
Record fact := Fact { lip : bound; one_step : bound; norm : bound; absolute_norm : bound }.
Definition facts := list (list fact).

(* Schur: ||W||^2 is at most the largest sum of a row times the largest sum of a column, of |W|. *)
Definition ones_of (n : nat) : list Z := repeat 1 n.
Definition schur (l : linear) (s : shape) : bound :=
  let o := absolute_operator (op l) in
  let most := fold_right max_z 0 in
  (most (apply o s (ones_of (len s))) * most (adjoint o s (ones_of (len (operator_out o s)))),
   linear_den l s * linear_den l s).

Definition one : bound := (1, 1).
Definition facts_layer (l : layer) (s : shape) (p : layer_proof) : option fact :=
  match l with
  | Affine a => option_map (fun b => Fact b b b (schur a s)) (check_layer l s p)
  | Flow m h h_den steps (Gradient a g) =>
      if layer_fits l s then
        option_map (fun b => Fact (power_up steps (snd b)) (snd b) (fst b) (schur a s)) (flow_bounds m h h_den a s g p)
      else None
  | _ => option_map (fun b => Fact b b one one) (check_layer l s p)
  end.
Fixpoint facts_layers (ls : list layer) (ps : list layer_proof) (s : shape) : option (list fact) :=
  match ls, ps with
  | [], [] => Some []
  | l :: ls', p :: ps' =>
      match facts_layer l s p, facts_layers ls' ps' (layer_out l s) with Some a, Some b => Some (a :: b) | _, _ => None end
  | _, _ => None
  end.
Fixpoint facts_branches (branches : list (list layer)) (ps : list (list layer_proof)) (s : shape) : option facts :=
  match branches, ps with
  | [], [] => Some []
  | ls :: branches', p :: ps' =>
      match facts_layers ls p s, facts_branches branches' ps' s with Some a, Some b => Some (a :: b) | _, _ => None end
  | _, _ => None
  end.
Definition facts_block (b : node) (p : block_proof) (s : shape) : option facts :=
  match b, p with
  | Single l, Alone p => facts_branches [[l]] [[p]] s
  | Mean branches, Branches ps | Sum branches, Branches ps => if block_fits b s then facts_branches branches ps s else None
  | _, _ => None
  end.
Fixpoint facts_blocks (bs : list node) (ps : list block_proof) (s : shape) : option (list facts) :=
  match bs, ps with
  | [], [] => Some []
  | b :: bs', p :: ps' =>
      match facts_block b p s, facts_blocks bs' ps' (block_out b s) with Some a, Some b => Some (a :: b) | _, _ => None end
  | _, _ => None
  end.
(* the bounds that enclosure_core.v takes *)
Definition bounds_of : list facts -> list bounds := map (map (map lip)).

Section Reach.
Variables (K : Z) (f : format) (depth : Z).

(* the root of (a / b) r^2 *)
Definition through (b : bound) (r : Z) : Z := root_up (fst b * (r * r)) (snd b).
Definition norm_of (x : ratios) : Z := root_up (dot_z 0 (snd x) (snd x) * (K * K)) (fst x * fst x).

(* no product passes through more roundings than the order of summation has depth, nor than there are terms *)
Definition roundings (n : nat) : Z := if Z.leb depth (Z.of_nat n) then depth else Z.of_nat n.

(* An error of  gamma_d |x| + n eta  in m coordinates, where |x| is at most size, and nothing above guard is formed. *)
Definition charged (d n : Z) (m : nat) (guard size : Z) : option Z :=
  let gamma a := quotient_up (d * a) (inverse_u f - d) in
  let under := quotient_up (n * K) (inverse_eta f) in
  if Z.leb 0 d && Z.leb (2 * d) (inverse_u f) && Z.leb (guard + gamma guard + under) (largest f * K)
  then Some (gamma size + root_up (Z.of_nat m) 1 * under) else None.
Definition summed (n m : nat) (size : Z) : option Z := charged (roundings n) (Z.of_nat n) m size size.

Definition bind (x : option Z) (g : Z -> option Z) : option Z := match x with Some y => g y | None => None end.

(* the features that are kept, and the reach *)
Definition reached := (list ratios * list (option Z))%type.
Definition kept (n : nat) (ys : list ratios) (rs : list (option Z)) : reached :=
  (map (rounded K) ys, map (fun r => bind r (fun r => Some (r + root_up (Z.of_nat n) 1))) rs).

Definition exact_slope (g : slope) : bool := Z.eqb (slope_num g) 0 || Z.eqb (Z.abs (slope_num g)) (slope_den g).
(* one product, of a function that is not exact *)
Definition activated (exact : bool) (m : nat) (size : Z) : option Z := if exact then Some 0 else charged 1 1 m size size.

Definition reach_affine (l : linear) (x : fact) (s : shape) (c : reached) : reached :=
  let n := len (linear_out l s) in
  let sizes_of := map norm_of (affine_many (absolute l) s (map sizes (fst c))) in
  kept n (affine_many l s (fst c))
    (map2_z (fun size r => bind r (fun r =>
       bind (summed (terms l s) n (size + through (absolute_norm x) r)) (fun e => Some (through (lip x) r + e)))) sizes_of (snd c)).

(* a function by coordinates, or of sorted groups *)
Definition reach_function (exact : bool) (value : ratios -> ratios) (x : fact) (s : shape) (c : reached) : reached :=
  let ys := map value (fst c) in
  kept (len s) ys
    (map2_z (fun size r => bind r (fun r =>
       let r := through (lip x) r in bind (activated exact (len s) (size + r)) (fun e => Some (r + e))))
       (map norm_of ys) (snd c)).

(* A difference and a quotient of it; the difference is the quotient times the deviation. *)
Definition reach_normalize (mean : list Z) (d : Z) (deviation : list Z) (e : Z) (x : fact) (s : shape) (c : reached) : reached :=
  let ys := map (normalize mean d deviation e s) (fst c) in
  let most := fold_right max_z 0 deviation in
  kept (len s) ys
    (map2_z (fun size r => bind r (fun r =>
       let size := size + through (lip x) r in
       bind (charged 3 1 (len s) (size + quotient_up (most * size) e) size) (fun e => Some (through (lip x) r + e))))
       (map norm_of ys) (snd c)).

(* x - h W^T sigma(W x + b).  Of the norms of c, |W||c| + |b|, s = sigma(W c + b) and |W|^T|s|: *)
Definition reach_step (l : linear) (h h_den : Z) (g : slope) (x : fact) (s : shape) (point first middle second : Z) (r : Z) : option Z :=
  let m := len (linear_out l s) in let n := len s in
  (* of W x + b, and of sigma(W x + b) from s *)
  bind (summed (terms l s) m (first + through (absolute_norm x) r)) (fun e1 =>
  let r1 := through (norm x) r + e1 in
  bind (activated (exact_slope g) m (middle + r1)) (fun ea =>
  let r2 := r1 + ea in
  (* of W^T y *)
  bind (summed (adjoint_terms l s) n (second + through (absolute_norm x) r2)) (fun e2 =>
  let e3 := through (norm x) (e1 + ea) + e2 in
  let slope := through (norm x) (middle + r2) + e2 in
  (* of the sum with x *)
  let size := point + r + quotient_up (h * slope) h_den in
  bind (charged 2 2 n size size) (fun e4 => Some (through (one_step x) r + quotient_up (h * e3) h_den + e4))))).

Fixpoint map4 {A : Type} (g : Z -> Z -> Z -> Z -> A -> A) (a b c d : list Z) (e : list A) : list A :=
  match a, b, c, d, e with
  | x :: a', y :: b', z :: c', u :: d', v :: e' => g x y z u v :: map4 g a' b' c' d' e'
  | _, _, _, _, _ => []
  end.
Definition reach_euler (l : linear) (h h_den : Z) (g : slope) (x : fact) (s : shape) (c : reached) : reached :=
  let xs := fst c in
  let middle := map (leaky_vector g) (affine_many l s xs) in
  let slopes := linear_adjoint_many l s middle in
  let norms ys := map norm_of ys in
  kept (len s) (map2_z (axpy (Z.opp h) h_den) slopes xs)
    (map4 (fun a b c d r => bind r (reach_step l h h_den g x s a b c d))
       (norms xs) (norms (affine_many (absolute l) s (map sizes xs))) (norms middle)
       (norms (linear_adjoint_many (absolute l) s (map sizes middle))) (snd c)).

(* None for what is not known: flows by other methods, and of other fields *)
Definition reach_layer (l : layer) (x : fact) (s : shape) (c : reached) : option reached :=
  match l with
  | Affine l => Some (reach_affine l x s c)
  | Activation g => Some (reach_function (exact_slope g) (leaky_vector g) x s c)
  | Partial first last g => Some (reach_function (exact_slope g) (partial_vector first last g s) x s c)
  | Clip low high den => Some (reach_function true (clip_vector low high den) x s c)
  | Sort group => Some (reach_function true (sort_vector group s) x s c)
  | Normalize mean d deviation e => Some (reach_normalize mean d deviation e x s c)
  | Flow m h h_den steps (Gradient l g) =>
      if is_euler m then Some (repeated steps (reach_euler l h h_den g x s) c) else None
  | _ => None
  end.
Fixpoint reach_layers (ls : list layer) (xs : list fact) (s : shape) (c : reached) : option reached :=
  match ls, xs with
  | [], [] => Some c
  | l :: ls', x :: xs' => match reach_layer l x s c with Some c' => reach_layers ls' xs' (layer_out l s) c' | None => None end
  | _, _ => None
  end.

(* A sum of branches: of each sample also the sum of their sizes. *)
Fixpoint reach_branches (n : nat) (branches : list (list layer)) (xs : facts) (s : shape) (c : reached) :
    option (reached * list (option Z)) :=
  let add := map2_z (fun a b => bind a (fun a => bind b (fun b => Some (a + b)))) in
  match branches, xs with
  | [], [] => let none := map (fun _ => Some 0) (fst c) in Some ((map (fun _ => (1, zeros n)) (fst c), none), none)
  | ls :: branches', x :: xs' =>
      match reach_layers ls x s c, reach_branches n branches' xs' s c with
      | Some a, Some (b, total) =>
          let size := map2_z (fun x r => bind r (fun r => Some (norm_of x + r))) (fst a) (snd a) in
          Some ((map2_z (axpy 1 1) (fst a) (fst b), add (snd a) (snd b)), add size total)
      | _, _ => None
      end
  | _, _ => None
  end.
(* a sum whose terms pass through d roundings, divided by q *)
Definition reach_total (d q : Z) (n : nat) (total r : Z) : option Z :=
  bind (charged d 1 n total (quotient_up total q)) (fun e => Some (quotient_up r q + e)).
Definition reach_join (d q : Z) (n : nat) (branches : list (list layer)) (xs : facts) (s : shape) (c : reached) : option reached :=
  match reach_branches n branches xs s c with
  | Some (a, total) =>
      Some (map (fun y => (fst y * q, snd y)) (fst a),
            map2_z (fun t r => bind t (fun t => bind r (fun r => reach_total d q n t r))) total (snd a))
  | None => None
  end.
Definition reach_block (b : node) (xs : facts) (s : shape) (c : reached) : option reached :=
  match b, xs with
  | Single l, [[x]] => reach_layer l x s c
  | Mean branches, _ =>
      let k := Z.of_nat (length branches) in
      if block_fits b s then reach_join (k + 1) k (len (block_out b s)) branches xs s c else None
  | Sum branches, _ =>
      if block_fits b s then reach_join (Z.of_nat (length branches)) 1 (len (block_out b s)) branches xs s c else None
  | _, _ => None
  end.
Fixpoint reach_blocks (bs : list node) (xs : list facts) (s : shape) (c : reached) : option reached :=
  match bs, xs with
  | [], [] => Some c
  | b :: bs', x :: xs' => match reach_block b x s c with Some c' => reach_blocks bs' xs' (block_out b s) c' | None => None end
  | _, _ => None
  end.

(* The head: logits of the features that are kept, the same of |W|, |b| and |c|, and the reach. *)
Definition executed := ((ratios * ratios) * option Z)%type.
Definition executed_logits (bs : list node) (xs : list facts) (hd : linear) (s : shape) (samples : list ratios)
    (radii : list (Z * Z)) : option (list executed) :=
  let start r := if Z.leb 0 (fst r) && Z.ltb 0 (snd r) then Some (quotient_up (fst r * K) (snd r)) else None in
  match reach_blocks bs xs s (samples, map start radii) with
  | Some c =>
      let s' := blocks_out bs s in
      if Nat.eqb (length samples) (length radii) && linear_fits hd s' then
        Some (combine (combine (affine_many hd s' (fst c)) (affine_many (absolute hd) s' (map sizes (fst c)))) (snd c))
      else None
  | None => None
  end.

Definition square_norm (a : list Z) : Z := dot_z 0 a a.
(* the error of logit i *)
Definition logit_error (hd : linear) (s : shape) (m : ratios) (r : Z) (i : nat) : option Z :=
  let d := network_core.den hd in
  summed (terms hd s) 1 (quotient_up (nth i (snd m) 0 * K) (fst m) + through (square_norm (head_row hd i), d * d) r).
Definition executed_gap (hd : linear) (s : shape) (z m : ratios) (r : Z) (i j : nat) : bool :=
  Nat.eqb j i ||
  match logit_error hd s m r i, logit_error hd s m r j with
  | Some a, Some b =>
      let d := network_core.den hd in
      Z.ltb (through (square_distance (head_row hd i) (head_row hd j), d * d) r + a + b)
            (Z.div ((nth i (snd z) 0 - nth j (snd z) 0) * K) (fst z))
  | _, _ => false
  end.
Definition executed_holds (hd : linear) (s : shape) (x : executed) (i : nat) : bool :=
  match x with
  | (z, m, Some r) =>
      Nat.ltb i (head_rows hd) && forallb (executed_gap hd s z m r i) (seq 0 (head_rows hd))
  | _ => false
  end.
End Reach.

(* IEEE 754: 24 and 53 bits, the smallest positive numbers 2^-149 and 2^-1074, and powers of two below the largest ones *)
Definition binary32 : format := Format (2 ^ 24) (2 ^ 149) (2 ^ 127).
Definition binary64 : format := Format (2 ^ 53) (2 ^ 1074) (2 ^ 1023).
