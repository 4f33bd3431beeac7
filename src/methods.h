#ifndef SEER_METHODS_H
#define SEER_METHODS_H

/*
 * A client as Lua sees it: its functions by their names, and what makes one.
 */

#include "options.h"

#pragma GCC visibility push(hidden)

/* Makes the metatable of clients. [-0, +0] */
void seer_methods_open(lua_State *L);

/* seerstack.new(options) */
int seer_methods_new(lua_State *L);

/* Pushes a client with options that have been read. If the environment is at
   fault, pushes a message instead and returns false. [-0, +1] */
bool seer_methods_push(lua_State *L, const seer_client_options *options);

/* Methods of the client at `self`, with their first argument at index 1.
   They return the number of results. */
int seer_methods_flush(lua_State *L, int self);
int seer_methods_close(lua_State *L, int self);
int seer_methods_poll(lua_State *L, int self);
int seer_methods_pump(lua_State *L, int self);
int seer_methods_stats(lua_State *L, int self);

#pragma GCC visibility pop

#endif
