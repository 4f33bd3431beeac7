#pragma once

/*
 * What the value of an option may be: a reader for each kind.
 *
 * Readers look at the value on the top of the stack. Most store a number;
 * others leave what they have read in its place. A message says what was
 * expected, but nothing of a string: it may be a secret. A short word where
 * one of a few is expected is shown.
 */

#include <lua.h>
#include <stdbool.h>
#include <stdint.h>

/* Without a prefix, because they are a column of the table in options.c,
   which is the only other file to use them. */
typedef enum seer_value {
  TIME,  /* a number of seconds > 0; stored as ms, rounded up */
  GRACE, /* a TIME that may be 0 */
  COUNT, /* an integral number */
  RATE,  /* a COUNT, or false for 0 */
  FLAG,  /* a boolean; stored as 0 or 1 */
  FULL,  /* "reject" is 0, "drop_oldest" is 1 */
  HTTP,  /* its version: "1.1" is 1, "2" is 2 */
  LEVEL, /* the name of a seer_level */
  CALL,  /* a function, or false for none; of this and the rest... */
  STORE, /* what a store's module makes, or false */
  TABLE, /* ...the index is stored; a table, no array */
  PART,  /* a number from 0 to 1, or a table of such by name */
  HEAD,  /* a table of headers; becomes a block, see fields.h */
  QUERY, /* a table of query parameters; becomes a block */
  KEY,   /* a string that an HTTP header can carry */
  URL,   /* a string that can be a base URL; loses slashes at its end */
  PROXY, /* that of a proxy, or false, which becomes "" */
  PATH,  /* the path of a file with a certificate; becomes its text */
  PEM,   /* a string with a certificate */
  CERT,  /* either of these; becomes text */
  PRIV,  /* the same with a private key */
  PASS,  /* the password of a key */
  ID     /* a string that can be an Idempotency-Key */
} seer_value;

/* What stands in the text of each private key. */
#define SEER_VALUES_KEY_MARK "PRIVATE KEY-----"

/* Reads the value on the top of the stack. `least` and `most` are the range
   of numbers, in the unit of the option, and of what is stored for a name.
   Stores what is right in `*place`. Pushes what is wrong, leaves `*place` as
   it is and returns false. [-0, +(0|1)] */
bool seer_values_read(lua_State *L, seer_value kind, double least, double most,
                      int64_t *place);

/* What is stored for a number, in the unit of the option. */
int64_t seer_values_of(seer_value kind, double number);
