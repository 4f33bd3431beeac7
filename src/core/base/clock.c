#include "clock.h"

#include <string.h>
#include <time.h>

static int64_t milliseconds(clockid_t clock) {
  struct timespec time;
  clock_gettime(clock, &time);
  return (int64_t)time.tv_sec * 1000 + time.tv_nsec / 1000000;
}

int64_t seer_clock_now(void) {
  return milliseconds(CLOCK_MONOTONIC);
}

int64_t seer_clock_coarse(void) {
  return milliseconds(CLOCK_MONOTONIC_COARSE);
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

static int64_t days_from_civil(int64_t year, int month, int day) {
  int64_t shifted = year - (month <= 2);
  int64_t era = shifted / 400;
  int64_t year_of_era = shifted % 400;
  int64_t of_year =
      (153 * (month > 2 ? month - 3 : month + 9) + 2) / 5 + day - 1;
  int64_t of_era =
      year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + of_year;
  return era * 146097 + of_era - 719468;
}

/* Writes `value` in `digits` decimal digits and returns what follows. */
static char *put_digits(char *text, int value, int digits) {
  for (int i = digits - 1; i >= 0; i--) {
    text[i] = (char)('0' + value % 10);
    value /= 10;
  }
  return text + digits;
}

void seer_clock_iso8601(int64_t wall, char text[SEER_ISO8601_LENGTH + 1]) {
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
  int64_t second = wall / 1000 + 1;
  if (stamp->second != second) {
    seer_clock_iso8601(wall, stamp->text);
    stamp->second = second;
  } else {
    put_digits(stamp->text + FRACTION, (int)(wall % 1000), 3);
  }
  return stamp->text;
}

/* A reader of an HTTP date: what is left, and whether all went well. */
typedef struct reader {
  const char *at, *end;
  bool ok;
} reader;

static int read_digits(reader *in, int least, int most) {
  int value = 0, count = 0;
  while (count < most && in->at < in->end && *in->at >= '0' &&
         *in->at <= '9') {
    value = value * 10 + (*in->at++ - '0');
    count++;
  }
  in->ok = in->ok && count >= least;
  return value;
}

static void read_byte(reader *in, char byte) {
  if (in->at < in->end && *in->at == byte)
    in->at++;
  else
    in->ok = false;
}

static int read_month(reader *in) {
  static const char names[] = "JanFebMarAprMayJunJulAugSepOctNovDec";
  for (size_t month = 0; in->end - in->at >= 3 && month < 12; month++) {
    if (memcmp(in->at, names + 3 * month, 3) == 0) {
      in->at += 3;
      return (int)month + 1;
    }
  }
  in->ok = false;
  return 1;
}

static int64_t read_time(reader *in) {
  int hour = read_digits(in, 2, 2);
  read_byte(in, ':');
  int minute = read_digits(in, 2, 2);
  read_byte(in, ':');
  int second = read_digits(in, 2, 2);
  in->ok = in->ok && hour < 24 && minute < 60 && second <= 60;
  return ((int64_t)hour * 60 + minute) * 60 + second;
}

/* "06 Nov 1994", or with dashes and two digits for the year. */
static int64_t read_date(reader *in, char separator) {
  int day = read_digits(in, 2, 2);
  read_byte(in, separator);
  int month = read_month(in);
  read_byte(in, separator);
  int year = separator == '-' ? read_digits(in, 2, 2) : read_digits(in, 4, 4);
  if (separator == '-')
    year += year < 70 ? 2000 : 1900;
  in->ok = in->ok && day >= 1 && day <= 31;
  return days_from_civil(year, month, day);
}

/* "Nov  6 08:49:37 1994": the form of asctime. */
static int64_t read_asctime(reader *in) {
  int month = read_month(in);
  read_byte(in, ' ');
  if (in->at < in->end && *in->at == ' ')
    in->at++;
  int day = read_digits(in, 1, 2);
  read_byte(in, ' ');
  int64_t time = read_time(in);
  read_byte(in, ' ');
  int year = read_digits(in, 4, 4);
  in->ok = in->ok && day >= 1 && day <= 31;
  return days_from_civil(year, month, day) * 86400 + time;
}

bool seer_clock_http_date(const char *text, size_t length, int64_t *wall) {
  reader in = {text, text + length, true};
  int64_t seconds;
  while (in.at < in.end && *in.at >= 'A' && *in.at <= 'z')
    in.at++; /* the day of the week is redundant */
  bool comma = in.at < in.end && *in.at == ',';
  if (comma)
    in.at++;
  read_byte(&in, ' ');
  if (comma) {
    char separator = in.end - in.at > 2 ? in.at[2] : ' ';
    seconds = read_date(&in, separator == '-' ? '-' : ' ') * 86400;
    read_byte(&in, ' ');
    seconds += read_time(&in);
    read_byte(&in, ' ');
    in.ok = in.ok && in.end - in.at == 3 && memcmp(in.at, "GMT", 3) == 0;
  } else {
    seconds = read_asctime(&in);
    in.ok = in.ok && in.at == in.end;
  }
  *wall = in.ok ? seconds * 1000 : 0;
  return in.ok;
}
