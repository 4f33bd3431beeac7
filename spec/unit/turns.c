#include "core/turns.h"

#include "unit.h"

#include <string.h>

#define EVENTS 300
#define USERS 40

/* The model: the unsettled events of each user, oldest first. */
static seer_event *lists[USERS][EVENTS], *idle[EVENTS];
static int lengths[USERS], idle_count, users;
static int64_t ages[USERS][EVENTS], age; /* of these, when they entered */
static uint64_t hashes[USERS];
static seer_request request;
static seer_turns turns;

/* Hashes that share many of their bits as well as random ones. */
static void begin_test(void) {
  memset(&turns, 0, sizeof turns);
  memset(lengths, 0, sizeof lengths);
  users = 1 + (int)unit_random(USERS);
  for (int i = 0; i < users; i++)
    hashes[i] = unit_random(2) ? (uint64_t)i << 40
                               : (uint64_t)unit_random(INT64_MAX) | 1;
  for (idle_count = 0; idle_count < EVENTS; idle_count++)
    idle[idle_count] = seer_event_new(&(seer_draft){.kind = SEER_IDENTIFY,
                                                    .body = "{}",
                                                    .length = 2,
                                                    .user = "u",
                                                    .user_length = 1});
}

static void end_test(void) {
  for (int i = 0; i < idle_count; i++)
    seer_event_free(idle[i]);
}

static void remove_at(int user, int place) {
  idle[idle_count++] = lists[user][place];
  lengths[user]--;
  memmove(&lists[user][place], &lists[user][place + 1],
          (size_t)(lengths[user] - place) * sizeof(seer_event *));
  memmove(&ages[user][place], &ages[user][place + 1],
          (size_t)(lengths[user] - place) * sizeof(int64_t));
}

static void enter(void) {
  int user = (int)unit_random(users);
  seer_event *event;
  if (idle_count == 0)
    return;
  event = idle[--idle_count];
  event->request = unit_random(2) ? &request : NULL;
  memset(seer_event_turn(event), 0, sizeof(seer_turn));
  seer_event_turn(event)->user = hashes[user];
  CHECK(seer_turns_enter(&turns, event) == (lengths[user] == 0));
  ages[user][lengths[user]] = age++;
  lists[user][lengths[user]++] = event;
}

/* The one at the front leaves, or any other; a follower that is to be looked
   at next is so no more. */
static void leave(bool front) {
  int user = (int)unit_random(users);
  int place = front ? 0 : (int)unit_random(lengths[user] + 1);
  if (place >= lengths[user])
    return;
  seer_event *next = place == 0 && lengths[user] > 1 ? lists[user][1] : NULL;
  seer_event *follower = place > 0 ? lists[user][place] : next, *newer;
  turns.unseen = follower;
  newer = follower != NULL ? seer_turns_newer(follower) : NULL;
  CHECK(seer_turns_leave(&turns, lists[user][place]) == next);
  CHECK(turns.unseen == newer);
  remove_at(user, place);
}

static seer_event *oldest_follower(bool waited) {
  seer_event *oldest = NULL;
  int64_t least = INT64_MAX;
  for (int user = 0; user < users; user++)
    for (int i = 1; i < lengths[user]; i++)
      if ((lists[user][i]->request != NULL) == waited &&
          ages[user][i] < least) {
        oldest = lists[user][i];
        least = ages[user][i];
      }
  return oldest;
}

static void keeps_the_order(void) {
  begin_test();
  for (int i = 0; i < 20000; i++) {
    int64_t what = unit_random(20);
    if (what < 10)
      enter();
    else
      leave(what < 16);
    CHECK(seer_turns_oldest(&turns, true) == oldest_follower(true));
    CHECK(seer_turns_oldest(&turns, false) == oldest_follower(false));
  }
  for (int user = 0; user < users; user++)
    while (lengths[user] > 0)
      remove_at(user, 0);
  end_test();
}

const unit_test unit_turns[] = {
    {"turns keep the order of each user, whoever is taken out",
     keeps_the_order                                                },
    {NULL,                                                      NULL}
};
