/* A resolver that hangs: to be preloaded, so that whoever asks for the
   address of a name waits SEER_RESOLVER_DELAY seconds. Every name is this
   machine's: no question leaves it. */

#include <dlfcn.h>
#include <netdb.h>
#include <stdlib.h>
#include <time.h>

typedef int resolve(const char *, const char *, const struct addrinfo *,
                    struct addrinfo **);

static void delay(void) {
  const char *seconds = getenv("SEER_RESOLVER_DELAY");
  struct timespec time = {seconds != NULL ? atoi(seconds) : 0, 0};
  nanosleep(&time, NULL);
}

__attribute__((visibility("default"))) int
getaddrinfo(const char *restrict name, const char *restrict service,
            const struct addrinfo *restrict hints,
            struct addrinfo **restrict result) {
  resolve *next;
  *(void **)&next = dlsym(RTLD_NEXT, "getaddrinfo");
  if (next == NULL)
    return EAI_SYSTEM;
  delay();
  return next(name != NULL ? "127.0.0.1" : NULL, service, hints, result);
}
