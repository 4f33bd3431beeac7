#include "mask.h"

#include "ascii.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#pragma GCC visibility push(hidden)

#define LAYERS 2 /* of escapes, such as JSON in a string of JSON */

/* How bytes are escaped in strings of JSON and of languages, in URLs, mail and
   HTML: what an escape begins with, and the base of the number that follows,
   perhaps behind zeros. */
static const struct {
  const char *prefix;
  int base;
  char start;
} numbers[] = {
    {"u",  16, '\\'},
    {"x",  16, '\\'},
    {"",   8,  '\\'},
    {"",   16, '%' },
    {"u",  16, '%' },
    {"",   16, '=' },
    {"#",  10, '&' },
    {"#x", 16, '&' }
};

/* A byte, what its escape begins with, and the rest of that. */
static const char *const names[] = {
    "&&amp",    "<&lt",    ">&gt",  "\"&quot",  "'&apos", "_&lowbar",
    ".&period", ":&colon", "/&sol", "=&equals", "+&plus", "\t\\t",
};

/* These return how many bytes something takes that stands at `at` and means
   `byte`, or the text `form` in any case, within so many `layers` of escapes
   at most; or one of these: there is none, or the text ends within what may
   be one. */
enum { NONE = -2, ENDED };

static int match_byte(const char *at, const char *end, char byte, int layers);

static int match_form(const char *at, const char *end, const char *form,
                      int layers) {
  const char *start = at;
  for (; *form != '\0'; form++) {
    int length = match_byte(at, end, *form, layers);
    if (length == NONE && *form >= 'a' && *form <= 'z')
      length = match_byte(at, end, (char)(*form - 'a' + 'A'), layers);
    if (length < 0)
      return length;
    at += length;
  }
  return (int)(at - start);
}

static int match_number(const char *at, const char *end, unsigned char byte,
                        int base, int layers) {
  const char *start = at;
  char digits[9] = "", *first = digits + sizeof digits - 1;
  int length;
  for (; byte > 0; byte = (unsigned char)(byte / base))
    *--first = "0123456789abcdef"[byte % base];
  while (at < end && *at == '0')
    at++;
  length = match_form(at, end, first, layers);
  return length < 0 ? length : (int)(at - start) + length;
}

static int most(int one, int other) {
  return one > other ? one : other;
}

/* The rest of an escape that begins with `start`. */
static int match_rest(const char *at, const char *end, char start, char byte,
                      int layers) {
  int found = start == '\\' ? match_byte(at, end, byte, layers) : NONE;
  for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++) {
    int before = numbers[i].start == start
                     ? match_form(at, end, numbers[i].prefix, layers)
                     : NONE;
    int length = before < 0
                     ? before
                     : match_number(at + before, end, (unsigned char)byte,
                                    numbers[i].base, layers);
    found = most(found, length < 0 ? length : before + length);
  }
  for (size_t i = 0; i < sizeof names / sizeof *names; i++)
    if (names[i][0] == byte && names[i][1] == start)
      found = most(found, match_form(at, end, names[i] + 2, layers));
  return found;
}

static const char starts[] = "\\%=&";

/* The longest there is: "%26amp;" is more than "%26". */
static int match_escape(const char *at, const char *end, char byte,
                        int layers) {
  int found = byte == ' ' && *at == '+' ? 1 : NONE;
  for (const char *s = starts; *s != '\0'; s++) {
    int length = match_byte(at, end, *s, layers);
    int rest =
        length < 0 ? length : match_rest(at + length, end, *s, byte, layers);
    length = rest < 0 ? rest : length + rest;
    if (length >= 0 && *s == '&')
      length += most(0, match_byte(at + length, end, ';', layers));
    found = most(found, length);
  }
  return found;
}

static bool begins_escape(char byte) {
  return byte == '\\' || byte == '%' || byte == '&' || byte == '=' ||
         byte == '+';
}

static int match_byte(const char *at, const char *end, char byte, int layers) {
  int length = NONE;
  if (at == end)
    return ENDED;
  if (layers > 0 && begins_escape(*at))
    length = match_escape(at, end, byte, layers - 1);
  return length < 0 && *at == byte ? 1 : length;
}

/* How many bytes the secret takes that stands at `at`, within so many layers
   of escapes; 0 if it does not. In a text that was cut off, its beginning may
   stand at the end. */
static size_t match_secret(const char *secret, const char *at, const char *end,
                           int layers, bool cut) {
  const char *start = at;
  for (; *secret != '\0'; secret++) {
    int length = match_byte(at, end, *secret, layers);
    if (length < 0)
      return length == ENDED && cut ? (size_t)(end - start) : 0;
    at += length;
  }
  return (size_t)(at - start);
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

/* The same of any of them, the longest first. */
static size_t match_any(const seer_secrets *secrets, const char *at,
                        const char *end, bool cut) {
  bool escape = begins_escape(*at);
  size_t taken = 0;
  for (size_t i = 0; taken == 0 && i < secrets->count; i++) {
    const char *secret = secrets->texts[i];
    for (int layers = escape || *at == *secret ? 0 : LAYERS + 1;
         taken == 0 && layers <= LAYERS; layers++)
      taken = match_secret(secret, at, end, layers, cut);
  }
  return taken;
}

size_t seer_secrets_mask(const seer_secrets *secrets, char *text,
                         size_t length, bool cut) {
  const char *at = text, *end = text + length;
  char *to = text;
  while (at < end) {
    size_t taken = match_any(secrets, at, end, cut);
    size_t stars = taken < 3 ? taken : 3;
    if (taken == 0) {
      *to++ = *at++;
    } else {
      at += taken;
      memset(to, '*', stars);
      to += stars;
    }
  }
  if (to < end)
    *to = '\0';
  return (size_t)(to - text);
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
