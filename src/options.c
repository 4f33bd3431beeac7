#include "options.h"

#include "compat.h"
#include "core/base/ascii.h"
#include "core/base/tell.h"
#include "core/process.h"
#include "merge.h"
#include "raw.h"
#include "unknown.h"
#include "values.h"

#include <stdlib.h>
#pragma GCC visibility push(hidden)

#define DEFAULT_URL "https://api.seerstack.com"
#define NGINX_EXIT_TIMEOUT 4000 /* ms; its master does not wait for ever */

#define STORE_EXIT_TIMEOUT 1000 /* ms; what is left is in the store */

#define LONG 2147483 /* s; their milliseconds fit in 31 bits */
#define DAY 86400

typedef struct row {
  const char *name;
  seer_value kind;
  double least, most; /* in the unit of the option, as is the default */
  double fallback;
  size_t offset; /* of the int64_t that takes it, or its index */
} row;

/* Two lines with one name are one option that sets two fields. */
#define AT(field) offsetof(seer_client_options, settings.field)
#define ON(field) offsetof(seer_client_options, field)
#define KEPT(what) ON(kept[SEER_KEPT_##what])
#define LAID(kind) ON(kept[SEER_KEPT_DEFAULTS + SEER_##kind])
static const row client_options[] = {
    {"api_key",              KEY,   0, 0,      0,      ON(api_key)         },
    {"base_url",             URL,   0, 0,      0,      ON(base_url)        },
    {"timeout",              TIME,  0, LONG,   60,     AT(timeout)         },
    {"connect_timeout",      TIME,  0, LONG,   10,     AT(connect_timeout) },
    {"max_connection_age",   TIME,  0, LONG,   600,    AT(connection_age)  },
    {"max_retries",          COUNT, 0, 1000,   2,      AT(max_retries)     },
    {"initial_retry_delay",  TIME,  0, LONG,   0.5,    AT(initial_delay)   },
    {"max_retry_delay",      TIME,  0, LONG,   8,      AT(max_waited_delay)},
    {"max_retry_delay",      TIME,  0, LONG,   60,     AT(max_queued_delay)},
    {"exit_timeout",         GRACE, 0, LONG,   10,     AT(exit_timeout)    },
    {"exit_connect_timeout", TIME,  0, LONG,   2,      AT(exit_connecting) },
    {"rate_limit",           RATE,  1, 1e9,    1000,   AT(rate_limit)      },
    {"share_rate_limit",     FLAG,  0, 1,      -1,     AT(share_rate)      },
    {"max_in_flight",        COUNT, 1, 1000,   16,     AT(max_in_flight)   },
    {"max_queue_events",     COUNT, 1, 1e7,    10000,  AT(max_queue_events)},
    {"max_queue_bytes",      COUNT, 1, 0x1p40, 0x1p24, AT(max_queue_bytes) },
    {"overflow",             FULL,  0, 1,      0,      AT(drop_oldest)     },
    {"max_event_bytes",      COUNT, 1, 0x1p30, 0x1p20, AT(max_event_bytes) },
    {"max_age",              TIME,  0, LONG,   DAY,    AT(max_age)         },
    {"sample",               PART,  0, 1,      0,      KEPT(SAMPLE)        },
    {"wait",                 FLAG,  0, 1,      0,      AT(wait)            },
    {"headers",              HEAD,  0, 0,      0,      ON(headers)         },
    {"query",                QUERY, 0, 0,      0,      ON(query)           },
    {"default_data",         TABLE, 0, 0,      0,      LAID(CAPTURE)       },
    {"default_attributes",   TABLE, 0, 0,      0,      LAID(IDENTIFY)      },
    {"before_send",          CALL,  0, 0,      0,      KEPT(BEFORE_SEND)   },
    {"on_error",             CALL,  0, 1,      0,      KEPT(ON_ERROR)      },
    {"on_delivered",         CALL,  0, 1,      0,      KEPT(ON_DELIVERED)  },
    {"logger",               CALL,  0, 1,      0,      KEPT(LOGGER)        },
    {"log_level",            LEVEL, 0, 4,      2,      AT(log_level)       },
    {"proxy",                PROXY, 0, 0,      0,      ON(proxy)           },
    {"ca_file",              PATH,  0, 0,      0,      ON(ca_file)         },
    {"ca_blob",              PEM,   0, 0,      0,      ON(ca_blob)         },
    {"client_cert",          CERT,  0, 0,      0,      ON(client_cert)     },
    {"client_key",           PRIV,  0, 0,      0,      ON(client_key)      },
    {"client_key_password",  PASS,  0, 0,      0,      ON(key_password)    },
    {"http_version",         HTTP,  1, 2,      0,      AT(http_version)    },
    {"store",                STORE, 0, 0,      0,      KEPT(STORE)         },
    {"thread",               FLAG,  0, 1,      1,      AT(thread)          },
    {"enabled",              FLAG,  0, 1,      1,      AT(enabled)         },
    {"test_mode",            FLAG,  0, 1,      0,      AT(test_mode)       },
    {NULL,                   KEY,   0, 0,      0,      0                   }
};
#undef LAID
#undef KEPT
#undef ON
#undef AT

/* Their defaults are the client's. */
#define AT(field) offsetof(seer_request_options, field)
static const row request_options[] = {
    {"wait",            FLAG,  0, 1,    0, AT(wait)           },
    {"future",          FLAG,  0, 1,    0, AT(future)         },
    {"timeout",         TIME,  0, LONG, 0, AT(timeout)        },
    {"max_retries",     COUNT, 0, 1000, 0, AT(max_retries)    },
    {"headers",         HEAD,  0, 0,    0, AT(headers)        },
    {"query",           QUERY, 0, 0,    0, AT(query)          },
    {"idempotency_key", ID,    0, 0,    0, AT(idempotency_key)},
    {"extra_body",      TABLE, 0, 0,    0, AT(extra_body)     },
    {NULL,              KEY,   0, 0,    0, 0                  }
};
#undef AT

int seer_options_misuse(lua_State *L, int argument, const char *function) {
  return luaL_error(L, "bad argument #%d to '%s' (%s)", argument, function,
                    lua_tostring(L, -1));
}

/* The same about an option. */
static void misuse_option(lua_State *L, int argument, const char *function,
                          const char *name, const char *problem) {
  lua_pushfstring(L, "option '%s': %s", name, problem);
  seer_options_misuse(L, argument, function);
}

void *seer_options_self(lua_State *L, const char *metatable, const char *name,
                        const char *method) {
  void *self = luaL_testudata(L, 1, metatable);
  if (self == NULL)
    luaL_error(L,
               "a %s expected, got %s: methods are called with a colon, as in "
               "%s:%s()",
               name, lua_gettop(L) > 0 ? luaL_typename(L, 1) : "nothing", name,
               method);
  return self;
}

void seer_options_table(lua_State *L, int argument, const char *function) {
  if (lua_type(L, argument) == LUA_TTABLE)
    return;
  lua_settop(L, argument); /* one that is not there is nil */
  lua_pushfstring(L, "table expected, got %s", luaL_typename(L, argument));
  seer_options_misuse(L, argument, function);
}

bool seer_options_event(lua_State *L, int argument, const char *function,
                        bool optional) {
  if (seer_raw_at(L, argument) != NULL)
    return true;
  if (!optional || !lua_isnoneornil(L, argument))
    seer_options_table(L, argument, function);
  return false;
}

void seer_options_plain(lua_State *L, int argument, const char *function) {
  seer_options_table(L, argument, function);
  if (!seer_merge_is_hollow(L, argument))
    return;
  lua_pushliteral(L, "the options are read by raw access, and there are none, "
                     "only a metatable with __index or __pairs");
  seer_options_misuse(L, argument, function);
}

static int64_t *place_of(const row *option, void *base) {
  return (int64_t *)(void *)((char *)base + option->offset);
}

static bool is_known(const row *options, const char *name, size_t length) {
  for (; options->name != NULL; options++)
    if (strlen(options->name) == length &&
        memcmp(options->name, name, length) == 0)
      return true;
  return false;
}

/* Raises if the table has a key that is no option's name. */
static void check_names(lua_State *L, int argument, const char *function,
                        const row *options) {
  size_t length;
  const char *name;
  lua_pushnil(L);
  while (lua_next(L, argument)) {
    lua_pop(L, 1); /* the value */
    if (lua_type(L, -1) != LUA_TSTRING) {
      lua_pushfstring(L, "unknown option: a %s as its name",
                      luaL_typename(L, -1));
      seer_options_misuse(L, argument, function);
    }
    name = lua_tolstring(L, -1, &length);
    if (!is_known(options, name, length)) {
      seer_unknown_push(L, name, length);
      seer_options_misuse(L, argument, function);
    }
  }
}

/* Reads a table of options into the structure at `base`. The values stay on
   the stack. */
static void read_options(lua_State *L, int argument, const char *function,
                         const row *options, void *base) {
  seer_options_plain(L, argument, function);
  luaL_checkstack(L, 3 * LUA_MINSTACK, "too many options");
  check_names(L, argument, function, options);
  for (const row *o = options; o->name != NULL; o++) {
    if (o > options && strcmp(o->name, o[-1].name) == 0)
      lua_pushvalue(L, -1);
    else
      seer_rawgetfield(L, argument, o->name);
    if (!lua_isnil(L, -1) &&
        !seer_values_read(L, o->kind, o->least, o->most, place_of(o, base)))
      misuse_option(L, argument, function, o->name, lua_tostring(L, -1));
  }
}

/* What is wrong with the certificate of a client, its key and the password of
   that, which are given together; NULL if nothing is. The first two are text
   by now. */
static const char *fault_of_identity(lua_State *L,
                                     const seer_client_options *options,
                                     const char **name) {
  int64_t holder =
      options->client_key != 0 ? options->client_key : options->client_cert;
  const char *text = holder != 0 ? lua_tostring(L, (int)holder) : "";
  *name = options->client_key != 0 ? "client_key" : "client_key_password";
  if (options->client_cert == 0)
    return options->client_key != 0 || options->key_password != 0
               ? "cannot be given without 'client_cert'"
               : NULL;
  *name = "client_key";
  if (strstr(text, SEER_VALUES_KEY_MARK) == NULL)
    return "missing, and there is none in 'client_cert'";
  *name = "client_key_password";
  return options->key_password == 0 && strstr(text, "ENCRYPTED") != NULL
             ? "missing, and the key is encrypted"
             : NULL;
}

static void read_client_options(lua_State *L, int argument,
                                const char *function,
                                seer_client_options *options) {
  const char *fault, *name;
  read_options(L, argument, function, client_options, options);
  if (options->ca_blob != 0 && options->ca_file != 0)
    misuse_option(L, argument, function, "ca_blob",
                  "cannot be given together with 'ca_file'");
  if (options->kept[SEER_KEPT_STORE] != 0)
    options->settings.has_store =
        lua_toboolean(L, (int)options->kept[SEER_KEPT_STORE]);
  if (options->settings.has_store && !options->settings.thread)
    misuse_option(L, argument, function, "store",
                  "needs a thread, so 'thread' must not be false");
  fault = fault_of_identity(L, options, &name);
  if (fault != NULL)
    misuse_option(L, argument, function, name, fault);
}

static void set_defaults(seer_client_options *options) {
  memset(options, 0, sizeof *options);
  for (const row *o = client_options; o->name != NULL; o++)
    if (o->kind < CALL)
      *place_of(o, options) = seer_values_of(o->kind, o->fallback);
  if (seer_process_is_nginx())
    options->settings.exit_timeout = NGINX_EXIT_TIMEOUT;
}

/* Pushes an environment variable without the space around it; returns
   false, and pushes nothing, if it is missing or blank. */
static bool push_environment(lua_State *L, const char *name) {
  const char *text = getenv(name);
  size_t length;
  if (text == NULL)
    return false;
  length = strlen(text);
  text = seer_trim(text, &length);
  if (length > 0)
    lua_pushlstring(L, text, length);
  return length > 0;
}

/* Changes the level to the environment's. One that is unknown does not keep
   a program from running. */
static void read_level(lua_State *L, int64_t *level) {
  static bool told;
  int top = lua_gettop(L);
  if (push_environment(L, "SEERSTACK_LOG") &&
      !seer_values_read(L, LEVEL, SEER_OFF, SEER_DEBUG, level) &&
      !__atomic_test_and_set(&told, __ATOMIC_RELAXED))
    seer_tell(SEER_WARN, "SEERSTACK_LOG is no level: %s; it counts as %s",
              lua_tostring(L, top + 1), seer_level_names[*level]);
  lua_settop(L, top);
}

void seer_options_client(lua_State *L, int argument, const char *function,
                         seer_client_options *options) {
  int64_t *level = &options->settings.log_level, fallback;
  int64_t *exit = &options->settings.exit_timeout, exit_fallback;
  set_defaults(options);
  fallback = *level;
  exit_fallback = *exit;
  *level = *exit = -1; /* not given */
  if (!lua_isnoneornil(L, argument))
    read_client_options(L, argument, function, options);
  if (*exit < 0)
    *exit = options->settings.has_store ? STORE_EXIT_TIMEOUT : exit_fallback;
  if (*level >= 0)
    return;
  *level = fallback;
  read_level(L, level);
}

void seer_options_overrides(lua_State *L, int argument, const char *function,
                            const seer_settings *settings,
                            seer_client_options *options) {
  static const char *const fixed[] = {"api_key", "base_url", NULL};
  memset(options, 0, sizeof *options);
  options->settings = *settings;
  for (const char *const *name = fixed; *name != NULL; name++) {
    seer_rawgetfield(L, argument, *name);
    if (!lua_isnil(L, -1))
      misuse_option(L, argument, function, *name,
                    "cannot differ in with_options");
    lua_pop(L, 1);
  }
  read_client_options(L, argument, function, options);
}

void seer_options_request(lua_State *L, int argument, const char *function,
                          seer_request_options *options) {
  int64_t inherited = options->wait;
  options->wait = -1; /* not given */
  options->headers = options->query = 0;
  options->idempotency_key = options->extra_body = 0;
  read_options(L, argument, function, request_options, options);
  if (options->future == 1 && options->wait == 1)
    misuse_option(L, argument, function, "future",
                  "cannot be given together with 'wait'");
  if (options->wait < 0)
    options->wait = options->future ? 0 : inherited;
}

int64_t seer_options_timeout(lua_State *L, int argument, const char *function,
                             int64_t fallback) {
  if (lua_isnoneornil(L, argument))
    return fallback;
  lua_pushvalue(L, argument);
  if (!seer_values_read(L, GRACE, 0, LONG, &fallback))
    seer_options_misuse(L, argument, function);
  lua_pop(L, 1);
  return fallback;
}

/*
** The key and the base URL.
*/

static bool checked_environment(lua_State *L, const char *option,
                                seer_value kind, const char *variable) {
  int64_t at;
  if (seer_values_read(L, kind, 0, 0, &at))
    return true;
  lua_pushfstring(L, "option '%s', from the environment variable %s: %s",
                  option, variable, lua_tostring(L, -1));
  return false;
}

static bool push_url(lua_State *L, int64_t given) {
  if (given != 0)
    lua_pushvalue(L, (int)given);
  else if (push_environment(L, "SEERSTACK_BASE_URL"))
    return checked_environment(L, "base_url", URL, "SEERSTACK_BASE_URL");
  else
    lua_pushliteral(L, DEFAULT_URL);
  return true;
}

static bool push_key(lua_State *L, int64_t given, bool needs_key) {
  if (given != 0) {
    lua_pushvalue(L, (int)given);
    return true;
  }
  if (push_environment(L, "SEERSTACK_API_KEY"))
    return checked_environment(L, "api_key", KEY, "SEERSTACK_API_KEY");
  if (needs_key)
    lua_pushliteral(L, "the environment variable SEERSTACK_API_KEY is missing "
                       "or empty; the option 'api_key' may be given instead");
  else
    lua_pushliteral(L, "");
  return !needs_key;
}

bool seer_options_endpoint(lua_State *L, const seer_client_options *options,
                           bool needs_key) {
  int top = lua_gettop(L);
  if (push_url(L, options->base_url) &&
      push_key(L, options->api_key, needs_key))
    return true;
  lua_replace(L, top + 1); /* the message, in the place of the URL */
  lua_settop(L, top + 1);
  return false;
}
