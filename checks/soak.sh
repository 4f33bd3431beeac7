#!/bin/sh
# Sends EVENTS events (10^6) from four Lua states of one process to a
# stand-in that comes and goes, and looks at the process all the while. Ends
# with "N passed, N failed".
set -eu
cd "$(dirname "$0")/.."
unset LUA_INIT LUA_PATH
LUA_CPATH="build/5.4/?.so;;" SEER_LUA=$(command -v lua5.4)
export LUA_CPATH SEER_LUA
exec lua5.4 checks/soak.lua "${EVENTS:-1000000}"
