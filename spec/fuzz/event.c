/*
 * The arguments of capture, identify and post, in test mode: event.lua knows
 * the rules, and looks at what would have been sent.
 */

#include "support/fuzz.h"

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

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  input in = input_of(data, size);
  lua_State *L = fuzz_state();
  uint8_t mode = input_byte(&in);
  lua_pushcfunction(L, is_json);
  lua_setglobal(L, "is_json");
  lua_pushcfunction(L, repair);
  lua_setglobal(L, "repair");
  fuzz_push_script(L, "spec/fuzz/event.lua");
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
  fuzz_call(L, 4, 0);
  return 0;
}
