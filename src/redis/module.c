#include "compat.h"
#include "config.h"
#include "driver.h"
#include "inspect.h"

#include <string.h>
#pragma GCC visibility push(hidden)

/* The only symbol that is seen from outside. */
__attribute__((visibility("default"))) int
luaopen_seerstack_redis(lua_State *L);

/* open { url = ... } -> the store; nothing is opened yet */
static int open_store(lua_State *L) {
  seer_config config;
  seer_store_object *object;
  seer_config_read(L, &config, "open");
  object = lua_newuserdata(L, sizeof *object + sizeof config);
  object->abi = SEER_STORE_ABI;
  object->config_size = sizeof config;
  object->driver = &seer_driver;
  memcpy(object->config, &config, sizeof config);
  luaL_newmetatable(L, SEER_STORE_METATABLE);
  lua_setmetatable(L, -2);
  return 1;
}

int luaopen_seerstack_redis(lua_State *L) {
  static const luaL_Reg functions[] = {
      {"open",   open_store         },
      {"totals", seer_inspect_totals},
      {"rows",   seer_inspect_rows  },
      {"purge",  seer_inspect_purge },
      {NULL,     NULL               }
  };
  luaL_newlib(L, functions);
  return 1;
}
