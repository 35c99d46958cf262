(* Random access to a list of integers: a tree in which the number at place 0 is the root, those at the places 1, 3, 5, ...
   are on the left, and those at 2, 4, 6, ... on the right.

     get (from_list l) i = the entry of l at place i, or 0 beyond its end
     add_at t i z          z is added at place i, if the tree has that place
     to_list n t           the first n numbers

   Definitions, which are extracted, and what they mean. *)

From Coq Require Import ZArith List.
From mathcomp Require Import all_ssreflect zify.
Set Implicit Arguments. Unset Strict Implicit. Unset Printing Implicit Defensive.

Inductive tree := Empty | Node (x : Z) (left right : tree).

Fixpoint get (t : tree) (i : nat) : Z :=
  match t with
  | Empty => Z0
  | Node x l r => match i with O => x | S k => if Nat.even k then get l (Nat.div2 k) else get r (Nat.div2 k) end
  end.

Fixpoint add_at (t : tree) (i : nat) (z : Z) : tree :=
  match t with
  | Empty => Empty
  | Node x l r =>
      match i with
      | O => Node (Z.add x z) l r
      | S k => if Nat.even k then Node x (add_at l (Nat.div2 k) z) r else Node x l (add_at r (Nat.div2 k) z)
      end
  end.

(* the entries at even places and those at odd ones *)
Definition split (l : list Z) : list Z * list Z :=
  List.fold_right (fun x p => (x :: snd p, fst p)) (nil, nil) l.

Fixpoint build (fuel : nat) (l : list Z) : tree :=
  match fuel, l with
  | S k, x :: l' => let p := split l' in Node x (build k (fst p)) (build k (snd p))
  | _, _ => Empty
  end.

Definition from_list (l : list Z) : tree := build (List.length l) l.
Definition to_list (n : nat) (t : tree) : list Z := List.map (get t) (List.seq 0 n).

Lemma evenE n : Nat.even n = ~~ odd n.
Proof. by have [] : Nat.even n = ~~ odd n /\ Nat.even n.+1 = odd n; first by elim: n => //= n [-> ->]; rewrite negbK. Qed.
Lemma div2E n : Nat.div2 n = n./2.
Proof.
have [] // : Nat.div2 n = n./2 /\ Nat.div2 n.+1 = uphalf n.
by elim: n => [//|n [h1 h2]]; split; rewrite ?h2 //= ?h1.
Qed.

Lemma split_size l : (size (split l).1 <= size l)%N /\ (size (split l).2 <= size l)%N.
Proof. elim: l => //= x l [h1 h2]; split; lia. Qed.

Lemma split_nth l k : nth Z0 l k = if Nat.even k then nth Z0 (split l).1 (Nat.div2 k) else nth Z0 (split l).2 (Nat.div2 k).
Proof.
rewrite evenE div2E; elim: l k => [|x l IH] [|k] /=; rewrite ?nth_nil ?if_same //.
by rewrite IH negbK uphalf_half; case: (odd k).
Qed.

Lemma get_build fuel l i : (size l <= fuel)%N -> get (build fuel l) i = nth Z0 l i.
Proof.
elim: fuel l i => [|k IH] [|x l] [|i] //=; rewrite ltnS => h; have [h1 h2] := split_size l.
by rewrite [in RHS]split_nth; case: (Nat.even i); rewrite IH //; apply: leq_trans h.
Qed.

Theorem get_from_list l i : get (from_list l) i = nth Z0 l i.
Proof. exact: get_build. Qed.

(* the tree has a place i *)
Fixpoint inside (t : tree) (i : nat) : bool :=
  match t with
  | Empty => false
  | Node _ l r => match i with O => true | S k => if Nat.even k then inside l (Nat.div2 k) else inside r (Nat.div2 k) end
  end.

Lemma split_lt l k : (k < size l)%N = if Nat.even k then (Nat.div2 k < size (split l).1)%N else (Nat.div2 k < size (split l).2)%N.
Proof.
rewrite evenE div2E; elim: l k => [|x l IH] [|k] //=; first by rewrite !ltn0 if_same.
by rewrite ltnS IH negbK uphalf_half; case: (odd k).
Qed.

Lemma inside_build fuel l i : (size l <= fuel)%N -> inside (build fuel l) i = (i < size l)%N.
Proof.
elim: fuel l i => [|k IH] [|x l] [|i] //=; rewrite ltnS => h; have [h1 h2] := split_size l.
by rewrite ltnS [in RHS]split_lt; case: (Nat.even i); rewrite IH //; apply: leq_trans h.
Qed.

Lemma inside_from_list l i : inside (from_list l) i = (i < size l)%N.
Proof. exact: inside_build. Qed.

Lemma inside_add t j z i : inside (add_at t j z) i = inside t i.
Proof.
elim: t j i => //= x l IHl r IHr [|j] [|i] //=; case: (Nat.even j) => //=; by case: (Nat.even i).
Qed.

Lemma parity_div2 j i : Nat.even j = Nat.even i -> (Nat.div2 j == Nat.div2 i) = (j == i).
Proof.
rewrite !evenE !div2E => /(can_inj negbK) h; apply/eqP/eqP => [e|-> //].
by rewrite -(odd_double_half j) -(odd_double_half i) h e.
Qed.

Theorem get_add t j z i : inside t i -> get (add_at t j z) i = if j == i then Z.add (get t i) z else get t i.
Proof.
elim: t j i => //= x l IHl r IHr [|j] [|i] //= h; first by case: (Nat.even j).
rewrite eqSS; case ej: (Nat.even j); case ei: (Nat.even i) h => h /=; rewrite ?ei ?IHl ?IHr // ?parity_div2 ?ej ?ei //.
all: by case: eqP => // e; move: ej; rewrite e ei.
Qed.

Lemma nth_to_list n t i : (i < n)%N -> nth Z0 (to_list n t) i = get t i.
Proof.
move=> h; rewrite /to_list (_ : List.map (get t) (List.seq 0 n) = mkseq (get t) n) ?nth_mkseq //.
Qed.

Lemma size_to_list n t : size (to_list n t) = n.
Proof. by rewrite /to_list -[size _]/(List.length _) List.map_length List.seq_length. Qed.
