#ifndef SEER_MASK_H
#define SEER_MASK_H

/*
 * Secrets in what others say: a server may repeat the key in an error, and
 * libcurl quotes a proxy with its password.
 */

#include <stdbool.h>
#include <stddef.h>

#pragma GCC visibility push(hidden)

/* Puts *** in the place of `secret` wherever it stands in `text`, as it is or
   escaped as in a JSON string. With `cut` the text had more at its end, and a
   beginning of the secret that stands there is replaced too. Returns the
   length, which does not grow; what has become shorter ends with a zero. */
size_t seer_mask(const char *secret, char *text, size_t length, bool cut);

#pragma GCC visibility pop

#endif
