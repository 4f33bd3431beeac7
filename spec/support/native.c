/* What specs of processes need and Lua lacks: fork, the environment, and
   Lua states and threads within a process. A module of the specs alone. */

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <lauxlib.h>
#include <lua.h>
#include <lualib.h>
#include <malloc.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static int fail(lua_State *L) {
  return luaL_error(L, "%s", strerror(errno));
}

/* fork() -> the child's id; 0 in the child */
static int native_fork(lua_State *L) {
  pid_t pid = fork();
  if (pid < 0)
    return fail(L);
  lua_pushinteger(L, pid);
  return 1;
}

/* raw_fork(): the same without the handlers of fork */
static int native_raw_fork(lua_State *L) {
  pid_t pid = _Fork();
  if (pid < 0)
    return fail(L);
  lua_pushinteger(L, pid);
  return 1;
}

/* wait(pid) -> exit code; 128 + n when signal n ended it */
static int native_wait(lua_State *L) {
  pid_t pid = (pid_t)luaL_checkinteger(L, 1);
  int status;
  while (waitpid(pid, &status, 0) < 0)
    if (errno != EINTR)
      return fail(L);
  lua_pushinteger(L, WIFEXITED(status) ? WEXITSTATUS(status)
                                       : 128 + WTERMSIG(status));
  return 1;
}

/* kill(pid): ends another process at once */
static int native_kill(lua_State *L) {
  return kill((pid_t)luaL_checkinteger(L, 1), SIGKILL) != 0 ? fail(L) : 0;
}

/* exit(code): ends the process at once, without exit handlers */
static int native_exit(lua_State *L) {
  _exit((int)luaL_checkinteger(L, 1));
}

/* pid() -> the id of this process */
static int native_pid(lua_State *L) {
  lua_pushinteger(L, getpid());
  return 1;
}

/* setenv(name, value): a value of nil removes the variable */
static int native_setenv(lua_State *L) {
  const char *name = luaL_checkstring(L, 1);
  const char *value = luaL_optstring(L, 2, NULL);
  if (value != NULL ? setenv(name, value, 1) : unsetenv(name))
    return fail(L);
  return 0;
}

/* Runs code in a state of its own; its error is raised in this one. */
static void run_state(lua_State *L, const char *code) {
  lua_State *other = luaL_newstate();
  if (other == NULL)
    luaL_error(L, "not enough memory");
  luaL_openlibs(other);
  if (luaL_loadstring(other, code) || lua_pcall(other, 0, 0, 0)) {
    lua_pushstring(L, lua_tostring(other, -1));
    lua_close(other);
    lua_error(L);
  }
  lua_close(other);
}

/* states(n, code): n times, opens a state, runs code in it, closes it */
static int native_states(lua_State *L) {
  lua_Integer count = luaL_checkinteger(L, 1);
  const char *code = luaL_checkstring(L, 2);
  for (lua_Integer i = 0; i < count; i++)
    run_state(L, code);
  return 0;
}

/* A thread with a state of its own, in which it runs code; an error in that
   ends the process. */
static void *run_thread(void *code) {
  lua_State *other = luaL_newstate();
  luaL_openlibs(other);
  if (luaL_loadstring(other, code) || lua_pcall(other, 0, 0, 0)) {
    fprintf(stderr, "%s\n", lua_tostring(other, -1));
    _exit(1);
  }
  lua_close(other);
  free(code);
  return NULL;
}

/* thread(code): starts a thread, which nobody waits for */
static int native_thread(lua_State *L) {
  pthread_t thread;
  char *code = strdup(luaL_checkstring(L, 1));
  if (code == NULL || pthread_create(&thread, NULL, run_thread, code))
    return luaL_error(L, "no thread");
  pthread_detach(thread);
  return 0;
}

static int is_asleep(pid_t thread) {
  char path[64], state = '?';
  FILE *file;
  snprintf(path, sizeof path, "/proc/self/task/%d/stat", (int)thread);
  file = fopen(path, "r");
  if (file == NULL || fscanf(file, "%*d (%*[^)]) %c", &state) != 1)
    state = '?';
  if (file != NULL)
    fclose(file);
  return state == 'S';
}

static double now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static volatile pid_t cancelled; /* the thread, once it runs */

static void *run_cancelled(void *code) {
  cancelled = gettid();
  return run_thread(code);
}

/* cancel(code): starts a thread that runs code, which comes to wait for long,
   and cancels it when it has slept for a while: it does at ten looks, of which
   the last is 100 ms after the first. A busy machine makes them few. */
static int native_cancel(lua_State *L) {
  pthread_t thread;
  double since = 0;
  char *code = strdup(luaL_checkstring(L, 1));
  if (code == NULL || pthread_create(&thread, NULL, run_cancelled, code))
    return luaL_error(L, "no thread");
  for (int looks = 0; looks < 10 || now() - since < 0.1; usleep(2000)) {
    looks = cancelled != 0 && is_asleep(cancelled) ? looks + 1 : 0;
    since = looks <= 1 ? now() : since;
  }
  pthread_cancel(thread);
  pthread_join(thread, NULL);
  return 0;
}

static void end_process(int number) {
  (void)number;
  exit(7);
}

/* exit_in(seconds): by the handler of a signal that comes then */
static int native_exit_in(lua_State *L) {
  signal(SIGALRM, end_process);
  alarm((unsigned)luaL_checkinteger(L, 1));
  return 0;
}

/* A function of a library that changes what the system does, which must be
   preloaded. */
static void *find(lua_State *L, const char *library, const char *name) {
  void *found = dlsym(RTLD_DEFAULT, name);
  if (found == NULL)
    luaL_error(L, "%s is not loaded", library);
  return found;
}

static pthread_mutex_t host = PTHREAD_MUTEX_INITIALIZER;

static void lock_host(void) {
  pthread_mutex_lock(&host);
}

#define HOLDER_STAYS 3

static void (*arm_holder)(int);
static int (*has_holder)(void);

/* Handlers of fork: meanwhile somebody holds the module's lock, by
   held_lock.c. */
static void await_holder(void) {
  arm_holder(HOLDER_STAYS);
  while (!has_holder())
    usleep(1000);
}

static void let_holder_go(void) {
  arm_holder(0);
}

static void unlock_host(void) {
  pthread_mutex_unlock(&host);
}

/* host(): from now on a fork takes the host's lock; lock(), unlock() */
static int native_host(lua_State *L) {
  if (pthread_atfork(lock_host, unlock_host, unlock_host) != 0)
    return luaL_error(L, "no handlers of fork");
  return 0;
}

/* hold(): from now on another thread holds the module's lock in a fork */
static int native_hold(lua_State *L) {
  *(void **)&arm_holder = find(L, "held_lock", "seer_spec_arm");
  *(void **)&has_holder = find(L, "held_lock", "seer_spec_held");
  if (pthread_atfork(await_holder, let_holder_go, let_holder_go) != 0)
    return luaL_error(L, "no handlers of fork");
  return 0;
}

static int native_lock(lua_State *L) {
  (void)L;
  lock_host();
  return 0;
}

static int native_unlock(lua_State *L) {
  (void)L;
  unlock_host();
  return 0;
}

/* hold_byte(path): waits until it can lock the first byte of a file, for as long
   as this process lives */
static int native_hold_byte(lua_State *L) {
  struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET, .l_len = 1};
  int fd = open(luaL_checkstring(L, 1), O_RDWR | O_CLOEXEC);
  if (fd < 0 || fcntl(fd, F_OFD_SETLKW, &lock) != 0)
    return fail(L);
  return 0;
}

/* heap() -> bytes that malloc has given out and not got back, which glibc alone
   tells */
static int native_heap(lua_State *L) {
#ifdef __GLIBC__
  struct mallinfo2 info = mallinfo2();
  lua_pushnumber(L, (lua_Number)(info.uordblks + info.hblkhd));
  return 1;
#else
  return luaL_error(L, "this C library does not tell what malloc has given");
#endif
}

/* sending() -> whether a thread is in the send() of slow_send.c */
static int native_sending(lua_State *L) {
  int (*sending)(void);
  *(void **)&sending = find(L, "slow_send", "seer_spec_sending");
  lua_pushboolean(L, sending());
  return 1;
}

/* arm(what): what the module's next unlocking does by held_lock.c, and held()
   -> whether it has begun to */
static int native_arm(lua_State *L) {
  static const char *const names[] = {"nothing", "other waits", "exit",
                                      "other stays", NULL};
  int what = luaL_checkoption(L, 1, NULL, names);
  void (*arm)(int);
  *(void **)&arm = find(L, "held_lock", "seer_spec_arm");
  arm(what);
  return 0;
}

static int native_held(lua_State *L) {
  int (*held)(void);
  *(void **)&held = find(L, "held_lock", "seer_spec_held");
  lua_pushboolean(L, held());
  return 1;
}

__attribute__((visibility("default"))) int
luaopen_seer_spec_native(lua_State *L);

int luaopen_seer_spec_native(lua_State *L) {
  static const luaL_Reg functions[] = {
      {"fork",     native_fork    },
      {"wait",     native_wait    },
      {"kill",     native_kill    },
      {"raw_fork", native_raw_fork},
      {"cancel",   native_cancel  },
      {"exit_in",  native_exit_in },
      {"host",     native_host    },
      {"hold",     native_hold    },
      {"lock",     native_lock    },
      {"unlock",   native_unlock  },
      {"exit",     native_exit    },
      {"pid",      native_pid     },
      {"setenv",   native_setenv  },
      {"states",   native_states  },
      {"thread",   native_thread  },
      {"heap",     native_heap    },
      {"hold_byte", native_hold_byte},
      {"sending",  native_sending },
      {"arm",      native_arm     },
      {"held",     native_held    },
  };
  size_t count = sizeof functions / sizeof functions[0];
  lua_createtable(L, 0, (int)count);
  for (size_t i = 0; i < count; i++) {
    lua_pushcfunction(L, functions[i].func);
    lua_setfield(L, -2, functions[i].name);
  }
  return 1;
}
