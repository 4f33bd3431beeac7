#include "torture.h"

#include <dlfcn.h>
#include <execinfo.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Appends a line for each frame: library, function, offset. */
static void describe(void *const *stack, int depth) {
  char *where = torture_run->where;
  size_t size = sizeof torture_run->where, length = strlen(where);
  for (int i = 0; i < depth && length + 200 < size; i++) {
    Dl_info info;
    const char *file = "?", *name = "";
    uintptr_t base = 0;
    if (dladdr(stack[i], &info) != 0) {
      file = strrchr(info.dli_fname, '/');
      file = file != NULL ? file + 1 : info.dli_fname;
      name = info.dli_sname != NULL ? info.dli_sname : "";
      base = (uintptr_t)info.dli_fbase;
    }
    length += (size_t)snprintf(
        where + length, size - length, "    %s+0x%lx %s\n", file,
        (unsigned long)((uintptr_t)stack[i] - base), name);
  }
}

void torture_describe(void) {
  torture_record *run = torture_run;
  if (run->where[0] != '\0' || run->depth == 0)
    return;
  snprintf(run->where, sizeof run->where, "  %s of %s failed here:\n",
           run->call, run->by);
  describe(run->stack, run->depth);
}

void torture_complain(const char *format, ...) {
  char *bad = torture_run->bad;
  size_t length = strlen(bad);
  va_list arguments;
  va_start(arguments, format);
  vsnprintf(bad + length, sizeof torture_run->bad - length, format, arguments);
  va_end(arguments);
  torture_describe();
}

static void describe_here(const char *what) {
  void *stack[FRAMES];
  size_t length = strlen(torture_run->where);
  snprintf(torture_run->where + length, sizeof torture_run->where - length,
           "  %s:\n", what);
  describe(stack, backtrace(stack, FRAMES));
}

void torture_abort(const char *format, ...) {
  char *bad = torture_run->bad;
  size_t length = strlen(bad);
  va_list arguments;
  torture_disarm();
  va_start(arguments, format);
  vsnprintf(bad + length, sizeof torture_run->bad - length, format, arguments);
  va_end(arguments);
  strncat(bad, "\n", sizeof torture_run->bad - strlen(bad) - 1);
  torture_describe();
  describe_here("and this is where");
  _exit(99);
}

static void on_crash(int number) {
  signal(number, SIG_DFL);
  torture_disarm();
  torture_describe();
  describe_here("crashed here");
  raise(number);
}

void torture_catch_crashes(void) {
  static char alternative[1 << 16];
  static const int numbers[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT};
  stack_t stack = {.ss_sp = alternative, .ss_size = sizeof alternative};
  struct sigaction action = {.sa_handler = on_crash};
  void *frames[2];
  action.sa_flags = SA_ONSTACK | SA_NODEFER;
  sigaltstack(&stack, NULL);
  for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++)
    sigaction(numbers[i], &action, NULL);
  backtrace(frames, 2); /* loads what it needs */
}
