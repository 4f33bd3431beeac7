#pragma once

/*
 * Lua values as JSON: the only file that knows both sides.
 *
 * Tables are read by raw access, so no Lua code runs; no garbage is made,
 * but for the text of LuaJIT's boxed 64-bit integers. A value that cannot be
 * sent ends the walk with a message that begins with its path:
 * "data.items[3].callback: a function cannot be sent".
 */

#include "core/base/buffer.h"
#include "core/base/kinds.h"
#include "core/base/scan.h"
#include "marks.h"

#include <lua.h>
#include <stdbool.h>

#define SEER_ENCODE_DEPTH SEER_SCAN_DEPTH /* levels of tables */

/* The room on the stack that encoding needs and callers provide: a key and a
   value for each level, and a few for what is looked up. */
#define SEER_ENCODE_STACK (2 * SEER_ENCODE_DEPTH + LUA_MINSTACK)

/* Appends the value on the top, at the index `top`, which is of this type and
   called `field` in messages. False on failure, a failure of `out` included:
   then a message is on the top, above what else was left there. [-0, +any] */
bool seer_encode(lua_State *L, int top, int type, const seer_marks *marks,
                 seer_buffer *out, const char *field);

/* Appends `,"key":value` for each field of the table on the top whose key is
   not the name of one of the fields `skip`. Failures as above. [-0, +any] */
bool seer_encode_others(lua_State *L, int top, const seer_marks *marks,
                        seer_buffer *out, const seer_field *skip);

/* True if `out` has no error, else pushes a message about it. [-0, +(0|1)] */
bool seer_encode_check(lua_State *L, const seer_buffer *out);
