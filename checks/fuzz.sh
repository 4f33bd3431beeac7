#!/bin/bash
# Fuzzes the targets of checks/fuzz for some seconds in all, each from its
# committed inputs and from what was found before (build/fuzz/<target>); or
# replays the committed inputs, with some new ones from a fixed seed; or takes
# over what was found into the committed inputs, a small set of it. Ends with
# how many inputs were executed, or "N passed, N failed".
#   FUZZ="json mask" checks/fuzz.sh fuzz|fuzz-replay|fuzz-merge lua seconds
set -u
cd "$(dirname "$0")/.." || exit
command=$1 programs=build/$2-fuzz/fuzz seconds=${3:-60}
FRESH=200 # new inputs for each target in a replay
MOST=110  # inputs without a name of their own that are committed
unset LUA_INIT "${!LUA_INIT_@}" "${!LUA_PATH@}" "${!LUA_CPATH@}"
export ASAN_OPTIONS="detect_leaks=1:allocator_may_return_null=1"
# What LuaJIT's own allocator holds looks lost.
if [ "$2" = luajit ]; then ASAN_OPTIONS=${ASAN_OPTIONS/leaks=1/leaks=0}; fi
export LSAN_OPTIONS="suppressions=$PWD/checks/lsan.supp:print_suppressions=0"
export UBSAN_OPTIONS="print_stacktrace=1"

targets=()
for source in checks/fuzz/*.c; do
  target=$(basename "$source" .c)
  case " ${FUZZ:-$target} " in *" $target "*) targets+=("$target") ;; esac
done
if [ ${#targets[@]} = 0 ]; then echo "there is no such target" >&2; exit 1; fi

# The options of a target. Leaks are looked for at its end: to do so after
# each input takes ten times longer.
prepare() { # target
  corpus=checks/fuzz/corpus/$1 found=build/fuzz/$1 log=build/fuzz/$1.log
  mkdir -p "$corpus" "$found"
  options=(-detect_leaks=0 -timeout=30 -rss_limit_mb=2048 -max_len=4096
    -print_final_stats=1 "-artifact_prefix=build/fuzz/$1-")
  if [ -f "checks/fuzz/$1.dict" ]; then
    options+=("-dict=checks/fuzz/$1.dict")
  fi
}

executed() { # log
  local count
  count=$(sed -nE 's/^stat::number_of_executed_units: *([0-9]+)/\1/p' "$1" |
    tail -n 1)
  echo "${count:-0}"
}

# What went wrong, and how to see it again.
explain() { # target
  local input
  grep -aE -A 12 '^FUZZ:|ERROR|runtime error|SUMMARY' "build/fuzz/$1.log" |
    head -n 40
  input=$(sed -nE 's/.*Test unit written to (.*)/\1/p' "build/fuzz/$1.log" |
    tail -n 1)
  if [ -n "$input" ]; then
    echo "to repeat it: $programs/$1 $input"
  fi
  echo "all it said: build/fuzz/$1.log"
}

fuzz() {
  local target share total=0 status=0 count
  share=$(((seconds + ${#targets[@]} - 1) / ${#targets[@]}))
  for target in "${targets[@]}"; do
    prepare "$target"
    if nice -n 19 "$programs/$target" "${options[@]}" \
      -max_total_time="$share" "$found" "$corpus" >"$log" 2>&1; then
      result=
    else
      result=FAILED status=1
    fi
    count=$(executed "$log")
    total=$((total + count))
    printf '%-10s %9d executions in %d s %s\n' "$target" "$count" "$share" \
      "$result"
    if [ -n "$result" ]; then explain "$target"; fi
  done
  echo "$total executions"
  return $status
}

# An input that fails ends its target, and so the others are run again.
replay_one() { # target
  local input
  for input in "$corpus"/*; do
    [ -f "$input" ] || continue
    if "$programs/$1" "${options[@]}" "$input" >"$log" 2>&1; then
      passed=$((passed + 1))
    else
      failed=$((failed + 1))
      echo "FAILED $input"
      explain "$1"
    fi
  done
}

replay() {
  local target inputs fresh
  passed=0 failed=0
  for target in "${targets[@]}"; do
    prepare "$target"
    inputs=$(find "$corpus" -type f | wc -l)
    if [ "$inputs" = 0 ]; then
      echo "FAILED $target: there are no inputs"
      failed=$((failed + 1))
    elif "$programs/$target" "${options[@]}" -runs=1 "$corpus"/* \
      >"$log" 2>&1; then
      passed=$((passed + inputs))
    else
      replay_one "$target"
    fi
    fresh=$(mktemp -d) # where new inputs go
    if "$programs/$target" "${options[@]}" -seed=1 -runs=$((inputs + FRESH)) \
      "$fresh" "$corpus" >"$log" 2>&1; then
      passed=$((passed + 1))
    else
      failed=$((failed + 1))
      echo "FAILED $target, in new inputs"
      explain "$target"
    fi
    rm -r "$fresh"
    printf '%-10s %4d inputs\n' "$target" "$inputs"
  done
  echo "$passed passed, $failed failed"
  [ $failed = 0 ]
}

# Inputs with names (seeds, regressions) stay; of the others those that
# together reach what all do, the smallest first.
merge() {
  local target merged
  for target in "${targets[@]}"; do
    prepare "$target"
    merged=$(mktemp -d)
    find "$corpus" -type f -name '*-*' -exec cp {} "$merged" \;
    "$programs/$target" "${options[@]}" -max_len=1024 -set_cover_merge=1 \
      "$merged" "$corpus" "$found" >"$log" 2>&1
    find "$merged" -type f -not -name '*-*' -printf '%s %p\n' | sort -n |
      tail -n +$((MOST + 1)) | cut -d ' ' -f 2- | xargs -r rm
    rm -r "$corpus"
    mv "$merged" "$corpus"
    chmod 755 "$corpus"
    chmod 644 "$corpus"/*
    echo "$target: $(find "$corpus" -type f | wc -l) inputs"
  done
}

case $command in
fuzz) fuzz ;;
fuzz-merge) merge ;;
*) replay ;;
esac
