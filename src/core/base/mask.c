#include "mask.h"

#include "ascii.h"
#include "os.h"

#include <stdlib.h>
#include <string.h>
#pragma GCC visibility push(hidden)

#define LAYERS 2      /* of escapes, such as JSON in a string of JSON */
#define READINGS 24   /* of one place: more than there are */
#define ZEROS_MOST 12 /* before a number */

/* How a byte may be escaped in strings of JSON and of languages, in URLs, mail
   and HTML: what an escape begins with, a text in any case, and behind that
   the byte's number, perhaps behind zeros; or the text alone means the byte.
   A backslash may stand before any byte besides, and a plus for a space. */
/* NOLINTNEXTLINE(clang-analyzer-optin.performance.Padding): as it is read */
static const struct {
  char start;
  const char *text;
  int base; /* 0: no number */
  char byte;
} escapes[] = {
    {'\\', "u",      16, 0   },
    {'\\', "u{",     16, 0   },
    {'\\', "x",      16, 0   },
    {'\\', "x{",     16, 0   },
    {'\\', "",       8,  0   },
    {'\\', "",       10, 0   },
    {'\\', "t",      0,  '\t'},
    {'%',  "",       16, 0   },
    {'%',  "u",      16, 0   },
    {'=',  "",       16, 0   },
    {'&',  "#",      10, 0   },
    {'&',  "#x",     16, 0   },
    {'&',  "amp",    0,  '&' },
    {'&',  "lt",     0,  '<' },
    {'&',  "gt",     0,  '>' },
    {'&',  "quot",   0,  '"' },
    {'&',  "apos",   0,  '\''},
    {'&',  "lowbar", 0,  '_' },
    {'&',  "period", 0,  '.' },
    {'&',  "colon",  0,  ':' },
    {'&',  "sol",    0,  '/' },
    {'&',  "equals", 0,  '=' },
    {'&',  "plus",   0,  '+' },
};

/* What may be meant at a place: bytes, and how many bytes each takes. */
typedef struct readings {
  int count;
  bool ended; /* the text ends within what may be one more */
  struct {
    char byte;
    int length;
  } all[READINGS];
} readings;

static void add(readings *to, char byte, int length) {
  for (int i = 0; i < to->count; i++)
    if (to->all[i].byte == byte && to->all[i].length == length)
      return;
  if (to->count == READINGS)
    return;
  to->all[to->count].byte = byte;
  to->all[to->count++].length = length;
}

static bool begins_escape(char byte) {
  return byte == '\\' || byte == '%' || byte == '&' || byte == '=' ||
         byte == '+';
}

static void read_at(const char *at, const char *end, int layers, readings *to);

/* How many bytes something takes at `at` that means `byte`, within so many
   layers, the longest there is: "%26amp;" is more than "%26"; or one of
   these: it does not, or the text ends within what may. */
enum { NONE = -2, ENDED };

static int find(const char *at, const char *end, char byte, int layers,
                bool any_case) {
  readings found;
  int length = NONE;
  if (at == end)
    return ENDED;
  read_at(at, end, layers, &found);
  for (int i = 0; i < found.count; i++) {
    char read = found.all[i].byte;
    if ((any_case ? seer_lower(read) : read) == byte &&
        found.all[i].length > length)
      length = found.all[i].length;
  }
  return length == NONE && found.ended ? ENDED : length;
}

/* As above, of a digit, whose value is in `*value`. */
static int find_digit(const char *at, const char *end, int base, int layers,
                      int *value) {
  readings found;
  if (at == end)
    return ENDED;
  read_at(at, end, layers, &found);
  for (int i = 0; i < found.count; i++) {
    *value = seer_digit_value(found.all[i].byte);
    if (*value < base)
      return found.all[i].length;
  }
  return found.ended ? ENDED : NONE;
}

/* What ends the escape, if it is there. */
static int find_close(const char *at, const char *end, char close,
                      int layers) {
  int length = close != 0 ? find(at, end, close, layers, false) : 0;
  return length > 0 ? length : 0;
}

/* A number, as far as it is that of a byte; `length` bytes stand before. */
static void read_number(const char *at, const char *end, int base, char close,
                        int layers, int length, readings *to) {
  int value = 0, digit, taken, zeros = 0;
  while ((taken = find_digit(at, end, base, layers, &digit)) > 0) {
    at += taken;
    length += taken;
    value = value * base + digit;
    if (value > 0xFF || (value == 0 && ++zeros > ZEROS_MOST))
      return;
    if (value > 0)
      add(to, (char)value, length + find_close(at, end, close, layers));
  }
  to->ended |= taken == ENDED;
}

/* The rest of one kind of escape, whose start took `length` bytes. */
static void read_escape(const char *at, const char *end, size_t kind,
                        int layers, int length, readings *to) {
  const char *text = escapes[kind].text;
  char close = escapes[kind].start == '&' ? ';' : 0;
  for (; *text != '\0'; text++) {
    int taken = find(at, end, *text, layers, true);
    to->ended |= taken == ENDED;
    if (taken < 0)
      return;
    at += taken;
    length += taken;
    close = *text == '{' ? '}' : close;
  }
  if (escapes[kind].base != 0)
    read_number(at, end, escapes[kind].base, close, layers, length, to);
  else
    add(to, escapes[kind].byte, length + find_close(at, end, close, layers));
}

/* Whether an escape may go on with one of these: most do not, and the table
   is long. */
static bool may_go_on(const readings *next, size_t kind) {
  char first = escapes[kind].text[0];
  for (int i = 0; i < next->count; i++) {
    char byte = next->all[i].byte;
    if (first != '\0' ? seer_lower(byte) == first
                      : seer_digit_value(byte) < escapes[kind].base)
      return true;
  }
  return next->ended;
}

/* All escapes that begin with `start`, which took `length` bytes. */
static void read_escapes(const char *at, const char *end, char start,
                         int layers, int length, readings *to) {
  readings next;
  if (at == end) {
    to->ended = true;
    return;
  }
  read_at(at, end, layers, &next);
  for (int i = 0; start == '\\' && i < next.count; i++)
    add(to, next.all[i].byte, length + next.all[i].length);
  for (size_t i = 0; i < sizeof escapes / sizeof *escapes; i++)
    if (escapes[i].start == start && may_go_on(&next, i))
      read_escape(at, end, i, layers, length, to);
}

/* All that may stand at `at`, which is not the end, within so many layers. */
static void read_at(const char *at, const char *end, int layers,
                    readings *to) {
  int before;
  if (layers == 0 || !begins_escape(*at)) {
    to->count = 1;
    to->ended = false;
    to->all[0].byte = *at;
    to->all[0].length = 1;
    return;
  }
  read_at(at, end, layers - 1, to);
  if (*at == '+')
    add(to, ' ', 1);
  before = to->count;
  for (int i = 0; i < before; i++)
    if (begins_escape(to->all[i].byte))
      read_escapes(at + to->all[i].length, end, to->all[i].byte, layers - 1,
                   to->all[i].length, to);
}

/* How many bytes the secret takes that stands at `at`, within so many layers
   of escapes; 0 if it does not. In a text that was cut off, its beginning may
   stand at the end. */
static size_t match_secret(const char *secret, const char *at, const char *end,
                           int layers, bool cut) {
  const char *start = at;
  for (; *secret != '\0'; secret++) {
    int length = find(at, end, *secret, layers, false);
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

/* Whether a secret may begin with one of these. */
static bool may_begin(const readings *first, const char *secret, bool cut) {
  for (int i = 0; i < first->count; i++)
    if (first->all[i].byte == *secret)
      return true;
  return first->ended && cut;
}

/* The same of any of them, the longest first, in as few layers as it takes. */
static size_t match_any(const seer_secrets *secrets, const char *at,
                        const char *end, bool cut) {
  size_t taken = 0;
  readings first;
  read_at(at, end, LAYERS, &first);
  for (size_t i = 0; taken == 0 && i < secrets->count; i++) {
    if (!may_begin(&first, secrets->texts[i], cut))
      continue;
    for (int layers = 0; taken == 0 && layers <= LAYERS; layers++)
      taken = match_secret(secrets->texts[i], at, end, layers, cut);
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
