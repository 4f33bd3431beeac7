#pragma once

/*
 * The options of `new` and of a single request.
 *
 * One table in options.c describes each of them: name, type, range,
 * default, place. Checking, defaults and the manual's list follow from it;
 * values.h says what a value may be. Tables of options are read by raw
 * access, and each option once: what is no number stays on the stack as it
 * was read, so that nobody can change it. A wrong one is misuse and raises
 * "bad argument #1 to 'new' (option 'timeout': ...)"; only what comes from
 * the environment is reported back, for the caller to judge.
 */

#include "client.h"

#include <lua.h>
#include <stdbool.h>

/* Every field is an int64_t, as in seer_settings. Those of what stays on the
   stack are its indices; 0: it is not given. */
typedef struct seer_client_options {
  seer_settings settings;
  int64_t api_key, base_url;
  int64_t headers, query; /* as blocks */
  int64_t proxy;          /* "": none */
  int64_t ca_file;        /* what is in it */
  int64_t ca_blob;
  int64_t client_cert, client_key; /* what is in them */
  int64_t key_password;
  int64_t kept[SEER_KEPT]; /* false: none */
} seer_client_options;

/* The options of one request; a client's settings are their defaults. */
typedef struct seer_request_options {
  int64_t wait;        /* 1: block for the answer */
  int64_t future;      /* 1: return a future; then `wait` is 0 */
  int64_t timeout;     /* ms, of an attempt; 0: the client's */
  int64_t max_retries; /* 0: one attempt; -1: the client's */
  int64_t headers, query, idempotency_key, extra_body; /* on the stack */
} seer_request_options;

/* Raises "bad argument #<argument> to '<function>' (<message>)", with the
   message that is on the top of the stack. Never returns. */
int seer_options_misuse(lua_State *L, int argument, const char *function);

/* Returns what the method of a "client" or "future", as in <name>:<method>(),
   is called on: the userdata at index 1. Raises unless it has the metatable of
   that name. [-0, +0] */
void *seer_options_self(lua_State *L, const char *metatable, const char *name,
                        const char *method);

/* Raises unless the value at `argument` is a table. [-0, +0] */
void seer_options_table(lua_State *L, int argument, const char *function);

/* Whether the event or body at `argument`, which is no table, is raw text.
   Raises unless it is, or is `optional` and nil. [-0, +0] */
bool seer_options_event(lua_State *L, int argument, const char *function,
                        bool optional);

/* Raises unless the value at `argument` is a table whose options raw access
   shows. [-0, +0] */
void seer_options_plain(lua_State *L, int argument, const char *function);

/* Reads the options of `new`, a table or nil, at the index `argument`, and
   fills in the defaults. Raises on misuse. [-0, +n] */
void seer_options_client(lua_State *L, int argument, const char *function,
                         seer_client_options *options);

/* The same for a client that is made of another, whose settings these are:
   what is not given stays as it is, and the key and the base URL must not be
   given. [-0, +n] */
void seer_options_overrides(lua_State *L, int argument, const char *function,
                            const seer_settings *settings,
                            seer_client_options *options);

/* Pushes the base URL and the key: those that were given, or else the
   environment's. If the environment lacks the key, or has a value that cannot
   be used, pushes a message instead and returns false; but a key that is
   missing is "" when none is needed. [-0, +(2|1)] */
bool seer_options_endpoint(lua_State *L, const seer_client_options *options,
                           bool needs_key);

/* Reads the options of a request, a table or nil, at the index `argument`;
   a number that is not given stays as it is, but `future` takes the place of
   the client's `wait`. Raises on misuse. [-0, +n] */
void seer_options_request(lua_State *L, int argument, const char *function,
                          seer_request_options *options);

/* The milliseconds to wait, from a number of seconds >= 0 at the index
   `argument`, or `fallback` if nil is there. Raises on misuse. [-0, +0] */
int64_t seer_options_timeout(lua_State *L, int argument, const char *function,
                             int64_t fallback);
