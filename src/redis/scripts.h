#pragma once

/*
 * What Redis itself runs, in its Lua: each is done as a whole, with nobody
 * else at work. `p` is the prefix, `t` the first half of a target in
 * hexadecimal, and `me` the random name of a process's store:
 *
 *   p:{t}:o:me     stream: the rows that process has
 *   p:{t}:q        stream: nobody's rows
 *   p:{t}:owners   ZSET: processes, and when their leases run out
 *   p:{t}:users    HASH: users, and how many identifies of theirs are nobody's
 *   p:targets      SET: each t
 *   p:{t}:budget   HASH: gates, and what each has of the slots there are. Here
 *                  t is that of a budget: of URL and key alone
 *
 * The key of a stream is the ownership of its rows, whose ids are the
 * process's own count; of nobody's they are Redis's. All times are by Redis's
 * clock.
 */

enum {
  SEER_SCRIPTS_COMMIT, /* a batch for one target */
  SEER_SCRIPTS_LOOK,   /* what the dead had is nobody's; totals */
  SEER_SCRIPTS_LEAVE,  /* up to 256 of my rows are nobody's -> how many */
  SEER_SCRIPTS_BUDGET, /* what a gate has -> granted, owed, peers, hold */
  SEER_SCRIPTS_TOTALS, /* -> rows, nobody's, processes, bytes, oldest, gates
                          that have slots, and how many */
  SEER_SCRIPTS_ROWS,   /* behind a place -> { place, owned, kind, tries, age,
                          uuid, body }, ... */
  SEER_SCRIPTS_PURGE,  /* forgets nobody's rows -> how many */
  SEER_SCRIPTS
};

#define SEER_SCRIPTS_LOADED 4 /* the first of them: those that run often */

extern const char *const seer_scripts[SEER_SCRIPTS];
