#pragma once

/*
 * What `seerstack queue` sees of a store, and does to it, as functions of Lua.
 * Looking changes nothing, but for what the dead have left: it is nobody's.
 *
 * A row is a table: id, owned (somebody has it), kind, tries, age (seconds),
 * uuid and body.
 */

#include <lua.h>

/* All return nil and a message if the directory cannot be read.

   totals(directory) -> { events, nobodys, owners, bytes, log, oldest }: rows,
   how many living processes have some, sizes, and an age in seconds */
int seer_inspect_totals(lua_State *L);

/* rows(directory, from) -> a list of up to 256 rows whose id is greater than
   `from` */
int seer_inspect_rows(lua_State *L);

/* purge(directory) -> how many rows of nobody's were removed */
int seer_inspect_purge(lua_State *L);
