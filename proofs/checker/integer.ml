(* zarith's integers under a name that the extracted file does not use itself *)
include Z
