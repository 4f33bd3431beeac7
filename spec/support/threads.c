/* A system that grants no thread: to be preloaded, so that the first
   SEER_THREADS_REFUSED attempts to start one fail. */

#include <dlfcn.h>
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>

typedef int create(pthread_t *, const pthread_attr_t *, void *(*)(void *),
                   void *);

/* True as often as the environment says. */
static int is_refused(void) {
  static int count;
  const char *refused = getenv("SEER_THREADS_REFUSED");
  return refused != NULL &&
         __atomic_add_fetch(&count, 1, __ATOMIC_RELAXED) <= atoi(refused);
}

__attribute__((visibility("default"))) int
pthread_create(pthread_t *restrict thread,
               const pthread_attr_t *restrict attributes, void *(*run)(void *),
               void *restrict argument) {
  create *next;
  *(void **)&next = dlsym(RTLD_NEXT, "pthread_create");
  if (next == NULL || is_refused())
    return EAGAIN;
  return next(thread, attributes, run, argument);
}
