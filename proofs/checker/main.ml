(* check-witness WITNESS MODEL [SAMPLES]: reads the three files, runs the verified checker and prints what was proved.
   Exit status 0: every claim holds; 1: some claim does not; 2: unreadable input; 3: no claim is false, but some were not
   checked, since there are no samples. *)

open Kernel
module Z = Integer

let read name =
  let ic = open_in_bin name in
  Fun.protect ~finally:(fun () -> close_in_noerr ic) (fun () -> really_input_string ic (in_channel_length ic))

exception Unreadable of string

let in_file name f =
  try f (read name) with
  | Witness.Bad s -> raise (Unreadable (Printf.sprintf "%s: %s" name s))
  | Model.Bad s | Samples.Bad s | Tensors.Bad s | Json.Bad s -> raise (Unreadable (Printf.sprintf "%s: %s" name s))
  | Sys_error s -> raise (Unreadable s)
  | End_of_file -> raise (Unreadable (name ^ ": it cannot be read as a file"))

let false_claims = ref 0 and unchecked = ref 0
let verdict good what =
  if not good then incr false_claims;
  Printf.printf "%s: %s\n" what (if good then "proved" else "REFUSED")

let same what written found =
  if written <> found then begin
    incr false_claims;
    Printf.printf "the witness is about another %s, with the SHA-256 %s: REFUSED\n" what written
  end

(* Layer i of the network, with the proof that the witness has for it: those of pools, reorderings, activations and reflections need none. *)
let with_proof proofs i l = match l, List.assoc_opt i proofs with
  | Affine { op = Dense _ | Conv _ | Circular _; _ }, None -> (l, Nothing)
  | Affine _, None -> (l, Norm Disjoint)
  (* a reflection *)
  | Flow _, None -> (l, Euler (Disjoint, None))
  | _, None -> (l, Nothing)
  | _, Some p -> (l, p)

let block_with_proof proofs i = function
  | Single l -> let (l, p) = with_proof proofs [ i ] l in (Single l, Alone p)
  | (Mean branches | Sum branches) as b ->
    let branch k = List.mapi (fun j l -> snd (with_proof proofs [ i; k; j ] l)) in
    (b, Branches (List.mapi branch branches))

(* only to say which layer a claim about the program fails at *)
let runs_known b =
  let known = function Flow (m, _, _, _, Gradient _) -> is_euler m | Flow _ -> false | _ -> true in
  match b with Single l -> known l | Mean branches | Sum branches -> List.for_all (List.for_all known) branches

let class_name i = function
  | Some label -> Printf.sprintf "class %d (label %s)" i (Z.to_string label)
  | None -> Printf.sprintf "class %d" i

(* The numbers of so many samples are packed into one: with more of them it would be too long to be cheap to allocate. *)
let together = 48
(* Logits are computed to so many bits; what of a claim they do not prove is proved, or refused, with exact ones. *)
let precision = Z.shift_left Z.one 96
(* a share of a radius of 2^-56 is left to the error *)
let share = Z.shift_left Z.one 56

let check_samples (model : Model.t) (w : Witness.t) network name =
  let s = in_file name (fun text -> Samples.parse text model.input) in
  (match w.samples with
   | Some written -> same "file of samples" written s.sha256
   | None -> raise (Unreadable (Printf.sprintf "%s: the witness claims nothing about samples" name)));
  let head = match List.rev model.layers with
    | Model.Known (Single (Affine ({ op = Dense _; _ } as head))) :: _ -> head
    | _ -> raise (Unreadable "the last layer of the model is not dense, so it has no head for margins") in
  (* The logits of a group of samples are enclosed together, and kept until the next group. *)
  let first = ref 0 and group = ref [||] in
  let enclosed i = match network with
    | Some (ls, Some bounds, _) ->
      if i >= !first + Array.length !group then begin
        first := i;
        let xs = List.init (min together (s.count - i)) (fun k -> s.sample (i + k)) in
        group := match enclose_logits precision ls bounds head model.input xs with
          | Some (zs, e) -> Array.of_list (List.map (fun z -> Some (z, e, blocks_product ls bounds)) zs)
          | None -> Array.make (List.length xs) None
      end;
      !group.(i - !first)
    | _ -> None in
  let exact i = match network with Some (ls, _, _) -> logits ls head model.input (s.sample i) | None -> None in
  (* class k within the radius of sample i, and whether it is so *)
  let within i radius den k = match enclosed i with
    | Some (z, e, proved) -> margin_within precision proved head share e z radius den k
    | None -> false in
  let holds i radius den k = within i radius den k || match exact i, network with
    | Some z, Some (ls, Some bounds, _) -> margin_holds (blocks_product ls bounds) head z radius den k
    | _ -> false in
  let class_at i = match enclosed i with
    | Some (z, _, _) when within i Z.zero Z.one (class_of z) -> Some (class_of z)
    | _ -> Option.map class_of (exact i) in
  (* The same of the program: the reach of a claim is computed with the group of samples that its own is in. *)
  let format = if model.wide then binary64 else binary32 in
  let depth = Option.value w.depth ~default:Z.zero in
  let first_run = ref 0 and run = ref [||] in
  let executed i winner = match network with
    | Some (ls, _, Some facts) ->
      if i >= !first_run + Array.length !run then begin
        first_run := i;
        let group = List.init (min together (s.count - i)) (fun k -> i + k) in
        let radius i = match List.find_opt (fun c -> c.Witness.sample = i) w.executed with
          | Some c -> (c.radius, c.radius_den) | None -> (Z.zero, Z.one) in
        run := match executed_logits precision format depth ls facts head model.input (List.map s.sample group) (List.map radius group) with
          | Some l -> Array.of_list (List.map Option.some l)
          | None -> Array.make (List.length group) None
      end;
      (match !run.(i - !first_run) with
       | Some x -> executed_holds precision format depth head (blocks_out ls model.input) x winner
       | None -> false)
    | _ -> false in
  let claims = ref w.margins and runs = ref w.executed in
  let certified = ref 0 and correct = ref 0 and certified_runs = ref 0 and correct_runs = ref 0 in
  (* the claim about sample i, if there is one *)
  let claimed i claims what certified correct holds = match !claims with
    | c :: rest when c.Witness.sample = i ->
      claims := rest;
      let good = holds c and label = s.label i in
      let radius = if Z.sign c.radius < 0 then "a negative number" else Decimal.(print Down c.radius c.radius_den) in
      verdict good (Printf.sprintf "sample %d: %s%s within a radius of %s" i (class_name c.winner label) what radius);
      if good then begin
        incr certified;
        if label = Some (Z.of_int c.winner) then incr correct
      end;
      true
    | _ -> false in
  for i = 0 to s.count - 1 do
    let exact = claimed i claims "" certified correct (fun c -> holds i c.Witness.radius c.radius_den c.winner) in
    let run = claimed i runs ", as executed," certified_runs correct_runs (fun c -> executed i c.Witness.winner) in
    if not (exact || run) then match class_at i with
      | Some k -> Printf.printf "sample %d: %s, no claim\n" i (class_name k (s.label i))
      | None -> Printf.printf "sample %d: not evaluated, no claim\n" i
  done;
  List.iter (fun c -> verdict false (Printf.sprintf "sample %d: there is no such sample" c.Witness.sample)) (!claims @ !runs);
  let summary certified correct what =
    Printf.printf "%d of %d samples have a radius that is proved%s" certified s.count what;
    if s.count > 0 && s.label 0 <> None then Printf.printf ", %d of them with the class of their label" correct;
    print_newline () in
  if w.margins <> [] || w.executed = [] then summary !certified !correct "";
  if w.executed <> [] then summary !certified_runs !correct_runs (Printf.sprintf
    " as executed: in IEEE 754 %s with rounding to nearest and gradual underflow, %s, for inputs of that format"
    (if model.wide then "binary64" else "binary32")
    (if Z.equal depth Witness.any_order then "each sum in any order"
     else Printf.sprintf "no product of a sum passing through more than %s roundings" (Z.to_string depth)))

let check witness model samples =
  let w = in_file witness Witness.parse in
  let m = in_file model Model.parse in
  same "model" w.model m.sha256;
  let count = List.length m.layers in
  if w.from > w.upto || w.upto > count then
    raise (Unreadable (Printf.sprintf "%s: the layers %d..%d are not among 0..%d" witness w.from w.upto count));
  List.iter (fun (path, _) -> let i = List.hd path in if i < w.from || i >= w.upto then
    raise (Unreadable (Printf.sprintf "%s: a proof for layer %d, which is not among %d..%d" witness i w.from w.upto))) w.proofs;
  let part = List.filteri (fun i _ -> i >= w.from && i < w.upto) m.layers in
  let known = List.mapi (fun k l -> match l with
    | Model.Known l -> Some (block_with_proof w.proofs (w.from + k) l)
    | Model.Unknown what -> Printf.printf "layer %d: %s is not known to this checker\n" (w.from + k) what; None) part in
  let input = match List.nth_opt m.shapes w.from with Some s -> s | None -> m.input in
  (* the layers, and the bounds of their constants, if all proofs hold *)
  let network =
    if List.mem None known then None else
      let (layers, proofs) = List.split (List.filter_map Fun.id known) in
      if w.executed = [] then Some (layers, bounds_blocks layers proofs input, None) else
        let facts = facts_blocks layers proofs input in
        Some (layers, Option.map bounds_of facts, facts) in
  if w.executed <> [] then List.iteri (fun k l -> match l with
    | Some (b, _) when not (runs_known b) ->
      Printf.printf "layer %d: not known as executed; of flows, those of gradient fields by Euler's method are\n" (w.from + k)
    | _ -> ()) known;
  let proved = match network with Some (layers, Some bounds, _) -> Some (blocks_product layers bounds) | _ -> None in
  (* which one it is: only to say it, no verdict depends on it *)
  if proved = None then List.iteri (fun k l -> match l with
    | Some (l, p) when bounds_block l p (List.nth m.shapes (w.from + k)) = None ->
      Printf.printf "layer %d: its proof fails or is missing\n" (w.from + k)
    | _ -> ()) known;
  List.iter (fun (bound, den) ->
    let good = match proved with Some proved -> lipschitz_holds proved bound den | None -> false in
    let bound = if Z.sign bound < 0 then "a negative number" else Decimal.(print Up bound den) in
    verdict good (Printf.sprintf "layers %d..%d: Lipschitz constant at most %s" w.from w.upto bound)) w.lipschitz;
  if (w.margins <> [] || w.executed <> []) && (w.from <> 0 || w.upto <> count - 1) then
    raise (Unreadable (Printf.sprintf "%s: margins are about all layers before the last one, 0..%d" witness (count - 1)));
  match samples with
  | Some samples -> check_samples m w (if w.from = 0 && w.upto = count - 1 then network else None) samples
  | None ->
    if w.margins <> [] || w.executed <> [] || w.samples <> None then begin
      unchecked := List.length w.margins + List.length w.executed;
      Printf.printf "margins of %d samples: NOT CHECKED, no samples are given\n" !unchecked
    end

let () =
  match List.tl (Array.to_list Sys.argv) with
  | witness :: model :: ([] | [ _ ] as rest) ->
    (match check witness model (List.nth_opt rest 0) with
     | () -> exit (if !false_claims > 0 then 1 else if !unchecked > 0 then 3 else 0)
     | exception Unreadable s -> prerr_endline s; exit 2
     | exception Stack_overflow -> prerr_endline "a network that is too large for this checker"; exit 2)
  | _ -> prerr_endline "usage: check-witness WITNESS MODEL [SAMPLES]"; exit 2
