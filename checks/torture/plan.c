#include "torture.h"

#include <dlfcn.h>
#include <execinfo.h>
#include <link.h>
#include <stdlib.h>
#include <string.h>

const char *const torture_module_names[MODULES] = {
    "ours", "curl", "tls", "lua", "json", "rest", "host"};
const char *const torture_kind_names[KINDS] = {
    "memory", "threads", "network", "files", "random", "process", "libcurl"};
const char *const torture_mode_names[MODES] = {"once", "outage", "ever"};

static torture_record unshared;
torture_record *torture_run = &unshared;

static struct {
  unsigned kinds, modules;
  torture_mode mode;
  long n;
  uint64_t stack;
  _Atomic bool armed;
} plan;

static _Thread_local bool exempt; /* this thread's calls do not fail */

#define NEAR 50 /* calls, by which threads may come before each other */

void torture_plan(unsigned kinds, unsigned modules, torture_mode mode, long n,
                  uint64_t stack) {
  plan.kinds = kinds;
  plan.modules = modules;
  plan.mode = mode;
  plan.n = n;
  plan.stack = stack;
}

void torture_arm(void) {
  plan.armed = true;
}

void torture_disarm(void) {
  plan.armed = false;
}

torture_mode torture_planned(void) {
  return plan.mode;
}

/*
** Whose address it is. What the loader says of one is kept by the library.
*/

static torture_module name_module(const char *path) {
  static const struct {
    const char *part;
    torture_module module;
  } known[] = {
      {"/seerstack.so",        MODULE_OURS},
      {"/seerstack/sqlite.so", MODULE_OURS},
      {"/libcurl",             MODULE_CURL},
      {"/libssl",              MODULE_TLS },
      {"/libcrypto",           MODULE_TLS },
      {"cjson",                MODULE_JSON},
      {"/liblua",              MODULE_LUA }
  };
  if (path == NULL || path[0] == '\0')
    return MODULE_HOST;
  for (size_t i = 0; i < sizeof known / sizeof *known; i++)
    if (strstr(path, known[i].part) != NULL)
      return known[i].module;
  return MODULE_REST;
}

#define KEPT 128

torture_module torture_whose(const void *address) {
  static struct {
    _Atomic(const struct link_map *) map;
    torture_module module;
  } kept[KEPT];
  static _Atomic unsigned used;
  struct dl_find_object found;
  unsigned place;
  if (_dl_find_object((void *)(uintptr_t)address, &found) != 0)
    return MODULE_REST;
  for (unsigned i = 0; i < used && i < KEPT; i++)
    if (kept[i].map == found.dlfo_link_map)
      return kept[i].module;
  torture_module module = name_module(found.dlfo_link_map->l_name);
  place = used++;
  if (place < KEPT) {
    kept[place].module = module;
    kept[place].map = found.dlfo_link_map;
  }
  return module;
}

/*
** Failing.
*/

/* Of the stack of the call that is being made, but for this program's part. */
static uint64_t hash_stack(void) {
  void *stack[FRAMES];
  int depth = backtrace(stack, FRAMES);
  uint64_t hash = 14695981039346656037u;
  for (int i = 0; i < depth; i++)
    if (torture_whose(stack[i]) != MODULE_HOST)
      hash = (hash ^ (uintptr_t)stack[i]) * 1099511628211u;
  return hash;
}

/* Whether it is the call that is to fail first: the n-th, or one near it that
   has the stack that is meant. Others' allocations have a stack to speak of.
 */
static bool is_meant(long number, bool is_others) {
  uint64_t stack;
  if (plan.n > 0 && plan.stack == 0)
    return number == plan.n;
  if (number < plan.n - NEAR)
    return false;
  stack = is_others ? hash_stack() : 0;
  if (plan.n == 0) {
    torture_note_stack(number, stack);
    return false;
  }
  torture_run->met = stack == plan.stack;
  return torture_run->met || number >= plan.n + NEAR;
}

static void note_first(long number, const char *call, torture_module module) {
  torture_record *run = torture_run;
  run->first = number;
  snprintf(run->call, sizeof run->call, "%s", call);
  snprintf(run->by, sizeof run->by, "%s", torture_module_names[module]);
  run->depth = backtrace(run->stack, FRAMES);
}

bool torture_fails_for(torture_kind kind, const char *call,
                       torture_module module) {
  bool is_others =
      kind == KIND_MEMORY && module != MODULE_OURS && module != MODULE_LUA;
  long number;
  if (!plan.armed || exempt || (plan.kinds & 1u << kind) == 0 ||
      (plan.modules & 1u << module) == 0)
    return false;
  number = ++torture_run->reached;
  if (torture_run->injected == 0) {
    if (!is_meant(number, is_others))
      return false;
    note_first(number, call, module);
  } else if (plan.mode == MODE_ONCE) {
    return false;
  }
  torture_run->injected++;
  return true;
}

bool torture_fails(torture_kind kind, const char *call, const void *caller) {
  if (!plan.armed || (plan.kinds & 1u << kind) == 0)
    return false;
  return torture_fails_for(kind, call, torture_whose(caller));
}

/* libcurl is loaded late, and by a module, so that it is not among the
   libraries that are searched for the whole program. */
static void *find(const char *name) {
  static void *libcurl;
  if (strncmp(name, "curl_", 5) != 0)
    return dlsym(RTLD_NEXT, name);
  if (libcurl == NULL)
    libcurl = dlopen("libcurl.so.4", RTLD_NOW | RTLD_LOCAL);
  return libcurl != NULL ? dlsym(libcurl, name) : NULL;
}

/* What this needs itself does not fail; what other threads need does. */
void *torture_next(const char *name) {
  bool before = exempt;
  void *found;
  exempt = true;
  found = find(name);
  exempt = before;
  if (found == NULL)
    abort();
  return found;
}
