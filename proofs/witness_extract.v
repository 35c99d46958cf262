(* Extraction of the checker to OCaml.  Z becomes zarith's integers and nat the machine's (they are lengths and indices);
   both replacements belong to the trusted base. *)
From Coq Require Import ZArith List Extraction ExtrOcamlBasic ExtrOcamlNatInt.
Require Import integer_core integer_tree network_core witness_core enclosure_core executed_core.

Extract Inductive positive => "Integer.t"
  [ "(fun p -> Integer.succ (Integer.shift_left p 1))" "(fun p -> Integer.shift_left p 1)" "Integer.one" ]
  "(fun f1 f0 fh p -> if Integer.equal p Integer.one then fh () else if Integer.testbit p 0 then f1 (Integer.shift_right p 1) else f0 (Integer.shift_right p 1))".
Extract Inductive Z => "Integer.t" [ "Integer.zero" "(fun p -> p)" "Integer.neg" ]
  "(fun f0 fp fn z -> let s = Integer.sign z in if s = 0 then f0 () else if s > 0 then fp z else fn (Integer.neg z))".
Extract Constant Z.add => "Integer.add".
Extract Constant Z.sub => "Integer.sub".
Extract Constant Z.mul => "Integer.mul".
Extract Constant Z.opp => "Integer.neg".
Extract Constant Z.div => "(fun a b -> if Integer.sign b = 0 then Integer.zero else Integer.fdiv a b)".
Extract Constant Z.lcm => "(fun a b -> if Integer.sign a = 0 || Integer.sign b = 0 then Integer.zero else Integer.lcm a b)".
Extract Constant Z.abs => "Integer.abs".
Extract Constant Z.eqb => "Integer.equal".
Extract Constant Z.leb => "Integer.leq".
Extract Constant Z.ltb => "Integer.lt".
Extract Constant Z.of_nat => "Integer.of_int".
Extract Constant Nat.leb => "(fun (a : int) b -> a <= b)".
Extract Constant Nat.ltb => "(fun (a : int) b -> a < b)".
Extract Constant Nat.even => "(fun a -> a land 1 = 0)".
Extract Constant Nat.div => "(fun a b -> if b = 0 then 0 else a / b)".
Extract Constant Nat.modulo => "(fun a b -> if b = 0 then a else a mod b)".

Extraction Language OCaml.
Extraction "checker/kernel.ml"
  layers_out layer_fits block_fits linear_fits bounds_block bounds_blocks blocks_product lipschitz_holds logits class_of margin_holds enclose_logits margin_within
  blocks_out is_euler facts_blocks bounds_of executed_logits executed_holds binary32 binary64.
