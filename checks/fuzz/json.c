/*
 * The JSON writer, from any Lua value. Two oracles: lua-cjson's decoder, and
 * a walk of the text beside the value it was made of. Besides, which values
 * are refused, and what ceiling a text fits under.
 */

#include "support/fuzz.h"

#include "encode.h"
#include "marks.h"
#include "number.h"

#include <math.h>
#include <stdio.h>

#define ROOM 65536    /* bytes of JSON, at most */
#define BUDGET 100000 /* values that are looked at */

/*
** Which values can be sent.
*/

typedef enum judgement { FINE, FAULTY, UNKNOWN } judgement;

static judgement judge(lua_State *L, int at, int depth, int *budget);

static bool is_marked(lua_State *L, int at) {
  bool marked;
  if (!lua_getmetatable(L, at))
    return false;
  luaL_getmetatable(L, "seerstack.array");
  marked = lua_rawequal(L, -1, -2);
  lua_pop(L, 2);
  return marked;
}

static bool is_index(lua_State *L, int at) {
  double number = lua_tonumber(L, at);
  return lua_type(L, at) == LUA_TNUMBER && number > 0 && number < 0x1p63 &&
         floor(number) == number;
}

/* The length of an array, or -1; a marked table is as long as its largest
   index, another must have all of them. */
static double array_length(lua_State *L, int at) {
  double last = 0, count = 0;
  bool marked = is_marked(L, at);
  for (lua_pushnil(L); lua_next(L, at); count++) {
    lua_pop(L, 1);
    if (!is_index(L, -1)) {
      lua_pop(L, 1);
      return -1;
    }
    last = fmax(last, lua_tonumber(L, -1));
  }
  return marked || (count > 0 && last == count) ? last : -1;
}

/* How a number is written; pushes it. */
static void push_spelling(lua_State *L, int at) {
  char memory[SEER_NUMBER_LENGTH];
  seer_buffer out;
  seer_buffer_borrow(&out, memory, sizeof memory);
  seer_number_name(L, at, &out);
  lua_pushlstring(L, memory, out.length);
}

/* Whether two such keys may be sent as the same. */
static bool may_be_mended(lua_State *L) {
  size_t length;
  const char *text;
  if (lua_type(L, -1) != LUA_TSTRING)
    return false;
  text = lua_tolstring(L, -1, &length);
  for (size_t i = 0; i < length; i++)
    if ((unsigned char)text[i] >= 0x80)
      return true;
  return false;
}

/* The key on the top, of the table at `at`. */
static bool is_faulty_key(lua_State *L, int at) {
  bool collides;
  if (lua_type(L, -1) == LUA_TSTRING)
    return false;
  if (lua_type(L, -1) != LUA_TNUMBER || !isfinite(lua_tonumber(L, -1)))
    return true;
  push_spelling(L, lua_gettop(L));
  lua_rawget(L, at);
  collides = !lua_isnil(L, -1);
  lua_pop(L, 1);
  return collides;
}

static judgement judge_table(lua_State *L, int at, int depth, int *budget) {
  judgement all = FINE;
  bool array;
  if (depth == SEER_ENCODE_DEPTH)
    return FAULTY;
  array = array_length(L, at) >= 0;
  if (!array && is_marked(L, at))
    return FAULTY;
  for (lua_pushnil(L); lua_next(L, at); lua_pop(L, 1)) {
    judgement one = judge(L, lua_gettop(L), depth + 1, budget);
    lua_pushvalue(L, -2);
    if (!array && is_faulty_key(L, at))
      one = FAULTY;
    else if (!array && one == FINE && may_be_mended(L))
      one = UNKNOWN;
    lua_pop(L, 1);
    all = one > all ? one : all;
    if (all == UNKNOWN) {
      lua_pop(L, 2);
      return all;
    }
  }
  return all;
}

static judgement judge(lua_State *L, int at, int depth, int *budget) {
  if (--*budget < 0)
    return UNKNOWN;
  switch (lua_type(L, at)) {
  case LUA_TTABLE:
    return judge_table(L, at, depth, budget);
  case LUA_TNIL:
  case LUA_TBOOLEAN:
  case LUA_TNUMBER:
  case LUA_TSTRING:
    return FINE;
  case LUA_TLIGHTUSERDATA:
    return lua_touserdata(L, at) == NULL ? FINE : FAULTY;
  default:
    return FAULTY;
  }
}

static bool has_reason(const char *message, size_t length) {
  static const char *const reasons[] = {
      "cannot be sent", "cannot be a key", "collide",
      "more than 100 levels of tables", "not an index of an array"};
  for (size_t i = 0; i < sizeof reasons / sizeof *reasons; i++)
    if (fuzz_contains(message, length, reasons[i]))
      return true;
  return false;
}

/*
** The text beside the value, and beside what lua-cjson makes of it, which is
** at the index `decoded`; 0: not to be compared.
*/

typedef struct reader {
  lua_State *L;
  const char *at, *end;
} reader;

static void read_value(reader *r, int at, int decoded);

static void expect(reader *r, const char *text, size_t length) {
  fuzz_check((size_t)(r->end - r->at) >= length &&
                 memcmp(r->at, text, length) == 0,
             "expected '%.*s' at '%.*s'", (int)length, text,
             (int)(r->end - r->at), r->at);
  r->at += length;
}

static void expect_text(reader *r, const char *text) {
  expect(r, text, strlen(text));
}

/* Pushes the string at `at` with U+FFFD where it is not UTF-8. */
static void push_repaired(lua_State *L, int at) {
  size_t length;
  const uint8_t *text = (const uint8_t *)lua_tolstring(L, at, &length);
  const uint8_t *end = text + length;
  luaL_Buffer out;
  luaL_buffinit(L, &out);
  while (text < end) {
    int taken = fuzz_character(text, end);
    if (taken < 0)
      luaL_addstring(&out, "\xEF\xBF\xBD");
    else
      luaL_addlstring(&out, (const char *)text, (size_t)taken);
    text += taken < 0 ? -taken : taken;
  }
  luaL_pushresult(&out);
}

static void expect_byte(reader *r, uint8_t byte) {
  static const char named[] = "\b\f\n\r\t\"\\", letters[] = "bfnrt\"\\";
  const char *place = byte != 0 ? strchr(named, byte) : NULL;
  char text[8];
  if (place != NULL)
    snprintf(text, sizeof text, "\\%c", letters[place - named]);
  else if (byte < 0x20)
    snprintf(text, sizeof text, "\\u%04x", byte);
  else
    snprintf(text, sizeof text, "%c", byte);
  expect_text(r, text);
}

static void read_string(reader *r, int at) {
  size_t length;
  const char *text;
  push_repaired(r->L, at);
  text = lua_tolstring(r->L, -1, &length);
  expect_text(r, "\"");
  for (size_t i = 0; i < length; i++)
    expect_byte(r, (uint8_t)text[i]);
  expect_text(r, "\"");
  lua_pop(r->L, 1);
}

static void read_number(reader *r, int at) {
  lua_State *L = r->L;
  size_t length;
  char text[64];
  if (!isfinite(lua_tonumber(L, at))) {
    expect_text(r, "null");
    return;
  }
  length = fuzz_json_number(r->at, r->end);
  fuzz_check(length > 0 && length < sizeof text, "no number");
  memcpy(text, r->at, length);
  text[length] = '\0';
  if (lua_isinteger(L, at))
    fuzz_check(strtoll(text, NULL, 10) == (int64_t)lua_tointeger(L, at) &&
                   strpbrk(text, ".e") == NULL,
               "an integer is %s", text);
  fuzz_check(strtod(text, NULL) == (double)lua_tonumber(L, at), "%a is %s",
             (double)lua_tonumber(L, at), text);
  r->at += length;
}

static bool is_null(lua_State *L, int at) {
  return lua_islightuserdata(L, at) && lua_touserdata(L, at) == NULL;
}

static void compare_scalar(lua_State *L, int at, int decoded) {
  bool same;
  switch (lua_type(L, at)) {
  case LUA_TSTRING:
    push_repaired(L, at);
    same = lua_rawequal(L, -1, decoded);
    lua_pop(L, 1);
    break;
  case LUA_TNUMBER:
    same = isfinite(lua_tonumber(L, at))
               ? lua_type(L, decoded) == LUA_TNUMBER &&
                     lua_tonumber(L, decoded) == lua_tonumber(L, at)
               : is_null(L, decoded);
    break;
  case LUA_TBOOLEAN:
    same = lua_rawequal(L, at, decoded);
    break;
  default:
    same = is_null(L, decoded);
  }
  fuzz_check(same, "lua-cjson reads another %s",
             lua_typename(L, lua_type(L, at)));
}

static void read_array(reader *r, int at, int decoded, int length) {
  lua_State *L = r->L;
  int top = lua_gettop(L);
  expect_text(r, "[");
  if (decoded != 0)
    fuzz_check((int)lua_rawlen(L, decoded) == length, "an array of %d",
               length);
  for (int i = 1; i <= length; i++) {
    if (i > 1)
      expect_text(r, ",");
    lua_rawgeti(L, at, i);
    if (decoded != 0)
      lua_rawgeti(L, decoded, i);
    read_value(r, top + 1, decoded != 0 ? top + 2 : 0);
    lua_settop(L, top);
  }
  expect_text(r, "]");
}

/* The key at `at`. Pushes what lua-cjson has for it, or nothing: keys that
   are not UTF-8 may have become one. */
static bool push_decoded(lua_State *L, int at, int decoded) {
  if (decoded == 0)
    return false;
  if (lua_type(L, at) == LUA_TNUMBER) {
    push_spelling(L, at);
  } else {
    push_repaired(L, at);
    if (!lua_rawequal(L, -1, at)) {
      lua_pop(L, 1);
      return false;
    }
    size_t length;
    const char *text = lua_tolstring(L, -1, &length);
    if (fuzz_contains(text, length, "\xEF\xBF\xBD")) {
      lua_pop(L, 1);
      return false;
    }
  }
  lua_rawget(L, decoded);
  return true;
}

static void read_object(reader *r, int at, int decoded) {
  lua_State *L = r->L;
  const char *separator = "{";
  int key = lua_gettop(L) + 1;
  for (lua_pushnil(L); lua_next(L, at); lua_settop(L, key)) {
    expect_text(r, separator);
    separator = ",";
    if (lua_type(L, key) == LUA_TNUMBER) {
      expect_text(r, "\"");
      read_number(r, key);
      expect_text(r, "\"");
    } else {
      read_string(r, key);
    }
    expect_text(r, ":");
    read_value(r, key + 1, push_decoded(L, key, decoded) ? key + 2 : 0);
  }
  expect_text(r, *separator == '{' ? "{}" : "}");
}

static void read_value(reader *r, int at, int decoded) {
  lua_State *L = r->L;
  int type = lua_type(L, at);
  luaL_checkstack(L, 20, "no room");
  if (type == LUA_TTABLE) {
    double length = array_length(L, at);
    fuzz_check(decoded == 0 || lua_istable(L, decoded),
               "lua-cjson reads no table");
    if (length >= 0)
      read_array(r, at, decoded, (int)length);
    else
      read_object(r, at, decoded);
    return;
  }
  if (type == LUA_TSTRING)
    read_string(r, at);
  else if (type == LUA_TNUMBER)
    read_number(r, at);
  else if (type == LUA_TBOOLEAN)
    expect_text(r, lua_toboolean(L, at) ? "true" : "false");
  else
    expect_text(r, "null");
  if (decoded != 0)
    compare_scalar(L, at, decoded);
}

/* Pushes what lua-cjson reads; it takes tables and arrays alone. */
static bool push_cjson(lua_State *L, const char *text, size_t length) {
  lua_getfield(L, LUA_REGISTRYINDEX, "fuzz.decode");
  if (lua_isnil(L, -1)) {
    lua_pop(L, 1);
    if (luaL_dostring(L, "local c = cjson.new()\n"
                         "c.decode_invalid_numbers(false)\n"
                         "return c.decode"))
      fuzz_fail("%s", lua_tostring(L, -1));
    lua_pushvalue(L, -1);
    lua_setfield(L, LUA_REGISTRYINDEX, "fuzz.decode");
  }
  lua_pushlstring(L, text, length);
  fuzz_call(L, 1, 1);
  return true;
}

static void check_text(lua_State *L, int at, const char *text, size_t length) {
  reader r = {L, text, text + length};
  fuzz_check(fuzz_is_json(text, length), "not JSON: %.*s", (int)length, text);
  push_cjson(L, text, length);
  read_value(&r, at, lua_gettop(L));
  fuzz_check(r.at == r.end, "more than the value: %.*s", (int)length, text);
  lua_pop(L, 1);
}

/*
** Ceilings.
*/

/* Encodes under a ceiling, into memory of just that size. */
static bool fits(lua_State *L, int at, size_t ceiling, const char *expected) {
  seer_buffer out;
  int top = lua_gettop(L);
  bool done;
  seer_buffer_init(&out, ceiling);
  done = seer_encode(L, at, lua_type(L, at), seer_marks_get(L), &out, "data");
  fuzz_check(out.length <= ceiling, "past the ceiling");
  if (done)
    fuzz_check(memcmp(out.data, expected, out.length) == 0, "another text");
  else
    fuzz_check(out.error == SEER_BUFFER_FULL, "refused: %s",
               lua_tostring(L, -1));
  lua_settop(L, top);
  seer_buffer_clear(&out);
  return done;
}

static void check_refusal(lua_State *L, judgement judged,
                          const seer_buffer *out) {
  size_t length;
  const char *message = lua_tolstring(L, -1, &length);
  if (out->error) {
    fuzz_check(fuzz_contains(message, length, "event too large"), "%s",
               message);
    return;
  }
  fuzz_check(judged != FINE, "refused: %s", message);
  fuzz_check(has_reason(message, length), "no reason: %s", message);
  fuzz_check(strncmp(message, "data", 4) == 0, "no path: %s", message);
  fuzz_check(fuzz_is_utf8(message, length), "not UTF-8: %s", message);
  fuzz_check(strlen(message) == length && strcspn(message, "\r\n") == length,
             "not a line: %s", message);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  input in = input_of(data, size);
  lua_State *L = fuzz_state();
  seer_buffer out;
  int budget = BUDGET;
  judgement judged;
  size_t guess = input_below(&in, 2048);
  fuzz_push_value(L, &in);
  judged = judge(L, 1, 0, &budget);
  seer_buffer_init(&out, ROOM);
  if (seer_encode(L, 1, lua_type(L, 1), seer_marks_get(L), &out, "data")) {
    fuzz_check(lua_gettop(L) == 1, "the stack is not as it was");
    fuzz_check(judged != FAULTY, "accepted: %.*s", (int)out.length, out.data);
    check_text(L, 1, out.data, out.length);
    fuzz_check(fits(L, 1, out.length, out.data), "does not fit");
    fuzz_check(!fits(L, 1, out.length - 1, out.data), "fits in too little");
    fuzz_check(fits(L, 1, guess, out.data) == (guess >= out.length),
               "%zu in %zu", out.length, guess);
  } else {
    fuzz_check(lua_type(L, -1) == LUA_TSTRING, "no message on the top");
    check_refusal(L, judged, &out);
  }
  seer_buffer_clear(&out);
  return 0;
}
