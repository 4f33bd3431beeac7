/* A wall clock that is wrong: to be preloaded, so that it is as many seconds
   ahead as the file SEER_CLOCK_FILE says, which may change at any time. The
   monotonic clock is right, unless SEER_CLOCK_MONOTONIC is set: then a program
   can let time pass. */

#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/time.h>
#include <time.h>

#define SHOWN __attribute__((visibility("default")))

/* While the file is being written, and empty, it is as it was. */
static long ahead(void) {
  static long last;
  const char *path = getenv("SEER_CLOCK_FILE");
  FILE *file = path != NULL ? fopen(path, "re") : NULL;
  long seconds;
  if (file == NULL)
    return 0;
  if (fscanf(file, "%ld", &seconds) == 1)
    __atomic_store_n(&last, seconds, __ATOMIC_RELAXED);
  fclose(file);
  return __atomic_load_n(&last, __ATOMIC_RELAXED);
}

static int is_wrong(clockid_t clock) {
  return clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE ||
         getenv("SEER_CLOCK_MONOTONIC") != NULL;
}

#define TELLS(name, type, seconds)                                            \
  SHOWN int name(clockid_t clock, type *result) {                             \
    static int (*next)(clockid_t, type *);                                    \
    int status;                                                               \
    if (next == NULL)                                                         \
      *(void **)&next = dlsym(RTLD_NEXT, #name);                              \
    status = next(clock, result);                                             \
    if (status == 0 && is_wrong(clock))                                       \
      result->seconds += ahead();                                             \
    return status;                                                            \
  }

TELLS(clock_gettime, struct timespec, tv_sec)

#ifdef __i386__ /* where a program may ask for times of 64 bits */
struct wide {
  long long seconds;
  long nanoseconds, unused;
};

TELLS(__clock_gettime64, struct wide, seconds)
#endif

SHOWN int gettimeofday(struct timeval *restrict result, void *restrict zone) {
  struct timespec now;
  (void)zone;
  if (clock_gettime(CLOCK_REALTIME, &now) != 0)
    return -1;
  result->tv_sec = now.tv_sec;
  result->tv_usec = now.tv_nsec / 1000;
  return 0;
}

SHOWN time_t time(time_t *result) {
  struct timespec now;
  clock_gettime(CLOCK_REALTIME, &now);
  if (result != NULL)
    *result = now.tv_sec;
  return now.tv_sec;
}
