#pragma once

/*
 * Test mode: the requests that would have been sent, kept for their owner to
 * look at.
 */

#include "client.h"
#include "holder.h"

/* Keeps the request of the holder's event; its scratch is used. When there
   are max_queue_events already, the oldest goes. [-0, +0] */
void seer_record_add(lua_State *L, int self, seer_holder *holder);

/* Pushes a list of the requests since the last time. [-0, +1] */
void seer_record_take(lua_State *L, int self);
