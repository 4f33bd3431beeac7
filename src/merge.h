#pragma once

/*
 * What becomes of an event before it is encoded: defaults under it, a
 * request's fields over it, a copy that before_send may change.
 *
 * Tables are read and written by raw access, and the caller's are never
 * changed. A new table has the metatable of the one it is made of, so that
 * an array stays one; but not a metatable with __gc or __mode, for what
 * these do is meant for the original alone.
 */

#include <lua.h>
#include <stdbool.h>

/* Pushes a new table with the fields of the one at `under`, and those of
   the one at `over` in place of these. Either may be something else than a
   table, which has no fields. [-0, +1] */
void seer_merge_fields(lua_State *L, int under, int over);

/* Pushes a copy of the table at `index` and all tables within; what is one
   table there is one in the copy. If there are more than 100 levels within,
   as in a cycle, pushes a message, which begins with the path, and returns
   false. [-0, +1] */
bool seer_merge_copy(lua_State *L, int index);

/* True if the table at `index` is marked as an array, or has keys, and only
   those of one. [-0, +0] */
bool seer_merge_is_list(lua_State *L, int index);

/* True if the table at `index` has no fields, but a metatable by which others
   may see some that raw access does not: __index or __pairs. [-0, +0] */
bool seer_merge_is_hollow(lua_State *L, int index);

/* Pushes the event at `event` with the fields of the table at `extra` (or
   nil) over it. The tables called `named` ("data", "attributes"; NULL:
   none) are merged key by key, with the one at `defaults` (or nil) lowest;
   what is called so and is neither a table nor null takes their place, for
   the encoder to refuse. [-0, +1] */
void seer_merge_event(lua_State *L, int event, const char *named, int defaults,
                      int extra);
