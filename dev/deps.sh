#!/bin/bash
# shellcheck disable=SC2086
# Installs the Debian packages that are missing, for each Lua of LUAS: those of
# the module and `seerstack listen` (quickstart), with the stand-in (standin) or
# the compiler for Windows (windows), or else of all specs besides, and of the
# cases below that are named. Calls no package manager when all are there.
#   LUAS="5.4 luajit" dev/deps.sh [PURPOSE...]
set -eu

# Of names that a | separates the first will do that is installed, or else that
# the system offers. LuaJIT is the one that nginx's Lua module gets along with:
# from Debian 13 on it has the name that was another's before.
lua_packages() { # lua
  case "$1" in
  luajit) echo "luajit2|luajit libluajit2-5.1-dev|libluajit-5.1-dev" ;;
  5.1) echo "lua5.1 liblua5.1-0-dev" ;;
  *) echo "lua$1 liblua$1-dev" ;;
  esac
}

packages="gcc libc6-dev make pkg-config libcurl4-openssl-dev ca-certificates
  lua-cjson lua-socket"
case "$*" in quickstart | windows) ;; *)
  packages+=" nginx libnginx-mod-http-lua openssl"
  ;;
esac
case "$*" in quickstart | standin | windows) ;; *)
  packages+=" lua5.4 lua-sec lua-busted luarocks curl locales
    libsqlite3-dev sqlite3 libhiredis-dev libssl-dev redis-server redis-tools"
  ;;
esac
for purpose; do
  case $purpose in
  lint) packages+=" clang-format lua-check" ;;
  fuzz) packages+=" clang-14|clang libclang-rt-14-dev|libclang-rt-dev" ;;
  hosts)
    packages+=" love xvfb xauth haproxy lighttpd lighttpd-modules-lua apache2
      neovim minetest-server minetest wrk mpv prosody tarantool
      uwsgi-plugin-lua5.1 knot-resolver tshark weechat-headless weechat-lua"
    ;;
  instructions) packages+=" valgrind" ;;
  bench) packages+=" valgrind nghttp2-client wrk lua-curl" ;;
  analyze) packages+=" clang-tidy" ;;
  page) packages+=" chromium" ;;
  valgrind) packages+=" valgrind libc6-dbg" ;;
  chroots) packages+=" debootstrap" ;;
  windows)
    packages+=" gcc-mingw-w64-x86-64-posix libz-mingw-w64-dev wine64 dpkg-dev"
    ;;
  arm64) packages+=" qemu-user-static gcc-aarch64-linux-gnu" ;;
  s390x) packages+=" qemu-user-static gcc-s390x-linux-gnu" ;;
  musl) packages+=" musl-tools dpkg-dev" ;;
  esac
done

# shellcheck disable=SC2046
packages=$(printf '%s\n' $packages $(for lua in ${LUAS:-5.4}; do
  lua_packages "$lua"
done) | sort -u)
there=" $(dpkg-query -W -f '${db:Status-Status} ${Package}\n' \
  ${packages//|/ } 2>/dev/null | sed -n 's/^installed //p' | tr '\n' ' ')"

installed() { # package
  case "$there" in *" $1 "*) ;; *) return 1 ;; esac
}

offered() { # package
  apt-cache policy "$1" | grep -q '^  Candidate: [^(]'
}

first() { # condition, names; fails if none meets it
  local name
  for name in ${2//|/ }; do
    if "$1" "$name"; then
      echo "$name"
      return
    fi
  done
  return 1
}

missing=
for names in $packages; do
  first installed "$names" >/dev/null || missing+=" $names"
done
[ -n "$missing" ] || exit 0

if ! command -v apt-get >/dev/null; then
  echo "There is no apt-get here. Needed is what these packages of" \
    "Debian contain:" $missing >&2
  exit 0
fi

as_root=
[ "$(id -u)" = 0 ] || as_root=sudo
$as_root apt-get -qq update

wanted=
for names in $missing; do
  if name=$(first offered "$names"); then
    wanted+=" $name"
  else
    echo "This system has no package $names." >&2
  fi
done
[ -n "$wanted" ] || exit 0

# RUNLEVEL=1 keeps invoke-rc.d from starting nginx. Nothing is removed to make
# room: what is in the way is named instead.
echo "Installing:$wanted"
$as_root env DEBIAN_FRONTEND=noninteractive RUNLEVEL=1 \
  apt-get -qq install -y --no-install-recommends --no-remove $wanted >/dev/null
