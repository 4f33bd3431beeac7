#include "merge.h"

#include "compat.h"
#include "encode.h"
#include "marks.h"
#include "number.h"
#include "path.h"
#include "raw.h"
#pragma GCC visibility push(hidden)

static void need_stack(lua_State *L) {
  luaL_checkstack(L, LUA_MINSTACK, "too many calls");
}

/* Pushes a field by raw access; nil if there is no table at `index`. */
static void push_field(lua_State *L, int index, const char *name) {
  if (lua_istable(L, index))
    seer_rawgetfield(L, index, name);
  else
    lua_pushnil(L);
}

/* Whether the metatable on the top would do something to a copy. */
static bool has_effects(lua_State *L) {
  bool has;
  seer_rawgetfield(L, -1, "__gc");
  seer_rawgetfield(L, -2, "__mode");
  has = !lua_isnil(L, -1) || !lua_isnil(L, -2);
  lua_pop(L, 2);
  return has;
}

/* Gives the table on the top the metatable of the value at `index`. */
static void copy_metatable(lua_State *L, int index) {
  if (!lua_istable(L, index) || !lua_getmetatable(L, index))
    return;
  if (has_effects(L))
    lua_pop(L, 1);
  else
    lua_setmetatable(L, -2);
}

/* Copies fields, if there are any at `index`, to the table on the top. */
static void copy_fields(lua_State *L, int index) {
  int target = lua_gettop(L);
  if (!lua_istable(L, index))
    return;
  lua_pushnil(L);
  while (lua_next(L, index)) { /* target, key, value */
    lua_pushvalue(L, -2);
    lua_insert(L, -2); /* target, key, key, value */
    lua_rawset(L, target);
  }
}

void seer_merge_fields(lua_State *L, int under, int over) {
  need_stack(L);
  under = lua_absindex(L, under);
  over = lua_absindex(L, over);
  lua_newtable(L);
  copy_fields(L, under);
  copy_fields(L, over);
  copy_metatable(L, under);
  copy_metatable(L, over);
}

/*
** Deep copies. As in encode.c, a table at the stack index `at` has the key
** in turn at at + 1 and its value at at + 2, so that the keys on the stack
** are the path to what is wrong. The copies grow elsewhere.
*/

typedef struct copier {
  lua_State *L;
  const seer_marks *marks;
  int growing; /* index of a list: the copy of the table at each level */
  int copied;  /* index of a table: original to finished copy */
  int depth;   /* tables around the one in turn */
} copier;

/* Replaces the table at the top, whose index is `at`, by the copy that it
   has already; one that stands for [] by its identity is its own. */
static bool is_copied(copier *c, int at) {
  lua_State *L = c->L;
  if (lua_topointer(L, at) == c->marks->cjson_empty)
    return true;
  lua_pushvalue(L, at);
  lua_rawget(L, c->copied);
  if (lua_isnil(L, -1)) {
    lua_pop(L, 1);
    return false;
  }
  lua_replace(L, at);
  return true;
}

static void begin_copy(copier *c, int at) {
  lua_newtable(c->L);
  copy_metatable(c->L, at);
  lua_rawseti(c->L, c->growing, ++c->depth);
}

/* Adds the field in turn, and takes its value from the stack. */
static void add_field(copier *c, int at) {
  lua_State *L = c->L;
  lua_rawgeti(L, c->growing, c->depth);
  lua_pushvalue(L, at + 1);
  lua_pushvalue(L, at + 2);
  lua_rawset(L, -3);
  lua_settop(L, at + 1);
}

/* Replaces the table at the top, whose index is `at`, by its copy. */
static void end_copy(copier *c, int at) {
  lua_State *L = c->L;
  lua_rawgeti(L, c->growing, c->depth--);
  lua_pushvalue(L, at);
  lua_pushvalue(L, -2);
  lua_rawset(L, c->copied); /* copied[original] = copy */
  lua_replace(L, at);
}

/* Only finished copies are found again, so a cycle comes to the last level;
   but at each level what is finished is not done once more. */
static bool copy_table(copier *c, int at) {
  lua_State *L = c->L;
  if (is_copied(c, at))
    return true;
  if (c->depth > SEER_ENCODE_DEPTH)
    return false;
  begin_copy(c, at);
  lua_pushnil(L);
  while (lua_next(L, at)) {
    if (lua_istable(L, at + 2) && !copy_table(c, at + 2))
      return false;
    add_field(c, at);
  }
  end_copy(c, at);
  return true;
}

/* Copies the table at `index` within two helpers; leaves the copy, or the
   keys to what is too deep, on the top. */
static bool begin(copier *c, lua_State *L, int index) {
  c->L = L;
  c->marks = seer_marks_get(L);
  c->depth = 0;
  lua_newtable(L);
  c->growing = lua_gettop(L);
  lua_newtable(L);
  c->copied = lua_gettop(L);
  lua_pushvalue(L, index);
  return copy_table(c, c->copied + 1);
}

bool seer_merge_copy(lua_State *L, int index) {
  copier c;
  int top = lua_gettop(L);
  bool copied;
  index = lua_absindex(L, index);
  if (!lua_checkstack(L, 2 * SEER_ENCODE_DEPTH + 2 * LUA_MINSTACK)) {
    lua_pushliteral(L, "stack overflow");
    return false;
  }
  copied = begin(&c, L, index);
  if (!copied)
    seer_path_message(L, NULL, c.copied + 2, "more than 100 levels of tables");
  lua_replace(L, top + 1);
  lua_settop(L, top + 1);
  return copied;
}

bool seer_merge_is_list(lua_State *L, int index) {
  size_t length = lua_rawlen(L, index), count = 0;
  index = lua_absindex(L, index);
  if (seer_marks_has(seer_marks_get(L), L, index))
    return true;
  if (length == 0)
    return false;
  for (lua_pushnil(L); lua_next(L, index); lua_pop(L, 1))
    count++;
  return count == length;
}

static bool has_metafield(lua_State *L, int index, const char *name) {
  if (!luaL_getmetafield(L, index, name))
    return false;
  lua_pop(L, 1);
  return true;
}

bool seer_merge_is_hollow(lua_State *L, int index) {
  index = lua_absindex(L, index);
  lua_pushnil(L);
  if (lua_next(L, index)) {
    lua_pop(L, 2);
    return false;
  }
  return has_metafield(L, index, "__index") ||
         has_metafield(L, index, "__pairs");
}

static void unfold_object(lua_State *L, int index) {
  if (seer_raw_is_object(L, index))
    seer_raw_unfold(L, index, NULL);
}

/* True if the value at `index` is neither a table of named values nor nil nor
   NULL, which stands for null. */
static bool is_wrong(lua_State *L, int index) {
  int type = lua_type(L, index);
  if (type == LUA_TLIGHTUSERDATA)
    return lua_touserdata(L, index) != NULL;
  if (type == SEER_TCDATA)
    return !seer_number_null(L, index);
  if (type == LUA_TTABLE)
    return seer_merge_is_list(L, index);
  return type != LUA_TNIL;
}

/* Pushes what an event's `own` table of named values becomes. */
static void push_named(lua_State *L, int defaults, int own, int more) {
  if (lua_istable(L, defaults) || !lua_isnil(L, more)) {
    unfold_object(L, own);
    unfold_object(L, more);
  }
  if (is_wrong(L, more))
    lua_pushvalue(L, more);
  else if (is_wrong(L, own) ||
           (!lua_istable(L, defaults) && !lua_istable(L, more)))
    lua_pushvalue(L, own);
  else {
    seer_merge_fields(L, defaults, own);
    seer_merge_fields(L, -1, more);
    lua_remove(L, -2);
  }
}

void seer_merge_event(lua_State *L, int event, const char *named, int defaults,
                      int extra) {
  int merged = lua_gettop(L) + 1;
  need_stack(L);
  event = lua_absindex(L, event);
  defaults = lua_absindex(L, defaults);
  extra = lua_absindex(L, extra);
  seer_merge_fields(L, event, extra);
  if (named == NULL)
    return;
  lua_pushstring(L, named);
  push_field(L, event, named);
  push_field(L, extra, named); /* merged, named, own, more */
  push_named(L, defaults, merged + 2, merged + 3);
  lua_replace(L, merged + 2);
  lua_settop(L, merged + 2);
  lua_rawset(L, merged); /* merged[named] = what they become */
}
