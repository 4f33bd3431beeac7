#ifndef TORTURE_H
#define TORTURE_H

/*
 * A program that runs a scenario, a Lua file, again and again, each time in
 * a fork of its own, and each time makes another call of the system, of
 * libcurl or of the allocator fail: the n-th, for every n that the scenario
 * reaches. It is linked so that its own functions take the place of those of
 * the C library, and of libcurl, for all that it loads.
 *
 *   host.c   runs a scenario once, and judges what came of it
 *   pool.c   forks, waits, kills what hangs, prints
 *   plan.c   which call is to fail
 *   stacks.c which calls stand for others
 *   heap.c   an allocator that never gives the same memory twice, and so
 *            notices who uses what is freed, and who writes beyond
 *   leaks.c  what nothing points to at the end
 *   calls.c  calls of the system that can fail; and a clock that runs fast
 *   curl.c   calls of libcurl that can fail
 *   crash.c  where a signal came from
 *   ask.c    what the server has seen
 */

#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/types.h>

/* Whose call it is, told by the return address. */
typedef enum torture_module {
  MODULE_OURS, /* seerstack.so, sqlite.so */
  MODULE_CURL, /* libcurl */
  MODULE_TLS,  /* libssl, libcrypto */
  MODULE_LUA,  /* Lua's allocator, and what liblua asks for itself */
  MODULE_JSON, /* lua-cjson */
  MODULE_REST, /* the C library, the dynamic linker, the other libraries */
  MODULE_HOST, /* this program: never fails */
  MODULES
} torture_module;

extern const char *const torture_module_names[MODULES];

/* What fails together. */
typedef enum torture_kind {
  KIND_MEMORY,  /* malloc and its like */
  KIND_THREADS, /* making threads and locks */
  KIND_NETWORK, /* sockets, descriptors, polling */
  KIND_FILES,   /* opening files */
  KIND_RANDOM,  /* random numbers */
  KIND_PROCESS, /* handlers of exit and fork, pinning */
  KIND_LIBCURL, /* functions of libcurl */
  KINDS
} torture_kind;

extern const char *const torture_kind_names[KINDS];

typedef enum torture_mode {
  MODE_ONCE,   /* the n-th alone */
  MODE_OUTAGE, /* from the n-th on, until the scenario has run */
  MODE_EVER,   /* from the n-th on, until the process ends */
  MODES
} torture_mode;

extern const char *const torture_mode_names[MODES];

#define FRAMES 40

/* What became of a run; in memory that the parent shares. */
typedef struct torture_record {
  long n;
  long first;            /* call that failed: n, or near it */
  _Atomic long reached;  /* calls that could have failed */
  _Atomic long injected; /* calls that failed */
  bool ended;            /* the exit handlers ran to their end */
  bool failed;           /* some call of the scenario has told of trouble */
  bool raised;           /* the scenario was ended by an error */
  long delivered;        /* events, as the module counts them */
  int leaks[MODULES];
  int depth; /* of the stack at the first call that failed */
  void *stack[FRAMES];
  bool met;         /* that call had the stack that was meant */
  char call[40];    /* what failed first */
  char by[24];      /* whose call that was */
  char stage[40];   /* how far it came */
  char bad[2000];   /* what must not be */
  char where[6000]; /* frames of the call that failed, and of a crash */
} torture_record;

/* plan.c */

extern torture_record *torture_run;

/* n is 0 when nothing is to fail; stack, if not 0, is that of the call. */
void torture_plan(unsigned kinds, unsigned modules, torture_mode mode, long n,
                  uint64_t stack);
void torture_arm(void);
void torture_disarm(void);
torture_mode torture_planned(void);
torture_module torture_whose(const void *address);

/* Counts a call, and tells whether it is to fail. */
bool torture_fails(torture_kind kind, const char *call, const void *caller);
bool torture_fails_for(torture_kind kind, const char *call,
                       torture_module module);

/* The function whose place one of ours has taken. */
void *torture_next(const char *name);

#define CALLER __builtin_return_address(0)
#define EXPORTED __attribute__((visibility("default")))

/* heap.c */

typedef struct torture_block {
  size_t size; /* that was asked for */
  size_t span; /* from here to the next block */
  const void *caller;
  uint64_t number;
  uint32_t state;
  uint32_t mark;
  uint64_t filler; /* memory is aligned to 16 bytes */
} torture_block;

#define BLOCK_USED 0xA110CA7Eu
#define BLOCK_FREED 0xF4EED000u
#define BLOCK_GAP 0x6A9u

void *torture_allocate(size_t size, const void *caller);
void *torture_reallocate(void *old, size_t size, const void *caller);
void torture_free(void *memory);
torture_block *torture_next_block(torture_block *block);
bool torture_in_heap(const void *address);

/* Complains of blocks that were written to beyond their end, or when they had
   been freed. */
void torture_check_heap(void);

/* leaks.c */

/* Counts what was allocated since `first` and nothing points to, but for what
   the module may have left behind in a fork. */
void torture_find_leaks(uint64_t first);
uint64_t torture_allocations(void);

/* calls.c */

/* Who forks, as long as it does. By trying its lock the module finds out in
   the child whether another thread had that; then it does not free what queues
   had, which is among so many allocations. */
extern pid_t torture_forker;
extern uint64_t torture_left_behind;

/* How many times faster than ours the clock of the scenario runs. */
extern int torture_speed;

/* crash.c */

void torture_catch_crashes(void);

/* Notes the stack of the first call that failed. */
void torture_describe(void);

/* What must not be: notes it, with the stack of the first failure. */
void torture_complain(const char *format, ...)
    __attribute__((format(printf, 1, 2)));

/* The same, and ends the process. */
void torture_abort(const char *format, ...)
    __attribute__((format(printf, 1, 2), noreturn));

/* stacks.c */

void torture_open_stacks(void);

/* Notes the stack of call n, in the run in which nothing fails; 0: it has none
   and stands for itself. */
void torture_note_stack(long n, uint64_t hash);
uint64_t torture_stack_of(long n);

/* How many stacks there are. */
long torture_sort_stacks(void);

/* Whether call n is among those that stand for all that have its stack. */
bool torture_is_chosen(long n, torture_mode mode);

/* Notes that a call with the stack of call n has failed; how many have. */
void torture_stack_failed(long n);
long torture_failed_stacks(void);

/* pool.c */

typedef struct torture_job {
  const char *scenario;
  const char *selection; /* of kinds and modules, as it was given */
  unsigned kinds, modules;
  torture_mode mode;
  long from, step, last; /* last 0: all that are reached */
  long runs;   /* 0: one for each n; else about so many, evenly spread */
  bool stacks; /* of allocations of others, one for each stack */
  int jobs, speed;
  int port;      /* of the server, to ask what it has seen */
  char name[64]; /* of the run, for the server */
} torture_job;

/* Has the scenario run for each n, in children; the number of bad runs. */
int torture_pool(const torture_job *job, void (*run)(const torture_job *));

/* ask.c */

/* How many events of a run the server has taken, and how many of its requests
   had something of another client; false if it does not say. */
bool torture_ask(const torture_job *job, long *taken, long *mixed);

#endif
