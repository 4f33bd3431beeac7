#include "options.h"

#include "compat.h"
#include "core/http.h"
#include "core/sender.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#define DEFAULT_URL "https://api.seerstack.com"
#define NGINX_EXIT_TIMEOUT 4000 /* ms; its master does not wait for ever */
#define SPACE " \t\r\n\v\f"

#define LONG 2147483 /* s; their milliseconds fit in 31 bits */
#define DAY 86400

typedef enum type {
  KEY,   /* a string that an HTTP header can carry */
  URL,   /* a string that can be a base URL */
  TIME,  /* a number of seconds > 0; stored as ms, rounded up */
  GRACE, /* a TIME that may be 0 */
  COUNT, /* an integral number */
  RATE,  /* a COUNT, or false for 0 */
  FLAG,  /* a boolean; stored as 0 or 1 */
  FULL   /* "reject" is 0, "drop_oldest" is 1 */
} type;

typedef struct row {
  const char *name;
  type kind;
  double least, most; /* in the unit of the option, as is the default */
  double fallback;
  size_t offset; /* of the int64_t that takes it */
} row;

/* Two lines with one name are one option that sets two fields. */
#define AT(field) offsetof(seer_settings, field)
static const row client_options[] = {
    {"api_key",             KEY,   0, 0,      0,      0                      },
    {"base_url",            URL,   0, 0,      0,      0                      },
    {"timeout",             TIME,  0, LONG,   60,     AT(timeout)            },
    {"connect_timeout",     TIME,  0, LONG,   10,     AT(connect_timeout)    },
    {"max_retries",         COUNT, 0, 1000,   2,      AT(max_retries)        },
    {"initial_retry_delay", TIME,  0, LONG,   0.5,    AT(initial_retry_delay)},
    {"max_retry_delay",     TIME,  0, LONG,   8,      AT(max_waited_delay)   },
    {"max_retry_delay",     TIME,  0, LONG,   60,     AT(max_queued_delay)   },
    {"exit_timeout",        GRACE, 0, LONG,   10,     AT(exit_timeout)       },
    {"rate_limit",          RATE,  1, 1e9,    1000,   AT(rate_limit)         },
    {"max_in_flight",       COUNT, 1, 1000,   16,     AT(max_in_flight)      },
    {"max_queue_events",    COUNT, 1, 1e7,    10000,  AT(max_queue_events)   },
    {"max_queue_bytes",     COUNT, 1, 0x1p40, 0x1p24, AT(max_queue_bytes)    },
    {"overflow",            FULL,  0, 1,      0,      AT(drop_oldest)        },
    {"max_event_bytes",     COUNT, 1, 0x1p30, 0x1p20, AT(max_event_bytes)    },
    {"max_age",             TIME,  0, LONG,   DAY,    AT(max_age)            },
    {"wait",                FLAG,  0, 1,      0,      AT(wait)               },
    {NULL,                  KEY,   0, 0,      0,      0                      }
};
#undef AT

/* Their defaults are the client's. */
#define AT(field) offsetof(seer_request_options, field)
static const row request_options[] = {
    {"wait",        FLAG,  0, 1,    0, AT(wait)       },
    {"timeout",     TIME,  0, LONG, 0, AT(timeout)    },
    {"max_retries", COUNT, 0, 1000, 0, AT(max_retries)},
    {NULL,          KEY,   0, 0,    0, 0              }
};
#undef AT

int seer_options_misuse(lua_State *L, int argument, const char *function) {
  return luaL_error(L, "bad argument #%d to '%s' (%s)", argument, function,
                    lua_tostring(L, -1));
}

void seer_options_table(lua_State *L, int argument, const char *function) {
  if (lua_type(L, argument) == LUA_TTABLE)
    return;
  lua_pushfstring(L, "table expected, got %s", luaL_typename(L, argument));
  seer_options_misuse(L, argument, function);
}

/*
** What a value may be, and how it is stored. Each reader looks at the value
** on the top of the stack. If it is right, it is stored in `*place`; if
** not, the reader pushes what is wrong with it.
*/

/* Pushes "<expected> expected, got <the number, or the type>". */
static bool unexpected(lua_State *L, const char *expected) {
  if (lua_type(L, -1) == LUA_TNUMBER) {
    lua_pushvalue(L, -1);
    lua_pushfstring(L, "%s expected, got %s", expected, lua_tostring(L, -1));
    lua_remove(L, -2);
  } else
    lua_pushfstring(L, "%s expected, got %s", expected, luaL_typename(L, -1));
  return false;
}

static int64_t milliseconds(double seconds) {
  return (int64_t)ceil(seconds * 1000);
}

static bool read_time(lua_State *L, type kind, int64_t *place) {
  double seconds = lua_type(L, -1) == LUA_TNUMBER ? lua_tonumber(L, -1) : -1;
  if (seconds > LONG)
    return unexpected(L, "a number of seconds <= 2147483");
  if (kind == GRACE && !(seconds >= 0))
    return unexpected(L, "a number of seconds >= 0");
  if (kind == TIME && !(seconds > 0))
    return unexpected(L, "a number of seconds > 0");
  *place = milliseconds(seconds);
  return true;
}

static bool read_count(lua_State *L, const row *option, int64_t *place) {
  char expected[80];
  double number = lua_type(L, -1) == LUA_TNUMBER ? lua_tonumber(L, -1) : NAN;
  if (number >= option->least && number <= option->most &&
      floor(number) == number) {
    *place = (int64_t)number;
    return true;
  }
  snprintf(expected, sizeof(expected), "an integer from %.0f to %.0f%s",
           option->least, option->most,
           option->kind == RATE ? ", or false," : "");
  return unexpected(L, expected);
}

static bool read_rate(lua_State *L, const row *option, int64_t *place) {
  if (lua_type(L, -1) != LUA_TBOOLEAN || lua_toboolean(L, -1))
    return read_count(L, option, place);
  *place = 0;
  return true;
}

static bool read_flag(lua_State *L, int64_t *place) {
  if (lua_type(L, -1) != LUA_TBOOLEAN)
    return unexpected(L, "boolean");
  *place = lua_toboolean(L, -1);
  return true;
}

static bool is_text(lua_State *L, const char *text) {
  bool equal;
  lua_pushstring(L, text);
  equal = lua_rawequal(L, -1, -2);
  lua_pop(L, 1);
  return equal;
}

static bool read_full(lua_State *L, int64_t *place) {
  *place = is_text(L, "drop_oldest");
  return *place || is_text(L, "reject") ||
         unexpected(L, "'reject' or 'drop_oldest'");
}

/* Pushes a message that says nothing of the text: it may be a secret. */
static bool refused(lua_State *L, const char *why) {
  lua_pushstring(L, why);
  return false;
}

static bool refused_type(lua_State *L) {
  lua_pushfstring(L, "string expected, got %s", luaL_typename(L, -1));
  return false;
}

static bool has_control(const char *text, size_t length) {
  for (size_t i = 0; i < length; i++)
    if ((unsigned char)text[i] < 0x20 || text[i] == 0x7f)
      return true;
  return false;
}

static bool is_blank(const char *text, size_t length) {
  return strspn(text, SPACE) == length;
}

static bool check_key(lua_State *L, const char *key, size_t length) {
  if (is_blank(key, length))
    return refused(L, "the key is blank; when the option is left out, the "
                      "environment variable SEERSTACK_API_KEY is used");
  if (has_control(key, length))
    return refused(L, "the key has a control character");
  return true;
}

static bool check_url(lua_State *L, const char *url, size_t length) {
  const char *why = has_control(url, length)
                        ? "the URL has a control character"
                        : seer_http_check_url(url);
  return why == NULL || refused(L, why);
}

static bool read_string(lua_State *L, type kind) {
  size_t length;
  const char *text;
  if (lua_type(L, -1) != LUA_TSTRING)
    return refused_type(L);
  text = lua_tolstring(L, -1, &length);
  return kind == KEY ? check_key(L, text, length) : check_url(L, text, length);
}

static bool read_value(lua_State *L, const row *option, int64_t *place) {
  switch (option->kind) {
  case KEY:
  case URL:
    return read_string(L, option->kind);
  case TIME:
  case GRACE:
    return read_time(L, option->kind, place);
  case COUNT:
    return read_count(L, option, place);
  case RATE:
    return read_rate(L, option, place);
  case FLAG:
    return read_flag(L, place);
  case FULL:
    return read_full(L, place);
  }
  return false;
}

/*
** Tables of options.
*/

static int64_t *place_of(const row *option, void *base) {
  return (int64_t *)((char *)base + option->offset);
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
      lua_pushfstring(L, "unknown option '%s'", name);
      seer_options_misuse(L, argument, function);
    }
  }
}

static void get_option(lua_State *L, int index, const char *name) {
  lua_pushstring(L, name);
  lua_rawget(L, index);
}

/* Reads a table of options into the structure at `base`. */
static void read_options(lua_State *L, int argument, const char *function,
                         const row *options, void *base) {
  seer_options_table(L, argument, function);
  check_names(L, argument, function, options);
  for (; options->name != NULL; options++) {
    get_option(L, argument, options->name);
    if (!lua_isnil(L, -1) &&
        !read_value(L, options, place_of(options, base))) {
      lua_pushfstring(L, "option '%s': %s", options->name,
                      lua_tostring(L, -1));
      seer_options_misuse(L, argument, function);
    }
    lua_pop(L, 1);
  }
}

static void set_default(const row *option, void *base) {
  if (option->kind == KEY || option->kind == URL)
    return;
  if (option->kind == TIME || option->kind == GRACE)
    *place_of(option, base) = milliseconds(option->fallback);
  else
    *place_of(option, base) = (int64_t)option->fallback;
}

static void set_defaults(seer_settings *settings) {
  for (const row *o = client_options; o->name != NULL; o++)
    set_default(o, settings);
  if (seer_sender_in_nginx())
    settings->exit_timeout = NGINX_EXIT_TIMEOUT;
}

void seer_options_settings(lua_State *L, int argument, const char *function,
                           seer_settings *settings) {
  set_defaults(settings);
  if (!lua_isnoneornil(L, argument))
    read_options(L, argument, function, client_options, settings);
}

void seer_options_request(lua_State *L, int argument, const char *function,
                          seer_request_options *options) {
  if (!lua_isnoneornil(L, argument))
    read_options(L, argument, function, request_options, options);
}

int64_t seer_options_timeout(lua_State *L, int argument, const char *function,
                             int64_t fallback) {
  if (lua_isnoneornil(L, argument))
    return fallback;
  lua_pushvalue(L, argument);
  if (!read_time(L, GRACE, &fallback))
    seer_options_misuse(L, argument, function);
  lua_pop(L, 1);
  return fallback;
}

/*
** The key and the base URL.
*/

/* Pushes an environment variable without the space around it; returns
   false, and pushes nothing, if it is missing or blank. */
static bool push_environment(lua_State *L, const char *name) {
  const char *text = getenv(name);
  size_t length;
  if (text == NULL)
    return false;
  text += strspn(text, SPACE);
  length = strlen(text);
  while (length > 0 && strchr(SPACE, text[length - 1]) != NULL)
    length--;
  if (length > 0)
    lua_pushlstring(L, text, length);
  return length > 0;
}

/* Pushes an option of the table at `index`; false, and nothing pushed, if
   it is not given. */
static bool push_given(lua_State *L, int index, const char *name) {
  if (!lua_istable(L, index))
    return false;
  get_option(L, index, name);
  if (!lua_isnil(L, -1))
    return true;
  lua_pop(L, 1);
  return false;
}

static bool checked_environment(lua_State *L, const char *option, type kind,
                                const char *variable) {
  if (read_string(L, kind))
    return true;
  lua_pushfstring(L, "option '%s', from the environment variable %s: %s",
                  option, variable, lua_tostring(L, -1));
  return false;
}

static void drop_slash(lua_State *L) {
  size_t length;
  const char *url = lua_tolstring(L, -1, &length);
  if (url[length - 1] == '/') {
    lua_pushlstring(L, url, length - 1);
    lua_remove(L, -2);
  }
}

static bool push_url(lua_State *L, int index) {
  if (!push_given(L, index, "base_url")) {
    if (!push_environment(L, "SEERSTACK_BASE_URL"))
      lua_pushliteral(L, DEFAULT_URL);
    else if (!checked_environment(L, "base_url", URL, "SEERSTACK_BASE_URL"))
      return false;
  }
  drop_slash(L);
  return true;
}

static bool push_key(lua_State *L, int index) {
  if (push_given(L, index, "api_key"))
    return true;
  if (push_environment(L, "SEERSTACK_API_KEY"))
    return checked_environment(L, "api_key", KEY, "SEERSTACK_API_KEY");
  lua_pushliteral(L, "the environment variable SEERSTACK_API_KEY is missing "
                     "or empty; the option 'api_key' may be given instead");
  return false;
}

bool seer_options_endpoint(lua_State *L, int index) {
  int top = lua_gettop(L);
  index = lua_absindex(L, index);
  if (push_url(L, index) && push_key(L, index))
    return true;
  lua_replace(L, top + 1); /* the message, in the place of the URL */
  lua_settop(L, top + 1);
  return false;
}
