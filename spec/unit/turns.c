#include "core/turns.h"

#include "unit.h"

#include <string.h>

#define EVENTS 300
#define USERS 40

/* The model: the unsettled events of each user, oldest first. */
static seer_event *lists[USERS][EVENTS], *idle[EVENTS];
static int lengths[USERS], idle_count, users;
static uint64_t hashes[USERS];
static seer_request request;
static seer_turns turns;

static int user_of(seer_event *event) {
  int user = 0;
  while (hashes[user] != seer_event_turn(event)->user)
    user++;
  return user;
}

/* Hashes that share many of their bits as well as random ones. */
static void begin_test(void) {
  memset(&turns, 0, sizeof turns);
  memset(lengths, 0, sizeof lengths);
  users = 1 + (int)unit_random(USERS);
  for (int i = 0; i < users; i++)
    hashes[i] = unit_random(2) ? (uint64_t)i << 40
                               : (uint64_t)unit_random(INT64_MAX) | 1;
  for (idle_count = 0; idle_count < EVENTS; idle_count++)
    idle[idle_count] = seer_event_new(SEER_IDENTIFY, "{}", 2, "u", 1, NULL);
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
  lists[user][lengths[user]++] = event;
}

static void leave(void) {
  int user = (int)unit_random(users);
  if (lengths[user] == 0)
    return;
  seer_event *next = lengths[user] > 1 ? lists[user][1] : NULL;
  CHECK(seer_turns_leave(&turns, lists[user][0]) == next);
  remove_at(user, 0);
}

/* How many follow, of those that nobody waits for or of all. */
static int count_followers(bool all) {
  int count = 0;
  for (int user = 0; user < users; user++)
    for (int i = 1; i < lengths[user]; i++)
      count += all || lists[user][i]->request == NULL;
  return count;
}

static void take(bool any) {
  int count = count_followers(any), user, place;
  seer_event *event =
      any ? seer_turns_take_any(&turns) : seer_turns_take(&turns);
  CHECK((event == NULL) == (count == 0));
  if (event == NULL)
    return;
  CHECK(any || event->request == NULL);
  user = user_of(event);
  for (place = 1; place < lengths[user]; place++)
    if (lists[user][place] == event)
      break;
  CHECK(place < lengths[user]);
  remove_at(user, place);
}

static void keeps_the_order(void) {
  begin_test();
  for (int i = 0; i < 20000; i++) {
    int64_t what = unit_random(20);
    if (what < 10)
      enter();
    else if (what < 17)
      leave();
    else
      take(what == 19);
  }
  while (seer_turns_take_any(&turns) != NULL)
    ;
  CHECK(turns.followed == NULL);
  end_test();
}

const unit_test unit_turns[] = {
    {"turns keep the order of each user, whoever is taken out",
     keeps_the_order                                                },
    {NULL,                                                      NULL}
};
