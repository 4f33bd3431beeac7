#!/bin/bash
# Prints those of the given Luas that can be tested here: which have an
# interpreter, headers, and the modules that the specs need. Says which have
# not, and fails if none has.
#   dev/luas.sh 5.1 5.4 luajit
set -u

lacks() { # lua
  local name=lua$1 package=lua$1
  [ "$1" != luajit ] || name=luajit package=luajit
  if ! command -v "$name" >/dev/null; then echo "interpreter"
  elif ! pkg-config --exists "$package"; then echo "headers"
  else
    for module in cjson socket ssl busted; do
      "$name" -e "require '$module'" >/dev/null 2>&1 || {
        echo "module $module"
        return
      }
    done
  fi
}

found=
for lua; do
  lack=$(lacks "$lua")
  if [ -z "$lack" ]; then found="$found $lua"
  else echo "Lua $lua is left out: there is no $lack for it." >&2; fi
done
# shellcheck disable=SC2086
[ -n "$found" ] && echo $found
