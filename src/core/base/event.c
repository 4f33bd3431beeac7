#include "event.h"

#include "block.h"
#include "thread.h"

#include <stdlib.h>
#include <string.h>
#pragma GCC visibility push(hidden)

#define LOOKS 1024 /* at events, with the lock held */

const char *const seer_settlement_names[SEER_SETTLEMENTS] = {
    "delivered", "rejected", "stored",      "expired", "displaced",
    "exit",      "disabled", "before_send", "sampled"};

static size_t text_size(const char *text) {
  return text != NULL ? strlen(text) + 1 : 0;
}

static size_t strings_size(const seer_special *special) {
  return text_size(special->path) + seer_block_size(special->headers) +
         seer_block_size(special->query) + text_size(special->key);
}

/* Where what is special begins. */
static size_t special_offset(size_t length, int parts) {
  return seer_event_stored_at(length, parts) +
         (parts & SEER_PART_STORED ? sizeof(seer_stored) : 0);
}

/* Apart, so that the functions below are short for the many without. */
__attribute__((noinline)) static size_t
size_with_parts(size_t length, int parts, const seer_special *special) {
  size_t size = special_offset(length, parts);
  if (special != NULL)
    size += sizeof(seer_special) + strings_size(special);
  return size;
}

/* Most have no parts, or are in a store and have no other. */
static inline size_t size_of(size_t length, int parts,
                             const seer_special *special) {
  size_t size = offsetof(seer_event, body) + length;
  if (parts == 0)
    return size < sizeof(seer_event) ? sizeof(seer_event) : size;
  if (parts == SEER_PART_STORED)
    return seer_event_stored_at(length, parts) + sizeof(seer_stored);
  return size_with_parts(length, parts, special);
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

/* Apart, for the same reason. */
__attribute__((noinline)) static void put_parts(seer_event *event,
                                                const seer_draft *draft) {
  if (draft->user != NULL)
    *seer_event_turn(event) =
        (seer_turn){.user = seer_id_hash(draft->user, draft->user_length)};
  if (draft->special != NULL) {
    size_t offset = special_offset(event->length, event->parts);
    seer_special *mine = (void *)((char *)event + offset);
    put_special(mine, draft->special, (char *)(mine + 1));
  }
}

seer_event *seer_event_new(const seer_draft *draft) {
  int parts = (draft->stored ? SEER_PART_STORED : 0) |
              (draft->user != NULL ? SEER_PART_TURN : 0) |
              (draft->special != NULL ? SEER_PART_SPECIAL : 0);
  seer_event *event = seer_spare_take(
      draft->hand, size_of(draft->length, parts, draft->special));
  if (event == NULL)
    return NULL;
  memset(event, 0, offsetof(seer_event, body));
  event->length = (uint32_t)draft->length;
  event->kind = (uint8_t)draft->kind;
  event->parts = (uint8_t)parts;
  if (draft->length > 0)
    memcpy(event->body, draft->body, draft->length);
  if (draft->stored)
    memset(seer_event_stored(event), 0, sizeof(seer_stored));
  if (parts & ~SEER_PART_STORED)
    put_parts(event, draft);
  return event;
}

static const seer_special *special_of(const seer_event *event) {
  return (const void *)((const char *)event +
                        special_offset(event->length, event->parts));
}

const seer_special *seer_event_special(const seer_event *event) {
  return event->parts & SEER_PART_SPECIAL ? special_of(event) : NULL;
}

static size_t allocated(const seer_event *event) {
  int parts = event->parts & SEER_PARTS;
  return size_of(event->length, parts, seer_event_special(event));
}

static void free_list(seer_event *event) {
  while (event != NULL) {
    seer_event *next = event->next;
    free(event);
    event = next;
  }
}

/* Of many, which one that is large may displace, the first are kept. */
void seer_event_free_all(seer_event *events) {
  seer_event *event, *rest = NULL;
  seer_lock();
  for (int looks = LOOKS; looks > 0 && (event = events) != NULL; looks--) {
    events = event->next;
    if (seer_spare_keep(event, allocated(event)))
      continue;
    event->next = rest;
    rest = event;
  }
  seer_unlock();
  free_list(rest);
  free_list(events);
}

void seer_event_free(seer_event *event) {
  if (event == NULL)
    return;
  event->next = NULL;
  seer_event_free_all(event);
}

const char *seer_event_path(const seer_event *event) {
  return event->kind == SEER_POST ? special_of(event)->path
                                  : seer_kinds[event->kind].path;
}

int64_t seer_event_timeout(const seer_event *event, int64_t clients) {
  const seer_special *special = seer_event_special(event);
  if (event->request != NULL)
    return event->request->timeout;
  return special != NULL && special->timeout > 0 ? special->timeout : clients;
}

size_t seer_event_size(const seer_event *event) {
  return allocated(event) + SEER_SPARE_SHARE;
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
