#include "turns.h"

/* The link that points, or would point, to the front of this user. At depth
   n the tree branches by bit n of the hash. */
static seer_event **find(seer_turns *turns, uint64_t user) {
  seer_event **link = &turns->fronts;
  for (int bit = 0; *link != NULL && (*link)->turn->user != user; bit++)
    link = &(*link)->turn->child[user >> bit & 1];
  return link;
}

/* The link to some leaf below and including an inner node. Any leaf may
   stand for its ancestor: they share the bits that lead there. */
static seer_event **find_leaf(seer_event **link) {
  for (;;) {
    seer_turn *turn = (*link)->turn;
    if (turn->child[0] != NULL)
      link = &turn->child[0];
    else if (turn->child[1] != NULL)
      link = &turn->child[1];
    else
      return link;
  }
}

static void substitute(seer_event **link, seer_event *event) {
  event->turn->child[0] = (*link)->turn->child[0];
  event->turn->child[1] = (*link)->turn->child[1];
  *link = event;
}

static void remove_node(seer_event **link) {
  seer_event **leaf = find_leaf(link), *moved = *leaf;
  *leaf = NULL;
  if (leaf != link)
    substitute(link, moved);
}

static void list_followed(seer_turns *turns, seer_event *front) {
  front->turn->previous = NULL;
  front->turn->next = turns->followed;
  if (turns->followed != NULL)
    turns->followed->turn->previous = front;
  turns->followed = front;
}

static void unlist_followed(seer_turns *turns, seer_event *front) {
  seer_turn *turn = front->turn;
  if (turn->previous != NULL)
    turn->previous->turn->next = turn->next;
  else
    turns->followed = turn->next;
  if (turn->next != NULL)
    turn->next->turn->previous = turn->previous;
}

bool seer_turns_enter(seer_turns *turns, seer_event *event) {
  seer_event **link = find(turns, event->turn->user), *front = *link;
  if (front == NULL) {
    *link = event;
    return true;
  }
  if (front->turn->follower == NULL) {
    front->turn->follower = event;
    list_followed(turns, front);
  } else {
    front->turn->last->turn->follower = event;
  }
  front->turn->last = event;
  return false;
}

seer_event *seer_turns_leave(seer_turns *turns, seer_event *event) {
  seer_event **link = find(turns, event->turn->user);
  seer_event *follower = event->turn->follower;
  if (follower == NULL) {
    remove_node(link);
    return NULL;
  }
  unlist_followed(turns, event);
  substitute(link, follower);
  if (follower->turn->follower != NULL) {
    follower->turn->last = event->turn->last;
    list_followed(turns, follower);
  }
  return follower;
}

/* Takes the follower of `before` out of the chain of `front`. */
static seer_event *unchain(seer_turns *turns, seer_event *front,
                           seer_event *before) {
  seer_event *taken = before->turn->follower;
  before->turn->follower = taken->turn->follower;
  if (front->turn->last == taken)
    front->turn->last = before;
  if (front->turn->follower == NULL)
    unlist_followed(turns, front);
  taken->turn->follower = NULL;
  return taken;
}

seer_event *seer_turns_take(seer_turns *turns) {
  for (seer_event *front = turns->followed; front != NULL;
       front = front->turn->next)
    for (seer_event *event = front; event->turn->follower != NULL;
         event = event->turn->follower)
      if (event->turn->follower->request == NULL)
        return unchain(turns, front, event);
  return NULL;
}

seer_event *seer_turns_take_any(seer_turns *turns) {
  if (turns->followed == NULL)
    return NULL;
  return unchain(turns, turns->followed, turns->followed);
}
