#include "config.h"
#include "driver.h"
#include "inspect.h"
#include "store_options.h"

#pragma GCC visibility push(hidden)

/* The only symbol that is seen from outside. */
__attribute__((visibility("default"))) int
luaopen_seerstack_redis(lua_State *L);

/* open { url = ... } -> the store; nothing is opened yet */
static int open_store(lua_State *L) {
  seer_config config;
  seer_config_read(L, &config, "open");
  seer_store_options_push(L, &seer_driver, &config, sizeof config);
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
