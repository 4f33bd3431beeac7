/* A resolver that hangs: to be preloaded, so that whoever asks for the
   address of a name waits SEER_RESOLVER_DELAY seconds, or as many as the
   file SEER_RESOLVER_FILE says while it is there, before what getaddrinfo
   returns. Every name is this machine's: no question leaves it. */

#include <dlfcn.h>
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

typedef int resolve(const char *, const char *, const struct addrinfo *,
                    struct addrinfo **);

/* Waits, and returns the error that there is to be, or 0. */
static int delay(void) {
  const char *seconds = getenv("SEER_RESOLVER_DELAY");
  const char *path = getenv("SEER_RESOLVER_FILE");
  FILE *file = path != NULL ? fopen(path, "re") : NULL;
  int wait = seconds != NULL ? atoi(seconds) : 0, error = 0;
  struct timespec time = {0, 0};
  if (file != NULL) {
    if (fscanf(file, "%d %d", &wait, &error) != 2)
      wait = error = 0;
    fclose(file);
  }
  time.tv_sec = wait;
  nanosleep(&time, NULL);
  return error;
}

__attribute__((visibility("default"))) int
getaddrinfo(const char *restrict name, const char *restrict service,
            const struct addrinfo *restrict hints,
            struct addrinfo **restrict result) {
  resolve *next;
  int error;
  *(void **)&next = dlsym(RTLD_NEXT, "getaddrinfo");
  if (next == NULL)
    return EAI_SYSTEM;
  error = delay();
  if (error != 0)
    return error;
  return next(name != NULL ? "127.0.0.1" : NULL, service, hints, result);
}
