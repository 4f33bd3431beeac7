#include "fuzz.h"

#include <unistd.h>

#define COLLECT_EVERY 512 /* calls */

int luaopen_seerstack(lua_State *L);

static const char *const variables[] = {
    "SEERSTACK_API_KEY", "SEERSTACK_BASE_URL", "SEERSTACK_LOG", "http_proxy",
    "https_proxy",       "HTTPS_PROXY",        "all_proxy",     "ALL_PROXY",
    "no_proxy",          "NO_PROXY",           "SSL_CERT_FILE", NULL};

static lua_State *new_state(void) {
  lua_State *L = luaL_newstate();
  for (const char *const *name = variables; *name != NULL; name++)
    unsetenv(*name);
  luaL_openlibs(L);
  lua_getglobal(L, "require");
  lua_pushliteral(L, "cjson");
  fuzz_call(L, 1, 1);
  lua_setglobal(L, "cjson");
  lua_pushcfunction(L, luaopen_seerstack);
  fuzz_call(L, 0, 1);
  lua_setglobal(L, "seerstack");
  return L;
}

lua_State *fuzz_state(void) {
  static lua_State *L;
  static int calls;
  if (L == NULL)
    L = new_state();
  lua_settop(L, 0);
  if (++calls % COLLECT_EVERY == 0)
    lua_gc(L, LUA_GCCOLLECT, 0);
  luaL_checkstack(L, 1000, "no room for values");
  return L;
}

void fuzz_call(lua_State *L, int arguments, int results) {
  if (lua_pcall(L, arguments, results, 0) != LUA_OK)
    fuzz_fail("%s", lua_tostring(L, -1));
}

void fuzz_push_script(lua_State *L, const char *path) {
  lua_getfield(L, LUA_REGISTRYINDEX, path);
  if (!lua_isnil(L, -1))
    return;
  lua_pop(L, 1);
  if (luaL_loadfile(L, path) != LUA_OK)
    fuzz_fail("%s", lua_tostring(L, -1));
  fuzz_call(L, 0, 1);
  lua_pushvalue(L, -1);
  lua_setfield(L, LUA_REGISTRYINDEX, path);
}
