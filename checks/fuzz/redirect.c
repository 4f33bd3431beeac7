/*
 * Where a redirect leads. Another origin gets no secret, never again in the
 * same request; https does not become http; and what libcurl is told to
 * fetch is one URL that means what was checked.
 */

#include "support/fuzz.h"

#include "core/base/ascii.h"
#include "core/http/outgoing.h"

#include <curl/curl.h>
#include <stdio.h>
#include <strings.h>

#define KEY "sk_fuzz_0123456789"
#define COOKIE "session=fuzz_cookie_abc"
#define HIDDEN "fuzz_private_value"

static const char *const bases[] = {"https://api.example.com",
                                    "http://api.example.com/p/",
                                    "https://api.example.com:8443/",
                                    "http://127.0.0.1:8080/a/b",
                                    "http://[::1]:80",
                                    "https://xn--bcher-kva.example"};

/* What is percent-encoded in a host means the same. */
static void decode(char *text) {
  char *to = text;
  for (unsigned code; *text != '\0'; to++) {
    if (*text == '%' && sscanf(text + 1, "%2x", &code) == 1) {
      *to = (char)code;
      text += 3;
    } else {
      *to = *text++;
    }
  }
  *to = '\0';
}

/* Scheme, host and port of an absolute URL, in lower case, with the port of
   the scheme if there is none: by hand, for libcurl is what is judged. */
static void origin_of(const char *url, char *origin, size_t size) {
  const char *slashes = strstr(url, "://");
  const char *host, *end, *port = NULL;
  bool secure = strncasecmp(url, "https:", 6) == 0;
  fuzz_check(slashes != NULL && (secure || strncasecmp(url, "http:", 5) == 0),
             "no URL of http: %s", url);
  host = slashes + 3;
  end = host + strcspn(host, "/?#");
  fuzz_check(memchr(host, '@', (size_t)(end - host)) == NULL, "a user: %s",
             url);
  /* In the zone of an address it is a letter like others. */
  fuzz_check(*host == '[' || memchr(host, '\\', (size_t)(end - host)) == NULL,
             "a backslash: %s", url);
  for (const char *c = host; c < end; c++)
    if (*c == ':' && (*host != '[' || memchr(host, ']', (size_t)(c - host))))
      port = c;
  snprintf(origin, size, "%s|%.*s|%.*s", secure ? "https" : "http",
           (int)((port != NULL ? port : end) - host), host,
           port != NULL && port + 1 < end ? (int)(end - port - 1)
           : secure                       ? 3
                                          : 2,
           port != NULL && port + 1 < end ? port + 1
           : secure                       ? "443"
                                          : "80");
  decode(origin);
  for (char *c = origin; *c != '\0'; c++)
    *c = seer_lower(*c);
}

static void check_url(const char *url) {
  CURLU *parts = curl_url();
  char *host = NULL, origin[9000];
  for (const char *c = url; *c != '\0'; c++)
    fuzz_check((uint8_t)*c > ' ' && *c != 0x7F, "a control or space: %s", url);
  fuzz_check(curl_url_set(parts, CURLUPART_URL, url, CURLU_DISALLOW_USER) ==
                     CURLUE_OK &&
                 curl_url_get(parts, CURLUPART_HOST, &host, 0) == CURLUE_OK,
             "libcurl takes it for no URL: %s", url);
  origin_of(url, origin, sizeof origin);
  /* What libcurl calls the host of an address has no zone. */
  fuzz_check(strncasecmp(strchr(origin, '|') + 1, host,
                         strlen(host) - (*host == '[')) == 0,
             "another host than %s: %s", host, url);
  curl_free(host);
  curl_url_cleanup(parts);
}

static void check_headers(const struct curl_slist *list, bool foreign,
                          bool get) {
  bool authorized = false;
  for (; list != NULL; list = list->next) {
    fuzz_check(strpbrk(list->data, "\r\n") == NULL, "two lines");
    authorized = authorized || strstr(list->data, KEY) != NULL;
    fuzz_check(!foreign || (strstr(list->data, KEY) == NULL &&
                            strstr(list->data, COOKIE) == NULL &&
                            strstr(list->data, HIDDEN) == NULL),
               "another origin gets %s", list->data);
    fuzz_check(!get || strncasecmp(list->data, "Content-", 8) != 0,
               "a GET has %s", list->data);
  }
  fuzz_check(foreign || authorized, "the key is missing");
}

static void follow(seer_outgoing *out, seer_incoming *in, const char *home,
                   bool *left) {
  char before[9000], after[9000];
  const char *refusal, *url;
  origin_of(seer_outgoing_url(out), before, sizeof before);
  if (!seer_outgoing_find_redirect(out, in, &refusal)) {
    fuzz_check(refusal != NULL || in->status == 300 || in->status == 304 ||
                   in->status == 305,
               "refused without reason");
    return;
  }
  seer_outgoing_redirect(out);
  url = seer_outgoing_url(out);
  check_url(url);
  origin_of(url, after, sizeof after);
  *left = *left || strcmp(after, home) != 0;
  fuzz_check(strncmp(before, "https", 5) != 0 ||
                 strncmp(after, "https", 5) == 0,
             "from https to %s", url);
  fuzz_check(out->foreign == *left, "%s %s of %s", url,
             *left ? "is none" : "is", home);
  fuzz_check(out->redirects <= SEER_OUTGOING_REDIRECTS, "too many");
  check_headers(seer_outgoing_headers(out), out->foreign, out->get);
}

static void run(input *in, seer_outgoing *out, const char *home) {
  static const int statuses[] = {301, 302, 303, 307, 308, 300, 304, 305};
  seer_incoming incoming;
  bool left = false;
  seer_incoming_init(&incoming);
  for (int hops = 0; in->at < in->end && hops < 12; hops++) {
    const char *line, *end;
    size_t length, status = input_below(in, 8);
    char text[32];
    line = (const char *)in->at;
    end = memchr(line, '\n', (size_t)(in->end - in->at));
    length =
        end != NULL ? (size_t)(end - line) + 1 : (size_t)(in->end - in->at);
    in->at += length;
    seer_incoming_clear(&incoming);
    seer_incoming_init(&incoming);
    snprintf(text, sizeof text, "HTTP/1.1 %d Moved\r\n", statuses[status]);
    seer_incoming_header(&incoming, text, strlen(text));
    seer_buffer_append(&incoming.headers, "Location: ", 10);
    seer_incoming_header(&incoming, line, length);
    follow(out, &incoming, home, &left);
  }
  seer_incoming_clear(&incoming);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  static const char headers[] = "Cookie: " COOKIE "\0X-Private: " HIDDEN "\0";
  static seer_site *sites[sizeof bases / sizeof *bases];
  input in = input_of(data, size);
  size_t which = input_below(&in, sizeof bases / sizeof *bases);
  seer_site_options options = {.base_url = bases[which],
                               .api_key = KEY,
                               .proxy = "",
                               .headers = headers};
  static const char own[] = "X-Own: " HIDDEN "\0";
  seer_special special = {.headers = own, .query = "q=1\0"};
  uint8_t mode = input_byte(&in);
  char home[1000];
  seer_event *event = seer_event_new(&(seer_draft){
      .body = "{}", .length = 2, .special = mode & 1 ? &special : NULL});
  seer_outgoing out;
  if (sites[which] == NULL)
    sites[which] = seer_site_new(&options);
  if (mode & 2)
    event->request = seer_request_new(1000, 0);
  seer_outgoing_init(&out, sites[which], event);
  check_url(seer_outgoing_url(&out));
  origin_of(seer_outgoing_url(&out), home, sizeof home);
  run(&in, &out, home);
  seer_outgoing_clear(&out);
  if (event->request != NULL)
    seer_request_free(event->request);
  event->request = NULL;
  seer_event_free(event);
  return 0;
}
