#ifndef SEER_REQUIRE_H
#define SEER_REQUIRE_H

/*
 * Modules that this one needs.
 *
 * Sandboxes put a function that refuses in the place of the global
 * `require`, so it is not asked: what is loaded already, and who searches
 * for the rest, stands in the table `package`, which the registry keeps.
 */

#include <lua.h>

#pragma GCC visibility push(hidden)

/* Pushes the value of a module, which is loaded if it is not yet. Raises if
   it is not found, or fails. [-0, +1] */
void seer_require(lua_State *L, const char *name);

#pragma GCC visibility pop

#endif
