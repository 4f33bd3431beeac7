#include "scan.h"

#include "ascii.h"
#include "json.h"
#pragma GCC visibility push(hidden)

static bool value(seer_scan *s);

static bool fail(seer_scan *s, seer_scan_problem problem) {
  s->problem = problem;
  return false;
}

static void skip_blanks(seer_scan *s) {
  while (*s->at == ' ' || *s->at == '\t' || *s->at == '\n' || *s->at == '\r')
    s->at++;
}

/* The number in \u0000, or -1 if that is not what stands there. */
static int unit(const char *at) {
  int number = 0;
  if (at[0] != '\\' || at[1] != 'u')
    return -1;
  for (int i = 2; i < 6; i++) {
    int digit = seer_digit_value(at[i]);
    if (digit > 15)
      return -1;
    number = number * 16 + digit;
  }
  return number;
}

/* A backslash and what belongs to it. */
static bool escape(seer_scan *s) {
  int first, second;
  if (s->at[1] != '\0' && strchr("\"\\/bfnrt", s->at[1]) != NULL) {
    s->at += 2;
    return true;
  }
  first = unit(s->at);
  if (first < 0)
    return fail(s, SEER_SCAN_SYNTAX);
  if (first >= 0xD800 && first <= 0xDFFF) {
    second = first < 0xDC00 ? unit(s->at + 6) : -1;
    if (second < 0xDC00 || second > 0xDFFF)
      return fail(s, SEER_SCAN_ENCODING);
    s->at += 6;
  }
  s->at += 6;
  return true;
}

static bool string(seer_scan *s) {
  if (*s->at != '"')
    return fail(s, SEER_SCAN_SYNTAX);
  for (s->at++; *s->at != '"';) {
    int length = 1;
    if ((unsigned char)*s->at < ' ')
      return fail(s, SEER_SCAN_SYNTAX);
    if (*s->at == '\\') {
      if (!escape(s))
        return false;
      continue;
    }
    if ((unsigned char)*s->at >= 0x80)
      length = seer_json_character(s->at, s->end);
    if (length < 0)
      return fail(s, SEER_SCAN_ENCODING);
    s->at += length;
  }
  s->at++;
  return true;
}

static bool digits(seer_scan *s) {
  const char *start = s->at;
  while (*s->at >= '0' && *s->at <= '9')
    s->at++;
  return s->at > start || fail(s, SEER_SCAN_SYNTAX);
}

static bool number(seer_scan *s) {
  if (*s->at == '-')
    s->at++;
  if (*s->at == '0')
    s->at++;
  else if (!digits(s))
    return false;
  if (*s->at == '.') {
    s->at++;
    if (!digits(s))
      return false;
  }
  if (*s->at != 'e' && *s->at != 'E')
    return true;
  s->at++;
  if (*s->at == '+' || *s->at == '-')
    s->at++;
  return digits(s);
}

static bool word(seer_scan *s, const char *expected) {
  for (; *expected != '\0'; expected++, s->at++)
    if (*s->at != *expected)
      return fail(s, SEER_SCAN_SYNTAX);
  return true;
}

void seer_scan_open(seer_scan *s, seer_member *member) {
  member->closing = *s->at++ == '{' ? '}' : ']';
  member->key = member->key_end = NULL;
  member->value = member->value_end = NULL;
}

static bool key(seer_scan *s, seer_member *member) {
  member->key = s->at;
  if (!string(s))
    return false;
  member->key_end = s->at;
  skip_blanks(s);
  if (*s->at != ':')
    return fail(s, SEER_SCAN_SYNTAX);
  s->at++;
  skip_blanks(s);
  return true;
}

bool seer_scan_next(seer_scan *s, seer_member *member) {
  skip_blanks(s);
  if (*s->at == member->closing) {
    s->at++;
    return false;
  }
  if (member->value != NULL) {
    if (*s->at != ',')
      return fail(s, SEER_SCAN_SYNTAX);
    s->at++;
    skip_blanks(s);
  }
  if (member->closing == '}' && !key(s, member))
    return false;
  member->value = s->at;
  if (!value(s))
    return false;
  member->value_end = s->at;
  return true;
}

static bool container(seer_scan *s) {
  seer_member member;
  if (s->depth == SEER_SCAN_DEPTH)
    return fail(s, SEER_SCAN_TOO_DEEP);
  if (++s->depth > s->deepest)
    s->deepest = s->depth;
  seer_scan_open(s, &member);
  while (seer_scan_next(s, &member))
    ;
  s->depth--;
  return s->problem == SEER_SCAN_OK;
}

static bool value(seer_scan *s) {
  switch (*s->at) {
  case '{':
  case '[':
    return container(s);
  case '"':
    return string(s);
  case 't':
    return word(s, "true");
  case 'f':
    return word(s, "false");
  case 'n':
    return word(s, "null");
  default:
    return number(s);
  }
}

void seer_scan_init(seer_scan *s, const char *text, size_t length) {
  s->at = text;
  s->end = text + length;
  s->depth = s->deepest = 0;
  s->problem = SEER_SCAN_OK;
}

bool seer_scan_text(seer_scan *s, const char **first, const char **after) {
  skip_blanks(s);
  *first = s->at;
  if (!value(s))
    return false;
  *after = s->at;
  skip_blanks(s);
  return s->at == s->end || fail(s, SEER_SCAN_SYNTAX);
}
