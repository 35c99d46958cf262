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

(* A number for both axes, or one for each. *)
let pair what = function
  | Json.List [ a; b ] -> (natural what a, natural what b)
  | v -> let n = natural what v in (n, n)
let side what v =
  let (a, b) = pair what v in
  if a <> b then bad "%s differs between the axes, which this checker does not know" what; a
(* what lies beyond a border: zeros, or the opposite side *)
let around v = match text "a padding mode" v with
  | "zeros" -> false
  | "circular" -> true
  | mode -> bad "the unknown padding mode %S" mode
let option found name default read = match get found name with Some v -> read v | None -> default

let build (file : Tensors.file) =
  (* The format of the network is that of the tensors that its layers name; those that no layer names say nothing. *)
  let named = ref false in
  let wide = List.exists (fun (_, t) -> t.Tensors.dtype = "F64") file.tensors in
  let formats = if wide then [ "F64" ] else [ "F32"; "F16"; "BF16" ] in
  (* a number of the architecture: rounded to the format of the network, as a network of this format stores it *)
  let stored what v =
    let literal = match v with Json.Number s -> s | _ -> bad "%s is no number" what in
    let x = float_of_string literal in
    let x = if wide then x else Int32.float_of_bits (Int32.bits_of_float x) in
    try Tensors.double (Int64.bits_of_float x) what with Tensors.Bad s -> bad "%s" s in
  let tensor name rank =
    let t = Tensors.find file name in
    if List.length t.shape <> rank then bad "the tensor %S does not have %d axes" name rank;
    if not (List.mem t.dtype formats) then
      bad "the tensor %S is %s; those of a model are all F64, or each F32, F16 or BF16" name t.dtype;
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
      let outputs = size 0 and channels = size 1 and taps = (size 2, size 3) in
      let (t1, t2) = option found "stride" (1, 1) (pair "stride") in
      let (d1, d2) = option found "dilation" (1, 1) (pair "dilation") and groups = option found "groups" 1 (natural "groups") in
      let spread d k = d * (k - 1) + 1 in
      let same d k = if d * (k - 1) land 1 = 1 then bad "this kernel would need more points on one side than on the other"; d * (k - 1) / 2 in
      if List.exists (fun n -> n > 1 lsl 12) [ t1; t2; d1; d2; groups; fst taps; snd taps ] then bad "a convolution that is too large";
      if List.mem 0 [ outputs; channels; fst taps; snd taps; d1; d2; groups ] || outputs mod groups <> 0 then bad "a convolution of no size";
      let (p1, p2) = match get found "padding" with
        | Some (Json.String "same") -> (same d1 (fst taps), same d2 (snd taps))
        | _ -> option found "padding" (0, 0) (pair "padding") in
      let around = option found "padding_mode" false around and p = max p1 p2 in
      (* One kernel for each pair of channels, with zeros between the taps, and around them where the other axis has more padding. *)
      let a = spread d1 (fst taps) + 2 * (p - p1) and b = spread d2 (snd taps) + 2 * (p - p2) and inputs = channels * groups in
      if p > 1 lsl 12 || Tensors.product "a convolution" [ outputs; inputs; a; b ] > 1 lsl 26 then bad "a convolution that is too large";
      let full = Array.make (outputs * inputs * a * b) (0, 0) in
      Array.iteri (fun k w ->
        let v = k mod snd taps and u = k / snd taps mod fst taps and pair = k / (fst taps * snd taps) in
        let o = pair / channels and c = pair mod channels + pair / channels / (outputs / groups) * channels in
        full.(((o * inputs + c) * a + u * d1 + p - p1) * b + v * d2 + p - p2) <- w) weight;
      let op w = if around && p > 0 then Circular (a, b, t1, t2, p, w) else Conv (a, b, t1, t2, p, w) in
      Some (linear op outputs (inputs * a * b) full (bias found outputs))
    | "avg_pool" ->
      let found = fields "a pool" ~required:[ "type"; "size" ] ~optional:[ "stride" ] v in
      let size = side "size" (need found "size") in
      if option found "stride" size (side "stride") <> size then bad "a pool whose windows overlap, which this checker does not know";
      Some { one with op = Pool size }
    | "global_avg_pool" -> ignore (fields "a pool" ~required:[ "type" ] ~optional:[] v); Some { one with op = GlobalPool }
    | _ -> None in
  let need_operator v = match operator v with Some o -> o | None -> bad "an operator of the unknown type %S" (kind "an operator" v) in
  (* a slope on the negative side, or the name of a function that has none or more *)
  let activation v ~with_type =
    let extra = if with_type then [ "type" ] else [] in
    let found = fields "an activation" ~required:("function" :: extra) ~optional:([ "slope"; "alpha"; "min"; "max" ] @ if with_type then [ "channels" ] else []) v in
    let name = text "function" (need found "function") in
    List.iter (fun (key, owner) -> if get found key <> None && name <> owner then bad "the function %S has no %s" name key)
      [ "slope", "leaky_relu"; "alpha", "elu"; "min", "hardtanh"; "max", "hardtanh" ];
    match name with
    | "identity" -> Ok { slope_num = Z.one; slope_den = Z.one }
    | "relu" -> Ok { slope_num = Z.zero; slope_den = Z.one }
    | "leaky_relu" ->
      let x = stored "a slope" (need found "slope") in
      let scale = Tensors.scale_of [ [| x |] ] in
      Ok { slope_num = Tensors.over scale x; slope_den = Z.shift_left Z.one scale }
    | "abs" -> Ok { slope_num = Z.minus_one; slope_den = Z.one }
    | "tanh" | "sigmoid" | "softplus" | "elu" | "silu" | "gelu" | "hardtanh" -> Error name
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
  (* how far a channel is moved, as what is added to a place and what is taken from it to find what is read there *)
  let move = function
    | Json.Number s when String.length s > 1 && s.[0] = '-' -> (natural "a move" (Json.Number (String.sub s 1 (String.length s - 1))), 0)
    | v -> (0, natural "a move" v) in
  let moves (c, h, w) v =
    let group = function
      | Json.List [ count; rows; columns ] ->
        let count = natural "a group" count and ((a, b), (d, e)) as m = (move rows, move columns) in
        if count > c || List.exists (fun n -> n > largest) [ a; b; d; e ] then bad "it moves more than there is";
        List.init count (fun _ -> m)
      | _ -> bad "a group is no list of three numbers" in
    let groups = match v with Json.List l -> List.concat_map group l | _ -> bad "the groups are no list" in
    let rest = c - List.length groups in
    if rest < 0 then bad "its groups have more channels than there are";
    groups @ List.init rest (fun _ -> ((0, 0), (0, 0))) in
  let layer shape v = match kind "a layer" v with
    | "shift" ->
      let found = fields "a shift" ~required:[ "type"; "groups" ] ~optional:[ "mode" ] v in
      let size = match shape with Image (c, h, w) -> (c, h, w) | Features _ -> bad "a shift of no image" in
      let around = option found "mode" false around in
      Known (Affine { one with op = Shift (around, moves size (need found "groups")) })
    | "channel_affine" ->
      let found = fields "a layer" ~required:[ "type"; "scale" ] ~optional:[ "shift" ] v in
      let (size, scale) = tensor (text "scale" (need found "scale")) 1 in
      let shift = match get found "shift" with
        | None -> [||]
        | Some name -> let (other, b) = tensor (text "shift" name) 1 in if other <> size then bad "its shift has another size than its scale"; b in
      let e = Tensors.scale_of [ scale; shift ] in
      Known (Affine { op = Scale (over e scale); den = Z.shift_left Z.one e; bias = over e shift })
    | "normalize" ->
      let found = fields "a normalisation" ~required:[ "type"; "mean"; "std" ] ~optional:[] v in
      let mean = numbers "a mean" (need found "mean") and std = numbers "a deviation" (need found "std") in
      let s = Tensors.scale_of [ mean ] and t = Tensors.scale_of [ std ] in
      Known (Normalize (over s mean, Z.shift_left Z.one s, over t std, Z.shift_left Z.one t))
    | "activation" when (match v with Json.Object found -> List.assoc_opt "function" found = Some (Json.String "hardtanh") | _ -> false) ->
      let found = fields "an activation" ~required:[ "type"; "function" ] ~optional:[ "min"; "max"; "channels" ] v in
      let bound name default = match get found name with Some x -> stored "a bound" x | None -> (default, 0) in
      let low = bound "min" (-1) and high = bound "max" 1 in
      let e = Tensors.scale_of [ [| low; high |] ] in
      if get found "channels" <> None then Unknown "hardtanh of some channels"
      else Known (Clip (Tensors.over e low, Tensors.over e high, Z.shift_left Z.one e))
    | "activation" ->
      let channels = match v with Json.Object found -> get found "channels" | _ -> None in
      (match activation v ~with_type:true, channels with
       | Ok g, None -> Known (Activation g)
       | Ok g, Some (Json.List [ first; last ]) ->
         let first = natural "a channel" first and last = natural "a channel" last in
         if first >= last || last > (match shape with Features n -> n | Image (c, _, _) -> c) then bad "it has no such channels";
         Known (Partial (first, last, g))
       | Ok _, Some _ -> bad "the channels are no list of two numbers"
       | Error name, _ -> Unknown ("the activation " ^ name))
    | "sort" ->
      let found = fields "a layer" ~required:[ "type"; "group" ] ~optional:[] v in
      Known (Sort (natural "a group" (need found "group")))
    | "householder" ->
      (* z - 2 v min(v^T z, 0) for each group is z + 2 v relu(-v^T z): a step of length 2 of the gradient field of W = -v^T *)
      let found = fields "a layer" ~required:[ "type"; "vector" ] ~optional:[] v in
      let name = text "vector" (need found "vector") in
      let (axes, vector) = tensor name (List.length (Tensors.find file name).shape) in
      let units = match shape with Features n -> n | Image (c, _, _) -> c in
      let (groups, size) = match axes with
        | [ size ] when size > 0 && units mod size = 0 -> (units / size, size)
        | [ groups; size ] when size > 0 && units mod size = 0 && groups = units / size -> (groups, size)
        | _ -> bad "its vector does not fit %d channels or features" units in
      if Tensors.product "the groups" [ groups; units ] > 1 lsl 26 then bad "too many groups";
      let row g = Array.init units (fun i ->
        if i / size <> g then (0, 0) else let (m, e) = vector.(i mod Array.length vector) in (-m, e)) in
      let e = Tensors.scale_of [ vector ] in
      let rows = List.init groups (fun g -> over e (row g)) in
      let op = match shape with Features n -> Dense (n, rows) | Image _ -> Conv (1, 1, 1, 1, 0, rows) in
      let euler = Option.get (Methods.by_name "euler") and relu = { slope_num = Z.zero; slope_den = Z.one } in
      Known (Flow (euler, Z.of_int 2, Z.one, 1, Gradient ({ op; den = Z.shift_left Z.one e; bias = [] }, relu)))
    | "equilibrium" as name -> Unknown ("a layer of the type " ^ name)
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
    match kind "a layer" spec with
    | "mean" -> branches prefix s (fun b -> Mean b) spec
    | "sum" -> branches prefix s (fun b -> Sum b) spec
    | _ -> begin
      let l = layer s spec in
      (match kind "a layer" spec, l, s with
       | "pad_channels", Known (Affine { op = Channels n; _ }), Image (c, _, _) when n < c -> bad "it has %d channels already" c
       | "first_channels", Known (Affine { op = Channels n; _ }), Image (c, _, _) when n > c -> bad "it has no more than %d channels" c
       | _ -> ());
      match l with
      | Unknown what -> (Unknown what, s)
      | Known l when layer_fits l s -> (Known (Single l), bounded (layers_out [ l ] s))
      | Known _ -> bad "it does not fit its input of %s numbers" (show s)
    end
  and branches prefix s join spec =
    let found = fields "a layer with branches" ~required:[ "type"; "branches" ] ~optional:[] spec in
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
      | Known (Mean _ | Sum _) -> raise (Foreign "branches within branches")
      | Unknown what -> raise (Foreign what) in
    match join (List.map (fun (layers, _) -> List.map plain layers) branches) with
    | b when block_fits b s -> (Known b, out)
    | _ -> bad "it does not fit its input of %s numbers" (show s)
    | exception Foreign what -> (Unknown ("branches with " ^ what), out) in
  let (layers, shapes, _) = walk "" input specs in
  if wide && not !named then bad "it has tensors of F64, and no layer that this checker knows names one";
  (input, layers, shapes, wide)

let parse text =
  let (input, layers, shapes, wide) = try build (Tensors.parse text) with Tensors.Bad s -> bad "%s" s in
  { sha256 = Sha256.of_string text; input; layers; shapes; wide }
