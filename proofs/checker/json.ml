(* JSON, strictly: RFC 8259, a name at most once in an object.  A number stays the text that it is in the file. *)

exception Bad of string

type t = Null | Bool of bool | Number of string | String of string | List of t list | Object of (string * t) list

let bad what = raise (Bad what)
let deepest = 100

(* a code point in UTF-8 *)
let utf8 b code =
  if not (Uchar.is_valid code) then bad "a \\u that is no character" else Buffer.add_utf_8_uchar b (Uchar.of_int code)

let parse text =
  let n = String.length text and at = ref 0 in
  let peek () = if !at < n then text.[!at] else '\000' in
  let skip () = while !at < n && String.contains " \t\r\n" text.[!at] do incr at done in
  let expect c = if !at < n && text.[!at] = c then incr at else bad (Printf.sprintf "%C is missing at byte %d" c !at) in
  let word w value =
    let k = String.length w in
    if !at + k <= n && String.sub text !at k = w then (at := !at + k; value) else bad "an unknown word" in
  let digits () =
    let from = !at in
    while peek () >= '0' && peek () <= '9' do incr at done;
    if !at = from then bad "a digit is missing" in
  let number () =
    let from = !at in
    if peek () = '-' then incr at;
    if peek () = '0' then incr at else digits ();
    if peek () = '.' then (incr at; digits ());
    if peek () = 'e' || peek () = 'E' then begin
      incr at;
      if peek () = '+' || peek () = '-' then incr at;
      digits ()
    end;
    String.sub text from (!at - from) in
  let hex4 () =
    if !at + 4 > n then bad "a \\u that ends early";
    let s = String.sub text !at 4 in
    at := !at + 4;
    if not (String.for_all (fun c -> (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F')) s) then
      bad "a \\u without four hexadecimal digits";
    int_of_string ("0x" ^ s) in
  let string () =
    expect '"';
    let b = Buffer.create 16 in
    let rec go () =
      if !at >= n then bad "a string that does not end";
      let c = text.[!at] in
      incr at;
      match c with
      | '"' -> ()
      | '\\' ->
        let e = peek () in
        incr at;
        (match e with
         | '"' | '\\' | '/' -> Buffer.add_char b e
         | 'b' -> Buffer.add_char b '\b' | 'f' -> Buffer.add_char b '\012' | 'n' -> Buffer.add_char b '\n'
         | 'r' -> Buffer.add_char b '\r' | 't' -> Buffer.add_char b '\t'
         | 'u' ->
           let high = hex4 () in
           if high >= 0xd800 && high < 0xdc00 then begin
             expect '\\'; expect 'u';
             let low = hex4 () in
             if low < 0xdc00 || low > 0xdfff then bad "half a pair of \\u";
             utf8 b (0x10000 + ((high - 0xd800) lsl 10) + (low - 0xdc00))
           end else utf8 b high
         | _ -> bad "an unknown escape");
        go ()
      | c when c < ' ' -> bad "a control character in a string"
      | c -> Buffer.add_char b c; go () in
    go ();
    Buffer.contents b in
  let rec value depth =
    if depth > deepest then bad "too deep";
    skip ();
    let v = match peek () with
      | '{' -> incr at; Object (members depth)
      | '[' -> incr at; List (elements depth)
      | '"' -> String (string ())
      | 't' -> word "true" (Bool true)
      | 'f' -> word "false" (Bool false)
      | 'n' -> word "null" Null
      | _ -> Number (number ()) in
    skip ();
    v
  and elements depth =
    skip ();
    if peek () = ']' then (incr at; []) else
      let rec go acc =
        let acc = value (depth + 1) :: acc in
        if peek () = ',' then (incr at; go acc) else (expect ']'; List.rev acc) in
      go []
  and members depth =
    skip ();
    if peek () = '}' then (incr at; []) else
      let names = Hashtbl.create 16 in
      let rec go acc =
        skip ();
        let name = string () in
        if Hashtbl.mem names name then bad (Printf.sprintf "the name %S twice in an object" name);
        Hashtbl.add names name ();
        skip ();
        expect ':';
        let acc = (name, value (depth + 1)) :: acc in
        if peek () = ',' then (incr at; go acc) else (expect '}'; List.rev acc) in
      go [] in
  let v = value 0 in
  if !at <> n then bad (Printf.sprintf "text after the value, at byte %d" !at);
  v
