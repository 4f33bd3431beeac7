#include "event.h"

#include "block.h"

#include <stdlib.h>
#include <string.h>

/* What glibc's and musl's malloc add to an allocation, about. */
#define ALLOCATOR_SHARE 8

static size_t align(size_t offset) {
  return (offset + sizeof(int64_t) - 1) / sizeof(int64_t) * sizeof(int64_t);
}

/* Where the parts of the allocation begin, and its size. */
typedef struct layout {
  size_t turn, special, strings, size;
} layout;

static size_t text_size(const char *text) {
  return text != NULL ? strlen(text) + 1 : 0;
}

static size_t strings_size(const seer_special *special) {
  return text_size(special->path) + seer_block_size(special->headers) +
         seer_block_size(special->query) + text_size(special->key);
}

static layout lay_out(size_t length, bool has_turn,
                      const seer_special *special) {
  layout where;
  where.turn = align(offsetof(seer_event, body) + length);
  where.special = where.turn + (has_turn ? sizeof(seer_turn) : 0);
  where.strings = where.special + (special != NULL ? sizeof(seer_special) : 0);
  where.size = where.strings + (special != NULL ? strings_size(special) : 0);
  if (where.size < sizeof(seer_event))
    where.size = sizeof(seer_event);
  return where;
}

/* Moves a string into the allocation, at `*room`, which moves on. */
static const char *put(char **room, const char *bytes, size_t size) {
  char *place = *room;
  if (bytes == NULL)
    return NULL;
  memcpy(place, bytes, size);
  *room += size;
  return place;
}

static void put_special(seer_special *mine, const seer_special *special,
                        char *room) {
  *mine = *special;
  mine->path = put(&room, special->path, text_size(special->path));
  mine->headers =
      put(&room, special->headers, seer_block_size(special->headers));
  mine->query = put(&room, special->query, seer_block_size(special->query));
  mine->key = put(&room, special->key, text_size(special->key));
}

seer_event *seer_event_new(seer_kind kind, const char *body, size_t length,
                           const char *user, size_t user_length,
                           const seer_special *special) {
  layout where = lay_out(length, user != NULL, special);
  seer_event *event = malloc(where.size);
  if (event == NULL)
    return NULL;
  memset(event, 0, sizeof *event);
  event->id = seer_id_new();
  event->length = (uint32_t)length;
  event->kind = (uint8_t)kind;
  if (length > 0)
    memcpy(event->body, body, length);
  if (user != NULL) {
    event->turn = (seer_turn *)(void *)((char *)event + where.turn);
    memset(event->turn, 0, sizeof *event->turn);
    event->turn->user = seer_id_hash(user, user_length);
  }
  if (special != NULL) {
    event->special = (seer_special *)(void *)((char *)event + where.special);
    put_special(event->special, special, (char *)event + where.strings);
  }
  return event;
}

void seer_event_free(seer_event *event) {
  free(event);
}

const char *seer_event_path(const seer_event *event) {
  static const char *const paths[] = {"/capture", "/identify"};
  return event->kind == SEER_POST ? event->special->path : paths[event->kind];
}

size_t seer_event_size(const seer_event *event) {
  return lay_out(event->length, event->turn != NULL, event->special).size +
         ALLOCATOR_SHARE;
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
  seer_event_free(request->event);
  free(request);
}
