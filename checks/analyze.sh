#!/bin/bash
# Has gcc's analyzer and clang-tidy look at each source file, as for Lua 5.4,
# and ends with "N passed, N failed": one for each file and analyzer. Takes
# the flags of the compiler.
set -u
cd "$(dirname "$0")/.." || exit
results=$(mktemp -d)
trap 'rm -rf "$results"' EXIT

look() { # name, command
  local name=$1
  shift
  if "$@" >"$results/$name.output" 2>&1; then
    touch "$results/$name.passed"
  else
    echo "FAILED $name"
    cat "$results/$name.output"
  fi
}

# Its analyzer loses sight of what a returned struct points to, and takes that
# for leaked. Leaks are clang's part, and the sanitizers'.
gcc=(gcc -fanalyzer -Werror -Wno-analyzer-malloc-leak -O2 -c -o /dev/null)

files=(src/*.c src/core/*.c src/core/*/*.c src/sqlite/*.c src/redis/*.c)
for file in "${files[@]}"; do
  while [ "$(jobs -rp | wc -l)" -ge "$(nproc)" ]; do wait -n; done
  name=${file//\//.}
  {
    look "$name.gcc" "${gcc[@]}" "$@" "$file"
    look "$name.tidy" clang-tidy --quiet "$file" -- "$@"
  } &
done
wait

passed=$(find "$results" -name '*.passed' | wc -l)
failed=$((2 * ${#files[@]} - passed))
echo "$passed passed, $failed failed"
[ $failed = 0 ]
