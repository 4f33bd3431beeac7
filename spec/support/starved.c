/* A Lua state that is always short of memory: the first attempt of every
   allocation is refused. From Lua 5.2 on that makes the collector run a whole
   cycle before the second, which is granted. What is freed is overwritten,
   and what grows always moves. A module of the specs alone. */

#include <lauxlib.h>
#include <lua.h>
#include <lualib.h>
#include <stdlib.h>
#include <string.h>

/* Later releases of Lua 5.4 do not try again when it is the stack that does
   not grow, so there all growth is granted. */
#if defined(LUA_VERSION_RELEASE_NUM) && LUA_VERSION_RELEASE_NUM > 50404
#define GROWTH_TOO 0
#else
#define GROWTH_TOO 1
#endif

typedef struct memory {
  int hungry;  /* refuse first attempts */
  int refused; /* the last attempt was a first one */
  long count;  /* of refusals */
} memory;

/* Realloc that never extends a block in place. */
static void *move(void *block, size_t old, size_t size) {
  void *copy = malloc(size);
  if (copy == NULL)
    return NULL;
  memcpy(copy, block, old < size ? old : size);
  memset(block, 0xDD, old);
  free(block);
  return copy;
}

static void *allocate(void *data, void *block, size_t old, size_t size) {
  memory *m = data;
  if (size == 0) {
    if (block != NULL)
      memset(block, 0xDD, old);
    free(block);
    return NULL;
  }
  if (m->hungry && (block == NULL || (GROWTH_TOO && size > old))) {
    m->refused = !m->refused;
    if (m->refused) {
      m->count++;
      return NULL;
    }
  }
  return block == NULL ? malloc(size) : move(block, old, size);
}

/* From Lua 5.5 on there is a seed for the hashes of strings, too. */
#if LUA_VERSION_NUM > 504
#define lua_newstate(allocate, data) lua_newstate((allocate), (data), 0)
#endif

/* hungry(on): whether first attempts are refused from now on */
static int starved_hungry(lua_State *L) {
  void *data;
  lua_getallocf(L, &data);
  ((memory *)data)->hungry = lua_toboolean(L, 1);
  ((memory *)data)->refused = 0;
  return 0;
}

/* run(code) -> count: runs code, with the function `hungry` as its argument,
   in such a state; how often an attempt was refused */
static int starved_run(lua_State *L) {
  memory m = {0, 0, 0};
  const char *code = luaL_checkstring(L, 1);
  lua_State *other = lua_newstate(allocate, &m);
  if (other == NULL)
    return luaL_error(L, "not enough memory");
  luaL_openlibs(other);
  if (luaL_loadstring(other, code) == 0)
    lua_pushcfunction(other, starved_hungry);
  if (!lua_isfunction(other, -1) || lua_pcall(other, 1, 0, 0)) {
    m.hungry = 0;
    lua_pushstring(L, lua_tostring(other, -1));
    lua_close(other);
    return lua_error(L);
  }
  lua_close(other);
  lua_pushnumber(L, (lua_Number)m.count);
  return 1;
}

__attribute__((visibility("default"))) int
luaopen_seer_spec_starved(lua_State *L);

int luaopen_seer_spec_starved(lua_State *L) {
  lua_createtable(L, 0, 1);
  lua_pushcfunction(L, starved_run);
  lua_setfield(L, -2, "run");
  return 1;
}
