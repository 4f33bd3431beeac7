#include "core/base/ascii.h"
#include "core/base/block.h"
#include "core/base/buffer.h"
#include "core/base/mask.h"
#include "core/http/incoming.h"
#include "core/http/url.h"
#include "unit.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

/* Writes the byte at random in one of the ways that JSON has for it; returns
   what follows. */
static char *put_escaped(char *to, char byte, bool escaped) {
  if (escaped && unit_random(3) == 0)
    return to + sprintf(to, unit_random(2) ? "\\u%04x" : "\\u%04X",
                        (unsigned char)byte);
  if (escaped && (byte == '"' || byte == '\\' || byte == '/'))
    *to++ = '\\';
  *to++ = byte;
  return to;
}

static char *put_secret(char *to, const char *secret, bool escaped) {
  for (; *secret != '\0'; secret++)
    to = put_escaped(to, *secret, escaped);
  return to;
}

static size_t mask(const char *secret, char *text, size_t length, bool cut) {
  char *texts[] = {(char *)secret};
  seer_secrets secrets = {texts, 1};
  return seer_secrets_mask(&secrets, text, length, cut);
}

/* Texts of a few bytes that the secret has too, with secrets between. */
static void masks_secrets(void) {
  static const char *const secrets[] = {"sk_abc", "aab", "a/\"b", "pa\\ss"};
  for (int i = 0; i < 20000; i++) {
    const char *secret = secrets[unit_random(4)];
    char text[400], expected[400], *to = text, *right = expected;
    for (int64_t n = unit_random(6); n >= 0; n--) {
      for (int64_t m = unit_random(4); m > 0; m--)
        *right++ = *to++ = "xyz {"[unit_random(5)];
      if (n > 0) {
        to = put_secret(to, secret, i % 2 == 0 || strpbrk(secret, "\"\\"));
        right += sprintf(right, "***");
      }
    }
    *to = '\0';
    size_t length = mask(secret, text, (size_t)(to - text), false);
    CHECK(length == (size_t)(right - expected));
    CHECK(memcmp(text, expected, length) == 0);
  }
}

static bool contains(const char *text, size_t length, const char *part) {
  size_t size = strlen(part);
  for (size_t i = 0; i + size <= length; i++)
    if (memcmp(text + i, part, size) == 0)
      return true;
  return false;
}

/* Whatever the text, it has no secret afterwards, and never grows. */
static void leaves_no_secret(void) {
  for (int i = 0; i < 20000; i++) {
    char text[41], secret[8];
    size_t length = (size_t)unit_random(40), masked;
    int size = 4 + (int)unit_random(4);
    for (size_t j = 0; j < length; j++)
      text[j] = "ab"[unit_random(2)];
    text[length] = '\0';
    for (int j = 0; j < size; j++)
      secret[j] = "ab"[unit_random(2)];
    secret[size] = '\0';
    masked = mask(secret, text, length, false);
    CHECK(masked <= length);
    CHECK(!contains(text, masked, secret));
  }
}

/* One within another, and the beginning of one at the end: wherever it stands,
   no part of either is left. */
static void masks_each_of_several(void) {
  char *texts[] = {"sk_test_key-of-one", "sk_test_key", "key="};
  seer_secrets secrets = {texts, 3};
  for (size_t kept = 4; kept <= strlen(texts[0]); kept++) {
    char text[80];
    size_t length = (size_t)sprintf(text, "%s %s %.*s", texts[1], texts[0],
                                    (int)kept, texts[0]);
    length = seer_secrets_mask(&secrets, text, length, true);
    CHECK(length == 11 && memcmp(text, "*** *** ***", length) == 0);
  }
}

static void masks_what_was_cut(void) {
  const char *secret = "secret/key";
  for (size_t kept = 1; kept < strlen(secret); kept++) {
    char text[40], other[40];
    size_t length = (size_t)sprintf(text, "says %.*s", (int)kept, secret);
    memcpy(other, text, sizeof text);
    length = mask(secret, text, length, true);
    CHECK(length == 5 + (kept < 3 ? kept : 3));
    CHECK(memcmp(text, "says ***", length) == 0);
    length = mask(secret, other, strlen(other), false);
    CHECK(length == 5 + kept);
  }
}

static void knows_base_urls(void) {
  static const char *const good[] = {"http://localhost", "https://h",
                                     "http://[::1]:8080/a/b", "HTTPS://H/",
                                     "http://1.2.3.4:1"};
  static const char *const bad[] = {"",
                                    "h",
                                    "ftp://h",
                                    "http://",
                                    "http:///h",
                                    "http://h?q",
                                    "http://h#f",
                                    "http://u@h",
                                    "http://u:p@h",
                                    "http://h:x",
                                    "file:///h",
                                    "http://h /",
                                    "http://h:99999"};
  for (size_t i = 0; i < sizeof good / sizeof good[0]; i++)
    CHECK(seer_url_check_base(good[i]) == NULL);
  for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
    CHECK(seer_url_check_base(bad[i]) != NULL);
}

static void knows_loopback(void) {
  static const char *const near[] = {
      "http://localhost",      "http://127.0.0.1",  "http://127.9.9.9:80/x",
      "http://LOCALHOST:8080", "http://localhost.", "http://[::1]:9"};
  static const char *const far[] = {"http://localhost.example",
                                    "http://localhost..",
                                    "http://mylocalhost",
                                    "http://128.0.0.1",
                                    "http://[::2]",
                                    "http://api",
                                    "http://127.0.0.1.example",
                                    "junk://"};
  for (size_t i = 0; i < sizeof near / sizeof near[0]; i++)
    CHECK(seer_url_is_loopback(near[i]));
  for (size_t i = 0; i < sizeof far / sizeof far[0]; i++)
    CHECK(!seer_url_is_loopback(far[i]));
}

static void knows_proxies(void) {
  static const char *const good[] = {
      "proxy:3128", "http://u:p@proxy", "socks5h://proxy:1080",
      "https://p",  "socks4a://p",      "http://ftp.x:3128",
      "ftpx:3128"};
  static const char *const bad[] = {"ftp://p",     "",        "http://",
                                    "gopher://p",  "ftp.x:1", "smtp.x",
                                    "u:p@IMAP.x:1"};
  for (size_t i = 0; i < sizeof good / sizeof good[0]; i++)
    CHECK(seer_url_check_proxy(good[i]) == NULL);
  for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
    CHECK(seer_url_check_proxy(bad[i]) != NULL);
}

#define LINES 8

/* A block of a few lines of few names, at random in either case. */
static size_t make_block(char *block, seer_block_kind kind, char **lines) {
  static const char *const names[] = {"Accept", "accept", "X-One", "X-Onely",
                                      "x-two"};
  char *to = block;
  size_t count = (size_t)unit_random(LINES);
  for (size_t i = 0; i < count; i++) {
    const char *separator = kind == SEER_BLOCK_HEADERS
                                ? (unit_random(4) ? ": v" : ";")
                                : (unit_random(4) ? "=v" : "");
    lines[i] = to;
    to += 1 + sprintf(to, "%s%s", names[unit_random(5)], separator);
  }
  *to++ = '\0';
  CHECK(seer_block_size(block) == (size_t)(to - block));
  return count;
}

static bool named_alike(seer_block_kind kind, const char *one,
                        const char *other) {
  const char *ends = kind == SEER_BLOCK_HEADERS ? ":;" : "=";
  size_t length = strcspn(one, ends);
  if (length != strcspn(other, ends))
    return false;
  return kind == SEER_BLOCK_HEADERS ? strncasecmp(one, other, length) == 0
                                    : strncmp(one, other, length) == 0;
}

static void check_merge(seer_block_kind kind) {
  char under[200], over[200], expected[400], *to = expected;
  char *lines[LINES], *over_lines[LINES];
  size_t count = make_block(under, kind, lines);
  size_t over_count = make_block(over, kind, over_lines);
  seer_buffer out;
  seer_buffer_init(&out, 1000);
  seer_block_merge(&out, kind, under, over);
  for (size_t i = 0; i < count; i++) {
    bool hidden = false;
    for (size_t j = 0; j < over_count; j++)
      hidden = hidden || named_alike(kind, lines[i], over_lines[j]);
    if (!hidden)
      to += 1 + sprintf(to, "%s", lines[i]);
  }
  for (size_t j = 0; j < over_count; j++)
    to += 1 + sprintf(to, "%s", over_lines[j]);
  *to++ = '\0';
  CHECK(out.length == (size_t)(to - expected));
  CHECK(memcmp(out.data, expected, out.length) == 0);
  seer_buffer_clear(&out);
}

static void lays_lines_over(void) {
  for (int i = 0; i < 5000; i++) {
    check_merge(SEER_BLOCK_HEADERS);
    check_merge(SEER_BLOCK_QUERY);
  }
}

static void knows_secret_lines(void) {
  static const struct {
    const char *line, *secret;
  } lines[] = {
      {"Authorization: Bearer abc",      "abc"     },
      {"proxy-AUTHORIZATION:Basic dTpw", "dTpw"    },
      {"Cookie: a=b; c=d",               "a=b; c=d"},
      {"Set-Cookie:  x=y",               "x=y"     },
      {"Authorizations: abc",            NULL      },
      {"X-Cookie: a",                    NULL      },
      {"Cookie",                         NULL      },
      {"Content-Type: text/html",        NULL      }
  };
  for (size_t i = 0; i < sizeof lines / sizeof lines[0]; i++) {
    const char *secret = seer_block_secret(lines[i].line);
    CHECK((secret == NULL) == (lines[i].secret == NULL));
    CHECK(secret == NULL || strcmp(secret, lines[i].secret) == 0);
    CHECK(lines[i].secret == NULL ||
          seer_block_is_secret(lines[i].line, strcspn(lines[i].line, ":")));
  }
}

static void masks_escapes(void) {
  static const char secret[] = "k/e'y &<";
  static const char *const forms[] = {"k/e'y &<",
                                      "k\\/e'y \\u0026\\u003C",
                                      "k%2fe%27y+%26%3c",
                                      "k%2Fe'y%20%26%3C",
                                      "k/e&#39;y &amp;&lt;",
                                      "k&#x2F;e&#039;y &#38;&LT;",
                                      "k&sol;e&#39y&#x20&amp&lt",
                                      "\\u{6B}\\u{0002f}e\\x{27}y \\38\\60",
                                      "\\\\u{6b}/e%5Cu{27}y \\u0026<",
                                      "\\x6b\\57e'y \\\\u0026\\\\u003c",
                                      "k%252fe'y %26amp%3b&#x26;lt;",
                                      "=6B/e=27y &amp;amp;&amp;lt;"};
  for (size_t i = 0; i < sizeof forms / sizeof forms[0]; i++) {
    char text[60];
    size_t length = (size_t)snprintf(text, sizeof text, "<%s>", forms[i]);
    CHECK(mask(secret, text, length, false) == 5 &&
          strcmp(text, "<***>") == 0);
    length = (size_t)snprintf(text, sizeof text, "<%s", forms[i]);
    CHECK(mask(secret, text, length - 1, true) == 4 &&
          strcmp(text, "<***") == 0);
  }
}

/* A text that could begin an escape anywhere takes no longer than others. */
static void masks_long_texts(void) {
  static const char *const units[] = {"\\", "%25", "\\u", "&#0", "=3d"};
  static char text[100000], copy[sizeof text];
  for (size_t i = 0; i < sizeof units / sizeof units[0]; i++) {
    size_t size = strlen(units[i]);
    for (size_t at = 0; at < sizeof text; at++)
      text[at] = units[i][at % size];
    memcpy(copy, text, sizeof text);
    CHECK(mask("sk_test_1234", text, sizeof text, false) == sizeof text);
    CHECK(memcmp(text, copy, sizeof text) == 0);
  }
}

static void parts_secrets(void) {
  static const char *const parts[] = {"bob", "r", "abc==", "d"};
  const char *rest = seer_block_secret(
      "Authorization: Digest user=\"bob\", a=r,  n=\"\"; abc==, d");
  size_t count = 0, length;
  while (rest != NULL && (rest = seer_block_part(rest, &length)) != NULL) {
    CHECK(count < 4 && strlen(parts[count]) == length &&
          memcmp(rest, parts[count], length) == 0);
    rest += length;
    count++;
  }
  CHECK(count == 4);
}

static void masks_controls(void) {
  char text[] = "a\r\n\x1B[1m\x7F \xC2\x9B \x9B \xC3\x9B \xE2\x82\x9B";
  seer_mask_controls(text, sizeof text - 1);
  CHECK(strcmp(text, "a   [1m       \xC3\x9B \xE2\x82\x9B") == 0);
}

static void reads_headers(void) {
  static const char text[] = "A:b\r\n\r\nno name\r\n:none\r\n"
                             "C \t:  d: e \r\nF:\nG: h";
  static const char *const fields[] = {"A", "b", "C", "d: e",
                                       "F", "",  "G", "h"};
  const char *line = text, *end = text + sizeof text - 1;
  seer_header header;
  size_t count = 0;
  while ((line = seer_header_read(&header, line, end)) != NULL) {
    CHECK(count < 8 && header.name_length == strlen(fields[count]) &&
          memcmp(header.name, fields[count], header.name_length) == 0);
    CHECK(header.value_length == strlen(fields[count + 1]) &&
          memcmp(header.value, fields[count + 1], header.value_length) == 0);
    count += 2;
  }
  CHECK(count == 8);
}

/* A line that is continued is one field. */
static void unfolds_headers(void) {
  char value[20];
  seer_incoming in;
  seer_incoming_init(&in);
  seer_incoming_header(&in, " x\r\n", 4);
  seer_incoming_header(&in, "A: b\r\n", 6);
  seer_incoming_header(&in, "\t  c: d\r\n", 9);
  seer_incoming_header(&in, " e\r\n", 4);
  CHECK(seer_incoming_find(&in, "a", value, sizeof value) != NULL &&
        strcmp(value, "b c: d e") == 0);
  CHECK(seer_incoming_find(&in, "x", value, sizeof value) == NULL);
  seer_incoming_clear(&in);
}

static void cuts_between_characters(void) {
  static const char text[] = "a\xC3\xA4\xE2\x82\xAC";
  static const size_t lengths[] = {0, 1, 1, 3, 3, 3, 6, 6};
  for (size_t most = 0; most < 8; most++)
    CHECK(seer_cut(text, 6, most) == lengths[most]);
}

const unit_test unit_text[] = {
    {"secrets are masked as they are and escaped as in JSON",        masks_secrets          },
    {"no secret is left in any text",                                leaves_no_secret       },
    {"the beginning of a secret at the end of a cut text is masked",
     masks_what_was_cut                                                                     },
    {"base URLs are told from what is none",                         knows_base_urls        },
    {"loopback is told from other hosts",                            knows_loopback         },
    {"proxies are told from what is none",                           knows_proxies          },
    {"lines of headers and queries are laid over by name",           lays_lines_over        },
    {"header lines with secrets are known by their names",           knows_secret_lines     },
    {"headers are read field by field",                              reads_headers          },
    {"a header line that is continued is one field",                 unfolds_headers        },
    {"texts are cut between characters",                             cuts_between_characters},
    {"secrets are masked as URLs and HTML have them",                masks_escapes          },
    {"a long text of what begins escapes stays as it is",            masks_long_texts       },
    {"a secret header's parts are secrets",                          parts_secrets          },
    {"secrets within others are masked, and in part at the end",
     masks_each_of_several                                                                  },
    {"control characters are masked, other text is not",             masks_controls         },
    {NULL,                                                           NULL                   }
};
