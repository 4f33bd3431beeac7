/* What measuring needs and Lua lacks: clocks, processors, and the time of
   single calls. A module of the benches alone. */

#include <errno.h>
#include <lauxlib.h>
#include <lua.h>
#include <malloc.h>
#include <sched.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static int64_t read_clock(clockid_t clock) {
  struct timespec time;
  clock_gettime(clock, &time);
  return (int64_t)time.tv_sec * 1000000000 + time.tv_nsec;
}

/* wall() -> ns */
static int native_wall(lua_State *L) {
  lua_pushnumber(L, (lua_Number)read_clock(CLOCK_MONOTONIC));
  return 1;
}

/* cpu() -> ns that this thread has run */
static int native_cpu(lua_State *L) {
  lua_pushnumber(L, (lua_Number)read_clock(CLOCK_THREAD_CPUTIME_ID));
  return 1;
}

/* pin(core [, thread]) -> whether the thread (this one) stays there now */
static int native_pin(lua_State *L) {
  cpu_set_t set;
  pid_t thread = (pid_t)luaL_optinteger(L, 2, 0);
  CPU_ZERO(&set);
  CPU_SET((int)luaL_checkinteger(L, 1), &set);
  lua_pushboolean(L, sched_setaffinity(thread, sizeof set, &set) == 0);
  return 1;
}

/* cores() -> the lowest and the highest that this process may use */
static int native_cores(lua_State *L) {
  cpu_set_t set;
  int first = -1, last = 0;
  if (sched_getaffinity(0, sizeof set, &set) != 0)
    return luaL_error(L, "sched_getaffinity: %s", strerror(errno));
  for (int i = 0; i < CPU_SETSIZE; i++) {
    if (!CPU_ISSET(i, &set))
      continue;
    first = first < 0 ? i : first;
    last = i;
  }
  lua_pushinteger(L, first);
  lua_pushinteger(L, last);
  return 2;
}

/* heap() -> bytes that malloc has given out and not got back */
static int native_heap(lua_State *L) {
  struct mallinfo2 info = mallinfo2();
  lua_pushnumber(L, (lua_Number)(info.uordblks + info.hblkhd));
  return 1;
}

static int compare(const void *a, const void *b) {
  uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
  return (x > y) - (x < y);
}

/* latencies(count, function, argument) -> ns of `count` calls, sorted, in a
   userdata for at(). The clock's own time is in them. */
static int native_latencies(lua_State *L) {
  size_t count = (size_t)luaL_checkinteger(L, 1);
  uint32_t *times;
  lua_settop(L, 3);
  times = lua_newuserdata(L, count * sizeof *times);
  for (size_t i = 0; i < count; i++) {
    int64_t before;
    lua_pushvalue(L, 2);
    lua_pushvalue(L, 3);
    before = read_clock(CLOCK_MONOTONIC);
    lua_call(L, 1, 0);
    times[i] = (uint32_t)(read_clock(CLOCK_MONOTONIC) - before);
  }
  qsort(times, count, sizeof *times, compare);
  return 1;
}

/* at(latencies, index from 1) -> ns */
static int native_at(lua_State *L) {
  const uint32_t *times = lua_touserdata(L, 1);
  lua_pushnumber(L, times[luaL_checkinteger(L, 2) - 1]);
  return 1;
}

__attribute__((visibility("default"))) int
luaopen_seer_bench_native(lua_State *L);

int luaopen_seer_bench_native(lua_State *L) {
  static const struct {
    const char *name;
    lua_CFunction function;
  } functions[] = {
      {"wall",      native_wall     },
      {"cpu",       native_cpu      },
      {"pin",       native_pin      },
      {"cores",     native_cores    },
      {"heap",      native_heap     },
      {"latencies", native_latencies},
      {"at",        native_at       },
  };
  size_t count = sizeof functions / sizeof functions[0];
  lua_createtable(L, 0, (int)count);
  for (size_t i = 0; i < count; i++) {
    lua_pushcfunction(L, functions[i].function);
    lua_setfield(L, -2, functions[i].name);
  }
  return 1;
}
