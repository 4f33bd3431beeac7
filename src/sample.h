#pragma once

/*
 * The option `sample`: which part of the captures is sent, where there are
 * more than the API takes. A hash of the user, keyed by the API's key,
 * decides, so that in every process all events of a user are kept or none;
 * without a user, chance does.
 */

#include "client.h"

/* Whether the capture that the value at `event`, which is not relative to the
   top, describes is to be sent by the client at `self`. [-0, +0] */
bool seer_sample_keeps(lua_State *L, int self, int event);
