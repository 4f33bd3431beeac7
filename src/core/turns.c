#include "turns.h"

/* Only events that have one come here. */
static seer_turn *turn_of(seer_event *event) {
  return seer_event_turn(event);
}

/* The link that points, or would point, to the front of this user. At depth
   n the tree branches by bit n of the hash. */
static seer_event **find(seer_turns *turns, uint64_t user) {
  seer_event **link = &turns->fronts;
  for (int bit = 0; *link != NULL && turn_of(*link)->user != user; bit++)
    link = &turn_of(*link)->child[user >> bit & 1];
  return link;
}

/* The link to some leaf below and including an inner node. Any leaf may
   stand for its ancestor: they share the bits that lead there. */
static seer_event **find_leaf(seer_event **link) {
  for (;;) {
    seer_turn *turn = turn_of(*link);
    if (turn->child[0] != NULL)
      link = &turn->child[0];
    else if (turn->child[1] != NULL)
      link = &turn->child[1];
    else
      return link;
  }
}

static void substitute(seer_event **link, seer_event *event) {
  turn_of(event)->child[0] = turn_of(*link)->child[0];
  turn_of(event)->child[1] = turn_of(*link)->child[1];
  *link = event;
}

static void remove_node(seer_event **link) {
  seer_event **leaf = find_leaf(link), *moved = *leaf;
  *leaf = NULL;
  if (leaf != link)
    substitute(link, moved);
}

static void list_followed(seer_turns *turns, seer_event *front) {
  turn_of(front)->previous = NULL;
  turn_of(front)->next = turns->followed;
  if (turns->followed != NULL)
    turn_of(turns->followed)->previous = front;
  turns->followed = front;
}

static void unlist_followed(seer_turns *turns, seer_event *front) {
  seer_turn *turn = turn_of(front);
  if (turn->previous != NULL)
    turn_of(turn->previous)->next = turn->next;
  else
    turns->followed = turn->next;
  if (turn->next != NULL)
    turn_of(turn->next)->previous = turn->previous;
}

bool seer_turns_enter(seer_turns *turns, seer_event *event) {
  seer_event **link = find(turns, turn_of(event)->user), *front = *link;
  if (front == NULL) {
    *link = event;
    return true;
  }
  if (turn_of(front)->follower == NULL) {
    turn_of(front)->follower = event;
    list_followed(turns, front);
  } else {
    turn_of(turn_of(front)->last)->follower = event;
  }
  turn_of(front)->last = event;
  return false;
}

seer_event *seer_turns_leave(seer_turns *turns, seer_event *event) {
  seer_event **link = find(turns, turn_of(event)->user);
  seer_event *follower = turn_of(event)->follower;
  if (follower == NULL) {
    remove_node(link);
    return NULL;
  }
  unlist_followed(turns, event);
  substitute(link, follower);
  if (turn_of(follower)->follower != NULL) {
    turn_of(follower)->last = turn_of(event)->last;
    list_followed(turns, follower);
  }
  return follower;
}

/* Takes the follower of `before` out of the chain of `front`. */
static seer_event *unchain(seer_turns *turns, seer_event *front,
                           seer_event *before) {
  seer_event *taken = turn_of(before)->follower;
  turn_of(before)->follower = turn_of(taken)->follower;
  if (turn_of(front)->last == taken)
    turn_of(front)->last = before;
  if (turn_of(front)->follower == NULL)
    unlist_followed(turns, front);
  turn_of(taken)->follower = NULL;
  return taken;
}

seer_event *seer_turns_take(seer_turns *turns) {
  for (seer_event *front = turns->followed; front != NULL;
       front = turn_of(front)->next)
    for (seer_event *event = front; turn_of(event)->follower != NULL;
         event = turn_of(event)->follower)
      if (turn_of(event)->follower->request == NULL)
        return unchain(turns, front, event);
  return NULL;
}

seer_event *seer_turns_take_any(seer_turns *turns) {
  if (turns->followed == NULL)
    return NULL;
  return unchain(turns, turns->followed, turns->followed);
}
