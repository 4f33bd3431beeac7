#include "client.h"

#include "callbacks.h"
#include "compat.h"
#include "core/base/clock.h"
#include "core/base/version.h"
#include "core/endpoint.h"
#include "core/http/url.h"
#include "core/report.h"
#include "options.h"
#include "record.h"
#include "result.h"
#include "send.h"
#include "setup.h"

#include <stdio.h>

#define METATABLE "seerstack.client"

/*
** What Lua keeps for a client: in the table of its members, by addresses.
*/

static const char kept_keys[SEER_KEPT];

void seer_client_get(lua_State *L, int self, seer_kept what) {
  lua_getuservalue(L, self);
  lua_rawgetp(L, -1, &kept_keys[what]);
  lua_remove(L, -2);
}

void seer_client_keep(lua_State *L, int self, seer_kept what) {
  lua_getuservalue(L, self);
  lua_insert(L, -2);
  lua_rawsetp(L, -2, &kept_keys[what]);
  lua_pop(L, 1);
}

bool seer_client_hold(const seer_client *client, seer_holder *holder) {
  if (client->endpoint == NULL)
    return false;
  holder->endpoint = client->endpoint;
  holder->site = client->site;
  seer_endpoint_refer(holder->endpoint, holder->site);
  return true;
}

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

int seer_client_flush(lua_State *L, int self) {
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

int seer_client_close(lua_State *L, int self) {
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

int seer_client_poll(lua_State *L, int self) {
  lua_pushinteger(L, seer_callbacks_run(L, self));
  return 1;
}

int seer_client_pump(lua_State *L, int self) {
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
  lua_createtable(L, 0, 11);
  set_count(L, "accepted", stats->accepted);
  set_count(L, "delivered", stats->delivered);
  set_count(L, "rejected", stats->rejected);
  set_count(L, "dropped", stats->dropped);
  set_count(L, "pending", stats->pending);
  set_drops(L, stats);
  set_count(L, "refused", stats->refused);
  set_count(L, "missed", stats->missed);
  lua_pushstring(L, stats->sender);
  lua_setfield(L, -2, "sender");
  if (stats->last_error[0] != '\0') {
    lua_pushstring(L, stats->last_error);
    lua_setfield(L, -2, "last_error");
  }
  if (stats->retry_in >= 0) { /* as a time of day, in seconds like os.time */
    lua_pushnumber(L, (double)(seer_clock_wall() + stats->retry_in) / 1000);
    lua_setfield(L, -2, "retry_at");
  }
}

int seer_client_stats(lua_State *L, int self) {
  seer_client *client = lua_touserdata(L, self);
  seer_stats stats;
  if (client->queue == NULL)
    return seer_result_closed(L);
  seer_sender_stats(client->queue, &stats);
  push_stats(L, &stats);
  return 1;
}

/*
** Methods.
*/

/* Moves the client that a method is called on behind its arguments, where it
   stays while it works: arguments from index 1 on, the client at the one
   that seer_send wants. */
static void move_self(lua_State *L) {
  luaL_checkudata(L, 1, METATABLE);
  lua_settop(L, SEER_SEND_SELF);
  lua_pushvalue(L, 1);
  lua_remove(L, 1);
}

#define SELF SEER_SEND_SELF

static int client_flush(lua_State *L) {
  move_self(L);
  return seer_client_flush(L, SELF);
}

static int client_close(lua_State *L) {
  move_self(L);
  return seer_client_close(L, SELF);
}

static int client_poll(lua_State *L) {
  move_self(L);
  return seer_client_poll(L, SELF);
}

static int client_pump(lua_State *L) {
  move_self(L);
  return seer_client_pump(L, SELF);
}

static int client_stats(lua_State *L) {
  move_self(L);
  return seer_client_stats(L, SELF);
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

/* The functions of `client.events` and `client.users`, with the client as
   upvalue. A call with a colon passes that table as the first argument. */
static int send(lua_State *L, seer_kind kind) {
  seer_client *client = lua_touserdata(L, lua_upvalueindex(1));
  if (lua_topointer(L, 1) == client->spaces[kind])
    lua_remove(L, 1);
  return seer_send(L, client, lua_upvalueindex(1), kind);
}

static int capture(lua_State *L) {
  return send(L, SEER_CAPTURE);
}

static int identify(lua_State *L) {
  return send(L, SEER_IDENTIFY);
}

static int client_index(lua_State *L) {
  luaL_checkudata(L, 1, METATABLE);
  lua_settop(L, 2);
  lua_getuservalue(L, 1);
  lua_insert(L, 2); /* client, members, key */
  lua_rawget(L, 2);
  return 1;
}

static int client_tostring(lua_State *L) {
  seer_client *client = luaL_checkudata(L, 1, METATABLE);
  seer_holder *holder = seer_holder_push(L, 1);
  bool open = seer_client_hold(client, holder);
  lua_pushfstring(L, METATABLE " (%s)",
                  open ? seer_endpoint_url(holder->endpoint) : "closed");
  seer_holder_release(holder);
  return 1;
}

static int client_gc(lua_State *L) {
  seer_client *client = luaL_checkudata(L, 1, METATABLE);
  seer_queue *queue = client->queue;
  client->queue = NULL;
  client->endpoint = NULL;
  client->site = NULL;
  client->closed = true;
  seer_buffer_clear(&client->scratch);
  if (queue != NULL)
    seer_sender_release(queue);
  return 0;
}

/*
** Making: the options at an index, and for with_options the client that has
** the others.
*/

/* Pushes a client that is closed and owns nothing. */
static seer_client *push_empty(lua_State *L, const seer_settings *settings) {
  seer_client *client = lua_newuserdata(L, sizeof(*client));
  memset(client, 0, sizeof(*client));
  client->settings = *settings;
  client->marks = seer_encode_marks(L);
  seer_buffer_init(&client->scratch, (size_t)settings->max_event_bytes);
  client->closed = true;
  luaL_getmetatable(L, METATABLE);
  lua_setmetatable(L, -2);
  return client;
}

/* members[space] = { [name] = function }; the client is on the top, the
   table of its members below. Returns the identity of that table, which
   lives as long as the client. */
static const void *add_space(lua_State *L, const char *space, const char *name,
                             lua_CFunction function) {
  const void *identity;
  lua_createtable(L, 0, 1); /* members, client, space */
  identity = lua_topointer(L, -1);
  lua_pushvalue(L, -2);
  lua_pushcclosure(L, function, 1);
  lua_setfield(L, -2, name);
  lua_setfield(L, -3, space);
  return identity;
}

static int with_options(lua_State *L);

/* Gives the client on the top what can be reached by its name. */
static void add_members(lua_State *L) {
  static const luaL_Reg methods[] = {
      {"flush",        client_flush   },
      {"close",        client_close   },
      {"poll",         client_poll    },
      {"pump",         client_pump    },
      {"stats",        client_stats   },
      {"post",         client_post    },
      {"captured",     client_captured},
      {"with_options", with_options   },
      {NULL,           NULL           }
  };
  seer_client *client = lua_touserdata(L, -1);
  lua_createtable(L, 0, 10);
  luaL_setfuncs(L, methods, 0);
  lua_insert(L, -2); /* members, client */
  client->spaces[SEER_CAPTURE] = add_space(L, "events", "capture", capture);
  client->spaces[SEER_IDENTIFY] = add_space(L, "users", "identify", identify);
  lua_insert(L, -2); /* client, members */
  lua_setuservalue(L, -2);
}

static bool open_queue(seer_client *client, const seer_site_options *options) {
  seer_endpoint *endpoint = seer_endpoint_get(options, &client->site);
  if (endpoint == NULL)
    return false;
  client->queue = seer_sender_open(&client->settings, endpoint, client->site);
  if (client->queue == NULL) {
    seer_endpoint_release(endpoint, client->site);
    client->site = NULL;
    return false;
  }
  client->endpoint = endpoint;
  client->closed = false;
  return true;
}

static bool needs_key(const seer_settings *settings) {
  return settings->enabled && !settings->test_mode;
}

/* Once per process. The URL has been checked, so it begins with "http:" or
   "https:", in whatever case. */
static void warn_of_plain_http(const seer_client *client) {
  static bool told;
  const char *url = seer_endpoint_url(client->endpoint);
  bool plain = url[4] == ':' && !seer_url_is_loopback(url);
  if (plain && needs_key(&client->settings) &&
      client->settings.log_level >= SEER_WARN &&
      !__atomic_test_and_set(&told, __ATOMIC_RELAXED))
    seer_report_say(client->queue, SEER_WARN,
                    "base_url is plain http: everybody on the way can read "
                    "the key",
                    0, 0);
}

static void tell_made(lua_State *L, const seer_client *client) {
  if (client->settings.log_level < SEER_INFO)
    return;
  lua_pushfstring(L, "version %s, sending to %s", SEER_VERSION,
                  seer_endpoint_url(client->endpoint));
  seer_report_say(client->queue, SEER_INFO, lua_tostring(L, -1), 0, 0);
  lua_pop(L, 1);
}

/* Pushes a client with these settings, and with what else the options at the
   index `options` say, or else the client at `from` (0: none) has. */
static void make(lua_State *L, const seer_settings *settings, int options,
                 int from, seer_site_options *site) {
  int top = lua_gettop(L);
  seer_client *client;
  luaL_checkstack(L, 20, "too many options");
  seer_setup_site(L, options, settings, site);
  client = push_empty(L, settings);
  add_members(L);
  seer_setup_kept(L, lua_gettop(L), options, from);
  if (!open_queue(client, site))
    luaL_error(L, "not enough memory");
  warn_of_plain_http(client);
  tell_made(L, client);
  lua_replace(L, top + 1);
  lua_settop(L, top + 1);
}

bool seer_client_push(lua_State *L, int argument, const char *function) {
  seer_settings settings;
  seer_site_options site = {.inherited = false};
  seer_options_settings(L, argument, function, &settings);
  if (!seer_options_endpoint(L, argument, needs_key(&settings)))
    return false;
  site.base_url = lua_tostring(L, -2);
  site.api_key = lua_tostring(L, -1);
  make(L, &settings, argument, 0, &site); /* url, key, client */
  lua_replace(L, -3);
  lua_pop(L, 1);
  return true;
}

/* client:with_options(options) */
static int with_options(lua_State *L) {
  const seer_client *client;
  seer_settings settings;
  seer_site_options site;
  seer_holder *holder;
  move_self(L);
  client = lua_touserdata(L, SELF);
  if (client->site == NULL)
    return seer_result_closed(L);
  seer_options_table(L, 1, "with_options");
  settings = client->settings;
  seer_options_overrides(L, 1, "with_options", &settings);
  holder = seer_holder_push(L, 1);
  if (!seer_client_hold(client, holder))
    return seer_result_closed(L);
  seer_site_get_options(holder->site, &site);
  if (needs_key(&settings) && *site.api_key == '\0')
    return luaL_error(L, "bad argument #1 to 'with_options' (the client has "
                         "no key)");
  make(L, &settings, 1, SELF, &site);
  seer_holder_release(holder);
  return 1;
}

seer_client *seer_client_test(lua_State *L, int index) {
  return luaL_testudata(L, index, METATABLE);
}

int seer_client_new(lua_State *L) {
  lua_settop(L, 1);
  if (!seer_client_push(L, 1, "new"))
    seer_options_misuse(L, 1, "new");
  return 1;
}

void seer_client_open(lua_State *L) {
  static const luaL_Reg metamethods[] = {
      {"__index",    client_index   },
      {"__tostring", client_tostring},
      {"__gc",       client_gc      },
      {"__close",    client_leave   },
      {NULL,         NULL           }
  };
  luaL_newmetatable(L, METATABLE);
  luaL_setfuncs(L, metamethods, 0);
  lua_pushliteral(L, METATABLE);
  lua_setfield(L, -2, "__name");
  lua_pop(L, 1);
}
