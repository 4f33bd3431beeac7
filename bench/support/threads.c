/* Lua states on threads of their own, which do the same at once. A module of
   the benches alone. */

#include <lauxlib.h>
#include <lua.h>
#include <lualib.h>
#include <pthread.h>
#include <stdint.h>
#include <stdlib.h>
#include <time.h>

typedef struct crew {
  const char *code;
  int count;
  pthread_barrier_t ready, done;
  int failed;
  int64_t cpu; /* ns that all of them have run */
} crew;

static int64_t read_clock(clockid_t clock) {
  struct timespec time;
  clock_gettime(clock, &time);
  return (int64_t)time.tv_sec * 1000000000 + time.tv_nsec;
}

/* The code gets the number of threads, and returns what is measured. */
static int prepare(lua_State *L, const crew *all) {
  luaL_openlibs(L);
  if (luaL_loadstring(L, all->code) != 0)
    return 0;
  lua_pushinteger(L, all->count);
  return lua_pcall(L, 1, 1, 0) == 0;
}

static void *run(void *argument) {
  crew *all = argument;
  lua_State *L = luaL_newstate();
  int ready = L != NULL && prepare(L, all);
  int64_t before;
  pthread_barrier_wait(&all->ready);
  before = read_clock(CLOCK_THREAD_CPUTIME_ID);
  if (!ready || lua_pcall(L, 0, 0, 0) != 0)
    __atomic_store_n(&all->failed, 1, __ATOMIC_RELAXED);
  __atomic_fetch_add(&all->cpu, read_clock(CLOCK_THREAD_CPUTIME_ID) - before,
                     __ATOMIC_RELAXED);
  pthread_barrier_wait(&all->done);
  return NULL; /* the state stays, for its end is no part of this */
}

/* run(count, code) -> ns in which all of them have done it, and ns that they
   have run for that, without what other threads do meanwhile; once. */
static int threads_run(lua_State *L) {
  static crew all; /* threads may look at it at the end of the process, too */
  int64_t before;
  all.code = luaL_checkstring(L, 2);
  all.count = (int)luaL_checkinteger(L, 1);
  pthread_barrier_init(&all.ready, NULL, (unsigned)all.count + 1);
  pthread_barrier_init(&all.done, NULL, (unsigned)all.count + 1);
  for (int i = 0; i < all.count; i++) {
    pthread_t thread;
    if (pthread_create(&thread, NULL, run, &all) != 0)
      abort(); /* others wait for it */
    pthread_detach(thread);
  }
  pthread_barrier_wait(&all.ready);
  before = read_clock(CLOCK_MONOTONIC);
  pthread_barrier_wait(&all.done);
  lua_pushnumber(L, (lua_Number)(read_clock(CLOCK_MONOTONIC) - before));
  lua_pushnumber(L, (lua_Number)all.cpu);
  if (all.failed)
    return luaL_error(L, "the code failed on a thread");
  return 2;
}

__attribute__((visibility("default"))) int
luaopen_seer_bench_threads(lua_State *L);

int luaopen_seer_bench_threads(lua_State *L) {
  lua_createtable(L, 0, 1);
  lua_pushcfunction(L, threads_run);
  lua_setfield(L, -2, "run");
  return 1;
}
