#include "unit.h"

/* With a sanitizer there are too many instructions. */
#if defined __x86_64__ && defined __linux__ &&                                \
    !defined __SANITIZE_ADDRESS__ && !defined __SANITIZE_THREAD__

#include "client.h"
#include "core/base/spare.h"
#include "core/base/thread.h"
#include "core/process.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <ucontext.h>
#include <unistd.h>

/*
 * A process may fork while another of its threads is anywhere. So after each
 * of that thread's instructions the processor calls a handler here, which
 * forks: in the child the thread never goes on, and all else must be sound.
 */

#define STEP 0x100 /* the processor's flag for that */
#define CLIENTS 3
#define EVENTS 40
#define PATIENCE 60 /* s for a child */

extern const char __executable_start, etext;

static seer_queue *clients[CLIENTS];
static seer_queue *ending; /* of these, by the other thread */
static volatile bool stepping;
static int children; /* -1: one of them has failed */

/* In a process that has tests to go on with after it. */
#define MUST(condition)                                                       \
  do {                                                                        \
    if (!(condition)) {                                                       \
      printf("%s:%d: %s\n", __FILE__, __LINE__, #condition);                  \
      fflush(stdout);                                                         \
      _exit(1);                                                               \
    }                                                                         \
  } while (0)

/* The body says how long it is. */
static char letter_of(size_t length) {
  return (char)('a' + length % 26);
}

static void capture(seer_queue *queue, size_t length, const char *user) {
  char body[300];
  memset(body, letter_of(length), length);
  seer_event *event = seer_event_new(&(seer_draft){.kind = SEER_CAPTURE,
                                                   .body = body,
                                                   .length = length,
                                                   .user = user,
                                                   .user_length = 1,
                                                   .hand = &queue->hand});
  MUST(event != NULL);
  MUST(seer_sender_submit(queue, event) == SEER_ACCEPTED);
}

/* Of sizes that have a place at hand in common, and others. */
static void fill(seer_queue *queue) {
  for (size_t i = 0; i < EVENTS; i++)
    capture(queue, 100 + 16 * (i % 8), NULL);
}

static void drop_all(seer_queue *queue) {
  seer_dead dead = SEER_NO_DEAD;
  seer_lock();
  seer_queue_drop_all(queue, SEER_SETTLED_EXIT, &dead);
  seer_unlock();
  seer_endpoints_bury(&dead);
}

static void check_events(const seer_queue *queue) {
  const seer_event *event = queue->line[SEER_QUEUED].head;
  for (int i = 0; i < EVENTS; i++, event = event->next) {
    MUST(event != NULL);
    for (size_t at = 0; at < event->length; at++)
      MUST(event->body[at] == letter_of(event->length));
  }
  MUST(event == NULL);
}

/* What the child of a fork finds, and can do. */
static void check_child(void) {
  for (seer_queue *queue = seer_endpoints_next_queue(NULL); queue != NULL;
       queue = seer_endpoints_next_queue(queue))
    MUST(queue->events == 0 && queue->accepted == 0);
  for (int round = 0; round < 2; round++) {
    for (int i = 0; i < CLIENTS; i++)
      if (clients[i] != ending)
        fill(clients[i]);
    for (int i = 0; i < CLIENTS; i++) {
      if (clients[i] == ending)
        continue;
      check_events(clients[i]);
      drop_all(clients[i]);
    }
  }
  for (int i = 0; i < CLIENTS; i++)
    if (clients[i] != ending)
      seer_sender_release(clients[i]);
  seer_spare_free(); /* malloc notices what was written beyond a block */
}

static bool is_there(const seer_queue *wanted) {
  const seer_queue *queue = seer_endpoints_next_queue(NULL);
  while (queue != NULL && queue != wanted)
    queue = seer_endpoints_next_queue(queue);
  return queue != NULL;
}

static void fork_here(void) {
  bool is_left = is_there(ending) && ending->orphan;
  int status = 0;
  pid_t pid = fork();
  if (pid == 0) {
    alarm(PATIENCE);
    MUST(!is_left || !is_there(ending)); /* nobody else would free it */
    check_child();
    _exit(0);
  }
  waitpid(pid, &status, 0);
  children = status == 0 ? children + 1 : -1;
}

/* Nowhere but in our own code: the C library's own locks are its own matter
   in a fork, and the thread that has them is this one. */
static void on_step(int number, siginfo_t *info, void *context) {
  greg_t *registers = ((ucontext_t *)context)->uc_mcontext.gregs;
  const char *at = (const char *)registers[REG_RIP];
  (void)number;
  (void)info;
  if (!stepping || children < 0)
    registers[REG_EFL] &= ~STEP;
  else if (at >= &__executable_start && at < &etext)
    fork_here();
}

static void step_through(void (*act)(void)) {
  struct sigaction action = {.sa_sigaction = on_step, .sa_flags = SA_SIGINFO};
  sigaction(SIGTRAP, &action, NULL);
  stepping = true;
  __asm__ volatile("pushfq\n\torq %0, (%%rsp)\n\tpopfq" ::"i"(STEP)
                   : "memory", "cc");
  act();
  stepping = false;
}

static void begin(void) {
  seer_settings settings = client_settings(0, 4);
  MUST(seer_process_init());
  settings.has_logger = 1;
  clients[0] = client_open("one", &settings);
  clients[1] = client_open("one", &settings);
  settings.drop_oldest = 1;
  settings.max_queue_events = EVENTS;
  clients[2] = client_open("two", &settings);
  for (int i = 0; i < CLIENTS; i++) {
    for (int times = 0; times < 4; times++)
      fill(clients[i]);
    drop_all(clients[i]); /* which leaves memory for more than what follows */
    fill(clients[i]);
  }
}

/* In a process of its own, for forks are the business of all of it. */
static void fork_within(void (*prepare)(void), void (*act)(void)) {
  int status = 0;
  pid_t pid;
  fflush(stdout);
  pid = fork();
  if (pid == 0) {
    begin();
    if (prepare != NULL)
      prepare();
    step_through(act);
    _exit(children < 50);
  }
  CHECK(pid > 0 && waitpid(pid, &status, 0) == pid && status == 0);
}

static void capture_two_sizes(void) {
  capture(clients[0], 100, NULL);
  capture(clients[0], 100 + 64, NULL); /* which takes the place at hand */
}

static void capture_of_a_user(void) {
  capture(clients[0], 100, "u");
}

static void displace(void) {
  capture(clients[2], 100, NULL);
}

static void in_a_capture(void) {
  fork_within(NULL, capture_two_sizes);
  fork_within(capture_of_a_user, capture_of_a_user);
  fork_within(NULL, displace);
}

static void wait_in_vain(void) {
  seer_request *request = seer_request_new(0, 0);
  seer_event *event = seer_event_new(&(seer_draft){.kind = SEER_CAPTURE});
  request->references = 2;
  event->request = request;
  seer_sender_submit(clients[0], event);
  seer_sender_wait(clients[0], request, 1);
  seer_sender_leave(clients[0], request);
}

static void in_a_wait(void) {
  fork_within(NULL, wait_in_vain);
}

static void choose(void) {
  ending = clients[1];
}

static void choose_and_empty(void) {
  choose();
  drop_all(ending);
}

static void choose_the_last(void) {
  ending = clients[2];
  drop_all(ending);
}

static void end(void) {
  seer_sender_release(ending);
}

static void in_the_end(void) {
  fork_within(choose, end);
  fork_within(choose_and_empty, end);
  fork_within(choose_the_last, end);
}

static void make(void) {
  seer_party *party = seer_endpoints_join_with(clients[0]->party);
  capture(seer_sender_open(party, NULL), 100, NULL);
}

static void in_the_making(void) {
  fork_within(NULL, make);
}

const unit_test unit_copied[] = {
    {"at any moment of another thread's capture a fork may come",
     in_a_capture                                                                  },
    {"at any moment of another thread's wait a fork may come",        in_a_wait    },
    {"at any moment of a client's end a fork may come, and frees it",
     in_the_end                                                                    },
    {"at any moment of a client's making a fork may come",            in_the_making},
    {NULL,                                                            NULL         },
};

#else

const unit_test unit_copied[] = {
    {NULL, NULL}
};

#endif
