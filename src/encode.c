#include "encode.h"

#include "compat.h"
#include "core/base/json.h"
#include "holder.h"
#include "number.h"
#include "path.h"
#include "raw.h"

#include <stdio.h>
#pragma GCC visibility push(hidden)

#define PROBLEM_LENGTH 120

/*
** The walk. A table at the stack index `at` has the key in turn at at + 1
** and its value at at + 2, where the next table may be. So when something
** is wrong the keys on the stack are the path to it; nothing is popped.
*/

typedef struct walk {
  lua_State *L;
  seer_buffer *out;
  const seer_marks *marks;
  size_t ahead;  /* keys that were looked at before their turn */
  size_t mended; /* keys with something in them that was not UTF-8 */
  int depth;     /* tables around the value in turn */
  char problem[PROBLEM_LENGTH];
} walk;

static bool write_other(walk *w, int at, int type);
static bool write_unmarked(walk *w, int at, bool may_be_array);

/* The format may name the argument once or twice, or not at all. */
static bool fail(walk *w, const char *format, const char *argument) {
  snprintf(w->problem, sizeof(w->problem), format, argument, argument);
  return false;
}

static bool fail_type(walk *w, int index, const char *format) {
  return fail(w, format, lua_typename(w->L, lua_type(w->L, index)));
}

static bool fail_depth(walk *w) {
  return fail(w, "more than 100 levels of tables", "");
}

/* About the table at `at` itself: its key is not a part of the path. */
static bool fail_key(walk *w, int at, const char *format,
                     const char *argument) {
  lua_settop(w->L, at);
  return fail(w, format, argument);
}

/* Counts a key that is looked at before its turn. Each is the start of at
   least two more bytes, so an event with many cannot fit: this bounds the
   time that a table within itself can take. */
static bool look_ahead(walk *w) {
  if (++w->ahead <= w->out->ceiling)
    return true;
  w->out->error = SEER_BUFFER_FULL;
  return false;
}

/* True if the key at `index` is an index of arrays: 1, 2, 3... */
static bool is_index(lua_State *L, int index, int64_t *value) {
  return lua_type(L, index) == LUA_TNUMBER && seer_toint64(L, index, value) &&
         *value > 0;
}

/* Writes the value at the top, whose index is `at`, and which is of this
   type. */
static inline bool write_value(walk *w, int at, int type) {
  size_t length;
  const char *text;
  if (type == LUA_TSTRING) {
    text = lua_tolstring(w->L, at, &length);
    seer_json_string(w->out, text, length);
  } else if (type == LUA_TNUMBER)
    seer_number_write(w->L, at, w->out);
  else
    return write_other(w, at, type);
  return true;
}

/* Writes the elements from `next` on, and the end of the array. */
static bool write_elements(walk *w, int at, int64_t next, int64_t last) {
  lua_State *L = w->L;
  if (next == 1)
    seer_buffer_byte(w->out, '[');
  for (; next <= last && !w->out->error; next++) {
    if (next > 1)
      seer_buffer_byte(w->out, ',');
    seer_pushint64(L, next);
    lua_rawgeti(L, at, (int)next); /* no event is so large as to have more */
    if (!write_value(w, at + 2, lua_type(L, at + 2)))
      return false;
    lua_settop(L, at);
  }
  seer_buffer_byte(w->out, ']');
  return true;
}

/* A marked table is as long as its largest index; what is missing is null. */
static bool write_marked(walk *w, int at) {
  lua_State *L = w->L;
  int64_t index, last = 0;
  lua_pushnil(L);
  while (lua_next(L, at)) {
    lua_pop(L, 1);
    if (!is_index(L, at + 1, &index))
      return fail(w, "not an index of an array", "");
    if (!look_ahead(w))
      return false;
    last = index > last ? index : last;
  }
  return write_elements(w, at, 1, last);
}

/* Given that the keys up to `count` came in order: whether the key in turn
   and those after it complete 1..last. Leaves none of them. */
static bool is_complete(walk *w, int at, int64_t count, int64_t *last) {
  lua_State *L = w->L;
  int64_t index;
  *last = count;
  do {
    lua_pop(L, 1);
    if (!is_index(L, at + 1, &index) || !look_ahead(w)) {
      lua_settop(L, at);
      return false;
    }
    *last = index > *last ? index : *last;
    count++;
  } while (lua_next(L, at));
  return *last == count;
}

static bool write_string_key(walk *w, int at, char before) {
  lua_State *L = w->L;
  size_t length;
  const char *text = lua_tolstring(L, at + 1, &length);
  if (seer_number_may_be(text) && seer_number_spelled(L, text, length)) {
    lua_rawget(L, at);
    if (!lua_isnil(L, -1))
      return fail_key(w, at, "the keys %s and \"%s\" collide", text);
    lua_pop(L, 1);
  }
  if (!seer_json_key(w->out, before, text, length))
    w->mended++;
  return true;
}

static bool write_number_key(walk *w, int at, char before) {
  lua_Number number = lua_tonumber(w->L, at + 1);
  if (number - number != 0)
    return fail_key(w, at, "%s cannot be a key", number > 0 ? "inf" : "-inf");
  seer_buffer_byte(w->out, before);
  seer_buffer_byte(w->out, '"');
  seer_number_name(w->L, at + 1, w->out);
  seer_json_literal(w->out, "\":");
  return true;
}

static bool write_key(walk *w, int at, int type, char before) {
  if (type == LUA_TSTRING)
    return write_string_key(w, at, before);
  if (type == LUA_TNUMBER)
    return write_number_key(w, at, before);
  return fail_key(w, at, "a %s cannot be a key", lua_typename(w->L, type));
}

static bool is_one_of(const seer_field *fields, lua_State *L, int index) {
  size_t length;
  const char *key;
  if (lua_type(L, index) != LUA_TSTRING)
    return false;
  key = lua_tolstring(L, index, &length);
  return seer_kind_find(fields, key, length) >= 0;
}

/* Writes the field in turn, whose key is of this type, and those after it, but
   none of `skip` (which may be NULL); a byte comes before the first. */
static bool write_fields(walk *w, int at, int type, char before,
                         const seer_field *skip) {
  lua_State *L = w->L;
  for (;;) {
    if (skip == NULL || !is_one_of(skip, L, at + 1)) {
      if (!write_key(w, at, type, before) ||
          !write_value(w, at + 2, lua_type(L, at + 2)) || w->out->error)
        return false;
      before = ',';
    }
    lua_pop(L, 1);
    if (!lua_next(L, at))
      return true;
    type = lua_type(L, at + 1);
  }
}

/* Adds the key behind the table at `sent`, in the form in which it is sent,
   to that table; false if it is there already. */
static bool is_new_key(lua_State *L, int sent, seer_buffer *scratch) {
  size_t length;
  const char *text = lua_tolstring(L, sent + 1, &length);
  bool is_new;
  seer_buffer_reset(scratch, SIZE_MAX);
  seer_json_string(scratch, text, length);
  if (scratch->error)
    luaL_error(L, "not enough memory");
  lua_pushlstring(L, scratch->data, scratch->length);
  lua_pushvalue(L, -1);
  lua_rawget(L, sent);
  is_new = lua_isnil(L, -1);
  lua_pop(L, 1);
  lua_pushboolean(L, 1);
  lua_rawset(L, sent); /* sent[text] = true */
  return is_new;
}

/* Whether the keys of the table at `at` are sent as so many: when something
   is replaced in them, two may be the same. */
static bool are_distinct(walk *w, int at) {
  lua_State *L = w->L;
  seer_holder *holder = seer_holder_push(L, SIZE_MAX / 2);
  int sent = at + 2;
  bool distinct = true;
  lua_newtable(L);
  lua_pushnil(L);
  while (distinct && lua_next(L, at)) {
    lua_pop(L, 1);
    distinct = lua_type(L, sent + 1) != LUA_TSTRING ||
               is_new_key(L, sent, &holder->scratch);
  }
  seer_holder_release(holder);
  if (!distinct)
    lua_replace(L, at + 1); /* the key is the end of the path */
  lua_settop(L, distinct ? at : at + 1);
  return distinct ||
         fail(w,
              "collides with another key, for what is not UTF-8 is replaced",
              "");
}

/* Writes an object from the field in turn on, which is its first and has a
   key of this type. */
static bool write_object(walk *w, int at, int type) {
  size_t mended = w->mended;
  if (!write_fields(w, at, type, '{', NULL))
    return false;
  seer_buffer_byte(w->out, '}');
  return w->mended == mended || are_distinct(w, at);
}

/* True if the key at `index` is this number, which is less than 2^53. */
static bool is_number(lua_State *L, int index, int64_t number) {
  return lua_type(L, index) == LUA_TNUMBER &&
         lua_tonumber(L, index) == (lua_Number)number;
}

/* Begins an array as long as the keys come as 1, 2, 3. A key out of order
   makes it look at the rest of them; so does a table within, which may be
   long, and would be written twice if this was an object after all. */
static bool write_sequence(walk *w, int at) {
  lua_State *L = w->L;
  size_t start = w->out->length;
  int64_t last, count = 0;
  int type;
  while (is_number(L, at + 1, count + 1) &&
         (type = lua_type(L, at + 2)) != LUA_TTABLE) {
    seer_buffer_byte(w->out, count++ == 0 ? '[' : ',');
    if (!write_value(w, at + 2, type) || w->out->error)
      return false;
    lua_pop(L, 1);
    if (!lua_next(L, at)) {
      seer_buffer_byte(w->out, ']');
      return true;
    }
  }
  if (is_complete(w, at, count, &last))
    return write_elements(w, at, count + 1, last);
  seer_buffer_cut(w->out, start);
  return write_unmarked(w, at, false);
}

static bool write_unmarked(walk *w, int at, bool may_be_array) {
  lua_State *L = w->L;
  int type;
  lua_pushnil(L);
  if (!lua_next(L, at)) {
    seer_json_literal(w->out, "{}");
    return true;
  }
  type = lua_type(L, at + 1);
  if (may_be_array && type == LUA_TNUMBER)
    return write_sequence(w, at);
  return write_object(w, at, type);
}

static bool write_table(walk *w, int at) {
  bool written;
  if (w->depth == SEER_ENCODE_DEPTH)
    return fail_depth(w);
  w->depth++;
  if (seer_marks_has(w->marks, w->L, at))
    written = write_marked(w, at);
  else
    written = write_unmarked(w, at, true);
  w->depth--;
  return written;
}

static bool write_pointer(walk *w, int at) {
  const void *pointer = lua_touserdata(w->L, at);
  if (pointer == NULL)
    seer_json_literal(w->out, "null");
  else if (pointer == w->marks->cjson_empty)
    seer_json_literal(w->out, "[]");
  else
    return fail_type(w, at, "a %s cannot be sent");
  return true;
}

static bool write_cdata(walk *w, int at) {
  size_t length;
  const char *digits;
  if (seer_number_boxed(w->L, at)) {
    digits = lua_tolstring(w->L, -1, &length);
    seer_buffer_append(w->out, digits, length);
    lua_pop(w->L, 1);
    return true;
  }
  if (!seer_number_null(w->L, at))
    return fail(w, "a cdata cannot be sent", "");
  seer_json_literal(w->out, "null");
  return true;
}

static bool write_raw(walk *w, int at) {
  const seer_raw *raw = seer_raw_at(w->L, at);
  if (raw == NULL)
    return fail_type(w, at, "a %s cannot be sent");
  if (raw->problem[0] != '\0')
    return fail(w, "%s", raw->problem);
  if (w->depth + raw->depth > SEER_ENCODE_DEPTH)
    return fail_depth(w);
  seer_buffer_append(w->out, raw->text, raw->length);
  return true;
}

/* Writes the value at the top, whose index is `at`, and which is of this
   type: none of the two that most are of. */
static bool write_other(walk *w, int at, int type) {
  lua_State *L = w->L;
  switch (type) {
  case LUA_TTABLE:
    return write_table(w, at);
  case LUA_TBOOLEAN:
    if (lua_toboolean(L, at))
      seer_json_literal(w->out, "true");
    else
      seer_json_literal(w->out, "false");
    return true;
  case LUA_TNIL:
    seer_json_literal(w->out, "null");
    return true;
  case LUA_TLIGHTUSERDATA:
    return write_pointer(w, at);
  case LUA_TUSERDATA:
    return write_raw(w, at);
  case SEER_TCDATA:
    return write_cdata(w, at);
  default:
    return fail_type(w, at, "a %s cannot be sent");
  }
}

static void begin(walk *w, lua_State *L, const seer_marks *marks,
                  seer_buffer *out) {
  w->L = L;
  w->out = out;
  w->marks = marks;
  w->ahead = 0;
  w->mended = 0;
  w->depth = 0;
  w->problem[0] = '\0';
}

bool seer_encode_check(lua_State *L, const seer_buffer *out) {
  char message[PROBLEM_LENGTH];
  if (out->error == SEER_BUFFER_OK)
    return true;
  if (out->error == SEER_BUFFER_NOMEM) {
    lua_pushliteral(L, "out of memory");
    return false;
  }
  snprintf(message, sizeof(message),
           "event too large: more than %lu bytes (max_event_bytes)",
           (unsigned long)out->ceiling);
  lua_pushstring(L, message);
  return false;
}

/* Pushes the message, if something is wrong. The keys of the table at `at` are
   the first of its path. */
static bool finish(walk *w, int at, const char *field) {
  if (w->out->error)
    return seer_encode_check(w->L, w->out);
  if (w->problem[0] == '\0')
    return true;
  seer_path_message(w->L, field, at + 1, w->problem);
  return false;
}

/* Writes the fields of the table at `at` that are none of `skip`. */
static bool write_others(walk *w, int at, const seer_field *skip) {
  lua_State *L = w->L;
  lua_pushnil(L);
  if (lua_next(L, at) && !write_fields(w, at, lua_type(L, at + 1), ',', skip))
    return false;
  return w->mended == 0 || are_distinct(w, at);
}

bool seer_encode(lua_State *L, int top, int type, const seer_marks *marks,
                 seer_buffer *out, const char *field) {
  walk w;
  begin(&w, L, marks, out);
  write_value(&w, top, type);
  return finish(&w, top, field);
}

bool seer_encode_others(lua_State *L, int top, const seer_marks *marks,
                        seer_buffer *out, const seer_field *skip) {
  walk w;
  begin(&w, L, marks, out);
  write_others(&w, top, skip);
  return finish(&w, top, NULL);
}
