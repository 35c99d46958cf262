#!/usr/bin/env bash
# Mutates src/rigor and runs its tests, in a small crate of its own that compiles in a fraction of the time of the whole one.
# Arguments go to cargo-mutants: --shard 3/16, --file src/rigor/residual.rs, --re mul_add_over, …
#
#   cargo install --locked cargo-mutants && .ci/mutants.sh --shard 0/8
set -euo pipefail
root=$(cd "$(dirname "$0")/.." && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

mkdir -p "$work/src" "$work/tests" "$work/.cargo"
cp -r "$root"/src/{rigor,block.rs,error.rs,lanes.rs,scalar.rs,shape.rs} "$work/src"
cp "$root"/tests/it/{quadratic_constraint,rigor}.rs "$work/tests"
cp "$root"/Cargo.lock "$work"
grep -v '^additional_cargo_test_args\|^    "--\|^\]' "$root/.cargo/mutants.toml" >"$work/.cargo/mutants.toml"
cat >"$work/src/lib.rs" <<'END'
//! The proofs of norms, alone.
#![forbid(unsafe_code)]
#![allow(dead_code, rustdoc::all, reason = "the rest of the crate uses it")]
mod block;
pub mod error;
pub mod lanes;
pub mod rigor;
pub mod scalar;
mod shape;
pub use error::{Error, Result};
END
# The dependencies of the crate that these files use, and the profiles: code that is compiled again for every mutant is not
# optimised much, what it calls is.
python3 - "$root/Cargo.toml" >"$work/Cargo.toml" <<'END'
import sys, tomllib
manifest = tomllib.load(open(sys.argv[1], "rb"))
print('[package]\nname = "dahlquist"\nversion = "0.0.0"\nedition = "2024"\n')
wanted = {
    "dependencies": ["faer", "libm", "num-bigint", "num-rational", "num-traits", "pulp", "rayon", "serde", "thiserror"],
    "dev-dependencies": ["proptest", "rand", "rand_chacha", "rand_distr"],
}
for table, names in wanted.items():
    print(f"[{table}]")
    for name in names:
        value = manifest.get(table, {}).get(name) or manifest["dependencies"][name]
        if isinstance(value, str):
            value = {"version": value}
        fields = [f'version = "{value["version"]}"']
        if "default-features" in value:
            fields.append(f'default-features = {str(value["default-features"]).lower()}')
        if "features" in value:
            fields.append("features = [" + ", ".join(f'"{f}"' for f in value["features"]) + "]")
        print(f"{name} = {{ {', '.join(fields)} }}")
    print()
print('[profile.dev]\nopt-level = 3\ndebug = "line-tables-only"\n\n[profile.dev.package.dahlquist]\nopt-level = 1')
END
cd "$work"
cargo mutants --no-shuffle --in-place --output "${MUTANTS_OUT:-$root/target/mutants}" "$@" -- --lib --tests
