/* A resolver that hangs: to be preloaded, so that whoever asks for the
   address of a name waits SEER_RESOLVER_DELAY seconds, or as many as the
   file SEER_RESOLVER_FILE says while it is there, before what getaddrinfo
   returns. The file says that, too, and may say the address; otherwise every
   name is this machine's: no question leaves it. SEER_RESOLVER_LOG is a file
   that gets a line for each question: the name, and the first descriptor
   that a resolver would have for its socket. */

#include <dlfcn.h>
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

typedef int resolve(const char *, const char *, const struct addrinfo *,
                    struct addrinfo **);

static void tell(const char *name) {
  const char *path = getenv("SEER_RESOLVER_LOG");
  FILE *file = path != NULL ? fopen(path, "ae") : NULL;
  if (file == NULL)
    return;
  fprintf(file, "%s %d\n", name, fileno(file));
  fclose(file);
}

/* Waits, and returns the error that there is to be, or 0. Whoever sees the
   line in the log may change the file: it was read. */
static int delay(const char *name, char address[64]) {
  const char *seconds = getenv("SEER_RESOLVER_DELAY");
  const char *path = getenv("SEER_RESOLVER_FILE");
  FILE *file = path != NULL ? fopen(path, "re") : NULL;
  int wait = seconds != NULL ? atoi(seconds) : 0, error = 0;
  struct timespec time = {0, 0};
  if (file != NULL) {
    if (fscanf(file, "%d %d %63s", &wait, &error, address) < 2)
      wait = error = 0;
    fclose(file);
  }
  tell(name);
  time.tv_sec = wait;
  nanosleep(&time, NULL);
  return error;
}

__attribute__((visibility("default"))) int
getaddrinfo(const char *restrict name, const char *restrict service,
            const struct addrinfo *restrict hints,
            struct addrinfo **restrict result) {
  char address[64] = "127.0.0.1";
  resolve *next;
  int error;
  *(void **)&next = dlsym(RTLD_NEXT, "getaddrinfo");
  if (next == NULL)
    return EAI_SYSTEM;
  if (name == NULL)
    return next(name, service, hints, result);
  error = delay(name, address);
  return error != 0 ? error : next(address, service, hints, result);
}
