#include "holder.h"

#include "compat.h"
#include "core/endpoints.h"
#include "core/sender.h"

#include <stdlib.h>
#pragma GCC visibility push(hidden)

#define METATABLE "seerstack.holder"

seer_holder *seer_holder_push(lua_State *L, size_t ceiling) {
  seer_holder *holder = lua_newuserdata(L, sizeof(*holder));
  memset(holder, 0, sizeof(*holder));
  seer_buffer_init(&holder->scratch, ceiling);
  luaL_getmetatable(L, METATABLE);
  lua_setmetatable(L, -2);
  return holder;
}

void seer_holder_release(seer_holder *holder) {
  if (holder->request != NULL)
    seer_sender_leave(NULL, holder->request);
  if (holder->event != NULL)
    seer_request_free(holder->event->request);
  seer_event_free(holder->event);
  if (holder->endpoint != NULL)
    seer_endpoints_release(holder->endpoint, holder->site);
  free(holder->message);
  seer_buffer_clear(&holder->scratch);
  *holder = (seer_holder){.scratch = holder->scratch};
}

static int holder_gc(lua_State *L) {
  seer_holder_release(luaL_checkudata(L, 1, METATABLE));
  return 0;
}

void seer_holder_open(lua_State *L) {
  static const luaL_Reg metamethods[] = {
      {"__gc", holder_gc},
      {NULL,   NULL     }
  };
  seer_newmetatable(L, METATABLE, metamethods);
  lua_pop(L, 1);
}
