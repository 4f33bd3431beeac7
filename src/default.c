#include "default.h"

#include "client.h"
#include "compat.h"
#include "core/base/tell.h"
#include "merge.h"
#include "methods.h"
#include "options.h"
#include "result.h"
#include "send.h"
#include "values.h"

/* The registry's: nil at first, then configure's table, then the client. */
#define DEFAULT "seerstack.default"

static int fail(lua_State *L) {
  static bool told;
  seer_settings settings;
  seer_options_settings(L, SEER_SEND_SELF, "configure", &settings);
  if (settings.log_level >= SEER_WARN &&
      !__atomic_test_and_set(&told, __ATOMIC_RELAXED))
    seer_tell(SEER_WARN, "nothing is sent: %s", lua_tostring(L, -1));
  return seer_result_fail(L, "ValidationError");
}

/* Leaves the arguments at the indices from 1 on and pushes the default
   client, at the index that seer_send wants; or pushes nil, message, err and
   returns false. */
static bool get(lua_State *L) {
  lua_settop(L, SEER_SEND_SELF - 1);
  lua_getfield(L, LUA_REGISTRYINDEX, DEFAULT);
  if (seer_client_test(L, SEER_SEND_SELF) != NULL)
    return true;
  if (!seer_methods_push(L, SEER_SEND_SELF, "configure")) {
    fail(L);
    return false;
  }
  lua_replace(L, SEER_SEND_SELF);
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

static int flush(lua_State *L) {
  return get(L) ? seer_methods_flush(L, SEER_SEND_SELF) : 3;
}

static int close(lua_State *L) {
  return get(L) ? seer_methods_close(L, SEER_SEND_SELF) : 3;
}

static int poll(lua_State *L) {
  return get(L) ? seer_methods_poll(L, SEER_SEND_SELF) : 3;
}

static int pump(lua_State *L) {
  return get(L) ? seer_methods_pump(L, SEER_SEND_SELF) : 3;
}

static int stats(lua_State *L) {
  return get(L) ? seer_methods_stats(L, SEER_SEND_SELF) : 3;
}

static int get_default(lua_State *L) {
  return get(L) ? 1 : 3;
}

/* Pushes a copy of the options at index 1, with all that is within: what was
   checked stays so. A file may be gone at the first use. */
static void push_copy(lua_State *L) {
  if (!seer_merge_copy(L, 1))
    seer_options_misuse(L, 1, "configure");
  if (!seer_options_get(L, -1, "ca_file"))
    return;
  if (!seer_values_push_file(L, lua_tostring(L, -1)))
    seer_options_misuse(L, 1, "configure");
  lua_setfield(L, -3, "ca_blob"); /* copy, ca_file */
  lua_pushnil(L);
  lua_setfield(L, -3, "ca_file");
  lua_pop(L, 1);
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
      {"flush",     flush      },
      {"close",     close      },
      {"poll",      poll       },
      {"pump",      pump       },
      {"stats",     stats      },
      {"configure", configure  },
      {"default",   get_default},
      {NULL,        NULL       }
  };
  luaL_setfuncs(L, functions, 0);
  for (int kind = 0; kind <= SEER_POST; kind++) {
    lua_pushinteger(L, kind);
    lua_pushcclosure(L, send, 1);
    lua_setfield(L, -2,
                 kind == SEER_POST ? "post" : seer_kinds[kind].function);
  }
}
