#include "clock.h"

#include "os.h"

#include <time.h>
#pragma GCC visibility push(hidden)

static int64_t milliseconds(clockid_t clock) {
  struct timespec time;
  clock_gettime(clock, &time);
  return (int64_t)time.tv_sec * 1000 + time.tv_nsec / 1000000;
}

int64_t seer_clock_now(void) {
  return milliseconds(CLOCK_MONOTONIC);
}

int64_t seer_clock_boot(void) {
  return milliseconds(SEER_OS_BOOT);
}

int64_t seer_clock_coarse(void) {
  return milliseconds(SEER_OS_COARSE);
}

int64_t seer_clock_wall(void) {
  return milliseconds(CLOCK_REALTIME);
}

int64_t seer_clock_after(int64_t now, int64_t delay) {
  return delay >= SEER_NEVER - now ? SEER_NEVER : now + delay;
}

/* The civil date of a day counted from 1970-01-01. Years are taken to begin
   in March, so that the leap day is the last of its year. */
static void civil_from_days(int64_t days, int *year, int *month, int *day) {
  int64_t shifted = days + 719468; /* from 0000-03-01 */
  int64_t era = shifted / 146097;  /* 400 years */
  int64_t of_era = shifted % 146097;
  int64_t year_of_era =
      (of_era - of_era / 1460 + of_era / 36524 - of_era / 146096) / 365;
  int64_t of_year =
      of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
  int march_month = (int)((5 * of_year + 2) / 153);
  *day = (int)(of_year - (153 * march_month + 2) / 5 + 1);
  *month = march_month < 10 ? march_month + 3 : march_month - 9;
  *year = (int)(year_of_era + era * 400 + (*month <= 2));
}

/* Writes `value` in `digits` decimal digits and returns what follows. */
static char *put_digits(char *text, int value, int digits) {
  for (int i = digits - 1; i >= 0; i--) {
    text[i] = (char)('0' + value % 10);
    value /= 10;
  }
  return text + digits;
}

static void write_iso8601(int64_t wall, char *text) {
  int year, month, day;
  int of_day = (int)(wall % 86400000);
  civil_from_days(wall / 86400000, &year, &month, &day);
  text = put_digits(text, year, 4);
  *text++ = '-';
  text = put_digits(text, month, 2);
  *text++ = '-';
  text = put_digits(text, day, 2);
  *text++ = 'T';
  text = put_digits(text, of_day / 3600000, 2);
  *text++ = ':';
  text = put_digits(text, of_day / 60000 % 60, 2);
  *text++ = ':';
  text = put_digits(text, of_day / 1000 % 60, 2);
  *text++ = '.';
  text = put_digits(text, of_day % 1000, 3);
  *text++ = 'Z';
  *text = '\0';
}

#define FRACTION 20 /* where its digits are in the text */

const char *seer_clock_stamp(seer_stamp *stamp, int64_t wall) {
  int64_t last = stamp->wall - 1;
  if (wall == last)
    return stamp->text;
  if (last >= 0 && wall / 1000 == last / 1000)
    put_digits(stamp->text + FRACTION, (int)(wall % 1000), 3);
  else
    write_iso8601(wall, stamp->text);
  stamp->wall = wall + 1;
  return stamp->text;
}
