#pragma once

/*
 * The seam between the core and a store, which keeps events outside of the
 * process. A store's driver is a module of its own: it includes this file
 * only, shares no symbol with the core, and reaches it as a userdata of Lua.
 *
 * One thread at a time calls a driver, never with the core's lock, and it may
 * wait for a disk. What a batch and its rows point to belongs to the caller,
 * or in `adopt` to the driver, and is there until the call returns.
 *
 * Two builds fit if they mean the same by each struct here: any change of one
 * raises SEER_STORE_ABI, and the driver carries their sizes besides.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define SEER_STORE_ABI 4
#define SEER_STORE_TRIES 10 /* deaths of its owners that fuse an event */

/* ms that open and commit may wait; memcheck's build has more. */
#ifndef SEER_STORE_PATIENCE
#define SEER_STORE_PATIENCE 1000
#endif

typedef enum seer_store_result {
  SEER_STORE_DONE,
  SEER_STORE_FULL,   /* only rows with `put` were put; the rest was done */
  SEER_STORE_LATER,  /* nothing was done: busy, or out of reach */
  SEER_STORE_BROKEN, /* nothing was done, and what was stored is not to be
                        relied on: close it, and open it anew */
  SEER_STORE_UNSURE  /* it may have been done, the ids of the puts are set;
                        nothing was adopted. Close it, and open it anew */
} seer_store_result;

/* A row, by which it is forgotten: no other event ever has the same id, not
   even where this one was never written. Both 0: none. */
typedef struct seer_store_id {
  uint64_t a, b;
} seer_store_id;

typedef char seer_store_message[200]; /* for people; no secrets */

/* An event as a store has it. */
typedef struct seer_row {
  seer_store_id id;      /* put and adopt set it */
  const uint8_t *target; /* 16 bytes: who may send it */
  uint64_t user;         /* of an identify, a hash of its user; else 0 */
  uint8_t uuid[16];      /* its Idempotency-Key */
  uint32_t kind;         /* of request; see `kinds` */
  uint32_t tries;        /* adopt: processes that died having it */
  int64_t age;           /* ms since its capture */
  const char *body;      /* JSON */
  size_t length;
  bool mine; /* put, in: it may stay with this process; out: it does. Else it
                is nobody's now */
  bool put;  /* out, needed with FULL only: it was put all the same */
} seer_row;

/* What is in the store, of whomever; -1: not known. */
typedef struct seer_store_totals {
  int64_t events, nobodys; /* rows; of these, nobody's */
  int64_t bytes, log;      /* on disk, all together; of these, its journal */
  int64_t oldest;          /* age in ms of the oldest of nobody's rows */
} seer_store_totals;

/* One transaction. */
typedef struct seer_batch {
  seer_row *puts; /* in the order of capture */
  size_t put_count;
  bool displace; /* where there is no room for the puts, the oldest of nobody's
                    rows may go */
  const seer_store_id *settled; /* to be forgotten, if they are still there */
  size_t settled_count;
  bool look; /* for owners that have died, whose rows are nobody's then */
  const uint8_t (*targets)[16]; /* adopt nobody's rows of these... */
  size_t target_count;
  size_t room;    /* ...at most so many; 0: none... */
  uint32_t kinds; /* ...whose kind is below this... */
  size_t fuse;    /* ...and so many at most with SEER_STORE_TRIES or more */
  void (*adopt)(void *to, const seer_row *row); /* copies it; what it did is
                                          undone unless DONE or FULL */
  void *to;
  bool backlog;             /* out: there is more to adopt */
  int64_t displaced;        /* out: rows that went for want of room */
  seer_store_totals totals; /* out, with `look` only */
} seer_batch;

/* One budget of several machines: what the gate of one of them has of it, see
   fleet.h. Spans are ms. */
typedef struct seer_budget {
  uint8_t target[16];  /* whose budget: a digest of URL and key */
  uint64_t gate, turn; /* the gate's name; how often that was asked for */
  int64_t share;       /* slots that there are in all */
  int64_t held;        /* of these the gate has so many... */
  int64_t want;        /* ...and would use so many more */
  int64_t lease;       /* for so long it will not be heard of... */
  int64_t tail;        /* ...and what it has then counts for so much longer */
  int64_t pause;   /* it holds back and tries for so long; 0: it does not */
  int64_t peers;   /* in: gates that it knows of; out: that there are */
  int64_t granted; /* out: it has so many more */
  int64_t owed;    /* out: it is to give back so many, as they come free */
  int64_t hold;    /* out: another tries, this one waits for so long */
} seer_budget;

/* Opening and closing it costs little. A message that comes with success is
   told as a warning. */
typedef struct seer_store_driver {
  int abi;                       /* SEER_STORE_ABI; before all else */
  uint32_t row_size, batch_size; /* sizeof seer_row, seer_batch */
  const char *name;              /* "sqlite" */

  /* Opens the store that the object's configuration names; NULL, with a
     message, if it cannot be. */
  void *(*open)(const void *config, seer_store_message message);

  seer_store_result (*commit)(void *store, seer_batch *batch,
                              seer_store_message message);

  /* NULL: it has no budget to share. Nothing was granted unless DONE. */
  seer_store_result (*budget)(void *store, seer_budget *budget,
                              seer_store_message message);

  /* Before a fork: nothing is open any more that a child must not inherit; the
     owner stays, and the next commit opens the rest again. False: that was not
     possible in 50 ms. May be NULL. */
  bool (*suspend)(void *store);

  /* In the child of a fork, instead of `close`: frees what is the child's copy
     and closes descriptors, and nothing else. NULL: another thread was in the
     middle of `open`. */
  void (*forked)(void *store);

  /* This process wants nothing any more: its rows are nobody's. */
  void (*close)(void *store);
} seer_store_driver;

/* The userdata that a driver's module makes for the option `store`. Its
   metatable is the registry's SEER_STORE_METATABLE, which whoever comes first
   makes by luaL_newmetatable. Two objects with the same driver and the same
   bytes of configuration are the same store. */
#define SEER_STORE_METATABLE "seerstack.store"

typedef struct seer_store_object {
  int abi; /* SEER_STORE_ABI; before all else */
  uint32_t config_size;
  const seer_store_driver *driver;
  char config[]; /* no pointers; aligned as `driver` is */
} seer_store_object;
