#pragma once

/*
 * seerstack.raw(text): JSON text as a value, which is sent as it is. It is
 * checked when it is made; what is wrong is told when it is sent, by a
 * message that can name the field. It never changes, so copies of tables
 * share it.
 */

#include "core/base/kinds.h"

#include <lua.h>
#include <stdbool.h>
#include <stddef.h>

#define SEER_RAW_PROBLEM 48

typedef struct seer_raw {
  char problem[SEER_RAW_PROBLEM]; /* empty: there is none */
  int depth;                      /* levels of arrays and objects */
  size_t length;
  char text[]; /* without blanks around it; ends with a zero */
} seer_raw;

/* Makes the metatable. [-0, +0] */
void seer_raw_open(lua_State *L);

/* seerstack.raw(text) */
int seer_raw_new(lua_State *L);

/* The raw text at `index`, or NULL. [-0, +0] */
const seer_raw *seer_raw_at(lua_State *L, int index);

/* True if the value at `index` is the raw text of an object, or would be
   one but for a problem. [-0, +0] */
bool seer_raw_is_object(lua_State *L, int index);

/* If the value at `index`, which is not relative to the top, is the raw text
   of an array or object, puts a table of its members there. Strings, true,
   false and null become Lua's; so does a number, if Lua would write it like
   that. All else is raw text in turn. Integers in those of the fields (or
   NULL) that are ids become strings. [-0, +0] */
void seer_raw_unfold(lua_State *L, int index, const seer_field *fields);

/* Puts a table in the place of the raw text of an event or body of this
   kind. On failure pushes the message and returns false. [-0, +(0|1)] */
bool seer_raw_event(lua_State *L, int index, seer_kind kind);
