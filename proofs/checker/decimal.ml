(* Fractions as decimals of twelve digits, rounded outward: an upper bound up, a lower bound down. *)

type direction = Up | Down

let digits = 12

(* p / q >= 0 *)
let print direction p q =
  if Z.sign p = 0 then "0" else begin
    let ten k = Z.pow (Z.of_int 10) k in
    (* p / q * 10^k, to an integer *)
    let scaled k =
      let (p, q) = if k >= 0 then (Z.mul p (ten k), q) else (p, Z.mul q (ten (- k))) in
      match direction with Up -> Z.cdiv p q | Down -> Z.fdiv p q in
    (* the first guess is at most one too small or too large *)
    let guess = digits - (String.length (Z.to_string p) - String.length (Z.to_string q)) in
    let rec fit k = let d = scaled k in
      if Z.geq d (ten digits) && not (Z.equal d (ten digits)) then fit (k - 1)
      else if Z.lt d (ten (digits - 1)) then fit (k + 1) else (d, k) in
    let (d, k) = fit guess in
    let text = Z.to_string d in
    let n = String.length text in
    (* text stands for 0.text * 10^point *)
    let point = n - k in
    let trim s = let i = ref (String.length s) in
      while !i > 0 && s.[!i - 1] = '0' do decr i done; String.sub s 0 !i in
    let join whole rest = let rest = trim rest in if rest = "" then whole else whole ^ "." ^ rest in
    if point > digits + 3 || point < - 4 then
      Printf.sprintf "%se%d" (join (String.sub text 0 1) (String.sub text 1 (n - 1))) (point - 1)
    else if point <= 0 then join "0" (String.make (- point) '0' ^ text)
    else if point >= n then text ^ String.make (point - n) '0'
    else join (String.sub text 0 point) (String.sub text point (n - point))
  end
