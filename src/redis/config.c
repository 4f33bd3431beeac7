#include "config.h"

#include "store_options.h"

#pragma GCC visibility push(hidden)

static void read_prefix(lua_State *L, seer_config *config,
                        const char *function) {
  size_t length;
  const char *given = seer_store_options_text(L, "prefix", &length);
  if (lua_isnil(L, -1))
    given = "ss", length = 2;
  if (length == 0 || length >= sizeof config->prefix ||
      strcspn(given, "{}") != length)
    seer_store_options_refuse(L, function, "prefix",
                              "1 to 63 bytes without braces");
  memcpy(config->prefix, given, length);
}

/* It is read when a connection is opened. */
static void read_ca_file(lua_State *L, seer_config *config,
                         const char *function) {
  size_t length;
  const char *given = seer_store_options_text(L, "ca_file", &length);
  if (lua_isnil(L, -1))
    return;
  if (length == 0 || length >= sizeof config->ca_file)
    seer_store_options_refuse(L, function, "ca_file",
                              "a path of 1 to 511 bytes");
  if (!config->address.tls)
    seer_store_options_refuse(L, function, "ca_file",
                              "nothing, as the URL is not rediss://,");
  memcpy(config->ca_file, given, length);
}

/* An integral number, of times in seconds a fraction, too. */
static int64_t read_number(lua_State *L, const char *function,
                           const char *name, const char *expected,
                           const lua_Number range[3], int64_t scale) {
  lua_Number number = range[0];
  if (seer_store_options_get(L, name))
    number = lua_type(L, -1) == LUA_TNUMBER ? lua_tonumber(L, -1) : -1;
  if (!(number >= range[1] && number <= range[2]) ||
      (scale == 1 && number != (lua_Number)(int64_t)number))
    seer_store_options_refuse(L, function, name, expected);
  return (int64_t)(number * (lua_Number)scale);
}

void seer_config_read(lua_State *L, seer_config *config,
                      const char *function) {
  static const char *const names[] = {
      "url", "prefix", "ca_file", "max_events", "max_bytes", "lease", NULL};
  static const lua_Number events[] = {1000000, 1, 0x1p40};
  static const lua_Number bytes[] = {268435456, 65536, 0x1p50};
  static const lua_Number seconds[] = {30, 20, 86400};
  size_t length;
  const char *url, *wrong;
  memset(config, 0, sizeof *config); /* two are compared byte by byte */
  seer_store_options_check(L, function, names);
  url = seer_store_options_text(L, "url", &length);
  wrong = seer_address_read(&config->address, url, length);
  if (wrong != NULL)
    seer_store_options_refuse(L, function, "url", wrong);
  read_prefix(L, config, function);
  read_ca_file(L, config, function);
  config->max_events = read_number(L, function, "max_events",
                                   "an integer from 1 to 2^40", events, 1);
  config->max_bytes =
      read_number(L, function, "max_bytes",
                  "an integer from 65536 (64 KiB) to 2^50", bytes, 1);
  config->lease = read_number(L, function, "lease", "seconds from 20 to 86400",
                              seconds, 1000);
}
