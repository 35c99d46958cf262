(* The network of a model file, in integers: definitions only, made for extraction.  What they mean is said in network_sound.v, and
   proved there and in network_value.v.

   A number of the file is an integer over a denominator that is common to its object; so is a vector on its way through the
   network.  Nothing is ever rounded.  Images are stored channel by channel, rows of points one after the other.

     taps k s i        the inputs that output i of a convolution, a pool or a permutation reads, each with its integer weight
     apply, adjoint    W x and W^T y
     forward           the value of a network, or None where it has none in rational numbers: implicit methods *)

From Coq Require Import ZArith List Bool.
Require Import integer_core integer_tree.
Import ListNotations.
Local Open Scope nat_scope.

Inductive shape := Features (n : nat) | Image (channels height width : nat).

Definition len (s : shape) : nat := match s with Features n => n | Image c h w => c * (h * w) end.
Definition points (s : shape) : nat := match s with Features _ => 1 | Image _ h w => h * w end.
Definition units (s : shape) : nat := match s with Features n => n | Image c _ _ => c end.

(* A matrix of integers. *)
Inductive operator :=
  | Dense (inputs : nat) (rows : list (list Z))
  (* for each output channel its kernel, by input channel, row and column; a stride for each axis, padding with zeros *)
  | Conv (height width vertical horizontal padding : nat) (kernels : list (list Z))
  (* sums over windows of side x side points that do not overlap; what is left at the border is dropped *)
  | Pool (side : nat)
  | GlobalPool
  (* blocks of side x side points as channels *)
  | SpaceToDepth (side : nat)
  (* zeros as further channels, or channels left out *)
  | Channels (count : nat)
  | Flatten
  (* the columns of an image in the opposite order *)
  | Mirror
  (* as Conv; beyond a border lies the opposite side *)
  | Circular (height width vertical horizontal padding : nat) (kernels : list (list Z))
  (* each channel moved: for each what is added to a row, what is taken from it, and the same of a column, to find what is read
     there; beyond a border lies the opposite side or zeros *)
  | Shift (circular : bool) (moves : list ((nat * nat) * (nat * nat)))
  (* a factor for each unit *)
  | Scale (factors : list Z).

Definition window_count (n k s p : nat) : nat := (n + 2 * p - k) / s + 1.

Definition operator_out (o : operator) (s : shape) : shape :=
  match o, s with
  | Dense _ rows, _ => Features (length rows)
  | Conv a b t1 t2 p kernels, Image c h w | Circular a b t1 t2 p kernels, Image c h w =>
      Image (length kernels) (window_count h a t1 p) (window_count w b t2 p)
  | Pool k, Image c h w => Image c (h / k) (w / k)
  | GlobalPool, Image c h w => Features c
  | SpaceToDepth k, Image c h w => Image (c * k * k) (h / k) (w / k)
  | Channels count, Image c h w => Image count h w
  | Mirror, Image c h w | Shift _ _, Image c h w => Image c h w
  | Scale _, _ => s
  | _, _ => Features (len s)
  end.

(* The operator is one for inputs of this shape. *)
Definition operator_fits (o : operator) (s : shape) : bool :=
  match o, s with
  | Dense n rows, Features m => Nat.eqb m n && forallb (fun r => Nat.eqb (length r) n) rows
  | Conv a b t1 t2 p kernels, Image c h w =>
      Nat.ltb 0 t1 && Nat.ltb 0 t2 && Nat.ltb 0 a && Nat.ltb 0 b && Nat.leb a (h + 2 * p) && Nat.leb b (w + 2 * p) &&
      forallb (fun r => Nat.eqb (length r) (c * (a * b))) kernels
  | Pool k, Image c h w => Nat.ltb 0 k && Nat.leb k h && Nat.leb k w
  | SpaceToDepth k, Image c h w => Nat.ltb 0 k && Nat.eqb (h mod k) 0 && Nat.eqb (w mod k) 0
  | GlobalPool, Image c h w => Nat.ltb 0 h && Nat.ltb 0 w
  | Channels count, Image c h w => Nat.ltb 0 h && Nat.ltb 0 w
  | Flatten, _ => true
  | Mirror, Image c h w => true
  | Circular a b t1 t2 p kernels, Image c h w =>
      Nat.ltb 0 t1 && Nat.ltb 0 t2 && Nat.ltb 0 a && Nat.ltb 0 b && Nat.leb p h && Nat.leb p w && Nat.leb a (h + 2 * p) && Nat.leb b (w + 2 * p) &&
      forallb (fun r => Nat.eqb (length r) (c * (a * b))) kernels
  | Shift _ moves, Image c h w => Nat.eqb (length moves) c
  | Scale factors, _ => Nat.ltb 0 (points s) && Nat.eqb (length factors) (units s)
  | _, _ => false
  end.

(* What a convolution reads at the window (y, x): entry k of the kernel belongs to a channel, a row and a column of it. *)
Fixpoint window (h w a b p top left k : nat) (kernel : list Z) : list (nat * Z) :=
  match kernel with
  | [] => []
  | z :: rest =>
      let row := top + (k / b) mod a in let column := left + k mod b in
      if Nat.leb p row && Nat.ltb row (h + p) && Nat.leb p column && Nat.ltb column (w + p)
      then (k / (a * b) * (h * w) + (row - p) * w + (column - p), z) :: window h w a b p top left (S k) rest
      else window h w a b p top left (S k) rest
  end.

(* The same around the image, whose padding is at hand already: top = stride y + h - padding. *)
Fixpoint ring (h w a b top left k : nat) (kernel : list Z) : list (nat * Z) :=
  match kernel with
  | [] => []
  | z :: rest =>
      (k / (a * b) * (h * w) + ((top + (k / b) mod a) mod h * w + (left + k mod b) mod w), z) :: ring h w a b top left (S k) rest
  end.

(* What is read at a point of a moved channel. *)
Definition moved_tap (circular : bool) (h w base row column : nat) (m : (nat * nat) * (nat * nat)) : list (nat * Z) :=
  let '((a, b), (c, d)) := m in
  if circular then [(base + ((row + a + b * (h - 1)) mod h * w + (column + c + d * (w - 1)) mod w), 1%Z)]
  else if Nat.leb b (row + a) && Nat.ltb (row + a) (h + b) && Nat.leb d (column + c) && Nat.ltb (column + c) (w + d)
  then [(base + ((row + a - b) * w + (column + c - d)), 1%Z)] else [].

(* sum over a square of points *)
Definition square (w top left side base : nat) : list (nat * Z) :=
  flat_map (fun i => map (fun j => (base + (top + i) * w + (left + j), 1%Z)) (seq 0 side)) (seq 0 side).

Definition taps (o : operator) (s : shape) (i : nat) : list (nat * Z) :=
  match o, s with
  | Dense n rows, _ => combine (seq 0 n) (nth i rows [])
  | Conv a b t1 t2 p kernels, Image c h w =>
      let rows := window_count h a t1 p in let columns := window_count w b t2 p in
      window h w a b p (t1 * ((i / columns) mod rows)) (t2 * (i mod columns)) 0 (nth (i / (rows * columns)) kernels [])
  | Pool k, Image c h w =>
      let rows := h / k in let columns := w / k in
      square w (k * ((i / columns) mod rows)) (k * (i mod columns)) k (i / (rows * columns) * (h * w))
  | GlobalPool, Image c h w => map (fun q => (i * (h * w) + q, 1%Z)) (seq 0 (h * w))
  | SpaceToDepth k, Image c h w =>
      let rows := h / k in let columns := w / k in let channel := i / (rows * columns) in
      [(channel / (k * k) * (h * w) + (k * ((i / columns) mod rows) + (channel / k) mod k) * w
        + (k * (i mod columns) + channel mod k), 1%Z)]
  | Mirror, Image c h w => [(i - i mod w + (w - 1 - i mod w), 1%Z)]
  | Circular a b t1 t2 p kernels, Image c h w =>
      let rows := window_count h a t1 p in let columns := window_count w b t2 p in
      ring h w a b (t1 * ((i / columns) mod rows) + (h - p)) (t2 * (i mod columns) + (w - p)) 0 (nth (i / (rows * columns)) kernels [])
  | Shift circular moves, Image c h w =>
      moved_tap circular h w (i / (h * w) * (h * w)) ((i / w) mod h) (i mod w) (nth (i / (h * w)) moves ((0, 0), (0, 0)))
  | Scale factors, _ => [(i, nth (i / points s) factors 0%Z)]
  | _, _ => [(i, 1%Z)]
  end.

(* What every entry of the matrix is divided by, but for the denominator of the weights. *)
Definition operator_den (o : operator) (s : shape) : Z :=
  match o, s with
  | Pool k, _ => Z.of_nat (k * k)
  | GlobalPool, Image _ h w => Z.of_nat (h * w)
  | _, _ => 1%Z
  end.

Fixpoint taps_dot (acc : Z) (ts : list (nat * Z)) (x : tree) : Z :=
  match ts with [] => acc | t :: ts' => taps_dot (acc + get x (fst t) * snd t) ts' x end.
Fixpoint scatter (y : Z) (ts : list (nat * Z)) (x : tree) : tree :=
  match ts with [] => x | t :: ts' => scatter y ts' (add_at x (fst t) (y * snd t)%Z) end.
Fixpoint scatter_rows (row : nat -> list (nat * Z)) (i : nat) (y : list Z) (x : tree) : tree :=
  match y with [] => x | yi :: y' => scatter_rows row (S i) y' (scatter yi (row i) x) end.
Fixpoint axpy_rows (rows : list (list Z)) (y x : list Z) : list Z :=
  match rows, y with
  | r :: rows', yi :: y' => axpy_rows rows' y' (map2_z (fun a b => a + yi * b)%Z x r)
  | _, _ => x
  end.
Definition zeros (n : nat) : list Z := repeat 0%Z n.

Definition apply (o : operator) (s : shape) (x : list Z) : list Z :=
  match o with
  | Dense _ rows => map (fun r => dot_z 0 r x) rows
  | _ => let t := from_list x in map (fun i => taps_dot 0 (taps o s i) t) (seq 0 (len (operator_out o s)))
  end.
Definition adjoint (o : operator) (s : shape) (y : list Z) : list Z :=
  match o with
  | Dense n rows => axpy_rows rows y (zeros n)
  | _ => to_list (len s) (scatter_rows (taps o s) 0 y (from_list (zeros (len s))))
  end.

(* x |-> W x + b;  W and b are over den, and there is a number of b for each unit of the output, or none at all. *)
Record linear := Linear { op : operator; den : Z; bias : list Z }.
Definition linear_out (l : linear) (s : shape) : shape := operator_out (op l) s.
Definition linear_den (l : linear) (s : shape) : Z := den l * operator_den (op l) s.
Definition linear_fits (l : linear) (s : shape) : bool := Z.ltb 0 (linear_den l s) && operator_fits (op l) s.
Definition bias_at (l : linear) (s : shape) (i : nat) : Z := nth (i / points (linear_out l s)) (bias l) 0%Z.

(* (d, v) stands for the vector v / d, d > 0 *)
Definition ratios := (Z * list Z)%type.

Definition affine (l : linear) (s : shape) (x : ratios) : ratios :=
  let d := fst x in let e := operator_den (op l) s in
  (d * linear_den l s,
   map2_z (fun a i => a + d * e * bias_at l s i) (apply (op l) s (snd x)) (seq 0 (len (linear_out l s))))%Z.
Definition linear_adjoint (l : linear) (s : shape) (y : ratios) : ratios :=
  (fst y * linear_den l s, adjoint (op l) s (snd y))%Z.

(* x for x >= 0, (num / den) x below *)
Record slope := Slope { slope_num : Z; slope_den : Z }.
Definition leaky_z (g : slope) (z : Z) : Z := (if Z.leb 0 z then z * slope_den g else z * slope_num g)%Z.
Definition leaky_vector (g : slope) (x : ratios) : ratios := (fst x * slope_den g, map (leaky_z g) (snd x))%Z.
(* the same of the units from first on up to the one before last *)
Definition is_between (first last points i : nat) : bool := Nat.leb first (i / points) && Nat.ltb (i / points) last.
Definition partial_vector (first last : nat) (g : slope) (s : shape) (x : ratios) : ratios :=
  (fst x * slope_den g,
   map2_z (fun z i => if is_between first last (points s) i then leaky_z g z else z * slope_den g) (snd x) (seq 0 (len s)))%Z.
(* what lies beyond low / den and high / den becomes these *)
Definition clip_z (low high z : Z) : Z := if Z.leb z low then low else if Z.leb high z then high else z.
Definition clip_vector (low high den : Z) (x : ratios) : ratios :=
  (fst x * den, map (fun z => clip_z (low * fst x) (high * fst x) (z * den)) (snd x))%Z.
(* groups of units that follow each other, in ascending order at each point: the numbers that output i is one of *)
Definition group_places (group points i : nat) : list nat :=
  map (fun j => ((i / points / group * group + j) * points + i mod points)%nat) (seq 0 group).
Fixpoint insert_z (z : Z) (l : list Z) : list Z :=
  match l with [] => [z] | y :: l' => if Z.leb z y then z :: l else y :: insert_z z l' end.
Definition sort_z (l : list Z) : list Z := fold_right insert_z [] l.
Definition sort_vector (group : nat) (s : shape) (x : ratios) : ratios :=
  let t := from_list (snd x) in
  (fst x, map (fun i => nth ((i / points s) mod group) (sort_z (map (get t) (group_places group (points s) i))) 0%Z) (seq 0 (len s))).

(* y + (p / q) x *)
Definition axpy (p q : Z) (x y : ratios) : ratios :=
  if Z.eqb p 0 then y else
  let d := Z.lcm (fst y) (q * fst x) in
  let a := (d / fst y)%Z in let b := (p * (d / (q * fst x)))%Z in
  (d, map2_z (fun u v => a * u + b * v)%Z (snd y) (snd x)).

(* A Runge-Kutta method (A/d, b/d). *)
Record tableau := Tableau { t_A : list (list Z); t_b : list Z; t_d : Z }.

(* x + (p / q) sum_j a_j k_j *)
Fixpoint moved (p q : Z) (a : list Z) (ks : list ratios) (x : ratios) : ratios :=
  match a, ks with aj :: a', k :: ks' => moved p q a' ks' (axpy (p * aj) q k x) | _, _ => x end.
(* the slopes f(X_1), f(X_2), ... of an explicit method, after those in ks *)
Fixpoint stages (f : ratios -> ratios) (p q : Z) (A : list (list Z)) (x : ratios) (ks : list ratios) : list ratios :=
  match A with [] => ks | a :: A' => stages f p q A' x (ks ++ [f (moved p q a ks x)]) end.
Fixpoint explicit (i : nat) (A : list (list Z)) : bool :=
  match A with [] => true | a :: A' => forallb (Z.eqb 0) (skipn i a) && explicit (S i) A' end.

Definition step (f : ratios -> ratios) (m : tableau) (h h_den : Z) (x : ratios) : ratios :=
  let q := (h_den * t_d m)%Z in moved h q (t_b m) (stages f h q (t_A m) x []) x.

(* - W^T sigma(W x + b) *)
Definition gradient (l : linear) (s : shape) (g : slope) (x : ratios) : ratios :=
  let y := linear_adjoint l s (leaky_vector g (affine l s x)) in (fst y, map Z.opp (snd y)).
(* V sigma(W x + b) + c *)
Definition residual (l v : linear) (s : shape) (g : slope) (x : ratios) : ratios :=
  affine v (linear_out l s) (leaky_vector g (affine l s x)).

Inductive field := Gradient (l : linear) (g : slope) | Residual (l : linear) (g : slope) (v : linear).

Definition field_value (f : field) (s : shape) : ratios -> ratios :=
  match f with Gradient l g => gradient l s g | Residual l g v => residual l v s g end.
Definition field_fits (f : field) (s : shape) : bool :=
  match f with
  | Gradient l g => linear_fits l s && Z.ltb 0 (slope_den g)
  | Residual l g v => linear_fits l s && linear_fits v (linear_out l s) && Z.ltb 0 (slope_den g) &&
      Nat.eqb (len (linear_out v (linear_out l s))) (len s)
  end.

Inductive layer :=
  | Affine (l : linear)
  | Activation (g : slope)
  (* (x - mean) / deviation, one of each for a unit of the input: numerators over a common denominator *)
  | Normalize (mean : list Z) (mean_den : Z) (deviation : list Z) (deviation_den : Z)
  | Flow (m : tableau) (h h_den : Z) (steps : nat) (f : field)
  | Partial (first last : nat) (g : slope)
  | Clip (low high den : Z)
  | Sort (group : nat).

Definition layer_out (l : layer) (s : shape) : shape := match l with Affine l => linear_out l s | _ => s end.
Fixpoint layers_out (ls : list layer) (s : shape) : shape :=
  match ls with [] => s | l :: ls' => layers_out ls' (layer_out l s) end.

Definition layer_fits (l : layer) (s : shape) : bool :=
  match l with
  | Affine l => linear_fits l s
  | Activation g => Z.ltb 0 (slope_den g)
  | Normalize mean d deviation e => Z.ltb 0 d && Z.ltb 0 e && forallb (Z.ltb 0) deviation &&
      Nat.eqb (length mean) (units s) && Nat.eqb (length deviation) (units s) && Nat.ltb 0 (points s)
  | Flow m h h_den steps f => field_fits f s && Z.ltb 0 h_den && Z.ltb 0 (t_d m) && Nat.eqb (length (t_A m)) (length (t_b m))
  | Partial first last g => Z.ltb 0 (slope_den g)
  | Clip low high den => Z.ltb 0 den && Z.leb low high
  | Sort group => Nat.ltb 0 group && Nat.ltb 0 (points s) && Nat.eqb (units s mod group) 0
  end.

(* (z / d - m / M) / (s / S) = (z M - m d) S (P / s) / (d M P), P the product of all s *)
Definition normalize (mean : list Z) (mean_den : Z) (deviation : list Z) (deviation_den : Z) (s : shape) (x : ratios) : ratios :=
  let product := fold_right Z.mul 1%Z deviation in
  (fst x * mean_den * product,
   map2_z (fun z i => let u := (i / points s)%nat in
     (z * mean_den - nth u mean 0 * fst x) * (deviation_den * (product / nth u deviation 1)))
     (snd x) (seq 0 (len s)))%Z.

Fixpoint repeated {A : Type} (k : nat) (f : A -> A) (x : A) : A := match k with O => x | S k' => repeated k' f (f x) end.

Definition layer_value (l : layer) (s : shape) (x : ratios) : option ratios :=
  if layer_fits l s then
    match l with
    | Affine l => Some (affine l s x)
    | Activation g => Some (leaky_vector g x)
    | Normalize mean d deviation e => Some (normalize mean d deviation e s x)
    | Flow m h h_den steps f =>
        if explicit 0 (t_A m) then Some (repeated steps (step (field_value f s) m h h_den) x) else None
    | Partial first last g => Some (partial_vector first last g s x)
    | Clip low high den => Some (clip_vector low high den x)
    | Sort group => Some (sort_vector group s x)
    end
  else None.

Fixpoint forward (ls : list layer) (s : shape) (x : ratios) : option ratios :=
  match ls with
  | [] => Some x
  | l :: ls' => match layer_value l s x with Some y => forward ls' (layer_out l s) y | None => None end
  end.

(* A layer, or the mean or the sum of branches that are layers in a row each. *)
Inductive node := Single (l : layer) | Mean (branches : list (list layer)) | Sum (branches : list (list layer)).

Definition branches_out (branches : list (list layer)) (s : shape) : shape :=
  match branches with ls :: _ => layers_out ls s | [] => s end.
Definition block_out (b : node) (s : shape) : shape :=
  match b with Single l => layer_out l s | Mean branches | Sum branches => branches_out branches s end.
Fixpoint blocks_out (bs : list node) (s : shape) : shape :=
  match bs with [] => s | b :: bs' => blocks_out bs' (block_out b s) end.
Definition branches_fit (branches : list (list layer)) (s : shape) : bool :=
  Nat.ltb 0 (length branches) && forallb (fun ls => Nat.eqb (len (layers_out ls s)) (len (branches_out branches s))) branches.
Definition block_fits (b : node) (s : shape) : bool :=
  match b with Single l => layer_fits l s | Mean branches | Sum branches => branches_fit branches s end.

(* the sum of the values of branches, of n numbers each *)
Fixpoint sum_value (n : nat) (branches : list (list layer)) (s : shape) (x : ratios) : option ratios :=
  match branches with
  | [] => Some (1%Z, zeros n)
  | ls :: branches' =>
      match forward ls s x, sum_value n branches' s x with Some y, Some z => Some (axpy 1 1 y z) | _, _ => None end
  end.
Definition branches_value (branches : list (list layer)) (s : shape) (x : ratios) : option ratios :=
  if branches_fit branches s then sum_value (len (branches_out branches s)) branches s x else None.
Definition divided (n : nat) (x : ratios) : ratios := (fst x * Z.of_nat n, snd x)%Z.
Definition block_value (b : node) (s : shape) (x : ratios) : option ratios :=
  match b with
  | Single l => layer_value l s x
  | Mean branches => option_map (divided (length branches)) (branches_value branches s x)
  | Sum branches => branches_value branches s x
  end.
Fixpoint forward_blocks (bs : list node) (s : shape) (x : ratios) : option ratios :=
  match bs with
  | [] => Some x
  | b :: bs' => match block_value b s x with Some y => forward_blocks bs' (block_out b s) y | None => None end
  end.
