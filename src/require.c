#include "require.h"

#include "compat.h"

/* Pushes the list of searchers, which has another name in Lua 5.1. */
static void push_searchers(lua_State *L, int loaded) {
  lua_getfield(L, loaded, "package");
  luaL_checktype(L, -1, LUA_TTABLE);
  lua_getfield(L, -1, "searchers");
  if (lua_isnil(L, -1)) {
    lua_pop(L, 1);
    lua_getfield(L, -1, "loaders");
  }
  luaL_checktype(L, -1, LUA_TTABLE);
}

/* Leaves a loader and its second argument on the top. */
static void search(lua_State *L, int searchers, const char *name) {
  lua_pushliteral(L, ""); /* where it is not */
  for (int i = 1;; i++) {
    lua_rawgeti(L, searchers, i);
    if (lua_isnil(L, -1))
      luaL_error(L, "module '%s' not found:%s", name, lua_tostring(L, -2));
    lua_pushstring(L, name);
    lua_call(L, 1, 2);
    if (lua_isfunction(L, -2))
      return;
    lua_pop(L, 1);
    if (!lua_isstring(L, -1)) {
      lua_pop(L, 1);
      lua_pushliteral(L, "");
    }
    lua_concat(L, 2);
  }
}

/* Pushes what the module's loader returns, and keeps it as loaded. */
static void load(lua_State *L, int loaded, const char *name) {
  push_searchers(L, loaded);
  search(L, lua_gettop(L), name);
  lua_pushstring(L, name);
  lua_insert(L, -2);
  lua_call(L, 2, 1);
  if (!lua_isnil(L, -1))
    lua_setfield(L, loaded, name);
  lua_getfield(L, loaded, name);
}

void seer_require(lua_State *L, const char *name) {
  int loaded = lua_gettop(L) + 1;
  luaL_checkstack(L, LUA_MINSTACK, "too many calls");
  lua_getfield(L, LUA_REGISTRYINDEX, "_LOADED");
  luaL_checktype(L, loaded, LUA_TTABLE);
  lua_getfield(L, loaded, name);
  if (!lua_toboolean(L, -1))
    load(L, loaded, name);
  lua_replace(L, loaded);
  lua_settop(L, loaded);
}
