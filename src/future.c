#include "future.h"

#include "callbacks.h"
#include "compat.h"
#include "core/base/clock.h"
#include "options.h"
#include "result.h"

#include <stdio.h>

#define METATABLE "seerstack.future"

/* Its user value is a list of these two, for the collector and for errors. */
#define CLIENT 1
#define PATH 2

typedef struct future {
  seer_request *request; /* NULL once it is collected */
  seer_client *client;
} future;

void seer_future_push(lua_State *L, int self, seer_request **request,
                      const char *path) {
  future *f = lua_newuserdata(L, sizeof(*f));
  f->request = NULL;
  f->client = lua_touserdata(L, self);
  luaL_getmetatable(L, METATABLE);
  lua_setmetatable(L, -2);
  lua_createtable(L, 2, 0);
  lua_pushvalue(L, self);
  lua_rawseti(L, -2, CLIENT);
  lua_pushstring(L, path);
  lua_rawseti(L, -2, PATH);
  lua_setuservalue(L, -2);
  f->request = *request;
  f->request->future = true;
  *request = NULL;
}

static future *check(lua_State *L) {
  return luaL_checkudata(L, 1, METATABLE);
}

static bool is_settled(const future *f, int64_t deadline) {
  return f->request != NULL &&
         seer_sender_wait(f->client->queue, f->request, deadline);
}

static int future_done(lua_State *L) {
  future *f = check(L);
  lua_pushboolean(L, f->request == NULL || is_settled(f, 0));
  return 1;
}

static int fail_closed(lua_State *L) {
  lua_pushliteral(L, "closed before there was an answer");
  return seer_result_fail(L, "ClosedError");
}

static int fail_timeout(lua_State *L, int64_t timeout) {
  char message[80];
  snprintf(message, sizeof(message),
           "timed out after %.14g s: there is no answer yet",
           (double)timeout / 1000);
  lua_pushstring(L, message);
  return seer_result_fail(L, "TimeoutError");
}

/* Pushes a part of the user value of the future at index 2. */
static void push_part(lua_State *L, int part) {
  lua_getuservalue(L, 2);
  lua_rawgeti(L, -1, part);
  lua_remove(L, -2);
}

/* With the timeout at index 1 and the future at index 2. */
static int push_result(lua_State *L, future *f, int64_t timeout) {
  int64_t deadline =
      timeout < 0 ? SEER_NEVER : seer_clock_after(seer_clock_now(), timeout);
  bool settled = is_settled(f, deadline);
  push_part(L, CLIENT);
  seer_callbacks_run(L, lua_gettop(L));
  if (!settled)
    return f->request == NULL || f->client->queue == NULL
               ? fail_closed(L)
               : fail_timeout(L, timeout);
  push_part(L, PATH);
  f->request->asked = true;
  return seer_result_push(L, &f->request->outcome, lua_tostring(L, -1));
}

static int future_get(lua_State *L) {
  future *f = check(L);
  lua_settop(L, 2);
  lua_insert(L, 1); /* timeout, future */
  return push_result(L, f, seer_options_timeout(L, 1, "get", -1));
}

static int future_tostring(lua_State *L) {
  future *f = check(L);
  bool done = f->request == NULL || is_settled(f, 0);
  lua_pushfstring(L, METATABLE " (%s)", done ? "done" : "pending");
  return 1;
}

static int future_gc(lua_State *L) {
  future *f = check(L);
  seer_request *request = f->request;
  f->request = NULL;
  if (request != NULL)
    seer_sender_leave(f->client->queue, request);
  return 0;
}

void seer_future_open(lua_State *L) {
  static const luaL_Reg methods[] = {
      {"done", future_done},
      {"get",  future_get },
      {NULL,   NULL       }
  };
  static const luaL_Reg metamethods[] = {
      {"__tostring", future_tostring},
      {"__gc",       future_gc      },
      {NULL,         NULL           }
  };
  luaL_newmetatable(L, METATABLE);
  luaL_setfuncs(L, metamethods, 0);
  lua_pushliteral(L, METATABLE);
  lua_setfield(L, -2, "__name");
  luaL_newlib(L, methods);
  lua_setfield(L, -2, "__index");
  lua_pop(L, 1);
}
