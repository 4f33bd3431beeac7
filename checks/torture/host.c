#include "torture.h"

#include <dlfcn.h>
#include <errno.h>
#include <lauxlib.h>
#include <lua.h>
#include <lualib.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static uint64_t first_allocation;
static const torture_job *the_job;

static void enter(const char *stage) {
  snprintf(torture_run->stage, sizeof torture_run->stage, "%s", stage);
}

/*
** Lua's allocator. What becomes smaller must not fail, as the manual says.
*/

/* From 5.2 on Lua collects garbage when there is no memory, and asks once
   more: what fails, fails then too. */
static bool fails(void) {
#if LUA_VERSION_NUM >= 502
  static bool asked_again;
  if (asked_again) {
    asked_again = false;
    return true;
  }
  asked_again = torture_fails_for(KIND_MEMORY, "lua_Alloc", MODULE_LUA);
  return asked_again;
#else
  return torture_fails_for(KIND_MEMORY, "lua_Alloc", MODULE_LUA);
#endif
}

/* Lua leaves out a finalizer for whose call it has no memory, so what that
   would free is lost, and not by the module: no failures then. */
static bool closing;

static void *allocate(void *data, void *old, size_t old_size, size_t size) {
  const void *caller = dlsym(RTLD_DEFAULT, "lua_newstate");
  (void)data;
  if (size == 0) {
    torture_free(old);
    return NULL;
  }
  if ((old == NULL || size > old_size) && !closing && fails())
    return NULL;
  return torture_reallocate(old, size, caller);
}

static void close_state(lua_State *L) {
  closing = true;
  lua_close(L);
  closing = false;
}

/*
** What scenarios are given.
*/

static int host_arm(lua_State *L) {
  (void)L;
  torture_arm();
  return 0;
}

static int host_disarm(lua_State *L) {
  (void)L;
  torture_disarm();
  return 0;
}

/* failed(): a call has told of trouble */
static int host_failed(lua_State *L) {
  (void)L;
  torture_run->failed = true;
  return 0;
}

/* failing(): whether a call has failed yet */
static int host_failing(lua_State *L) {
  lua_pushboolean(L, torture_run->injected > 0);
  return 1;
}

static int host_stage(lua_State *L) {
  enter(luaL_checkstring(L, 1));
  return 0;
}

/* delivered(n): more events that the server must have */
static int host_delivered(lua_State *L) {
  torture_run->delivered += (long)luaL_checkinteger(L, 1);
  return 0;
}

/* fork(f): calls f in a child, which then exits as a program does; returns
   the child's id, or nil if there is none */
static int host_fork(lua_State *L) {
  pid_t pid;
  torture_forker = getpid();
  pid = fork();
  torture_forker = 0;
  if (pid < 0)
    return 0;
  if (pid == 0) {
    int failed = lua_pcall(L, 0, 0, 0);
    if (failed && torture_planned() == MODE_ONCE && torture_run->injected == 0)
      torture_complain("in the child: %s\n", lua_tostring(L, -1));
    exit(0);
  }
  lua_pushinteger(L, pid);
  return 1;
}

static int host_wait(lua_State *L) {
  pid_t pid = (pid_t)luaL_checkinteger(L, 1);
  int status = 0;
  while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
    ;
  if (WIFSIGNALED(status))
    torture_complain("the child has crashed with signal %d\n",
                     WTERMSIG(status));
  return 0;
}

/* state(path): runs a file in a state of its own, with the same table */
static int host_state(lua_State *L);

static void push_host(lua_State *L) {
  static const struct {
    const char *name;
    lua_CFunction function;
  } functions[] = {
      {"arm",       host_arm      },
      {"disarm",    host_disarm   },
      {"failed",    host_failed   },
      {"failing",   host_failing  },
      {"stage",     host_stage    },
      {"delivered", host_delivered},
      {"fork",      host_fork     },
      {"wait",      host_wait     },
      {"state",     host_state    },
  };
  lua_newtable(L);
  for (size_t i = 0; i < sizeof functions / sizeof *functions; i++) {
    lua_pushcfunction(L, functions[i].function);
    lua_setfield(L, -2, functions[i].name);
  }
  lua_pushstring(L, the_job->name);
  lua_setfield(L, -2, "name");
  lua_pushstring(L, the_job->scenario);
  lua_setfield(L, -2, "scenario");
  lua_pushstring(L, torture_mode_names[the_job->mode]);
  lua_setfield(L, -2, "mode");
}

static int run_other_state(lua_State *L) {
  const char *code = lua_touserdata(L, 1);
  luaL_openlibs(L);
  push_host(L);
  lua_setglobal(L, "host");
  if (luaL_loadstring(L, code) != 0)
    return lua_error(L);
  lua_call(L, 0, 0);
  return 0;
}

/* Calls `function` with a pointer, protected: no allocation comes before. */
static int protect(lua_State *L, lua_CFunction function, void *argument) {
#if LUA_VERSION_NUM >= 502
  lua_pushcfunction(L, function);
  lua_pushlightuserdata(L, argument);
  return lua_pcall(L, 1, 0, 0);
#else
  return lua_cpcall(L, function, argument);
#endif
}

static int host_state(lua_State *L) {
  char *code = (char *)(uintptr_t)luaL_checkstring(L, 1);
  lua_State *other = lua_newstate(allocate, NULL);
  bool failed;
  if (other == NULL)
    return luaL_error(L, "not enough memory");
  failed = protect(other, run_other_state, code) != 0;
  close_state(other);
  return failed ? luaL_error(L, "not enough memory: in the other state") : 0;
}

/*
** A run.
*/

static bool is_expected(const char *message) {
  static const char *const words[] = {"memory",
                                      "cannot be started",
                                      "cannot open",
                                      "error loading",
                                      "module 'seerstack' not found",
                                      "Too many open files"};
  for (size_t i = 0; i < sizeof words / sizeof *words; i++)
    if (message != NULL && strstr(message, words[i]) != NULL)
      return true;
  return false;
}

/* Loads the driver and the scenario: leaves the functions `run` and `check`
   in the registry. */
static int prepare(lua_State *L) {
  luaL_openlibs(L);
  if (luaL_loadfile(L, "checks/torture/driver.lua") != 0)
    return lua_error(L);
  push_host(L);
  lua_call(L, 1, 2);
  lua_setfield(L, LUA_REGISTRYINDEX, "torture.check");
  lua_setfield(L, LUA_REGISTRYINDEX, "torture.run");
  return 0;
}

/* Calls one of these; complains of an error unless it is `allowed`. */
static void call(lua_State *L, const char *name, bool allowed) {
  lua_getfield(L, LUA_REGISTRYINDEX, name);
  if (lua_pcall(L, 0, 0, 0) == 0)
    return;
  torture_disarm();
  torture_run->raised = true;
  if (!allowed || torture_run->injected == 0 ||
      !is_expected(lua_tostring(L, -1)))
    torture_complain("check: %s: %s\n", name, lua_tostring(L, -1));
  lua_settop(L, 0);
  if (torture_planned() == MODE_EVER)
    torture_arm();
}

static void at_end(void) {
  torture_disarm();
  if (getenv("TORTURE_LAST") != NULL) /* one run, to be looked at */
    torture_describe();
  torture_check_heap();
  torture_find_leaks(first_allocation);
  torture_run->ended = true;
}

/* In the mode `ever` the check is made in a moment of grace: it asks for
   counts alone. */
static void run(const torture_job *job) {
  lua_State *L;
  the_job = job;
  torture_speed = job->speed;
  first_allocation = torture_allocations();
  torture_catch_crashes();
  atexit(at_end);
  enter("start");
  L = lua_newstate(allocate, NULL);
  if (L == NULL || protect(L, prepare, NULL) != 0) {
    torture_complain("preparing: %s\n", L ? lua_tostring(L, -1) : "no state");
    return;
  }
  enter("prepared");
  call(L, "torture.run", true);
  torture_disarm();
  enter("run");
  call(L, "torture.check", false);
  enter("checked");
  if (job->mode == MODE_EVER)
    torture_arm();
  close_state(L);
  enter("closed");
}

/*
** The command.
*/

static int find_name(const char *name, size_t length, const char *const *names,
                     int count) {
  for (int i = 0; i < count; i++)
    if (strlen(names[i]) == length && strncmp(names[i], name, length) == 0)
      return i;
  fprintf(stderr, "unknown: %s\n", name);
  exit(2);
}

/* "memory.ours", or "network": of all but the host and Lua. */
static void select_calls(torture_job *job, const char *text) {
  size_t length = strcspn(text, ".");
  job->selection = text;
  job->kinds = 1u << find_name(text, length, torture_kind_names, KINDS);
  text += length;
  if (*text == '.')
    job->modules = 1u << find_name(text + 1, strlen(text + 1),
                                   torture_module_names, MODULES);
  else if (job->kinds == 1u << KIND_LIBCURL)
    job->modules = 1u << MODULE_OURS; /* it calls its own functions, too */
  else
    job->modules = (1u << MODULE_HOST) - 1;
}

static long number(const char *name, long otherwise) {
  const char *text = getenv(name);
  return text != NULL && *text != '\0' ? atol(text) : otherwise;
}

/* What is loaded before the fork need not be loaded in each child. */
static void load_ahead(void) {
  const char *path = getenv("TORTURE_LOAD");
  if (path != NULL && *path != '\0' && dlopen(path, RTLD_NOW) == NULL)
    fprintf(stderr, "%s\n", dlerror());
}

/* host SCENARIO CLASS MODE */
int main(int count, char **arguments) {
  torture_job job = {.jobs = (int)number("TORTURE_JOBS", 8)};
  lua_State *L;
  if (count != 4)
    return 2;
  L = lua_newstate(allocate, NULL);
  if (L == NULL) {
    printf("this Lua takes no allocator but its own\ncount 0 0 0 0 0 0\n");
    return 0;
  }
  lua_close(L);
  job.scenario = arguments[1];
  select_calls(&job, arguments[2]);
  job.mode = (torture_mode)find_name(arguments[3], strlen(arguments[3]),
                                     torture_mode_names, MODES);
  job.step = 1;
  job.runs = number("TORTURE_RUNS", 0);
  job.from = number("TORTURE_FROM", 1);
  job.last = number("TORTURE_LAST", 0);
  job.stacks =
      number("TORTURE_EVERY", 0) == 0 && job.runs == 0 && job.last == 0;
  job.speed = (int)number("TORTURE_SPEED", 10);
  job.port = (int)number("TORTURE_PORT", 0);
  signal(SIGPIPE, SIG_IGN);
  load_ahead();
  return torture_pool(&job, run);
}
