#include "mask.h"

#include "ascii.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* These return how many bytes an escape at `at` takes that means `byte`; 0 if
   there is none, -1 if the text ends within what may be one. */

static int match_text(const char *at, const char *end, const char *form) {
  int length = 0;
  for (; form[length] != '\0'; length++) {
    if (at + length == end)
      return -1;
    if (seer_lower(at[length]) != form[length])
      return 0;
  }
  return length;
}

static int match_json(const char *at, const char *end, char byte) {
  char code[8];
  if (end - at < 2)
    return -1;
  if (at[1] != 'u')
    return at[1] == byte || (at[1] == 't' && byte == '\t') ? 2 : 0;
  snprintf(code, sizeof code, "\\u%04x", (unsigned char)byte);
  return match_text(at, end, code);
}

static int match_percent(const char *at, const char *end, char byte) {
  char code[4];
  snprintf(code, sizeof code, "%%%02x", (unsigned char)byte);
  return match_text(at, end, code);
}

/* "&#39;", "&#039;" or "&#x27;" */
static int match_number(const char *at, const char *end, char byte) {
  const char *digits = at + 2;
  bool hexadecimal = digits < end && seer_lower(*digits) == 'x';
  char code[8];
  int length;
  digits += hexadecimal;
  while (digits < end && *digits == '0')
    digits++;
  snprintf(code, sizeof code, hexadecimal ? "%x;" : "%d;",
           (unsigned char)byte);
  length = digits < end ? match_text(digits, end, code) : -1;
  return length > 0 ? length + (int)(digits - at) : length;
}

static int match_entity(const char *at, const char *end, char byte) {
  static const char marked[] = "&<>\"'";
  static const char *const names[] = {"&amp;", "&lt;", "&gt;", "&quot;",
                                      "&apos;"};
  const char *place = strchr(marked, byte);
  int length = match_text(at, end, "&#");
  if (length > 0)
    return match_number(at, end, byte);
  if (length == 0 && place != NULL && *place != '\0')
    return match_text(at, end, names[place - marked]);
  return length;
}

static int match_escape(const char *at, const char *end, char byte) {
  switch (*at) {
  case '\\':
    return match_json(at, end, byte);
  case '%':
    return match_percent(at, end, byte);
  case '&':
    return match_entity(at, end, byte);
  case '+':
    return byte == ' ';
  default:
    return 0;
  }
}

/* How many bytes the secret takes that stands at `at`, as it is or `escaped`
   as in a JSON string, a URL or HTML; 0 if it does not. In a text that was cut
   off, its beginning may stand at the end. */
static size_t match_secret(const char *secret, const char *at, const char *end,
                           bool escaped, bool cut) {
  const char *start = at;
  for (; *secret != '\0'; secret++) {
    int length = at < end ? 0 : -1;
    if (at < end && escaped)
      length = match_escape(at, end, *secret);
    if (at < end && length <= 0 && *at == *secret)
      length = 1;
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

bool seer_secrets_add(seer_secrets *secrets, const char *text, size_t length) {
  char **texts, *copy;
  size_t place = secrets->count;
  if (length < SEER_SECRET_LEAST)
    return true;
  texts = realloc(secrets->texts, (place + 1) * sizeof *texts);
  if (texts == NULL)
    return false;
  secrets->texts = texts;
  copy = strndup(text, length);
  if (copy == NULL)
    return false;
  for (; place > 0 && strlen(texts[place - 1]) < length; place--)
    texts[place] = texts[place - 1];
  texts[place] = copy;
  secrets->count++;
  return true;
}

bool seer_secrets_copy(seer_secrets *secrets, const seer_secrets *others) {
  for (size_t i = 0; i < others->count; i++)
    if (!seer_secrets_add(secrets, others->texts[i], strlen(others->texts[i])))
      return false;
  return true;
}

void seer_secrets_clear(seer_secrets *secrets) {
  for (size_t i = 0; i < secrets->count; i++)
    free(secrets->texts[i]);
  free(secrets->texts);
  secrets->texts = NULL;
  secrets->count = 0;
}

size_t seer_secrets_mask(const seer_secrets *secrets, char *text,
                         size_t length, bool cut) {
  for (size_t i = 0; i < secrets->count; i++)
    length = seer_mask(secrets->texts[i], text, length, cut);
  return length;
}

/* In UTF-8, U+0080 to U+009F are controls as well; so are these bytes alone to
   a terminal that does not know UTF-8. */
void seer_mask_controls(char *text, size_t length) {
  unsigned char before = 0;
  for (size_t i = 0; i < length; i++) {
    unsigned char byte = (unsigned char)text[i];
    if (seer_is_control(text[i])) {
      text[i] = ' ';
    } else if (byte >= 0x80 && byte < 0xA0 &&
               (before < 0x80 || before == 0xC2)) {
      text[i] = ' ';
      if (before == 0xC2)
        text[i - 1] = ' ';
    }
    before = byte;
  }
}
