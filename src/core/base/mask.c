#include "mask.h"

#include "ascii.h"

#include <string.h>

/* How many bytes the escape at `at` takes if it is one of JSON's and means
   `byte`; 0 if it does not, -1 if the text ends within it. */
static int match_escape(const char *at, const char *end, char byte) {
  static const char digits[] = "0123456789abcdef";
  const char code[] = {'0', '0', digits[(unsigned char)byte >> 4],
                       digits[byte & 15]};
  if (end - at < 2)
    return -1;
  if (at[1] != 'u')
    return at[1] == byte || (at[1] == 't' && byte == '\t') ? 2 : 0;
  at += 2;
  for (int i = 0; i < 4; i++) {
    if (at + i == end)
      return -1;
    if (seer_lower(at[i]) != code[i])
      return 0;
  }
  return 6;
}

/* How many bytes the secret takes that stands at `at`, as it is or `escaped`
   as in a JSON string; 0 if it does not. In a text that was cut off, its
   beginning may stand at the end. */
static size_t match_secret(const char *secret, const char *at, const char *end,
                           bool escaped, bool cut) {
  const char *start = at;
  for (; *secret != '\0'; secret++) {
    int length = -1;
    if (at < end)
      length = escaped && *at == '\\' ? match_escape(at, end, *secret)
                                      : *at == *secret;
    if (length < 0)
      return cut ? (size_t)(end - start) : 0;
    if (length == 0)
      return 0;
    at += length;
  }
  return (size_t)(at - start);
}

size_t seer_mask(const char *secret, char *text, size_t length, bool cut) {
  const char *at = text, *end = text + length;
  char *to = text;
  while (at < end) {
    size_t taken = match_secret(secret, at, end, false, cut);
    if (taken == 0)
      taken = match_secret(secret, at, end, true, cut);
    if (taken == 0) {
      *to++ = *at++;
    } else {
      size_t stars = taken < 3 ? taken : 3;
      at += taken;
      memset(to, '*', stars);
      to += stars;
    }
  }
  if (to < end)
    *to = '\0';
  return (size_t)(to - text);
}
