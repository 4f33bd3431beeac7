#include "fuzz.h"

#include <math.h>
#include <stdio.h>

#define NODES 400 /* values in one */
#define LEVELS 8  /* of tables, but for chains */
#define CHAIN 128 /* levels of a chain */
#define STRING 64 /* bytes, mostly */

typedef struct maker {
  lua_State *L;
  input *in;
  int tables; /* index of the list of all that were made */
  int count;  /* of these */
  int nodes;
} maker;

static void push_value(maker *m, int depth);

/*
** Numbers and strings.
*/

static void push_bits(maker *m) {
  union {
    uint64_t bits;
    double number;
  } any = {.bits = input_bits(m->in)};
  lua_pushnumber(m->L, any.number);
}

static void push_special(maker *m) {
  static const double numbers[] = {-0.5,
                                   0.0,
                                   -0.0,
                                   0x1p53,
                                   -0x1p53,
                                   0x1p53 + 2,
                                   0x1p63,
                                   -0x1p63,
                                   0x1p64,
                                   INFINITY,
                                   -INFINITY,
                                   5e-324,
                                   2.2250738585e-308,
                                   1.7976931348623157e308,
                                   0.1,
                                   1e15,
                                   1e16,
                                   1e21,
                                   1e22,
                                   123456.75,
                                   1e-5,
                                   9.99e-6,
                                   0.5,
                                   1e100,
                                   4503599627370496.5};
  size_t count = sizeof numbers / sizeof *numbers;
  size_t which = input_below(m->in, count + 1);
  lua_pushnumber(m->L, which < count ? numbers[which] : NAN);
}

static void push_decimal(maker *m) {
  int64_t digits = (int64_t)(input_bits(m->in) >> input_below(m->in, 64));
  lua_pushnumber(m->L,
                 (double)digits / pow(10, (double)input_byte(m->in) / 8));
}

static void push_bytes(maker *m, size_t most) {
  size_t length;
  const char *text = input_bytes(m->in, most, &length);
  lua_pushlstring(m->L, text, length);
}

static void push_known(maker *m) {
  static const char *const known[] = {"",
                                      "1",
                                      "2",
                                      "-1",
                                      "0",
                                      "2.5",
                                      "9007199254740993",
                                      "1e+100",
                                      "01",
                                      "a",
                                      "name",
                                      "data",
                                      "user_id",
                                      "timestamp",
                                      "-0",
                                      "null",
                                      "1e5",
                                      "key with space",
                                      "\xC0\x80",
                                      "\xED\xA0\x80",
                                      "\xF4\x90\x80\x80",
                                      "\xE2\x82",
                                      "\"\\/\b\f\n\r\t\x7F",
                                      "\x01\x1F",
                                      "0.1",
                                      "4611686018427387905",
                                      "-9223372036854775808",
                                      "100000",
                                      "a/b",
                                      "\xEF\xBB\xBF",
                                      "\xF0\x9F\x98\x80",
                                      "\r\n",
                                      "nan",
                                      "inf"};
  lua_pushstring(m->L,
                 known[input_below(m->in, sizeof known / sizeof *known)]);
}

static void push_repeated(maker *m) {
  luaL_Buffer buffer;
  size_t length, times = input_below(m->in, 600);
  const char *text = input_bytes(m->in, 4, &length);
  luaL_buffinit(m->L, &buffer);
  while (times-- > 0)
    luaL_addlstring(&buffer, text, length);
  luaL_pushresult(&buffer);
}

/* Plain text with a byte here and there that is not. */
static void push_text(maker *m) {
  static const char odd[] = "\\\"/\x7F\x1F\x80\xBF\xC2\xE2\xED\xF0\xF4\xA0\n";
  luaL_Buffer buffer;
  size_t pieces = input_below(m->in, 12);
  luaL_buffinit(m->L, &buffer);
  while (pieces-- > 0) {
    uint8_t piece = input_byte(m->in);
    luaL_addlstring(&buffer, "abcdefghijklmno", piece % 16);
    luaL_addchar(&buffer, odd[piece / 16 % (sizeof odd - 1)]);
  }
  luaL_addlstring(&buffer, "0123456789abcdef", input_below(m->in, 17));
  luaL_pushresult(&buffer);
}

/*
** Tables.
*/

static int raise(lua_State *L) {
  return luaL_error(L, "a metamethod was called");
}

static void push_raising(lua_State *L) {
  static const char *const names[] = {
      "__index", "__newindex", "__len",    "__pairs", "__ipairs", "__tostring",
      "__eq",    "__call",     "__concat", "__name",  NULL};
  if (!luaL_newmetatable(L, "fuzz.raising"))
    return;
  for (const char *const *name = names; *name != NULL; name++) {
    lua_pushcfunction(L, raise);
    lua_setfield(L, -2, *name);
  }
}

static void set_metatable(maker *m) {
  switch (input_below(m->in, 8)) {
  case 0:
    luaL_getmetatable(m->L, "seerstack.array");
    break;
  case 1:
    push_raising(m->L);
    break;
  default:
    return;
  }
  lua_setmetatable(m->L, -2);
}

static void push_table(maker *m) {
  lua_newtable(m->L);
  lua_pushvalue(m->L, -1);
  lua_rawseti(m->L, m->tables, ++m->count);
}

/* Whether what is on the top can be a key. */
static bool is_key(lua_State *L) {
  if (lua_type(L, -1) == LUA_TNUMBER)
    return !isnan(lua_tonumber(L, -1));
  return !lua_isnil(L, -1);
}

static void set_any(maker *m, int depth) {
  push_value(m, depth);
  if (!is_key(m->L)) {
    lua_pop(m->L, 1);
    return;
  }
  push_value(m, depth);
  lua_rawset(m->L, -3);
}

static void set_named(maker *m, int depth) {
  if (input_byte(m->in) & 1)
    push_known(m);
  else
    push_bytes(m, 1 + input_below(m->in, 12));
  push_value(m, depth);
  lua_rawset(m->L, -3);
}

/* Keys of which some are spelled as others. */
static void set_twin(maker *m, int depth) {
  static const struct {
    double number;
    const char *text;
  } keys[] = {
      {1,      "1"               },
      {2,      "2"               },
      {2.5,    "2.5"             },
      {-1,     "-1"              },
      {1e100,  "1e+100"          },
      {0x1p53, "9007199254740992"}
  };
  size_t which = input_below(m->in, 2 * sizeof keys / sizeof *keys);
  if (which % 2)
    lua_pushstring(m->L, keys[which / 2].text);
  else
    lua_pushnumber(m->L, keys[which / 2].number);
  push_value(m, depth);
  lua_rawset(m->L, -3);
}

static void push_filled(maker *m, int depth, void (*set)(maker *, int)) {
  size_t count = input_below(m->in, 12);
  push_table(m);
  while (count-- > 0)
    set(m, depth + 1);
  set_metatable(m);
}

static void push_list(maker *m, int depth, bool holes) {
  int count = (int)input_below(m->in, 12), index = 0;
  push_table(m);
  for (int i = 0; i < count; i++) {
    index += holes ? 1 + input_byte(m->in) % 3 : 1;
    push_value(m, depth + 1);
    lua_rawseti(m->L, -2, index);
  }
  set_metatable(m);
}

/* From the last index to the first, so that they are in the hash. */
static void push_backwards(maker *m, int depth) {
  push_table(m);
  for (int i = (int)input_below(m->in, 9); i > 0; i--) {
    lua_pushnumber(m->L, i);
    push_value(m, depth + 1);
    lua_rawset(m->L, -3);
  }
}

/* Tables in one another, and a value in the last of them. */
static void push_chain(maker *m, int depth) {
  size_t levels = input_below(m->in, CHAIN), list = input_byte(m->in) & 1;
  push_value(m, depth + 1);
  while (levels-- > 0) {
    lua_newtable(m->L);
    lua_insert(m->L, -2);
    if (list)
      lua_rawseti(m->L, -2, 1);
    else
      lua_setfield(m->L, -2, "in");
  }
}

static void push_known_table(maker *m) {
  if (m->count == 0)
    lua_newtable(m->L);
  else
    lua_rawgeti(m->L, m->tables,
                (int)input_below(m->in, (size_t)m->count) + 1);
}

static void push_fault(maker *m) {
  static int place;
  switch (input_below(m->in, 5)) {
  case 0:
    lua_pushcfunction(m->L, raise);
    break;
  case 1:
    lua_newuserdata(m->L, 1);
    break;
  case 2:
    lua_newthread(m->L);
    break;
  case 3:
    lua_pushlightuserdata(m->L, &place);
    break;
  default:
    lua_getglobal(m->L, "seerstack");
  }
}

static void push_compound(maker *m, int depth) {
  switch (input_below(m->in, 8)) {
  case 0:
    push_list(m, depth, false);
    break;
  case 1:
    push_list(m, depth, true);
    break;
  case 2:
    push_filled(m, depth, set_any);
    break;
  case 3:
    push_backwards(m, depth);
    break;
  case 4:
    push_chain(m, depth);
    break;
  case 5:
    push_known_table(m);
    break;
  case 6:
    push_filled(m, depth, set_twin);
    break;
  default:
    push_filled(m, depth, set_named);
  }
}

static void push_scalar(maker *m, size_t kind) {
  switch (kind) {
  case 0:
    lua_pushnil(m->L);
    break;
  case 1:
    lua_pushboolean(m->L, input_byte(m->in) & 1);
    break;
  case 2:
    seer_pushint64(m->L, (int8_t)input_byte(m->in));
    break;
  case 3:
    seer_pushint64(m->L, (int64_t)input_bits(m->in));
    break;
  case 4:
    push_bits(m);
    break;
  case 5:
    push_special(m);
    break;
  case 6:
    push_decimal(m);
    break;
  case 7:
    push_bytes(m, input_below(m->in, STRING));
    break;
  case 8:
    push_known(m);
    break;
  case 9:
    push_repeated(m);
    break;
  case 10:
    push_text(m);
    break;
  default:
    lua_pushlightuserdata(m->L, NULL);
  }
}

static void push_value(maker *m, int depth) {
  size_t kind = input_below(m->in, 20);
  if (m->nodes++ > NODES)
    lua_pushboolean(m->L, 1);
  else if (kind <= 11 || depth > LEVELS)
    push_scalar(m, kind);
  else if (kind == 12 && input_byte(m->in) < 32)
    push_fault(m);
  else
    push_compound(m, depth);
}

/* The list of tables is on the stack below the value meanwhile. */
static maker begin(lua_State *L, input *in) {
  maker m = {L, in, lua_gettop(L) + 1, 0, 0};
  lua_newtable(L);
  return m;
}

void fuzz_push_value(lua_State *L, input *in) {
  maker m = begin(L, in);
  push_value(&m, 0);
  lua_remove(L, m.tables);
}

static void push_name(maker *m, const char *const *names) {
  size_t count = 0;
  while (names[count] != NULL)
    count++;
  if (input_byte(m->in) < 8)
    push_value(m, LEVELS);
  else
    lua_pushstring(m->L, names[input_below(m->in, count)]);
}

void fuzz_push_named(lua_State *L, input *in, const char *const *names) {
  maker m = begin(L, in);
  size_t count = input_below(in, 10);
  push_table(&m);
  while (count-- > 0) {
    push_name(&m, names);
    if (!is_key(L)) {
      lua_pop(L, 1);
      continue;
    }
    push_value(&m, 1);
    lua_rawset(L, -3);
  }
  lua_remove(L, m.tables);
}
