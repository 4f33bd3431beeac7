#include "methods.h"

#include "callbacks.h"
#include "compat.h"
#include "core/endpoint.h"
#include "make.h"
#include "record.h"
#include "result.h"
#include "send.h"
#pragma GCC visibility push(hidden)

#define SELF SEER_SEND_SELF

/* So many events are not where they should be by now, for this reason. */
static int fail_late(lua_State *L, int64_t timeout, int64_t events,
                     const char *where, const char *why) {
  lua_pushfstring(L, "%d event%s not %s yet%s%s", (int)events,
                  events == 1 ? " is" : "s are", where, *why ? ": " : "", why);
  return seer_result_late(L, timeout, lua_tostring(L, -1));
}

static int push_flushed(lua_State *L, seer_client *client, bool flushed,
                        int64_t timeout) {
  seer_stats stats;
  if (!flushed && client->party == NULL)
    return seer_result_closed(L); /* a callback has finalized the client */
  if (!flushed) {
    seer_sender_stats(client->party, &stats);
    flushed = stats.queue.pending == 0;
  }
  if (!flushed)
    return fail_late(L, timeout, stats.queue.pending, "delivered", "");
  lua_pushboolean(L, 1);
  return 1;
}

static bool flush(const seer_client *client, int64_t timeout) {
  return client->queue == NULL || seer_sender_flush(client->queue, timeout);
}

static int client_flush(lua_State *L) {
  seer_client *client = lua_touserdata(L, SELF);
  int64_t timeout =
      seer_options_timeout(L, 1, "flush", client->settings->exit_timeout);
  bool flushed;
  if (client->party == NULL)
    return seer_result_closed(L);
  flushed = flush(client, timeout);
  seer_callbacks_run(L, SELF);
  return push_flushed(L, client, flushed, timeout);
}

static int client_close(lua_State *L) {
  seer_client *client = lua_touserdata(L, SELF);
  int64_t timeout =
      seer_options_timeout(L, 1, "close", client->settings->exit_timeout);
  bool flushed;
  if (client->closed) {
    lua_pushboolean(L, 1);
    return 1;
  }
  flushed = flush(client, timeout);
  client->closed = true;
  seer_callbacks_run(L, SELF);
  return push_flushed(L, client, flushed, timeout);
}

static int client_poll(lua_State *L) {
  lua_pushinteger(L, seer_callbacks_run(L, SELF));
  return 1;
}

static int client_pump(lua_State *L) {
  seer_client *client = lua_touserdata(L, SELF);
  int64_t timeout = seer_options_timeout(L, 1, "pump", 0), pending;
  if (client->party == NULL)
    return seer_result_closed(L);
  pending = seer_sender_pump(client->party, timeout);
  seer_callbacks_run(L, SELF);
  seer_pushint64(L, pending);
  return 1;
}

/* Sets those counts in the table on the top that a store has, too. */
static void set_counts(lua_State *L, const seer_queue *queue) {
  int64_t dropped = 0;
  for (int i = 0; i < SEER_DROPS; i++)
    seer_setint64(L, seer_settlement_names[i], queue->settled[i]);
  for (int i = SEER_DROPS; i < SEER_SETTLEMENTS; i++)
    dropped += queue->settled[i];
  seer_setint64(L, "dropped", dropped);
  seer_setint64(L, "pending", queue->pending);
}

static void push_stats(lua_State *L, const seer_stats *stats, int64_t missed) {
  const seer_queue *queue = &stats->queue;
  lua_createtable(L, 0, 15);
  seer_setint64(L, "accepted", queue->accepted);
  set_counts(L, queue);
  lua_createtable(L, 0, SEER_SETTLEMENTS - SEER_DROPS);
  for (int i = SEER_DROPS; i < SEER_SETTLEMENTS; i++)
    seer_setint64(L, seer_settlement_names[i], queue->settled[i]);
  lua_setfield(L, -2, "dropped_by");
  seer_setint64(L, "refused", queue->refused);
  seer_setint64(L, "invalid", queue->invalid);
  seer_setint64(L, "doubtful", queue->doubtful);
  seer_setint64(L, "missed", queue->notices.missed + missed);
  seer_setstring(L, "sender", stats->sender);
  if (queue->last_error[0] != '\0')
    seer_setstring(L, "last_error", queue->last_error);
  if (stats->rate > 0)
    seer_setint64(L, "rate", stats->rate);
  if (stats->retry_in >= 0) { /* as a time of day, in seconds like os.time */
    lua_pushnumber(L, (double)(seer_clock_wall() + stats->retry_in) / 1000);
    lua_setfield(L, -2, "retry_at");
  }
}

/* Sets a field of the table on the top, if the number is known. */
static void set_known(lua_State *L, const char *name, int64_t number) {
  if (number >= 0)
    seer_setint64(L, name, number);
}

static void push_store_stats(lua_State *L, const seer_store_stats *stats) {
  lua_createtable(L, 0, 16);
  seer_setstring(L, "name", stats->name);
  seer_setstring(L, "state", stats->state);
  if (stats->error[0] != '\0')
    seer_setstring(L, "error", stats->error);
  set_known(L, "events", stats->totals.events);
  set_known(L, "nobodys", stats->totals.nobodys);
  set_known(L, "bytes", stats->totals.bytes);
  set_known(L, "log_bytes", stats->totals.log);
  if (stats->totals.oldest >= 0)
    seer_setint64(L, "oldest", stats->totals.oldest / 1000);
  seer_setint64(L, "displaced", stats->displaced);
  seer_setint64(L, "unsaved", stats->unsaved);
  seer_setint64(L, "adopted", stats->adopted.accepted);
  set_counts(L, &stats->adopted);
}

/* Of a client that sends nothing, of which the store is never opened. */
static void set_closed(lua_State *L, seer_store_stats *stats) {
  const seer_store_object *store;
  seer_client_get(L, SELF, SEER_KEPT_STORE);
  store = lua_touserdata(L, -1); /* which the client keeps */
  lua_pop(L, 1);
  memset(stats, 0, sizeof *stats);
  stats->name = store->abi == SEER_STORE_ABI ? store->driver->name : "unknown";
  stats->state = "closed";
  stats->totals = (seer_store_totals){-1, -1, -1, -1, -1};
}

static int client_stats(lua_State *L) {
  seer_client *client = lua_touserdata(L, SELF);
  seer_stats stats;
  seer_store_stats store;
  bool has_store = client->settings->has_store;
  if (client->party == NULL)
    return seer_result_closed(L);
  seer_sender_stats(client->party, &stats);
  if (client->with.stored)
    seer_sender_store_stats(client->queue, &store);
  else if (has_store)
    set_closed(L, &store);
  /* From here on a finalizer may close the client. */
  push_stats(L, &stats, client->missed);
  if (has_store) {
    push_store_stats(L, &store);
    lua_setfield(L, -2, "store");
  }
  return 1;
}

static int client_persist(lua_State *L) {
  seer_client *client = lua_touserdata(L, SELF);
  seer_store_stats stats;
  int64_t timeout =
      seer_options_timeout(L, 1, "persist", client->settings->exit_timeout);
  bool safe;
  if (client->party == NULL)
    return seer_result_closed(L);
  if (!client->settings->has_store)
    return luaL_error(L, "persist: the client has no store");
  safe = !client->with.stored || /* nothing is sent */
         seer_sender_persist(client->queue, timeout);
  seer_callbacks_run(L, SELF);
  if (!safe && client->queue != NULL) {
    seer_sender_store_stats(client->queue, &stats);
    if (stats.unsaved > 0)
      return fail_late(L, timeout, stats.unsaved, "in the store", stats.error);
  }
  lua_pushboolean(L, 1);
  return 1;
}

static int client_post(lua_State *L) {
  return seer_send(L, lua_touserdata(L, SELF), SELF, SEER_POST);
}

static int client_captured(lua_State *L) {
  seer_record_take(L, SELF);
  return 1;
}

/*
** Methods: with the client at the index SELF, and arguments from 1 on.
*/

const luaL_Reg seer_methods_shared[] = {
    {"flush", client_flush},
    {"close", client_close},
    {"poll",  client_poll },
    {"pump",  client_pump },
    {"stats", client_stats},
    {"post",  client_post },
    {NULL,    NULL        }
};

/* Moves the client that a method is called on from index 1 to SELF. */
static void move_self(lua_State *L) {
  seer_options_self(L, SEER_CLIENT, "client", "flush");
  lua_settop(L, SELF);
  lua_pushvalue(L, 1);
  lua_remove(L, 1);
}

static int call_method(lua_State *L) {
  const luaL_Reg *method = lua_touserdata(L, lua_upvalueindex(1));
  move_self(L);
  return method->func(L);
}

void seer_methods_add(lua_State *L, const luaL_Reg *methods,
                      lua_CFunction call) {
  for (; methods->name != NULL; methods++) {
    lua_pushlightuserdata(L, (void *)methods);
    lua_pushcclosure(L, call, 1);
    lua_setfield(L, -2, methods->name);
  }
}

/* At the end of its scope. The second argument is an error, not a time. */
static int client_leave(lua_State *L) {
  lua_settop(L, 1);
  move_self(L);
  return client_close(L);
}

/* The functions of the kinds, in their namespaces, with the client as
   upvalue. A call with a colon passes the namespace as the first
   argument. */
static int send(lua_State *L, seer_kind kind) {
  seer_client *client = lua_touserdata(L, lua_upvalueindex(1));
  if (lua_topointer(L, 1) == client->spaces[kind])
    lua_remove(L, 1);
  return seer_send(L, client, lua_upvalueindex(1), kind);
}

/* A function for each: an upvalue with the kind would be slower. */
#define KIND(kind, ...)                                                       \
  static int send_##kind(lua_State *L) {                                      \
    return send(L, SEER_##kind);                                              \
  }
SEER_KINDS(KIND)
#undef KIND

#define KIND(kind, ...) send_##kind,
static const lua_CFunction senders[] = {SEER_KINDS(KIND)};
#undef KIND

/* For the client at 1, pushes members[key] of the key at 2. */
static bool push_member(lua_State *L) {
  lua_pushvalue(L, 2);
  lua_rawget(L, -2);
  return !lua_isnil(L, -1);
}

/* Makes the namespace that is named at 2 for the client at 1, whose members
   have it from then on; a finalizer may be faster. */
static void make_space(lua_State *L) {
  seer_client *client = lua_touserdata(L, 1);
  bool of_it[SEER_ROWS];
  lua_createtable(L, 0, 1);
  for (int kind = 0; kind < SEER_ROWS; kind++) {
    of_it[kind] = strcmp(seer_kinds[kind].space, lua_tostring(L, 2)) == 0;
    if (!of_it[kind])
      continue;
    lua_pushvalue(L, 1);
    lua_pushcclosure(L, senders[kind], 1);
    lua_setfield(L, -2, seer_kinds[kind].method);
  }
  seer_client_members(L, 1);
  if (push_member(L))
    return;
  lua_pushvalue(L, 2);
  lua_pushvalue(L, -4); /* space, members, nil, name */
  lua_rawset(L, -4);
  for (int kind = 0; kind < SEER_ROWS; kind++)
    if (of_it[kind])
      client->spaces[kind] = lua_topointer(L, -3);
  lua_settop(L, -3);
}

/* The upvalue has the methods by their names, and true by a namespace's. */
static int client_index(lua_State *L) {
  const seer_client *client = luaL_checkudata(L, 1, SEER_CLIENT);
  lua_settop(L, 2);
  if (client->has_members) {
    lua_getuservalue(L, 1);
    if (push_member(L))
      return 1;
    lua_settop(L, 2);
  }
  lua_pushvalue(L, 2);
  lua_rawget(L, lua_upvalueindex(1));
  if (lua_isboolean(L, -1))
    make_space(L);
  return 1;
}

static int client_tostring(lua_State *L) {
  seer_client *client = luaL_checkudata(L, 1, SEER_CLIENT);
  seer_holder *holder = seer_holder_push(L, 1);
  bool open = seer_client_hold(client, holder);
  lua_pushfstring(L, SEER_CLIENT " (%s)",
                  open ? holder->endpoint->base_url : "closed");
  seer_holder_release(holder);
  return 1;
}

static int client_gc(lua_State *L) {
  seer_client_end(luaL_checkudata(L, 1, SEER_CLIENT));
  return 0;
}

static int with_options(lua_State *L) {
  return seer_make_with(L, SELF) ? 1 : seer_result_closed(L);
}

int seer_methods_new(lua_State *L) {
  seer_client_options options;
  lua_settop(L, 1);
  seer_options_client(L, 1, "new", &options);
  if (!seer_make(L, &options))
    seer_options_misuse(L, 1, "new");
  return 1;
}

/* Pushes what all clients of the state have by its name. */
static void push_methods(lua_State *L) {
  static const luaL_Reg others[] = {
      {"persist",      client_persist },
      {"captured",     client_captured},
      {"with_options", with_options   },
      {NULL,           NULL           }
  };
  lua_newtable(L);
  seer_methods_add(L, seer_methods_shared, call_method);
  seer_methods_add(L, others, call_method);
  for (int kind = 0; kind < SEER_ROWS; kind++) {
    lua_pushboolean(L, 1);
    lua_setfield(L, -2, seer_kinds[kind].space);
  }
}

void seer_methods_open(lua_State *L) {
  static const luaL_Reg metamethods[] = {
      {"__tostring", client_tostring},
      {"__gc",       client_gc      },
      {"__close",    client_leave   },
      {NULL,         NULL           }
  };
  seer_newmetatable(L, SEER_CLIENT, metamethods);
  push_methods(L);
  lua_pushcclosure(L, client_index, 1);
  lua_setfield(L, -2, "__index");
  lua_pop(L, 1);
}
