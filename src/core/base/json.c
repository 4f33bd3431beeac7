#include "json.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#pragma GCC visibility push(hidden)

#define EXACT 0x1p53 /* the integral doubles up to here are all integers */

static const char pairs[] = "00010203040506070809"
                            "10111213141516171819"
                            "20212223242526272829"
                            "30313233343536373839"
                            "40414243444546474849"
                            "50515253545556575859"
                            "60616263646566676869"
                            "70717273747576777879"
                            "80818283848586878889"
                            "90919293949596979899";

/* Writes the digits so that they end before `end`; returns their start. */
static char *digits(char *end, uint64_t value) {
  while (value >= 100) {
    end -= 2;
    memcpy(end, pairs + value % 100 * 2, 2);
    value /= 100;
  }
  if (value >= 10) {
    end -= 2;
    memcpy(end, pairs + value * 2, 2);
  } else {
    *--end = (char)('0' + value);
  }
  return end;
}

#define DIGITS_MOST 20

static size_t count_digits(uint64_t value) {
  uint64_t limit = 10;
  size_t count = 1;
  for (; value >= limit && count < DIGITS_MOST; limit *= 10)
    count++;
  return count;
}

void seer_json_integer(seer_buffer *out, int64_t value) {
  uint64_t magnitude = value < 0 ? 0 - (uint64_t)value : (uint64_t)value;
  size_t length = count_digits(magnitude) + (value < 0);
  char *room = seer_buffer_reserve(out, length);
  if (room == NULL)
    return;
  room[0] = '-';
  digits(room + length, magnitude);
  out->length += length;
}

/* All powers of ten that are exact as doubles. */
static const double powers[] = {1e0,  1e1,  1e2,  1e3,  1e4,  1e5,  1e6,  1e7,
                                1e8,  1e9,  1e10, 1e11, 1e12, 1e13, 1e14, 1e15,
                                1e16, 1e17, 1e18, 1e19, 1e20, 1e21, 1e22};

#define PLACES (sizeof(powers) / sizeof(powers[0]))

/* Writes the digits of `whole`, a point, and `places` digits of `fraction`. */
static void fixed(seer_buffer *out, uint64_t whole, uint64_t fraction,
                  size_t places) {
  size_t before = count_digits(whole);
  char *room = seer_buffer_reserve(out, before + 1 + places);
  char *start;
  if (room == NULL)
    return;
  digits(room + before, whole);
  room[before] = '.';
  start = digits(room + before + 1 + places, fraction);
  while (start > room + before + 1)
    *--start = '0';
  out->length += before + 1 + places;
}

/* The exact path: the fewest decimal places that make an integer n below
   2^53 of `value` > 0. n and the power of ten are exact and a division is
   rounded once, so n / 10^places == value says that the text reads back
   as `value`. Most numbers that people write down end here. */
static bool few_places(seer_buffer *out, double value) {
  size_t places;
  if (value < 1e-5)
    return false; /* shorter with an exponent */
  for (places = 1; places < PLACES; places++) {
    double product = value * powers[places];
    uint64_t scaled;
    if (!(product < EXACT - 1))
      return false;
    scaled = (uint64_t)(product + 0.5);
    if ((double)scaled / powers[places] == value) {
      int64_t whole = (int64_t)value;
      double above = (double)whole * powers[places];
      fixed(out, (uint64_t)whole, scaled - (uint64_t)above, places);
      return true;
    }
  }
  return false;
}

/* Replaces the locale's decimal point, which may be several bytes long:
   whatever is neither digit, sign nor exponent. Returns the new length. */
static size_t neutral_point(char *text) {
  size_t point = strspn(text, "+-0123456789e");
  size_t rest = point + strcspn(text + point, "+-0123456789e");
  if (rest == point)
    return point; /* there is no point */
  text[point] = '.';
  memmove(text + point + 1, text + rest, strlen(text + rest) + 1);
  return strlen(text);
}

static void many_places(seer_buffer *out, double value) {
  char text[64];
  int precision;
  for (precision = 15; precision <= 17; precision++) {
    snprintf(text, sizeof(text), "%.*g", precision, value);
    if (strtod(text, NULL) == value)
      break;
  }
  seer_buffer_append(out, text, neutral_point(text));
}

void seer_json_number(seer_buffer *out, double value) {
  double magnitude = value < 0 ? -value : value;
  if (magnitude <= EXACT && (double)(int64_t)value == value) {
    if ((int64_t)value != 0 || !signbit(value))
      seer_json_integer(out, (int64_t)value);
    else
      seer_json_literal(out, "-0.0");
    return;
  }
  if (value - value != 0) { /* NaN, or infinite */
    seer_json_literal(out, "null");
    return;
  }
  if (value < 0)
    seer_buffer_byte(out, '-');
  if (!few_places(out, magnitude))
    many_places(out, magnitude);
}

#define U 'u'
#define X 'x'

/* What becomes of a byte: 0 is copied, 'x' begins something that is not
   ASCII, 'u' is written as \u00XX, others after a backslash. */
static const char escapes[256] = {
    U, U, U,   U, U, U, U, U, 'b', 't', 'n', U, 'f',  'r', U, U, /* 00 */
    U, U, U,   U, U, U, U, U, U,   U,   U,   U, U,    U,   U, U, /* 10 */
    0, 0, '"', 0, 0, 0, 0, 0, 0,   0,   0,   0, 0,    0,   0, 0, /* 20 */
    0, 0, 0,   0, 0, 0, 0, 0, 0,   0,   0,   0, 0,    0,   0, 0, /* 30 */
    0, 0, 0,   0, 0, 0, 0, 0, 0,   0,   0,   0, 0,    0,   0, 0, /* 40 */
    0, 0, 0,   0, 0, 0, 0, 0, 0,   0,   0,   0, '\\', 0,   0, 0, /* 50 */
    0, 0, 0,   0, 0, 0, 0, 0, 0,   0,   0,   0, 0,    0,   0, 0, /* 60 */
    0, 0, 0,   0, 0, 0, 0, 0, 0,   0,   0,   0, 0,    0,   0, 0, /* 70 */
    X, X, X,   X, X, X, X, X, X,   X,   X,   X, X,    X,   X, X, /* 80 */
    X, X, X,   X, X, X, X, X, X,   X,   X,   X, X,    X,   X, X, /* 90 */
    X, X, X,   X, X, X, X, X, X,   X,   X,   X, X,    X,   X, X, /* A0 */
    X, X, X,   X, X, X, X, X, X,   X,   X,   X, X,    X,   X, X, /* B0 */
    X, X, X,   X, X, X, X, X, X,   X,   X,   X, X,    X,   X, X, /* C0 */
    X, X, X,   X, X, X, X, X, X,   X,   X,   X, X,    X,   X, X, /* D0 */
    X, X, X,   X, X, X, X, X, X,   X,   X,   X, X,    X,   X, X, /* E0 */
    X, X, X,   X, X, X, X, X, X,   X,   X,   X, X,    X,   X, X, /* F0 */
};

typedef const unsigned char *bytes_at;

static int character(bytes_at at, bytes_at end) {
  unsigned char lead = *at, lowest = 0x80, highest = 0xBF;
  int length = lead < 0xE0 ? 2 : lead < 0xF0 ? 3 : 4;
  int i;
  if (lead < 0xC2 || lead > 0xF4)
    return -1;
  if (lead == 0xE0)
    lowest = 0xA0; /* below: overlong */
  else if (lead == 0xED)
    highest = 0x9F; /* above: surrogates */
  else if (lead == 0xF0)
    lowest = 0x90; /* below: overlong */
  else if (lead == 0xF4)
    highest = 0x8F; /* above: past U+10FFFF */
  for (i = 1; i < length; i++) {
    if (end - at == i || at[i] < lowest || at[i] > highest)
      return -i;
    lowest = 0x80;
    highest = 0xBF;
  }
  return length;
}

int seer_json_character(const char *at, const char *end) {
  return character((bytes_at)at, (bytes_at)end);
}

static void escaped(seer_buffer *out, unsigned char byte) {
  static const char hex[] = "0123456789abcdef";
  char text[] = {'\\', escapes[byte],  '0',
                 '0',  hex[byte >> 4], hex[byte & 15]};
  seer_buffer_append(out, text, text[1] == U ? 6 : 2);
}

#define EACH(byte) (UINT64_C(0x0101010101010101) * (byte))

/* Not 0 if one of eight bytes is not printable ASCII, or needs a backslash. Of
   bytes without a high bit, a subtraction gives one to those that are smaller;
   with a bit changed, the quote is one of those below the space. */
static uint64_t not_plain(uint64_t word) {
  return (word | ((word ^ EACH('"' ^ ' ')) - EACH(' ' + 1)) |
          ((word ^ EACH('\\')) - EACH(1))) &
         EACH(0x80);
}

static uint64_t eight_at(bytes_at at) {
  uint64_t word;
  memcpy(&word, at, sizeof(word));
  return word;
}

/* Copies up to seven bytes, some of them twice; false if one is not plain. */
static inline bool copy_few(char *room, bytes_at at, size_t length) {
  if (length >= 4) {
    uint32_t first, last;
    memcpy(&first, at, 4);
    memcpy(&last, at + length - 4, 4);
    memcpy(room, &first, 4);
    memcpy(room + length - 4, &last, 4);
    return !not_plain(first | (uint64_t)last << 32);
  }
  if (length >= 2) {
    uint16_t first, last;
    memcpy(&first, at, 2);
    memcpy(&last, at + length - 2, 2);
    memcpy(room, &first, 2);
    memcpy(room + length - 2, &last, 2);
    return !not_plain(first | (uint32_t)last << 16 | EACH('a') << 32);
  }
  if (length > 0)
    room[0] = (char)at[0];
  return length == 0 || !not_plain(at[0] | EACH('a') << 8);
}

#define SHORT 16 /* bytes; most strings and keys are not longer */

static inline bool copy_short(char *room, bytes_at at, size_t length) {
  uint64_t first, last;
  if (length < 8)
    return copy_few(room, at, length);
  first = eight_at(at);
  last = eight_at(at + length - 8);
  memcpy(room, &first, 8);
  memcpy(room + length - 8, &last, 8);
  return !(not_plain(first) | not_plain(last));
}

/* As soon as one is not plain, the copy is of no use. */
static bool copy_long(char *room, bytes_at at, size_t length) {
  bytes_at last = at + length - 8;
  uint64_t word = eight_at(last);
  memcpy(room + length - 8, &word, 8);
  for (; at < last && !not_plain(word); at += 8, room += 8) {
    word = eight_at(at);
    memcpy(room, &word, 8);
  }
  return !not_plain(word);
}

/* Where the bytes that are copied as they are end. */
static bytes_at skip_copied(bytes_at at, bytes_at end) {
  while (at < end) {
    int length = 1;
    if (end - at >= 8 && !not_plain(eight_at(at)))
      length = 8;
    else if (escapes[*at] == X)
      length = character(at, end);
    else if (escapes[*at])
      break;
    if (length < 0)
      break;
    at += length;
  }
  return at;
}

/* Writes what is not copied as it is; returns what follows. */
static bytes_at replaced(seer_buffer *out, bytes_at at, bytes_at end) {
  if (escapes[*at] != X) {
    escaped(out, *at);
    return at + 1;
  }
  seer_json_literal(out, "\xEF\xBF\xBD");
  return at - character(at, end);
}

/* Appends a string that has something to replace; false if that was not
   UTF-8. */
static bool quoted(seer_buffer *out, bytes_at at, bytes_at end) {
  bool valid = true;
  seer_buffer_byte(out, '"');
  while (at < end && !out->error) {
    bytes_at run = skip_copied(at, end);
    if (run > at)
      seer_buffer_append(out, (const char *)at, (size_t)(run - at));
    valid = valid && (run == end || escapes[*run] != X);
    at = run < end ? replaced(out, run, end) : end;
  }
  seer_buffer_byte(out, '"');
  return valid;
}

/* What is short and plain needs no frame of the stack, for these two begin
   with that, and end with the call of a function for the rest. */

__attribute__((noinline)) static void any_string(seer_buffer *out, bytes_at at,
                                                 size_t length) {
  char *room = seer_buffer_reserve(out, length + 2); /* the least it takes */
  if (room == NULL)
    return;
  if (length <= SHORT || !copy_long(room + 1, at, length)) {
    quoted(out, at, at + length);
    return;
  }
  room[0] = room[length + 1] = '"';
  out->length += length + 2;
}

void seer_json_string(seer_buffer *out, const char *bytes, size_t length) {
  bytes_at at = (bytes_at)bytes;
  char *room;
  if (length > SHORT || !seer_buffer_has(out, length + 2)) {
    any_string(out, at, length);
    return;
  }
  room = out->data + out->length;
  if (!copy_short(room + 1, at, length)) {
    quoted(out, at, at + length);
    return;
  }
  room[0] = room[length + 1] = '"';
  out->length += length + 2;
}

__attribute__((noinline)) static bool any_key(seer_buffer *out, char before,
                                              bytes_at at, size_t length) {
  bool valid;
  seer_buffer_byte(out, before);
  valid = quoted(out, at, at + length);
  seer_buffer_byte(out, ':');
  return valid;
}

bool seer_json_key(seer_buffer *out, char before, const char *bytes,
                   size_t length) {
  bytes_at at = (bytes_at)bytes;
  char *room;
  if (length > SHORT || !seer_buffer_has(out, length + 4))
    return any_key(out, before, at, length);
  room = out->data + out->length;
  if (!copy_short(room + 2, at, length))
    return any_key(out, before, at, length);
  room[0] = before;
  room[1] = room[length + 2] = '"';
  room[length + 3] = ':';
  out->length += length + 4;
  return true;
}
