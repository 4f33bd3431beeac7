#include "future.h"

#include "callbacks.h"
#include "compat.h"
#include "core/base/clock.h"
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

/* Pushes one without a request and without a user value. */
static future *push_empty(lua_State *L, seer_client *client) {
  future *f = lua_newuserdata(L, sizeof(*f));
  f->request = NULL;
  f->client = client;
  luaL_getmetatable(L, METATABLE);
  lua_setmetatable(L, -2);
  return f;
}

void seer_future_push(lua_State *L, int self, seer_request **request,
                      const char *path) {
  future *f = push_empty(L, lua_touserdata(L, self));
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

static bool is_settled(const future *f, int64_t deadline) {
  return f->request != NULL &&
         seer_sender_wait(f->client->queue, f->request, deadline);
}

/* Pushes one that has the request of the future at `index`, too. Callbacks
   and finalizers may give that one up in the middle of a call, but do not
   know this one. */
static future *push_twin(lua_State *L, int index) {
  const future *f = lua_touserdata(L, index);
  future *twin = push_empty(L, f->client);
  lua_getuservalue(L, index);
  lua_setuservalue(L, -2);
  if (f->request != NULL)
    seer_sender_refer(f->request);
  twin->request = f->request;
  return twin;
}

static void leave(future *f) {
  seer_request *request = f->request;
  f->request = NULL;
  if (request != NULL)
    seer_sender_leave(f->client->queue, request);
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

/* Pushes a part of the user value of the future at `index`. */
static void push_part(lua_State *L, int index, int part) {
  lua_getuservalue(L, index);
  lua_rawgeti(L, -1, part);
  lua_remove(L, -2);
}

/* With the future at the index `own`, which nobody else has. */
static int push_result(lua_State *L, int own, int64_t timeout) {
  const future *f = lua_touserdata(L, own);
  int64_t deadline =
      timeout < 0 ? SEER_NEVER : seer_clock_after(seer_clock_now(), timeout);
  bool settled = is_settled(f, deadline);
  push_part(L, own, CLIENT);
  seer_callbacks_run(L, lua_gettop(L));
  if (!settled)
    return f->request == NULL || f->client->queue == NULL
               ? fail_closed(L)
               : seer_result_late(L, timeout, "there is no answer yet");
  push_part(L, own, PATH);
  f->request->asked = true;
  return seer_result_push(L, &f->request->outcome, lua_tostring(L, -1));
}

static int future_get(lua_State *L) {
  int64_t timeout;
  int results;
  future *own;
  check(L);
  lua_settop(L, 2);
  lua_insert(L, 1); /* timeout, future */
  timeout = seer_options_timeout(L, 1, "get", -1);
  own = push_twin(L, 2);
  results = push_result(L, 3, timeout);
  leave(own);
  return results;
}

static int future_tostring(lua_State *L) {
  future *f = check(L);
  bool done = f->request == NULL || is_settled(f, 0);
  lua_pushfstring(L, METATABLE " (%s)", done ? "done" : "pending");
  return 1;
}

static int future_gc(lua_State *L) {
  leave(check(L));
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
