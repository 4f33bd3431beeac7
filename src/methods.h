#pragma once

/*
 * A client as Lua sees it: its functions by their names, and what makes one.
 */

#include "options.h"

#include <lauxlib.h>

/* Makes the metatable of clients. [-0, +0] */
void seer_methods_open(lua_State *L);

/* seerstack.new(options) */
int seer_methods_new(lua_State *L);

/* Methods of which the module has functions for the default client, too. They
   find the client at the index SEER_SEND_SELF, and their arguments from 1 on.
 */
extern const luaL_Reg seer_methods_shared[];

/* Adds functions to the table on the top: `call`, for each method with an
   upvalue that points to it, for `call` to call. [-0, +0] */
void seer_methods_add(lua_State *L, const luaL_Reg *methods,
                      lua_CFunction call);
