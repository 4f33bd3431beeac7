#include "age.h"

#include <fcntl.h>
#include <stdbool.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#pragma GCC visibility push(hidden)

static int64_t read_clock(clockid_t clock) {
  struct timespec time = {0, 0};
  clock_gettime(clock, &time);
  return (int64_t)time.tv_sec * 1000 + time.tv_nsec / 1000000;
}

int64_t seer_age_now(void) {
  return read_clock(CLOCK_BOOTTIME);
}

/* Appends the name of a file's target, or what is in it; false if there is
   none. */
static bool append(char text[256], const char *path, bool link) {
  size_t length = strlen(text);
  ssize_t more = -1;
  int fd;
  if (link) {
    more = readlink(path, text + length, 255 - length);
  } else if ((fd = open(path, O_RDONLY | O_CLOEXEC)) >= 0) {
    more = read(fd, text + length, 255 - length);
    close(fd);
  }
  if (more > 0)
    text[length + (size_t)more] = '\0';
  return more > 0;
}

/* FNV-1a of the boot's id and the name of the time namespace, which old
   kernels do not have. */
int64_t seer_age_boot(void) {
  char text[256] = "";
  uint64_t hash = UINT64_C(0xcbf29ce484222325);
  if (!append(text, "/proc/sys/kernel/random/boot_id", false))
    return 0;
  append(text, "/proc/self/ns/time", true);
  for (const char *at = text; *at != '\0'; at++)
    hash = (hash ^ (unsigned char)*at) * UINT64_C(0x100000001b3);
  return (int64_t)(hash >> 1);
}

seer_age_moment seer_age_moment_now(int64_t boot) {
  seer_age_moment now = {boot, seer_age_now(), read_clock(CLOCK_REALTIME)};
  return now;
}

int64_t seer_age_of(const seer_age_moment *moment,
                    const seer_age_moment *now) {
  bool same = moment->boot == now->boot && now->boot != 0;
  int64_t then = same ? moment->mono : moment->wall;
  int64_t at = same ? now->mono : now->wall;
  uint64_t age = (uint64_t)at - (uint64_t)then;
  if (then >= at)
    return 0;
  return age < INT64_MAX ? (int64_t)age : INT64_MAX;
}
