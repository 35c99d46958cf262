(* The checker: executable functions over Z.  Definitions only; what their answers mean is proved in witness_sound.v.

   The network and the samples come from their files (network_core.v); a witness holds nothing but proofs and claims.

     check_blocks      a bound of the squared Lipschitz constant of the layers as a fraction, or None when a proof fails
     lipschitz_holds   ... and it is at most (bound / den)^2
     margin_holds      ... and at a sample, whose logits are computed exactly, one class stays ahead up to a radius *)

From Coq Require Import ZArith List Bool.
Require Import integer_core integer_tree network_core circulant_core.
Import ListNotations.
Local Open Scope Z_scope.

(* For the matrix W / d, with integers W:
     Disjoint    every input is read once at most, so the rows are orthogonal
     Gram        factor holds the columns of R, and sum_j |alpha [i=j] - G_ij - (R^T R)_ij| <= beta, where G = V V^T if
                 transposed and V^T V if not, V = fine W
     Torus       W is a convolution with zero padding; on a torus of S n1 x S n2 points, twisted or not along either axis, the
                 same sums of the residual of alpha I - V^T V - R^T R, which is a convolution there (circulant_core.v); or W goes
                 around its image, which then is the torus *)
Inductive norm_proof :=
  | Disjoint
  | Torus (n1 n2 : nat) (twisted1 twisted2 : bool) (fine alpha beta : Z) (factor : columns)
  | Gram (transposed : bool) (fine alpha beta : Z) (factor : list (list Z)).

Definition column (n : nat) : list (list Z) := repeat [] n.
Definition transpose (n : nat) (rows : list (list Z)) : list (list Z) := fold_right (map2_z cons) (column n) rows.

(* A convolution with a kernel of one point acts on the channels at each point of an image. *)
Definition is_pointwise (o : operator) : bool :=
  match o with
  | Conv a b t1 t2 p _ => Nat.eqb a 1 && Nat.eqb b 1 && Nat.eqb t1 1 && Nat.eqb t2 1 && Nat.eqb p 0
  | _ => false
  end.

(* The rows of a matrix of the same norm. *)
Definition norm_rows (o : operator) (s : shape) : list (list Z) :=
  match o with
  | Dense _ rows => rows
  | Conv _ _ _ _ _ kernels =>
      if is_pointwise o then kernels else
      map (fun i => to_list (len s) (scatter 1 (taps o s i) (from_list (zeros (len s))))) (seq 0 (len (operator_out o s)))
  | _ => map (fun i => to_list (len s) (scatter 1 (taps o s i) (from_list (zeros (len s))))) (seq 0 (len (operator_out o s)))
  end.
Definition norm_columns (o : operator) (s : shape) : nat :=
  if is_pointwise o then units s else len s.

Definition ones (ts : list (nat * Z)) : list (nat * Z) := map (fun t => (fst t, if Z.eqb (snd t) 0 then 0 else 1)) ts.
Definition square_sum (ts : list (nat * Z)) : Z := fold_right (fun t a => snd t * snd t + a) 0 ts.
Definition reads_once (o : operator) (s : shape) : bool :=
  let t := scatter_rows (fun i => ones (taps o s i)) 0 (repeat 1 (len (operator_out o s))) (from_list (zeros (len s))) in
  forallb (fun j => Z.leb (get t j) 1) (seq 0 (len s)).
Definition largest_row (o : operator) (s : shape) : Z :=
  fold_right (fun i a => max_z a (square_sum (taps o s i))) 0 (seq 0 (len (operator_out o s))).

(* (p, q) stands for p / q *)
Definition norm_bound (l : linear) (s : shape) (p : norm_proof) : option (Z * Z) :=
  if linear_fits l s then
    let d := linear_den l s in
    match p with
    | Disjoint => if reads_once (op l) s then Some (largest_row (op l) s, d * d) else None
    | Torus n1 n2 twisted1 twisted2 fine alpha beta factor =>
        match op l, s with
        | Conv a b t1 t2 p kernels, Image c h w =>
            let e := fine * d in
            if Z.ltb 0 fine && Z.leb 0 (alpha + beta) && axis_fits h p a t1 n1 && axis_fits w p b t2 n2 &&
               circulant_ok n1 n2 twisted1 twisted2 alpha beta (phase_columns n1 n2 a b t1 t2 c fine kernels) factor
            then Some (alpha + beta, e * e) else None
        | Circular a b t1 t2 p kernels, Image c h w =>
            let e := fine * d in
            if Z.ltb 0 fine && Z.leb 0 (alpha + beta) && negb twisted1 && negb twisted2 && axis_closed h p a t1 n1 &&
               axis_closed w p b t2 n2 && circulant_ok n1 n2 false false alpha beta (phase_columns n1 n2 a b t1 t2 c fine kernels) factor
            then Some (alpha + beta, e * e) else None
        | _, _ => None
        end
    | Gram transposed fine alpha beta factor =>
        let rows := norm_rows (op l) s in
        let lists := if transposed then rows else transpose (norm_columns (op l) s) rows in
        let e := fine * d in
        if Z.ltb 0 fine && Z.leb 0 (alpha + beta) && packed_norm_z alpha beta (map (map (Z.mul fine)) lists) factor
        then Some (alpha + beta, e * e) else None
    end
  else None.

(* From below: factor holds the columns of R, and  sum_j |alpha [i=j] - V^T V + R^T R|_ij <= beta  with V = fine W, all of it. *)
Record below_proof := Below { below_fine : Z; below_alpha : Z; below_beta : Z; below_factor : list (list Z) }.

Definition whole_rows (o : operator) (s : shape) : list (list Z) :=
  map (fun i => to_list (len s) (scatter 1 (taps o s i) (from_list (zeros (len s))))) (seq 0 (len (operator_out o s))).

(* a fraction c with |W x|^2 >= c |x|^2 *)
Definition below_bound (l : linear) (s : shape) (p : option below_proof) : option (Z * Z) :=
  match p with
  | None => Some (0, 1)
  | Some (Below fine alpha beta factor) =>
      let e := fine * linear_den l s in
      if linear_fits l s && Z.ltb 0 fine &&
         packed_below_z alpha beta (map (map (Z.mul fine)) (transpose (len s) (whole_rows (op l) s))) factor
      then Some (alpha - beta, e * e) else None
  end.

(* A flow of a gradient field needs the reciprocal kn / kd of the circle radius of its method besides.  Euler is about steps of Euler's
   method: they may contract, by what is proved from below, or be too long to be non-expansive, as a reflection by a vector may. *)
Inductive layer_proof := Nothing | Norm (p : norm_proof) | Circle (p : norm_proof) (kn kd : Z)
  | Euler (p : norm_proof) (q : option below_proof).

Definition check_slope (g : slope) : bool :=
  Z.ltb 0 (slope_den g) && Z.leb 0 (slope_num g) && Z.leb (slope_num g) (slope_den g).

(* the larger one of 1 and the size of the slope, squared *)
Definition slope_bound (g : slope) : Z * Z :=
  let m := max_z (Z.abs (slope_num g)) (slope_den g) in (m * m, slope_den g * slope_den g).

Definition least (l : list Z) : Z := match l with [] => 1 | x :: l' => fold_right (fun y a => if Z.leb y a then y else a) x l' end.

Definition is_euler (m : tableau) : bool :=
  match t_A m, t_b m with [[a]], [b] => Z.eqb a 0 && Z.eqb b (t_d m) | _, _ => false end.

(* max(|1 - h m c|, |1 - h b|), squared, for slopes in [m, 1], where b bounds |W|^2 from above and c from below *)
Definition euler_bound (h h_den : Z) (g : slope) (b c : Z * Z) : Z * Z :=
  let d := h_den * slope_den g * snd c in let e := h_den * snd b in
  let r := max_z (Z.abs (d - h * slope_num g * fst c) * e) (Z.abs (e - h * fst b) * d) in (r * r, d * e * (d * e)).

(* one step of the flow of - W^T sigma(W x + b), where |W|^2 <= fst b / snd b *)
Definition step_bound (m : tableau) (h h_den : Z) (l : linear) (s : shape) (g : slope) (p : layer_proof) (b : Z * Z) : option (Z * Z) :=
  if check_slope g && Z.leb 0 h then
    match p with
    | Circle _ kn kd =>
        if circle_z (t_A m) (t_b m) (t_d m) kn kd && Z.leb (h * kn * fst b) (2 * kd * h_den * snd b) then Some (1, 1) else None
    | Euler _ q => if is_euler m then option_map (euler_bound h h_den g b) (below_bound l s q) else None
    | _ => None
    end
  else None.

(* (a / b)^k, rounded up to a multiple of 1 / root_den^2 *)
Definition root_den : Z := 18446744073709551616.
Definition quotient_up (a b : Z) : Z := Z.div (a + b - 1) b.
Definition power_up (k : nat) (c : Z * Z) : Z * Z :=
  let unit := root_den * root_den in (repeated k (fun r => quotient_up (r * fst c) (snd c)) unit, unit).

(* a proof of the norm of the operator of a flow *)
Definition flow_norm (p : layer_proof) : option norm_proof :=
  match p with Circle q _ _ | Euler q _ => Some q | _ => None end.
(* |W|^2, and one step *)
Definition flow_bounds (m : tableau) (h h_den : Z) (l : linear) (s : shape) (g : slope) (p : layer_proof) : option ((Z * Z) * (Z * Z)) :=
  match flow_norm p with
  | Some q =>
      match norm_bound l s q with
      | Some b => option_map (pair b) (step_bound m h h_den l s g p b)
      | None => None
      end
  | None => None
  end.

Definition check_layer (l : layer) (s : shape) (p : layer_proof) : option (Z * Z) :=
  if layer_fits l s then
    match l, p with
    | Affine l, Norm p => norm_bound l s p
    | Activation g, Nothing | Partial _ _ g, Nothing => Some (slope_bound g)
    | Clip _ _ _, Nothing | Sort _, Nothing => Some (1, 1)
    | Normalize mean d deviation e, Nothing => let m := least deviation in Some (e * e, m * m)
    | Flow m h h_den steps (Gradient l g), _ => option_map (fun b => power_up steps (snd b)) (flow_bounds m h h_den l s g p)
    | _, _ => None
    end
  else None.

Fixpoint check_layers (ls : list layer) (ps : list layer_proof) (s : shape) : option (Z * Z) :=
  match ls, ps with
  | [], [] => Some (1, 1)
  | l :: ls', p :: ps' =>
      match check_layer l s p, check_layers ls' ps' (layer_out l s) with
      | Some (a, b), Some (c, d) => Some (a * c, b * d)
      | _, _ => None
      end
  | _, _ => None
  end.

(* Branches: constants add up, each as a multiple of 1 / root_den that is not below the root of its square. *)
Inductive block_proof := Alone (p : layer_proof) | Branches (ps : list (list layer_proof)).

(* an integer whose square is at least a / b *)
Definition root_up (a b : Z) : Z := Z.sqrt_up (quotient_up a b).
Definition branch_root (a : Z * Z) : Z := root_up (fst a * (root_den * root_den)) (snd a).

Fixpoint check_branches (branches : list (list layer)) (ps : list (list layer_proof)) (s : shape) : option Z :=
  match branches, ps with
  | [], [] => Some 0
  | ls :: branches', p :: ps' =>
      match check_layers ls p s, check_branches branches' ps' s with
      | Some a, Some r => Some (branch_root a + r)
      | _, _ => None
      end
  | _, _ => None
  end.
Definition sum_square (r : Z) : Z * Z := (r * r, root_den * root_den).
Definition mean_square (n : nat) (r : Z) : Z * Z := (r * r, root_den * Z.of_nat n * (root_den * Z.of_nat n)).
Definition check_block (b : node) (p : block_proof) (s : shape) : option (Z * Z) :=
  match b, p with
  | Single l, Alone p => check_layer l s p
  | Mean branches, Branches ps =>
      if branches_fit branches s then option_map (mean_square (length branches)) (check_branches branches ps s) else None
  | Sum branches, Branches ps => if branches_fit branches s then option_map sum_square (check_branches branches ps s) else None
  | _, _ => None
  end.
Fixpoint check_blocks (bs : list node) (ps : list block_proof) (s : shape) : option (Z * Z) :=
  match bs, ps with
  | [], [] => Some (1, 1)
  | b :: bs', p :: ps' =>
      match check_block b p s, check_blocks bs' ps' (block_out b s) with
      | Some (a, b), Some (c, d) => Some (a * c, b * d)
      | _, _ => None
      end
  | _, _ => None
  end.

(* The Lipschitz constant is at most bound / den; proved is what check_blocks says. *)
Definition lipschitz_holds (proved : Z * Z) (bound den : Z) : bool :=
  Z.leb 0 bound && Z.ltb 0 den && Z.leb (fst proved * (den * den)) (bound * bound * snd proved).

(* The head is a dense layer.  The logits of a sample, exactly. *)
Definition logits (ls : list node) (hd : linear) (s : shape) (x : ratios) : option ratios :=
  match forward_blocks ls s x with
  | Some y => if linear_fits hd (blocks_out ls s) then Some (affine hd (blocks_out ls s) y) else None
  | None => None
  end.

Definition head_row (hd : linear) (j : nat) : list Z :=
  match op hd with Dense _ rows => nth j rows [] | _ => [] end.
Definition head_rows (hd : linear) : nat := match op hd with Dense _ rows => length rows | _ => 0%nat end.
Definition square_distance (a b : list Z) : Z := let d := map2_z Z.sub a b in dot_z 0 d d.

(* The first class at which the logits are largest. *)
Fixpoint argmax (i best : nat) (value : Z) (l : list Z) : nat :=
  match l with
  | [] => best
  | x :: l' => if Z.ltb value x then argmax (S i) i x l' else argmax (S i) best value l'
  end.
Definition class_of (z : ratios) : nat := match snd z with [] => 0%nat | x :: l => argmax 1 0 x l end.

Definition check_gap (hd : linear) (proved : Z * Z) (z : ratios) (radius den : Z) (i j : nat) : bool :=
  Nat.eqb j i ||
  (let g := nth i (snd z) 0 - nth j (snd z) 0 in
   Z.ltb 0 g &&
   Z.ltb (fst proved * square_distance (head_row hd i) (head_row hd j) * (radius * radius) * (fst z * fst z))
         (g * g * snd proved * (network_core.den hd * network_core.den hd) * (den * den))).

(* Class i at the sample with the logits z, and at every point within radius / den of it. *)
Definition margin_holds (proved : Z * Z) (hd : linear) (z : ratios) (radius den : Z) (i : nat) : bool :=
  Z.leb 0 radius && Z.ltb 0 den && Nat.ltb i (head_rows hd) &&
  forallb (check_gap hd proved z radius den i) (seq 0 (head_rows hd)).
