#pragma once

/*
 * The fields of capture's and identify's argument: which are required,
 * what is coerced, what is supplied. The body of a post is sent as it is.
 */

#include "core/base/buffer.h"
#include "core/base/clock.h"
#include "core/base/event.h"
#include "encode.h"

/* What it takes to build an event. */
typedef struct seer_building {
  const seer_marks *marks;
  seer_stamp *stamp;
  seer_buffer *scratch; /* for its JSON; NULL while that is written */
  seer_hand *hand;      /* of the client's queue, or NULL */
  bool stored;          /* for a client with a store */
  bool others;          /* set if a hint may be due: about fields that are
                           not known... */
  const char *hollow;   /* ...or about this one, which is empty but for what
                           metamethods would show */
} seer_building;

/* Builds the event that the table at `index`, which is not relative to the
   top, describes (for a post, also nil: no body). `special`, which may be
   NULL, is what it has of its own. On success returns an event that the
   caller must hand on or free before anything can raise, and leaves on the
   stack what it has put there; else pushes the message, which begins with the
   field's name, and returns NULL. [-0, +(any|1)] */
seer_event *seer_event_build(lua_State *L, int index, seer_kind kind,
                             seer_building *with, const seer_special *special);
