#include "event.h"

#include "compat.h"
#include "core/base/clock.h"
#include "core/base/json.h"
#include "merge.h"
#include "number.h"
#include "raw.h"
#pragma GCC visibility push(hidden)

#define SCRATCH_KEPT 65536 /* bytes of memory, from one event to the next */

/* Below, no two integers are the same float. */
#define EXACT 0x1p53

/* The value of a known field. */
typedef struct value {
  int at;   /* its index, or 0 */
  int type; /* LUA_TNIL: absent */
} value;

/* What is being built. Each of these functions returns true, or pushes a
   message and returns false. */
typedef struct builder {
  lua_State *L;
  seer_building *with;
  seer_buffer *out;
  const seer_field *fields;  /* of its kind... */
  const void *const *names;  /* ...and those known to Lua */
  int event;                 /* index of the caller's table */
  value values[SEER_FIELDS]; /* of the known fields */
  bool ordered;              /* among those with the same id */
  const char *id;            /* NULL: none is given */
  size_t id_length;
  char digits[SEER_NUMBER_LENGTH]; /* of an id that was a number */
} builder;

static bool fail(builder *b, const seer_field *f, const char *problem) {
  lua_pushfstring(b->L, "%s: %s", f->name, problem);
  return false;
}

static bool is_pointer_null(const builder *b, const value *v) {
  if (v->type == LUA_TLIGHTUSERDATA)
    return lua_touserdata(b->L, v->at) == NULL;
  return v->type == SEER_TCDATA && seer_number_null(b->L, v->at);
}

/* True if a field is absent, or NULL as JSON's null is. What fields have
   most is asked first. */
static inline bool is_null(const builder *b, const value *v) {
  return v->type == LUA_TNIL ||
         (v->type != LUA_TSTRING && v->type != LUA_TTABLE &&
          is_pointer_null(b, v));
}

/* The known field whose name is the key at `index`, or -1. */
static int find(const builder *b, int index) {
  const void *pointer = lua_topointer(b->L, index);
  const char *key;
  size_t length;
  for (int i = 0; i < SEER_FIELDS; i++)
    if (b->names[i] == pointer && pointer != NULL)
      return i;
  if (lua_type(b->L, index) != LUA_TSTRING)
    return -1;
  key = lua_tolstring(b->L, index, &length);
  return seer_kind_find(b->fields, key, length);
}

/* Leaves the known fields above `top`; true if there are others. One pass
   over the table: to ask for each field by its name would make strings. */
static bool spread(builder *b, int top) {
  lua_State *L = b->L;
  bool others = false;
  int key = top + 1;
  lua_pushnil(L);
  while (lua_next(L, b->event)) {
    int field = find(b, key);
    if (field >= 0) {
      b->values[field].at = key + 1;
      b->values[field].type = lua_type(L, key + 1);
      lua_pushvalue(L, key); /* above the value, which stays */
      key += 2;
    } else {
      others = true;
      lua_pop(L, 1);
    }
  }
  return others;
}

static bool fail_id(builder *b, const seer_field *f) {
  return fail(b, f,
              "a non-empty string or an integral number is "
              "required");
}

static bool read_id_number(builder *b, const seer_field *f, const value *v) {
  int index = v->at;
  seer_buffer digits;
  int64_t integer;
  lua_Number number = lua_tonumber(b->L, index);
  if (!lua_isinteger(b->L, index) && number - number == 0 &&
      (number >= EXACT || number <= -EXACT))
    return fail(b, f, "a number beyond 2^53 is not exact; give a string");
  if (!seer_toint64(b->L, index, &integer))
    return fail_id(b, f);
  seer_buffer_borrow(&digits, b->digits, sizeof(b->digits));
  seer_json_integer(&digits, integer);
  b->id = b->digits;
  b->id_length = digits.length;
  return true;
}

/* A copy of a size that the compiler knows is cheaper, where there is room;
   after an error nobody will look at it. */
static inline void write_key(builder *b, const seer_field *f) {
  seer_buffer *out = b->out;
  if (out->capacity - out->length >= SEER_KEY_ROOM) {
    memcpy(out->data + out->length, f->key, SEER_KEY_ROOM);
    out->length += f->key_length;
  } else
    seer_buffer_append(out, f->key, f->key_length);
}

static void write_string(builder *b, int index) {
  size_t length;
  const char *text = lua_tolstring(b->L, index, &length);
  seer_json_string(b->out, text, length);
}

static bool write_name(builder *b, const seer_field *f, const value *v) {
  const char *name = NULL;
  size_t length = 0;
  if (v->type == LUA_TSTRING)
    name = lua_tolstring(b->L, v->at, &length);
  if (length == 0)
    return fail(b, f, "a non-empty string is required");
  write_key(b, f);
  seer_json_string(b->out, name, length);
  return true;
}

/* Finds the bytes of an id that is no number. */
static inline bool read_id_text(builder *b, const seer_field *f,
                                const value *v) {
  int index = v->at, type = v->type;
  if (type == SEER_TCDATA && seer_number_boxed(b->L, index))
    lua_replace(b->L, index); /* its digits */
  else if (type != LUA_TSTRING)
    return fail_id(b, f);
  b->id = lua_tolstring(b->L, index, &b->id_length);
  return b->id_length > 0 || fail_id(b, f);
}

static bool write_id(builder *b, const seer_field *f, const value *v) {
  if (!(v->type == LUA_TNUMBER ? read_id_number(b, f, v)
                               : read_id_text(b, f, v)))
    return false;
  write_key(b, f);
  seer_json_string(b->out, b->id, b->id_length);
  return true;
}

static void write_time(builder *b, int64_t wall) {
  const char *text = seer_clock_stamp(b->with->stamp, wall);
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

static bool write_timestamp(builder *b, const seer_field *f, const value *v) {
  lua_State *L = b->L;
  int index = v->at, type = v->type;
  int64_t wall;
  write_key(b, f);
  if (is_null(b, v))
    write_time(b, seer_clock_wall());
  else if (type == LUA_TNUMBER && to_wall(lua_tonumber(L, index), &wall))
    write_time(b, wall);
  else if (type == LUA_TSTRING && lua_rawlen(L, index) > 0)
    write_string(b, index);
  else
    return fail(b, f,
                "must be a non-empty string or a number of "
                "seconds from 0 to 253402300799");
  return true;
}

static bool write_text(builder *b, const seer_field *f, const value *v) {
  int type = v->type;
  if (v->at == 0)
    return true;
  write_key(b, f);
  if (is_null(b, v))
    seer_json_literal(b->out, "null");
  else if (type == LUA_TSTRING)
    write_string(b, v->at);
  else
    return fail(b, f, "must be a string");
  return true;
}

/* What is empty by raw access may be meant otherwise. */
static void note_hollow(builder *b, const seer_field *f, const value *v) {
  if (v->type != LUA_TTABLE || !seer_merge_is_hollow(b->L, v->at))
    return;
  b->with->hollow = f->name;
  b->with->others = true;
}

/* Leaves a copy of the value on the stack. */
static bool encode(builder *b, int index, int type, const char *name) {
  lua_pushvalue(b->L, index);
  return seer_encode(b->L, lua_gettop(b->L), type, b->with->marks, b->out,
                     name);
}

static bool write_named(builder *b, const seer_field *f, const value *v) {
  lua_State *L = b->L;
  const char *name = f->name;
  size_t start;
  if (is_null(b, v))
    return true;
  if (v->type != LUA_TTABLE && !seer_raw_is_object(L, v->at)) {
    lua_pushfstring(L, "%s: must be a table, got %s", name,
                    lua_typename(L, v->type));
    return false;
  }
  write_key(b, f);
  start = b->out->length;
  if (!encode(b, v->at, v->type, name))
    return false;
  if (b->out->length > start && b->out->data[start] == '[')
    return fail(b, f, "must be a table of named values, not an array");
  if (b->out->length == start + 2) /* "{}" */
    note_hollow(b, f, v);
  return true;
}

static inline bool write_field(builder *b, const seer_field *f,
                               const value *v) {
  switch (f->form) {
  case SEER_FORM_NAME:
    return write_name(b, f, v);
  case SEER_FORM_OWNER:
    b->ordered = true;
    return write_id(b, f, v);
  case SEER_FORM_USER:
    return is_null(b, v) || write_id(b, f, v);
  case SEER_FORM_TIME:
    return write_timestamp(b, f, v);
  case SEER_FORM_TEXT:
    return write_text(b, f, v);
  default:
    return write_named(b, f, v);
  }
}

/* Nothing at all, or any table. */
static bool write_post(builder *b) {
  int type = lua_type(b->L, b->event);
  return type == LUA_TNIL || encode(b, b->event, type, "body");
}

/* Each field begins with a comma; that of the first is a brace's place. */
static bool write_body(builder *b, int top, seer_kind kind) {
  const seer_field *f;
  const value *v = b->values;
  bool others;
  if (kind == SEER_POST)
    return write_post(b);
  b->fields = seer_kinds[kind].fields;
  b->names = b->with->marks->names[kind];
  others = spread(b, top);
  for (f = b->fields; f->form != SEER_FORM_NONE; f++, v++)
    if (!write_field(b, f, v))
      return false;
  if (others) {
    b->with->others = true;
    lua_pushvalue(b->L, b->event);
    if (!seer_encode_others(b->L, lua_gettop(b->L), b->with->marks, b->out,
                            b->fields))
      return false;
  }
  seer_buffer_byte(b->out, '}');
  if (b->out->error != SEER_BUFFER_OK)
    return seer_encode_check(b->L, b->out);
  b->out->data[0] = '{';
  return true;
}

static seer_event *make(builder *b, seer_kind kind,
                        const seer_special *special) {
  seer_event *event = seer_event_new(&(seer_draft){
      .kind = kind,
      .body = b->out->data,
      .length = b->out->length,
      .user = b->ordered ? b->id : NULL,
      .user_length = b->id_length,
      .special = special,
      .stored = b->with->stored,
      .hand = b->with->hand,
  });
  if (event == NULL)
    lua_pushliteral(b->L, "out of memory");
  return event;
}

static void begin(builder *b, lua_State *L, int index, seer_building *with) {
  b->L = L;
  b->with = with;
  b->out = with->scratch;
  with->scratch = NULL;
  b->event = index;
  memset(b->values, 0, sizeof b->values); /* LUA_TNIL is 0 */
  b->ordered = false;
  b->id = NULL;
  b->id_length = 0;
}

seer_event *seer_event_build(lua_State *L, int index, seer_kind kind,
                             seer_building *with,
                             const seer_special *special) {
  builder b;
  seer_event *event = NULL;
  int top = lua_gettop(L);
  begin(&b, L, index, with);
  seer_buffer_reset(b.out, SCRATCH_KEPT);
  if (!lua_checkstack(L, 2 * SEER_FIELDS + SEER_ENCODE_STACK))
    lua_pushliteral(L, "stack overflow");
  else if (write_body(&b, top, kind))
    event = make(&b, kind, special);
  with->scratch = b.out;
  if (event != NULL)
    return event;
  top++;
  if (lua_gettop(L) > top)
    lua_replace(L, top); /* the message */
  lua_settop(L, top);
  return NULL;
}
