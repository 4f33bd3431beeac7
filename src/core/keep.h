#pragma once

/*
 * A store of this process: what is on its way there, and what it is to
 * forget. Between capture and a queue's lines:
 *
 *   put -> entering -> [the keeper] -> line   it is in the store, too
 *                                   -> gone   it is in the store alone
 *   settled -> owed -> [the keeper: the store forgets the row]
 *
 * Where the store does not work events go to their lines at once, as they do
 * without one. The keeper, see keeper.h, is a thread for each store.
 *
 * With the lock held, but for what makes one.
 */

#include "base/event.h"
#include "base/tell.h"
#include "store.h"

#define SEER_KEEP_BATCH 256       /* events in a transaction... */
#define SEER_KEEP_BYTES (1 << 20) /* ...or of so many bytes, and then one */

/* What the clients of one endpoint and site have in a store: a name, and a
   queue for the events that other processes have left there. Its settings are
   those of the first such client. Tenants stay, for what a client that was
   collected has left behind is still to be sent. */
typedef struct seer_tenant {
  struct seer_tenant *next; /* of the same store */
  struct seer_keep *keep;
  struct seer_queue *adopted;
  bool shares;        /* its rate limit with other processes */
  bool full;          /* its share of the store is, since the last look */
  int64_t adopt_at;   /* when to look whether there is more to adopt */
  uint8_t target[16]; /* a digest of URL, key and secret headers... */
  uint8_t budget[16]; /* ...and of the first two alone */
} seer_tenant;

/* What the keeper is at. */
typedef enum seer_keep_work {
  SEER_KEEP_NONE,     /* there is no thread */
  SEER_KEEP_STARTING, /* there will be one */
  SEER_KEEP_ASLEEP,   /* it polls the alarm */
  SEER_KEEP_OUTSIDE,  /* it is between two transactions */
  SEER_KEEP_COPYING,  /* it reads the events of the batch... */
  SEER_KEEP_INSIDE,   /* ...and needs them no more: it is in the driver */
  SEER_KEEP_STOPPED   /* for good */
} seer_keep_work;

typedef struct seer_keep {
  struct seer_keep *next; /* of all, which stay */
  const seer_store_driver *driver;
  void *config;
  uint32_t config_size;
  seer_tenant *tenants; /* a list */

  seer_events entering;
  seer_event *batch[SEER_KEEP_BATCH]; /* those that are being stored */
  size_t batch_count;
  seer_store_id *owed; /* rows to be forgotten */
  size_t owed_count, owed_room;
  uint64_t owed_ever, forgotten; /* so many rows */
  size_t rows;  /* owed, or of events that are here: so much room there is */
  uint32_t era; /* number of stores so far: of those that broke */
  size_t fused; /* events here that processes may die of... */
  size_t fuses; /* ...and how many more there may be when these are settled */

  seer_keep_work work;
  int alarm; /* wakes it; -1: not opened */
  bool lent; /* somebody who forks is in the driver */
  bool stopping;
  bool suspended;     /* the store is as a child may inherit it */
  bool barred;        /* no store here; `error` says why */
  bool full;          /* it has been of late */
  bool offering;      /* not all that is here alone has been offered... */
  bool offered;       /* ...some of which is among those that enter */
  int64_t began;      /* when the keeper went inside */
  int64_t healthy_at; /* the store works, or is to be tried again */
  int64_t delay;      /* between tries; 0: it works */
  int64_t look_at;    /* for what others, and this process's lines, have */
  int64_t displaced;  /* rows of nobody's, for want of room */
  seer_store_totals totals;
  seer_store_message error;                 /* the last; "": none */
  seer_trouble failure, fullness, unshared; /* what was told of them */
  /* The keeper's: */
  struct seer_transaction *transaction;
  void *store; /* the driver's, of who is inside; NULL: not open */
} seer_keep;

/* A list; it can be followed without the lock. */
extern seer_keep *seer_keeps;

/* The store that the driver's object stands for, found or made; NULL without
   memory. One of another version is barred. Takes the lock. */
seer_keep *seer_keep_get(const seer_store_object *object);

/* Whether an event is to go to the store first. */
bool seer_keep_takes(const seer_keep *keep, int64_t now);

/* Whether the keeper is in the driver for so long that nobody waits for it. */
bool seer_keep_hangs(const seer_keep *keep, int64_t now);

/* Takes the first of this queue's out of those that enter, which has some
   there. */
seer_event *seer_keep_take_out(seer_keep *keep,
                               const struct seer_queue *queue);

/* A row is to be forgotten; there is room. */
void seer_keep_owe(seer_keep *keep, seer_store_id row);

/* The event is put once more, for the store was not sure of the row that it
   has, or that is of another era. */
void seer_keep_owe_former(seer_keep *keep, seer_event *event);

/* The event has this row, for which there is room; it is safe there, unless
   the store is not sure. */
void seer_keep_save(seer_keep *keep, seer_event *event, seer_store_id row,
                    bool sure);

/* Whether the event, which has SEER_PART_STORED, is safe in the store. */
bool seer_keep_has(const seer_keep *keep, seer_event *event);

/* The event was in flight and is back: if it is here alone, and the store not
   full, the keeper is to look. */
void seer_keep_miss(seer_keep *keep, seer_event *event, int64_t now);

/* The event is here no more. Its row, if it has one, is `owed`, or stays. */
void seer_keep_settle(seer_keep *keep, seer_event *event, bool owed);

/* The alarm that the caller has to ring without the lock, so that the keeper
   looks for work; -1: none. */
int seer_keep_kick(seer_keep *keep);
