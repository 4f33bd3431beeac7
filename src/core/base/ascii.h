#ifndef SEER_ASCII_H
#define SEER_ASCII_H

/*
 * Characters as protocols mean them, whatever the locale makes of them.
 */

#include <stdbool.h>
#include <stddef.h>

#define SEER_SPACE " \t\r\n\v\f"

static inline char seer_lower(char byte) {
  return byte >= 'A' && byte <= 'Z' ? (char)(byte - 'A' + 'a') : byte;
}

/* What may stand around the value of a header. */
static inline bool seer_is_blank(char byte) {
  return byte == ' ' || byte == '\t';
}

/* A tab is the one control character that a header may have. */
static inline bool seer_has_control(const char *text, size_t length,
                                    bool tabs_allowed) {
  for (size_t i = 0; i < length; i++)
    if (((unsigned char)text[i] < ' ' && !(tabs_allowed && text[i] == '\t')) ||
        text[i] == 0x7f)
      return true;
  return false;
}

#endif
