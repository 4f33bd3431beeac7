#pragma once

/*
 * Hints about fields of an event that are likely meant as others: what is
 * written a little differently ("userId", "timestmap"), and what other
 * services call the same ("distinct_id", "properties"). Unknown fields are
 * sent as they are, so nothing but a hint tells of such a mistake.
 *
 * Nothing here allocates, so nothing raises.
 */

#include "core/base/kinds.h"

#include <lua.h>
#include <stdbool.h>

/* With the room for the longest hint. */
#define SEER_HINT_LENGTH 240

/* Writes the hint about the event at `index`, which is not relative to the
   top: each field that it lacks, and the unknown one that may be meant so,
   as in: did you mean name by "event", data by "properties"? False if there
   is none. [-0, +0] */
bool seer_hint_write(lua_State *L, int index, const seer_kind_row *row,
                     char text[SEER_HINT_LENGTH]);

/* The string in a field of the table at `index`, or NULL; it belongs to the
   table. [-0, +0] */
const char *seer_hint_string(lua_State *L, int index, const char *name);
