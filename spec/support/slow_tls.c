/* A system that is slow to prepare a TLS connection, as one with many
   authorities and little processor time: to be preloaded, so that this takes
   SEER_SLOW_TLS milliseconds, after a line on the standard output. The last
   thing that the process does takes twice as long. */

#include <dlfcn.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

__attribute__((visibility("default"))) void *SSL_CTX_new(const void *method);

/* Sleeps the given time so many times. */
static void be_slow(int times) {
  const char *given = getenv("SEER_SLOW_TLS");
  long left = given != NULL ? times * atol(given) : 0;
  struct timespec time = {left / 1000, left % 1000 * 1000000};
  nanosleep(&time, NULL);
}

__attribute__((destructor)) static void end(void) {
  be_slow(2);
}

void *SSL_CTX_new(const void *method) {
  static const char line[] = "preparing\n";
  void *(*next)(const void *) = NULL;
  /* Libraries of a module are no part of the program's own scope. */
  void *curl = dlopen("libcurl.so.4", RTLD_NOW | RTLD_NOLOAD);
  if (curl != NULL)
    *(void **)&next = dlsym(curl, "SSL_CTX_new");
  if (next == NULL || write(1, line, strlen(line)) < 0)
    return NULL;
  be_slow(1);
  return next(method);
}
