/* The least that a C program on libcurl's multi interface has to do: POSTs a
   body `count` times, `in_flight` at a time, with the headers of the module,
   and prints the nanoseconds that it took and that it computed. What the
   module does beyond this is what the drain row shows. With `fresh`, each
   request has a handle of its own, as the module's have before libcurl 8.1.1.
     multi url key body count in_flight fresh|reused [ca_file] */

#include "core/base/version.h"

#include <curl/curl.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define KEY_DIGITS 12 /* of the Idempotency-Key that differ */
#define MOST 256      /* requests in flight */

typedef struct lane {
  CURL *easy;
  struct curl_slist *headers;
  char *digits; /* in the first header */
} lane;

static const char *url, *key, *body, *ca_file;
static bool fresh;

static int64_t read_clock(clockid_t clock) {
  struct timespec time;
  clock_gettime(clock, &time);
  return (int64_t)time.tv_sec * 1000000000 + time.tv_nsec;
}

static size_t ignore(char *bytes, size_t size, size_t count, void *data) {
  (void)bytes, (void)data;
  return size * count;
}

static void make_headers(lane *l) {
  char text[512];
  l->headers = curl_slist_append(
      NULL, "Idempotency-Key: 00000000-0000-4000-8000-000000000000");
  l->digits = l->headers->data + strlen(l->headers->data) - KEY_DIGITS;
  snprintf(text, sizeof text, "Authorization: Bearer %s", key);
  l->headers = curl_slist_append(l->headers, text);
  l->headers = curl_slist_append(l->headers, "Accept: application/json");
  l->headers = curl_slist_append(l->headers, "Content-Type: application/json");
  l->headers =
      curl_slist_append(l->headers, "User-Agent: Seerstack/Lua " SEER_VERSION);
  l->headers = curl_slist_append(l->headers, "Expect:");
}

static void make_handle(lane *l) {
  l->easy = curl_easy_init();
  curl_easy_setopt(l->easy, CURLOPT_URL, url);
  curl_easy_setopt(l->easy, CURLOPT_HTTPHEADER, l->headers);
  curl_easy_setopt(l->easy, CURLOPT_HTTP_VERSION, CURL_HTTP_VERSION_1_1);
  curl_easy_setopt(l->easy, CURLOPT_POSTFIELDS, body);
  curl_easy_setopt(l->easy, CURLOPT_POSTFIELDSIZE, (long)strlen(body));
  curl_easy_setopt(l->easy, CURLOPT_WRITEFUNCTION, ignore);
  curl_easy_setopt(l->easy, CURLOPT_PRIVATE, l);
  curl_easy_setopt(l->easy, CURLOPT_NOSIGNAL, 1L);
  curl_easy_setopt(l->easy, CURLOPT_PROXY, "");
  if (ca_file != NULL)
    curl_easy_setopt(l->easy, CURLOPT_CAINFO, ca_file);
}

static void start(CURLM *multi, lane *l, long number) {
  char digits[32];
  snprintf(digits, sizeof digits, "%0*ld", KEY_DIGITS, number);
  memcpy(l->digits, digits, KEY_DIGITS);
  if (fresh) {
    curl_easy_cleanup(l->easy);
    make_handle(l);
  }
  curl_multi_add_handle(multi, l->easy);
}

/* Sends one more for each that has ended; the number of those. */
static long go_on(CURLM *multi, long *started, long count) {
  CURLMsg *message;
  int left;
  long done = 0;
  while ((message = curl_multi_info_read(multi, &left)) != NULL) {
    lane *l;
    long status = 0;
    CURL *easy = message->easy_handle;
    if (message->msg != CURLMSG_DONE)
      continue;
    curl_easy_getinfo(easy, CURLINFO_RESPONSE_CODE, &status);
    curl_easy_getinfo(easy, CURLINFO_PRIVATE, (char **)&l);
    if (message->data.result != CURLE_OK || status != 200) {
      fprintf(stderr, "multi: status %ld, %s\n", status,
              curl_easy_strerror(message->data.result));
      exit(1);
    }
    curl_multi_remove_handle(multi, easy);
    done++;
    if (*started < count)
      start(multi, l, (*started)++);
  }
  return done;
}

static void send_all(CURLM *multi, lane *lanes, long lane_count, long count) {
  long started = 0, done = 0;
  int running;
  for (; started < lane_count && started < count; started++)
    start(multi, &lanes[started], started);
  while (done < count) {
    long ended;
    curl_multi_perform(multi, &running);
    ended = go_on(multi, &started, count);
    done += ended;
    if (ended == 0)
      curl_multi_poll(multi, NULL, 0, 1000, NULL);
  }
}

int main(int argc, char **argv) {
  static lane lanes[MOST];
  long count, lane_count;
  int64_t wall, cpu;
  CURLM *multi;
  if (argc < 7) {
    fprintf(stderr, "usage: multi url key body count in_flight fresh|reused "
                    "[ca_file]\n");
    return 2;
  }
  url = argv[1];
  key = argv[2];
  body = argv[3];
  fresh = strcmp(argv[6], "fresh") == 0;
  ca_file = argc > 7 ? argv[7] : NULL;
  count = strtol(argv[4], NULL, 10);
  lane_count = strtol(argv[5], NULL, 10);
  if (lane_count < 1 || lane_count > MOST)
    return 2;
  curl_global_init(CURL_GLOBAL_DEFAULT);
  multi = curl_multi_init();
  for (long i = 0; i < lane_count; i++)
    make_headers(&lanes[i]), make_handle(&lanes[i]);
  send_all(multi, lanes, lane_count, lane_count); /* connects */
  wall = read_clock(CLOCK_MONOTONIC);
  cpu = read_clock(CLOCK_THREAD_CPUTIME_ID);
  send_all(multi, lanes, lane_count, count);
  printf("%lld %lld\n", (long long)(read_clock(CLOCK_MONOTONIC) - wall),
         (long long)(read_clock(CLOCK_THREAD_CPUTIME_ID) - cpu));
  return 0;
}
