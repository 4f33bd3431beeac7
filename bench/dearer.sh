#!/bin/bash
# Shows that `make bench-instructions` notices: makes `capture` 5 % dearer in
# a copy of the tree, for the small event and then for the big one, and fails
# unless the check fails each time. Run by hand.
set -eu
cd "$(dirname "$0")/.."
copy=build/dearer

# A turn of this loop is six instructions on x86-64.
dearer() { # size
  local figure turns
  figure=$(awk -v size="$1" \
    '/\| 5.4/ && $(NF - 2) == size { print $(NF - 1); exit }' \
    bench/instructions.txt)
  turns=$((figure / 20 / 6 + 1))
  rm -rf "$copy"
  mkdir -p "$copy"
  cp -r Makefile src dev checks bench spec "$copy"
  sed -i "/^static int send(lua_State \*L, seer_kind kind) {/a\\
  for (volatile int turn = 0; turn < $turns; turn++)\\
    ;" "$copy/src/methods.c"
  if cmp -s src/methods.c "$copy/src/methods.c"; then
    echo "src/methods.c has no function 'send' to make dearer" >&2
    exit 1
  fi
}

for size in small big; do
  dearer $size
  echo "== 5 % dearer for the $size event"
  if make --no-print-directory -C "$copy" bench-instructions; then
    echo "The check has not noticed." >&2
    exit 1
  fi
done
rm -rf "$copy"
echo "The check has noticed both."
