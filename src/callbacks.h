#pragma once

/*
 * The functions that a client's owner has given it. They run on the thread
 * that owns the Lua state, and only while it is in a function of the client:
 * before_send inside capture, identify and post, the others where
 * somebody waits or asks. An error in one of them stays here.
 */

#include "client.h"

typedef enum seer_filtered {
  SEER_FILTERED_SEND,    /* the event, maybe changed, is to be sent */
  SEER_FILTERED_DROP,    /* it is not; there is a message */
  SEER_FILTERED_FAILURE, /* the callback has failed; there is a message */
  SEER_FILTERED_INVALID  /* the event cannot be copied; there is a message */
} seer_filtered;

/* Lets before_send see and change the event at the index `event`. Pushes a
   message unless the event is to be sent. [-0, +(0|1)] */
seer_filtered seer_callbacks_filter(lua_State *L, int self, int event,
                                    const char *path);

/* Leaves the event at the index `event`, which cannot be sent, and the error
   on the top for on_error, if there is one. [-0, +0] */
void seer_callbacks_keep_invalid(lua_State *L, int self, int event);

/* Calls logger, on_error and on_delivered for what has come up; returns the
   number of calls. Does nothing while they run already. [-0, +0] */
int seer_callbacks_run(lua_State *L, int self);
