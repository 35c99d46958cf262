(* check-witness FILE...: reads a witness, runs the verified checker, prints what was proved.
   Exit status 0: every claim of every file holds; 1: some claim does not; 2: unreadable input.
   Only the reader below and the printing are not verified; the format is in proofs/README.md. *)

open Kernel
module Z = Integer

exception Bad of string

(* Words separated by blanks or line ends; from '#' to the end of the line is a comment. *)
type reader = { name : string; text : string; mutable pos : int; mutable line : int }

let bad r what = raise (Bad (Printf.sprintf "%s:%d: %s" r.name r.line what))

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

let limit = Z.of_int 1_000_000
let small r what =
  let z = integer r what in
  if Z.sign z < 0 || Z.gt z limit then bad r (what ^ " is out of range") else Z.to_int z

let scale r what = Z.of_int (small r what)

let literal r expected =
  let w = need r expected in
  if w <> expected then bad r (Printf.sprintf "%S where %S is expected" w expected)

(* from the first to the last, iteratively *)
let times k f =
  let rec go i acc = if i = k then List.rev acc else let x = f () in go (i + 1) (x :: acc) in
  go 0 []
let integers r k what = times k (fun () -> integer r what)
let rows r m n what = times m (fun () -> integers r n what)

let transpose n m_rows =
  let cols = Array.make n [] in
  List.iter (fun row -> List.iteri (fun j x -> cols.(j) <- x :: cols.(j)) row) (List.rev m_rows);
  Array.to_list cols

(* W row by row; gram says which Gram matrix the factor belongs to: "columns" W^T W (n x n), "rows" W W^T (m x m);
   the factor is upper triangular, given by rows from the diagonal on. *)
let operator r =
  let m = small r "the number of rows" in
  let n = small r "the number of columns" in
  let points = match need r "points or scale" with
    | "scale" -> 1
    | "points" -> let p = small r "the number of points" in literal r "scale"; p
    | w -> bad r (Printf.sprintf "%S where points or scale is expected" w) in
  let s = scale r "the scale" in
  literal r "weight"; let w = rows r m n "an entry of the weight" in
  literal r "bias"; let bias = integers r m "an entry of the bias" in
  literal r "gram";
  let transposed = match need r "columns or rows" with
    | "columns" -> false | "rows" -> true | w -> bad r (Printf.sprintf "%S where columns or rows is expected" w) in
  literal r "alpha"; let alpha = integer r "alpha" in
  literal r "beta"; let beta = integer r "beta" in
  literal r "factor";
  let k = if transposed then m else n in
  let cols = Array.make k [] in
  for i = 0 to k - 1 do
    for j = i to k - 1 do cols.(j) <- integer r "an entry of the factor" :: cols.(j) done
  done;
  let factor = Array.to_list (Array.map List.rev cols) in
  let lists = if transposed then w else transpose n w in
  ({ op_rows = m; op_cols = n; op_points = points; op_transposed = transposed; op_scale = s; op_lists = lists;
     op_factor = factor; op_alpha = alpha; op_beta = beta }, bias)

let activation r =
  literal r "leaky";
  let a = integer r "the slope" in
  let s = scale r "the scale of the slope" in
  { slope_num = a; slope_scale = s }

let layer r kind = match kind with
  | "affine" -> let (o, bias) = operator r in Affine (o, bias)
  | "activation" -> Activation (activation r)
  | "pad" -> Pad (small r "the number of zeros")
  | "flow" ->
    literal r "stages"; let s = small r "the number of stages" in
    literal r "denominator"; let d = integer r "the denominator" in
    literal r "A"; let a = rows r s s "an entry of A" in
    literal r "b"; let b = integers r s "an entry of b" in
    literal r "radius"; let rn = integer r "the radius" in let rd = integer r "the radius" in
    literal r "step"; let h = integer r "the step" in let hs = scale r "the scale of the step" in
    literal r "steps"; let k = small r "the number of steps" in
    let g = activation r in
    literal r "operator"; let (o, bias) = operator r in
    (* radius rn/rd, kappa = rd/rn; the radius infinity is 1 0 *)
    Flow ({ m_A = a; m_b = b; m_d = d; m_kn = rd; m_kd = rn }, h, hs, k, o, bias, g)
  | w -> bad r (Printf.sprintf "%S is no kind of layer" w)

let decimal p s =
  (* for reading only *)
  Printf.sprintf "%.9g" (Q.to_float (Q.make p (Z.pow (Z.of_int 2) (Z.to_int s))))

let check_file name =
  let ic = open_in_bin name in
  let text = really_input_string ic (in_channel_length ic) in
  close_in ic;
  let r = { name; text; pos = 0; line = 1 } in
  literal r "dahlquist-witness"; literal r "1";
  literal r "input"; let n = small r "the input dimension" in
  let layers = ref [] and head = ref None and claims = ref [] in
  let claim what c = claims := (what, c) :: !claims in
  let rec go () = match word r with
    | None -> bad r "the file ends without the word end"
    | Some "end" -> (match word r with None -> () | Some _ -> bad r "text after the word end")
    | Some "layer" ->
      if !head <> None || !claims <> [] then bad r "a layer after the head or a claim";
      layers := layer r (need r "a kind of layer") :: !layers; go ()
    | Some "head" ->
      if !head <> None then bad r "a second head";
      let k = small r "the number of classes" in
      let d = small r "the number of features" in
      literal r "scale"; let s = scale r "the scale" in
      literal r "weight"; let w = rows r k d "an entry of the head" in
      head := Some ({ head_rows = w; head_scale = s }, k); go ()
    | Some "lipschitz" ->
      let p = integer r "the bound" in let s = scale r "the scale of the bound" in
      claim (Printf.sprintf "lipschitz <= %s" (decimal p s)) (LipschitzClaim (p, s)); go ()
    | Some "margin" ->
      let (hd, k) = match !head with Some h -> h | None -> bad r "a margin without a head" in
      let i = small r "the class" in
      literal r "radius"; let e = integer r "the radius" in let es = scale r "the scale of the radius" in
      literal r "gaps"; let gs = scale r "the scale of the gaps" in
      let g = integers r k "a gap" in
      claim (Printf.sprintf "margin class %d radius %s, given the gaps" i (decimal e es))
        (MarginClaim (hd, { winner = i; gaps = g; gap_scale = gs; eps = e; eps_scale = es })); go ()
    | Some w -> bad r (Printf.sprintf "%S is not a keyword" w) in
  go ();
  if !claims = [] then bad r "no claim";
  let (words, claims) = List.split (List.rev !claims) in
  let verdicts = check_claims (List.rev !layers) n claims in
  List.iter2 (fun what good ->
    Printf.printf "%s: %s: %s\n" name what (if good then "proved" else "REFUSED")) words verdicts;
  List.for_all Fun.id verdicts

let () =
  let files = List.tl (Array.to_list Sys.argv) in
  if files = [] then (prerr_endline "usage: check-witness FILE..."; exit 2);
  match List.fold_left (fun ok f -> check_file f && ok) true files with
  | true -> exit 0
  | false -> exit 1
  | exception Bad s -> prerr_endline s; exit 2
  | exception Sys_error s -> prerr_endline s; exit 2
