/*
 * The arguments of capture, identify and post, in test mode: event.lua knows
 * the rules, and looks at what would have been sent.
 */

#include "support/fuzz.h"

#include <math.h>

static const char *const fields[] = {"name", "user_id", "timestamp",
                                     "data", "email",   "attributes",
                                     "more", NULL};

static int is_json(lua_State *L) {
  size_t length;
  const char *text = luaL_checklstring(L, 1, &length);
  lua_pushboolean(L, fuzz_is_json(text, length));
  return 1;
}

static int repair(lua_State *L) {
  size_t length;
  const uint8_t *at = (const uint8_t *)luaL_checklstring(L, 1, &length);
  const uint8_t *end = at + length;
  luaL_Buffer out;
  luaL_buffinit(L, &out);
  while (at < end) {
    int taken = fuzz_character(at, end);
    luaL_addlstring(&out, taken < 0 ? "\xEF\xBF\xBD" : (const char *)at,
                    taken < 0 ? 3 : (size_t)taken);
    at += taken < 0 ? -taken : taken;
  }
  luaL_pushresult(&out);
  return 1;
}

static void push_path(lua_State *L, input *in) {
  size_t length;
  const char *text = input_bytes(in, input_below(in, 30), &length);
  lua_pushliteral(L, "/");
  lua_pushlstring(L, text, length);
  if (length > 0 && *text == '/')
    lua_remove(L, -2);
  else
    lua_concat(L, 2);
}

/* What is required of the table on the top, so that the rest counts. */
static void set_required(lua_State *L) {
  lua_pushliteral(L, "a");
  lua_setfield(L, -2, "name");
  lua_pushliteral(L, "u");
  lua_setfield(L, -2, "user_id");
}

static void set_time(lua_State *L, input *in) {
  int64_t digits = (int64_t)input_bits(in);
  lua_pushnumber(L, ldexp((double)digits, -input_byte(in)));
  lua_setfield(L, -2, "timestamp");
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  input in = input_of(data, size);
  lua_State *L = fuzz_state();
  uint8_t mode = input_byte(&in);
  lua_pushcfunction(L, is_json);
  lua_setglobal(L, "is_json");
  lua_pushcfunction(L, repair);
  lua_setglobal(L, "repair");
  fuzz_push_script(L, "checks/fuzz/event.lua");
  lua_pushinteger(L, mode % 8);
  if (mode & 8)
    fuzz_push_options(L, &in, fuzz_request_options);
  else if (mode & 16)
    fuzz_push_value(L, &in);
  else
    lua_pushnil(L);
  push_path(L, &in);
  if (mode >= 16)
    fuzz_push_named(L, &in, fields);
  else
    fuzz_push_value(L, &in);
  if (lua_istable(L, -1) && lua_getmetatable(L, -1))
    lua_pop(L, 1); /* one that raises */
  else if (lua_istable(L, -1) && (mode & 32)) {
    set_required(L);
    if (mode & 64)
      set_time(L, &in);
  }
  fuzz_call(L, 4, 0);
  return 0;
}
