#!/bin/sh
# The checker accepts generated witnesses, and what it does to single-entry corruptions; needs python3, else is skipped.
here=$(dirname "$0")
if ! command -v python3 >/dev/null 2>&1; then echo "checker: no python3, tests skipped"; exit 0; fi
for test in test test_contraction test_convolutions test_executed; do python3 "$here/$test.py" "$here/check-witness" || exit 1; done
