#pragma once

/*
 * What `seerstack queue` sees of a store, and does to it, as functions of Lua.
 * Looking changes nothing. All take the options of `open`, and return nil and
 * a message if Redis does not answer.
 *
 * A row is a table: id, owned (somebody has it), kind, tries, age (seconds),
 * uuid and body.
 */

#include <lua.h>

/* totals(options) -> { events, nobodys, owners, bytes, oldest, machines,
   slots }: rows, how many living processes there are, memory, an age in
   seconds, and who has how many slots of a limit */
int seer_inspect_totals(lua_State *L);

/* rows(options, from) -> a list of rows behind the one whose id is `from`, or
   from the first; empty behind the last */
int seer_inspect_rows(lua_State *L);

/* purge(options) -> how many rows of nobody's were removed */
int seer_inspect_purge(lua_State *L);
