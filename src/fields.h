#pragma once

/*
 * Tables of headers and of query parameters, as blocks for the core.
 *
 * A block is a Lua string of lines, each ended by a zero byte, with one
 * more zero at its end; that of an empty table is empty. Its lines are in
 * the order of their names, so that it is the same each time. A header is
 * spelled as libcurl takes it: "Name: value", "Name;" when the value is
 * empty, "Name:" for false, which removes it. A parameter is "name=value",
 * both percent-encoded, or "name" for false. Values are strings and
 * numbers, and quoted in no message: they may be secrets.
 */

#include "core/base/block.h"

#include <lua.h>
#include <stdbool.h>

/* Bytes of a block, at most: few servers take more, and libcurl's HTTP/2 does
   not. */
#define SEER_HEADERS_MOST 16384
#define SEER_QUERY_MOST 8192

/* Pushes the block of the table at `index`, which is read by raw access; or
   pushes what is wrong with it and returns false. [-0, +1] */
bool seer_fields_push(lua_State *L, int index, seer_block_kind kind);
