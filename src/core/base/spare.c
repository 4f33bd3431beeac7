#include "spare.h"

#include "assert.h"
#include "thread.h"

#include <stdint.h>
#include <stdlib.h>
#pragma GCC visibility push(hidden)

#define STEP 16   /* bytes from one kind of blocks to the next */
#define KINDS 128 /* blocks of up to two KiB: larger ones are rare */
#define SHARE 8   /* what malloc adds to a block, which it rounds up then */

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

typedef struct spare spare;
struct spare {
  spare *next;
};

/* Written with the lock held, and looked at without it. */
static spare *kept[KINDS];
static uint32_t counts[KINDS];
static size_t bytes;
static size_t wanted; /* bytes that are to be there; 0: enough are... */
static size_t wanted_kind;

/* One of each kind, for who comes first: taken without the lock. */
static spare *reached[KINDS];

static spare *first(size_t kind) {
  return __atomic_load_n(&kept[kind], __ATOMIC_RELAXED);
}

static void set_first(size_t kind, spare *block) {
  __atomic_store_n(&kept[kind], block, __ATOMIC_RELAXED);
}

static size_t kind_of(size_t size) {
  return (size + SHARE - 1) / STEP;
}

/* The bytes of the blocks of a kind: what malloc would give anyway. */
static size_t size_of(size_t kind) {
  return (kind + 1) * STEP - SHARE;
}

static bool is_reached(size_t kind) {
  return __atomic_load_n(&reached[kind], __ATOMIC_RELAXED) != NULL;
}

static bool is_kept(size_t kind) {
  return SEER_SPARE_MOST > 0 && kind < KINDS;
}

static spare *pop(size_t kind) {
  spare *block = first(kind);
  seer_assert(seer_lock_is_held());
  if (block == NULL)
    return NULL;
  set_first(kind, block->next);
  counts[kind]--;
  bytes -= size_of(kind);
  return block;
}

/* Another core has written to a block last, so it is far away: the one that
   comes next is sent for now. */
static void reach(size_t kind, size_t size) {
  spare *block = pop(kind);
  for (size_t at = 0; at < size; at += LINE)
    __builtin_prefetch((const char *)block + at, 1);
  __builtin_prefetch(first(kind), 1); /* the one after that is read there */
  __atomic_store_n(&reached[kind], block, __ATOMIC_RELEASE);
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

void seer_spare_reach(size_t size, size_t backlog) {
  size_t kind = kind_of(size);
  if (!is_kept(kind))
    return;
  if (first(kind) != NULL && !is_reached(kind))
    reach(kind, size);
  want(kind, backlog / PART);
}

bool seer_spare_is_wanted(void) {
  return __atomic_load_n(&wanted, __ATOMIC_RELAXED) > 0;
}

/* Blocks behind each other, and how many. To any thread but the first, glibc
   gives memory page by page, a call of the system for each, unless there is
   some that was free before. */
static size_t make(size_t kind, spare ***end) {
  size_t most = PIECE / (size_of(kind) + SHARE), count = 0;
  void *volatile piece = malloc(PIECE);
  free(piece);
  while (count < most && (**end = malloc(size_of(kind))) != NULL) {
    *end = &(**end)->next;
    count++;
  }
  return count;
}

void seer_spare_make(void) {
  spare *blocks, **end = &blocks;
  size_t kind, count;
  if (!seer_spare_is_wanted())
    return;
  kind = __atomic_load_n(&wanted_kind, __ATOMIC_RELAXED);
  count = make(kind, &end);
  seer_lock();
  *end = first(kind);
  set_first(kind, blocks);
  counts[kind] += (uint32_t)count;
  bytes += count * size_of(kind);
  if (count == 0 || is_enough(kind, wanted))
    __atomic_store_n(&wanted, 0, __ATOMIC_RELAXED);
  seer_unlock();
}

static spare *take(size_t kind) {
  spare *block;
  if (is_reached(kind)) {
    block = __atomic_exchange_n(&reached[kind], NULL, __ATOMIC_ACQUIRE);
    if (block != NULL)
      return block;
  }
  /* malloc is sooner there than the lock, where many want that. */
  if (first(kind) == NULL || !seer_lock_at_once())
    return NULL;
  block = pop(kind);
  seer_unlock();
  return block;
}

void *seer_spare_take(size_t size) {
  size_t kind = kind_of(size);
  void *block;
  if (!is_kept(kind))
    return malloc(size);
  block = take(kind);
  return block != NULL ? block : malloc(size_of(kind));
}

bool seer_spare_keep(void *memory, size_t size) {
  size_t kind = kind_of(size);
  spare *block = memory;
  seer_assert(seer_lock_is_held());
  if (!is_kept(kind) || bytes + size_of(kind) > SEER_SPARE_MOST)
    return false;
  block->next = first(kind);
  set_first(kind, block);
  counts[kind]++;
  bytes += size_of(kind);
  return true;
}

static spare *take_all(size_t kind) {
  spare *blocks;
  seer_lock();
  blocks = first(kind);
  set_first(kind, NULL);
  bytes -= counts[kind] * size_of(kind);
  counts[kind] = 0;
  seer_unlock();
  return blocks;
}

void seer_spare_free(void) {
  for (size_t kind = 0; kind < KINDS; kind++) {
    spare *blocks = take_all(kind);
    free(__atomic_exchange_n(&reached[kind], NULL, __ATOMIC_ACQUIRE));
    while (blocks != NULL) {
      spare *next = blocks->next;
      free(blocks);
      blocks = next;
    }
  }
}
