/*
 * Secrets in texts: afterwards none is there, neither as it is nor as JSON
 * may escape it, and nothing else has changed.
 */

#include "support/fuzz.h"

#include "core/base/mask.h"
#include "core/http/site.h"

#include <stdio.h>

#define LEAST 4 /* bytes of a secret */

static size_t mask(char *secret, char *text, size_t length, bool cut) {
  seer_secrets secrets = {&secret, 1};
  return seer_secrets_mask(&secrets, text, length, cut);
}

/* Writes a byte of a secret in one of the ways of JSON. */
static size_t write_escaped(char *to, char byte, int way) {
  static const char named[] = "\b\f\n\r\t\"\\/", letters[] = "bfnrt\"\\/";
  const char *place = strchr(named, byte);
  if (way == 1)
    return (size_t)sprintf(to, "\\u%04x", (uint8_t)byte);
  if (way == 2)
    return (size_t)sprintf(to, "\\u%04X", (uint8_t)byte);
  if (place != NULL && (way == 3 || byte != '/'))
    return (size_t)sprintf(to, "\\%c", letters[place - named]);
  *to = byte;
  return 1;
}

/* What a JSON string means, as far as it is ASCII; other text as it is. */
static size_t unescape(char *text, size_t length) {
  static const char named[] = "\b\f\n\r\t\"\\/", letters[] = "bfnrt\"\\/";
  char *to = text, *at = text, *end = text + length;
  while (at < end) {
    const char *place;
    unsigned code;
    char digits[5] = "";
    if (*at != '\\' || end - at < 2) {
      *to++ = *at++;
      continue;
    }
    place = at[1] != '\0' ? strchr(letters, at[1]) : NULL;
    if (end - at >= 6 && at[1] == 'u')
      memcpy(digits, at + 2, 4);
    if (place != NULL) {
      *to++ = named[place - letters];
      at += 2;
    } else if (strlen(digits) == 4 &&
               strspn(digits, "0123456789abcdefABCDEF") == 4 &&
               sscanf(digits, "%x", &code) == 1 && code < 0x80) {
      *to++ = (char)code;
      at += 6;
    } else {
      *to++ = *at++;
    }
  }
  return (size_t)(to - text);
}

/* A secret of printable ASCII, and a tab now and then, as in a cookie. Stars
   are what takes its place, and a backslash or a star may stand around it. */
static size_t make_secret(input *in, char *secret) {
  size_t length = LEAST + input_below(in, 12);
  for (size_t i = 0; i < length; i++) {
    char byte = (char)(0x20 + input_byte(in) % 0x5F);
    if (byte == '*')
      byte = '\t';
    secret[i] = byte;
  }
  secret[length] = '\0';
  return length;
}

/* A text of pieces: the secret in some form, or bytes. */
static size_t make_text(input *in, const char *secret, char *text, size_t room,
                        bool *partial) {
  size_t length = 0, count = 1 + input_below(in, 8);
  while (count-- > 0 && length + 200 < room) {
    size_t taken;
    uint8_t way = input_byte(in);
    if (way % 4 == 3) {
      const char *bytes = input_bytes(in, way / 4, &taken);
      memcpy(text + length, bytes, taken);
      length += taken;
      continue;
    }
    if (way % 4 == 0) {
      length += (size_t)sprintf(text + length, "%s", secret);
      continue;
    }
    for (const char *s = secret; *s != '\0'; s++)
      length += write_escaped(text + length, *s,
                              way % 4 == 1 ? way / 4 % 4 : input_byte(in) % 4);
  }
  *partial = input_byte(in) & 1;
  if (*partial && length > 0)
    length -= input_below(in, 20) % length;
  return length;
}

/* Text without a backslash, a piece of the secret or a star is kept. */
static void check_untouched(char *secret) {
  char text[] = "0123456789", copy[sizeof text];
  memcpy(copy, text, sizeof text);
  if (strstr(text, secret) != NULL)
    return;
  size_t length = mask(secret, text, sizeof text - 1, false);
  fuzz_check(length == sizeof text - 1 && memcmp(text, copy, length) == 0,
             "changed '%s' for '%s'", copy, secret);
}

/* A cookie with the key within it: nothing of either is left. */
static void check_site(input *in, const char *key) {
  static const char after[] = "MORE_OF_IT";
  char headers[100], text[300];
  seer_site_options options = {.base_url = "http://127.0.0.1",
                               .api_key = key,
                               .proxy = "",
                               .headers = headers};
  seer_site *site;
  size_t before = input_below(in, 8), length;
  if (strpbrk(key, "\t ") != NULL || fuzz_contains(after, 10, key))
    return;
  memset(headers, 0, sizeof headers);
  snprintf(headers, sizeof headers, "Cookie: %.*s%s%s", (int)before,
           "a=123456", key, after);
  site = seer_site_new(&options);
  length = (size_t)snprintf(text, sizeof text, "%s %s %s", headers, key,
                            strchr(headers, ' ') + 1);
  length = seer_site_mask(site, text, length, input_byte(in) & 1);
  fuzz_check(!fuzz_contains(text, length, key), "the key '%s' in '%s'", key,
             text);
  fuzz_check(!fuzz_contains(text, length, after), "of '%s' is left '%s'",
             headers, text);
  seer_site_free(site);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  input in = input_of(data, size);
  char secret[LEAST + 13], text[2048], *masked;
  size_t length, before;
  bool partial;
  make_secret(&in, secret);
  before = make_text(&in, secret, text, sizeof text, &partial);
  masked = malloc(before + 1); /* to have what follows it poisoned */
  memcpy(masked, text, before);
  length = mask(secret, masked, before, partial);
  fuzz_check(length <= before, "grown");
  fuzz_check(length == before || masked[length] == '\0', "no zero");
  fuzz_check(!fuzz_contains(masked, length, secret), "'%s' is in '%.*s'",
             secret, (int)length, masked);
  if (strpbrk(secret, "\\") == NULL) {
    memcpy(text, masked, length);
    length = unescape(text, length);
    fuzz_check(!fuzz_contains(text, length, secret), "'%s' is in '%.*s'",
               secret, (int)length, text);
  }
  free(masked);
  check_untouched(secret);
  if (input_byte(&in) % 8 == 1)
    check_site(&in, secret);
  return 0;
}
