(* The text of a witness: proofs and claims, no weight and no sample.  The grammar is in proofs/README.md. *)

open Kernel
module Z = Integer

exception Bad of string

type claim = { sample : int; winner : int; radius : Z.t; radius_den : Z.t }
type t = { model : string; samples : string option; from : int; upto : int; proofs : (int list * layer_proof) list;
           lipschitz : (Z.t * Z.t) list; margins : claim list; depth : Z.t option; executed : claim list }

type reader = { text : string; mutable pos : int; mutable line : int }

let bad r what = raise (Bad (Printf.sprintf "line %d: %s" r.line what))

(* Words separated by blanks or line ends; from '#' to the end of the line is a comment. *)
let rec word r =
  let n = String.length r.text in
  if r.pos >= n then None
  else match r.text.[r.pos] with
    | '\n' -> r.pos <- r.pos + 1; r.line <- r.line + 1; word r
    | ' ' | '\t' | '\r' -> r.pos <- r.pos + 1; word r
    | '#' -> while r.pos < n && r.text.[r.pos] <> '\n' do r.pos <- r.pos + 1 done; word r
    | _ ->
      let start = r.pos in
      let stop c = c = ' ' || c = '\t' || c = '\r' || c = '\n' || c = '#' in
      while r.pos < n && not (stop r.text.[r.pos]) do r.pos <- r.pos + 1 done;
      Some (String.sub r.text start (r.pos - start))

let need r what = match word r with Some w -> w | None -> bad r ("the file ends where " ^ what ^ " is expected")

(* decimal only: an optional minus sign and digits *)
let integer r what =
  let w = need r what in
  let digits = if String.length w > 0 && w.[0] = '-' then String.sub w 1 (String.length w - 1) else w in
  if digits = "" || not (String.for_all (fun c -> '0' <= c && c <= '9') digits) then
    bad r (Printf.sprintf "%S is not an integer (%s)" w what);
  Z.of_string w

(* more roundings than any sum has terms *)
let any_order = Z.shift_left Z.one 60

let limit = Z.of_int 1_000_000
let small r what =
  let z = integer r what in
  if Z.sign z < 0 || Z.gt z limit then bad r (what ^ " is out of range") else Z.to_int z
(* 2^s *)
let scale r what =
  let s = small r what in
  if s > 10_000 then bad r (what ^ " is out of range") else Z.shift_left Z.one s

(* a layer by its number, one of a branch by three: 0.1.2 is layer 2 of branch 1 of layer 0 *)
let path r =
  let w = need r "a layer" in
  let part s =
    if s = "" || String.length s > 6 || not (String.for_all (fun c -> '0' <= c && c <= '9') s) then
      bad r (Printf.sprintf "%S is no layer" w);
    int_of_string s in
  match List.map part (String.split_on_char '.' w) with
  | [ _ ] | [ _; _; _ ] as p -> p
  | _ -> bad r (Printf.sprintf "%S is no layer" w)

let literal r expected =
  let w = need r expected in
  if w <> expected then bad r (Printf.sprintf "%S where %S is expected" w expected)

let digest r =
  let w = need r "a SHA-256" in
  if String.length w <> 64 || not (String.for_all (fun c -> (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f')) w) then
    bad r (Printf.sprintf "%S is no SHA-256 in hexadecimal digits" w);
  w

(* the kernels of the factor, column by column and upper triangular, row by row *)
let torus r =
  let axis () = let n = small r "a size of the torus" in if n = 0 then bad r "an empty torus"; n in
  let n1 = axis () in let n2 = axis () in
  let twist () = match need r "periodic or twisted" with
    | "periodic" -> false | "twisted" -> true | w -> bad r (Printf.sprintf "%S where periodic or twisted is expected" w) in
  let twisted1 = twist () in let twisted2 = twist () in
  literal r "fine"; let fine = scale r "the scale" in
  literal r "alpha"; let alpha = integer r "alpha" in
  literal r "beta"; let beta = integer r "beta" in
  literal r "factor"; let k = small r "the size of the factor" in
  if k > String.length r.text || n1 > String.length r.text || n2 > String.length r.text then bad r "the size of the factor is out of range";
  let times n f = List.init n (fun _ -> f ()) in
  let kernel () = times n1 (fun () -> times n2 (fun () -> integer r "an entry of the factor")) in
  let column = ref 0 in
  let factor = times k (fun () -> incr column; times !column kernel) in
  Torus (n1 - 1, n2 - 1, twisted1, twisted2, fine, alpha, beta, factor)

(* the scale, alpha, beta, and the factor, which is upper triangular, given by rows from the diagonal on *)
let residual r =
  literal r "fine"; let fine = scale r "the scale" in
  literal r "alpha"; let alpha = integer r "alpha" in
  literal r "beta"; let beta = integer r "beta" in
  literal r "factor"; let k = small r "the size of the factor" in
  (* every entry takes two bytes at least *)
  if k > String.length r.text then bad r "the size of the factor is out of range";
  let cols = Array.make k [] in
  for i = 0 to k - 1 do
    for j = i to k - 1 do cols.(j) <- integer r "an entry of the factor" :: cols.(j) done
  done;
  (fine, alpha, beta, Array.to_list (Array.map List.rev cols))

let norm r = function
  | "torus" -> torus r
  | "gram" ->
    let transposed = match need r "columns or rows" with
      | "columns" -> false | "rows" -> true | w -> bad r (Printf.sprintf "%S where columns or rows is expected" w) in
    let fine, alpha, beta, factor = residual r in
    Gram (transposed, fine, alpha, beta, factor)
  | w -> bad r (Printf.sprintf "%S where gram or torus is expected" w)

let kind = "gram or torus"

let parse text =
  let r = { text; pos = 0; line = 1 } in
  literal r "dahlquist-witness"; literal r "2";
  literal r "model"; let model = digest r in
  let samples = ref None and proofs = ref [] and lipschitz = ref [] and margins = ref [] in
  let depth = ref None and executed = ref [] in
  let from = ref 0 and upto = ref 0 in
  (match need r "samples or layers" with
   | "samples" -> samples := Some (digest r); literal r "layers"
   | "layers" -> ()
   | w -> bad r (Printf.sprintf "%S where samples or layers is expected" w));
  from := small r "the first layer"; upto := small r "the last layer";
  let proof p i =
    if List.mem_assoc i !proofs then bad r (Printf.sprintf "a second proof for layer %s" (String.concat "." (List.map string_of_int i)));
    if !lipschitz <> [] || !margins <> [] || !depth <> None then bad r "a proof after a claim";
    proofs := (i, p) :: !proofs in
  let claim before =
    let sample = small r "the sample" in
    let winner = small r "the class" in
    literal r "radius"; let radius = integer r "the radius" in let radius_den = scale r "the scale of the radius" in
    (match before with
     | m :: _ when m.sample >= sample -> bad r "margins are not in the order of their samples"
     | _ -> ());
    { sample; winner; radius; radius_den } :: before in
  let rec go () = match need r "the word end" with
    | "end" -> (match word r with None -> () | Some _ -> bad r "text after the word end")
    | "norm" -> let i = path r in proof (Norm (norm r (need r kind))) i; go ()
    | "flow" ->
      let i = path r in
      literal r "radius"; let p = integer r "the radius" in let q = integer r "the radius" in
      (* the reciprocal of p / q; the radius infinity is 1 0 *)
      proof (Circle (norm r (need r kind), q, p)) i; go ()
    | "euler" ->
      let i = path r in
      let below, word = match need r "below, gram or torus" with
        | "below" ->
          let below_fine, below_alpha, below_beta, below_factor = residual r in
          (Some { below_fine; below_alpha; below_beta; below_factor }, need r kind)
        | word -> (None, word) in
      proof (Euler (norm r word, below)) i; go ()
    | "lipschitz" ->
      let p = integer r "the bound" in let d = scale r "the scale of the bound" in
      lipschitz := (p, d) :: !lipschitz; go ()
    | "margin" -> margins := claim !margins; go ()
    | "summation" ->
      if !depth <> None then bad r "a second order of summation";
      depth := Some (match need r "any or a depth" with
        | "any" -> any_order
        | w when w <> "" && String.length w <= 7 && String.for_all (fun c -> '0' <= c && c <= '9') w -> Z.of_string w
        | w -> bad r (Printf.sprintf "%S where any or a depth is expected" w));
      go ()
    | "executed" ->
      if !depth = None then bad r "a claim about the program before its order of summation";
      executed := claim !executed; go ()
    | w -> bad r (Printf.sprintf "%S is not a keyword" w) in
  go ();
  if !lipschitz = [] && !margins = [] && !executed = [] then bad r "no claim";
  { model; samples = !samples; from = !from; upto = !upto; proofs = !proofs; lipschitz = List.rev !lipschitz;
    margins = List.rev !margins; depth = !depth; executed = List.rev !executed }
