#pragma once

/*
 * What Lua takes for a number, in JSON's spelling and back: integers and
 * floats of all versions, and LuaJIT's boxed 64-bit integers; with these, the
 * other C data that JSON has a word for, the NULL pointer.
 */

#include "core/base/buffer.h"

#include <lua.h>
#include <stdbool.h>
#include <stddef.h>

/* The longest spelling of a number: "-1.7976931348623157e+308". */
#define SEER_NUMBER_LENGTH 24

/* Appends the number at `index`, which must be one. [-0, +0] */
void seer_number_write(lua_State *L, int index, seer_buffer *out);

/* The same where it is a name, as keys are: minus zero is no other key than
   0. [-0, +0] */
void seer_number_name(lua_State *L, int index, seer_buffer *out);

/* False if no number's spelling begins as the text does. */
static inline bool seer_number_may_be(const char *text) {
  return *text == '-' || (*text >= '0' && *text <= '9');
}

/* If the bytes at `text` are how some number is spelled, pushes that number
   and returns true. Makes no string. [-0, +(0|1)] */
bool seer_number_spelled(lua_State *L, const char *text, size_t length);

/* If the C data at `index` is an int64_t or uint64_t, pushes its digits as
   a string and returns true. No metamethod of any other C data is called,
   so this runs nobody's code. [-0, +(0|1)] */
bool seer_number_boxed(lua_State *L, int index);

/* Whether the C data at `index` is a NULL pointer, of whatever type. Runs
   nobody's code. [-0, +0] */
bool seer_number_null(lua_State *L, int index);
