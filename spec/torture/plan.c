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
  _Atomic bool armed;
} plan;

void torture_plan(unsigned kinds, unsigned modules, torture_mode mode,
                  long n) {
  plan.kinds = kinds;
  plan.modules = modules;
  plan.mode = mode;
  plan.n = n;
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
      {"/seerstack.so", MODULE_OURS},
      {"/libcurl",      MODULE_CURL},
      {"/libssl",       MODULE_TLS },
      {"/libcrypto",    MODULE_TLS },
      {"cjson",         MODULE_JSON},
      {"/liblua",       MODULE_LUA }
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

static void note_first(const char *call, torture_module module) {
  torture_record *run = torture_run;
  snprintf(run->call, sizeof run->call, "%s", call);
  snprintf(run->by, sizeof run->by, "%s", torture_module_names[module]);
  run->depth = backtrace(run->stack, FRAMES);
}

bool torture_fails_for(torture_kind kind, const char *call,
                       torture_module module) {
  long number;
  if (!plan.armed || (plan.kinds & 1u << kind) == 0 ||
      (plan.modules & 1u << module) == 0)
    return false;
  number = ++torture_run->reached;
  if (plan.n == 0 || number < plan.n ||
      (plan.mode == MODE_ONCE && number > plan.n))
    return false;
  if (torture_run->injected++ == 0)
    note_first(call, module);
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

/* What this needs itself does not fail. */
void *torture_next(const char *name) {
  bool armed = plan.armed;
  void *found;
  plan.armed = false;
  found = find(name);
  plan.armed = armed;
  if (found == NULL)
    abort();
  return found;
}
