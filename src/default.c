#include "default.h"

#include "client.h"
#include "compat.h"
#include "core/tell.h"
#include "options.h"
#include "result.h"

/* The registry's: nil at first, then configure's table, then the client. */
#define DEFAULT "seerstack.default"

static int fail(lua_State *L) {
  static bool told;
  if (!__atomic_test_and_set(&told, __ATOMIC_RELAXED))
    seer_tell("nothing is sent: %s", lua_tostring(L, -1));
  return seer_result_fail(L, "ValidationError");
}

/* The default client, which the registry keeps alive; or NULL, and nil,
   message, err on the stack. [-0, +(0|3)] */
static seer_client *get(lua_State *L) {
  seer_client *client;
  lua_getfield(L, LUA_REGISTRYINDEX, DEFAULT);
  client = seer_client_test(L, -1);
  if (client == NULL) {
    if (!seer_client_push(L, lua_gettop(L), "configure")) {
      fail(L);
      return NULL;
    }
    client = seer_client_test(L, -1);
    lua_setfield(L, LUA_REGISTRYINDEX, DEFAULT);
  }
  lua_pop(L, 1);
  return client;
}

static int capture(lua_State *L) {
  seer_client *client = get(L);
  return client ? seer_client_send(L, client, SEER_CAPTURE) : 3;
}

static int identify(lua_State *L) {
  seer_client *client = get(L);
  return client ? seer_client_send(L, client, SEER_IDENTIFY) : 3;
}

static int flush(lua_State *L) {
  seer_client *client = get(L);
  return client ? seer_client_flush(L, client) : 3;
}

static int close(lua_State *L) {
  seer_client *client = get(L);
  return client ? seer_client_close(L, client) : 3;
}

static int stats(lua_State *L) {
  seer_client *client = get(L);
  return client ? seer_client_stats(L, client) : 3;
}

static int get_default(lua_State *L) {
  if (get(L) == NULL)
    return 3;
  lua_getfield(L, LUA_REGISTRYINDEX, DEFAULT);
  return 1;
}

/* Copies the table at index 1 by raw access: what was checked stays. */
static void push_copy(lua_State *L) {
  lua_newtable(L);
  lua_pushnil(L);
  while (lua_next(L, 1)) { /* copy, key, value */
    lua_pushvalue(L, -2);
    lua_insert(L, -2); /* copy, key, key, value */
    lua_rawset(L, -4);
  }
}

static int configure(lua_State *L) {
  seer_settings settings;
  lua_settop(L, 1);
  lua_getfield(L, LUA_REGISTRYINDEX, DEFAULT);
  if (seer_client_test(L, -1) != NULL)
    return luaL_error(L, "configure: the default client exists already");
  seer_options_table(L, 1, "configure");
  seer_options_settings(L, 1, "configure", &settings);
  push_copy(L);
  lua_setfield(L, LUA_REGISTRYINDEX, DEFAULT);
  return 0;
}

void seer_default_open(lua_State *L) {
  static const luaL_Reg functions[] = {
      {"capture",   capture    },
      {"identify",  identify   },
      {"flush",     flush      },
      {"close",     close      },
      {"stats",     stats      },
      {"configure", configure  },
      {"default",   get_default},
      {NULL,        NULL       }
  };
  luaL_setfuncs(L, functions, 0);
}
