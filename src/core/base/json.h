#pragma once

/*
 * JSON text, written value by value at the end of a buffer.
 *
 * The writer knows no structure: whoever calls it places commas, colons and
 * brackets (seer_buffer_byte). It knows how a value is spelled: integers in
 * full, short decimals that read back as the same double, strings that are
 * valid UTF-8 whatever went in. Nothing here depends on the locale. Errors
 * are the buffer's, and sticky.
 */

#include "buffer.h"

#include <stdint.h>

/* All digits, no exponent. */
void seer_json_integer(seer_buffer *out, int64_t value);

/* An integral double of at most 2^53 as an integer (but -0.0 as that), another
   finite one in digits that read back as the same double, few if possible
   and 17 at most; NaN and the infinities as null. */
void seer_json_number(seer_buffer *out, double value);

/* A quoted string. Each byte sequence that is not UTF-8 (overlong forms
   and surrogates included) becomes U+FFFD; control characters, the quote
   and the backslash are escaped. */
void seer_json_string(seer_buffer *out, const char *bytes, size_t length);

/* A byte that comes before it, a key as a string, and a colon. False if
   something of the key became U+FFFD: another key may now be the same. */
bool seer_json_key(seer_buffer *out, char before, const char *bytes,
                   size_t length);

/* The length of the character at `at`, which is not ASCII, if it is valid
   UTF-8. Otherwise the negated length of the longest part of it that could
   have become valid: what the Unicode standard recommends to replace as
   one. */
int seer_json_character(const char *at, const char *end);

/* Bytes that are JSON already. */
#define seer_json_literal(out, text)                                          \
  seer_buffer_append((out), "" text, sizeof(text) - 1)
