#include "client.h"

#include "compat.h"
#include "core/clock.h"
#include "core/endpoint.h"
#include "core/http.h"
#include "core/sender.h"
#include "core/tell.h"
#include "encode.h"
#include "event.h"
#include "options.h"
#include "result.h"

#include <stdio.h>

#define METATABLE "seerstack.client"
#define WORK_METATABLE "seerstack.work"

struct seer_client {
  seer_queue *queue;       /* NULL until it is made and when it is given up */
  seer_endpoint *endpoint; /* the queue's reference to it */
  seer_settings settings;
  const seer_marks *marks;
  seer_buffer scratch; /* for the JSON of one event */
  bool building;       /* the scratch is in use */
  bool closed;
};

/* What a call owns while Lua may raise. */
typedef struct work {
  seer_request *request;
  seer_buffer scratch;
} work;

/*
** Results.
*/

static int fail_closed(lua_State *L) {
  lua_pushliteral(L, "client is closed");
  return seer_result_fail(L, "ClosedError");
}

static int fail_full(lua_State *L, const seer_settings *settings) {
  char message[120];
  snprintf(message, sizeof(message),
           "queue full: max_queue_events is %lld, max_queue_bytes %lld",
           (long long)settings->max_queue_events,
           (long long)settings->max_queue_bytes);
  lua_pushstring(L, message);
  return seer_result_fail(L, "QueueFullError");
}

static int fail_flush(lua_State *L, const seer_stats *stats, int64_t timeout) {
  char message[120];
  snprintf(message, sizeof(message),
           "timed out after %.14g s: %lld event%s not delivered yet",
           (double)timeout / 1000, (long long)stats->pending,
           stats->pending == 1 ? " is" : "s are");
  lua_pushstring(L, message);
  return seer_result_fail(L, "TimeoutError");
}

static int push_submitted(lua_State *L, const seer_client *client,
                          seer_submitted submitted) {
  switch (submitted) {
  case SEER_ACCEPTED:
    lua_pushboolean(L, 1);
    return 1;
  case SEER_QUEUE_FULL:
    return fail_full(L, &client->settings);
  case SEER_QUEUE_CLOSED:
    return fail_closed(L);
  default:
    lua_pushliteral(L, "no thread could be started to send the request");
    return seer_result_fail(L, "APIConnectionError");
  }
}

/*
** Sending: the event is at index 1, the options of the request at index 2.
** Between the making of an event and its submission nothing may raise.
*/

static work *push_work(lua_State *L, const seer_client *client) {
  work *w = lua_newuserdata(L, sizeof(*w));
  w->request = NULL;
  seer_buffer_init(&w->scratch, (size_t)client->settings.max_event_bytes);
  luaL_getmetatable(L, WORK_METATABLE);
  lua_setmetatable(L, -2);
  return w;
}

static void release_work(work *w) {
  seer_request *request = w->request;
  w->request = NULL;
  if (request != NULL)
    seer_request_release(request);
  seer_buffer_clear(&w->scratch);
}

static int work_gc(lua_State *L) {
  release_work(luaL_checkudata(L, 1, WORK_METATABLE));
  return 0;
}

/* While an event is built, the collector may run a finalizer that captures
   another with the same client: that one gets a scratch of its own. */
static seer_event *build(lua_State *L, seer_client *client, seer_kind kind) {
  seer_event *event;
  if (client->building)
    return seer_event_build(L, 1, kind, client->marks,
                            &push_work(L, client)->scratch);
  client->building = true;
  event = seer_event_build(L, 1, kind, client->marks, &client->scratch);
  client->building = false;
  return event;
}

/* Such a finalizer may also have closed the client. */
static seer_submitted submit(seer_client *client, seer_event *event) {
  return client->closed ? SEER_QUEUE_CLOSED
                        : seer_sender_submit(client->queue, event);
}

static int send_queued(lua_State *L, seer_client *client, seer_kind kind) {
  seer_submitted submitted;
  seer_event *event = build(L, client, kind);
  if (event == NULL)
    return seer_result_fail(L, "ValidationError");
  submitted = submit(client, event);
  if (submitted != SEER_ACCEPTED)
    seer_event_free(event);
  return push_submitted(L, client, submitted);
}

static seer_submitted submit_request(seer_client *client, seer_event *event,
                                     seer_request *request) {
  seer_submitted submitted;
  event->request = request;
  request->references = 2;
  submitted = submit(client, event);
  if (submitted != SEER_ACCEPTED) {
    event->request = NULL;
    request->references = 1;
    seer_event_free(event);
  }
  return submitted;
}

static int send_waited(lua_State *L, seer_client *client, seer_kind kind,
                       const seer_request_options *options) {
  seer_submitted submitted;
  seer_event *event;
  int results;
  work *w = push_work(L, client);
  w->request = seer_request_new(options->timeout, options->max_retries);
  if (w->request == NULL)
    return luaL_error(L, "not enough memory");
  event = build(L, client, kind);
  if (event == NULL)
    return seer_result_fail(L, "ValidationError");
  submitted = submit_request(client, event, w->request);
  if (submitted != SEER_ACCEPTED)
    return push_submitted(L, client, submitted);
  seer_sender_wait(client->queue, w->request);
  results = seer_result_push(L, &w->request->outcome, kind);
  release_work(w);
  return results;
}

int seer_client_send(lua_State *L, seer_client *client, seer_kind kind) {
  const char *function = kind == SEER_CAPTURE ? "capture" : "identify";
  seer_request_options options;
  options.wait = client->settings.wait;
  options.timeout = client->settings.timeout;
  options.max_retries = client->settings.max_retries;
  lua_settop(L, 2);
  seer_options_table(L, 1, function);
  seer_options_request(L, 2, function, &options);
  if (client->closed)
    return fail_closed(L);
  if (options.wait)
    return send_waited(L, client, kind, &options);
  return send_queued(L, client, kind);
}

/* The functions of `client.events` and `client.users`. Upvalues: the client
   and that table, which a call with a colon passes as the first argument. */
static int send(lua_State *L, seer_kind kind) {
  seer_client *client = lua_touserdata(L, lua_upvalueindex(1));
  if (lua_rawequal(L, 1, lua_upvalueindex(2)))
    lua_remove(L, 1);
  return seer_client_send(L, client, kind);
}

static int capture(lua_State *L) {
  return send(L, SEER_CAPTURE);
}

static int identify(lua_State *L) {
  return send(L, SEER_IDENTIFY);
}

/*
** Flush, close, stats.
*/

static int push_flushed(lua_State *L, seer_client *client, bool flushed,
                        int64_t timeout) {
  seer_stats stats;
  if (!flushed) {
    seer_sender_stats(client->queue, &stats);
    flushed = stats.pending == 0;
  }
  if (!flushed)
    return fail_flush(L, &stats, timeout);
  lua_pushboolean(L, 1);
  return 1;
}

int seer_client_flush(lua_State *L, seer_client *client) {
  int64_t timeout =
      seer_options_timeout(L, 1, "flush", client->settings.exit_timeout);
  if (client->queue == NULL)
    return fail_closed(L);
  return push_flushed(L, client, seer_sender_flush(client->queue, timeout),
                      timeout);
}

int seer_client_close(lua_State *L, seer_client *client) {
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
  return push_flushed(L, client, flushed, timeout);
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
  lua_createtable(L, 0, 9);
  set_count(L, "accepted", stats->accepted);
  set_count(L, "delivered", stats->delivered);
  set_count(L, "rejected", stats->rejected);
  set_count(L, "dropped", stats->dropped);
  set_count(L, "pending", stats->pending);
  set_drops(L, stats);
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

int seer_client_stats(lua_State *L, seer_client *client) {
  seer_stats stats;
  if (client->queue == NULL)
    return fail_closed(L);
  seer_sender_stats(client->queue, &stats);
  push_stats(L, &stats);
  return 1;
}

/*
** Methods.
*/

/* The client that a method is called on. Its first argument is at index 1
   afterwards, and the client, which must not be collected, at index 2. */
static seer_client *self(lua_State *L) {
  seer_client *client = luaL_checkudata(L, 1, METATABLE);
  lua_settop(L, 2);
  lua_insert(L, 1);
  return client;
}

static int client_flush(lua_State *L) {
  return seer_client_flush(L, self(L));
}

static int client_close(lua_State *L) {
  return seer_client_close(L, self(L));
}

static int client_stats(lua_State *L) {
  return seer_client_stats(L, self(L));
}

/* At the end of its scope. The second argument is an error, not a time. */
static int client_leave(lua_State *L) {
  lua_settop(L, 1);
  return client_close(L);
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
  lua_pushfstring(L, METATABLE " (%s)",
                  client->endpoint != NULL
                      ? seer_endpoint_url(client->endpoint)
                      : "closed");
  return 1;
}

static int client_gc(lua_State *L) {
  seer_client *client = luaL_checkudata(L, 1, METATABLE);
  seer_queue *queue = client->queue;
  client->queue = NULL;
  client->endpoint = NULL;
  client->closed = true;
  seer_buffer_clear(&client->scratch);
  if (queue != NULL)
    seer_sender_release(queue);
  return 0;
}

/*
** Making.
*/

/* Pushes a client that is closed and owns nothing. */
static seer_client *push_empty(lua_State *L, const seer_settings *settings) {
  seer_client *client = lua_newuserdata(L, sizeof(*client));
  client->queue = NULL;
  client->endpoint = NULL;
  client->settings = *settings;
  client->marks = seer_encode_marks(L);
  seer_buffer_init(&client->scratch, (size_t)settings->max_event_bytes);
  client->building = false;
  client->closed = true;
  luaL_getmetatable(L, METATABLE);
  lua_setmetatable(L, -2);
  return client;
}

/* members[space] = { [name] = function }; the client is on the top, the
   table of its members below. */
static void add_space(lua_State *L, const char *space, const char *name,
                      lua_CFunction function) {
  lua_createtable(L, 0, 1); /* members, client, space */
  lua_pushvalue(L, -2);
  lua_pushvalue(L, -2);
  lua_pushcclosure(L, function, 2);
  lua_setfield(L, -2, name);
  lua_setfield(L, -3, space);
}

/* Gives the client on the top what can be reached by its name. */
static void add_members(lua_State *L) {
  static const luaL_Reg methods[] = {
      {"flush", client_flush},
      {"close", client_close},
      {"stats", client_stats},
      {NULL,    NULL        }
  };
  lua_createtable(L, 0, 5);
  luaL_setfuncs(L, methods, 0);
  lua_insert(L, -2); /* members, client */
  add_space(L, "events", "capture", capture);
  add_space(L, "users", "identify", identify);
  lua_insert(L, -2); /* client, members */
  lua_setuservalue(L, -2);
}

static bool open_queue(seer_client *client, const char *url, const char *key) {
  seer_endpoint *endpoint = seer_endpoint_get(url, key);
  if (endpoint == NULL)
    return false;
  client->queue = seer_sender_open(&client->settings, endpoint);
  if (client->queue == NULL) {
    seer_endpoint_release(endpoint);
    return false;
  }
  client->endpoint = endpoint;
  client->closed = false;
  return true;
}

/* Once per process. The URL has been checked, so it begins with "http:" or
   "https:", in whatever case. */
static void warn_of_plain_http(const char *url) {
  static bool told;
  bool plain = url[4] == ':' && !seer_http_is_loopback(url);
  if (plain && !__atomic_test_and_set(&told, __ATOMIC_RELAXED))
    seer_tell("base_url is plain http: everybody on the way can read the key");
}

bool seer_client_push(lua_State *L, int argument, const char *function) {
  seer_settings settings;
  seer_client *client;
  seer_options_settings(L, argument, function, &settings);
  if (!seer_options_endpoint(L, argument))
    return false;
  client = push_empty(L, &settings); /* url, key, client */
  add_members(L);
  if (!open_queue(client, lua_tostring(L, -3), lua_tostring(L, -2)))
    luaL_error(L, "not enough memory");
  warn_of_plain_http(lua_tostring(L, -3));
  lua_replace(L, -3);
  lua_pop(L, 1);
  return true;
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

static void new_metatable(lua_State *L, const char *name,
                          const luaL_Reg *functions) {
  luaL_newmetatable(L, name);
  luaL_setfuncs(L, functions, 0);
  lua_pushstring(L, name);
  lua_setfield(L, -2, "__name");
  lua_pop(L, 1);
}

void seer_client_open(lua_State *L) {
  static const luaL_Reg client[] = {
      {"__index",    client_index   },
      {"__tostring", client_tostring},
      {"__gc",       client_gc      },
      {"__close",    client_leave   },
      {NULL,         NULL           }
  };
  static const luaL_Reg of_work[] = {
      {"__gc", work_gc},
      {NULL,   NULL   }
  };
  new_metatable(L, METATABLE, client);
  new_metatable(L, WORK_METATABLE, of_work);
}
