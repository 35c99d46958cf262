(* A model file as the layers of the verified checker.  What it does not know is refused with a sentence; only a layer that keeps
   the shape of its input may be unknown, and then nothing is said of it. *)

open Kernel
module Z = Integer

exception Bad of string
(* something of the format that the checker has no layer for *)
exception Foreign of string
let bad fmt = Printf.ksprintf (fun s -> raise (Bad s)) fmt

type 'a known = Known of 'a | Unknown of string
type entry = node known
type t = { sha256 : string; input : shape; layers : entry list; shapes : shape list (* that goes into each *); wide : bool }

(* No sample has more numbers, so no machine integer overflows. *)
let largest = 1 lsl 24

let show = function
  | Features n -> Printf.sprintf "%d" n
  | Image (c, h, w) -> Printf.sprintf "%dx%dx%d" c h w

let natural what v = try Tensors.natural what v with Tensors.Bad s -> bad "%s" s
let bounded s =
  let sizes = match s with Features n -> [ n ] | Image (c, h, w) -> [ c; h; w ] in
  if List.exists (fun n -> n < 1) sizes then bad "a sample of %s numbers" (show s);
  ignore (List.fold_left (fun a n -> if n > largest || a * n > largest then bad "a sample of %s numbers is too large" (show s); a * n) 1 sizes);
  s
let shape_of_list = function
  | [ n ] -> bounded (Features n)
  | [ c; h; w ] -> bounded (Image (c, h, w))
  | _ -> bad "a shape has one size or three"

(* The fields of an object, which has no others. *)
let fields what ~required ~optional = function
  | Json.Object found ->
    List.iter (fun (name, _) -> if not (List.mem name required || List.mem name optional) then bad "%s has the unknown key %S" what name) found;
    List.iter (fun name -> if not (List.mem_assoc name found) then bad "%s has no %S" what name) required;
    found
  | _ -> bad "%s is no object" what
let get found name = match List.assoc_opt name found with Some Json.Null | None -> None | some -> some
let need found name = match get found name with Some v -> v | None -> bad "%S is null" name
let text what = function Json.String s -> s | _ -> bad "%s is no string" what
let kind what = function
  | Json.Object found -> (match List.assoc_opt "type" found with Some (Json.String s) -> s | _ -> bad "%s has no type" what)
  | _ -> bad "%s is no object" what

(* A number or a pair of two equal ones. *)
let side what = function
  | Json.List [ a; b ] ->
    let a = natural what a and b = natural what b in
    if a <> b then bad "%s differs between the axes, which this checker does not know" what; a
  | v -> natural what v
let option found name default read = match get found name with Some v -> read v | None -> default

let build (file : Tensors.file) =
  (* The format of the network is that of the tensors that its layers name; those that no layer names say nothing. *)
  let named = ref false in
  let wide = List.exists (fun (_, t) -> t.Tensors.dtype = "F64") file.tensors in
  let scalar = if wide then "F64" else "F32" in
  (* a number of the architecture: rounded to the format of the network, as a network of this format stores it *)
  let stored what v =
    let literal = match v with Json.Number s -> s | _ -> bad "%s is no number" what in
    let x = float_of_string literal in
    let x = if wide then x else Int32.float_of_bits (Int32.bits_of_float x) in
    try Tensors.double (Int64.bits_of_float x) what with Tensors.Bad s -> bad "%s" s in
  let tensor name rank =
    let t = Tensors.find file name in
    if List.length t.shape <> rank then bad "the tensor %S does not have %d axes" name rank;
    if t.dtype <> scalar then bad "the tensor %S is %s; those of a model are all F32 or all F64" name t.dtype;
    named := true;
    (t.shape, Tensors.numbers file name 0 (Tensors.product name t.shape)) in
  let bias found count = match get found "bias" with
    | None -> [||]
    | Some name ->
      let (shape, b) = tensor (text "bias" name) 1 in
      if shape <> [ count ] then bad "a bias of %d numbers for %d outputs" (List.hd shape) count; b in
  let over scale numbers = List.map (Tensors.over scale) (Array.to_list numbers) in
  let linear op_of rows columns weight bias =
    let scale = Tensors.scale_of [ weight; bias ] in
    let row i = over scale (Array.sub weight (i * columns) columns) in
    { op = op_of (List.init rows row); den = Z.shift_left Z.one scale; bias = over scale bias } in
  let one = { op = Flatten; den = Z.one; bias = [] } in
  let operator v =
    let what = "an operator" in
    match kind what v with
    | "dense" ->
      let found = fields "a dense layer" ~required:[ "type"; "weight" ] ~optional:[ "bias" ] v in
      let (shape, weight) = tensor (text "weight" (need found "weight")) 2 in
      let rows = List.nth shape 0 and columns = List.nth shape 1 in
      Some (linear (fun w -> Dense (columns, w)) rows columns weight (bias found rows))
    | "conv2d" ->
      let found = fields "a convolution" ~required:[ "type"; "weight" ]
        ~optional:[ "bias"; "stride"; "padding"; "padding_mode"; "dilation"; "groups" ] v in
      let (shape, weight) = tensor (text "weight" (need found "weight")) 4 in
      let size = List.nth shape in
      let stride = option found "stride" 1 (side "stride") and padding = option found "padding" 0 (side "padding") in
      if option found "dilation" 1 (side "dilation") <> 1 then raise (Foreign "a convolution with dilation");
      if option found "groups" 1 (natural "groups") <> 1 then raise (Foreign "a convolution with groups");
      let mode = option found "padding_mode" "zeros" (text "padding_mode") in
      if mode <> "zeros" && padding > 0 then raise (Foreign ("the padding mode " ^ mode));
      if stride > 1 lsl 12 || padding > 1 lsl 12 || size 2 > 1 lsl 12 || size 3 > 1 lsl 12 then bad "a convolution that is too large";
      Some (linear (fun w -> Conv (size 2, size 3, stride, padding, w)) (size 0) (size 1 * size 2 * size 3) weight (bias found (size 0)))
    | "avg_pool" ->
      let found = fields "a pool" ~required:[ "type"; "size" ] ~optional:[ "stride" ] v in
      let size = side "size" (need found "size") in
      if option found "stride" size (side "stride") <> size then bad "a pool whose windows overlap, which this checker does not know";
      Some { one with op = Pool size }
    | "global_avg_pool" -> ignore (fields "a pool" ~required:[ "type" ] ~optional:[] v); Some { one with op = GlobalPool }
    | _ -> None in
  let need_operator v = match operator v with Some o -> o | None -> bad "an operator of the unknown type %S" (kind "an operator" v) in
  (* a slope on the negative side, or the name of a function that has none *)
  let activation v ~with_type =
    let extra = if with_type then [ "type" ] else [] in
    let found = fields "an activation" ~required:("function" :: extra) ~optional:[ "slope" ] v in
    let name = text "function" (need found "function") in
    if get found "slope" <> None && name <> "leaky_relu" then bad "the function %S has no slope" name;
    match name with
    | "identity" -> Ok { slope_num = Z.one; slope_den = Z.one }
    | "relu" -> Ok { slope_num = Z.zero; slope_den = Z.one }
    | "leaky_relu" ->
      let x = stored "a slope" (need found "slope") in
      let scale = Tensors.scale_of [ [| x |] ] in
      Ok { slope_num = Tensors.over scale x; slope_den = Z.shift_left Z.one scale }
    | "abs" | "tanh" | "sigmoid" | "softplus" -> Error name
    | _ -> bad "the unknown function %S" name in
  let field v = match kind "a field" v with
    | "gradient" ->
      let found = fields "a gradient field" ~required:[ "type"; "activation"; "operator" ] ~optional:[] v in
      let o = need_operator (need found "operator") in
      Result.map (fun g -> Gradient (o, g)) (activation (need found "activation") ~with_type:false)
    | "residual" ->
      let found = fields "a residual field" ~required:[ "type"; "activation"; "inner"; "outer" ] ~optional:[] v in
      let inner = need_operator (need found "inner") and outer = need_operator (need found "outer") in
      Result.map (fun g -> Residual (inner, g, outer)) (activation (need found "activation") ~with_type:false)
    | other -> bad "a field of the unknown type %S" other in
  let numbers what v = match v with
    | Json.List l -> Array.of_list (List.map (stored what) l)
    | _ -> bad "%s is no list" what in
  let layer v = match kind "a layer" v with
    | "normalize" ->
      let found = fields "a normalisation" ~required:[ "type"; "mean"; "std" ] ~optional:[] v in
      let mean = numbers "a mean" (need found "mean") and std = numbers "a deviation" (need found "std") in
      let s = Tensors.scale_of [ mean ] and t = Tensors.scale_of [ std ] in
      Known (Normalize (over s mean, Z.shift_left Z.one s, over t std, Z.shift_left Z.one t))
    | "activation" -> (match activation v ~with_type:true with
      | Ok g -> Known (Activation g)
      | Error name -> Unknown ("the activation " ^ name))
    | "mirror" -> ignore (fields "a layer" ~required:[ "type" ] ~optional:[] v); Known (Affine { one with op = Mirror })
    | "flatten" -> ignore (fields "a layer" ~required:[ "type" ] ~optional:[] v); Known (Affine one)
    | "pad_channels" | "first_channels" ->
      let found = fields "a layer" ~required:[ "type"; "channels" ] ~optional:[] v in
      Known (Affine { one with op = Channels (natural "channels" (need found "channels")) })
    | "space_to_depth" ->
      let found = fields "a layer" ~required:[ "type"; "block" ] ~optional:[] v in
      Known (Affine { one with op = SpaceToDepth (natural "block" (need found "block")) })
    | "flow" ->
      let found = fields "a flow" ~required:[ "type"; "method"; "step"; "steps"; "field" ] ~optional:[] v in
      let name = text "method" (need found "method") in
      let h = stored "a step" (need found "step") and steps = natural "steps" (need found "steps") in
      if steps > 100_000 then bad "a flow of more than 100000 steps";
      let scale = Tensors.scale_of [ [| h |] ] in
      (match field (need found "field"), Methods.by_name name with
       | exception Foreign what -> Unknown ("a flow with " ^ what)
       | Error name, _ -> Unknown ("a flow with the activation " ^ name)
       | Ok f, Some m -> Known (Flow (m, Tensors.over scale h, Z.shift_left Z.one scale, steps, f))
       | Ok _, None -> Unknown ("the method " ^ name))
    | other -> (match operator v with
      | Some o -> Known (Affine o)
      | None -> bad "a layer of the unknown type %S" other) in
  let architecture = match List.assoc_opt "dahlquist" file.metadata with
    | None -> bad "its metadata has no architecture under the key dahlquist"
    | Some s -> (try Json.parse s with Json.Bad s -> bad "its architecture is not valid JSON: %s" s) in
  let found = fields "the architecture" ~required:[ "format"; "version"; "input"; "layers" ] ~optional:[] architecture in
  if need found "format" <> Json.String "dahlquist-model" then bad "its format is not dahlquist-model";
  (match need found "version" with
   | Json.Number ("1" | "2") -> ()
   | _ -> bad "the version of its format is neither 1 nor 2");
  let input = match need found "input" with
    | Json.List l -> shape_of_list (List.map (natural "a size") l)
    | _ -> bad "its input is no shape" in
  let specs = match need found "layers" with Json.List l -> l | _ -> bad "its layers are no list" in
  let at path f = try f () with
    | Bad s | Tensors.Bad s -> bad "layer %s: %s" path s
    | Foreign what -> bad "layer %s: %s is not known to this checker" path what in
  (* the layers in a row, the shapes that go into them, and the one that comes out *)
  let rec walk prefix s specs =
    let step (i, s, layers, shapes) spec =
      let (l, out) = at (prefix ^ string_of_int i) (fun () -> entry (Printf.sprintf "%s%d." prefix i) s spec) in
      (i + 1, out, l :: layers, s :: shapes) in
    let (_, out, layers, shapes) = List.fold_left step (0, s, [], []) specs in
    (List.rev layers, List.rev shapes, out)
  and entry prefix s spec =
    if kind "a layer" spec = "mean" then mean prefix s (fields "a mean" ~required:[ "type"; "branches" ] ~optional:[] spec)
    else begin
      let l = layer spec in
      (match kind "a layer" spec, l, s with
       | "pad_channels", Known (Affine { op = Channels n; _ }), Image (c, _, _) when n < c -> bad "it has %d channels already" c
       | "first_channels", Known (Affine { op = Channels n; _ }), Image (c, _, _) when n > c -> bad "it has no more than %d channels" c
       | _ -> ());
      match l with
      | Unknown what -> (Unknown what, s)
      | Known l when layer_fits l s -> (Known (Single l), bounded (layers_out [ l ] s))
      | Known _ -> bad "it does not fit its input of %s numbers" (show s)
    end
  and mean prefix s found =
    let branch k = function
      | Json.List specs -> let (layers, _, out) = walk (Printf.sprintf "%s%d." prefix k) s specs in (layers, out)
      | _ -> bad "a branch is no list" in
    let branches = match need found "branches" with
      | Json.List (_ :: _ as l) -> List.mapi branch l
      | _ -> bad "its branches are no list of one at least" in
    let out = snd (List.hd branches) in
    if List.exists (fun (_, other) -> other <> out) branches then bad "its branches have outputs of different shapes";
    let plain = function
      | Known (Single l) -> l
      | Known (Mean _) -> raise (Foreign "a mean within a mean")
      | Unknown what -> raise (Foreign what) in
    match Mean (List.map (fun (layers, _) -> List.map plain layers) branches) with
    | b when block_fits b s -> (Known b, out)
    | _ -> bad "it does not fit its input of %s numbers" (show s)
    | exception Foreign what -> (Unknown ("a mean with " ^ what), out) in
  let (layers, shapes, _) = walk "" input specs in
  if wide && not !named then bad "it has tensors of F64, and no layer that this checker knows names one";
  (input, layers, shapes, wide)

let parse text =
  let (input, layers, shapes, wide) = try build (Tensors.parse text) with Tensors.Bad s -> bad "%s" s in
  { sha256 = Sha256.of_string text; input; layers; shapes; wide }
