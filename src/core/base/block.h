#pragma once

/*
 * Named lines: the headers of a request, or the parameters of its query.
 *
 * A block is a string of lines, each ended by a zero, with one more zero at
 * the end; NULL is an empty block. A later layer of lines (a client's over
 * the SDK's, a request's over its client's) is put over an earlier one by
 * name. Headers are written as libcurl reads them: "Name: value", "Name;"
 * for an empty value, "Name:" for one that is not to be sent; case does not
 * matter in names. Parameters are "name=value", percent-encoded, or "name"
 * for one that is not to be sent.
 */

#include "buffer.h"

typedef enum seer_block_kind {
  SEER_BLOCK_HEADERS,
  SEER_BLOCK_QUERY
} seer_block_kind;

/* The line after this one; the first of a block is the block itself. An
   empty line is the end. */
const char *seer_block_next(const char *line);

/* Bytes that the block occupies, with all its zeros; 0 for NULL. */
size_t seer_block_size(const char *block);

/* Appends to `out` a block of the lines of `under` whose names `over` does
   not have, and of those of `over`. */
void seer_block_merge(seer_buffer *out, seer_block_kind kind,
                      const char *under, const char *over);

/* Appends "name=value&name=value" to `out`: what is to be sent of a query. */
void seer_block_write_query(seer_buffer *out, const char *block);

/* Whether the name of a header is one of some, which end with NULL. */
bool seer_block_is_among(const char *name, size_t length,
                         const char *const *names);

/* True if it is the name of a header whose value nobody may see:
   Authorization, Proxy-Authorization, Cookie, Set-Cookie, X-Api-Key. */
bool seer_block_is_secret(const char *name, size_t length);

/* The secret of such a line of a block, without "Bearer " or the like: the
   rest of the line. NULL if the line is another. */
const char *seer_block_secret(const char *line);

/* The first part of a secret or of what is left of it, which may be a secret
   of its own: a cookie's value, or a parameter's. NULL when
   there is none; the next is to be found behind it. */
const char *seer_block_part(const char *secret, size_t *length);

/* A field, in the text that it was read from. No blanks are around it. */
typedef struct seer_header {
  const char *name, *value;
  size_t name_length, value_length;
} seer_header;

/* Reads the next field from `line` on and returns the line after it; NULL
   when there is none before `end`. A line without a name is passed over. */
const char *seer_header_read(seer_header *header, const char *line,
                             const char *end);
