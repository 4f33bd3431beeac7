#pragma once

/*
 * The options of seerstack.redis, read from a table. Two stores with the same
 * bytes here are one.
 */

#include "address.h"

#include <lua.h>

typedef struct seer_config {
  seer_address address;
  char prefix[64];               /* of all keys */
  char ca_file[512];             /* authorities to trust; "": the system's */
  int64_t max_events, max_bytes; /* of nobody's rows of a target */
  int64_t lease;                 /* ms without a word: dead */
} seer_config;

/* Reads the table at index 1 of this function's stack; raises what is wrong
   with it. */
void seer_config_read(lua_State *L, seer_config *config, const char *function);
