#include "turns.h"
#pragma GCC visibility push(hidden)

/* Only events that have one come here. */
static seer_turn *turn_of(seer_event *event) {
  return seer_event_turn(event);
}

/* What the two links are for: at the front they are those of the tree, else
   those of the list. */
enum { OLDER, NEWER };

/* The link that points, or would point, to the front of this user. At depth
   n the tree branches by bit n of the hash. */
static seer_event **find(seer_turns *turns, uint64_t user) {
  seer_event **link = &turns->fronts;
  for (int bit = 0; *link != NULL && turn_of(*link)->user != user; bit++)
    link = &turn_of(*link)->link[user >> bit & 1];
  return link;
}

/* The link to some leaf below and including an inner node. Any leaf may
   stand for its ancestor: they share the bits that lead there. */
static seer_event **find_leaf(seer_event **link) {
  for (;;) {
    seer_turn *turn = turn_of(*link);
    if (turn->link[0] != NULL)
      link = &turn->link[0];
    else if (turn->link[1] != NULL)
      link = &turn->link[1];
    else
      return link;
  }
}

static void substitute(seer_event **link, seer_event *event) {
  turn_of(event)->link[0] = turn_of(*link)->link[0];
  turn_of(event)->link[1] = turn_of(*link)->link[1];
  *link = event;
}

static void remove_node(seer_event **link) {
  seer_event **leaf = find_leaf(link), *moved = *leaf;
  *leaf = NULL;
  if (leaf != link)
    substitute(link, moved);
}

static void list(seer_turns *turns, seer_event *event) {
  bool waited = event->request != NULL;
  seer_event *newest = turns->followers[waited].newest;
  turn_of(event)->link[OLDER] = newest;
  turn_of(event)->link[NEWER] = NULL;
  turns->followers[waited].newest = event;
  if (newest != NULL)
    turn_of(newest)->link[NEWER] = event;
  else
    turns->followers[waited].oldest = event;
}

static void unlist(seer_turns *turns, seer_event *event) {
  bool waited = event->request != NULL;
  seer_event *older = turn_of(event)->link[OLDER];
  seer_event *newer = turn_of(event)->link[NEWER];
  if (turns->unseen == event)
    turns->unseen = newer;
  if (older != NULL)
    turn_of(older)->link[NEWER] = newer;
  else
    turns->followers[waited].oldest = newer;
  if (newer != NULL)
    turn_of(newer)->link[OLDER] = older;
  else
    turns->followers[waited].newest = older;
}

bool seer_turns_enter(seer_turns *turns, seer_event *event) {
  seer_event **link = find(turns, turn_of(event)->user), *front = *link;
  if (front == NULL) {
    turn_of(event)->last = event;
    *link = event;
    return true;
  }
  turn_of(event)->ahead = turn_of(front)->last;
  turn_of(turn_of(front)->last)->follower = event;
  turn_of(front)->last = event;
  list(turns, event);
  return false;
}

bool seer_turns_has(seer_turns *turns, uint64_t user) {
  return *find(turns, user) != NULL;
}

static seer_event *skip_entering(seer_event *event) {
  while (event != NULL && event->parts & SEER_EVENT_ENTERING)
    event = turn_of(event)->link[NEWER];
  return event;
}

seer_event *seer_turns_oldest(const seer_turns *turns, bool waited) {
  return skip_entering(turns->followers[waited].oldest);
}

seer_event *seer_turns_newer(seer_event *follower) {
  return skip_entering(turn_of(follower)->link[NEWER]);
}

static void unchain(seer_turns *turns, seer_turn *turn) {
  turn_of(turn->ahead)->follower = turn->follower;
  if (turn->follower != NULL)
    turn_of(turn->follower)->ahead = turn->ahead;
  else
    turn_of(*find(turns, turn->user))->last = turn->ahead;
}

seer_event *seer_turns_leave(seer_turns *turns, seer_event *event) {
  seer_turn *turn = turn_of(event);
  seer_event *follower = turn->follower;
  if (turn->ahead != NULL) {
    unlist(turns, event);
    unchain(turns, turn);
    return NULL;
  }
  if (follower == NULL) {
    remove_node(find(turns, turn->user));
    return NULL;
  }
  unlist(turns, follower);
  substitute(find(turns, turn->user), follower);
  turn_of(follower)->ahead = NULL;
  turn_of(follower)->last = turn->last;
  return follower;
}
