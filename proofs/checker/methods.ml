(* The Runge-Kutta methods that a model may name, in fractions: rows of A, filled up with zeros, and b. *)

(* over the least common denominator *)
let tableau rows b =
  let s = List.length b in
  let fraction text = Q.of_string text in
  let row r = List.init s (fun j -> match List.nth_opt r j with Some x -> fraction x | None -> Q.zero) in
  let a = List.map row rows and b = List.map fraction b in
  let d = List.fold_left (fun d x -> Z.lcm d (Q.den x)) Z.one (List.concat (b :: a)) in
  let integer x = Q.num (Q.mul x (Q.of_bigint d)) in
  { Kernel.t_A = List.map (List.map integer) a; t_b = List.map integer b; t_d = d }

let known = [
  "euler", [ [] ], [ "1" ];
  "midpoint", [ []; [ "1/2" ] ], [ "0"; "1" ];
  "heun", [ []; [ "1" ] ], [ "1/2"; "1/2" ];
  "ralston2", [ []; [ "2/3" ] ], [ "1/4"; "3/4" ];
  "ralston3", [ []; [ "1/2" ]; [ "0"; "3/4" ] ], [ "2/9"; "1/3"; "4/9" ];
  "kutta3", [ []; [ "1/2" ]; [ "-1"; "2" ] ], [ "1/6"; "2/3"; "1/6" ];
  "heun3", [ []; [ "1/3" ]; [ "0"; "2/3" ] ], [ "1/4"; "0"; "3/4" ];
  "ssprk33", [ []; [ "1" ]; [ "1/4"; "1/4" ] ], [ "1/6"; "1/6"; "2/3" ];
  "ssprk43", [ []; [ "1/2" ]; [ "1/2"; "1/2" ]; [ "1/6"; "1/6"; "1/6" ] ], [ "1/6"; "1/6"; "1/6"; "1/2" ];
  "rk4", [ []; [ "1/2" ]; [ "0"; "1/2" ]; [ "0"; "0"; "1" ] ], [ "1/6"; "1/3"; "1/3"; "1/6" ];
  "three_eighths", [ []; [ "1/3" ]; [ "-1/3"; "1" ]; [ "1"; "-1"; "1" ] ], [ "1/8"; "3/8"; "3/8"; "1/8" ];
  "implicit_euler", [ [ "1" ] ], [ "1" ];
  "implicit_midpoint", [ [ "1/2" ] ], [ "1" ];
  "trapezoid", [ []; [ "1/2"; "1/2" ] ], [ "1/2"; "1/2" ];
  "radau_iia2", [ [ "5/12"; "-1/12" ]; [ "3/4"; "1/4" ] ], [ "3/4"; "1/4" ];
  "lobatto_iiic2", [ [ "1/2"; "-1/2" ]; [ "1/2"; "1/2" ] ], [ "1/2"; "1/2" ];
]

(* ssprk<s>2: a_ij = 1/(s-1) for j < i, b_i = 1/s *)
let ssprk_s2 name =
  let rec try_ s = if s > 32 then None else if name = Printf.sprintf "ssprk%d2" s then Some s else try_ (s + 1) in
  Option.map (fun s -> tableau (List.init s (fun i -> List.init i (fun _ -> Printf.sprintf "1/%d" (s - 1))))
    (List.init s (fun _ -> Printf.sprintf "1/%d" s))) (try_ 2)

let by_name name =
  match List.find_opt (fun (known, _, _) -> known = name) known with
  | Some (_, rows, b) -> Some (tableau rows b)
  | None -> ssprk_s2 name
