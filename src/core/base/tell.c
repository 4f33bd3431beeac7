#include "tell.h"

#include "clock.h"
#include "mask.h"
#include "os.h"
#include "thread.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#pragma GCC visibility push(hidden)

const char *const seer_level_names[SEER_LEVELS] = {"off", "error", "warn",
                                                   "info", "debug"};

int64_t seer_trouble_happened(seer_trouble *trouble, int64_t now) {
  int64_t untold = trouble->untold++;
  if (trouble->told_at != 0 && now - trouble->told_at < SEER_TELL_INTERVAL)
    return -1;
  *trouble = (seer_trouble){.told_at = now};
  return untold;
}

int64_t seer_trouble_now(seer_trouble *trouble) {
  int64_t now = seer_clock_now(), untold;
  seer_lock();
  untold = seer_trouble_happened(trouble, now);
  seer_unlock();
  return untold;
}

void seer_tell(seer_level level, const char *format, ...) {
  char
      line[SEER_TELL_LENGTH]; /* below PIPE_BUF: lines of writers stay whole */
  size_t prefix, length;
  va_list arguments;
  snprintf(line, sizeof line, "seerstack: %s: ", seer_level_names[level]);
  prefix = strlen(line);
  va_start(arguments, format);
  vsnprintf(line + prefix, sizeof line - prefix, format, arguments);
  va_end(arguments);
  length = strlen(line);
  seer_mask_controls(line, length);
  line[length] = '\n'; /* where the zero was */
  seer_os_complain(line, length + 1);
}

void seer_tell_again(seer_level level, int64_t untold, const char *text) {
  if (untold == 0)
    seer_tell(level, "%s", text);
  else
    seer_tell(level, "%s (%lld more since the last report)", text,
              (long long)untold);
}
