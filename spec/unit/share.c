#include "core/share.h"

#include "client.h"
#include "core/base/os.h"
#include "core/base/thread.h"
#include "unit.h"

#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/shm.h>
#include <sys/wait.h>
#include <unistd.h>

#define SHARE 95

/* A key that no other run has. */
static char key[64];
static int keys;

static void next_key(void) {
  snprintf(key, sizeof key, "sk_%d_%d", (int)getpid(), keys++);
}

/* What a process has that makes a client, which shares its budget. */
typedef struct client {
  seer_queue queue;
  seer_site *site;
} client;

static void open_client(client *c) {
  seer_site_options options = client_options(key);
  seer_settings settings = client_settings(100, 16);
  memset(c, 0, sizeof *c);
  settings.share_rate = 1;
  c->queue.settings = seer_settings_share(&settings);
  c->queue.endpoint = seer_endpoints_get(&options, &c->site);
  CHECK(c->queue.endpoint != NULL);
}

static seer_gate *share(client *c) {
  seer_share(&c->queue);
  CHECK(c->queue.endpoint->segment != 0);
  return c->queue.endpoint->gate;
}

static int take_all(seer_gate *gate) {
  int count = 0;
  while (seer_gate_take(gate, SHARE, unit_now).index >= 0)
    count++;
  return count;
}

static int id_of(const client *c) {
  return c->queue.endpoint->segment - 1;
}

static key_t key_of(int id) {
  struct shmid_ds segment;
  CHECK(shmctl(id, IPC_STAT, &segment) == 0);
  return segment.shm_perm.__key;
}

static unsigned long attached(int id) {
  struct shmid_ds segment;
  CHECK(shmctl(id, IPC_STAT, &segment) == 0);
  return segment.shm_nattch;
}

static bool is_there(int id) {
  struct shmid_ds segment;
  return shmctl(id, IPC_STAT, &segment) == 0 &&
         (segment.shm_perm.mode & SHM_DEST) == 0;
}

/* Gives up the endpoint, and removes the segment. */
static void end_client(client *c) {
  int id = id_of(c);
  seer_endpoints_release(c->queue.endpoint, c->site);
  shmctl(id, IPC_RMID, NULL);
}

/* In a process of its own, which then ends: runs `work` and returns what that
   does, up to 255. */
static int run_child(int (*work)(void)) {
  int status;
  if (fork() == 0)
    _exit(work());
  CHECK(wait(&status) > 0 && WIFEXITED(status));
  return WEXITSTATUS(status);
}

static int take_as_stranger(void) {
  client c;
  open_client(&c);
  return take_all(share(&c));
}

static void is_one_for_strangers(void) {
  client c;
  next_key();
  CHECK(run_child(take_as_stranger) == SHARE);
  CHECK(run_child(take_as_stranger) == 0);
  open_client(&c);
  CHECK(seer_gate_take(c.queue.endpoint->gate, SHARE, unit_now).index >= 0);
  CHECK(take_all(share(&c)) == 0);
  unit_now += SEER_GATE_WINDOW + 3;
  CHECK(run_child(take_as_stranger) == SHARE);
  CHECK(take_all(share(&c)) == 0);
  end_client(&c);
}

static void takes_over_what_is_known(void) {
  client c;
  seer_slot slot;
  seer_endpoint *endpoint;
  next_key();
  open_client(&c);
  endpoint = c.queue.endpoint;
  for (int i = 0; i < 40; i++)
    slot = seer_gate_take(endpoint->gate, SHARE, unit_now);
  seer_pauses_extend(endpoint->pauses, unit_now + 5000);
  CHECK(seer_pauses_deepen(endpoint->pauses, 0));
  CHECK(take_all(share(&c)) == SHARE - 40);
  CHECK(endpoint->pauses == &endpoint->gate->pauses);
  CHECK(seer_pauses_delay(endpoint->pauses, SHARE, unit_now) == 5000);
  seer_gate_end(endpoint->gate, slot, SHARE, 0, true, unit_now);
  CHECK(take_all(endpoint->gate) == 1);
  end_client(&c);
}

/* Noise, but for the name: whoever comes is not held by it for ever. */
static void outlives_noise(void) {
  client c;
  seer_gate *gate;
  next_key();
  open_client(&c);
  gate = share(&c);
  for (int round = 0; round < 100; round++) {
    char *noise = (char *)gate;
    for (size_t i = sizeof gate->name; i < sizeof *gate; i++)
      noise[i] = (char)unit_random(256);
    CHECK(share(&c) == gate);
    unit_now += SEER_GATE_WINDOW + 3;
    CHECK(seer_gate_widest(gate, SHARE, unit_now) == SHARE);
    CHECK(seer_pauses_delay(&gate->pauses, SHARE, unit_now) == 0);
    CHECK(seer_gate_delay(gate, SHARE, unit_now) == 0);
    CHECK(take_all(gate) == SHARE);
    unit_now += SEER_GATE_WINDOW + 3;
    CHECK(seer_gate_is_idle(gate, unit_now));
  }
  end_client(&c);
}

/* Others may have the place already: a segment that is of another kind, or
   that anybody may write to, or with another name. */
static void gives_way(void) {
  static const struct {
    size_t size;
    int mode;
    bool named;
  } others[] = {
      {100,               0600, false},
      {sizeof(seer_gate), 0666, false},
      {sizeof(seer_gate), 0600, true },
      {100000,            0600, false},
  };
  for (size_t i = 0; i < sizeof others / sizeof others[0]; i++) {
    client c;
    key_t place;
    int other;
    next_key();
    CHECK(run_child(take_as_stranger) == SHARE);
    open_client(&c);
    share(&c);
    place = key_of(id_of(&c));
    end_client(&c);
    other =
        shmget(place, others[i].size, others[i].mode | IPC_CREAT | IPC_EXCL);
    CHECK(other >= 0);
    if (others[i].named) {
      seer_gate *gate = shmat(other, NULL, 0);
      gate->name[0] = 1;
      shmdt(gate);
    }
    unit_now += SEER_GATE_WINDOW + 3;
    CHECK(run_child(take_as_stranger) == SHARE);
    open_client(&c);
    CHECK(take_all(share(&c)) == 0 && id_of(&c) != other);
    CHECK(key_of(id_of(&c)) != place && attached(other) == 0);
    end_client(&c);
    CHECK(shmctl(other, IPC_RMID, NULL) == 0);
    unit_now += SEER_GATE_WINDOW + 3;
  }
}

/* Where it was removed, those who have it go on, and share again later. */
static void outlives_its_removal(void) {
  client c;
  seer_gate *gate;
  int removed;
  next_key();
  open_client(&c);
  gate = share(&c);
  for (int i = 0; i < 30; i++)
    CHECK(seer_gate_take(gate, SHARE, unit_now).index >= 0);
  removed = id_of(&c);
  CHECK(shmctl(removed, IPC_RMID, NULL) == 0);
  CHECK(seer_gate_take(gate, SHARE, unit_now).index >= 0);
  CHECK(share(&c) != gate && id_of(&c) != removed);
  CHECK(run_child(take_as_stranger) == SHARE - 31);
  end_client(&c);
}

/* A segment that is in use, or that still counts, stays. */
static void is_removed_when_it_is_idle(void) {
  client kept, c;
  int counting;
  next_key();
  open_client(&kept);
  share(&kept);
  next_key();
  open_client(&c);
  CHECK(take_all(share(&c)) == SHARE);
  counting = id_of(&c);
  seer_endpoints_release(c.queue.endpoint, c.site);
  next_key();
  open_client(&c);
  share(&c);
  CHECK(is_there(counting) && is_there(id_of(&kept)));
  end_client(&c);
  unit_now += SEER_GATE_WINDOW + 3;
  next_key();
  open_client(&c);
  share(&c);
  CHECK(!is_there(counting) && is_there(id_of(&kept)));
  end_client(&c);
  end_client(&kept);
}

/* What a pause of an hour holds counts, and so may what is of another clock.
 */
static void stays_while_it_counts(void) {
  for (int i = 0; i < 2; i++) {
    client c, other;
    seer_gate *gate;
    int id;
    next_key();
    open_client(&c);
    gate = share(&c);
    id = id_of(&c);
    if (i == 0)
      seer_pauses_extend(&gate->pauses, unit_now + 60 * SEER_GATE_WINDOW);
    else
      gate->name[0] ^= 1;
    seer_endpoints_release(c.queue.endpoint, c.site);
    CHECK(attached(id) == 0);
    unit_now += SEER_GATE_WINDOW + 3;
    next_key();
    open_client(&other);
    share(&other);
    CHECK(is_there(id));
    end_client(&other);
    shmctl(id, IPC_RMID, NULL);
  }
}

/* However many keys there are, half of the system's segments are others'. */
static void leaves_room(void) {
  static int ids[100000];
  struct shminfo most;
  struct shm_info all;
  client c;
  int count = 0;
  CHECK(shmctl(0, IPC_INFO, (struct shmid_ds *)(void *)&most) >= 0);
  while (shmctl(0, SHM_INFO, (struct shmid_ds *)(void *)&all) >= 0 &&
         (unsigned long)all.used_ids < most.shmmni / 2 && count < 100000)
    CHECK((ids[count++] = shmget(IPC_PRIVATE, 1, 0600)) >= 0);
  next_key();
  open_client(&c);
  seer_share(&c.queue);
  CHECK(c.queue.endpoint->segment == 0);
  CHECK(shmctl(ids[--count], IPC_RMID, NULL) == 0);
  share(&c);
  while (count > 0)
    shmctl(ids[--count], IPC_RMID, NULL);
  end_client(&c);
}

static int left;

/* Attaches the segment, writes to it, gives it up, and leaves where it was. */
static void *use_segment(void *argument) {
  volatile char **place = argument;
  volatile char *memory = seer_os_segment_attach(left, true);
  memory[0] = 1;
  __atomic_store_n(place, memory, __ATOMIC_RELAXED);
  seer_os_memory_free((void *)memory, sizeof(seer_gate));
  __atomic_store_n(&left, -1, __ATOMIC_RELAXED);
  return NULL;
}

/* ThreadSanitizer tells where a thread races with who was there before. */
static void leaves_its_place_to_others(void) {
  pthread_t thread;
  volatile char *place = NULL, *memory;
  int id = left = shmget(IPC_PRIVATE, sizeof(seer_gate), 0600);
  CHECK(id >= 0 && pthread_create(&thread, NULL, use_segment, &place) == 0);
  while (__atomic_load_n(&left, __ATOMIC_RELAXED) >= 0)
    sched_yield();
  memory = seer_os_segment_attach(id, true);
#ifdef __SANITIZE_THREAD__
  CHECK(memory == __atomic_load_n(&place, __ATOMIC_RELAXED));
#endif
  CHECK(memory[0] == 1);
  memory[0] = 2;
  seer_os_memory_free((void *)memory, sizeof(seer_gate));
  pthread_join(thread, NULL);
  shmctl(id, IPC_RMID, NULL);
}

const unit_test unit_share[] = {
    {"a shared gate is one for processes that are strangers",
     is_one_for_strangers                                                             },
    {"a shared gate takes over what was known before",
     takes_over_what_is_known                                                         },
    {"a shared gate outlives noise",                             outlives_noise       },
    {"a shared gate gives way to what others have in its place", gives_way            },
    {"a shared gate outlives its removal",                       outlives_its_removal },
    {"a shared gate is removed by others when it is idle",
     is_removed_when_it_is_idle                                                       },
    {"a shared gate stays while it counts",                      stays_while_it_counts},
    {"a shared gate leaves the system room for other programs'", leaves_room          },
    {"a segment's place in memory may become another thread's",
     leaves_its_place_to_others                                                       },
    {NULL,                                                       NULL                 },
};
