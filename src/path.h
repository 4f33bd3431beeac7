#pragma once

/*
 * The message about a value that cannot be sent: where it is, and what is
 * wrong with it. "data.items[3].callback: a function cannot be sent"
 */

#include <lua.h>

/* Pushes "path: problem". The path begins with `field`, unless that is
   NULL, and goes on with the keys at the stack indices `first`, `first` + 2
   and so on up to the top. When it is long its middle is left out.
   [-0, +1] */
void seer_path_message(lua_State *L, const char *field, int first,
                       const char *problem);
