#include "values.h"

#include "compat.h"
#include "core/base/ascii.h"
#include "core/base/os.h"
#include "core/base/tell.h"
#include "core/http/site.h"
#include "core/http/url.h"
#include "core/store.h"
#include "fields.h"
#include "holder.h"
#include "merge.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#pragma GCC visibility push(hidden)

#define PEM_MARK "-----BEGIN CERTIFICATE-----"
#define EXPECTED_LENGTH 80
#define ID_LENGTH 255
#define WORD_MOST 16     /* bytes; keys are longer */
#define STRING_MOST 8192 /* bytes; servers take no more of a header either */
#define CHUNK 16384
#define LARGEST_FILE (16u << 20)

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

/* Pushes why the value is not right, if there is a reason. */
static bool judge(lua_State *L, const char *why) {
  if (why != NULL)
    lua_pushstring(L, why);
  return why == NULL;
}

static bool is_false(lua_State *L) {
  return lua_type(L, -1) == LUA_TBOOLEAN && !lua_toboolean(L, -1);
}

int64_t seer_values_of(seer_value kind, double number) {
  bool is_time = kind == TIME || kind == GRACE;
  return (int64_t)(is_time ? ceil(number * 1000) : number);
}

static bool read_time(lua_State *L, seer_value kind, double most,
                      int64_t *place) {
  char expected[EXPECTED_LENGTH];
  double seconds = lua_type(L, -1) == LUA_TNUMBER ? lua_tonumber(L, -1) : -1;
  if (seconds > most) {
    snprintf(expected, sizeof(expected), "a number of seconds <= %.0f", most);
    return unexpected(L, expected);
  }
  if (kind == GRACE && !(seconds >= 0))
    return unexpected(L, "a number of seconds >= 0");
  if (kind == TIME && !(seconds > 0))
    return unexpected(L, "a number of seconds > 0");
  *place = seer_values_of(kind, seconds);
  return true;
}

static bool read_count(lua_State *L, seer_value kind, double least,
                       double most, int64_t *place) {
  char expected[EXPECTED_LENGTH];
  double number = lua_type(L, -1) == LUA_TNUMBER ? lua_tonumber(L, -1) : NAN;
  if (kind == RATE && is_false(L)) {
    *place = 0;
    return true;
  }
  if (number >= least && number <= most && floor(number) == number) {
    *place = (int64_t)number;
    return true;
  }
  snprintf(expected, sizeof(expected), "an integer from %.0f to %.0f%s", least,
           most, kind == RATE ? ", or false," : "");
  return unexpected(L, expected);
}

static bool read_flag(lua_State *L, int64_t *place) {
  if (lua_type(L, -1) != LUA_TBOOLEAN)
    return unexpected(L, "boolean");
  *place = lua_toboolean(L, -1);
  return true;
}

/*
** Names that stand for numbers. They are stored as `least` and so on.
*/

/* Whether a string can be shown: a word such as stands for a number. */
static bool is_word(const char *text, size_t length) {
  return length <= WORD_MOST &&
         strspn(text, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
                      "0123456789._-/ ") == length;
}

/* Pushes "<expected> expected, got '<the word>'", or what is said of other
   values. */
static bool unexpected_name(lua_State *L, const char *expected) {
  size_t length = 0;
  const char *text = NULL;
  if (lua_type(L, -1) == LUA_TSTRING)
    text = lua_tolstring(L, -1, &length);
  if (text == NULL || !is_word(text, length))
    return unexpected(L, expected);
  lua_pushfstring(L, "%s expected, got '%s'", expected, text);
  return false;
}

/* Pushes "'warn', 'info' or 'debug' expected, got 'loud'". */
static bool no_name(lua_State *L, const char *const *names, int count) {
  char expected[EXPECTED_LENGTH];
  size_t length = 0;
  for (int i = 0; i < count; i++) {
    const char *before = i == 0 ? "" : i < count - 1 ? ", " : " or ";
    length += (size_t)snprintf(expected + length, sizeof(expected) - length,
                               "%s'%s'", before, names[i]);
  }
  return unexpected_name(L, expected);
}

static bool read_name(lua_State *L, const char *const *names, double least,
                      double most, int64_t *place) {
  int count = (int)(most - least) + 1;
  size_t length = 0;
  const char *text = "";
  if (lua_type(L, -1) == LUA_TSTRING)
    text = lua_tolstring(L, -1, &length);
  for (int i = 0; i < count; i++)
    /* There are as many names; the analyzer reckons with no fractions. */
    /* NOLINTNEXTLINE(clang-analyzer-core.CallAndMessage) */
    if (strlen(names[i]) == length && memcmp(text, names[i], length) == 0) {
      *place = (int64_t)least + i;
      return true;
    }
  return no_name(L, names, count);
}

static bool read_version(lua_State *L, double least, double most,
                         int64_t *place) {
  static const char *const names[] = {"1.1", "2"};
  int64_t version = 0;
  if (!read_name(L, names, least, most, &version))
    return false;
  if (version == 2 && !seer_site_has_http2())
    return judge(L, "this libcurl was built without HTTP/2");
  *place = version;
  return true;
}

static bool check_table(lua_State *L) {
  return lua_istable(L, -1) || unexpected(L, "table");
}

static bool check_named(lua_State *L) {
  if (!check_table(L))
    return false;
  if (!seer_merge_is_list(L, -1))
    return true;
  lua_pushliteral(L, "a table of named values expected, got an array");
  return false;
}

static bool is_part(lua_State *L, int index) {
  double part =
      lua_type(L, index) == LUA_TNUMBER ? lua_tonumber(L, index) : -1;
  return part >= 0 && part <= 1;
}

static bool check_part(lua_State *L) {
  bool right = is_part(L, -1);
  if (lua_istable(L, -1)) {
    right = true;
    lua_pushnil(L);
    while (lua_next(L, -2)) {
      right = right && lua_type(L, -2) == LUA_TSTRING && is_part(L, -1);
      lua_pop(L, 1);
    }
  }
  return judge(L, right ? NULL
                        : "a number from 0 to 1 expected, or a table of such "
                          "by name");
}

static bool read_fields(lua_State *L, seer_block_kind kind, int most) {
  if (!check_table(L) || !seer_fields_push(L, -1, kind))
    return false;
  lua_replace(L, -2);
  if (lua_rawlen(L, -1) <= (size_t)most)
    return true;
  lua_pushfstring(L, "more than %d bytes", most);
  return false;
}

static bool is_ascii(const char *text, size_t length) {
  for (size_t i = 0; i < length; i++)
    if ((unsigned char)text[i] >= 0x80)
      return false;
  return true;
}

static bool is_blank(const char *text, size_t length) {
  seer_trim(text, &length);
  return length == 0;
}

static const char *fault_of_key(const char *key, size_t length) {
  if (is_blank(key, length))
    return "the key is blank; when the option is left out, the environment "
           "variable SEERSTACK_API_KEY is used";
  if (seer_has_control(key, length, false))
    return "the key has a control character";
  if (!is_ascii(key, length))
    return "the key has a character that is not ASCII";
  return NULL;
}

static const char *fault_of_proxy(const char *proxy, size_t length) {
  if (is_blank(proxy, length))
    return "the URL is blank; false means that there is no proxy";
  if (seer_has_control(proxy, length, false))
    return "the URL has a control character";
  return seer_url_check_proxy(proxy);
}

static const char *fault_of_id(const char *id, size_t length) {
  if (length == 0 || length > ID_LENGTH)
    return "a string of 1 to 255 bytes expected";
  if (is_blank(id, length))
    return "the string is blank";
  return seer_has_control(id, length, false)
             ? "the string has a control character"
             : NULL;
}

/* Without Lua, for nothing to raise while the file is open; 0 or errno. */
static int read_file(const char *path, seer_buffer *out) {
  int error;
  FILE *file = seer_os_open(path);
  if (file == NULL)
    return errno;
  errno = 0;
  for (;;) {
    char *room = seer_buffer_reserve(out, CHUNK);
    size_t count = room != NULL ? fread(room, 1, CHUNK, file) : 0;
    out->length += count;
    if (count == 0)
      break;
  }
  error = ferror(file) ? errno : 0;
  fclose(file);
  if (out->error != SEER_BUFFER_OK)
    error = out->error == SEER_BUFFER_NOMEM ? ENOMEM : EFBIG;
  return error;
}

/* Pushes the content of a file; or what is wrong, and returns false. */
static bool push_file(lua_State *L, const char *path) {
  seer_holder *holder = seer_holder_push(L, LARGEST_FILE);
  int error = read_file(path, &holder->scratch);
  if (error != 0)
    lua_pushfstring(L, "cannot be read: %s", strerror(error));
  else
    lua_pushlstring(L, holder->scratch.data, holder->scratch.length);
  seer_holder_release(holder);
  lua_remove(L, -2);
  return error == 0;
}

/* PEM text goes on as a string that ends at a zero. */
static bool check_pem(lua_State *L, const char *mark, const char *missing) {
  const char *text = lua_tostring(L, -1);
  if (strstr(text, mark) == NULL)
    return judge(L, missing);
  return judge(L, strlen(text) < lua_rawlen(L, -1)
                      ? "there is a zero byte in it"
                      : NULL);
}

/* Puts the text of a file in the place of its path, unless that is such text
   already. The file is read now: later it may be gone, or the process be in a
   chroot, or of a user who cannot read it. */
static bool read_path(lua_State *L, seer_value kind, const char *path,
                      size_t length) {
  if (kind == PATH || strstr(path, "-----BEGIN ") == NULL) {
    if (seer_has_control(path, length, false))
      return judge(L, "the path has a control character");
    if (!push_file(L, path))
      return false;
    lua_replace(L, -2);
  }
  if (kind == PRIV)
    return check_pem(L, SEER_VALUES_KEY_MARK, "there is no private key in it");
  return check_pem(L, PEM_MARK, "there is no certificate in it");
}

static bool read_url(lua_State *L, const char *url, size_t length) {
  if (!judge(L, seer_has_control(url, length, false)
                    ? "the URL has a control character"
                    : seer_url_check_base(url)))
    return false;
  while (length > 0 && url[length - 1] == '/')
    length--;
  lua_pushlstring(L, url, length);
  lua_replace(L, -2);
  return true;
}

static bool read_text(lua_State *L, seer_value kind) {
  size_t length;
  const char *text = lua_tolstring(L, -1, &length);
  if (length > STRING_MOST && (kind < PEM || kind == PASS))
    return judge(L, "more than 8192 bytes");
  switch (kind) {
  case KEY:
    return judge(L, fault_of_key(text, length));
  case URL:
    return read_url(L, text, length);
  case PROXY:
    return judge(L, fault_of_proxy(text, length));
  case PEM:
    return check_pem(L, PEM_MARK,
                     "a certificate as PEM text expected (" PEM_MARK ")");
  case PASS:
    return judge(L, seer_has_control(text, length, false)
                        ? "the password has a control character"
                        : NULL);
  case ID:
    return judge(L, fault_of_id(text, length));
  default:
    return read_path(L, kind, text, length);
  }
}

static bool read_string(lua_State *L, seer_value kind) {
  if (kind == PROXY && is_false(L)) {
    lua_pushliteral(L, "");
    lua_replace(L, -2);
    return true;
  }
  if (lua_type(L, -1) == LUA_TSTRING)
    return read_text(L, kind);
  lua_pushfstring(L, "%s expected, got %s",
                  kind == PROXY ? "a string or false" : "string",
                  luaL_typename(L, -1));
  return false;
}

static bool read_other(lua_State *L, seer_value kind) {
  switch (kind) {
  case CALL:
    return is_false(L) || lua_type(L, -1) == LUA_TFUNCTION ||
           unexpected(L, "a function or false");
  case STORE:
    /* Of another version it is one as well: see core/keep.h. */
    return is_false(L) ||
           luaL_testudata(L, -1, SEER_STORE_METATABLE) != NULL ||
           unexpected(L, "a store, as seerstack.sqlite opens one, or false");
  case TABLE:
    return check_named(L);
  case PART:
    return check_part(L);
  case HEAD:
    return read_fields(L, SEER_BLOCK_HEADERS, SEER_HEADERS_MOST);
  case QUERY:
    return read_fields(L, SEER_BLOCK_QUERY, SEER_QUERY_MOST);
  default:
    return read_string(L, kind);
  }
}

bool seer_values_read(lua_State *L, seer_value kind, double least, double most,
                      int64_t *place) {
  static const char *const full[] = {"reject", "drop_oldest"};
  switch (kind) {
  case TIME:
  case GRACE:
    return read_time(L, kind, most, place);
  case COUNT:
  case RATE:
    return read_count(L, kind, least, most, place);
  case FLAG:
    return read_flag(L, place);
  case FULL:
    return read_name(L, full, least, most, place);
  case HTTP:
    return read_version(L, least, most, place);
  case LEVEL:
    return read_name(L, seer_level_names, least, most, place);
  default:
    if (!read_other(L, kind))
      return false;
    *place = lua_gettop(L);
    return true;
  }
}
