(* The checker: an executable function over Z.  Definitions only; what `true` means is proved in witness_sound.v.

   A witness is a network given by exact integers, each object with its own power of two, and claims about it.

     check_layers   the network's squared Lipschitz bound as num / 2^scale, or None when some layer's proof fails
     check_lipschitz    ... and it is at most (L / 2^s)^2
     check_margin       ... and gaps between logits at a point survive every perturbation up to eps
     check_claims       many claims about one network, whose layers are checked once *)

From Coq Require Import ZArith List Bool.
Require Import integer_core.
Import ListNotations.
Local Open Scope Z_scope.

(* An m x n matrix W / 2^scale.  `lists` are the columns of W or, if transposed, its rows, so that the certificate is
   about the smaller of the two Gram matrices; `factor` are the columns of R; alpha and beta are over 4^scale.
   The matrix acts on the channels at each of op_points points of an image; of a dense layer there is one. *)
Record operator := Operator {
  op_rows : nat; op_cols : nat; op_points : nat; op_transposed : bool; op_scale : Z;
  op_lists : list (list Z); op_factor : list (list Z); op_alpha : Z; op_beta : Z }.

Definition two_to (s : Z) : Z := Z.pow 2 s.

Definition check_operator (o : operator) : bool :=
  let count := if op_transposed o then op_rows o else op_cols o in
  let len := if op_transposed o then op_cols o else op_rows o in
  Nat.ltb 0 (op_points o) && Z.leb 0 (op_scale o) && Nat.eqb (length (op_lists o)) count && forallb (fun c => Nat.eqb (length c) len) (op_lists o) &&
  Z.leb 0 (op_alpha o + op_beta o) && packed_norm_z (op_alpha o) (op_beta o) (op_lists o) (op_factor o).

Definition op_in (o : operator) : nat := Nat.mul (op_cols o) (op_points o).
Definition op_out (o : operator) : nat := Nat.mul (op_rows o) (op_points o).

(* Leaky ReLU with slope a / 2^s on the negative side; a = 0 is ReLU, a = 2^s the identity. *)
Record activation := Leaky { slope_num : Z; slope_scale : Z }.

Definition check_activation (g : activation) : bool :=
  Z.leb 0 (slope_scale g) && Z.leb 0 (slope_num g) && Z.leb (slope_num g) (two_to (slope_scale g)).

(* A Runge-Kutta method (A/d, b/d) with the reciprocal radius kappa = kn / kd, and a step h / 2^s. *)
Record method := Method { m_A : list (list Z); m_b : list Z; m_d : Z; m_kn : Z; m_kd : Z }.

Inductive layer :=
  | Affine (o : operator) (bias : list Z)
  | Activation (g : activation)
  | Pad (extra : nat)
  | Flow (m : method) (h h_scale : Z) (steps : nat) (o : operator) (bias : list Z) (g : activation).

Definition layer_out (l : layer) (n : nat) : nat :=
  match l with
  | Affine o _ => op_out o
  | Activation _ => n
  | Pad extra => Nat.add n extra
  | Flow _ _ _ _ _ _ _ => n
  end.

Fixpoint layers_out (ls : list layer) (n : nat) : nat :=
  match ls with [] => n | l :: ls' => layers_out ls' (layer_out l n) end.

(* The bound of one layer: (num, scale) stands for num / 2^scale. *)
Definition check_layer (l : layer) (n : nat) : option (Z * Z) :=
  match l with
  | Affine o bias =>
      if Nat.eqb (op_in o) n && check_operator o
      then Some (op_alpha o + op_beta o, 2 * op_scale o) else None
  | Activation g => if check_activation g then Some (1, 0) else None
  | Pad _ => Some (1, 0)
  | Flow m h hs steps o bias g =>
      if Nat.eqb (op_in o) n && check_operator o && check_activation g &&
         circle_z (m_A m) (m_b m) (m_d m) (m_kn m) (m_kd m) && Z.leb 0 h && Z.leb 0 hs &&
         Z.leb (h * m_kn m * (op_alpha o + op_beta o)) (2 * m_kd m * two_to (hs + 2 * op_scale o))
      then Some (1, 0) else None
  end.

Fixpoint check_layers (ls : list layer) (n : nat) : option (Z * Z) :=
  match ls with
  | [] => Some (1, 0)
  | l :: ls' =>
      match check_layer l n, check_layers ls' (layer_out l n) with
      | Some (p, s), Some (q, t) => Some (p * q, s + t)
      | _, _ => None
      end
  end.

(* The Lipschitz constant is at most bound / 2^s; proved is what check_layers says. *)
Definition lipschitz_holds (proved : option (Z * Z)) (bound s : Z) : bool :=
  match proved with
  | Some (p, t) => Z.leb 0 bound && Z.leb 0 s && Z.leb (p * two_to (2 * s)) (bound * bound * two_to t)
  | None => false
  end.

Definition check_lipschitz (ls : list layer) (n : nat) : Z -> Z -> bool := lipschitz_holds (check_layers ls n).

(* The head: logit_j = <row_j, y> / 2^scale + bias_j; gaps.(j) / 2^gap_scale is a lower bound of logit_i - logit_j at the
   sample.  The entry of gaps at i itself is not looked at. *)
Record head := Head { head_rows : list (list Z); head_scale : Z }.
Record margin_claim := Margin { winner : nat; gaps : list Z; gap_scale : Z; eps : Z; eps_scale : Z }.

Definition row (hd : head) (j : nat) : list Z := nth j (head_rows hd) [].
Definition square_distance (a b : list Z) : Z :=
  let d := map2_z Z.sub a b in dot_z 0 d d.

Definition check_gap (hd : head) (p t : Z) (c : margin_claim) (j : nat) : bool :=
  Nat.eqb j (winner c) ||
  (let g := nth j (gaps c) 0 in
   Z.ltb 0 g &&
   Z.ltb (p * square_distance (row hd (winner c)) (row hd j) * (eps c * eps c) * two_to (2 * gap_scale c))
         (g * g * two_to (t + 2 * head_scale hd + 2 * eps_scale c))).

Definition margin_holds (proved : option (Z * Z)) (ls : list layer) (n : nat) (hd : head) (c : margin_claim) : bool :=
  match proved with
  | Some (p, t) =>
      Z.leb 0 (head_scale hd) && Z.leb 0 (gap_scale c) && Z.leb 0 (eps c) && Z.leb 0 (eps_scale c) &&
      forallb (fun r => Nat.eqb (length r) (layers_out ls n)) (head_rows hd) &&
      Nat.ltb (winner c) (length (head_rows hd)) &&
      forallb (check_gap hd p t c) (seq 0 (length (head_rows hd)))
  | None => false
  end.

Definition check_margin (ls : list layer) (n : nat) : head -> margin_claim -> bool :=
  margin_holds (check_layers ls n) ls n.

Inductive claim := LipschitzClaim (bound scale : Z) | MarginClaim (hd : head) (c : margin_claim).

Definition check_claim (proved : option (Z * Z)) (ls : list layer) (n : nat) (c : claim) : bool :=
  match c with
  | LipschitzClaim bound s => lipschitz_holds proved bound s
  | MarginClaim hd m => margin_holds proved ls n hd m
  end.

Definition check_claims (ls : list layer) (n : nat) (cs : list claim) : list bool :=
  let proved := check_layers ls n in map (check_claim proved ls n) cs.
