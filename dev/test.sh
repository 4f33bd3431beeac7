#!/bin/bash
# Runs the specs, each file in a process of its own, under each Lua of LUAS,
# and ends with "N passed, N failed". With SANITIZER=asan or tsan the
# interpreter runs with that runtime and the module from build/<LUA>-asan.
#   LUAS="5.4 luajit" dev/test.sh [PATH...]
set -u
cd "$(dirname "$0")/.." || exit
unset LUA_INIT LUA_PATH "${!LUA_INIT_@}" "${!LUA_PATH_@}" "${!LUA_CPATH_@}"

SECONDS_PER_FILE=600
suffix=${SANITIZER:+-$SANITIZER}
busted=$(command -v busted) || { echo "busted is missing" >&2; exit 1; }
SEER_COUNTS=$(mktemp)
export SEER_COUNTS
trap 'rm -f "$SEER_COUNTS"' EXIT
passed=0 failed=0 skipped=0

mapfile -t specs < <(find "${@:-spec}" -name '*_spec.lua' | LC_ALL=C sort)
if [ ${#specs[@]} = 0 ]; then
  echo "there are no specs in ${*:-spec}" >&2
  failed=1
fi

# A program that runs the interpreter with the sanitizer's runtime in it. The
# dynamic linker is asked for that, because LD_PRELOAD would be inherited by
# every shell and server that the specs start.
sanitized() { # the interpreter
  local path=build/$lua$suffix/lua loader runtime prefix=
  loader=$(readelf -l "$1" | sed -n 's/.*interpreter: \(.*\)]/\1/p')
  runtime=$("${CC:-cc}" -print-file-name="lib$SANITIZER.so")
  # Its shadow memory has no room for addresses that are random in 32 bits.
  [ "$SANITIZER" = tsan ] && setarch -R true 2>/dev/null && prefix="setarch -R"
  printf '#!/bin/sh\nexec %s %s --preload %s %s "$@"\n' \
    "$prefix" "$loader" "$runtime" "$1" >"$path"
  chmod +x "$path"
  echo "$PWD/$path"
}

interpreter() {
  local program
  program=$(command -v "$lua" || command -v "lua$lua")
  if [ -n "$suffix" ]; then sanitized "$program"; else echo "$program"; fi
}

# A file that ends before its specs do, or badly after them, has failed once
# more than it says.
run_file() {
  local status p=0 f=0 s=0
  : >"$SEER_COUNTS"
  timeout -k 5 "$SECONDS_PER_FILE" "$SEER_LUA" "$busted" \
    -o spec/support/handler.lua "$1" </dev/null
  status=$?
  if ! read -r p f s <"$SEER_COUNTS"; then
    p=0 f=0 s=0
    if [ $status = 0 ]; then status="0, but too early"; fi
  fi
  if [ "$status" != 0 ] && [ "$f" = 0 ]; then
    f=1
    echo "FAILED $1: ended with status $status" \
      "(124: took more than $SECONDS_PER_FILE s; 128 + n: signal n)"
  fi
  printf '%-6s %-36s %4d passed, %d failed\n' "$lua" "$1" "$p" "$f"
  passed=$((passed + p)) failed=$((failed + f)) skipped=$((skipped + s))
}

here=$PWD/dev
export ASAN_OPTIONS="verify_asan_link_order=0:detect_leaks=1"
export LSAN_OPTIONS="suppressions=$here/lsan.supp:print_suppressions=0"
export UBSAN_OPTIONS="print_stacktrace=1"
export TSAN_OPTIONS="die_after_fork=0:atexit_sleep_ms=50"

for lua in ${LUAS:-5.4}; do
  export LUA_CPATH="build/$lua$suffix/?.so;;"
  SEER_LUA=$(interpreter)
  export SEER_LUA
  for spec in "${specs[@]}"; do
    run_file "$spec"
  done
done

summary="$passed passed, $failed failed"
if [ $skipped != 0 ]; then summary="$summary, $skipped skipped"; fi
echo "$summary"
[ $failed = 0 ]
