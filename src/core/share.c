#include "share.h"

#include "base/clock.h"
#include "base/digest.h"
#include "base/thread.h"
#include "fleet.h"
#include "report.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/shm.h>
#include <sys/stat.h>
#include <unistd.h>
#pragma GCC visibility push(hidden)

#define MAGIC UINT64_C(0x3165746167656573) /* "seegate1": of this layout */
#define TRIES 6                            /* twice with each word of a name */
/* The time namespace that the system began with. */
#define FIRST_CLOCK UINT64_C(0xeffffffa)

typedef uint64_t name[SEER_GATE_NAME];

/* Which monotonic clock this is. One that the system does not tell of is its
   only one. */
static uint64_t clock_of_process(void) {
  struct stat found;
  if (stat("/proc/self/ns/time", &found) != 0 ||
      (uint64_t)found.st_ino == FIRST_CLOCK)
    return 0;
  return (uint64_t)found.st_ino;
}

static void name_gate(const seer_endpoint *endpoint, name result) {
  uint64_t who[3] = {sizeof(seer_gate), geteuid(), clock_of_process()};
  uint8_t hash[SEER_DIGEST_SIZE];
  seer_digest digest;
  seer_digest_init(&digest);
  seer_digest_add(&digest, who, sizeof who);
  seer_digest_add(&digest, endpoint->base_url, strlen(endpoint->base_url) + 1);
  seer_digest_add(&digest, endpoint->api_key, strlen(endpoint->api_key));
  seer_digest_end(&digest, hash);
  memcpy(result, hash, sizeof(name));
  result[0] = MAGIC;
  for (int i = 1; i < SEER_GATE_NAME; i++)
    result[i] |= 1;
}

static bool is_mine(const struct shmid_ds *segment) {
  return segment->shm_perm.uid == geteuid() &&
         segment->shm_perm.cuid == geteuid() &&
         (segment->shm_perm.mode & 0777) == 0600 &&
         segment->shm_segsz == sizeof(seer_gate);
}

static seer_gate *attach(int id, int flags) {
  void *memory = shmat(id, NULL, flags);
  return memory != (void *)-1 ? memory : NULL; /* NOLINT: so POSIX has it */
}

/* Removes segments that nobody has attached, with nothing in them that counts
   any more. Who attaches one at this moment finds that out when it shares
   again. */
static void sweep(void) {
  struct shm_info all;
  struct shmid_ds segment;
  int last = shmctl(0, SHM_INFO, (struct shmid_ds *)(void *)&all);
  for (int i = 0; i <= last; i++) {
    int id = shmctl(i, SHM_STAT, &segment);
    if (id < 0 || !is_mine(&segment) || segment.shm_nattch > 0)
      continue;
    seer_gate *gate = attach(id, SHM_RDONLY);
    if (gate == NULL)
      continue;
    if (gate->name[0] == MAGIC && seer_gate_is_idle(gate, seer_clock_now()) &&
        shmctl(id, IPC_STAT, &segment) == 0 && segment.shm_nattch == 1)
      shmctl(id, IPC_RMID, NULL);
    seer_gate_free(gate);
  }
}

/* The gate in a segment; NULL and errno if it is somebody else's, or about to
   go. */
static seer_gate *open_gate(int id, const name wanted) {
  struct shmid_ds segment;
  seer_gate *gate = attach(id, 0);
  bool first = false;
  if (gate == NULL)
    return NULL;
  errno = EACCES;
  if (shmctl(id, IPC_STAT, &segment) == 0 && is_mine(&segment) &&
      (segment.shm_perm.mode & SHM_DEST) == 0 &&
      seer_gate_claim(gate, wanted, &first)) {
    if (first)
      sweep();
    return gate;
  }
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
    key_t key = (key_t)(wanted[1 + i / 2] >> 1 & 0x7fffffff) | 1;
    int id = shmget(key, sizeof(seer_gate), 0600 | IPC_CREAT);
    seer_gate *gate = NULL;
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
  int64_t share = queue->settings.share_rate, untold;
  char text[200];
  if (share < 0)
    share = queue->settings.has_store;
  if (share == 0 || find(queue->endpoint))
    return;
  snprintf(text, sizeof text,
           "the rate limit is this process's alone, not shared: %s",
           strerror(errno));
  if (seer_trouble_now(&trouble, &untold))
    seer_report_say(queue, SEER_WARN, text);
}
