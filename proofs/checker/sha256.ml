(* SHA-256 of a string, FIPS 180-4, as 64 hexadecimal digits. *)

(* the first 32 bits of the fractional parts of the square or cube roots of the first primes *)
let primes n =
  let rec next p found = if List.length found = n then List.rev found
    else next (p + 1) (if List.exists (fun q -> p mod q = 0) found then found else p :: found) in
  next 2 []

(* floor (2^32 p^(1/k)) mod 2^32, by integers *)
let root_bits k p = Z.to_int (Z.logand (Z.root (Z.shift_left (Z.of_int p) (32 * k)) k) (Z.of_int 0xffffffff))
let start = Array.of_list (List.map (root_bits 2) (primes 8))
let constants = Array.of_list (List.map (root_bits 3) (primes 64))

let mask = 0xffffffff
let rotate x n = ((x lsr n) lor (x lsl (32 - n))) land mask

let block hash text at =
  let w = Array.make 64 0 in
  for i = 0 to 15 do w.(i) <- Int32.to_int (String.get_int32_be text (at + 4 * i)) land mask done;
  for i = 16 to 63 do
    let s0 = rotate w.(i - 15) 7 lxor rotate w.(i - 15) 18 lxor (w.(i - 15) lsr 3) in
    let s1 = rotate w.(i - 2) 17 lxor rotate w.(i - 2) 19 lxor (w.(i - 2) lsr 10) in
    w.(i) <- (w.(i - 16) + s0 + w.(i - 7) + s1) land mask
  done;
  let v = Array.copy hash in
  for i = 0 to 63 do
    let a = v.(0) and b = v.(1) and c = v.(2) and e = v.(4) and f = v.(5) and g = v.(6) in
    let s1 = rotate e 6 lxor rotate e 11 lxor rotate e 25 in
    let choice = (e land f) lxor (lnot e land mask land g) in
    let t1 = (v.(7) + s1 + choice + constants.(i) + w.(i)) land mask in
    let s0 = rotate a 2 lxor rotate a 13 lxor rotate a 22 in
    let majority = (a land b) lxor (a land c) lxor (b land c) in
    Array.blit v 0 v 1 7;
    v.(4) <- (v.(4) + t1) land mask;
    v.(0) <- (t1 + s0 + majority) land mask
  done;
  Array.iteri (fun i x -> hash.(i) <- (hash.(i) + x) land mask) v

let of_string text =
  let hash = Array.copy start and n = String.length text in
  let whole = n / 64 in
  for i = 0 to whole - 1 do block hash text (64 * i) done;
  (* what is left, a bit 1, zeros, and the number of bits *)
  let rest = n - 64 * whole in
  let tail = Bytes.make (if rest < 56 then 64 else 128) '\000' in
  Bytes.blit_string text (64 * whole) tail 0 rest;
  Bytes.set tail rest '\x80';
  Bytes.set_int64_be tail (Bytes.length tail - 8) (Int64.of_int (8 * n));
  for i = 0 to Bytes.length tail / 64 - 1 do block hash (Bytes.to_string tail) (64 * i) done;
  String.concat "" (Array.to_list (Array.map (Printf.sprintf "%08x") hash))
