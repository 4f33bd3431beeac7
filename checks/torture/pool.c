#include "torture.h"

#include <errno.h>
#include <fnmatch.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define SLOTS 32
#define PATIENCE 20 /* seconds until a run counts as hanging... */
#define LONGER 100  /* ...with a clock that is right */
#define MISSES 3    /* runs that end before their n: there is no more */
#define SHOWN 20    /* bad runs that are told of at length */

/* One run at a time. */
typedef struct slot {
  pid_t pid; /* 0: free */
  torture_job job;
  torture_record *record;
  int output; /* what it writes on the standard error */
  time_t began;
  bool hung;
} slot;

typedef struct tally {
  long most, injected, tried, raised, failed, fine, slow, foreign, bad;
  long leaks;           /* of others than ours and libcurl */
  long reached, stacks; /* when nothing fails */
  int misses;
} tally;

static slot slots[SLOTS];
static tally sum;
static void (*run)(const torture_job *);
static long alone = -1; /* the leaks of others when nothing fails */

/*
** Starting.
*/

static void start(slot *s, const torture_job *job, long n, int speed) {
  static long serial;
  s->job = *job;
  s->job.speed = speed;
  snprintf(s->job.name, sizeof s->job.name, "%ld-%ld", (long)getpid(),
           ++serial);
  memset(s->record, 0, sizeof *s->record);
  s->record->n = n;
  s->hung = false;
  s->began = time(NULL);
  if (ftruncate(s->output, 0) != 0 || lseek(s->output, 0, SEEK_SET) != 0)
    abort();
  fflush(stdout);
  s->pid = fork();
  if (s->pid != 0)
    return;
  setpgid(0, 0);
  dup2(s->output, 2);
  torture_run = s->record;
  torture_plan(job->kinds, job->modules, job->mode, n, torture_stack_of(n));
  run(&s->job);
  exit(0);
}

static void open_slots(int count) {
  for (int i = 0; i < count; i++) {
    slots[i].record =
        mmap(NULL, sizeof(torture_record), PROT_READ | PROT_WRITE,
             MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    slots[i].output = memfd_create("output", MFD_CLOEXEC);
    if (slots[i].record == MAP_FAILED || slots[i].output < 0)
      abort();
  }
}

/*
** Judging.
*/

static bool is_reached(const slot *s) {
  return s->record->injected > 0;
}

static void complain(slot *s, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

static void complain(slot *s, const char *format, ...) {
  size_t length = strlen(s->record->bad);
  va_list arguments;
  va_start(arguments, format);
  vsnprintf(s->record->bad + length, sizeof s->record->bad - length, format,
            arguments);
  va_end(arguments);
}

/* What the server has seen must agree with what the module has counted. */
static void compare(slot *s) {
  long taken, mixed;
  if (!torture_ask(&s->job, &taken, &mixed))
    complain(s, "the server does not answer\n");
  else if (mixed > 0)
    complain(s, "%ld requests had something of another client\n", mixed);
  else if (taken < s->record->delivered)
    complain(s, "%ld events count as delivered, the server has %ld\n",
             s->record->delivered, taken);
}

static void judge(slot *s, int status) {
  torture_record *record = s->record;
  if (s->hung)
    complain(s, "check: hung after \"%s\"\n", record->stage);
  else if (WIFSIGNALED(status))
    complain(s, "crashed with signal %d, after \"%s\"\n", WTERMSIG(status),
             record->stage);
  else if (WEXITSTATUS(status) != 0)
    complain(s, "ended with status %d, after \"%s\"\n", WEXITSTATUS(status),
             record->stage);
  else if (!record->ended)
    complain(s, "ended before its end, after \"%s\"\n", record->stage);
  else
    compare(s);
}

#define OPENSSL "OpenSSL lacks for good what it got no memory for once"

/* What goes wrong in other people's libraries when there is no memory: whose
   call failed (NULL: anybody's), and by what the report is known: words, and a
   pattern of the stack of the crash. */
static const char *excuse(const slot *s) {
  static const struct {
    const char *by, *bad, *crash, *why;
  } known[] = {
      {NULL,   "ended with status 255",                             "*",
       "lua-cjson ends the process when it gets no memory"                                                },
      {"rest", "crashed with signal 11",                            "* getaddrinfo\n*",
       "glibc's getaddrinfo crashes when it gets no memory"                                               },
      {"curl", "'proxy': not the URL of a proxy",                   "*",
       "libcurl calls a host wrong when it gets no memory for it"                                         },
      {NULL,   "which is free already",                             "* free\n    libcurl*libssl*",
       "libcurl frees the name of a TLS session again whose rest it got no "
       "memory for"                                                                                       },
      {NULL,   "not delivered yet: OpenSSL/",                       "*",                           OPENSSL},
      {NULL,   "not delivered yet: SSL: couldn't create a context", "*",
       OPENSSL                                                                                            },
      {NULL,   "not delivered yet: Insufficient randomness",        "*",                           OPENSSL},
  };
  const char *crash = strstr(s->record->where, "crashed here");
  if (crash == NULL)
    crash = strstr(s->record->where, "and this is where");
  for (size_t i = 0; i < sizeof known / sizeof *known; i++)
    if ((known[i].by == NULL || strcmp(s->record->by, known[i].by) == 0) &&
        strstr(s->record->bad, known[i].bad) != NULL &&
        fnmatch(known[i].crash, crash != NULL ? crash : "", 0) == 0)
      return known[i].why;
  return NULL;
}

/*
** Telling.
*/

static void show_output(const slot *s) {
  char text[1500];
  off_t end = lseek(s->output, 0, SEEK_END);
  off_t start = end > 1400 ? end - 1400 : 0;
  ssize_t got = pread(s->output, text, sizeof text - 1, start);
  if (got <= 0)
    return;
  text[got] = '\0';
  printf("  standard error:\n%s\n", text);
}

/* Frames of the module get their lines of the source. */
static void show_where(const slot *s) {
  char *text = s->record->where;
  for (char *line = strtok(text, "\n"); line != NULL;
       line = strtok(NULL, "\n")) {
    unsigned long offset;
    char command[400];
    puts(line);
    if (sscanf(line, "    seerstack.so+%lx", &offset) != 1)
      continue;
    snprintf(command, sizeof command,
             "addr2line -fpse '%s' 0x%lx 2>/dev/null | sed 's/^/        /'",
             getenv("TORTURE_MODULE"), offset - 1);
    fflush(stdout);
    if (system(command) != 0)
      continue;
  }
}

static void show(const slot *s, const char *what) {
  const torture_job *job = &s->job;
  printf("%s: %s\n  again: make torture LUAS=%s SCENARIO=%s CLASS=%s "
         "MODE=%s N=%ld\n",
         what, s->record->bad, getenv("TORTURE_LUA"), job->scenario,
         job->selection, torture_mode_names[job->mode],
         s->record->first > 0 ? s->record->first : s->record->n);
  show_where(s);
  show_output(s);
  fflush(stdout);
}

/*
** Ends.
*/

static void count_fine(slot *s) {
  torture_record *record = s->record;
  long leaks = 0;
  for (int i = MODULE_TLS; i < MODULES; i++)
    leaks += record->leaks[i];
  if (alone < 0)
    alone = leaks;
  sum.leaks += leaks > alone;
  if (record->n > 0 && is_reached(s)) {
    sum.fine++;
    sum.raised += record->raised;
    sum.failed += record->failed && !record->raised;
  }
}

static void count_bad(slot *s) {
  const char *why = excuse(s);
  if (why != NULL) {
    if (sum.foreign++ == 0)
      printf("  not ours, from n = %ld on: %s\n", s->record->n, why);
  } else if (sum.bad++ < SHOWN) {
    show(s, "BAD");
  }
}

/* Whether it may only have been too slow: the exit waits half a second for
   the thread to leave libcurl, and with a fast clock that is not long. */
static bool may_be_slow(const slot *s) {
  return s->job.speed > 1 &&
         (strncmp(s->record->bad, "check:", 6) == 0 ||
          (strcmp(s->record->stage, "closed") == 0 &&
           strstr(s->record->where, "curl_multi_perform") != NULL));
}

/* Such a run is made again, with a clock that is right. */
static void finish(slot *s, int status) {
  judge(s, status);
  s->pid = 0;
  if (may_be_slow(s) && excuse(s) == NULL) {
    sum.slow++;
    start(s, &s->job, s->record->n, 1);
    return;
  }
  if (s->record->reached > sum.most)
    sum.most = s->record->reached;
  sum.injected += s->record->injected;
  if (s->record->n > 0)
    sum.misses = is_reached(s) || torture_stack_of(s->record->n) != 0
                     ? 0
                     : sum.misses + 1;
  sum.tried += is_reached(s);
  if (s->record->met)
    torture_stack_failed(s->record->n);
  if (s->record->bad[0] == '\0')
    count_fine(s);
  else
    count_bad(s);
}

static slot *find(pid_t pid) {
  for (int i = 0; i < SLOTS; i++)
    if (slots[i].pid == pid)
      return &slots[i];
  return NULL;
}

/* Where each thread of it is, if there is a debugger to tell. */
static void show_threads(const slot *s) {
  char command[300];
  if (s->job.speed > 1)
    return;
  snprintf(command, sizeof command,
           "command -v gdb >/dev/null && gdb -p %ld -batch -ex "
           "'thread apply all backtrace 25' 2>/dev/null | tail -n 80",
           (long)s->pid);
  fflush(stdout);
  if (system(command) != 0)
    printf("  (no debugger tells where it hangs)\n");
}

static int patience(const slot *s) {
  return s->job.speed > 1 ? PATIENCE : LONGER;
}

static void end_hanging(void) {
  for (int i = 0; i < SLOTS; i++)
    if (slots[i].pid != 0 &&
        time(NULL) - slots[i].began > patience(&slots[i]) && !slots[i].hung) {
      slots[i].hung = true;
      show_threads(&slots[i]);
      kill(-slots[i].pid, SIGKILL);
    }
}

/* Waits for the end of a run. */
static void wait_for_one(void) {
  int status;
  pid_t pid;
  while ((pid = waitpid(-1, &status, WNOHANG)) == 0 ||
         (pid < 0 && errno == EINTR)) {
    struct timespec pause = {0, 500000};
    nanosleep(&pause, NULL);
    end_hanging();
  }
  if (pid > 0 && find(pid) != NULL)
    finish(find(pid), status);
}

static int running(void) {
  int count = 0;
  for (int i = 0; i < SLOTS; i++)
    count += slots[i].pid != 0;
  return count;
}

static void wait_for_all(void) {
  while (running() > 0)
    wait_for_one();
}

static void print_sum(const torture_job *job) {
  printf("%-10s %-13s %-6s %6ld reached %6ld runs %7ld failures: %5ld raised "
         "%5ld told %5ld unharmed",
         job->scenario, job->selection, torture_mode_names[job->mode],
         sum.reached, sum.tried, sum.injected, sum.raised, sum.failed,
         sum.fine - sum.raised - sum.failed);
  if (sum.stacks > 0)
    printf(", %ld of %ld stacks", torture_failed_stacks(), sum.stacks);
  if (sum.foreign > 0)
    printf(", %ld not ours", sum.foreign);
  if (sum.leaks > 0)
    printf(", %ld with leaks of other libraries", sum.leaks);
  if (sum.slow > 0)
    printf(", %ld slow", sum.slow);
  printf(", %ld bad\n", sum.bad);
  printf("count %ld %ld %ld %ld %ld %ld\n", sum.fine + sum.foreign, sum.bad,
         sum.reached, sum.injected, torture_failed_stacks(), sum.stacks);
}

/* Where a sample begins, and how far apart its members are. */
static void choose(torture_job *job) {
  if (job->runs == 0)
    return;
  job->step = (sum.most + job->runs - 1) / job->runs;
  if (job->step < 1)
    job->step = 1;
  job->from = (job->step + 1) / 2;
}

int torture_pool(const torture_job *wanted,
                 void (*function)(const torture_job *)) {
  torture_job job = *wanted;
  int jobs = job.jobs < SLOTS ? job.jobs : SLOTS;
  run = function;
  open_slots(jobs);
  if (job.stacks)
    torture_open_stacks();
  start(&slots[0], &job, 0, job.speed); /* as it is when nothing fails */
  wait_for_all();
  if (sum.bad > 0)
    sum.misses = MISSES; /* the scenario itself is at fault */
  sum.tried = 0;
  sum.reached = sum.most;
  if (job.stacks)
    sum.stacks = torture_sort_stacks();
  choose(&job);
  for (long n = job.from;
       sum.misses < MISSES && n <= sum.most + MISSES &&
       (job.last == 0 || n <= job.last) && sum.bad < 5 * SHOWN;
       n += job.step) {
    if (job.stacks && !torture_is_chosen(n, job.mode))
      continue;
    while (running() == jobs)
      wait_for_one();
    start(find(0), &job, n, job.speed);
  }
  wait_for_all();
  print_sum(&job);
  return sum.bad > 0;
}
