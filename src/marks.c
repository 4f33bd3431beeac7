#include "marks.h"

#include "compat.h"
#pragma GCC visibility push(hidden)

#define ARRAY_METATABLE "seerstack.array"

static const char marks_key; /* its address is a key of the registry */

/* Its identity is the same as long as something keeps it. */
static const void *identity(lua_State *L, int index) {
  if (lua_islightuserdata(L, index))
    return lua_touserdata(L, index);
  return lua_istable(L, index) ? lua_topointer(L, index) : NULL;
}

/* keep[name] = cjson[name], with both tables on the top of the stack. */
static const void *keep_cjson(lua_State *L, const char *name) {
  const void *found;
  lua_getfield(L, -1, name);
  found = identity(L, -1);
  lua_setfield(L, -3, name);
  return found;
}

/* keep[name] = name for each name of a field, with keep on the top. Lua has
   one string of a short text. */
static void keep_names(lua_State *L, seer_marks *marks) {
  for (int kind = 0; kind < SEER_ROWS; kind++)
    for (int i = 0; seer_kinds[kind].fields[i].form != SEER_FORM_NONE; i++) {
      lua_pushstring(L, seer_kinds[kind].fields[i].name);
      marks->names[kind][i] = lua_topointer(L, -1);
      lua_setfield(L, -2, seer_kinds[kind].fields[i].name);
    }
}

/* The marks that clients already point to, or new ones. */
static seer_marks *push_marks(lua_State *L) {
  seer_marks *marks;
  lua_rawgetp(L, LUA_REGISTRYINDEX, &marks_key);
  if (!lua_isnil(L, -1))
    return lua_touserdata(L, -1);
  lua_pop(L, 1);
  marks = lua_newuserdata(L, sizeof(*marks));
  memset(marks, 0, sizeof(*marks));
  return marks;
}

void seer_marks_open(lua_State *L) {
  static const luaL_Reg none[] = {
      {NULL, NULL}
  };
  seer_marks *marks = push_marks(L);
  lua_createtable(L, 0, 4); /* marks, keep */
  seer_newmetatable(L, ARRAY_METATABLE, none);
  marks->array = identity(L, -1);
  lua_setfield(L, -2, "array");
  lua_getfield(L, LUA_REGISTRYINDEX, "_LOADED");
  lua_getfield(L, -1, "cjson");
  lua_remove(L, -2); /* marks, keep, cjson */
  marks->cjson_array = keep_cjson(L, "array_mt");
  marks->cjson_if_empty = keep_cjson(L, "empty_array_mt");
  marks->cjson_empty = keep_cjson(L, "empty_array");
  lua_pop(L, 1);
  keep_names(L, marks);
  lua_setuservalue(L, -2);
  lua_rawsetp(L, LUA_REGISTRYINDEX, &marks_key); /* registry[key] = marks */
}

const seer_marks *seer_marks_get(lua_State *L) {
  const seer_marks *marks;
  lua_rawgetp(L, LUA_REGISTRYINDEX, &marks_key);
  marks = lua_touserdata(L, -1);
  lua_pop(L, 1);
  return marks;
}

bool seer_marks_has(const seer_marks *marks, lua_State *L, int index) {
  const void *metatable;
  if (!lua_getmetatable(L, index))
    return marks->cjson_empty != NULL &&
           lua_topointer(L, index) == marks->cjson_empty;
  metatable = lua_topointer(L, -1);
  lua_pop(L, 1);
  if (metatable == marks->array || metatable == marks->cjson_array)
    return true;
  if (metatable != marks->cjson_if_empty)
    return false;
  lua_pushnil(L);
  if (!lua_next(L, index))
    return true;
  lua_pop(L, 2);
  return false;
}

void seer_marks_set(lua_State *L) {
  luaL_getmetatable(L, ARRAY_METATABLE);
  lua_setmetatable(L, -2);
}

int seer_marks_array(lua_State *L) {
  luaL_checktype(L, 1, LUA_TTABLE);
  lua_settop(L, 1);
  if (seer_marks_has(seer_marks_get(L), L, 1))
    return 1;
  luaL_argcheck(L, !lua_getmetatable(L, 1), 1,
                "the table has a metatable already");
  seer_marks_set(L);
  return 1;
}
