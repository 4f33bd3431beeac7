#!/bin/bash
# Puts what a run has measured, from "Measured on" to the end of the table, into
# bench/README.md, between the marks of this name.
#   bench/keep.sh "table" <build/bench/measured.md
set -eu -o pipefail
cd "$(dirname "$0")/.."
new=$(mktemp)
trap 'rm -f "$new"' EXIT
{
  sed "/^<!-- $1 -->\$/q" bench/README.md
  sed -n '/^Measured on /,$ { /^$/p; /^[A-Z|]/p }' |
    awk '/^\|/ { table = 1 } table && !/^\|/ { exit } 1'
  sed -n "/^<!-- end of $1 -->\$/,\$p" bench/README.md
} >"$new"
cat "$new" >bench/README.md
