#include "config.h"

#include "compat.h"

#include <string.h>
#pragma GCC visibility push(hidden)

/* Raises the message on the top of the stack. */
static void misuse(lua_State *L, const char *function) {
  luaL_error(L, "bad argument #1 to '%s' (%s)", function, lua_tostring(L, -1));
}

/* Raises what is wrong with an option, of which the value is on the top. */
static void refuse(lua_State *L, const char *function, const char *name,
                   const char *expected) {
  lua_pushfstring(L, "option '%s': %s expected, got %s", name, expected,
                  luaL_typename(L, -1));
  misuse(L, function);
}

/* Pushes an option. */
static bool get(lua_State *L, const char *name) {
  lua_pushstring(L, name);
  lua_rawget(L, 1);
  return !lua_isnil(L, -1);
}

static const char *get_text(lua_State *L, const char *name, size_t *length) {
  bool is_text = get(L, name) && lua_type(L, -1) == LUA_TSTRING;
  *length = 0;
  return is_text ? lua_tolstring(L, -1, length) : "";
}

static void read_prefix(lua_State *L, seer_config *config,
                        const char *function) {
  size_t length;
  const char *given = get_text(L, "prefix", &length);
  if (lua_isnil(L, -1))
    given = "ss", length = 2;
  if (length == 0 || length >= sizeof config->prefix ||
      strcspn(given, "{}") != length)
    refuse(L, function, "prefix", "1 to 63 bytes without braces");
  memcpy(config->prefix, given, length);
}

/* An integral number, of times in seconds a fraction, too. */
static int64_t read_number(lua_State *L, const char *function,
                           const char *name, const char *expected,
                           const lua_Number range[3], int64_t scale) {
  lua_Number number = range[0];
  if (get(L, name))
    number = lua_type(L, -1) == LUA_TNUMBER ? lua_tonumber(L, -1) : -1;
  if (!(number >= range[1] && number <= range[2]) ||
      (scale == 1 && number != (lua_Number)(int64_t)number))
    refuse(L, function, name, expected);
  return (int64_t)(number * (lua_Number)scale);
}

static void check_names(lua_State *L, const char *function) {
  static const char *const names[] = {"url",   "prefix",    "max_events",
                                      "lease", "max_bytes", NULL};
  for (lua_pushnil(L); lua_next(L, 1) != 0; lua_pop(L, 1)) {
    const char *name = lua_type(L, -2) == LUA_TSTRING ? lua_tostring(L, -2)
                                                      : luaL_typename(L, -2);
    int i = 0;
    while (names[i] != NULL && strcmp(names[i], name) != 0)
      i++;
    if (names[i] == NULL) {
      lua_pushfstring(L, "unknown option '%s'", name);
      misuse(L, function);
    }
  }
}

void seer_config_read(lua_State *L, seer_config *config,
                      const char *function) {
  static const lua_Number events[] = {1000000, 1, 0x1p40};
  static const lua_Number bytes[] = {268435456, 65536, 0x1p50};
  static const lua_Number seconds[] = {30, 20, 86400};
  size_t length;
  const char *url, *wrong;
  memset(config, 0, sizeof *config); /* two are compared byte by byte */
  luaL_checktype(L, 1, LUA_TTABLE);
  check_names(L, function);
  url = get_text(L, "url", &length);
  wrong = seer_address_read(&config->address, url, length);
  if (wrong != NULL)
    refuse(L, function, "url", wrong);
  read_prefix(L, config, function);
  config->max_events = read_number(L, function, "max_events",
                                   "an integer from 1 to 2^40", events, 1);
  config->max_bytes =
      read_number(L, function, "max_bytes",
                  "an integer from 65536 (64 KiB) to 2^50", bytes, 1);
  config->lease = read_number(L, function, "lease", "seconds from 20 to 86400",
                              seconds, 1000);
}
