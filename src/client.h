#ifndef SEER_CLIENT_H
#define SEER_CLIENT_H

/*
 * A client: settings, and a queue that the sender empties.
 *
 * In Lua it is a userdata. `client.events` and `client.users` are tables
 * made once with it; their functions hold it, so that either keeps the
 * other alive. When it is collected, what is queued is still sent. The
 * functions below are shared by its methods and by the module's functions
 * on the default client.
 */

#include "core/event.h"

#include <lua.h>
#include <stdbool.h>

#pragma GCC visibility push(hidden)

typedef struct seer_client seer_client;

/* Makes the metatables. [-0, +0] */
void seer_client_open(lua_State *L);

/* seerstack.new(options) */
int seer_client_new(lua_State *L);

/* Pushes a client with the options at the index `argument`, a table or
   nil; raises if they are wrong. If the environment is at fault, pushes a
   message instead and returns false. [-0, +1] */
bool seer_client_push(lua_State *L, int argument, const char *function);

/* The client at `index`, or NULL if it is something else. [-0, +0] */
seer_client *seer_client_test(lua_State *L, int index);

/* capture or identify of the event at index 1 with the options at index 2.
   Returns the number of results; so do the others. */
int seer_client_send(lua_State *L, seer_client *client, seer_kind kind);

/* flush and close, with the timeout at index 1. */
int seer_client_flush(lua_State *L, seer_client *client);
int seer_client_close(lua_State *L, seer_client *client);

int seer_client_stats(lua_State *L, seer_client *client);

#pragma GCC visibility pop

#endif
