#!/bin/sh
# Installs the Debian packages that building and testing need and that are
# missing; with the name of a case below, those of that target too. Calls no
# package manager when all are there.
set -eu

# Not `luajit`: it conflicts with the LuaJIT of nginx's Lua module.
packages="
  gcc libc6-dev make pkg-config
  lua5.1 lua5.2 lua5.3 lua5.4 luajit2
  liblua5.1-0-dev liblua5.2-dev liblua5.3-dev liblua5.4-dev libluajit2-5.1-dev
  libcurl4-openssl-dev ca-certificates
  lua-cjson lua-socket lua-sec lua-busted luarocks
  nginx-light libnginx-mod-http-lua openssl curl locales
"
case "${1:-}" in
lint) packages="$packages clang-format lua-check" ;;
fuzz) packages="$packages clang-14 libclang-rt-14-dev" ;;
hosts)
  packages="$packages love xvfb xauth haproxy lighttpd
    lighttpd-modules-lua apache2 neovim wrk"
  ;;
instructions) packages="$packages valgrind" ;;
bench) packages="$packages valgrind nghttp2-client wrk lua-curl" ;;
analyze) packages="$packages clang-tidy" ;;
valgrind) packages="$packages valgrind libc6-dbg" ;;
esac

if ! command -v apt-get >/dev/null; then
  echo "There is no apt-get here. Please install what these packages of" \
    "Debian 12 contain:$packages" >&2
  exit 1
fi

missing=
for package in $packages; do
  status=$(dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null) ||
    status=
  [ "$status" = installed ] || missing="$missing $package"
done
[ -n "$missing" ] || exit 0

echo "Installing:$missing"
as_root=
[ "$(id -u)" = 0 ] || as_root=sudo

# RUNLEVEL=1 keeps invoke-rc.d from starting nginx.
$as_root apt-get -qq update
# shellcheck disable=SC2086
$as_root env DEBIAN_FRONTEND=noninteractive RUNLEVEL=1 \
  apt-get -qq install -y --no-install-recommends $missing >/dev/null
