#include "torture.h"

#include <stdlib.h>
#include <sys/mman.h>

/*
 * OpenSSL allocates ten thousand times to make a connection, most of that in
 * the same places. What follows the failure of an allocation depends on where
 * it was called from, all the way up, much more than on how often it has been
 * called: of those with the same stack the first fails, and in the mode `once`
 * the last. Our own calls, and Lua's allocator's, have no stack here: all
 * fail.
 */

#define MOST 200000 /* calls that are noted */

typedef struct stack {
  uint64_t hash;
  long first, last; /* calls that have it */
  bool failed;
} stack;

static uint64_t *hashes; /* by n, in memory that the children share */
static stack *stacks;    /* by hash */
static long count;

void torture_open_stacks(void) {
  hashes = mmap(NULL, MOST * sizeof *hashes, PROT_READ | PROT_WRITE,
                MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  if (hashes == MAP_FAILED)
    abort();
}

void torture_note_stack(long n, uint64_t hash) {
  if (hashes != NULL && n < MOST)
    hashes[n] = hash;
}

uint64_t torture_stack_of(long n) {
  return hashes != NULL && n < MOST ? hashes[n] : 0;
}

static int compare(const void *one, const void *other) {
  const stack *a = one, *b = other;
  if (a->hash != b->hash)
    return a->hash < b->hash ? -1 : 1;
  return (a->first > b->first) - (a->first < b->first);
}

static void sort_calls(void) {
  stacks = calloc(MOST, sizeof *stacks);
  if (stacks == NULL)
    abort();
  for (long n = 1; n < MOST; n++)
    if (hashes[n] != 0)
      stacks[count++] = (stack){hashes[n], n, n, false};
  qsort(stacks, (size_t)count, sizeof *stacks, compare);
}

long torture_sort_stacks(void) {
  long calls;
  sort_calls();
  calls = count;
  count = 0;
  for (long i = 0; i < calls; i++)
    if (count > 0 && stacks[count - 1].hash == stacks[i].hash)
      stacks[count - 1].last = stacks[i].last;
    else
      stacks[count++] = stacks[i];
  return count;
}

static stack *find(uint64_t hash) {
  long low = 0, high = count;
  while (low < high) {
    long middle = low + (high - low) / 2;
    if (stacks[middle].hash < hash)
      low = middle + 1;
    else
      high = middle;
  }
  return low < count && stacks[low].hash == hash ? &stacks[low] : NULL;
}

bool torture_is_chosen(long n, torture_mode mode) {
  const stack *found = find(torture_stack_of(n));
  return found == NULL || found->first == n ||
         (mode == MODE_ONCE && found->last == n);
}

void torture_stack_failed(long n) {
  stack *found = find(torture_stack_of(n));
  if (found != NULL)
    found->failed = true;
}

long torture_failed_stacks(void) {
  long failed = 0;
  for (long i = 0; i < count; i++)
    failed += stacks[i].failed;
  return failed;
}
