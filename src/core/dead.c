#include "dead.h"

#include <stdlib.h>
#pragma GCC visibility push(hidden)

void seer_dead_add(seer_dead *dead, seer_event *event) {
  event->next = dead->events;
  dead->events = event;
}

void seer_dead_take_notices(seer_dead *dead, seer_notices *notices) {
  seer_event *event;
  seer_message *message;
  while ((event = seer_notices_take_event(&notices->lost)) != NULL ||
         (event = seer_notices_take_event(&notices->delivered)) != NULL)
    seer_dead_add(dead, event);
  while ((message = seer_notices_take(notices)) != NULL) {
    message->next = dead->messages;
    dead->messages = message;
  }
  notices->missed = 0;
}

void seer_dead_free(seer_dead *dead) {
  for (seer_event *event = dead->events; event != NULL; event = event->next)
    seer_request_free(event->request);
  if (dead->events != NULL)
    seer_event_free_all(dead->events);
  dead->events = NULL;
  while (dead->messages != NULL) {
    seer_message *message = dead->messages;
    dead->messages = message->next;
    free(message);
  }
}
