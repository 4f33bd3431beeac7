#include "path.h"

#include "core/base/ascii.h"
#include "core/base/json.h"
#include "number.h"

#include <stdbool.h>
#pragma GCC visibility push(hidden)

#define SHOWN_FIRST 3  /* keys at the beginning of a long path */
#define SHOWN_LAST 2   /* and at its end */
#define SHOWN_BYTES 40 /* of a key */

/* Room for a field, the keys shown (a byte of a string may become six when
   it is escaped) and the problem. */
#define MESSAGE_LENGTH 2048

static bool is_identifier(const char *text, size_t length) {
  static const char letters[] = "abcdefghijklmnopqrstuvwxyz"
                                "ABCDEFGHIJKLMNOPQRSTUVWXYZ_0123456789";
  return length > 0 && length <= SHOWN_BYTES &&
         !(text[0] >= '0' && text[0] <= '9') &&
         strspn(text, letters) == length;
}

static void append_string(seer_buffer *out, const char *text, size_t length) {
  size_t shown = seer_cut(text, length, SHOWN_BYTES);
  if (is_identifier(text, length)) {
    if (out->length > 0)
      seer_buffer_byte(out, '.');
    seer_buffer_text(out, text);
    return;
  }
  seer_buffer_byte(out, '[');
  seer_json_string(out, text, shown);
  seer_buffer_text(out, shown < length ? "...]" : "]");
}

static void append_key(lua_State *L, int index, seer_buffer *out) {
  size_t length;
  const char *text;
  if (lua_type(L, index) == LUA_TSTRING) {
    text = lua_tolstring(L, index, &length);
    append_string(out, text, length);
    return;
  }
  seer_buffer_byte(out, '[');
  if (lua_type(L, index) == LUA_TNUMBER)
    seer_number_name(L, index, out);
  else
    seer_buffer_text(out, lua_typename(L, lua_type(L, index)));
  seer_buffer_byte(out, ']');
}

static void append_keys(lua_State *L, int first, seer_buffer *out) {
  int last = lua_gettop(L);
  int count = (last - first) / 2 + 1;
  int i;
  for (i = 0; i < count; i++) {
    if (count > SHOWN_FIRST + SHOWN_LAST && i == SHOWN_FIRST) {
      seer_buffer_text(out, " ... ");
      i = count - SHOWN_LAST;
    }
    append_key(L, first + 2 * i, out);
  }
}

void seer_path_message(lua_State *L, const char *field, int first,
                       const char *problem) {
  char memory[MESSAGE_LENGTH];
  seer_buffer out;
  seer_buffer_borrow(&out, memory, sizeof(memory));
  if (field != NULL)
    seer_buffer_text(&out, field);
  if (first <= lua_gettop(L))
    append_keys(L, first, &out);
  if (out.length > 0)
    seer_buffer_text(&out, ": ");
  seer_buffer_text(&out, problem);
  lua_pushlstring(L, memory, out.length);
}
