#pragma once

/*
 * capture, identify and post: from their arguments to their results.
 */

#include "client.h"

/* With the arguments at the indices from 1 on: the event and the options of
   the request, or for a post the path, the body and these. `self` is where
   the client stands: an upvalue, or the index SEER_SEND_SELF, which is then
   the top. Returns the number of results. */
int seer_send(lua_State *L, seer_client *client, int self, seer_kind kind);

#define SEER_SEND_SELF 4
