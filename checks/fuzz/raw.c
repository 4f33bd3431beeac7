/*
 * JSON text as a value. Two oracles: what is accepted, lua-cjson decodes; what
 * is refused, the reader that judges what the module writes does not know.
 */

#include "support/fuzz.h"

#include "encode.h"
#include "marks.h"
#include "raw.h"

#include <string.h>

/* Whether lua-cjson decodes the text at `index`. */
static bool cjson_takes(lua_State *L, int index) {
  bool taken;
  if (luaL_dostring(L, "local c = cjson.new()\n"
                       "c.decode_invalid_numbers(false)\n"
                       "return c.decode"))
    fuzz_fail("%s", lua_tostring(L, -1));
  lua_pushvalue(L, index);
  taken = lua_pcall(L, 1, 1, 0) == 0;
  lua_pop(L, 1);
  return taken;
}

/* Its members, written by the encoder, are JSON too. */
static void check_members(lua_State *L, int index) {
  seer_buffer out;
  int top = lua_gettop(L);
  seer_buffer_init(&out, SIZE_MAX / 2);
  lua_pushvalue(L, index);
  seer_raw_unfold(L, top + 1, NULL);
  if (seer_encode(L, top + 1, lua_type(L, top + 1), seer_marks_get(L), &out,
                  "data")) {
    lua_pushlstring(L, out.data, out.length);
    fuzz_check(cjson_takes(L, lua_gettop(L)), "members: %.*s", (int)out.length,
               out.data);
  } else {
    fuzz_fail("members: %s", lua_tostring(L, -1));
  }
  seer_buffer_clear(&out);
  lua_settop(L, top);
}

static void check_accepted(lua_State *L, const char *text, size_t length,
                           const seer_buffer *out) {
  fuzz_check(cjson_takes(L, 1), "lua-cjson refuses %s", text);
  fuzz_check(fuzz_is_utf8(text, length), "not UTF-8: %s", text);
  fuzz_check(fuzz_contains(text, length, lua_tostring(L, -1)), "another text");
  fuzz_check(out->length == lua_rawlen(L, -1) &&
                 memcmp(out->data, lua_tostring(L, -1), out->length) == 0,
             "tostring differs");
  check_members(L, 2);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  lua_State *L = fuzz_state();
  seer_buffer out;
  const char *text, *message;
  size_t length;
  lua_settop(L, 0);
  lua_pushlstring(L, (const char *)data, size);
  text = lua_tolstring(L, 1, &length);
  lua_pushcfunction(L, seer_raw_new);
  lua_pushvalue(L, 1);
  fuzz_call(L, 1, 1);
  seer_buffer_init(&out, SIZE_MAX / 2);
  luaL_checkstack(L, SEER_ENCODE_STACK, "no room");
  if (seer_encode(L, 2, lua_type(L, 2), seer_marks_get(L), &out, "data")) {
    luaL_tolstring(L, 2, NULL);
    check_accepted(L, text, length, &out);
  } else {
    message = lua_tostring(L, -1);
    fuzz_check(strncmp(message, "data: ", 6) == 0, "no path: %s", message);
    fuzz_check(strstr(message, "levels") != NULL ||
                   !fuzz_is_json(text, length),
               "refused: %s", message);
  }
  seer_buffer_clear(&out);
  lua_settop(L, 0);
  return 0;
}
