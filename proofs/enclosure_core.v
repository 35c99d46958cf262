(* Logits of many samples within a bound of their error: definitions only, made for extraction.  What they enclose is proved in
   enclosure_sound.v.

   Each layer is computed exactly, and its output is rounded to integers over K.  A layer with the Lipschitz constant L takes an
   error e to L e, and rounding adds at most the root of the number of outputs; errors are integers over K, too.

     bounds_blocks      the fractions that bound the squares of the Lipschitz constants, layer by layer
     blocks_product     what they prove together, which is what check_blocks says
     enclose_logits     the logits of points within e / K of the features of the samples
     margin_within      what margin_holds says, for all features within e / K; radius 0 is about the sample alone *)

From Coq Require Import ZArith List Bool.
Require Import integer_core network_core circulant_core witness_core batch_core.
Import ListNotations.
Local Open Scope Z_scope.

(* a fraction for each layer, for each branch of a mean *)
Definition bound := (Z * Z)%type.
Definition bounds := list (list bound).

Fixpoint bounds_layers (ls : list layer) (ps : list layer_proof) (s : shape) : option (list bound) :=
  match ls, ps with
  | [], [] => Some []
  | l :: ls', p :: ps' =>
      match check_layer l s p, bounds_layers ls' ps' (layer_out l s) with Some a, Some b => Some (a :: b) | _, _ => None end
  | _, _ => None
  end.
Fixpoint bounds_branches (branches : list (list layer)) (ps : list (list layer_proof)) (s : shape) : option bounds :=
  match branches, ps with
  | [], [] => Some []
  | ls :: branches', p :: ps' =>
      match bounds_layers ls p s, bounds_branches branches' ps' s with Some a, Some b => Some (a :: b) | _, _ => None end
  | _, _ => None
  end.
Definition bounds_block (b : node) (p : block_proof) (s : shape) : option bounds :=
  match b, p with
  | Single l, Alone p => bounds_branches [[l]] [[p]] s
  | Mean branches, Branches ps | Sum branches, Branches ps => if branches_fit branches s then bounds_branches branches ps s else None
  | _, _ => None
  end.
Fixpoint bounds_blocks (bs : list node) (ps : list block_proof) (s : shape) : option (list bounds) :=
  match bs, ps with
  | [], [] => Some []
  | b :: bs', p :: ps' =>
      match bounds_block b p s, bounds_blocks bs' ps' (block_out b s) with Some a, Some b => Some (a :: b) | _, _ => None end
  | _, _ => None
  end.

Definition product (l : list bound) : bound := fold_right (fun x y => (fst x * fst y, snd x * snd y)) (1, 1) l.
Definition roots_sum (l : bounds) : Z := fold_right (fun x r => branch_root (product x) + r) 0 l.
Definition block_product (b : node) (l : bounds) : bound :=
  match b with
  | Single _ => match l with x :: _ => match x with y :: _ => y | [] => (1, 1) end | [] => (1, 1) end
  | Mean branches => mean_square (length branches) (roots_sum l)
  | Sum branches => sum_square (roots_sum l)
  end.
Fixpoint blocks_product (bs : list node) (l : list bounds) : bound :=
  match bs, l with
  | b :: bs', x :: l' => let x := block_product b x in let y := blocks_product bs' l' in (fst x * fst y, snd x * snd y)
  | _, _ => (1, 1)
  end.

Section Enclose.
Variable K : Z.

(* the samples, and the error of each of them over K *)
Definition enclosure := (list ratios * Z)%type.

Definition rounded (x : ratios) : ratios := (K, map (fun z => Z.div (z * K) (fst x)) (snd x)).

Definition enclose_step (f : list ratios -> list ratios) (L : Z) (n : nat) (c : enclosure) : enclosure :=
  (map rounded (f (fst c)), L * snd c + root_up (Z.of_nat n) 1).
Definition enclose_layer (l : layer) (b : bound) (s : shape) (c : enclosure) : option enclosure :=
  let once f := Some (enclose_step f (root_up (fst b) (snd b)) (len (layer_out l s)) c) in
  if layer_fits l s then
    match l with
    | Affine l => once (affine_many l s)
    | Activation g => once (map (leaky_vector g))
    | Normalize mean d deviation e => once (map (normalize mean d deviation e s))
    | Flow m h h_den steps f =>
        (* one step alone may be no contraction by as much, but it is none above 1 or what they are together *)
        let L := max_z 1 (root_up (fst b) (snd b)) in
        if explicit 0 (t_A m) then Some (repeated steps (enclose_step (step_many (field_many f s) m h h_den) L (len s)) c) else None
    | Partial first last g => once (map (partial_vector first last g s))
    | Clip low high den => once (map (clip_vector low high den))
    | Sort group => once (map (sort_vector group s))
    end
  else None.
Fixpoint enclose_layers (ls : list layer) (l : list bound) (s : shape) (c : enclosure) : option enclosure :=
  match ls, l with
  | [], [] => Some c
  | x :: ls', b :: l' => match enclose_layer x b s c with Some c' => enclose_layers ls' l' (layer_out x s) c' | None => None end
  | _, _ => None
  end.

Fixpoint enclose_branches (n : nat) (branches : list (list layer)) (l : bounds) (s : shape) (c : enclosure) : option enclosure :=
  match branches, l with
  | [], [] => Some (map (fun _ => (1, zeros n)) (fst c), 0)
  | ls :: branches', b :: l' =>
      match enclose_layers ls b s c, enclose_branches n branches' l' s c with
      | Some x, Some y => Some (map2_z (axpy 1 1) (fst x) (fst y), snd x + snd y)
      | _, _ => None
      end
  | _, _ => None
  end.
Definition enclose_sum (branches : list (list layer)) (l : bounds) (s : shape) (c : enclosure) : option enclosure :=
  if branches_fit branches s then enclose_branches (len (branches_out branches s)) branches l s c else None.
Definition enclose_block (b : node) (l : bounds) (s : shape) (c : enclosure) : option enclosure :=
  match b, l with
  | Single x, [[y]] => enclose_layer x y s c
  | Mean branches, _ =>
      option_map (fun x => (map (divided (length branches)) (fst x), snd x)) (enclose_sum branches l s c)
  | Sum branches, _ => enclose_sum branches l s c
  | _, _ => None
  end.
Fixpoint enclose_blocks (bs : list node) (l : list bounds) (s : shape) (c : enclosure) : option enclosure :=
  match bs, l with
  | [], [] => Some c
  | b :: bs', x :: l' => match enclose_block b x s c with Some c' => enclose_blocks bs' l' (block_out b s) c' | None => None end
  | _, _ => None
  end.

Definition enclose_logits (bs : list node) (l : list bounds) (hd : linear) (s : shape) (xs : list ratios) : option enclosure :=
  match enclose_blocks bs l s (xs, 0) with
  | Some c => if linear_fits hd (blocks_out bs s) then Some (affine_many hd (blocks_out bs s) (fst c), snd c) else None
  | None => None
  end.

(* (Lip r + e / K)^2 <= (1 + 1/T) Lip^2 r^2 + (1 + T) (e / K)^2 *)
Definition gap_within (hd : linear) (proved : bound) (T e : Z) (z : ratios) (radius d : Z) (i j : nat) : bool :=
  Nat.eqb j i ||
  (let g := nth i (snd z) 0 - nth j (snd z) 0 in
   Z.ltb 0 g &&
   Z.ltb (square_distance (head_row hd i) (head_row hd j) * (fst z * fst z) *
            ((T + 1) * (fst proved * (radius * radius) * (K * K) + T * snd proved * (d * d) * (e * e))))
         (g * g * (T * snd proved * (d * d) * (K * K)) * (network_core.den hd * network_core.den hd))).
Definition margin_within (proved : bound) (hd : linear) (T e : Z) (z : ratios) (radius d : Z) (i : nat) : bool :=
  Z.leb 0 radius && Z.ltb 0 d && Z.ltb 0 T && Z.ltb 0 K && Nat.ltb i (head_rows hd) &&
  forallb (gap_within hd proved T e z radius d i) (seq 0 (head_rows hd)).
End Enclose.
