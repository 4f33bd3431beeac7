#include "spare.h"

#include "assert.h"
#include "thread.h"

#include <stdint.h>
#include <stdlib.h>
#pragma GCC visibility push(hidden)

#define STEP 16   /* bytes from one kind of blocks to the next */
#define KINDS 128 /* blocks of up to two KiB: larger ones are rare */

#define LINE 64 /* bytes that a processor fetches at a time, mostly */

/* Bytes that are kept or made ahead: some five thousand small events. None are
   where something looks for memory that is used after its end. */
#ifndef SEER_SPARE_MOST
#define SEER_SPARE_MOST 1048576
#endif

/* What is made ahead of who takes it: so much at a time, and no more than a
   part of the backlog. */
#define PIECE 32768
#define AHEAD_MOST 524288
#define PART 8

/* A client that has MANY events queued is given a HANDFUL of blocks at once,
   others one. */
#define HANDFUL 8
#define MANY 32

/* Blocks of a kind are a list of lists of a HANDFUL at most. */
typedef struct spare spare;
struct spare {
  spare *next;
  spare *rest;    /* the next list */
  uint32_t count; /* of the list from here on */
};

/* Written with the lock held, and looked at without it. */
static spare *kept[KINDS];
static uint32_t counts[KINDS];
static size_t bytes;
static size_t wanted; /* bytes that are to be there; 0: enough are... */
static size_t wanted_kind;

static spare *first(size_t kind) {
  return __atomic_load_n(&kept[kind], __ATOMIC_RELAXED);
}

/* The lists can be followed at any moment, as the child of a fork does. */
static void set_first(size_t kind, spare *block) {
  __atomic_store_n(&kept[kind], block, __ATOMIC_RELEASE);
}

static size_t kind_of(size_t size) {
  return (size + SEER_SPARE_SHARE - 1) / STEP;
}

/* The bytes of the blocks of a kind: what malloc would give anyway. */
static size_t size_of(size_t kind) {
  return (kind + 1) * STEP - SEER_SPARE_SHARE;
}

static bool is_kept(size_t kind) {
  return SEER_SPARE_MOST > 0 && kind < KINDS;
}

static void push(spare **list, spare *block) {
  spare *top = *list;
  *block = (spare){.rest = top, .count = 1};
  if (top != NULL && top->count < HANDFUL)
    *block = (spare){top, top->rest, top->count + 1};
  *list = block;
}

static void count_in(size_t kind, size_t count) {
  counts[kind] += (uint32_t)count;
  bytes += count * size_of(kind);
}

/* Takes a list, or one block. */
static spare *pop(size_t kind, bool list) {
  spare *block = first(kind);
  seer_assert(seer_lock_is_held());
  if (block == NULL)
    return NULL;
  if (list || block->next == NULL) {
    set_first(kind, block->rest);
    count_in(kind, -(size_t)block->count);
    return block;
  }
  set_first(kind, block->next);
  count_in(kind, -(size_t)1);
  block->next = NULL;
  block->count = 1;
  return block;
}

/* Puts a list, of which `top` is the first and `last` begins the last
   HANDFUL, before those that are kept. */
static void put_back(size_t kind, spare *top, spare *last, size_t count) {
  seer_assert(seer_lock_is_held());
  for (; last != NULL; last = last->next)
    last->rest = first(kind);
  count_in(kind, count);
  set_first(kind, top);
}

/* Another core has written to a block last, so it is far away. */
static void send_for(const void *block, size_t kind) {
  for (size_t at = 0; at < size_of(kind); at += LINE)
    __builtin_prefetch((const char *)block + at, 1);
}

static bool is_enough(size_t kind, size_t size) {
  return counts[kind] * size_of(kind) >= size ||
         bytes + PIECE > SEER_SPARE_MOST;
}

/* They are made when a quarter of them is gone: who makes more at once keeps
   others longer from the processor. */
static void want(size_t kind, size_t size) {
  if (size > AHEAD_MOST)
    size = AHEAD_MOST;
  if (size < PIECE || is_enough(kind, size - size / 4))
    return;
  __atomic_store_n(&wanted_kind, kind, __ATOMIC_RELAXED);
  __atomic_store_n(&wanted, size, __ATOMIC_RELAXED);
}

/* Of neighbouring kinds each has a place. */
static struct seer_handful *place_of(seer_hand *hand, size_t kind) {
  return &hand->of[kind % SEER_HAND_KINDS];
}

/* So that the child of a fork never finds blocks in two places at once, or of
   another kind: after all that was said before. */
static void set_at_hand(struct seer_handful *place, spare *blocks) {
  __atomic_store_n(&place->blocks, blocks, __ATOMIC_RELEASE);
}

/* What is at hand of another kind goes back. */
static void fill(struct seer_handful *place, size_t kind, bool list) {
  spare *blocks = place->blocks;
  if (blocks != NULL) {
    set_at_hand(place, NULL);
    put_back(place->kind, blocks, blocks, blocks->count);
  }
  place->kind = kind;
  blocks = pop(kind, list);
  set_at_hand(place, blocks);
  send_for(blocks, kind);
  __builtin_prefetch(first(kind)); /* where the one after that is read */
}

void seer_spare_reach(seer_hand *hand, size_t size, size_t backlog) {
  size_t kind = kind_of(size);
  struct seer_handful *place = place_of(hand, kind);
  if (!is_kept(kind) || (place->blocks != NULL && place->kind == kind))
    return;
  fill(place, kind, backlog >= MANY * size);
  want(kind, backlog / PART);
}

bool seer_spare_is_wanted(void) {
  return __atomic_load_n(&wanted, __ATOMIC_RELAXED) > 0;
}

/* Makes blocks, and says how many: from `top` on, of which `last` begins the
   last HANDFUL. To any thread but the first, glibc gives memory page by page,
   a call of the system for each, unless there is some that was free before. */
static size_t make(size_t kind, spare **top, spare **last) {
  size_t most = PIECE / (size_of(kind) + SEER_SPARE_SHARE), count = 0;
  void *volatile piece = malloc(PIECE);
  spare *block;
  free(piece);
  while (count < most && (block = malloc(size_of(kind))) != NULL) {
    push(top, block);
    if (count++ < HANDFUL)
      *last = block;
  }
  return count;
}

void seer_spare_make(void) {
  spare *top = NULL, *last = NULL;
  size_t kind, count;
  if (!seer_spare_is_wanted())
    return;
  kind = __atomic_load_n(&wanted_kind, __ATOMIC_RELAXED);
  count = make(kind, &top, &last);
  seer_lock();
  if (count > 0)
    put_back(kind, top, last, count);
  if (count == 0 || is_enough(kind, wanted))
    __atomic_store_n(&wanted, 0, __ATOMIC_RELAXED);
  seer_unlock();
}

static spare *take_from(struct seer_handful *place, size_t kind) {
  spare *block = place->blocks;
  if (block == NULL || place->kind != kind)
    return NULL;
  place->blocks = block->next;
  send_for(block->next, kind);
  return block;
}

/* malloc is sooner there than the lock, where many want that. */
static spare *take_kept(size_t kind) {
  spare *block;
  if (first(kind) == NULL || !seer_lock_at_once())
    return NULL;
  block = pop(kind, false);
  seer_unlock();
  return block;
}

void *seer_spare_take(seer_hand *hand, size_t size) {
  size_t kind = kind_of(size);
  void *block = NULL;
  if (!is_kept(kind))
    return malloc(size);
  if (hand != NULL)
    block = take_from(place_of(hand, kind), kind);
  if (block == NULL)
    block = take_kept(kind);
  return block != NULL ? block : malloc(size_of(kind));
}

bool seer_spare_keep(void *memory, size_t size) {
  size_t kind = kind_of(size);
  spare *block = memory, *top;
  seer_assert(seer_lock_is_held());
  if (!is_kept(kind) || bytes + size_of(kind) > SEER_SPARE_MOST)
    return false;
  top = first(kind);
  push(&top, block);
  count_in(kind, 1);
  set_first(kind, top);
  return true;
}

static spare *take_all(size_t kind) {
  spare *blocks;
  seer_lock();
  blocks = first(kind);
  set_first(kind, NULL);
  count_in(kind, -(size_t)counts[kind]);
  seer_unlock();
  return blocks;
}

/* Frees the list, and those after it. */
static void free_all(spare *blocks) {
  while (blocks != NULL) {
    spare *next = blocks->next != NULL ? blocks->next : blocks->rest;
    free(blocks);
    blocks = next;
  }
}

void seer_spare_free(void) {
  for (size_t kind = 0; kind < KINDS; kind++)
    free_all(take_all(kind));
}

void seer_spare_let_go(seer_hand *hand) {
  for (int i = 0; i < SEER_HAND_KINDS; i++) {
    spare *block = hand->of[i].blocks;
    hand->of[i].blocks = NULL;
    while (block != NULL) {
      spare *next = block->next;
      free(block);
      block = next;
    }
  }
}
