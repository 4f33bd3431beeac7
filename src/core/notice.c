#include "notice.h"

#include "base/assert.h"
#include "base/mask.h"
#include "base/thread.h"

#include <stdlib.h>
#include <string.h>
#pragma GCC visibility push(hidden)

seer_message *seer_message_new(seer_level level, const char *text) {
  size_t size = strlen(text) + 1;
  seer_message *message = calloc(1, sizeof *message + size);
  if (message == NULL)
    return NULL;
  message->level = level;
  memcpy(message->text, text, size);
  seer_mask_controls(message->text, size - 1);
  return message;
}

seer_message *seer_notices_take(seer_notices *notices) {
  seer_message *message = notices->first_message;
  seer_assert(seer_lock_is_held());
  if (message == NULL)
    return NULL;
  notices->first_message = message->next;
  notices->messages--;
  message->next = NULL;
  return message;
}

seer_message *seer_notices_add(seer_notices *notices, seer_message *message) {
  seer_message *missed = NULL;
  seer_assert(seer_lock_is_held());
  if (notices->messages == SEER_NOTICES) {
    missed = seer_notices_take(notices);
    notices->missed++;
  }
  message->next = NULL;
  if (notices->first_message == NULL)
    notices->first_message = message;
  else
    notices->last_message->next = message;
  notices->last_message = message;
  notices->messages++;
  return missed;
}

seer_event *seer_notices_take_event(seer_given *from) {
  seer_event *event = seer_events_take(&from->events);
  seer_assert(seer_lock_is_held());
  if (event == NULL)
    return NULL;
  from->count--;
  from->bytes -= seer_event_size(event);
  return event;
}

void seer_notices_give(seer_notices *notices, seer_event *event, size_t most,
                       seer_event **missed) {
  bool delivered = event->lost == SEER_SETTLED_DELIVERED;
  seer_given *to = delivered ? &notices->delivered : &notices->lost;
  seer_event *oldest;
  seer_assert(seer_lock_is_held());
  seer_events_add(&to->events, event);
  to->count++;
  to->bytes += seer_event_size(event);
  while ((to->count > SEER_NOTICES || (to->count > 1 && to->bytes > most)) &&
         (oldest = seer_notices_take_event(to)) != NULL) {
    oldest->next = *missed;
    *missed = oldest;
    notices->missed++;
  }
}
