#pragma once

/*
 * A connection to Redis, on which scripts are run, one after the other. It is
 * opened when it is needed, and closed by any trouble: the next call opens
 * another one, elsewhere if the name has moved. Nothing waits for longer than
 * SEER_STORE_PATIENCE without hearing of Redis, but looking up a name, which
 * the C library does.
 */

#include "config.h"
#include "core/store.h"
#include "scripts.h"

#include <hiredis/hiredis.h>
#include <stdbool.h>

typedef struct seer_connection {
  const seer_config *config;
  redisContext *context; /* NULL: closed */
  bool unsure;           /* the last command of the last connection may not
                            have been run yet */
  long long client;      /* the connection's number there; 0: not known */
  char server[41];       /* which run of Redis that is */
  char policy[32];       /* its maxmemory-policy */
  char scripts[SEER_SCRIPTS_LOADED][41]; /* what they are called there */
} seer_connection;

/* The words of a command, as they go out. */
typedef struct seer_words {
  char *bytes; /* NULL without memory: then there is no command */
  size_t length, room;
  int count;
} seer_words;

void seer_words_clear(seer_words *words);
void seer_words_add(seer_words *words, const void *bytes, size_t length);
void seer_words_print(seer_words *words, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* The seven words of a row that is put. */
void seer_words_add_row(seer_words *words, const seer_row *row);

/* Opens the connection, unless it is open. */
bool seer_connection_open(seer_connection *self, seer_store_message message);

/* Says nothing to Redis. */
void seer_connection_close(seer_connection *self);

/* Says where Redis is, what is wrong, and what somebody says of it. */
void seer_connection_explain(const seer_connection *self, const char *what,
                             const char *said, seer_store_message message);

/* Runs a script of scripts.h with these words: how many keys, keys, arguments.
   NULL, with a message and a closed connection, if it was not; with `unsure`
   if it may have been. */
redisReply *seer_connection_run(seer_connection *self, int script,
                                const seer_words *words,
                                seer_store_message message);

/* The integer, or number in a string, at this place of a reply; the string, or
   "". */
long long seer_connection_number(const redisReply *reply, size_t i);
const char *seer_connection_string(const redisReply *reply, size_t i,
                                   size_t *length);
