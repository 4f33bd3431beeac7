#include "fields.h"

#include "compat.h"
#include "core/base/ascii.h"
#include "holder.h"
#include "number.h"

#include <stdio.h>
#include <stdlib.h>
#pragma GCC visibility push(hidden)

/* What the name of a header consists of (RFC 9110), and what needs no
   encoding in a URL (RFC 3986). */
#define ALPHANUMERIC                                                          \
  "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
#define TOKEN ALPHANUMERIC "!#$%&'*+-.^_`|~"
#define UNRESERVED ALPHANUMERIC "-._~"

typedef struct name {
  const char *text; /* owned by the list of names on the stack */
  size_t length;
} name;

static int compare(const name *one, const name *other, bool fold) {
  size_t shorter = one->length < other->length ? one->length : other->length;
  for (size_t i = 0; i < shorter; i++) {
    char a = one->text[i], b = other->text[i];
    int difference = fold ? seer_lower(a) - seer_lower(b)
                          : (unsigned char)a - (unsigned char)b;
    if (difference != 0)
      return difference;
  }
  return (one->length > other->length) - (one->length < other->length);
}

static int by_bytes(const void *one, const void *other) {
  return compare(one, other, false);
}

/* Those that are the same header have an order, too: a message names them. */
static int by_header(const void *one, const void *other) {
  int difference = compare(one, other, true);
  return difference != 0 ? difference : by_bytes(one, other);
}

/* The name at `index`. One that no header has is not quoted: it may be a
   whole header, with its value. */
static bool check_name(lua_State *L, int index, seer_block_kind kind) {
  /* Headers that are libcurl's or the queue's own business. */
  static const char *const forbidden[] = {
      "host",       "content-length", "transfer-encoding",
      "connection", "expect",         "idempotency-key",
      NULL};
  size_t length;
  const char *text;
  if (lua_type(L, index) != LUA_TSTRING) {
    lua_pushfstring(L, "a string as a name expected, got %s",
                    luaL_typename(L, index));
    return false;
  }
  text = lua_tolstring(L, index, &length);
  if (length == 0)
    lua_pushliteral(L, "a name is empty");
  else if (kind == SEER_BLOCK_HEADERS && strspn(text, TOKEN) != length)
    lua_pushliteral(L, "a name has a character that no header's name has");
  else if (kind == SEER_BLOCK_HEADERS &&
           seer_block_is_among(text, length, forbidden))
    lua_pushfstring(L, "'%s' cannot be given", text);
  else
    return true;
  return false;
}

/* Pushes a list of the names in the table at `fields`, which keeps them in
   existence whatever a finalizer does to that table. */
static bool push_list(lua_State *L, int fields, seer_block_kind kind) {
  int list = lua_gettop(L) + 1;
  int count = 0;
  lua_newtable(L);
  lua_pushnil(L);
  while (lua_next(L, fields)) {
    lua_pop(L, 1); /* the value */
    if (!check_name(L, -1, kind))
      return false;
    lua_pushvalue(L, -1);
    lua_rawseti(L, list, ++count);
  }
  return true;
}

/* Pushes an array of the `count` names in the list on the top. */
static name *push_array(lua_State *L, int count) {
  name *names = lua_newuserdata(L, (size_t)count * sizeof(*names));
  for (int i = 0; i < count; i++) {
    lua_rawgeti(L, -2, i + 1);
    names[i].text = lua_tolstring(L, -1, &names[i].length);
    lua_pop(L, 1);
  }
  return names;
}

/* Sorts the names; false if two headers are the same. */
static bool sort(lua_State *L, name *names, int count, seer_block_kind kind) {
  bool headers = kind == SEER_BLOCK_HEADERS;
  qsort(names, (size_t)count, sizeof(*names), headers ? by_header : by_bytes);
  for (int i = 1; headers && i < count; i++)
    if (compare(&names[i - 1], &names[i], true) == 0) {
      lua_pushfstring(L, "'%s' and '%s' are the same header",
                      names[i - 1].text, names[i].text);
      return false;
    }
  return true;
}

/*
** Values: what is on the top.
*/

/* Puts the text of the value on the top in its place, unless it is false. */
static bool to_text(lua_State *L, const char *called) {
  char digits[SEER_NUMBER_LENGTH];
  seer_buffer out;
  int type = lua_type(L, -1);
  double number = lua_tonumber(L, -1);
  if (type == LUA_TSTRING || (type == LUA_TBOOLEAN && !lua_toboolean(L, -1)) ||
      (type == SEER_TCDATA && seer_number_boxed(L, -1)))
    return true;
  if (type == LUA_TNUMBER && number - number == 0) {
    seer_buffer_borrow(&out, digits, sizeof(digits));
    seer_number_name(L, -1, &out);
    lua_pushlstring(L, digits, out.length);
    return true;
  }
  if (type == LUA_TNUMBER)
    lua_pushfstring(L, "'%s': a finite number expected", called);
  else
    lua_pushfstring(L, "'%s': a string, a number or false expected, got %s",
                    called, luaL_typename(L, -1));
  return false;
}

/*
** Lines: these append one, with the value on the top.
*/

static bool add_header(lua_State *L, const name *called, seer_buffer *out) {
  size_t length;
  const char *value = lua_tolstring(L, -1, &length); /* NULL of false */
  seer_buffer_append(out, called->text, called->length);
  if (value == NULL) {
    seer_buffer_append(out, ":", 2);
    return true;
  }
  if (seer_has_control(value, length, true)) {
    lua_pushfstring(L, "'%s' has a control character", called->text);
    return false;
  }
  value = seer_trim(value, &length);
  seer_buffer_append(out, length == 0 ? ";" : ": ", length == 0 ? 1 : 2);
  seer_buffer_append(out, value, length);
  seer_buffer_byte(out, '\0');
  return true;
}

static void encode(seer_buffer *out, const char *text, size_t length) {
  char coded[4];
  for (size_t i = 0; i < length; i++) {
    if (text[i] != '\0' && strchr(UNRESERVED, text[i]) != NULL) {
      seer_buffer_byte(out, text[i]);
    } else {
      snprintf(coded, sizeof coded, "%%%02X",
               (unsigned)(unsigned char)text[i]);
      seer_buffer_append(out, coded, 3);
    }
  }
}

static void add_parameter(lua_State *L, const name *called, seer_buffer *out) {
  size_t length;
  const char *value = lua_tolstring(L, -1, &length); /* NULL of false */
  encode(out, called->text, called->length);
  if (value != NULL) {
    seer_buffer_byte(out, '=');
    encode(out, value, length);
  }
  seer_buffer_byte(out, '\0');
}

static bool add_lines(lua_State *L, int fields, const name *names, int count,
                      seer_block_kind kind, seer_buffer *out) {
  int top = lua_gettop(L);
  for (int i = 0; i < count; i++) {
    lua_pushlstring(L, names[i].text, names[i].length);
    lua_rawget(L, fields);
    if (!to_text(L, names[i].text))
      return false;
    if (kind == SEER_BLOCK_QUERY)
      add_parameter(L, &names[i], out);
    else if (!add_header(L, &names[i], out))
      return false;
    lua_settop(L, top);
  }
  if (count > 0)
    seer_buffer_byte(out, '\0');
  if (out->error)
    luaL_error(L, "not enough memory");
  return true;
}

/* Leaves the block, or a message, on the top of other things. */
static bool read_fields(lua_State *L, int fields, seer_block_kind kind) {
  seer_holder *holder = seer_holder_push(L, SIZE_MAX / 2);
  seer_buffer *out = &holder->scratch;
  name *names;
  int count;
  if (!push_list(L, fields, kind))
    return false;
  count = (int)lua_rawlen(L, -1);
  names = push_array(L, count);
  if (!sort(L, names, count, kind) ||
      !add_lines(L, fields, names, count, kind, out))
    return false;
  lua_pushlstring(L, out->length > 0 ? out->data : "", out->length);
  seer_holder_release(holder);
  return true;
}

bool seer_fields_push(lua_State *L, int index, seer_block_kind kind) {
  int top = lua_gettop(L);
  bool right;
  luaL_checkstack(L, 2 * LUA_MINSTACK, "too many calls");
  right = read_fields(L, lua_absindex(L, index), kind);
  lua_replace(L, top + 1);
  lua_settop(L, top + 1);
  return right;
}
