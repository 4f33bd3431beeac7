#pragma once

/*
 * What a call gives back: an outcome as a response, or nil, message, err.
 *
 * An error is a table with the metatable "seerstack.error", whose
 * __tostring is its message: name, message and, where there are any,
 * status, headers, body and path. Answers are decoded with an instance of
 * lua-cjson that nobody else has.
 */

#include "core/base/event.h"

#include <lua.h>
#include <stdbool.h>

/* Loads lua-cjson and makes the metatable of errors. Raises if there is no
   lua-cjson. [-0, +0] */
void seer_result_open(lua_State *L);

/* Turns the message on the top into nil, message, err and returns 3, for
   the caller to return. [-1, +3] */
int seer_result_fail(lua_State *L, const char *name);

/* The same for a client that is closed. [-0, +3] */
int seer_result_closed(lua_State *L);

/* The same for one whose time is up: after so many ms, and what is not
   there. [-0, +3] */
int seer_result_late(lua_State *L, int64_t timeout, const char *what);

/* Pushes the name of a header in lower case. [-0, +1] */
void seer_result_push_lower(lua_State *L, const char *text, size_t length);

/* The same for an event that was dropped: pushes nil, message, err with
   the name DroppedError and the path. [-0, +3] */
int seer_result_drop(lua_State *L, const char *message, const char *path);

/* Pushes what has become of a request: response, http if the answer was a
   2xx whose body is a JSON object without "success": false, or empty (the
   response is then an empty table); else nil, message, err. Returns the
   number of values. [-0, +(2|3)] */
int seer_result_push(lua_State *L, const seer_outcome *outcome,
                     const char *path);

/* Lets a hook run that a signal has set, before anything is done under
   pcall. */
void seer_result_let_hooks(lua_State *L);

/* Pushes the value of a JSON text; false, and nothing pushed, if it is
   none. [-0, +(0|1)] */
bool seer_result_decode(lua_State *L, const char *text, size_t length);
