#include "core/http/trace.h"

#include "core/base/block.h"

#include <stdio.h>
#include <string.h>

/* Appends what there is room for. */
static void append(seer_buffer *out, const char *bytes, size_t length) {
  size_t room = out->ceiling - out->length;
  seer_buffer_append(out, bytes, length < room ? length : room);
}

static void append_text(seer_buffer *out, const char *text) {
  append(out, text, strlen(text));
}

static void append_header(seer_buffer *out, const char *line, size_t length) {
  const char *colon = memchr(line, ':', length);
  append_text(out, "; ");
  if (seer_block_is_secret(line, length)) {
    append(out, line, (size_t)(colon - line));
    append_text(out, ": ***");
  } else {
    append(out, line, length);
  }
}

static void append_list(seer_buffer *out, const struct curl_slist *list) {
  for (; list != NULL; list = list->next) {
    size_t length = strlen(list->data);
    if (strcspn(list->data, ":") + 1 != length) /* else it is not sent */
      append_header(out, list->data, length);
  }
}

/* The lines of an answer end with a carriage return and a newline. */
static void append_lines(seer_buffer *out, const char *line, size_t length) {
  const char *end = line != NULL ? line + length : NULL;
  while (line < end) {
    const char *newline = memchr(line, '\n', (size_t)(end - line));
    const char *stop = newline != NULL ? newline : end;
    const char *next = newline != NULL ? newline + 1 : end;
    while (stop > line && stop[-1] == '\r')
      stop--;
    append_header(out, line, (size_t)(stop - line));
    line = next;
  }
}

static void append_body(seer_buffer *out, const char *body, size_t length) {
  if (length == 0)
    return;
  append_text(out, "; ");
  append(out, body, length);
}

/* The last byte of `text` is for the zero. */
static void finish(const seer_outgoing *out, seer_buffer *line, char *text) {
  text[line->length] = '\0';
  seer_outgoing_mask(out, text, line->length, line->length == line->ceiling);
}

static const char *url_of(seer_outgoing *out) {
  const char *url = seer_outgoing_url(out);
  return url != NULL ? url : "?";
}

void seer_trace_request(seer_outgoing *out, char *text, size_t size) {
  seer_buffer line;
  seer_buffer_borrow(&line, text, size - 1);
  append_text(&line, out->get ? "GET " : "POST ");
  append_text(&line, url_of(out));
  append_list(&line, out->list);
  if (!out->get)
    append_body(&line, out->event->body, out->event->length);
  finish(out, &line, text);
}

static void append_times(seer_buffer *line, int64_t elapsed) {
  char text[40];
  snprintf(text, sizeof text, " after %lld ms", (long long)elapsed);
  append_text(line, text);
}

void seer_trace_answer(seer_outgoing *out, const seer_transfer *transfer,
                       int64_t elapsed, char *text, size_t size) {
  char status[16];
  seer_buffer line;
  seer_buffer_borrow(&line, text, size - 1);
  snprintf(status, sizeof status, "%d", transfer->answer.status);
  append_text(&line, transfer->answer.status != 0 ? status : "no answer");
  append_text(&line, " from ");
  append_text(&line, url_of(out));
  append_times(&line, elapsed);
  if (transfer->answer.status == 0) {
    append_body(&line, transfer->message, strlen(transfer->message));
  } else {
    append_lines(&line, transfer->headers, transfer->headers_length);
    append_body(&line, transfer->body, transfer->body_length);
  }
  finish(out, &line, text);
}
