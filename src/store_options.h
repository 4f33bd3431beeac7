#pragma once

/*
 * How the modules of stores read their options, a table at index 1 of the
 * function's stack, and make what `new` takes as a store. Each of them is a
 * shared object of its own, so this is compiled into each.
 */

#include "compat.h"
#include "core/store.h"
#include "unknown.h"

#include <string.h>

/* Raises the message on the top of the stack. */
static inline void seer_store_options_misuse(lua_State *L,
                                             const char *function) {
  luaL_error(L, "bad argument #1 to '%s' (%s)", function, lua_tostring(L, -1));
}

/* Raises what is wrong with an option, of which the value is on the top. */
static inline void seer_store_options_refuse(lua_State *L,
                                             const char *function,
                                             const char *name,
                                             const char *expected) {
  lua_pushfstring(L, "option '%s': %s expected, got %s", name, expected,
                  luaL_typename(L, -1));
  seer_store_options_misuse(L, function);
}

/* Pushes an option; false if it is not given. */
static inline bool seer_store_options_get(lua_State *L, const char *name) {
  seer_rawgetfield(L, 1, name);
  return !lua_isnil(L, -1);
}

/* Pushes an option; the result is "" if it is no string, or has a zero. */
static inline const char *
seer_store_options_text(lua_State *L, const char *name, size_t *length) {
  const char *text = "";
  *length = 0;
  if (seer_store_options_get(L, name) && lua_type(L, -1) == LUA_TSTRING)
    text = lua_tolstring(L, -1, length);
  if (strlen(text) == *length)
    return text;
  *length = 0;
  return "";
}

/* Raises what is no table, or has another name than these, up to a NULL. */
static inline void seer_store_options_check(lua_State *L, const char *function,
                                            const char *const *names) {
  luaL_checktype(L, 1, LUA_TTABLE);
  for (lua_pushnil(L); lua_next(L, 1) != 0; lua_pop(L, 1)) {
    bool is_text = lua_type(L, -2) == LUA_TSTRING;
    const char *name = is_text ? lua_tostring(L, -2) : luaL_typename(L, -2);
    size_t length = is_text ? lua_rawlen(L, -2) : strlen(name);
    int i = 0;
    while (names[i] != NULL && strcmp(names[i], name) != 0)
      i++;
    if (names[i] == NULL || strlen(name) != length) {
      seer_unknown_push(L, name, length);
      seer_store_options_misuse(L, function);
    }
  }
}

/* Pushes the store of this driver, with a copy of its configuration. */
static inline void seer_store_options_push(lua_State *L,
                                           const seer_store_driver *driver,
                                           const void *config, size_t size) {
  seer_store_object *object = lua_newuserdata(L, sizeof *object + size);
  object->abi = SEER_STORE_ABI;
  object->config_size = (uint32_t)size;
  object->driver = driver;
  memcpy(object->config, config, size);
  luaL_newmetatable(L, SEER_STORE_METATABLE);
  lua_setmetatable(L, -2);
}
