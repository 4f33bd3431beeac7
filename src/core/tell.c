#include "tell.h"

#include "thread.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define LINE 600 /* below PIPE_BUF, so that lines of writers do not mix */

bool seer_trouble_happened(seer_trouble *trouble, int64_t now,
                           int64_t *untold) {
  if (trouble->told_at != 0 && now - trouble->told_at < SEER_TELL_INTERVAL) {
    trouble->untold++;
    return false;
  }
  *untold = trouble->untold;
  trouble->untold = 0;
  trouble->told_at = now;
  return true;
}

void seer_tell(const char *format, ...) {
  char line[LINE] = "seerstack: ";
  size_t prefix = strlen(line), length;
  va_list arguments;
  va_start(arguments, format);
  vsnprintf(line + prefix, sizeof line - prefix, format, arguments);
  va_end(arguments);
  length = strlen(line);
  for (size_t i = 0; i < length; i++)
    if ((unsigned char)line[i] < ' ' || line[i] == 127)
      line[i] = ' ';
  line[length] = '\n'; /* where the zero was */
  seer_write_quietly(STDERR_FILENO, line, length + 1);
}
