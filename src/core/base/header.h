#ifndef SEER_HEADER_H
#define SEER_HEADER_H

/*
 * The lines of a header, one field after the other: "Name: value".
 */

#include <stddef.h>

#pragma GCC visibility push(hidden)

/* A field, in the text that it was read from. No blanks are around it. */
typedef struct seer_header {
  const char *name, *value;
  size_t name_length, value_length;
} seer_header;

/* Reads the next field from `line` on and returns the line after it; NULL
   when there is none before `end`. A line without a name is passed over. */
const char *seer_header_read(seer_header *header, const char *line,
                             const char *end);

#pragma GCC visibility pop

#endif
