(* safetensors: eight bytes with the length of a JSON header, the header, and the numbers; and those numbers exactly. *)

exception Bad of string
let bad fmt = Printf.ksprintf (fun s -> raise (Bad s)) fmt

type tensor = { dtype : string; shape : int list; from : int; upto : int }
type file = { text : string; start : int; tensors : (string * tensor) list; metadata : (string * string) list }

let widths = [ "F64", 8; "F32", 4; "F16", 2; "BF16", 2; "I64", 8; "U64", 8; "I32", 4; "U32", 4; "I16", 2; "U16", 2; "I8", 1;
               "U8", 1; "BOOL", 1 ]
let largest = 1 lsl 40

(* a natural number of JSON *)
let natural what = function
  | Json.Number s when String.length s <= 13 && String.for_all (fun c -> c >= '0' && c <= '9') s -> int_of_string s
  | _ -> bad "%s is not a natural number" what

(* sizes have at most 13 digits, so that products of two may wrap around: they are compared before they are made *)
let product what = List.fold_left (fun a b ->
  if b > largest || (b > 0 && a > largest / b) then bad "%s is too large" what; a * b) 1

let tensor (name, value) =
  let fields = match value with Json.Object fields -> fields | _ -> bad "the tensor %S is not described" name in
  match List.sort compare fields with
  | [ "data_offsets", Json.List [ a; b ]; "dtype", Json.String dtype; "shape", Json.List shape ] ->
    let shape = List.map (natural "a size") shape in
    let from = natural "an offset" a and upto = natural "an offset" b in
    let width = match List.assoc_opt dtype widths with Some w -> w | None -> bad "the tensor %S is of the unknown type %S" name dtype in
    if upto - from <> width * product "a tensor" shape then bad "the tensor %S has offsets that do not fit its shape" name;
    (name, { dtype; shape; from; upto })
  | _ -> bad "the tensor %S is not described by dtype, shape and data_offsets alone" name

let parse text =
  let n = String.length text in
  if n < 8 then bad "not a safetensors file: it is too short";
  let length = String.get_int64_le text 0 in
  if Int64.compare length 0L < 0 || Int64.compare length (Int64.of_int (n - 8)) > 0 then
    bad "not a safetensors file: its header is longer than the file";
  let start = 8 + Int64.to_int length in
  let header = match Json.parse (String.sub text 8 (start - 8)) with
    | Json.Object fields -> fields
    | _ -> bad "its header is no object"
    | exception Json.Bad s -> bad "its header is not valid JSON: %s" s in
  let metadata = match List.assoc_opt "__metadata__" header with
    | None -> []
    | Some (Json.Object fields) ->
      List.map (function (k, Json.String v) -> (k, v) | (k, _) -> bad "the metadata %S is no string" k) fields
    | Some _ -> bad "its metadata is no object" in
  let tensors = List.map tensor (List.filter (fun (name, _) -> name <> "__metadata__") header) in
  (* the tensors fill the file: none overlaps another, and nothing is left over *)
  let order = List.sort (fun (_, a) (_, b) -> compare (a.from, a.upto) (b.from, b.upto)) tensors in
  let last = List.fold_left (fun at (name, t) ->
    if t.from <> at then bad "the tensor %S does not begin where the one before it ends" name; t.upto) 0 order in
  if last <> n - start then bad "its tensors have %d bytes, and %d follow its header" last (n - start);
  { text; start; tensors; metadata }

let find file name =
  match List.assoc_opt name file.tensors with Some t -> t | None -> bad "it has no tensor %S" name

(* x = mantissa * 2^exponent, from the bits of an IEEE 754 number *)
let binary bits ~exponent_bits ~mantissa_bits what =
  let e = Int64.to_int (Int64.shift_right_logical bits mantissa_bits) land (1 lsl exponent_bits - 1) in
  let m = Int64.to_int (Int64.logand bits (Int64.of_int (1 lsl mantissa_bits - 1))) in
  if e = 1 lsl exponent_bits - 1 then bad "%s has a number that is not finite" what;
  let bias = 1 lsl (exponent_bits - 1) - 1 + mantissa_bits in
  let (m, e) = if e = 0 then (m, 1 - bias) else (m + 1 lsl mantissa_bits, e - bias) in
  let negative = Int64.logand (Int64.shift_right_logical bits (exponent_bits + mantissa_bits)) 1L = 1L in
  ((if negative then - m else m), e)
let single = binary ~exponent_bits:8 ~mantissa_bits:23
let double = binary ~exponent_bits:11 ~mantissa_bits:52
let half = binary ~exponent_bits:5 ~mantissa_bits:10
let bfloat = binary ~exponent_bits:8 ~mantissa_bits:7

(* the numbers from place [first] on, [count] of them *)
let numbers file name first count =
  let t = find file name in
  let at i = file.start + t.from + i in
  let what = Printf.sprintf "the tensor %S" name in
  Array.init count (fun k -> let i = first + k in match t.dtype with
    | "F32" -> single (Int64.logand (Int64.of_int32 (String.get_int32_le file.text (at (4 * i)))) 0xffffffffL) what
    | "F64" -> double (String.get_int64_le file.text (at (8 * i))) what
    | "F16" -> half (Int64.of_int (String.get_uint16_le file.text (at (2 * i)))) what
    | "BF16" -> bfloat (Int64.of_int (String.get_uint16_le file.text (at (2 * i)))) what
    | "U8" -> (Char.code file.text.[at i], 0)
    | other -> bad "%s holds %s" what other)

(* an integer of a tensor of an integer type *)
let integer file name i =
  let t = find file name in
  let at w = file.start + t.from + w * i in
  match t.dtype with
  | "U8" -> Z.of_int (String.get_uint8 file.text (at 1))
  | "I8" -> Z.of_int (String.get_int8 file.text (at 1))
  | "U16" -> Z.of_int (String.get_uint16_le file.text (at 2))
  | "I16" -> Z.of_int (String.get_int16_le file.text (at 2))
  | "I32" -> Z.of_int32 (String.get_int32_le file.text (at 4))
  | "U32" -> Z.of_int (Int32.to_int (String.get_int32_le file.text (at 4)) land 0xffffffff)
  | "I64" -> Z.of_int64 (String.get_int64_le file.text (at 8))
  | "U64" -> Z.logand (Z.of_int64 (String.get_int64_le file.text (at 8))) (Z.pred (Z.shift_left Z.one 64))
  | other -> bad "the tensor %S holds %s, no integers" name other

(* Numbers as integers over one power of two: the least exponent s >= 0 for which each 2^s x is an integer. *)
let scale_of arrays =
  let need (m, e) =
    if m = 0 then 0 else
      let rec odd m e = if m land 1 = 0 then odd (m asr 1) (e + 1) else e in
      max 0 (- (odd m e)) in
  List.fold_left (Array.fold_left (fun s x -> max s (need x))) 0 arrays
let over scale (m, e) =
  let shift = e + scale in
  if m = 0 then Z.zero else if shift >= 0 then Z.shift_left (Z.of_int m) shift else Z.shift_right (Z.of_int m) (- shift)
