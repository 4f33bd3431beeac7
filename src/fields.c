#include "fields.h"

#include "compat.h"
#include "core/base/ascii.h"
#include "number.h"

#include <stdlib.h>

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

/*
** Names.
*/

/* Of ASCII, in every locale. */
static int lower(char byte) {
  return byte >= 'A' && byte <= 'Z' ? byte - 'A' + 'a' : (unsigned char)byte;
}

static int exactly(char byte) {
  return (unsigned char)byte;
}

static int compare(const name *one, const name *other, int (*fold)(char)) {
  size_t shorter = one->length < other->length ? one->length : other->length;
  for (size_t i = 0; i < shorter; i++) {
    int difference = fold(one->text[i]) - fold(other->text[i]);
    if (difference != 0)
      return difference;
  }
  return (one->length > other->length) - (one->length < other->length);
}

static int by_bytes(const void *one, const void *other) {
  return compare(one, other, exactly);
}

/* Those that are the same header have an order, too: a message names them. */
static int by_header(const void *one, const void *other) {
  int difference = compare(one, other, lower);
  return difference != 0 ? difference : by_bytes(one, other);
}

/* Headers that are libcurl's or the queue's own business. */
static bool is_forbidden(const char *text, size_t length) {
  static const name forbidden[] = {
      {"host",              4 },
      {"content-length",    14},
      {"transfer-encoding", 17},
      {"connection",        10},
      {"expect",            6 },
      {"idempotency-key",   15},
      {NULL,                0 }
  };
  const name given = {text, length};
  for (const name *n = forbidden; n->text != NULL; n++)
    if (compare(&given, n, lower) == 0)
      return true;
  return false;
}

/* The name at `index`. One that no header has is not quoted: it may be a
   whole header, with its value. */
static bool check_name(lua_State *L, int index, seer_block_kind kind) {
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
  else if (kind == SEER_BLOCK_HEADERS && is_forbidden(text, length))
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

static bool check_distinct(lua_State *L, const name *names, int count) {
  for (int i = 1; i < count; i++)
    if (compare(&names[i - 1], &names[i], lower) == 0) {
      lua_pushfstring(L, "'%s' and '%s' are the same header",
                      names[i - 1].text, names[i].text);
      return false;
    }
  return true;
}

/* Sorts the names; false if two headers are the same. */
static bool sort(lua_State *L, name *names, int count, seer_block_kind kind) {
  bool headers = kind == SEER_BLOCK_HEADERS;
  qsort(names, (size_t)count, sizeof(*names), headers ? by_header : by_bytes);
  return !headers || check_distinct(L, names, count);
}

/*
** Values: what is on the top.
*/

static void push_digits(lua_State *L, int index) {
  char memory[SEER_NUMBER_LENGTH];
  seer_buffer digits;
  seer_buffer_borrow(&digits, memory, sizeof(memory));
  seer_number_name(L, index, &digits);
  lua_pushlstring(L, memory, digits.length);
}

static bool is_finite(lua_State *L, int index) {
  lua_Number number = lua_tonumber(L, index);
  return number - number == 0;
}

/* Pushes the text of the value at `index`, or false if it is that. */
static bool push_text(lua_State *L, int index, const char *called) {
  int type = lua_type(L, index);
  bool is_false = type == LUA_TBOOLEAN && !lua_toboolean(L, index);
  if (type == LUA_TSTRING || is_false)
    lua_pushvalue(L, index);
  else if (type == LUA_TNUMBER && is_finite(L, index))
    push_digits(L, index);
  else if (type == LUA_TNUMBER) {
    lua_pushfstring(L, "'%s': a finite number expected", called);
    return false;
  } else if (type != SEER_TCDATA || !seer_number_boxed(L, index)) {
    lua_pushfstring(L, "'%s': a string, a number or false expected, got %s",
                    called, luaL_typename(L, index));
    return false;
  }
  return true;
}

/* Pushes the value on the top without the blanks around it. */
static void push_trimmed(lua_State *L) {
  size_t length;
  const char *text = lua_tolstring(L, -1, &length);
  while (length > 0 && seer_is_blank(text[length - 1]))
    length--;
  while (length > 0 && seer_is_blank(*text)) {
    text++;
    length--;
  }
  lua_pushlstring(L, text, length);
}

/*
** Lines.
*/

static bool push_header(lua_State *L, const name *called) {
  const char *value;
  size_t length;
  if (!lua_toboolean(L, -1)) {
    lua_pushfstring(L, "%s:", called->text);
    return true;
  }
  value = lua_tolstring(L, -1, &length);
  if (seer_has_control(value, length, true)) {
    lua_pushfstring(L, "'%s' has a control character", called->text);
    return false;
  }
  push_trimmed(L);
  value = lua_tolstring(L, -1, &length);
  if (length == 0)
    lua_pushfstring(L, "%s;", called->text);
  else
    lua_pushfstring(L, "%s: %s", called->text, value);
  return true;
}

static void encode(luaL_Buffer *out, const char *text, size_t length) {
  static const char digits[] = "0123456789ABCDEF";
  for (size_t i = 0; i < length; i++) {
    unsigned char byte = (unsigned char)text[i];
    if (byte != '\0' && strchr(UNRESERVED, byte) != NULL) {
      luaL_addchar(out, text[i]);
      continue;
    }
    luaL_addchar(out, '%');
    luaL_addchar(out, digits[byte >> 4]);
    luaL_addchar(out, digits[byte & 15]);
  }
}

static bool push_parameter(lua_State *L, const name *called) {
  luaL_Buffer line;
  size_t length;
  const char *value = lua_tolstring(L, -1, &length); /* NULL of false */
  luaL_buffinit(L, &line);
  encode(&line, called->text, called->length);
  if (value != NULL) {
    luaL_addchar(&line, '=');
    encode(&line, value, length);
  }
  luaL_pushresult(&line);
  return true;
}

/* Pushes a list of lines, one for each name. */
static bool push_lines(lua_State *L, int fields, const name *names, int count,
                       seer_block_kind kind) {
  int lines = lua_gettop(L) + 1;
  lua_createtable(L, count, 0);
  for (int i = 0; i < count; i++) {
    lua_pushlstring(L, names[i].text, names[i].length);
    lua_rawget(L, fields);
    if (!push_text(L, -1, names[i].text))
      return false;
    if (!(kind == SEER_BLOCK_HEADERS ? push_header(L, &names[i])
                                     : push_parameter(L, &names[i])))
      return false;
    lua_rawseti(L, lines, i + 1);
    lua_settop(L, lines);
  }
  return true;
}

/* Pushes the block of the lines in the list on the top. */
static void push_block(lua_State *L, int count) {
  luaL_Buffer block;
  int lines = lua_gettop(L);
  luaL_buffinit(L, &block);
  for (int i = 1; i <= count; i++) {
    lua_rawgeti(L, lines, i);
    luaL_addvalue(&block);
    luaL_addchar(&block, '\0');
  }
  if (count > 0)
    luaL_addchar(&block, '\0');
  luaL_pushresult(&block);
}

/* Leaves the block, or a message, on the top of other things. */
static bool read_fields(lua_State *L, int fields, seer_block_kind kind) {
  name *names;
  int count;
  if (!push_list(L, fields, kind))
    return false;
  count = (int)lua_rawlen(L, -1);
  names = push_array(L, count);
  if (!sort(L, names, count, kind) ||
      !push_lines(L, fields, names, count, kind))
    return false;
  push_block(L, count);
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
