/* A Lua module that does nothing but to load and to initialise libcurl: what
   any binding to it costs at least. */

#include <curl/curl.h>
#include <lua.h>

__attribute__((visibility("default"))) int
luaopen_seer_bench_curl(lua_State *L);

int luaopen_seer_bench_curl(lua_State *L) {
  lua_pushboolean(L, curl_global_init(CURL_GLOBAL_DEFAULT) == CURLE_OK);
  return 1;
}
