#include "fuzz.h"

#include <string.h>

#define LEVELS 200

/* Decoded from its bits, and then judged: not how the module does it. */
int fuzz_character(const uint8_t *at, const uint8_t *end) {
  static const uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
  int length = *at < 0x80 ? 1 : *at < 0xE0 ? 2 : *at < 0xF0 ? 3 : 4;
  uint32_t code = length == 1 ? *at : *at & (0x7Fu >> length);
  if ((*at >= 0x80 && *at < 0xC0) || *at >= 0xF8)
    return -1;
  for (int i = 1; i < length; i++) {
    uint32_t low, high;
    int left = 6 * (length - i);
    low = code << left; /* what it could still become */
    high = low | ((1u << left) - 1);
    if (high < least[length] || low > 0x10FFFF ||
        (low >= 0xD800 && high <= 0xDFFF))
      return i == 1 ? -1 : -(i - 1);
    if (at + i == end || (at[i] & 0xC0) != 0x80)
      return -i;
    code = code << 6 | (at[i] & 0x3Fu);
  }
  if (code < least[length] || code > 0x10FFFF ||
      (code >= 0xD800 && code <= 0xDFFF))
    return length == 2 ? -1 : -(length - 1);
  return length;
}

bool fuzz_is_utf8(const char *text, size_t length) {
  const uint8_t *at = (const uint8_t *)text, *end = at + length;
  while (at < end) {
    int taken = fuzz_character(at, end);
    if (taken < 0)
      return false;
    at += taken;
  }
  return true;
}

static const char *skip_digits(const char *at, const char *end) {
  while (at < end && *at >= '0' && *at <= '9')
    at++;
  return at;
}

size_t fuzz_json_number(const char *text, const char *end) {
  const char *at = text, *start;
  if (at < end && *at == '-')
    at++;
  start = at;
  at = skip_digits(at, end);
  if (at == start || (*start == '0' && at > start + 1))
    return 0;
  if (at < end && *at == '.') {
    start = ++at;
    at = skip_digits(at, end);
    if (at == start)
      return 0;
  }
  if (at < end && (*at == 'e' || *at == 'E')) {
    if (++at < end && (*at == '-' || *at == '+'))
      at++;
    start = at;
    at = skip_digits(at, end);
    if (at == start)
      return 0;
  }
  return (size_t)(at - text);
}

/* A reader: where it is; NULL after an error. */
static const char *value(const char *at, const char *end, int depth);

static const char *escape(const char *at, const char *end) {
  if (at == end)
    return NULL;
  if (*at != 'u')
    return strchr("\"\\/bfnrt", *at) != NULL && *at != '\0' ? at + 1 : NULL;
  if (end - at < 5)
    return NULL;
  for (int i = 1; i <= 4; i++)
    if (strchr("0123456789abcdefABCDEF", at[i]) == NULL || at[i] == '\0')
      return NULL;
  /* Everything but controls is written as it is. */
  return memcmp(at + 1, "00", 2) == 0 ? at + 5 : NULL;
}

static const char *string(const char *at, const char *end) {
  if (at == end || *at++ != '"')
    return NULL;
  while (at != NULL && at < end && *at != '"') {
    if ((uint8_t)*at < 0x20)
      return NULL;
    at = *at == '\\' ? escape(at + 1, end) : at + 1;
  }
  return at != NULL && at < end ? at + 1 : NULL;
}

static const char *list(const char *at, const char *end, int depth,
                        bool named) {
  char close = named ? '}' : ']';
  if (++at < end && *at == close)
    return at + 1;
  for (;;) {
    if (named) {
      at = string(at, end);
      if (at == NULL || at == end || *at++ != ':')
        return NULL;
    }
    at = value(at, end, depth + 1);
    if (at == NULL || at == end)
      return NULL;
    if (*at == close)
      return at + 1;
    if (*at++ != ',')
      return NULL;
  }
}

static const char *literal(const char *at, const char *end, const char *word) {
  size_t length = strlen(word);
  if ((size_t)(end - at) < length || memcmp(at, word, length) != 0)
    return NULL;
  return at + length;
}

static const char *value(const char *at, const char *end, int depth) {
  size_t length;
  if (at == end || depth > LEVELS)
    return NULL;
  switch (*at) {
  case '{':
    return list(at, end, depth, true);
  case '[':
    return list(at, end, depth, false);
  case '"':
    return string(at, end);
  case 't':
    return literal(at, end, "true");
  case 'f':
    return literal(at, end, "false");
  case 'n':
    return literal(at, end, "null");
  }
  length = fuzz_json_number(at, end);
  return length > 0 ? at + length : NULL;
}

bool fuzz_is_json(const char *text, size_t length) {
  const char *end = text + length;
  return fuzz_is_utf8(text, length) && value(text, end, 0) == end;
}
