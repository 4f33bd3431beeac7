#include "core/http/trace.h"

#include "core/base/ascii.h"
#include "core/base/block.h"
#include "core/base/clock.h"
#include "core/http/flight.h"

#include <curl/curl.h>
#include <stdio.h>
#include <string.h>
#pragma GCC visibility push(hidden)

/* Appends what there is room for. */
static void append(seer_buffer *out, const char *bytes, size_t length) {
  size_t room = out->ceiling - out->length;
  seer_buffer_append(out, bytes, length < room ? length : room);
}

static void append_text(seer_buffer *out, const char *text) {
  append(out, text, strlen(text));
}

/* Appends the fields of a text of lines. */
static void append_fields(seer_buffer *out, const char *line, size_t length) {
  const char *end = line != NULL ? line + length : NULL;
  seer_header header;
  while ((line = seer_header_read(&header, line, end)) != NULL) {
    append_text(out, "; ");
    append(out, header.name, header.name_length);
    append_text(out, ": ");
    if (seer_block_is_secret(header.name, header.name_length))
      append_text(out, "***");
    else
      append(out, header.value, header.value_length);
  }
}

/* "Name:" is not sent, and "Name;" has no value. */
static void append_list(seer_buffer *out, const struct curl_slist *list) {
  for (; list != NULL; list = list->next) {
    size_t length = strlen(list->data), name = strcspn(list->data, ":;");
    if (list->data[name] == ';') {
      append_text(out, "; ");
      append(out, list->data, length);
    } else if (name + 1 < length) {
      append_fields(out, list->data, length);
    }
  }
}

static void append_body(seer_buffer *out, const char *body, size_t length) {
  if (length == 0)
    return;
  append_text(out, "; ");
  append(out, body, length);
}

/* The last byte of `text` is for the zero. What was cut ends with a whole
   character. */
static void finish(const seer_outgoing *out, seer_buffer *line, char *text) {
  bool cut = line->length == line->ceiling;
  size_t length = seer_outgoing_mask(out, text, line->length, cut);
  if (cut && length == line->length)
    length = seer_cut(text, length, length - 1);
  text[length] = '\0';
}

void seer_trace_request(seer_transfer *transfer, char *text, size_t size) {
  seer_outgoing *out = &seer_flight_of(transfer)->outgoing;
  seer_buffer line;
  seer_buffer_borrow(&line, text, size - 1);
  append_text(&line, out->get ? "GET " : "POST ");
  append_text(&line, seer_outgoing_url(out));
  append_list(&line, out->list);
  if (!out->get)
    append_body(&line, out->event->body, out->event->length);
  finish(out, &line, text);
}

void seer_trace_answer(seer_transfer *transfer, char *text, size_t size) {
  seer_flight *f = seer_flight_of(transfer);
  seer_outgoing *out = &f->outgoing;
  char status[16], times[40];
  seer_buffer line;
  seer_buffer_borrow(&line, text, size - 1);
  snprintf(status, sizeof status, "%d", transfer->answer.status);
  append_text(&line, transfer->answer.status != 0 ? status : "no answer");
  append_text(&line, " from ");
  append_text(&line, seer_outgoing_url(out));
  snprintf(times, sizeof times, " after %lld ms",
           (long long)(seer_clock_now() - f->began));
  append_text(&line, times);
  if (transfer->answer.status == 0) {
    append_body(&line, transfer->message, strlen(transfer->message));
  } else {
    append_fields(&line, transfer->headers, transfer->headers_length);
    append_body(&line, transfer->body, transfer->body_length);
  }
  finish(out, &line, text);
}
