#include "raw.h"

#include "compat.h"
#include "core/base/scan.h"
#include "marks.h"
#include "number.h"
#include "result.h"

#include <stdio.h>
#pragma GCC visibility push(hidden)

#define METATABLE "seerstack.raw"

static void write_problem(seer_raw *raw, const seer_scan *scan, size_t place) {
  static const char *const formats[] = {
      "", "not JSON from byte %lu on", "not UTF-8 from byte %lu on",
      "more than 100 levels of arrays and objects"};
  snprintf(raw->problem, sizeof raw->problem, formats[scan->problem],
           (unsigned long)place);
}

static void push_raw(lua_State *L, const char *text, size_t length) {
  seer_raw *raw = lua_newuserdata(L, sizeof(*raw) + length + 1);
  const char *value, *end;
  seer_scan scan;
  memcpy(raw->text, text, length);
  raw->text[length] = '\0';
  raw->length = length;
  seer_scan_init(&scan, raw->text, length);
  if (seer_scan_text(&scan, &value, &end)) {
    raw->length = (size_t)(end - value);
    memmove(raw->text, value, raw->length);
    raw->text[raw->length] = '\0';
  }
  write_problem(raw, &scan, (size_t)(scan.at - raw->text) + 1);
  raw->depth = scan.deepest;
  luaL_getmetatable(L, METATABLE);
  lua_setmetatable(L, -2);
}

int seer_raw_new(lua_State *L) {
  size_t length;
  const char *text;
  luaL_checktype(L, 1, LUA_TSTRING);
  text = lua_tolstring(L, 1, &length);
  push_raw(L, text, length);
  return 1;
}

static int raw_tostring(lua_State *L) {
  const seer_raw *raw = luaL_checkudata(L, 1, METATABLE);
  lua_pushlstring(L, raw->text, raw->length);
  return 1;
}

void seer_raw_open(lua_State *L) {
  static const luaL_Reg metamethods[] = {
      {"__tostring", raw_tostring},
      {NULL,         NULL        }
  };
  seer_newmetatable(L, METATABLE, metamethods);
  lua_pushboolean(L, 0);
  lua_setfield(L, -2, "__metatable");
  lua_pop(L, 1);
}

const seer_raw *seer_raw_at(lua_State *L, int index) {
  return lua_type(L, index) == LUA_TUSERDATA
             ? luaL_testudata(L, index, METATABLE)
             : NULL;
}

bool seer_raw_is_object(lua_State *L, int index) {
  const seer_raw *raw = seer_raw_at(L, index);
  return raw != NULL && (raw->problem[0] != '\0' || raw->text[0] == '{');
}

/* True if the number on the top is written as these bytes. */
static bool is_written(lua_State *L, const char *text, size_t length) {
  char memory[SEER_NUMBER_LENGTH];
  seer_buffer out;
  seer_buffer_borrow(&out, memory, sizeof(memory));
  seer_number_write(L, lua_gettop(L), &out);
  return out.length == length && memcmp(memory, text, length) == 0;
}

static void push_value(lua_State *L, const char *text, size_t length) {
  if (*text != '{' && *text != '[' && seer_result_decode(L, text, length)) {
    if (lua_type(L, -1) != LUA_TNUMBER || is_written(L, text, length))
      return;
    lua_pop(L, 1);
  }
  push_raw(L, text, length);
}

/* True if the key on the top is that of an id. */
static bool is_id(lua_State *L, const seer_field *fields) {
  size_t length;
  const char *key = fields != NULL ? lua_tolstring(L, -1, &length) : NULL;
  int i = key != NULL ? seer_kind_find(fields, key, length) : -1;
  return i >= 0 && (fields[i].form == SEER_FORM_OWNER ||
                    fields[i].form == SEER_FORM_USER);
}

static void push_key(lua_State *L, const seer_member *member, int count) {
  size_t length = (size_t)(member->key_end - member->key);
  if (member->key == NULL)
    lua_pushinteger(L, count);
  else if (!seer_result_decode(L, member->key, length))
    luaL_error(L, "not enough memory");
}

/* Adds a member to the table on the top. */
static void add_member(lua_State *L, const seer_member *member, int count,
                       const seer_field *fields) {
  size_t length = (size_t)(member->value_end - member->value);
  push_key(L, member, count);
  if (strspn(member->value, "-0123456789") >= length && is_id(L, fields))
    lua_pushlstring(L, member->value, length);
  else
    push_value(L, member->value, length);
  lua_rawset(L, -3);
}

void seer_raw_unfold(lua_State *L, int index, const seer_field *fields) {
  const seer_raw *raw = seer_raw_at(L, index);
  seer_scan scan;
  seer_member member;
  int count = 0;
  if (raw == NULL || raw->problem[0] != '\0' ||
      (raw->text[0] != '{' && raw->text[0] != '['))
    return;
  lua_newtable(L);
  seer_scan_init(&scan, raw->text, raw->length);
  seer_scan_open(&scan, &member);
  if (member.closing == ']')
    seer_marks_set(L);
  while (seer_scan_next(&scan, &member))
    add_member(L, &member, ++count, fields);
  lua_replace(L, index);
}

bool seer_raw_event(lua_State *L, int index, seer_kind kind) {
  const seer_raw *raw = seer_raw_at(L, index);
  bool posts = kind == SEER_POST;
  luaL_checkstack(L, LUA_MINSTACK, "too many calls");
  if (raw->problem[0] != '\0') {
    lua_pushfstring(L, "%s: %s", posts ? "body" : "event", raw->problem);
    return false;
  }
  if (raw->text[0] != '{' && (raw->text[0] != '[' || !posts)) {
    lua_pushstring(L, posts ? "body: must be an object or an array"
                            : "event: must be an object");
    return false;
  }
  seer_raw_unfold(L, index, posts ? NULL : seer_kinds[kind].fields);
  return true;
}
