#include "default.h"

#include "client.h"
#include "compat.h"
#include "core/base/tell.h"
#include "make.h"
#include "merge.h"
#include "methods.h"
#include "result.h"
#include "send.h"
#pragma GCC visibility push(hidden)

/* The registry's: nil at first, then configure's table, then the client; once
   that is closed, configure's table again. */
#define DEFAULT "seerstack.default"

static void fail(lua_State *L, const seer_settings *settings) {
  static bool told;
  if (settings->log_level >= SEER_WARN &&
      !__atomic_test_and_set(&told, __ATOMIC_RELAXED))
    seer_tell(SEER_WARN, "nothing is sent: %s", lua_tostring(L, -1));
  seer_result_fail(L, "ValidationError");
}

/* Leaves the arguments at the indices from 1 on and pushes the default
   client, at the index that seer_send wants; or pushes nil, message, err and
   returns false. */
static bool get(lua_State *L) {
  seer_client_options options;
  lua_settop(L, SEER_SEND_SELF - 1);
  lua_getfield(L, LUA_REGISTRYINDEX, DEFAULT);
  if (luaL_testudata(L, SEER_SEND_SELF, SEER_CLIENT) != NULL)
    return true;
  seer_options_client(L, SEER_SEND_SELF, "configure", &options);
  if (!seer_make(L, &options)) {
    fail(L, &options.settings);
    return false;
  }
  lua_replace(L, SEER_SEND_SELF);
  lua_settop(L, SEER_SEND_SELF);
  lua_pushvalue(L, SEER_SEND_SELF);
  lua_setfield(L, LUA_REGISTRYINDEX, DEFAULT);
  return true;
}

/* The function of a kind, which is its upvalue. */
static int send(lua_State *L) {
  seer_kind kind = (seer_kind)lua_tointeger(L, lua_upvalueindex(1));
  if (!get(L))
    return 3;
  return seer_send(L, lua_touserdata(L, SEER_SEND_SELF), SEER_SEND_SELF, kind);
}

static int call_method(lua_State *L) {
  const luaL_Reg *method = lua_touserdata(L, lua_upvalueindex(1));
  return get(L) ? method->func(L) : 3;
}

static int get_default(lua_State *L) {
  return get(L) ? 1 : 3;
}

/* table[name] = the value on the top. */
static void set_raw(lua_State *L, int table, const char *name) {
  lua_pushstring(L, name);
  lua_insert(L, -2);
  lua_rawset(L, table);
}

/* Has table[name] be what was read from there, if anything was. */
static void keep_text(lua_State *L, int table, const char *name,
                      int64_t given) {
  if (given == 0)
    return;
  lua_pushvalue(L, (int)given);
  set_raw(L, table, name);
}

/* Keeps a copy of the options, with all that is within: what was checked
   stays so. A file is kept as its text, for it may be gone at the first
   use. A client that is closed gives way to the next. */
static int configure(lua_State *L) {
  seer_client_options options;
  const seer_client *client;
  lua_settop(L, 1);
  lua_getfield(L, LUA_REGISTRYINDEX, DEFAULT);
  client = luaL_testudata(L, -1, SEER_CLIENT);
  if (client != NULL && !client->closed)
    return luaL_error(L, "configure: the default client exists already");
  seer_options_plain(L, 1, "configure");
  if (!seer_merge_copy(L, 1))
    seer_options_misuse(L, 1, "configure");
  lua_replace(L, 1);
  seer_options_client(L, 1, "configure", &options);
  keep_text(L, 1, "ca_blob", options.ca_file);
  lua_pushnil(L);
  set_raw(L, 1, "ca_file");
  keep_text(L, 1, "client_cert", options.client_cert);
  keep_text(L, 1, "client_key", options.client_key);
  lua_pushvalue(L, 1);
  lua_setfield(L, LUA_REGISTRYINDEX, DEFAULT);
  return 0;
}

void seer_default_open(lua_State *L) {
  static const luaL_Reg functions[] = {
      {"configure", configure  },
      {"default",   get_default},
      {NULL,        NULL       }
  };
  luaL_setfuncs(L, functions, 0);
  seer_methods_add(L, seer_methods_shared, call_method);
  for (int kind = 0; kind < SEER_ROWS; kind++) {
    lua_pushinteger(L, kind);
    lua_pushcclosure(L, send, 1);
    lua_setfield(L, -2, seer_kinds[kind].function);
  }
}
