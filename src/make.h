#pragma once

/*
 * How a client comes to be, from its options: its settings, callbacks and
 * defaults, and what tells its site from others. Where an option is not
 * given, a client that it is made of has the say.
 */

#include "options.h"

/* Pushes a client with options that have been read. If the environment is at
   fault, pushes a message instead and returns false. [-0, +1] */
bool seer_make(lua_State *L, const seer_client_options *options);

/* Pushes one with the options in the table at index 1, and for the rest
   those of the client at `self`. Returns false if that one is closed. */
bool seer_make_with(lua_State *L, int self);
