#include "number.h"

#include "compat.h"
#include "core/base/json.h"

#include <errno.h>
#include <locale.h>
#include <stdlib.h>
#pragma GCC visibility push(hidden)

void seer_number_write(lua_State *L, int index, seer_buffer *out) {
  if (lua_isinteger(L, index))
    seer_json_integer(out, lua_tointeger(L, index));
  else
    seer_json_number(out, lua_tonumber(L, index));
}

void seer_number_name(lua_State *L, int index, seer_buffer *out) {
  if (lua_isinteger(L, index))
    seer_json_integer(out, lua_tointeger(L, index));
  else
    seer_json_number(out, lua_tonumber(L, index) + 0.0); /* -0.0 is 0 */
}

#define POINT_LENGTH 8 /* more than any locale's decimal point has */

/* Copies `text`, with the locale's decimal point for the dot: strtod knows
   no other. False if there is no room. */
static bool localized(char *copy, size_t size, const char *text,
                      size_t length) {
  const char *dot = memchr(text, '.', length);
  const char *point = localeconv()->decimal_point;
  size_t before = dot != NULL ? (size_t)(dot - text) : length;
  size_t wide = dot != NULL ? strlen(point) : 0;
  size_t after = dot != NULL ? length - before - 1 : 0;
  if (before + wide + after >= size)
    return false;
  memcpy(copy, text, before);
  memcpy(copy + before, point, wide);
  memcpy(copy + before + wide, text + length - after, after);
  copy[before + wide + after] = '\0';
  return true;
}

static void push_read(lua_State *L, const char *text, size_t length) {
  char *end;
  int64_t integer;
  errno = 0;
  integer = strtoll(text, &end, 10);
  if (end == text + length && errno == 0)
    seer_pushint64(L, integer);
  else
    lua_pushnumber(L, strtod(text, NULL));
}

/* True if the number on the top is spelled so, and no other way. */
static bool is_spelled(lua_State *L, const char *text, size_t length) {
  char memory[SEER_NUMBER_LENGTH];
  seer_buffer spelling;
  seer_buffer_borrow(&spelling, memory, sizeof(memory));
  seer_number_name(L, -1, &spelling);
  return !spelling.error && spelling.length == length &&
         memcmp(memory, text, length) == 0;
}

bool seer_number_spelled(lua_State *L, const char *text, size_t length) {
  char copy[SEER_NUMBER_LENGTH + POINT_LENGTH];
  if (length == 0 || length > SEER_NUMBER_LENGTH || !seer_number_may_be(text))
    return false;
  if (!localized(copy, sizeof(copy), text, length))
    return false;
  push_read(L, copy, strlen(copy));
  if (is_spelled(L, text, length))
    return true;
  lua_pop(L, 1);
  return false;
}

/*
** LuaJIT's C data: boxed integers, and the NULL pointer.
*/

/* Pushes a field of the ffi module; nil if that was never loaded. */
static void push_ffi(lua_State *L, const char *name) {
  lua_getfield(L, LUA_REGISTRYINDEX, "_LOADED");
  seer_rawgetfield(L, -1, "ffi");
  lua_remove(L, -2);
  if (!lua_istable(L, -1))
    return;
  seer_rawgetfield(L, -1, name);
  lua_remove(L, -2);
}

/* Pushes what a function of the ffi module returns for a type and the value
   at `index`; nil if it fails. */
static void call_ffi(lua_State *L, const char *name, const char *type,
                     int index) {
  push_ffi(L, name);
  lua_pushstring(L, type);
  lua_pushvalue(L, index);
  if (lua_pcall(L, 2, 1, 0) == LUA_OK)
    return;
  lua_pop(L, 1);
  lua_pushnil(L);
}

static bool is_boxed(lua_State *L, int index, const char *type) {
  bool answer;
  call_ffi(L, "istype", type, index);
  answer = lua_toboolean(L, -1);
  lua_pop(L, 1);
  return answer;
}

/* The length of the digits in "-1LL" or "1ULL"; 0 if it is no such text. */
static size_t count_digits(const char *text) {
  size_t sign = text[0] == '-';
  size_t length = sign + strspn(text + sign, "0123456789");
  const char *suffix = text + length;
  if (length == sign ||
      (strcmp(suffix, "LL") != 0 && strcmp(suffix, "ULL") != 0))
    return 0;
  return length;
}

/* Replaces what is on the top by its text, or by something that is no
   string. */
static void to_text(lua_State *L) {
  if (luaL_getmetafield(L, -1, "__tostring")) {
    lua_insert(L, -2);
    lua_pcall(L, 1, 1, 0);
  }
}

/* Replaces what is on the top by the digits of its text; pops it and
   returns false if its text is not that of a boxed integer. */
static bool to_digits(lua_State *L) {
  size_t length = 0;
  to_text(L);
  if (lua_type(L, -1) == LUA_TSTRING)
    length = count_digits(lua_tostring(L, -1));
  if (length > 0)
    lua_pushlstring(L, lua_tostring(L, -1), length);
  lua_remove(L, length > 0 ? -2 : -1);
  return length > 0;
}

/* A C type object is of its own type as well, but its text has no digits;
   a reference to an integer has those of an address, so it is copied. */
static bool push_digits(lua_State *L, int index, const char *type) {
  if (!is_boxed(L, index, type))
    return false;
  lua_pushvalue(L, index);
  if (!to_digits(L))
    return false;
  lua_pop(L, 1);
  call_ffi(L, "new", type, index);
  return to_digits(L);
}

bool seer_number_boxed(lua_State *L, int index) {
  index = lua_absindex(L, index);
  return push_digits(L, index, "int64_t") || push_digits(L, index, "uint64_t");
}

/* No other C data becomes a pointer without a cast; that of pointers to void
   has a text of LuaJIT's own. */
bool seer_number_null(lua_State *L, int index) {
  const char *colon;
  bool null;
  index = lua_absindex(L, index);
  call_ffi(L, "new", "const volatile void *", index);
  to_text(L);
  colon =
      lua_type(L, -1) == LUA_TSTRING ? strchr(lua_tostring(L, -1), ':') : NULL;
  null = colon != NULL && strcmp(colon, ": NULL") == 0;
  lua_pop(L, 1);
  return null;
}
