#pragma once

/*
 * What others say, made fit to be told. There may be secrets in it: a server
 * repeats the key in an error, and libcurl quotes a proxy with its password.
 * And there may be control characters, to forge a line of a log or to talk to
 * a terminal.
 */

#include <stdbool.h>
#include <stddef.h>

#define SEER_SECRET_LEAST 4 /* bytes: a shorter one stands anywhere */

/* What is to be masked, the longest first: of two that begin at one place, the
   shorter may leave a part of the other. Zeroed, it is empty. */
typedef struct seer_secrets {
  char **texts; /* owned */
  size_t count;
} seer_secrets;

/* Adds a copy of a secret that is long enough; false without memory. */
bool seer_secrets_add(seer_secrets *secrets, const char *text, size_t length);
bool seer_secrets_copy(seer_secrets *secrets, const seer_secrets *others);
void seer_secrets_clear(seer_secrets *secrets);

/* Puts *** in the place of each that stands in `text`, as it is or escaped as
   in JSON and other strings, a URL, mail or HTML, in two layers at most. With
   `cut` the text had more at its end, and a beginning of one that stands there
   is replaced too. Returns the length, which does not grow; what has become
   shorter ends with a zero. */
size_t seer_secrets_mask(const seer_secrets *secrets, char *text,
                         size_t length, bool cut);

/* Puts a space in the place of each byte of a control character. */
void seer_mask_controls(char *text, size_t length);
