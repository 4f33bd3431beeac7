#include "methods.h"

#include "callbacks.h"
#include "compat.h"
#include "core/endpoint.h"
#include "make.h"
#include "record.h"
#include "result.h"
#include "send.h"

#include <stdio.h>

/*
** Results.
*/

static int fail_flush(lua_State *L, const seer_stats *stats, int64_t timeout) {
  char message[120];
  snprintf(message, sizeof(message),
           "timed out after %.14g s: %lld event%s not delivered yet",
           (double)timeout / 1000, (long long)stats->pending,
           stats->pending == 1 ? " is" : "s are");
  lua_pushstring(L, message);
  return seer_result_fail(L, "TimeoutError");
}

/*
** Flush, close, poll, stats.
*/

static int push_flushed(lua_State *L, seer_client *client, bool flushed,
                        int64_t timeout) {
  seer_stats stats;
  if (!flushed && client->queue == NULL)
    return seer_result_closed(L); /* a callback has finalized the client */
  if (!flushed) {
    seer_sender_stats(client->queue, &stats);
    flushed = stats.pending == 0;
  }
  if (!flushed)
    return fail_flush(L, &stats, timeout);
  lua_pushboolean(L, 1);
  return 1;
}

int seer_methods_flush(lua_State *L, int self) {
  seer_client *client = lua_touserdata(L, self);
  int64_t timeout =
      seer_options_timeout(L, 1, "flush", client->settings.exit_timeout);
  bool flushed;
  if (client->queue == NULL)
    return seer_result_closed(L);
  flushed = seer_sender_flush(client->queue, timeout);
  seer_callbacks_run(L, self);
  return push_flushed(L, client, flushed, timeout);
}

int seer_methods_close(lua_State *L, int self) {
  seer_client *client = lua_touserdata(L, self);
  int64_t timeout =
      seer_options_timeout(L, 1, "close", client->settings.exit_timeout);
  bool flushed;
  if (client->closed) {
    lua_pushboolean(L, 1);
    return 1;
  }
  flushed = seer_sender_flush(client->queue, timeout);
  seer_sender_close(client->queue);
  client->closed = true;
  seer_callbacks_run(L, self);
  return push_flushed(L, client, flushed, timeout);
}

int seer_methods_poll(lua_State *L, int self) {
  lua_pushinteger(L, seer_callbacks_run(L, self));
  return 1;
}

int seer_methods_pump(lua_State *L, int self) {
  seer_client *client = lua_touserdata(L, self);
  int64_t timeout = seer_options_timeout(L, 1, "pump", 0), pending;
  if (client->queue == NULL)
    return seer_result_closed(L);
  pending = seer_sender_pump(client->queue, timeout);
  seer_callbacks_run(L, self);
  seer_pushint64(L, pending);
  return 1;
}

/* Sets a field of the table on the top. */
static void set_count(lua_State *L, const char *name, int64_t count) {
  seer_pushint64(L, count);
  lua_setfield(L, -2, name);
}

static void set_drops(lua_State *L, const seer_stats *stats) {
  lua_createtable(L, 0, SEER_DROPS);
  for (int i = 0; i < SEER_DROPS; i++)
    set_count(L, seer_drop_names[i], stats->dropped_by[i]);
  lua_setfield(L, -2, "dropped_by");
}

static void push_stats(lua_State *L, const seer_stats *stats) {
  lua_createtable(L, 0, 15);
  set_count(L, "accepted", stats->accepted);
  set_count(L, "delivered", stats->delivered);
  set_count(L, "rejected", stats->rejected);
  set_count(L, "dropped", stats->dropped);
  set_count(L, "pending", stats->pending);
  set_count(L, "stored", stats->stored);
  set_drops(L, stats);
  set_count(L, "refused", stats->refused);
  set_count(L, "invalid", stats->invalid);
  set_count(L, "doubtful", stats->doubtful);
  set_count(L, "missed", stats->missed);
  lua_pushstring(L, stats->sender);
  lua_setfield(L, -2, "sender");
  if (stats->last_error[0] != '\0') {
    lua_pushstring(L, stats->last_error);
    lua_setfield(L, -2, "last_error");
  }
  if (stats->rate > 0)
    set_count(L, "rate", stats->rate);
  if (stats->retry_in >= 0) { /* as a time of day, in seconds like os.time */
    lua_pushnumber(L, (double)(seer_clock_wall() + stats->retry_in) / 1000);
    lua_setfield(L, -2, "retry_at");
  }
}

static void push_store_stats(lua_State *L, const seer_store_stats *stats) {
  lua_createtable(L, 0, 16);
  lua_pushstring(L, stats->name);
  lua_setfield(L, -2, "name");
  lua_pushstring(L, stats->state);
  lua_setfield(L, -2, "state");
  if (stats->error[0] != '\0') {
    lua_pushstring(L, stats->error);
    lua_setfield(L, -2, "error");
  }
  if (stats->totals.events >= 0)
    set_count(L, "events", stats->totals.events);
  if (stats->totals.nobodys >= 0)
    set_count(L, "nobodys", stats->totals.nobodys);
  if (stats->totals.bytes >= 0)
    set_count(L, "bytes", stats->totals.bytes);
  if (stats->totals.log >= 0)
    set_count(L, "log_bytes", stats->totals.log);
  if (stats->totals.oldest >= 0)
    set_count(L, "oldest", stats->totals.oldest / 1000);
  set_count(L, "displaced", stats->displaced);
  set_count(L, "unsaved", stats->unsaved);
  set_count(L, "adopted", stats->adopted.accepted);
  set_count(L, "delivered", stats->adopted.delivered);
  set_count(L, "rejected", stats->adopted.rejected);
  set_count(L, "dropped", stats->adopted.dropped);
  set_count(L, "pending", stats->adopted.pending);
  set_count(L, "stored", stats->adopted.stored);
}

int seer_methods_stats(lua_State *L, int self) {
  seer_client *client = lua_touserdata(L, self);
  seer_stats stats;
  seer_store_stats store;
  bool has_store;
  if (client->queue == NULL)
    return seer_result_closed(L);
  seer_sender_stats(client->queue, &stats);
  has_store = seer_sender_store_stats(client->queue, &store);
  stats.missed += client->missed;
  push_stats(L, &stats); /* from here on a finalizer may close the client */
  if (has_store) {
    push_store_stats(L, &store);
    lua_setfield(L, -2, "store");
  }
  return 1;
}

/*
** Methods.
*/

/* Moves the client that a method is called on behind its arguments, where it
   stays while it works: arguments from index 1 on, the client at the one
   that seer_send wants. */
static void move_self(lua_State *L) {
  seer_options_self(L, SEER_CLIENT, "client", "flush");
  lua_settop(L, SEER_SEND_SELF);
  lua_pushvalue(L, 1);
  lua_remove(L, 1);
}

#define SELF SEER_SEND_SELF

static int client_flush(lua_State *L) {
  move_self(L);
  return seer_methods_flush(L, SELF);
}

static int client_close(lua_State *L) {
  move_self(L);
  return seer_methods_close(L, SELF);
}

static int fail_persist(lua_State *L, const seer_store_stats *stats,
                        int64_t timeout) {
  char message[320];
  snprintf(message, sizeof(message),
           "timed out after %.14g s: %lld event%s not in the store yet%s%s",
           (double)timeout / 1000, (long long)stats->unsaved,
           stats->unsaved == 1 ? " is" : "s are",
           *stats->error != '\0' ? ": " : "", stats->error);
  lua_pushstring(L, message);
  return seer_result_fail(L, "TimeoutError");
}

static int client_persist(lua_State *L) {
  seer_client *client;
  seer_store_stats stats;
  int64_t timeout;
  bool safe;
  move_self(L);
  client = lua_touserdata(L, SELF);
  timeout =
      seer_options_timeout(L, 1, "persist", client->settings.exit_timeout);
  if (client->queue == NULL)
    return seer_result_closed(L);
  if (!client->with.stored)
    return luaL_error(L, "persist: the client has no store");
  safe = seer_sender_persist(client->queue, timeout);
  seer_callbacks_run(L, SELF);
  if (!safe && client->queue != NULL &&
      seer_sender_store_stats(client->queue, &stats) && stats.unsaved > 0)
    return fail_persist(L, &stats, timeout);
  lua_pushboolean(L, 1);
  return 1;
}

static int client_poll(lua_State *L) {
  move_self(L);
  return seer_methods_poll(L, SELF);
}

static int client_pump(lua_State *L) {
  move_self(L);
  return seer_methods_pump(L, SELF);
}

static int client_stats(lua_State *L) {
  move_self(L);
  return seer_methods_stats(L, SELF);
}

static int client_post(lua_State *L) {
  move_self(L);
  return seer_send(L, lua_touserdata(L, SELF), SELF, SEER_POST);
}

static int client_captured(lua_State *L) {
  move_self(L);
  seer_record_take(L, SELF);
  return 1;
}

/* At the end of its scope. The second argument is an error, not a time. */
static int client_leave(lua_State *L) {
  lua_settop(L, 1);
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

static int client_index(lua_State *L) {
  luaL_checkudata(L, 1, SEER_CLIENT);
  lua_settop(L, 2);
  lua_getuservalue(L, 1);
  lua_insert(L, 2); /* client, members, key */
  lua_rawget(L, 2);
  return 1;
}

static int client_tostring(lua_State *L) {
  seer_client *client = luaL_checkudata(L, 1, SEER_CLIENT);
  seer_holder *holder = seer_holder_push(L, 1);
  bool open = seer_client_hold(client, holder);
  lua_pushfstring(L, SEER_CLIENT " (%s)",
                  open ? seer_endpoint_url(holder->endpoint) : "closed");
  seer_holder_release(holder);
  return 1;
}

static int client_gc(lua_State *L) {
  seer_client_end(luaL_checkudata(L, 1, SEER_CLIENT));
  return 0;
}

/*
** Members.
*/

/* members[space][method] = sender; the client is on the top, the table of its
   members below. A namespace lives as long as the client. */
static void add_kind(lua_State *L, seer_client *client, int kind) {
  const seer_kind_row *row = &seer_kinds[kind];
  lua_getfield(L, -2, row->space);
  if (lua_isnil(L, -1)) {
    lua_pop(L, 1);
    lua_createtable(L, 0, 1);
  }
  client->spaces[kind] = lua_topointer(L, -1);
  lua_pushvalue(L, -2); /* members, client, space, client */
  lua_pushcclosure(L, senders[kind], 1);
  lua_setfield(L, -2, row->method);
  lua_setfield(L, -3, row->space);
}

static void add_members(lua_State *L);

/* client:with_options(options) */
static int with_options(lua_State *L) {
  move_self(L);
  if (!seer_make_with(L, SELF))
    return seer_result_closed(L);
  add_members(L);
  return 1;
}

/* Gives the client on the top what can be reached by its name. */
static void add_members(lua_State *L) {
  static const luaL_Reg methods[] = {
      {"flush",        client_flush   },
      {"close",        client_close   },
      {"poll",         client_poll    },
      {"persist",      client_persist },
      {"pump",         client_pump    },
      {"stats",        client_stats   },
      {"post",         client_post    },
      {"captured",     client_captured},
      {"with_options", with_options   },
      {NULL,           NULL           }
  };
  seer_client *client = lua_touserdata(L, -1);
  lua_getuservalue(L, -1);
  luaL_setfuncs(L, methods, 0);
  lua_insert(L, -2); /* members, client */
  for (int kind = 0; kind < SEER_ROWS; kind++)
    add_kind(L, client, kind);
  lua_remove(L, -2);
}

bool seer_methods_push(lua_State *L, const seer_client_options *options) {
  if (!seer_make(L, options))
    return false;
  add_members(L);
  return true;
}

int seer_methods_new(lua_State *L) {
  seer_client_options options;
  lua_settop(L, 1);
  seer_options_client(L, 1, "new", &options);
  if (!seer_methods_push(L, &options))
    seer_options_misuse(L, 1, "new");
  return 1;
}

void seer_methods_open(lua_State *L) {
  static const luaL_Reg metamethods[] = {
      {"__index",    client_index   },
      {"__tostring", client_tostring},
      {"__gc",       client_gc      },
      {"__close",    client_leave   },
      {NULL,         NULL           }
  };
  luaL_newmetatable(L, SEER_CLIENT);
  luaL_setfuncs(L, metamethods, 0);
  lua_pushliteral(L, SEER_CLIENT);
  lua_setfield(L, -2, "__name");
  lua_pop(L, 1);
}
