#include "torture.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>

/*
 * Blocks lie one behind the other, each behind its header, and with a few
 * bytes after it that nobody may touch. Memory that was freed is never given
 * out again, so a process may use as much as there are addresses set aside,
 * and no more.
 */

#define HEAP ((size_t)6 << 30)
#define GUARD 16     /* bytes after a block, at least */
#define LONGEST 4096 /* bytes that are filled and looked at */
#define FRESH 0xA5
#define DEAD 0xDD
#define FENCE 0xFB

static char *_Atomic heap;
static _Atomic size_t used;
static _Atomic uint64_t numbers;

uint64_t torture_allocations(void) {
  return numbers;
}

/* The first allocation is made before there is a second thread. */
static char *the_heap(void) {
  void *memory;
  if (heap != NULL)
    return heap;
  memory = mmap(NULL, HEAP, PROT_READ | PROT_WRITE,
                MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (memory == MAP_FAILED)
    torture_abort("no addresses for the heap");
  heap = memory;
  return heap;
}

bool torture_in_heap(const void *address) {
  return heap != NULL && (const char *)address >= heap &&
         (const char *)address < heap + used;
}

static size_t least(size_t one, size_t other) {
  return one < other ? one : other;
}

/* Of a block and what belongs to it. */
static size_t whole(size_t size) {
  return sizeof(torture_block) + (size + GUARD + 15) / 16 * 16;
}

static char *end_of(torture_block *block) {
  return (char *)block + block->span;
}

torture_block *torture_next_block(torture_block *block) {
  char *next = block == NULL ? heap : end_of(block);
  if (next == NULL || next >= heap + used)
    return NULL;
  block = (torture_block *)(void *)next;
  return block->state != 0 ? block : NULL; /* 0: it is being made */
}

static void *make_block(char *place, size_t span, size_t size,
                        const void *caller) {
  torture_block *block = (torture_block *)(void *)place;
  char *memory = place + sizeof *block;
  block->size = size;
  block->span = span;
  block->caller = caller;
  block->number = ++numbers;
  block->mark = 0;
  memset(memory, FRESH, least(size, LONGEST));
  memset(memory + size, FENCE, (size_t)(end_of(block) - (memory + size)));
  block->state = BLOCK_USED;
  return memory;
}

/* Sizes beyond what a program could mean are refused, as malloc does. */
static char *reserve(size_t size) {
  char *start = the_heap();
  size_t offset;
  if (size > HEAP / 4) {
    errno = ENOMEM;
    return NULL;
  }
  offset = atomic_fetch_add(&used, size);
  if (offset + size > HEAP)
    torture_abort("the heap of %zu bytes is used up", HEAP);
  return start + offset;
}

void *torture_allocate(size_t size, const void *caller) {
  size_t span = size < HEAP ? whole(size) : HEAP;
  char *place = reserve(span);
  return place != NULL ? make_block(place, span, size, caller) : NULL;
}

/* What lies before an aligned block becomes a block that is nobody's. */
static void *allocate_aligned(size_t alignment, size_t size,
                              const void *caller) {
  size_t span = whole(size) + (alignment + 15) / 16 * 16 + whole(0), before;
  char *place = reserve(span), *memory;
  torture_block *gap = (torture_block *)(void *)place;
  if (place == NULL)
    return NULL;
  memory = place + 2 * sizeof(torture_block);
  memory += (alignment - (uintptr_t)memory % alignment) % alignment;
  before = (size_t)(memory - place) - sizeof(torture_block);
  gap->span = before;
  gap->state = BLOCK_GAP;
  return make_block(place + before, span - before, size, caller);
}

static torture_block *block_of(void *memory) {
  return (torture_block *)(void *)((char *)memory - sizeof(torture_block));
}

static bool is_filled(const char *bytes, size_t size, int with) {
  for (size_t i = 0; i < size; i++)
    if ((unsigned char)bytes[i] != with)
      return false;
  return true;
}

static bool is_fenced(torture_block *block) {
  const char *end = (char *)(block + 1) + block->size;
  return is_filled(end, (size_t)(end_of(block) - end), FENCE);
}

/* What the dynamic linker has allocated before there was this heap is not
   ours to free. */
void torture_free(void *memory) {
  torture_block *block;
  int saved = errno;
  if (memory == NULL || !torture_in_heap(memory))
    return;
  block = block_of(memory);
  if (block->state != BLOCK_USED)
    torture_abort("free of %p, which %s", memory,
                  block->state == BLOCK_FREED ? "is free already"
                                              : "nobody has allocated");
  if (!is_fenced(block))
    torture_abort("written beyond the end of a block of %zu bytes that %s "
                  "has allocated",
                  block->size,
                  torture_module_names[torture_whose(block->caller)]);
  memset(memory, DEAD, least(block->size, LONGEST));
  if (block->size > 1 << 20) {
    uintptr_t start = ((uintptr_t)memory + LONGEST + 4095) / 4096 * 4096;
    uintptr_t end = (uintptr_t)end_of(block) / 4096 * 4096;
    madvise((void *)start, end - start, MADV_DONTNEED);
  }
  block->state = BLOCK_FREED;
  errno = saved;
}

void *torture_reallocate(void *old, size_t size, const void *caller) {
  void *memory = torture_allocate(size, caller);
  if (memory == NULL || old == NULL)
    return memory;
  if (!torture_in_heap(old) || block_of(old)->state != BLOCK_USED)
    torture_abort("realloc of %p, which is no block", old);
  memcpy(memory, old, least(size, block_of(old)->size));
  torture_free(old);
  return memory;
}

static void check_block(torture_block *block) {
  const char *whose = torture_module_names[torture_whose(block->caller)];
  if (block->state == BLOCK_USED && !is_fenced(block))
    torture_complain("written beyond the end of a block of %zu bytes that %s "
                     "has allocated (number %llu)\n",
                     block->size, whose, (unsigned long long)block->number);
  if (block->state == BLOCK_FREED && block->size <= LONGEST &&
      !is_filled((char *)(block + 1), block->size, DEAD))
    torture_complain("a block of %zu bytes that %s has allocated (number "
                     "%llu) was written to when it was free\n",
                     block->size, whose, (unsigned long long)block->number);
}

void torture_check_heap(void) {
  torture_block *block = NULL;
  while ((block = torture_next_block(block)) != NULL)
    check_block(block);
}

/*
** In the place of the C library's.
*/

static bool refused(const char *call, const void *caller) {
  if (!torture_fails(KIND_MEMORY, call, caller))
    return false;
  errno = ENOMEM;
  return true;
}

EXPORTED void *malloc(size_t size) {
  return refused("malloc", CALLER) ? NULL : torture_allocate(size, CALLER);
}

EXPORTED void free(void *memory) {
  torture_free(memory);
}

EXPORTED void *calloc(size_t count, size_t size) {
  size_t bytes;
  void *memory;
  if (refused("calloc", CALLER))
    return NULL;
  if (__builtin_mul_overflow(count, size, &bytes))
    return NULL;
  memory = torture_allocate(bytes, CALLER);
  if (memory != NULL)
    memset(memory, 0, least(bytes, LONGEST)); /* the rest is fresh */
  return memory;
}

EXPORTED void *realloc(void *old, size_t size) {
  if (size == 0 && old != NULL) {
    torture_free(old);
    return NULL;
  }
  return refused("realloc", CALLER) ? NULL
                                    : torture_reallocate(old, size, CALLER);
}

static char *copy(const char *text, size_t length, const void *caller) {
  char *memory = torture_allocate(length + 1, caller);
  if (memory != NULL) {
    memcpy(memory, text, length);
    memory[length] = '\0';
  }
  return memory;
}

#undef strdup
#undef strndup

EXPORTED char *strdup(const char *text) {
  return refused("strdup", CALLER) ? NULL : copy(text, strlen(text), CALLER);
}

EXPORTED char *strndup(const char *text, size_t most) {
  return refused("strndup", CALLER) ? NULL
                                    : copy(text, strnlen(text, most), CALLER);
}

EXPORTED int posix_memalign(void **memory, size_t alignment, size_t size) {
  if (refused("posix_memalign", CALLER))
    return ENOMEM;
  *memory = allocate_aligned(alignment, size, CALLER);
  return *memory != NULL ? 0 : ENOMEM;
}

EXPORTED void *aligned_alloc(size_t alignment, size_t size) {
  return refused("aligned_alloc", CALLER)
             ? NULL
             : allocate_aligned(alignment, size, CALLER);
}

EXPORTED void *memalign(size_t alignment, size_t size) {
  return refused("memalign", CALLER)
             ? NULL
             : allocate_aligned(alignment, size, CALLER);
}

EXPORTED size_t malloc_usable_size(void *memory) {
  return memory != NULL && torture_in_heap(memory) ? block_of(memory)->size
                                                   : 0;
}
