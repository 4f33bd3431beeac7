#include "core/http/incoming.h"

#include "core/base/ascii.h"
#include "core/base/block.h"
#include "core/base/clock.h"

#include <curl/curl.h>
#include <strings.h>
#pragma GCC visibility push(hidden)

#define BODY_START 512          /* of an answer that nobody waits for... */
#define KEPT 4096               /* bytes of a buffer, for the next answer */
#define ENDURED 65536u          /* ...of which more is read */
#define HEADERS_ENDURED 262144u /* read, if not kept */

void seer_incoming_init(seer_incoming *in) {
  memset(in, 0, sizeof *in);
  seer_buffer_init(&in->headers, SEER_INCOMING_HEADERS);
  seer_buffer_init(&in->body, SEER_INCOMING_BODY);
}

void seer_incoming_again(seer_incoming *in) {
  seer_buffer headers = in->headers, body = in->body;
  seer_buffer_reset(&headers, KEPT);
  seer_buffer_reset(&body, KEPT);
  *in = (seer_incoming){
      .whole_body = in->whole_body, .headers = headers, .body = body};
}

void seer_incoming_clear(seer_incoming *in) {
  seer_buffer_clear(&in->headers);
  seer_buffer_clear(&in->body);
}

/* The status of "HTTP/1.1 200 OK"; 0 if the line is no status line. */
static int read_status(const char *line, size_t length) {
  const char *end = line + length;
  int status = 0;
  if (length < 5 || memcmp(line, "HTTP/", 5) != 0)
    return 0;
  while (line < end && *line != ' ')
    line++;
  while (line < end && *line == ' ')
    line++;
  for (; line < end && *line >= '0' && *line <= '9' && status < 1000; line++)
    status = status * 10 + (*line - '0');
  return status < 1000 ? status : 0; /* libcurl lets "HTTP/2 2000" pass */
}

/* Keeps a line. One that begins with a blank continues the one before. */
static void keep_line(seer_buffer *headers, const char *line, size_t length) {
  if (!seer_is_blank(*line)) {
    seer_buffer_append(headers, line, length);
    return;
  }
  if (headers->length == 0 || headers->error)
    return;
  for (; length > 0 && seer_is_blank(*line); length--)
    line++;
  while (headers->length > 0 &&
         seer_is_blank(headers->data[headers->length - 1]))
    headers->length--;
  seer_buffer_byte(headers, ' ');
  seer_buffer_append(headers, line, length);
}

static bool has_name(const seer_header *header, const char *name) {
  return header->name_length == strlen(name) &&
         seer_alike(header->name, name, header->name_length);
}

static bool may_be_length(const char *line, size_t length) {
  static const char name[] = "content-length";
  return length >= sizeof name && seer_lower(*line) == *name &&
         strncasecmp(line, name, sizeof name - 1) == 0;
}

/* Whether there is one length at most: by another, libcurl may wait for more
   than there is. Most answers have one line that says it. */
static bool has_one_length(const seer_incoming *in) {
  const char *line = in->headers.data;
  const char *end = line != NULL ? line + in->headers.length : NULL;
  seer_header header, first = {.value = NULL};
  if (in->lengths < 2)
    return true;
  while ((line = seer_header_read(&header, line, end)) != NULL) {
    if (!has_name(&header, "content-length"))
      continue;
    if (first.value != NULL &&
        (first.value_length != header.value_length ||
         memcmp(first.value, header.value, header.value_length) != 0))
      return false;
    first = header;
  }
  return true;
}

bool seer_incoming_header(seer_incoming *in, const char *line, size_t length) {
  int status = in->status == 0 ? read_status(line, length) : 0;
  in->header_bytes += length;
  if (status != 0) {
    in->status = status >= 200 ? status : 0;
    in->lengths = 0;
    seer_buffer_reset(&in->headers, SEER_INCOMING_HEADERS);
  } else if (length > 2) { /* not the empty line at the end */
    in->lengths += may_be_length(line, length);
    keep_line(&in->headers, line, length);
  } else if (!has_one_length(in)) {
    return false;
  }
  return in->header_bytes <= HEADERS_ENDURED;
}

bool seer_incoming_body(seer_incoming *in, const char *bytes, size_t length) {
  size_t limit = in->whole_body ? SEER_INCOMING_BODY : BODY_START;
  size_t room = limit - in->body.length;
  in->body_bytes += length;
  in->cut = in->cut || length > room;
  seer_buffer_append(&in->body, bytes, length < room ? length : room);
  return in->body_bytes <= (in->whole_body ? SEER_INCOMING_BODY : ENDURED);
}

/* Only what begins with the name is read: most lines do not. */
static bool find(const seer_incoming *in, const char *name,
                 seer_header *header) {
  const char *line = in->headers.data, *read;
  const char *end = line != NULL ? line + in->headers.length : NULL;
  for (; line < end; line = read != NULL ? read + 1 : end) {
    if (seer_lower(*line) == *name &&
        seer_header_read(header, line, end) != NULL && has_name(header, name))
      return true;
    read = memchr(line, '\n', (size_t)(end - line));
  }
  return false;
}

bool seer_incoming_has(const seer_incoming *in, const char *name) {
  seer_header header;
  return find(in, name, &header);
}

char *seer_incoming_find(const seer_incoming *in, const char *name,
                         char *value, size_t size) {
  seer_header header;
  if (!find(in, name, &header) || header.value_length >= size)
    return NULL;
  memcpy(value, header.value, header.value_length);
  value[header.value_length] = '\0';
  return value;
}

static bool is_html(const seer_incoming *in) {
  static const char html[] = "text/html";
  seer_header type;
  return find(in, "content-type", &type) &&
         type.value_length >= sizeof html - 1 &&
         strncasecmp(type.value, html, sizeof html - 1) == 0;
}

bool seer_incoming_is_doubtful(const seer_incoming *in) {
  static const char key[] = "\"success\"";
  const char *at = in->body.data;
  const char *end = at != NULL ? at + in->body.length : NULL;
  while (at < end && seer_is_blank(*at))
    at++;
  if (at < end && (*at == '<' || is_html(in)))
    return true;
  while ((at = at < end ? memchr(at, '"', (size_t)(end - at)) : NULL) !=
             NULL &&
         ((size_t)(end - at) < sizeof key || memcmp(at, key, sizeof key - 1)))
    at++;
  if (at == NULL)
    return false;
  for (at += sizeof key - 1; at < end && (seer_is_blank(*at) || *at == ':');)
    at++;
  return end - at >= 5 && memcmp(at, "false", 5) == 0;
}

/* The time of an HTTP date, whose year has four digits; -1 if it is none. On
   systems of 32 bits libcurl's may have fewer than ours. */
static int64_t read_date(const char *text) {
  int64_t time = text != NULL ? (ptrdiff_t)curl_getdate(text, NULL) : -1;
  return time >= 0 && time <= SEER_CLOCK_LAST / 1000 ? time : -1;
}

/* The ms until a date, by the answer's own clock or else ours; 0 if it is
   none. */
static int64_t until(const char *text, const char *date) {
  int64_t then = read_date(text), now = read_date(date);
  if (then == -1)
    return 0;
  return then * 1000 - (now != -1 ? now * 1000 : seer_clock_wall());
}

/* What a failure says of when to try again. */
static void read_retry(const seer_incoming *in, seer_answer *answer) {
  char first[64], second[64], third[64], again[8];
  const char *seconds = seer_incoming_find(in, "retry-after", first, 64);
  const char *date = seer_incoming_find(in, "date", second, 64);
  char *retry = seer_incoming_find(in, "x-should-retry", again, sizeof again);
  if (retry != NULL && strcmp(retry, "true") == 0)
    answer->should_retry = 1;
  else if (retry != NULL && strcmp(retry, "false") == 0)
    answer->should_retry = 0;
  answer->retry_after =
      seer_retry_after(seer_incoming_find(in, "retry-after-ms", third, 64),
                       seconds, until(seconds, date));
}

void seer_incoming_judge(const seer_incoming *in, seer_answer *answer) {
  answer->status = in->status;
  answer->failure = SEER_FAILURE_NONE;
  answer->should_retry = -1;
  answer->retry_after = SEER_NO_RETRY_AFTER;
  if (seer_retry_is_success(in->status))
    return;
  answer->failure = SEER_FAILURE_STATUS;
  read_retry(in, answer);
}
