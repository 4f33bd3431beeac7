#include "core/http/answer.h"

#include "core/base/ascii.h"
#include "core/base/clock.h"
#include "core/http/http.h"

#define BODY_START 512          /* of an answer that nobody waits for */
#define HEADERS_ENDURED 262144u /* read, if not kept */

void seer_incoming_init(seer_incoming *in) {
  memset(in, 0, sizeof *in);
  seer_buffer_init(&in->headers, SEER_HTTP_HEADERS_LIMIT);
  seer_buffer_init(&in->body, SEER_HTTP_BODY_LIMIT);
}

void seer_incoming_clear(seer_incoming *in) {
  seer_buffer_clear(&in->headers);
  seer_buffer_clear(&in->body);
}

void seer_incoming_reset(seer_incoming *in, bool whole_body) {
  in->status = 0;
  in->whole_body = whole_body;
  in->cut = false;
  in->header_bytes = in->body_bytes = 0;
  seer_buffer_reset(&in->headers, SEER_HTTP_HEADERS_LIMIT);
  seer_buffer_reset(&in->body, SEER_HTTP_BODY_LIMIT);
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

bool seer_incoming_header(seer_incoming *in, const char *line, size_t length) {
  int status = in->status == 0 ? read_status(line, length) : 0;
  in->header_bytes += length;
  if (status != 0) {
    in->status = status >= 200 ? status : 0;
    seer_buffer_reset(&in->headers, SEER_HTTP_HEADERS_LIMIT);
  } else if (length > 2) { /* not the empty line at the end */
    seer_buffer_append(&in->headers, line, length);
  }
  return in->header_bytes <= HEADERS_ENDURED;
}

bool seer_incoming_body(seer_incoming *in, const char *bytes, size_t length) {
  size_t limit = in->whole_body ? SEER_HTTP_BODY_LIMIT : BODY_START;
  size_t room = limit - in->body.length;
  in->body_bytes += length;
  in->cut = in->cut || length > room;
  seer_buffer_append(&in->body, bytes, length < room ? length : room);
  return in->body_bytes <= SEER_HTTP_BODY_LIMIT;
}

/* The bytes after "name:" if the line begins so, whatever its case. */
static const char *match(const char *line, const char *end, const char *name) {
  for (; *name != '\0'; name++, line++)
    if (line == end || seer_lower(*line) != *name)
      return NULL;
  return line < end && *line == ':' ? line + 1 : NULL;
}

static bool is_space(char byte) {
  return byte == ' ' || byte == '\t' || byte == '\r' || byte == '\n';
}

char *seer_incoming_find(const seer_incoming *in, const char *name,
                         char *value, size_t size) {
  const char *line = in->headers.data;
  const char *end = line != NULL ? line + in->headers.length : NULL;
  while (line < end) {
    const char *eol = memchr(line, '\n', (size_t)(end - line));
    const char *stop = eol != NULL ? eol : end;
    const char *start = match(line, stop, name);
    line = stop + 1;
    if (start == NULL)
      continue;
    while (start < stop && is_space(*start))
      start++;
    while (stop > start && is_space(stop[-1]))
      stop--;
    if ((size_t)(stop - start) >= size)
      return NULL;
    memcpy(value, start, (size_t)(stop - start));
    value[stop - start] = '\0';
    return value;
  }
  return NULL;
}

void seer_incoming_judge(const seer_incoming *in, seer_answer *answer) {
  char milliseconds[64], seconds[64], date[64], again[8];
  char *retry = seer_incoming_find(in, "x-should-retry", again, sizeof again);
  answer->status = in->status;
  answer->failure = seer_retry_is_success(in->status) ? SEER_FAILURE_NONE
                                                      : SEER_FAILURE_STATUS;
  answer->should_retry = -1;
  if (retry != NULL && strcmp(retry, "true") == 0)
    answer->should_retry = 1;
  else if (retry != NULL && strcmp(retry, "false") == 0)
    answer->should_retry = 0;
  answer->retry_after = seer_retry_after(
      seer_incoming_find(in, "retry-after-ms", milliseconds,
                         sizeof milliseconds),
      seer_incoming_find(in, "retry-after", seconds, sizeof seconds),
      seer_incoming_find(in, "date", date, sizeof date), seer_clock_wall());
}
