#pragma once

/*
 * What marks a table as an array, or stands for one: seerstack's own
 * metatable, and what the loaded lua-cjson has of the kind (OpenResty's
 * does). They are compared by identity, and so are the names of known fields;
 * the userdata that holds them keeps them in existence.
 */

#include "core/base/kinds.h"

#include <lua.h>
#include <stdbool.h>

typedef struct seer_marks {
  const void *array;          /* our metatable */
  const void *cjson_array;    /* its metatables, NULL where it has none... */
  const void *cjson_if_empty; /* ...this one for empty tables only... */
  const void *cjson_empty;    /* ...and the value that it writes as [] */
  /* What lua_topointer has for the name of each field: NULL for any string in
     some Luas. */
  const void *names[SEER_ROWS][SEER_FIELDS];
} seer_marks;

/* Finds the marks (seerstack's own, and those that the loaded lua-cjson
   has) and the names, and keeps them in the registry. [-0, +0] */
void seer_marks_open(lua_State *L);

/* The marks of this state; they live as long as it does. [-0, +0] */
const seer_marks *seer_marks_get(lua_State *L);

/* True if the table at `index`, which is not relative to the top, is marked
   as an array. [-0, +0] */
bool seer_marks_has(const seer_marks *marks, lua_State *L, int index);

/* Marks the table on the top as an array. [-0, +0] */
void seer_marks_set(lua_State *L);

/* seerstack.array(t): marks t as an array and returns it. */
int seer_marks_array(lua_State *L);
