#!/bin/bash
# Runs the specs, each file in a process of its own, under each Lua of LUAS,
# and ends with "N passed, N failed". What a file prints is shown if it fails.
# Without paths those specs that do not test the binding run under fewer (see
# `luas_of`), unless ALL=1. With SANITIZER=asan or tsan the interpreter runs
# with that runtime and the module from build/<LUA>-asan; with
# SANITIZER=valgrind it runs under memcheck; with SUFFIX=-x the module is that
# from build/<LUA>-x. With STORE=1 every client has a
# store, and specs that have to fail then are skipped (see
# spec/support/unstored.lua).
# With FILTER, a pattern of Lua, only tests with such a title are run.
# JOBS files run at a time, since most of them wait most of the time, which
# under memcheck they do not.
#   LUAS="5.4 luajit" dev/test.sh [PATH...]
set -u
cd "$(dirname "$0")/.." || exit
unset LUA_INIT LUA_PATH "${!LUA_INIT_@}" "${!LUA_PATH_@}" "${!LUA_CPATH_@}"
unset "${!SEERSTACK_@}" SSL_CERT_FILE http_proxy https_proxy HTTPS_PROXY \
  all_proxy ALL_PROXY no_proxy NO_PROXY

# With a store behind every client: make test-store.
if [ -n "${STORE:-}" ]; then
  export LUA_INIT="@$PWD/spec/support/stored.lua"
fi

SECONDS_PER_FILE=600
jobs=$(($(nproc) * 4))
if [ "${SANITIZER:-}" = valgrind ]; then
  SECONDS_PER_FILE=3600
  jobs=$(($(nproc) + 1))
fi
jobs=${JOBS:-$jobs}
suffix=${SUFFIX:-${SANITIZER:+-$SANITIZER}}
busted=$(command -v busted) || { echo "busted is missing" >&2; exit 1; }
results=$(mktemp -d)
trap 'rm -rf "$results"' EXIT

# Specs look at memory and at threads, so the sanitizers' own memory is kept
# small; of their threads the specs know by SANITIZER.
[ -n "${SANITIZER:-}" ] || unset SANITIZER
export ASAN_OPTIONS="verify_asan_link_order=0:detect_leaks=1"
ASAN_OPTIONS+=":quarantine_size_mb=4"
export LSAN_OPTIONS="suppressions=$PWD/checks/lsan.supp:print_suppressions=0"
export UBSAN_OPTIONS="print_stacktrace=1"
export TSAN_OPTIONS="die_after_fork=0:atexit_sleep_ms=50"
export VALGRIND_OPTS="-q --num-callers=30 --error-exitcode=99"
VALGRIND_OPTS+=" --leak-check=full --show-leak-kinds=definite"
VALGRIND_OPTS+=" --errors-for-leak-kinds=definite"
# At the end of a process other threads may still be in the C library.
VALGRIND_OPTS+=" --run-libc-freeres=no"

# Writes a program that runs an interpreter with the sanitizer's runtime in
# it. The dynamic linker is asked for that, because LD_PRELOAD would be
# inherited by every shell and server that the specs start. It is asked by the
# name that the module asks by: of another it keeps a note, which each process
# finds leaked at its end, and takes half a second to look up.
wrap_sanitizer() { # interpreter, path
  local loader runtime prefix=
  loader=$(readelf -l "$1" | sed -n 's/.*interpreter: \(.*\)]/\1/p')
  runtime=$(readelf -d "$("${CC:-cc}" -print-file-name="lib$SANITIZER.so")" |
    sed -n 's/.*soname: \[\(.*\)\]/\1/p')
  # Its shadow memory has no room for addresses that are random in 32 bits.
  if [ "$SANITIZER" = tsan ] && setarch -R true 2>/dev/null; then
    prefix="setarch -R"
  fi
  printf '#!/bin/sh\nexec %s %s --preload %s %s "$@"\n' \
    "$prefix" "$loader" "$runtime" "$1" >"$2.new"
}

# The same for memcheck. What valgrind has to say goes to a file of each
# process, for specs read standard errors.
wrap_valgrind() { # interpreter, path
  printf '#!/bin/sh\nexec valgrind %s %s %s "$@"\n' \
    "--log-file=\"\$SEER_VALGRIND.%p\"" \
    "--suppressions='$PWD/checks/valgrind.supp'" "$1" >"$2.new"
}

wrap() { # interpreter, path
  if [ "$SANITIZER" = valgrind ]; then wrap_valgrind "$@"
  else wrap_sanitizer "$@"; fi
  chmod +x "$2.new"
  mv "$2.new" "$2" # at once: another run may be using it
}

interpreter() { # lua
  local program
  program=$(command -v "$1" || command -v "lua$1")
  if [ -n "${SANITIZER:-}" ]; then
    wrap "$program" "build/$1$suffix/lua"
    program=$PWD/build/$1$suffix/lua
  fi
  echo "$program"
}

# Runs a file, and prints when it has ended what it has to say if it has failed,
# what it has skipped, and its counts. One that ends before its specs do, or
# badly after them, has failed once more than it says.
run_file() { # lua, interpreter, spec, where its results go
  local status passed failed skipped expected began=$SECONDS
  LUA_CPATH="build/$1$suffix/?.so;;" SEER_LUA=$2 SEER_COUNTS=$4 \
    SEER_VALGRIND=$4.memcheck \
    timeout -k 5 "$SECONDS_PER_FILE" "$2" "$busted" \
    -o spec/support/handler.lua ${FILTER:+--filter="$FILTER"} "$3" \
    </dev/null >"$4.output" 2>&1
  status=$?
  if ! read -r passed failed skipped expected 2>/dev/null <"$4"; then
    passed=0 failed=0 skipped=0 expected=0
    if [ $status = 0 ]; then status="0, but too early"; fi
  fi
  if [ "$expected" -gt 0 ] && [ "$status" = 1 ]; then status=0; fi
  cat "$4".memcheck.* >"$4.found" 2>/dev/null
  if [ -s "$4.found" ]; then
    failed=$((failed + 1))
    echo "FAILED $3: memcheck has found something" >>"$4.output"
    cat "$4.found" >>"$4.output"
  fi
  rm -f "$4".memcheck.* "$4.found"
  if [ "$status" != 0 ] && [ "$failed" = 0 ]; then
    failed=1
    echo "FAILED $3: ended with status $status" \
      "(124: took more than $SECONDS_PER_FILE s; 128 + n: signal n)" \
      >>"$4.output"
  fi
  echo "$passed $failed $skipped" >"$4"
  if [ "$failed" = 0 ]; then sed -i '/^SKIPPED /,/^$/!d' "$4.output"; fi
  printf '%-6s %-36s %4d passed, %d failed, %3d s\n' "$1" "$3" "$passed" \
    "$failed" $((SECONDS - began)) >>"$4.output"
  flock "$results/lock" cat "$4.output"
}

# The files that wait longest go first, so that none of them is left to the end.
longest="core/pace core/idle rockspec core/spare faults/clock faults/connection
  faults/protocol core/process core/exit contract core/fork core/resolver"

in_order() { # paths
  local name spec
  for name in $longest; do
    for spec; do [ "$spec" != "spec/${name}_spec.lua" ] || echo "$spec"; done
  done
  printf '%s\n' "$@"
}

# Whether a spec tests the command, the stand-in, the helpers or the
# repository: no sanitizer sees anything in these.
beside() { # spec
  case $1 in
  spec/dev/* | spec/support/* | spec/tool/* | spec/docs_spec.lua | \
    spec/repo_spec.lua | spec/sources_spec.lua | spec/rockspec_spec.lua | \
    spec/mutants_spec.lua) ;;
  *) return 1 ;;
  esac
}

# The Luas of a file, of LUAS. What tests the binding runs under all. What tests
# sending, processes and the command runs under the two that differ most: PUC's
# newest, with integers, and LuaJIT, with the interface of 5.1, doubles and
# FFI's numbers. What the network, the disk and the core alone decide runs under
# the first of these.
luas_of() { # spec
  local name=${1#spec/}
  case ${name%_spec.lua} in
  core/process | core/exit | core/states | core/fork | \
    sqlite/sqlite | redis/options) echo "$two" ;;
  core/* | faults/* | sqlite/* | redis/* | unit | docs | repo | sources | \
    rockspec | mutants | dev/* | support/*) echo "$one" ;;
  contract | contract_results | level | logger | options_endpoint | \
    pump | pump_* | result | secret | secret_parts | send | future_process | \
    hostile/exit | hostile/sabotage | tool/*) echo "$two" ;;
  *) echo "$all" ;;
  esac
}

all=${LUAS:-5.4} whole=''
if [ $# = 0 ]; then whole=1; fi

of_all() { # Luas: those of them that are in LUAS, or else all
  local lua some=''
  for lua; do case " $all " in *" $lua "*) some+=" $lua" ;; esac; done
  echo "${some:-$all}"
}
one=$all two=$all
if [ -n "$whole" ] && [ -z "${ALL:-}" ]; then
  one=$(of_all 5.4) two=$(of_all 5.4 luajit)
fi

# What is in these needs programs that only `make test-hosts`, `make test-page`
# and `make test-windows` install.
if [ -n "$whole" ]; then
  set -- spec -not -path 'spec/hosts/*' -not -path 'spec/page/*' \
    -not -path 'spec/windows/*'
fi
mapfile -t specs < <(find "$@" -name '*_spec.lua' | LC_ALL=C sort)
mapfile -t specs < <(in_order "${specs[@]}" | awk 'NF && !seen[$0]++')
declare -A programs
for lua in $all; do
  programs[$lua]=$(interpreter "$lua")
done

number=0
for spec in "${specs[@]}"; do
  if [ -n "$whole" ] && [ -n "$suffix" ] && beside "$spec"; then continue; fi
  for lua in $(luas_of "$spec"); do
    while [ "$(jobs -rp | wc -l)" -ge "$jobs" ]; do wait -n; done
    number=$((number + 1))
    run_file "$lua" "${programs[$lua]}" "$spec" "$results/$number.counts" &
  done
done
wait

cat "$results"/*.counts 2>/dev/null | awk '
  { passed += $1; failed += $2; skipped += $3 }
  END {
    if (NR == 0) { print "there are no specs"; failed = 1 }
    summary = passed + 0 " passed, " failed + 0 " failed"
    print skipped ? summary ", " skipped " skipped" : summary
    exit failed > 0
  }'
