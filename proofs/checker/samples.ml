(* A file of samples: x, the samples first, in F32, F64 or U8 (that is x / 255), and their labels y, if it has them. *)

open Kernel
module Z = Integer

exception Bad of string
let bad fmt = Printf.ksprintf (fun s -> raise (Bad s)) fmt

type t = { sha256 : string; count : int; sample : int -> ratios; label : int -> Z.t option }

let parse text input =
  try
    let file = Tensors.parse text in
    let x = Tensors.find file "x" in
    let (count, sizes) = match x.shape with n :: sizes -> (n, sizes) | [] -> bad "x has no axes" in
    let expected = match input with Features n -> [ n ] | Image (c, h, w) -> [ c; h; w ] in
    if sizes <> expected then bad "its samples do not have the shape %s of the model's input" (Model.show input);
    if not (List.mem x.dtype [ "F32"; "F64"; "U8" ]) then bad "x holds %s, not F32, F64 or U8" x.dtype;
    let length = len input in
    (* every number is looked at before anything is said of one: a file with one that is not finite is not read at all *)
    for i = 0 to count - 1 do ignore (Tensors.numbers file "x" (i * length) length) done;
    let sample i =
      let numbers = Tensors.numbers file "x" (i * length) length in
      if x.dtype = "U8" then (Z.of_int 255, List.map (Tensors.over 0) (Array.to_list numbers)) else
        let scale = Tensors.scale_of [ numbers ] in
        (Z.shift_left Z.one scale, List.map (Tensors.over scale) (Array.to_list numbers)) in
    let label = match List.assoc_opt "y" file.tensors with
      | None -> fun _ -> None
      | Some y ->
        if y.shape <> [ count ] then bad "there is not one label for each sample";
        if count > 0 then ignore (Tensors.integer file "y" 0);
        fun i -> Some (Tensors.integer file "y" i) in
    { sha256 = Sha256.of_string text; count; sample; label }
  with Tensors.Bad s -> bad "%s" s
