#include "header.h"

#include "ascii.h"

#include <string.h>

/* The length of a text from `start` to `end` without the blanks behind. */
static size_t trimmed(const char *start, const char *end) {
  while (end > start && seer_is_blank(end[-1]))
    end--;
  return (size_t)(end - start);
}

const char *seer_header_read(seer_header *header, const char *line,
                             const char *end) {
  while (line < end) {
    const char *newline = memchr(line, '\n', (size_t)(end - line));
    const char *stop = newline != NULL ? newline + 1 : end;
    const char *colon = memchr(line, ':', (size_t)(stop - line));
    header->name = line;
    header->name_length = colon != NULL ? trimmed(line, colon) : 0;
    line = stop;
    if (header->name_length == 0)
      continue;
    for (colon++; colon < stop && seer_is_blank(*colon);)
      colon++;
    header->value = colon;
    header->value_length = trimmed(colon, stop);
    return stop;
  }
  return NULL;
}
