#ifndef SEER_MARKS_H
#define SEER_MARKS_H

/*
 * What marks a table as an array, or stands for one: seerstack's own
 * metatable, and what the loaded lua-cjson has of the kind (OpenResty's
 * does). They are compared by identity; the userdata that holds them keeps
 * them in existence. encode.h has the functions for the rest of the module.
 */

#include "encode.h"

#pragma GCC visibility push(hidden)

struct seer_marks {
  const void *array;          /* our metatable */
  const void *cjson_array;    /* its metatables, NULL where it has none... */
  const void *cjson_if_empty; /* ...this one for empty tables only... */
  const void *cjson_empty;    /* ...and the value that it writes as [] */
};

/* True if the table at `index`, which is not relative to the top, is marked
   as an array. [-0, +0] */
bool seer_marks_has(const seer_marks *marks, lua_State *L, int index);

#pragma GCC visibility pop

#endif
