#include "core/http/lookup.h"

#include "core/base/clock.h"
#include "core/base/os.h"
#include "core/base/thread.h"

#include <stdio.h>
#include <string.h>
#pragma GCC visibility push(hidden)

/* A resolver that hears nothing gives up after 10 s, if there is one server
   and nothing else was configured. */
#define HOPELESS 15000

/* These are guarded by the lock. */
static seer_names names;
static int rung;     /* the alarm for when a name was looked up */
static int64_t took; /* ms, the last look-up */
static bool tried;   /* whether a thread was asked for... */
static bool refused; /* ...and the last one was refused */

static size_t host_length(const char *target) {
  return (size_t)(strrchr(target, ':') - target);
}

static seer_name *find(const char *target) {
  return seer_names_find(&names, target, host_length(target));
}

/* Appends ",address" if there is room. libcurl reads none with a zone. */
static void append_address(char *addresses, const struct addrinfo *found) {
  char address[NI_MAXHOST];
  size_t length = strlen(addresses), room = SEER_ADDRESSES_SIZE - length;
  const char *separator = length > 0 ? "," : "";
  const char *format =
      found->ai_family == AF_INET6 ? "%s[%s]" : "%s%s"; /* as in a URL */
  if (getnameinfo(found->ai_addr, found->ai_addrlen, address, sizeof address,
                  NULL, 0, NI_NUMERICHOST) == 0 &&
      strchr(address, '%') == NULL && strlen(address) + 4 <= room)
    snprintf(addresses + length, room, format, separator, address);
}

/* Asks the system, in the order of whose answer libcurl tries to connect.
   False if there is no answer: that no such host exists is one. */
static bool ask(const char *host, char addresses[SEER_ADDRESSES_SIZE]) {
  struct addrinfo hints = {.ai_socktype = SOCK_STREAM}, *found = NULL;
  int held[3], error;
  *addresses = '\0';
  seer_fds_hold(held);
  error = getaddrinfo(host, NULL, &hints, &found);
  seer_fds_release(held);
  if (error != 0)
    return error == EAI_NONAME;
  for (const struct addrinfo *a = found; a != NULL; a = a->ai_next)
    append_address(addresses, a);
  freeaddrinfo(found);
  return true;
}

/* With the lock held, which is given up meanwhile: `host` stays. The result
   is `addresses`, or NULL. */
static const char *measure(const char *host,
                           char addresses[SEER_ADDRESSES_SIZE]) {
  int64_t began = seer_clock_now();
  bool answered;
  seer_unlock();
  answered = ask(host, addresses);
  seer_lock();
  took = seer_clock_now() - began;
  return answered ? addresses : NULL;
}

/* What a thread does: it looks up names until none is wanted. */
static void *run(void *nothing) {
  char addresses[SEER_ADDRESSES_SIZE];
  seer_name *name;
  int alarm;
  seer_lock();
  while ((name = seer_names_take(&names, seer_clock_boot())) != NULL) {
    const char *found = measure(name->host, addresses);
    name->takers--;
    seer_name_settle(name, found, seer_clock_boot());
    alarm = rung;
    seer_unlock();
    seer_alarm_ring(alarm);
    seer_lock();
  }
  seer_unlock();
  return nothing;
}

/* With the lock held, which is given up meanwhile. */
static bool start_thread(void) {
  bool started;
  seer_unlock();
  started = seer_thread_start(run, NULL);
  seer_lock();
  tried = true;
  refused = !started;
  return started;
}

seer_name_state seer_lookup(const char *target, int64_t since,
                            char addresses[SEER_ADDRESSES_SIZE]) {
  seer_name_state state = SEER_NAME_UNKNOWN;
  const seer_name *name;
  seer_lock();
  name = find(target);
  if (name != NULL)
    state = seer_name_judge(name, since, seer_clock_boot());
  if (state == SEER_NAME_KNOWN && addresses != NULL)
    memcpy(addresses, name->addresses, sizeof name->addresses);
  seer_unlock();
  return state;
}

bool seer_lookup_start(const char *target, int alarm) {
  bool started = true;
  seer_name *name;
  seer_lock();
  rung = alarm;
  name = seer_names_add(&names, target, host_length(target));
  if (name != NULL && seer_name_want(name, seer_clock_boot())) {
    started = start_thread();
    name->wanted = name->wanted && started;
  }
  seer_unlock();
  return started;
}

bool seer_lookup_keep(const char *target) {
  seer_name *name;
  bool known;
  seer_lock();
  name = find(target);
  known = name != NULL && name->addresses[0] != '\0';
  if (known)
    seer_name_settle(name, NULL, seer_clock_boot());
  seer_unlock();
  return known;
}

void seer_lookup_doubt(const char *target) {
  seer_name *name;
  seer_lock();
  name = find(target);
  if (name != NULL)
    name->doubtful = true;
  seer_unlock();
}

/* The name is not taken meanwhile: this thread may be cancelled. */
void seer_lookup_here(const char *target) {
  char host[SEER_NAME_SIZE], addresses[SEER_ADDRESSES_SIZE];
  size_t length = host_length(target);
  const char *found;
  seer_name *name;
  if (length >= sizeof host)
    return;
  memcpy(host, target, length);
  host[length] = '\0';
  seer_lock();
  found = measure(host, addresses);
  name = seer_names_add(&names, host, length);
  if (name != NULL)
    seer_name_settle(name, found, seer_clock_boot());
  seer_unlock();
}

bool seer_lookup_has_time(int64_t left) {
  bool enough;
  seer_lock();
  enough = left >= HOPELESS && left >= took;
  seer_unlock();
  return enough;
}

bool seer_lookup_has_threads(void) {
  bool granted;
  seer_lock();
  granted = tried ? !refused : start_thread();
  seer_unlock();
  return granted;
}

void seer_lookup_forget(bool whole) {
  seer_names_forget(&names, whole);
}
