/*
 * Makes the module's next unlocking of its lock end the process, or last
 * long, as on a machine where a thread gets no time: two seconds, or until
 * something else is armed.
 */

#include <dlfcn.h>
#include <pthread.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { NOTHING, OTHER_WAITS, EXIT, OTHER_STAYS };

static volatile int armed;
static volatile int held; /* or has been */

__attribute__((visibility("default"))) void seer_spec_arm(int what);
__attribute__((visibility("default"))) int seer_spec_held(void);

void seer_spec_arm(int what) {
  held = 0;
  armed = what;
}

int seer_spec_held(void) {
  return held;
}

static int is_module(const void *address) {
  Dl_info info;
  return dladdr(address, &info) != 0 && info.dli_fname != NULL &&
         strstr(info.dli_fname, "/seerstack.so") != NULL;
}

static void before_unlock(void) {
  int is_first = gettid() == getpid();
  if (armed == OTHER_WAITS && !is_first) {
    armed = NOTHING;
    held = 1;
    sleep(2);
  } else if (armed == OTHER_STAYS && !is_first) {
    held = 1;
    while (armed == OTHER_STAYS)
      usleep(1000);
  } else if (armed == EXIT && is_first) {
    armed = NOTHING;
    exit(3);
  }
}

__attribute__((visibility("default"))) int
pthread_mutex_unlock(pthread_mutex_t *mutex) {
  static int (*real)(pthread_mutex_t *);
  if (real == NULL)
    *(void **)&real = dlsym(RTLD_NEXT, "pthread_mutex_unlock");
  if (armed != NOTHING && is_module(__builtin_return_address(0)))
    before_unlock();
  return real(mutex);
}
