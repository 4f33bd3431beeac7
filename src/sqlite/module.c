#include "driver.h"
#include "files.h"
#include "inspect.h"
#include "store_options.h"

#include <string.h>
#include <unistd.h>
#pragma GCC visibility push(hidden)

/* The only symbol that is seen from outside. */
__attribute__((visibility("default"))) int
luaopen_seerstack_sqlite(lua_State *L);

/* Raises what is wrong with an option, of which the value is on the top. */
static void refuse(lua_State *L, const char *name, const char *expected) {
  seer_store_options_refuse(L, "open", name, expected);
}

/* A relative path is meant from here, not from where the process goes. */
static void read_directory(lua_State *L, seer_files_config *config) {
  char here[SEER_FILES_DIRECTORY];
  size_t length;
  const char *given = seer_store_options_text(L, "directory", &length);
  if (length == 0)
    refuse(L, "directory", "a path");
  if (*given != '/') {
    if (getcwd(here, sizeof here) == NULL)
      refuse(L, "directory", "an absolute path");
    given = lua_pushfstring(L, "%s/%s", here, given);
    length = strlen(given);
  }
  while (length > 1 && given[length - 1] == '/')
    length--;
  if (length >= SEER_FILES_DIRECTORY)
    refuse(L, "directory", "a path of at most 479 bytes");
  memcpy(config->directory, given, length);
}

static void read_max_bytes(lua_State *L, seer_files_config *config) {
  lua_Number number = 268435456;
  if (seer_store_options_get(L, "max_bytes"))
    number = lua_type(L, -1) == LUA_TNUMBER ? lua_tonumber(L, -1) : 0;
  if (!(number >= SEER_DRIVER_LEAST && number <= 0x1p50) ||
      number != (lua_Number)(int64_t)number)
    refuse(L, "max_bytes", "an integer from 8388608 (8 MiB) to 2^50");
  config->max_bytes = (int64_t)number;
}

static void read_choices(lua_State *L, seer_files_config *config) {
  size_t length;
  const char *word = seer_store_options_text(L, "durability", &length);
  config->power = strcmp(word, "power") == 0;
  if (!config->power && !lua_isnil(L, -1) && strcmp(word, "process") != 0)
    refuse(L, "durability", "'process' or 'power'");
  if (seer_store_options_get(L, "group") && !lua_isboolean(L, -1))
    refuse(L, "group", "boolean");
  config->group = lua_toboolean(L, -1);
}

/* open { directory = ... } -> the store; nothing is opened yet */
static int open_store(lua_State *L) {
  static const char *const names[] = {"directory", "max_bytes", "durability",
                                      "group", NULL};
  seer_files_config config;
  memset(&config, 0, sizeof config); /* two are compared byte by byte */
  seer_store_options_check(L, "open", names);
  read_directory(L, &config);
  read_max_bytes(L, &config);
  read_choices(L, &config);
  seer_store_options_push(L, &seer_driver, &config, sizeof config);
  return 1;
}

int luaopen_seerstack_sqlite(lua_State *L) {
  static const luaL_Reg functions[] = {
      {"open",   open_store         },
      {"totals", seer_inspect_totals},
      {"rows",   seer_inspect_rows  },
      {"purge",  seer_inspect_purge },
      {NULL,     NULL               }
  };
  luaL_newlib(L, functions);
  return 1;
}
