#!/bin/bash
# Runs the rows, all or those of ROWS, prints the whole table and draws the
# graphs. QUICK=1 takes a tenth of the size and three rounds; KEEP=1 puts table
# and graphs into bench/README.md.
#   ROWS="capture drain" QUICK=1 bench/run.sh
set -eu
cd "$(dirname "$0")/.."
unset LUA_INIT LUA_PATH "${!LUA_INIT_@}" "${!LUA_PATH_@}" "${!LUA_CPATH_@}"
unset "${!SEERSTACK_@}" SSL_CERT_FILE http_proxy https_proxy HTTPS_PROXY \
  all_proxy ALL_PROXY no_proxy NO_PROXY

ALL="capture growing instructions latency threads memory drain sending tls"
ALL+=" nginx length idle clients require budget redis"
rows=${ROWS:-$ALL}
export BENCH_DIRECTORY=build/bench
mkdir -p "$BENCH_DIRECTORY/results" "$BENCH_DIRECTORY/data"

run_lua() { # interpreter, build, arguments
  local program=$1 build=$2
  shift 2
  LUA_CPATH="build/bench/$build/?.so;build/$build/?.so;;" "$program" "$@"
}

sink=
stop() {
  [ -z "$sink" ] || kill "$sink" 2>/dev/null || true
}
trap stop EXIT

first_core=$(taskset -cp $$ 2>/dev/null | sed -n 's/.*: \([0-9]*\).*/\1/p')
read -r sink BENCH_URL BENCH_TLS_URL BENCH_CA_FILE \
  < <(run_lua lua5.4 5.4 bench/support/sink.lua "${first_core:-0}")
export BENCH_URL BENCH_TLS_URL BENCH_CA_FILE

run_row() {
  case $1 in
  instructions) run_lua lua5.4 5.4 bench/instructions.lua || true ;;
  capture | growing)
    run_lua lua5.4 5.4 "bench/rows/$1.lua" &&
      run_lua luajit luajit "bench/rows/$1.lua"
    ;;
  tls) run_lua lua5.4 5.4 bench/rows/drain.lua tls ;;
  *) run_lua lua5.4 5.4 "bench/rows/$1.lua" ;;
  esac
}

status=0
for row in $rows; do
  echo "== $row"
  rm -f "$BENCH_DIRECTORY/results/$row.jsonl"
  run_row "$row" || { echo "$row could not be measured" && status=1; }
done

run_lua lua5.4 5.4 bench/table.lua
run_lua lua5.4 5.4 bench/graph.lua

{
  echo "Measured on $(date -u +%Y-%m-%d):" \
    "$(sed -n 's/^model name.*: //p' /proc/cpuinfo | head -n 1)," \
    "$(nproc) cores, load $(cut -d' ' -f1 /proc/loadavg) at the end," \
    "libcurl $(curl-config --version 2>/dev/null | cut -d' ' -f2)."
  echo "At a load above the number of cores others were using them: there," \
    "only instructions, bytes and counts are to be relied on."
  [ -z "${ROWS:-}" ] || echo "Not all rows are of the same run."
  echo
  cat "$BENCH_DIRECTORY/table.md"
} >"$BENCH_DIRECTORY/measured.md"
cat "$BENCH_DIRECTORY/measured.md"

if [ "${KEEP:-}" = 1 ]; then
  cp "$BENCH_DIRECTORY"/*.svg bench
  bench/keep.sh table <"$BENCH_DIRECTORY/measured.md"
fi
[ $status = 0 ]
