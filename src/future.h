#pragma once

/*
 * A future: a request that is under way, whose answer can be asked for.
 *
 * A userdata that holds a reference to the request, and its client. One that
 * is collected leaves the request to the sender.
 */

#include "client.h"

/* Makes the metatable. [-0, +0] */
void seer_future_open(lua_State *L);

/* Pushes a future of a request to `path`, whose reference it takes over, of
   the client at `self`. [-0, +1] */
void seer_future_push(lua_State *L, int self, seer_request **request,
                      const char *path);
