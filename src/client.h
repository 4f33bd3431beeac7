#pragma once

/*
 * A client: settings, and a queue that the sender empties. Most clients of
 * many have nothing to send, and so a client has no queue before its first
 * event, unless it needs one before: for a store, or for what is told of it.
 *
 * In Lua it is a userdata. The clients of a state have their methods in
 * common. Its user value, once there is one, is a table of its own members:
 * `events` and `users` by their names, which are made when they are asked for,
 * and what Lua has to keep for it, such as its callbacks, by addresses, so
 * that nobody else can reach that. The functions of `events` and `users` hold
 * the client, so that either keeps the other alive. When it is collected, what
 * is queued is still sent.
 *
 * Functions on a client take the index `self` where it stands: on the stack,
 * or as an upvalue.
 */

#include "core/base/clock.h"
#include "core/sender.h"
#include "event.h"
#include "holder.h"

#include <lua.h>
#include <stdbool.h>

/* What Lua keeps for a client. */
typedef enum seer_kept {
  SEER_KEPT_BEFORE_SEND,
  SEER_KEPT_ON_ERROR,
  SEER_KEPT_ON_DELIVERED,
  SEER_KEPT_LOGGER,
  SEER_KEPT_STORE,
  SEER_KEPT_SAMPLE,   /* a number, or a table of them by name */
  SEER_KEPT_DEFAULTS, /* of the first kind; then those of the others */
  /* Lists of its own: in test mode requests, see record.c; for on_error events
     that cannot be sent, see callbacks.c. */
  SEER_KEPT_CAPTURED = SEER_KEPT_DEFAULTS + SEER_ROWS,
  SEER_KEPT_INVALID,
  SEER_KEPT
} seer_kept;

/* Kinds of fault of an event are told apart by a hash of the field. */
#define SEER_CLIENT_FAULTS 16

typedef struct seer_client {
  const void *spaces[SEER_ROWS]; /* client.events..., to be known */
  seer_queue *queue; /* NULL until it is needed, and when the client ends */
  seer_party *party; /* NULL until it can be used, and when it ends; the queue
                        owns it, once there is one */
  const seer_settings *settings; /* the party's; without it, zeros */
  seer_building with;  /* what events are built with: marks, and these */
  seer_buffer scratch; /* for the JSON of one event */
  seer_stamp stamp;    /* for its timestamp */
  int64_t captured;    /* in test mode: requests since they were last taken */
  int64_t unsendable;  /* events that cannot be sent, for on_error... */
  int64_t unheard;     /* ...and of these, the number of the next */
  int64_t missed;      /* ...and how many it never gets */
  seer_trouble *invalid;  /* such events; NULL until there is one */
  bool hinted[SEER_ROWS]; /* that unknown fields may be mistakes is told */
  bool hollow_told;       /* that metamethods are not called, too */
  bool has_members;
  bool closed;
  bool filtering;      /* before_send is running */
  bool calling;        /* the other callbacks are running */
  bool has[SEER_KEPT]; /* what there is of the values that Lua keeps */
} seer_client;

#define SEER_CLIENT "seerstack.client" /* the metatable's name */

/* Pushes a client that is closed and owns nothing. [-0, +1] */
seer_client *seer_client_push(lua_State *L, int64_t max_event_bytes);

/* Makes the queue of a client, which sends by way of the store, if that is not
   NULL; false without memory. */
bool seer_client_begin(seer_client *client, const seer_store_object *store);

/* Makes that of a client that has none and no store; not of one that has
   ended. Raises an error without memory. [-0, +0] */
void seer_client_open(lua_State *L, seer_client *client);

/* Gives up what the client owns, when it is collected. What is queued is
   still sent. */
void seer_client_end(seer_client *client);

/* Has the holder keep what the client sends to, its URL and the like, for a
   finalizer may end the client whenever Lua allocates; false if one has. */
bool seer_client_hold(const seer_client *client, seer_holder *holder);

/* Pushes the table of members of the client at `self`. [-0, +1] */
void seer_client_members(lua_State *L, int self);

/* Pushes a value that Lua keeps for the client at `self`; nil if there is
   none. [-0, +1] */
void seer_client_get(lua_State *L, int self, seer_kept what);

/* Keeps the value on the top for the client at `self`. [-1, +0] */
void seer_client_keep(lua_State *L, int self, seer_kept what);
