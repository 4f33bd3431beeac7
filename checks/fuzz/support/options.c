#include "fuzz.h"

const char *const fuzz_client_options[] = {"api_key",
                                           "base_url",
                                           "timeout",
                                           "connect_timeout",
                                           "max_retries",
                                           "initial_retry_delay",
                                           "max_retry_delay",
                                           "exit_timeout",
                                           "rate_limit",
                                           "max_in_flight",
                                           "max_queue_events",
                                           "max_queue_bytes",
                                           "overflow",
                                           "max_event_bytes",
                                           "max_age",
                                           "wait",
                                           "headers",
                                           "query",
                                           "default_data",
                                           "default_attributes",
                                           "before_send",
                                           "on_error",
                                           "logger",
                                           "log_level",
                                           "proxy",
                                           "ca_file",
                                           "ca_blob",
                                           "client_cert",
                                           "client_key",
                                           "client_key_password",
                                           "http_version",
                                           "thread",
                                           "enabled",
                                           "test_mode",
                                           NULL};

const char *const fuzz_request_options[] = {
    "wait",  "future",          "timeout",    "max_retries", "headers",
    "query", "idempotency_key", "extra_body", NULL};

static void push_bytes(lua_State *L, input *in, size_t most) {
  size_t length;
  const char *text = input_bytes(in, input_below(in, most), &length);
  lua_pushlstring(L, text, length);
}

static void push_word(lua_State *L, input *in) {
  static const char *const words[] = {FUZZ_KEY,
                                      "reject",
                                      "drop_oldest",
                                      "1.1",
                                      "2",
                                      "off",
                                      "error",
                                      "debug",
                                      "/dev/null",
                                      "-----BEGIN CERTIFICATE-----",
                                      "-----BEGIN PRIVATE KEY-----",
                                      "http://user:" FUZZ_PASSWORD
                                      "@proxy.example:3128",
                                      "socks5h://user:" FUZZ_PASSWORD "@[::1]",
                                      "user:" FUZZ_PASSWORD "@proxy.example",
                                      "Bearer " FUZZ_KEY,
                                      "session=" FUZZ_COOKIE,
                                      "a\r\nX-Injected: 1",
                                      "a\nb",
                                      "a\tb",
                                      "\x7F"};
  lua_pushstring(L, words[input_below(in, sizeof words / sizeof *words)]);
}

static void push_number(lua_State *L, input *in) {
  static const double numbers[] = {
      0, 1, 2, -1, 0.5, 1e-9, 60, 1e7, 1e300, 2147483, 2147484, 0x1p40, -0.0};
  size_t count = sizeof numbers / sizeof *numbers;
  size_t which = input_below(in, count + 2);
  if (which < count)
    lua_pushnumber(L, numbers[which]);
  else
    seer_pushint64(L, (int64_t)(input_bits(in) >> input_below(in, 64)));
}

static void push_url(lua_State *L, input *in) {
  static const char *const starts[] = {"http://",
                                       "https://",
                                       "http://127.0.0.1:8080",
                                       "http://[::1]",
                                       "https://api.example.com/p",
                                       "HTTP://h",
                                       "",
                                       "//",
                                       "http:/"};
  lua_pushstring(L, starts[input_below(in, sizeof starts / sizeof *starts)]);
  push_bytes(L, in, 40);
  lua_concat(L, 2);
}

static void push_name(lua_State *L, input *in) {
  static const char *const names[] = {"X-A",
                                      "x-a",
                                      "Authorization",
                                      "authorization",
                                      "Cookie",
                                      "Accept",
                                      "User-Agent",
                                      "Content-Type",
                                      "Host",
                                      "a b",
                                      "q",
                                      "Proxy-Authorization"};
  if (input_byte(in) < 64)
    push_bytes(L, in, 10);
  else
    lua_pushstring(L, names[input_below(in, sizeof names / sizeof *names)]);
}

static void push_field(lua_State *L, input *in) {
  switch (input_below(in, 6)) {
  case 0:
    lua_pushboolean(L, 0);
    break;
  case 1:
    push_number(L, in);
    break;
  case 2:
  case 3:
    push_word(L, in);
    break;
  case 4:
    push_bytes(L, in, 40);
    break;
  default:
    fuzz_push_value(L, in);
  }
}

static void push_fields(lua_State *L, input *in) {
  size_t count = input_below(in, 5);
  lua_newtable(L);
  while (count-- > 0) {
    push_name(L, in);
    push_field(L, in);
    lua_rawset(L, -3);
  }
}

static int raise(lua_State *L) {
  return luaL_error(L, "a callback raises");
}

static int give_back(lua_State *L) {
  lua_settop(L, 1);
  return 1;
}

static void push_option(lua_State *L, input *in) {
  switch (input_below(in, 10)) {
  case 0:
    lua_pushboolean(L, input_byte(in) & 1);
    break;
  case 1:
    push_word(L, in);
    break;
  case 2:
  case 3:
    push_number(L, in);
    break;
  case 4:
    push_url(L, in);
    break;
  case 5:
    push_fields(L, in);
    break;
  case 6:
    lua_pushcfunction(L, input_byte(in) & 1 ? raise : give_back);
    break;
  case 7:
    push_bytes(L, in, 40);
    break;
  default:
    fuzz_push_value(L, in);
  }
}

/* What the option with the name on the top takes, as far as it is a kind of
   its own; else anything. */
static void push_fitting(lua_State *L, input *in) {
  const char *name = lua_tostring(L, -1);
  if (strstr(name, "url") != NULL || strcmp(name, "proxy") == 0)
    push_url(L, in);
  else if (strcmp(name, "headers") == 0 || strcmp(name, "query") == 0)
    push_fields(L, in);
  else if (strstr(name, "_key") != NULL)
    push_word(L, in);
  else if (strstr(name, "time") != NULL || strstr(name, "max") != NULL)
    push_number(L, in);
  else
    push_option(L, in);
}

void fuzz_push_options(lua_State *L, input *in, const char *const *names) {
  size_t known = 0, count = input_below(in, 8);
  while (names[known] != NULL)
    known++;
  lua_newtable(L);
  while (count-- > 0) {
    uint8_t how = input_byte(in);
    if (how < 4)
      push_bytes(L, in, 20); /* a name that is none, or one cut off */
    else
      lua_pushstring(L, names[input_below(in, known)]);
    if (how & 1)
      push_fitting(L, in);
    else
      push_option(L, in);
    lua_rawset(L, -3);
  }
}
