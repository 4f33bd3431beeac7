#include "event.h"

#include "compat.h"
#include "core/base/clock.h"
#include "core/base/json.h"
#include "number.h"

#define SCRATCH_KEPT 65536 /* bytes of memory, from one event to the next */

/* Below, no two integers are the same float. */
#define EXACT 0x1p53

#define FIELDS 4

/* The known fields of each kind, in the order in which they are sent. Their
   names have from 4 to 16 bytes. */
static const char *const names[][FIELDS + 1] = {
    {"name",    "user_id", "timestamp", "data",       NULL}, /* capture */
    {"user_id", "email",   "name",      "attributes", NULL}  /* identify */
};
static const size_t lengths[][FIELDS] = {
    {4, 7, 9, 4 },
    {7, 5, 4, 10}
};

/* What is being built. Each of these functions returns true, or pushes a
   message and returns false. */
typedef struct builder {
  lua_State *L;
  const seer_marks *marks;
  seer_stamp *stamp;
  seer_buffer *out;
  int event;        /* index of the caller's table */
  int at[FIELDS];   /* indices of the known fields' values... */
  int type[FIELDS]; /* ...and their types; LUA_TNIL: absent */
  const char *user; /* NULL: none is given */
  size_t user_length;
  char digits[SEER_NUMBER_LENGTH]; /* of a `user` that was a number */
} builder;

static bool fail(builder *b, const char *message) {
  lua_pushstring(b->L, message);
  return false;
}

static bool fail_field(builder *b, const char *name, const char *problem) {
  lua_pushfstring(b->L, "%s: %s", name, problem);
  return false;
}

/* True if a field is absent, or NULL as JSON's null is. */
static bool is_null(const builder *b, int field) {
  return b->type[field] == LUA_TNIL ||
         (b->type[field] == LUA_TLIGHTUSERDATA &&
          lua_touserdata(b->L, b->at[field]) == NULL);
}

/*
** Finding the fields.
*/

/* Whether two texts of 4 to 16 bytes are the same: two words of each tell. */
static bool same(const char *one, const char *other, size_t length) {
  if (length < 8)
    return memcmp(one, other, 4) == 0 &&
           memcmp(one + length - 4, other + length - 4, 4) == 0;
  return memcmp(one, other, 8) == 0 &&
         memcmp(one + length - 8, other + length - 8, 8) == 0;
}

/* The known field whose name is the key at `index`, or -1. */
static int find(lua_State *L, int index, seer_kind kind) {
  const char *key;
  size_t length;
  if (lua_type(L, index) != LUA_TSTRING)
    return -1;
  key = lua_tolstring(L, index, &length);
  for (int i = 0; i < FIELDS; i++)
    if (lengths[kind][i] == length && same(names[kind][i], key, length))
      return i;
  return -1;
}

/* Leaves the known fields above `top`; true if there are others. One pass
   over the table: to ask for each field by its name would make strings. */
static bool spread(builder *b, int top, seer_kind kind) {
  lua_State *L = b->L;
  bool others = false;
  int key = top + 1;
  lua_pushnil(L);
  while (lua_next(L, b->event)) {
    int field = find(L, key, kind);
    if (field >= 0) {
      b->at[field] = key + 1;
      b->type[field] = lua_type(L, key + 1);
      lua_pushvalue(L, key); /* above the value, which stays */
      key += 2;
    } else {
      others = true;
      lua_pop(L, 1);
    }
  }
  return others;
}

/*
** The user.
*/

static bool fail_user(builder *b) {
  return fail(b, "user_id: a non-empty string or an integral number is "
                 "required");
}

static bool read_user_number(builder *b, int index) {
  seer_buffer digits;
  int64_t value;
  lua_Number number = lua_tonumber(b->L, index);
  if (!lua_isinteger(b->L, index) && number - number == 0 &&
      (number >= EXACT || number <= -EXACT))
    return fail(b, "user_id: a number beyond 2^53 is not exact; give a "
                   "string");
  if (!seer_toint64(b->L, index, &value))
    return fail_user(b);
  seer_buffer_borrow(&digits, b->digits, sizeof(b->digits));
  seer_json_integer(&digits, value);
  b->user = b->digits;
  b->user_length = digits.length;
  return true;
}

static bool read_user(builder *b, int field) {
  lua_State *L = b->L;
  int index = b->at[field], type = b->type[field];
  if (type == LUA_TNUMBER)
    return read_user_number(b, index);
  if (type == SEER_TCDATA && seer_number_boxed(L, index))
    lua_replace(L, index); /* its digits */
  else if (type != LUA_TSTRING)
    return fail_user(b);
  b->user = lua_tolstring(L, index, &b->user_length);
  return b->user_length > 0 || fail_user(b);
}

/*
** Writing.
*/

/* What comes before the value of a field that is not the first. */
#define KEY(name) ",\"" name "\":"

static void write_string(builder *b, int index) {
  size_t length;
  const char *text = lua_tolstring(b->L, index, &length);
  seer_json_string(b->out, text, length);
}

static bool write_name(builder *b, int field) {
  const char *name = NULL;
  size_t length = 0;
  if (b->type[field] == LUA_TSTRING)
    name = lua_tolstring(b->L, b->at[field], &length);
  if (length == 0)
    return fail(b, "name: a non-empty string is required");
  seer_json_literal(b->out, "{\"name\":");
  seer_json_string(b->out, name, length);
  return true;
}

static void write_time(builder *b, int64_t wall) {
  const char *text = seer_clock_stamp(b->stamp, wall);
  char *room = seer_buffer_reserve(b->out, SEER_ISO8601_LENGTH + 2);
  if (room == NULL)
    return;
  room[0] = room[SEER_ISO8601_LENGTH + 1] = '"';
  memcpy(room + 1, text, SEER_ISO8601_LENGTH);
  b->out->length += SEER_ISO8601_LENGTH + 2;
}

/* Wall milliseconds of a number of seconds; false out of range. */
static bool to_wall(lua_Number seconds, int64_t *wall) {
  if (!(seconds >= 0 && seconds < (lua_Number)(SEER_CLOCK_LAST / 1000 + 1)))
    return false;
  *wall = (int64_t)(seconds * 1000 + 0.5);
  if (*wall > SEER_CLOCK_LAST)
    *wall = SEER_CLOCK_LAST;
  return true;
}

static bool write_timestamp(builder *b, int field) {
  lua_State *L = b->L;
  int index = b->at[field], type = b->type[field];
  int64_t wall;
  seer_json_literal(b->out, KEY("timestamp"));
  if (is_null(b, field))
    write_time(b, seer_clock_wall());
  else if (type == LUA_TNUMBER && to_wall(lua_tonumber(L, index), &wall))
    write_time(b, wall);
  else if (type == LUA_TSTRING && lua_rawlen(L, index) > 0)
    write_string(b, index);
  else
    return fail(b, "timestamp: must be a non-empty string or a number of "
                   "seconds from 0 to 253402300799");
  return true;
}

static bool write_text(builder *b, int field, const char *name,
                       const char *key) {
  int type = b->type[field];
  if (b->at[field] == 0)
    return true;
  seer_buffer_append(b->out, key, strlen(key));
  if (is_null(b, field))
    seer_json_literal(b->out, "null");
  else if (type == LUA_TSTRING)
    write_string(b, b->at[field]);
  else
    return fail_field(b, name, "must be a string");
  return true;
}

/* A table of named values: data and attributes. */
static bool write_named(builder *b, int field, const char *name,
                        const char *key, size_t key_length) {
  lua_State *L = b->L;
  size_t start;
  if (is_null(b, field))
    return true;
  if (b->type[field] != LUA_TTABLE) {
    lua_pushfstring(L, "%s: must be a table, got %s", name,
                    lua_typename(L, b->type[field]));
    return false;
  }
  seer_buffer_append(b->out, key, key_length);
  start = b->out->length;
  if (!seer_encode(L, b->at[field], b->marks, b->out, name))
    return false;
  if (b->out->length > start && b->out->data[start] == '[')
    return fail_field(b, name,
                      "must be a table of named values, not an array");
  return true;
}

#define NAMED(name) name, KEY(name), sizeof(KEY(name)) - 1

static bool write_capture(builder *b) {
  if (!write_name(b, 0))
    return false;
  if (!is_null(b, 1)) {
    if (!read_user(b, 1))
      return false;
    seer_json_literal(b->out, KEY("user_id"));
    seer_json_string(b->out, b->user, b->user_length);
  }
  return write_timestamp(b, 2) && write_named(b, 3, NAMED("data"));
}

static bool write_identify(builder *b) {
  if (!read_user(b, 0))
    return false;
  seer_json_literal(b->out, "{\"user_id\":");
  seer_json_string(b->out, b->user, b->user_length);
  return write_text(b, 1, "email", KEY("email")) &&
         write_text(b, 2, "name", KEY("name")) &&
         write_named(b, 3, NAMED("attributes"));
}

/* Nothing at all, or any table. */
static bool write_post(builder *b) {
  if (lua_isnil(b->L, b->event))
    return true;
  return seer_encode(b->L, b->event, b->marks, b->out, "body");
}

static bool write_body(builder *b, int top, seer_kind kind) {
  bool others;
  if (kind == SEER_POST)
    return write_post(b);
  others = spread(b, top, kind);
  if (!(kind == SEER_CAPTURE ? write_capture(b) : write_identify(b)))
    return false;
  if (others &&
      !seer_encode_others(b->L, b->event, b->marks, b->out, names[kind]))
    return false;
  seer_buffer_byte(b->out, '}');
  return b->out->error == SEER_BUFFER_OK || seer_encode_check(b->L, b->out);
}

static seer_event *make(builder *b, seer_kind kind,
                        const seer_special *special) {
  bool ordered = kind == SEER_IDENTIFY;
  seer_event *event = seer_event_new(kind, b->out->data, b->out->length,
                                     ordered ? b->user : NULL,
                                     ordered ? b->user_length : 0, special);
  if (event == NULL)
    lua_pushliteral(b->L, "out of memory");
  return event;
}

seer_event *seer_event_build(lua_State *L, int index, seer_kind kind,
                             const seer_building *with,
                             const seer_special *special) {
  builder b = {.L = L,
               .marks = with->marks,
               .stamp = with->stamp,
               .out = with->scratch,
               .event = index};
  seer_event *event = NULL;
  int top = lua_gettop(L);
  seer_buffer_reset(b.out, SCRATCH_KEPT);
  if (!lua_checkstack(L, 2 * FIELDS + SEER_ENCODE_STACK))
    lua_pushliteral(L, "stack overflow");
  else if (write_body(&b, top, kind))
    event = make(&b, kind, special);
  if (event == NULL) {
    top++;
    if (lua_gettop(L) > top)
      lua_replace(L, top); /* the message */
  }
  lua_settop(L, top);
  return event;
}
