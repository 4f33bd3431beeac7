#pragma once

/*
 * What a call owns while Lua may raise: a userdata, so that the collector
 * frees what an error has left behind.
 */

#include "core/base/buffer.h"
#include "core/base/event.h"
#include "core/endpoint.h"
#include "core/notice.h"

#include <lua.h>

typedef struct seer_holder {
  seer_request *request; /* a reference */
  seer_event *event;
  seer_message *message;
  seer_endpoint *endpoint; /* these two by reference */
  seer_site *site;
  seer_buffer scratch;
} seer_holder;

/* Makes the metatable. [-0, +0] */
void seer_holder_open(lua_State *L);

/* Pushes one that owns nothing; its scratch may grow to `ceiling`. [-0, +1] */
seer_holder *seer_holder_push(lua_State *L, size_t ceiling);

/* Frees what it owns now, not when it is collected. */
void seer_holder_release(seer_holder *holder);
