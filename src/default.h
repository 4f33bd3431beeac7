#pragma once

/*
 * The default client of a Lua state, and the module's functions that use
 * it. It is made on first use, from what `configure` was given and from the
 * environment. When the environment lacks what it needs, the functions
 * return nil, message, err: a program must not fail for its analytics. They
 * try anew at each call; the trouble is told once per process.
 */

#include <lua.h>

/* Adds capture, identify, flush, close, stats, configure and default to the
   table on the top. [-0, +0] */
void seer_default_open(lua_State *L);
