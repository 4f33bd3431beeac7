#pragma once

/*
 * What is said of an option that there is not, by the module and by those of
 * stores, each of which is a shared object of its own.
 */

#include "compat.h"

/* Pushes "unknown option '<name>'". A message ends at its first zero, so those
   of the name, which is on the stack, are written as \0. */
static inline void seer_unknown_push(lua_State *L, const char *name,
                                     size_t length) {
  luaL_Buffer text;
  luaL_buffinit(L, &text);
  luaL_addstring(&text, "unknown option '");
  for (size_t i = 0; i < length; i++)
    if (name[i] == '\0')
      luaL_addstring(&text, "\\0");
    else
      luaL_addchar(&text, name[i]);
  luaL_addchar(&text, '\'');
  luaL_pushresult(&text);
}
