#include "future.h"

#include "callbacks.h"
#include "compat.h"
#include "core/base/clock.h"
#include "holder.h"
#include "options.h"
#include "result.h"
#pragma GCC visibility push(hidden)

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
  return seer_options_self(L, METATABLE, "future", "get");
}

static bool is_settled(const seer_client *client, seer_request *request,
                       int64_t deadline) {
  return request != NULL && seer_sender_wait(client->queue, request, deadline);
}

static bool is_done(const future *f) {
  return f->request == NULL || is_settled(f->client, f->request, 0);
}

static void leave(const seer_client *client, seer_request **held) {
  seer_request *request = *held;
  *held = NULL;
  if (request != NULL)
    seer_sender_leave(client->queue, request);
}

static int future_done(lua_State *L) {
  lua_pushboolean(L, is_done(check(L)));
  return 1;
}

static int fail_closed(lua_State *L) {
  lua_pushliteral(L, "closed before there was an answer");
  return seer_result_fail(L, "ClosedError");
}

/* Pushes a part of the user value of the future at `index`. */
static void push_part(lua_State *L, int index, int part) {
  lua_getuservalue(L, index);
  lua_rawgeti(L, -1, part);
  lua_remove(L, -2);
}

/* With the future at the index 2. */
static int push_result(lua_State *L, const seer_client *client,
                       seer_request *request, int64_t timeout) {
  int64_t deadline =
      timeout < 0 ? SEER_NEVER : seer_clock_after(seer_clock_now(), timeout);
  bool settled = is_settled(client, request, deadline);
  push_part(L, 2, CLIENT);
  seer_callbacks_run(L, lua_gettop(L));
  if (!settled)
    return request == NULL || client->party == NULL
               ? fail_closed(L)
               : seer_result_late(L, timeout, "there is no answer yet");
  push_part(L, 2, PATH);
  request->asked = true;
  return seer_result_push(L, &request->outcome, lua_tostring(L, -1));
}

/* Callbacks and finalizers may give the future up in the middle of the call,
   but do not know the holder, which has the request, too. */
static int future_get(lua_State *L) {
  const future *f = check(L);
  seer_holder *holder;
  int64_t timeout;
  int results;
  lua_settop(L, 2);
  lua_insert(L, 1); /* timeout, future */
  timeout = seer_options_timeout(L, 1, "get", -1);
  holder = seer_holder_push(L, 1);
  if (f->request != NULL)
    seer_sender_refer(f->request);
  holder->request = f->request;
  results = push_result(L, f->client, holder->request, timeout);
  leave(f->client, &holder->request);
  return results;
}

static int future_tostring(lua_State *L) {
  bool done = is_done(check(L));
  lua_pushfstring(L, METATABLE " (%s)", done ? "done" : "pending");
  return 1;
}

static int future_gc(lua_State *L) {
  future *f = check(L);
  leave(f->client, &f->request);
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
  seer_newmetatable(L, METATABLE, metamethods);
  luaL_newlib(L, methods);
  lua_setfield(L, -2, "__index");
  lua_pop(L, 1);
}
