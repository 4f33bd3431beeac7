#pragma once

/*
 * Bytes of text as protocols mean them, whatever the locale makes of them.
 */

#include <stdbool.h>
#include <stddef.h>

static inline char seer_lower(char byte) {
  return byte >= 'A' && byte <= 'Z' ? (char)(byte - 'A' + 'a') : byte;
}

static inline bool seer_is_blank(char byte) {
  return byte == ' ' || (byte >= '\t' && byte <= '\r');
}

static inline bool seer_is_control(char byte) {
  return (unsigned char)byte < ' ' || byte == 127;
}

/* The value of a digit, hexadecimal ones included; a large one for another
   byte. */
static inline int seer_digit_value(char digit) {
  if (digit >= '0' && digit <= '9')
    return digit - '0';
  digit = seer_lower(digit);
  return digit >= 'a' && digit <= 'f' ? digit - 'a' + 10 : 99;
}

/* The length of a text that has been cut to `most` bytes, but not within a
   character of UTF-8. */
static inline size_t seer_cut(const char *text, size_t length, size_t most) {
  if (length <= most)
    return length;
  while (most > 0 && ((unsigned char)text[most] & 0xC0) == 0x80)
    most--;
  return most;
}

/* Whether two texts of this length are the same but for capitals. */
static inline bool seer_alike(const char *one, const char *other,
                              size_t length) {
  for (size_t i = 0; i < length; i++)
    if (seer_lower(one[i]) != seer_lower(other[i]))
      return false;
  return true;
}

/* The text without the blanks around it, and its length. */
static inline const char *seer_trim(const char *text, size_t *length) {
  while (*length > 0 && seer_is_blank(text[*length - 1]))
    --*length;
  for (; *length > 0 && seer_is_blank(*text); --*length)
    text++;
  return text;
}

/* A tab is the one control character that a header may have. */
static inline bool seer_has_control(const char *text, size_t length,
                                    bool tabs_allowed) {
  for (size_t i = 0; i < length; i++)
    if (seer_is_control(text[i]) && !(tabs_allowed && text[i] == '\t'))
      return true;
  return false;
}
