#include "torture.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

/*
 * What nothing points to when the process ends is lost. All words of what can
 * be written to, the heap excepted, may be pointers; of stacks only what is
 * in use. A block that one of them points into is not lost, nor what the
 * block's own words point into.
 */

#define AREAS 512
#define THREADS 64
#define LOOKS 40 /* in ten seconds */
#define MADE_MEANWHILE 100000

typedef struct area {
  char *start, *end;
} area;

static area areas[AREAS];
static int area_count;
static char *stacks[THREADS]; /* where the threads' stacks end */
static int stack_count;
static torture_block **blocks; /* in use, by address */
static torture_block **found;  /* not yet looked into */
static size_t block_count, found_count, block_room;

static size_t read_file(const char *path, char *text, size_t size) {
  int fd = open(path, O_RDONLY | O_CLOEXEC);
  size_t length = 0;
  ssize_t got = 1;
  while (fd >= 0 && got > 0 && length < size - 1) {
    got = read(fd, text + length, size - 1 - length);
    length += got > 0 ? (size_t)got : 0;
  }
  if (fd >= 0)
    close(fd);
  text[length] = '\0';
  return length;
}

/* Of threads that wait in the system, where their stacks are in use. */
static void find_stacks(void) {
  DIR *tasks = opendir("/proc/self/task");
  struct dirent *entry;
  stack_count = 0;
  stacks[stack_count++] = __builtin_frame_address(0);
  while (tasks != NULL && (entry = readdir(tasks)) != NULL) {
    char path[300], text[300], *last, *before;
    snprintf(path, sizeof path, "/proc/self/task/%s/syscall", entry->d_name);
    if (atoi(entry->d_name) == 0 || atoi(entry->d_name) == (int)gettid() ||
        read_file(path, text, sizeof text) == 0 || stack_count == THREADS)
      continue;
    last = strrchr(text, ' '); /* "... stack code" */
    if (last == NULL)
      continue;
    *last = '\0';
    before = strrchr(text, ' ');
    if (before != NULL)
      stacks[stack_count++] = (char *)strtoull(before, NULL, 16);
  }
  if (tasks != NULL)
    closedir(tasks);
}

static void add_area(char *start, char *end) {
  for (int i = 0; i < stack_count; i++)
    if (stacks[i] >= start && stacks[i] < end)
      start = stacks[i];
  if (torture_in_heap(start) || torture_in_heap(end - 1) ||
      area_count == AREAS)
    return;
  areas[area_count].start = start;
  areas[area_count++].end = end;
}

static void find_areas(void) {
  static char text[1 << 17];
  char *line = text;
  area_count = 0;
  read_file("/proc/self/maps", text, sizeof text);
  while (*line != '\0') {
    char *eol = strchr(line, '\n'), *rest;
    char *start = (char *)strtoull(line, &rest, 16);
    char *end = (char *)strtoull(rest + 1, &rest, 16);
    if (eol != NULL)
      *eol = '\0';
    if (strncmp(rest, " rw-p", 5) == 0)
      add_area(start, end);
    line = eol != NULL ? eol + 1 : line + strlen(line);
  }
}

static void *pages(size_t size) {
  void *memory = mmap(NULL, size, PROT_READ | PROT_WRITE,
                      MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  return memory != MAP_FAILED ? memory : NULL;
}

/* Room for all that there are, and for those that threads may yet make. */
static bool make_lists(void) {
  size_t most = torture_allocations() + MADE_MEANWHILE;
  blocks = pages(most * sizeof *blocks);
  found = pages(most * sizeof *found);
  block_room = most;
  return blocks != NULL && found != NULL;
}

static void list_blocks(void) {
  torture_block *block = NULL;
  block_count = found_count = 0;
  while (block_count < block_room &&
         (block = torture_next_block(block)) != NULL)
    if (block->state == BLOCK_USED) {
      block->mark = 0;
      blocks[block_count++] = block;
    }
}

static torture_block *block_at(const char *address) {
  size_t low = 0, high = block_count;
  torture_block *block;
  while (low < high) {
    size_t middle = (low + high) / 2;
    if ((const char *)blocks[middle] <= address)
      low = middle + 1;
    else
      high = middle;
  }
  if (low == 0)
    return NULL;
  block = blocks[low - 1];
  return address >= (char *)(block + 1) &&
                 address <= (char *)(block + 1) + block->size
             ? block
             : NULL;
}

static void look_into(const char *start, const char *end) {
  start += (8 - (uintptr_t)start % 8) % 8;
  for (; start + 8 <= end; start += 8) {
    const char *address;
    torture_block *block;
    memcpy(&address, start, sizeof address);
    if (!torture_in_heap(address) || (block = block_at(address)) == NULL ||
        block->mark != 0)
      continue;
    block->mark = 1;
    found[found_count++] = block;
  }
}

/* Marks what is not lost. */
static void look(void) {
  find_stacks();
  list_blocks();
  find_areas();
  for (int i = 0; i < area_count; i++)
    if (areas[i].start > (char *)found + 8 || areas[i].end <= (char *)found)
      if ((char *)blocks < areas[i].start || (char *)blocks >= areas[i].end)
        look_into(areas[i].start, areas[i].end);
  while (found_count > 0) {
    torture_block *block = found[--found_count];
    look_into((char *)(block + 1), (char *)(block + 1) + block->size);
  }
}

static bool is_left_behind(const torture_block *block) {
  return block->number <= torture_left_behind &&
         torture_whose(block->caller) == MODULE_OURS;
}

static bool is_lost(const torture_block *block, uint64_t first) {
  return block->mark == 0 && block->number > first &&
         block->state == BLOCK_USED && !is_left_behind(block);
}

static bool is_told(torture_module module) {
  return module == MODULE_OURS || module == MODULE_CURL;
}

static bool some_are_lost(uint64_t first) {
  for (size_t i = 0; i < block_count; i++)
    if (is_lost(blocks[i], first) && is_told(torture_whose(blocks[i]->caller)))
      return true;
  return false;
}

static void tell_leaks(uint64_t first) {
  for (size_t i = 0; i < block_count; i++) {
    const torture_block *block = blocks[i];
    torture_module module = torture_whose(block->caller);
    if (!is_lost(block, first))
      continue;
    torture_run->leaks[module]++;
    if (is_told(module))
      torture_complain("leaked: %zu bytes, allocation %llu, by %s %p\n",
                       block->size, (unsigned long long)block->number,
                       torture_module_names[module], block->caller);
  }
}

/* Where the exit waits no longer for a thread, that is not over yet: what it
   has in registers alone, or is about to free, is not lost. So a block is
   lost that stays so. */
void torture_find_leaks(uint64_t first) {
  if (!make_lists())
    return;
  look();
  for (int looks = 1; looks < LOOKS && some_are_lost(first); looks++) {
    usleep(1000 << (looks < 8 ? looks : 8));
    look();
  }
  tell_leaks(first);
}
