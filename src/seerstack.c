#include "compat.h"
#include "core/base/version.h"
#include "core/process.h"
#include "default.h"
#include "future.h"
#include "holder.h"
#include "marks.h"
#include "methods.h"
#include "raw.h"
#include "result.h"
#pragma GCC visibility push(hidden)

/* The only symbol that is seen from outside. A process may come here any
   number of times: with many states, or when a state loads it anew. */
__attribute__((visibility("default"))) int luaopen_seerstack(lua_State *L);

int luaopen_seerstack(lua_State *L) {
  static const luaL_Reg functions[] = {
      {"new",   seer_methods_new},
      {"array", seer_marks_array},
      {"raw",   seer_raw_new    },
      {NULL,    NULL            }
  };
  if (!seer_process_init())
    return luaL_error(L, "seerstack: libcurl cannot be started");
  seer_result_open(L); /* loads lua-cjson, whose marks marks.c looks for */
  seer_marks_open(L);
  seer_raw_open(L);
  seer_holder_open(L);
  seer_future_open(L);
  seer_methods_open(L);
  luaL_newlib(L, functions);
  seer_default_open(L);
  lua_pushlightuserdata(L, NULL);
  lua_setfield(L, -2, "null");
  seer_setstring(L, "_VERSION", SEER_VERSION);
  return 1;
}
