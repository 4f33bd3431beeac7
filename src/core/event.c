#include "event.h"

#include <stdlib.h>
#include <string.h>

/* What glibc's and musl's malloc add to an allocation, about. */
#define ALLOCATOR_SHARE 8

/* Where an identify's turn stands: behind the body, aligned. */
static size_t turn_offset(size_t length) {
  size_t end = offsetof(seer_event, body) + length;
  return (end + sizeof(void *) - 1) / sizeof(void *) * sizeof(void *);
}

static size_t allocated(bool has_turn, size_t length) {
  size_t size = turn_offset(length);
  if (has_turn)
    size += sizeof(seer_turn);
  return size < sizeof(seer_event) ? sizeof(seer_event) : size;
}

seer_event *seer_event_new(seer_kind kind, const char *body, size_t length,
                           const char *user, size_t user_length) {
  bool has_turn = user != NULL;
  seer_event *event = malloc(allocated(has_turn, length));
  if (event == NULL)
    return NULL;
  memset(event, 0, sizeof *event);
  event->id = seer_id_new();
  event->length = (uint32_t)length;
  event->kind = (uint8_t)kind;
  memcpy(event->body, body, length);
  if (has_turn) {
    event->turn = (seer_turn *)(void *)((char *)event + turn_offset(length));
    memset(event->turn, 0, sizeof *event->turn);
    event->turn->user = seer_id_hash(user, user_length);
  }
  return event;
}

void seer_event_free(seer_event *event) {
  free(event);
}

size_t seer_event_size(const seer_event *event) {
  return allocated(event->turn != NULL, event->length) + ALLOCATOR_SHARE;
}

seer_request *seer_request_new(int64_t timeout, int64_t max_retries) {
  seer_request *request = calloc(1, sizeof *request);
  if (request == NULL)
    return NULL;
  request->timeout = timeout;
  request->max_retries = max_retries;
  request->references = 1;
  return request;
}

void seer_request_free(seer_request *request) {
  if (request == NULL)
    return;
  free(request->outcome.headers);
  free(request->outcome.body);
  free(request);
}
