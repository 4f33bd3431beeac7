#pragma once

/*
 * One source for Lua 5.1 to 5.5 and LuaJIT: the names of Lua 5.3 for what
 * the older ones lack. This is the only file that looks at the version.
 *
 * LuaJIT has the version and the interface of 5.1. What it adds to that is
 * defined here all the same, for a module that was built for 5.1 may be
 * loaded into it. A user value is always a table: 5.1 takes nothing else.
 */

#include <lauxlib.h>
#include <lua.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

/* The type of LuaJIT's C data; no value has it elsewhere. */
#define SEER_TCDATA 10

#if LUA_VERSION_NUM < 502

#ifndef LUA_OK
#define LUA_OK 0
#endif

#define lua_rawlen(L, index) lua_objlen((L), (index))
#define lua_getuservalue(L, index) lua_getfenv((L), (index))
#define lua_setuservalue(L, index) ((void)lua_setfenv((L), (index)))
#define lua_absindex(L, index) seer_absindex((L), (index))
#define lua_rawgetp(L, index, key) seer_rawgetp((L), (index), (key))
#define lua_rawsetp(L, index, key) seer_rawsetp((L), (index), (key))
#undef luaL_setfuncs
#define luaL_setfuncs(L, list, none) ((void)(none), seer_setfuncs((L), (list)))
#undef luaL_testudata
#define luaL_testudata(L, index, name) seer_testudata((L), (index), (name))
#undef luaL_newlibtable
#define luaL_newlibtable(L, list)                                             \
  lua_createtable((L), 0, (int)(sizeof(list) / sizeof((list)[0]) - 1))
#undef luaL_newlib
#define luaL_newlib(L, list)                                                  \
  (luaL_newlibtable((L), (list)), luaL_setfuncs((L), (list), 0))

static inline int seer_absindex(lua_State *L, int index) {
  if (index > 0 || index <= LUA_REGISTRYINDEX)
    return index;
  return lua_gettop(L) + index + 1;
}

static inline void seer_rawgetp(lua_State *L, int index, const void *key) {
  index = seer_absindex(L, index);
  lua_pushlightuserdata(L, (void *)key);
  lua_rawget(L, index);
}

static inline void seer_rawsetp(lua_State *L, int index, const void *key) {
  index = seer_absindex(L, index);
  lua_pushlightuserdata(L, (void *)key);
  lua_insert(L, -2);
  lua_rawset(L, index);
}

static inline void seer_setfuncs(lua_State *L, const luaL_Reg *list) {
  for (; list->name != NULL; list++) {
    lua_pushcfunction(L, list->func);
    lua_setfield(L, -2, list->name);
  }
}

static inline void *seer_testudata(lua_State *L, int index, const char *name) {
  void *data = lua_touserdata(L, index);
  if (data == NULL || !lua_getmetatable(L, index))
    return NULL;
  luaL_getmetatable(L, name);
  if (!lua_rawequal(L, -1, -2))
    data = NULL;
  lua_pop(L, 2);
  return data;
}

#endif

#if LUA_VERSION_NUM < 503

/* Every number is a double. */
#define lua_isinteger(L, index) ((void)(L), (void)(index), 0)

#endif

/* An integer; a float where the state has no integers of 64 bits. */
static inline void seer_pushint64(lua_State *L, int64_t value) {
  if (sizeof(lua_Integer) >= sizeof(value))
    lua_pushinteger(L, (lua_Integer)value);
  else
    lua_pushnumber(L, (lua_Number)value);
}

/* Pushes table[name], by raw access to the table at `index`. */
static inline void seer_rawgetfield(lua_State *L, int index,
                                    const char *name) {
  index = lua_absindex(L, index);
  lua_pushstring(L, name);
  lua_rawget(L, index);
}

/* These set a field of the table on the top. */
static inline void seer_setstring(lua_State *L, const char *name,
                                  const char *value) {
  lua_pushstring(L, value);
  lua_setfield(L, -2, name);
}

static inline void seer_setint64(lua_State *L, const char *name,
                                 int64_t value) {
  seer_pushint64(L, value);
  lua_setfield(L, -2, name);
}

/* Pushes the metatable of this name, with its metamethods. */
static inline void seer_newmetatable(lua_State *L, const char *name,
                                     const luaL_Reg *metamethods) {
  luaL_newmetatable(L, name);
  luaL_setfuncs(L, metamethods, 0);
  seer_setstring(L, "__name", name);
}

/* The number at `index`, which must be one, if its value is integral and
   of 64 bits; false otherwise. */
static inline bool seer_toint64(lua_State *L, int index, int64_t *value) {
  lua_Number number;
  if (lua_isinteger(L, index)) {
    *value = lua_tointeger(L, index);
    return true;
  }
  number = lua_tonumber(L, index);
  if (!(number >= -0x1p63 && number < 0x1p63))
    return false;
  *value = (int64_t)number;
  return (lua_Number)*value == number;
}
