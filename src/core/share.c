#include "share.h"

#include "base/clock.h"
#include "base/digest.h"
#include "base/os.h"
#include "base/thread.h"
#include "fleet.h"
#include "report.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#pragma GCC visibility push(hidden)

#define MAGIC UINT64_C(0x3165746167656573) /* "seegate1": of this layout */
#define TRIES 6                            /* twice with each word of a name */
#define SWEEP 1000                         /* ms between sweeps */

typedef uint64_t name[SEER_GATE_NAME];

static void name_gate(const seer_endpoint *endpoint, name result) {
  uint64_t who[3] = {sizeof(seer_gate), seer_os_user(), seer_os_clock()};
  uint8_t hash[SEER_DIGEST_SIZE];
  seer_digest digest;
  seer_digest_init(&digest);
  seer_digest_add(&digest, who, sizeof who);
  seer_digest_add(&digest, endpoint->base_url, strlen(endpoint->base_url) + 1);
  seer_digest_add(&digest, endpoint->api_key, strlen(endpoint->api_key));
  seer_digest_end(&digest, hash);
  memcpy(result, hash, sizeof(name));
  result[0] = MAGIC ^ who[2]; /* all of this clock have that */
  for (int i = 1; i < SEER_GATE_NAME; i++)
    result[i] |= 1;
}

/* Whether it is this user's, is open to nobody else, and is not about to
   go. */
static bool is_mine(int id, uint64_t *attached) {
  return seer_os_segment_is_mine(id, sizeof(seer_gate), attached);
}

/* Removes segments of this clock that nobody has attached, with nothing in
   them that counts any more. Who attaches one at this moment finds that out
   when it shares again. Where many are made, it need not be each time. */
static void sweep(uint64_t kind) {
  static int64_t again;
  int64_t now = seer_clock_now();
  uint64_t attached;
  if (now < __atomic_load_n(&again, __ATOMIC_RELAXED))
    return;
  __atomic_store_n(&again, now + SWEEP, __ATOMIC_RELAXED);
  for (int place = 0, id; (id = seer_os_segment_next(&place)) >= 0;) {
    if (!is_mine(id, &attached) || attached > 0)
      continue;
    seer_gate *gate = seer_os_segment_attach(id, false);
    if (gate == NULL)
      continue;
    if (__atomic_load_n(&gate->name[0], __ATOMIC_RELAXED) == kind &&
        seer_gate_is_idle(gate, now) && is_mine(id, &attached) &&
        attached == 1)
      seer_os_segment_remove(id);
    seer_gate_free(gate);
  }
}

/* The id of the segment in this place, which may be new. */
static int get_segment(int key, uint64_t kind) {
  int id = seer_os_segment_open(key, sizeof(seer_gate), false);
  if (id >= 0 || errno != ENOENT)
    return id;
  sweep(kind);
  return seer_os_segment_open(key, sizeof(seer_gate), true);
}

/* The gate in a segment; NULL and errno if it is somebody else's, or about to
   go, which it may begin to until it is attached. */
static seer_gate *open_gate(int id, const name wanted) {
  uint64_t attached;
  seer_gate *gate;
  errno = EACCES;
  if (!is_mine(id, &attached) ||
      (gate = seer_os_segment_attach(id, true)) == NULL)
    return NULL;
  errno = EACCES;
  if (is_mine(id, &attached) && seer_gate_claim(gate, wanted))
    return gate;
  seer_gate_free(gate);
  return NULL;
}

/* With the lock held, which is given up. */
static void use(seer_endpoint *endpoint, int id, seer_gate *gate) {
  seer_gate *unused = NULL;
  int64_t now = seer_clock_now();
  if (gate != NULL)
    unused = seer_endpoint_use(endpoint, gate, id, now);
  seer_gate_mend(endpoint->gate, now);
  seer_fleet_mend(endpoint->gate, now);
  seer_unlock();
  seer_gate_free(unused);
}

/* Whether there is such a gate; else errno says why not. */
static bool find(seer_endpoint *endpoint) {
  name wanted;
  name_gate(endpoint, wanted);
  for (int i = 0; i < TRIES; i++) {
    int key = (int)(wanted[1 + i / 2] >> 1 & 0x7fffffff) | 1;
    int id = get_segment(key, wanted[0]);
    seer_gate *gate = NULL;
    if (id < 0 && errno == ENOSPC)
      return false;
    if (id < 0)
      continue;
    seer_lock();
    if (endpoint->segment != id + 1) {
      seer_unlock();
      gate = open_gate(id, wanted);
      if (gate == NULL)
        continue;
      seer_lock();
    }
    use(endpoint, id, gate);
    return true;
  }
  return false;
}

void seer_share(seer_queue *queue) {
  static seer_trouble trouble;
  char text[200];
  if (find(queue->endpoint))
    return;
  snprintf(text, sizeof text,
           "the rate limit is this process's alone, not shared: %s",
           strerror(errno));
  if (seer_trouble_now(&trouble) >= 0)
    seer_report_say(queue, SEER_WARN, text);
}
