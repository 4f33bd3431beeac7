#include "http.h"

#include "clock.h"
#include "http_request.h"
#include "http_trace.h"
#include "thread.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#if LIBCURL_VERSION_NUM < 0x075700
#error "libcurl 7.87 or newer is needed"
#endif

/* From this version on a handle forgets its last answer's headers. Before, if
   an answer begins with a line that continues a header, libcurl writes to the
   last header of the answer before, which it has freed. */
#define REUSABLE 0x080101

#define UNKNOWN_SITE UINT64_MAX /* a handle that has parts of some site */

/* A transfer as the rest of the core sees it, and what libcurl needs. */
typedef struct flight {
  seer_transfer transfer; /* the first member: see flight_of */
  CURL *easy;
  seer_site *site;
  uint64_t prepared_for; /* serial of the site whose options it has; 0: none */
  seer_outgoing outgoing;
  seer_incoming incoming;
  int64_t began, deadline;
  long connect_timeout;
  bool thorough;  /* all of the answer will be read */
  bool connected; /* counted in site->connected */
  bool got;       /* its handle was used for a GET */
  char error[CURL_ERROR_SIZE];
  struct flight *next; /* among the idle */
} flight;

struct seer_http {
  CURLM *multi;
  flight *idle;
  int *sockets; /* open now */
  size_t socket_count, socket_room;
  CURLSH *share;          /* TLS sessions, which a handle takes with it */
  bool reuses;            /* handles can be used again */
  struct seer_http *next; /* among the abandoned */
};

static flight *flight_of(seer_transfer *transfer) {
  return (flight *)(void *)transfer;
}

bool seer_http_init(void) {
  return curl_global_init(CURL_GLOBAL_DEFAULT) == CURLE_OK;
}

/* Sockets are known by number, so that the child of a fork can close what
   it has inherited. */

static bool remember_socket(seer_http *http, int fd) {
  if (http->socket_count == http->socket_room) {
    size_t room = http->socket_room * 2 + 16;
    int *sockets = realloc(http->sockets, room * sizeof *sockets);
    if (sockets == NULL)
      return false;
    http->sockets = sockets;
    http->socket_room = room;
  }
  http->sockets[http->socket_count++] = fd;
  return true;
}

static curl_socket_t open_socket(void *data, curlsocktype purpose,
                                 struct curl_sockaddr *address) {
  int fd = socket(address->family, address->socktype | SOCK_CLOEXEC,
                  address->protocol);
  (void)purpose;
  if (fd < 0)
    return CURL_SOCKET_BAD;
  if (remember_socket(data, fd))
    return fd;
  close(fd);
  return CURL_SOCKET_BAD;
}

static int close_socket(void *data, curl_socket_t fd) {
  seer_http *http = data;
  for (size_t i = 0; i < http->socket_count; i++) {
    if (http->sockets[i] == fd) {
      http->sockets[i] = http->sockets[--http->socket_count];
      break;
    }
  }
  return close(fd);
}

static size_t on_header(char *line, size_t size, size_t count, void *data) {
  flight *f = data;
  size_t length = size * count;
  return seer_incoming_header(&f->incoming, line, length) ? length : 0;
}

static size_t on_body(char *bytes, size_t size, size_t count, void *data) {
  flight *f = data;
  size_t length = size * count;
  return seer_incoming_body(&f->incoming, bytes, length) ? length : 0;
}

/* Called each time the request is about to go over a connection: a second
   call means that libcurl sends it again because a reused one had died. */
static int on_connected(void *data, char *remote, char *local, int port,
                        int local_port) {
  flight *f = data;
  (void)remote, (void)local, (void)port, (void)local_port;
  f->transfer.sent++;
  seer_lock();
  if (!f->connected)
    f->site->connected++;
  f->site->connected_at = seer_clock_now();
  seer_unlock();
  f->connected = true;
  return CURL_PREREQFUNC_OK;
}

static void disconnected(flight *f) {
  if (!f->connected)
    return;
  f->connected = false;
  seer_lock();
  f->site->connected--;
  f->site->connected_at = seer_clock_now(); /* until now it was */
  seer_unlock();
}

/* Sets an option of the handle `easy`; false if libcurl refuses. */
#define SET(option, value)                                                    \
  (curl_easy_setopt(easy, CURLOPT_##option, value) == CURLE_OK)

/* What is the same for every request of a handle. */
static bool set_permanent(seer_http *http, flight *f) {
  CURL *easy = f->easy;
  return SET(PRIVATE, f) && SET(POST, 1L) && SET(NOSIGNAL, 1L) &&
         SET(NETRC, (long)CURL_NETRC_IGNORED) && SET(FOLLOWLOCATION, 0L) &&
         SET(PROTOCOLS_STR, "http,https") &&
         SET(SUPPRESS_CONNECT_HEADERS, 1L) && SET(ERRORBUFFER, f->error) &&
         SET(HEADERFUNCTION, on_header) && SET(HEADERDATA, f) &&
         SET(WRITEFUNCTION, on_body) && SET(WRITEDATA, f) &&
         SET(PREREQFUNCTION, on_connected) && SET(PREREQDATA, f) &&
         SET(OPENSOCKETFUNCTION, open_socket) && SET(OPENSOCKETDATA, http) &&
         SET(CLOSESOCKETFUNCTION, close_socket) &&
         SET(CLOSESOCKETDATA, http) && SET(SHARE, http->share) &&
         SET(QUICK_EXIT, 1L); /* join no resolver */
}

static bool set_authorities(CURL *easy, const seer_site *site) {
  struct curl_blob blob = {site->ca_blob, 0, CURL_BLOB_COPY};
  if (site->ca_file == NULL && site->ca_blob == NULL)
    return true;
  if (!SET(CAPATH, NULL) || !SET(PROXY_CAPATH, NULL))
    return false; /* these, and no others */
  if (site->ca_blob == NULL)
    return SET(CAINFO, site->ca_file) && SET(PROXY_CAINFO, site->ca_file);
  blob.len = strlen(site->ca_blob);
  return SET(CAINFO_BLOB, &blob) && SET(PROXY_CAINFO_BLOB, &blob);
}

/* HTTP/2 wants TLS 1.2; and libcurl does not reuse a connection that was
   opened without asking for it. */
static bool set_version(CURL *easy, const seer_site *site) {
  return SET(HTTP_VERSION, site->http_version) &&
         (site->http_version != CURL_HTTP_VERSION_2TLS ||
          SET(SSLVERSION, CURL_SSLVERSION_TLSv1_2));
}

/* What is the same for every request to a site. */
static bool set_site(flight *f, const seer_site *site) {
  CURL *easy = f->easy;
  if (f->prepared_for == site->serial)
    return true;
  f->prepared_for = UNKNOWN_SITE; /* until all of it is set */
  if (!set_version(easy, site) || !SET(RESOLVE, site->addresses) ||
      !SET(PROXY, site->proxy) || !SET(NOPROXY, site->no_proxy) ||
      !set_authorities(easy, site))
    return false;
  f->prepared_for = site->serial;
  return true;
}

/* Makes the handle send what `outgoing` says. */
static bool set_request(flight *f) {
  CURL *easy = f->easy;
  int64_t left = f->deadline - seer_clock_now();
  struct curl_slist *headers = seer_outgoing_headers(&f->outgoing);
  const char *url = seer_outgoing_url(&f->outgoing);
  return headers != NULL && url != NULL &&
         SET(TIMEOUT_MS, (long)(left > 0 ? left : 1)) &&
         SET(CONNECTTIMEOUT_MS, f->connect_timeout) &&
         SET(HTTPHEADER, headers) && SET(URL, url);
}

static bool set_method(flight *f) {
  const seer_event *event = f->transfer.event;
  CURL *easy = f->easy;
  bool get = f->outgoing.get, changed = get != f->got;
  f->got = get; /* even if libcurl refuses: then it is to be set again */
  if (get)
    return !changed || SET(HTTPGET, 1L);
  return (!changed || SET(POST, 1L)) &&
         SET(POSTFIELDSIZE_LARGE, (curl_off_t)event->length) &&
         SET(POSTFIELDS, (const char *)event->body);
}

/* Gives it another handle. The connections stay: they are the multi handle's.
   To reset the one there is would not do, for curl_easy_reset does not say
   when it got no memory for the defaults. */
static bool renew(seer_http *http, flight *f) {
  CURL *fresh = curl_easy_init();
  if (fresh == NULL)
    return false;
  curl_easy_cleanup(f->easy);
  f->easy = fresh;
  f->got = false;
  f->prepared_for = UNKNOWN_SITE; /* until all that is permanent is set */
  if (!set_permanent(http, f))
    return false;
  f->prepared_for = 0;
  return true;
}

static flight *new_flight(seer_http *http) {
  flight *f = calloc(1, sizeof *f);
  if (f == NULL)
    return NULL;
  seer_incoming_init(&f->incoming);
  seer_outgoing_init(&f->outgoing);
  if (renew(http, f))
    return f;
  curl_easy_cleanup(f->easy);
  free(f);
  return NULL;
}

static flight *take_flight(seer_http *http) {
  flight *f = http->idle;
  if (f == NULL)
    return new_flight(http);
  http->idle = f->next;
  return f;
}

/* Whether the handle can be used for a site: nothing of another may stay. One
   that is prepared for some site has been used. */
static bool is_fit(const seer_http *http, const flight *f) {
  return f->prepared_for == 0 ||
         (http->reuses && f->prepared_for == f->site->serial);
}

static void reset_flight(flight *f, const seer_sending *sending) {
  memset(&f->transfer, 0, sizeof f->transfer);
  f->transfer.event = sending->event;
  f->site = sending->site;
  f->began = seer_clock_now();
  f->deadline = seer_clock_after(f->began, sending->timeout);
  f->thorough = sending->thorough;
  f->error[0] = '\0';
  seer_outgoing_reset(&f->outgoing, sending->site, sending->event);
  seer_incoming_reset(&f->incoming, sending->thorough);
}

/* After a timeout, no connection that is older: libcurl keeps one of HTTP/2
   over which a request has timed out, and though it may be dead it would be
   used for each attempt. libcurl counts in seconds, and 0 means for ever. */
static bool avoid_dead(flight *f) {
  CURL *easy = f->easy;
  int64_t age;
  if (f->site->timed_out_at == 0 ||
      f->site->http_version != CURL_HTTP_VERSION_2TLS)
    return true;
  age = (seer_clock_now() - f->site->timed_out_at) / 1000;
  return SET(MAXLIFETIME_CONN, (long)(age > 0 ? age : 1));
}

static bool launch(seer_http *http, flight *f) {
  if (!is_fit(http, f) && !renew(http, f))
    return false;
  return set_site(f, f->site) && set_request(f) && set_method(f) &&
         avoid_dead(f) &&
         curl_multi_add_handle(http->multi, f->easy) == CURLM_OK;
}

seer_transfer *seer_http_start(seer_http *http, const seer_sending *sending) {
  flight *f = take_flight(http);
  if (f == NULL)
    return NULL;
  if (sending->threadless && !sending->site->resolved)
    seer_site_look_up(sending->site);
  reset_flight(f, sending);
  f->connect_timeout = (long)sending->connect_timeout;
  if (launch(http, f))
    return &f->transfer;
  seer_http_recycle(http, &f->transfer);
  return NULL;
}

void seer_http_perform(seer_http *http) {
  int running;
  if (curl_multi_perform(http->multi, &running) != CURLM_OK)
    seer_pause();
}

/* The rest of the attempt's time is what it has. */
bool seer_http_follow(seer_http *http, seer_transfer *transfer) {
  flight *f = flight_of(transfer);
  seer_outgoing_redirect(&f->outgoing);
  if (!launch(http, f))
    return false;
  transfer->sent = 0;
  transfer->redirected = false;
  transfer->headers = transfer->body = NULL;
  transfer->headers_length = transfer->body_length = 0;
  seer_incoming_reset(&f->incoming, f->thorough);
  return true;
}

static bool is_unreachable(CURLcode code) {
  switch (code) {
  case CURLE_COULDNT_RESOLVE_HOST:
  case CURLE_COULDNT_RESOLVE_PROXY:
  case CURLE_COULDNT_CONNECT:
  case CURLE_SSL_CONNECT_ERROR:
  case CURLE_PEER_FAILED_VERIFICATION:
  case CURLE_SSL_CACERT_BADFILE:
  case CURLE_SSL_ISSUER_ERROR:
  case CURLE_SSL_INVALIDCERTSTATUS:
    return true;
  default:
    return false;
  }
}

/* Why there is no answer. libcurl takes 101 for one; it is none to us. */
static const char *why_none(const flight *f, CURLcode code) {
  if (f->error[0] != '\0')
    return f->error;
  return code == CURLE_OK ? "no status in the answer"
                          : curl_easy_strerror(code);
}

static void conclude_failure(flight *f, CURLcode code) {
  seer_transfer *t = &f->transfer;
  t->answer.status = 0; /* that of a redirect does not count */
  t->answer.failure = code == CURLE_OPERATION_TIMEDOUT
                          ? SEER_FAILURE_TIMEOUT
                          : SEER_FAILURE_CONNECTION;
  t->answer.unreachable = is_unreachable(code);
  t->answer.should_retry = -1;
  t->answer.retry_after = SEER_NO_RETRY_AFTER;
  int length =
      snprintf(t->message, sizeof t->message, "%s", why_none(f, code));
  seer_outgoing_mask(&f->outgoing, t->message, strlen(t->message),
                     length >= (int)sizeof t->message);
}

static void describe(seer_transfer *t) {
  if (t->body_length > 0)
    snprintf(t->message, sizeof t->message, "%d %.*s", t->answer.status,
             (int)t->body_length, t->body);
  else
    snprintf(t->message, sizeof t->message, "%d status code (no body)",
             t->answer.status);
}

/* The headers are for somebody who reads it all, the body and the message
   for one too, or to tell of trouble. What nobody will read is not looked
   through for secrets, and so not given out. */
static void conclude_answer(flight *f, const char *refusal) {
  seer_transfer *t = &f->transfer;
  seer_buffer *headers = &f->incoming.headers, *body = &f->incoming.body;
  seer_incoming_judge(&f->incoming, &t->answer);
  if (!f->thorough && t->answer.failure == SEER_FAILURE_NONE)
    return;
  if (f->thorough && headers->length > 0) {
    t->headers = headers->data;
    t->headers_length =
        seer_outgoing_mask(&f->outgoing, headers->data, headers->length,
                           headers->error != SEER_BUFFER_OK);
  }
  if (body->length > 0) {
    t->body = body->data;
    t->body_length = seer_outgoing_mask(&f->outgoing, body->data, body->length,
                                        f->incoming.cut);
  }
  describe(t);
  if (refusal == NULL)
    return;
  t->answer.failure = SEER_FAILURE_REDIRECT;
  snprintf(t->message, sizeof t->message, "%d %s", t->answer.status, refusal);
}

seer_transfer *seer_http_finished(seer_http *http) {
  CURLMsg *message;
  int left;
  while ((message = curl_multi_info_read(http->multi, &left)) != NULL) {
    CURLcode code = message->data.result;
    CURL *easy = message->easy_handle;
    const char *refusal;
    flight *f = NULL;
    if (message->msg != CURLMSG_DONE)
      continue;
    curl_easy_getinfo(easy, CURLINFO_PRIVATE, (char **)&f);
    curl_multi_remove_handle(http->multi, easy);
    disconnected(f);
    f->transfer.redirected =
        seer_outgoing_find_redirect(&f->outgoing, &f->incoming, &refusal);
    if (code != CURLE_OK)
      f->incoming.cut = true; /* a secret may have broken off with it */
    if (code == CURLE_OPERATION_TIMEDOUT)
      f->site->timed_out_at = seer_clock_now();
    if (f->incoming.status != 0)
      conclude_answer(f, refusal);
    else
      conclude_failure(f, code);
    return &f->transfer;
  }
  return NULL;
}

void seer_http_trace_request(seer_transfer *transfer, char *text,
                             size_t size) {
  seer_trace_request(&flight_of(transfer)->outgoing, text, size);
}

void seer_http_trace_answer(seer_transfer *transfer, char *text, size_t size) {
  flight *f = flight_of(transfer);
  seer_trace_answer(&f->outgoing, transfer, seer_clock_now() - f->began, text,
                    size);
}

void seer_http_recycle(seer_http *http, seer_transfer *transfer) {
  flight *f = flight_of(transfer);
  f->next = http->idle;
  http->idle = f;
}

bool seer_http_poll(seer_http *http, int alarm, int timeout) {
  struct curl_waitfd waited = {alarm, CURL_WAIT_POLLIN, 0};
  if (curl_multi_poll(http->multi, &waited, 1, timeout, NULL) != CURLM_OK)
    seer_pause();
  return waited.revents != 0;
}

seer_http *seer_http_new(void) {
  seer_http *http = calloc(1, sizeof *http);
  if (http == NULL)
    return NULL;
  http->reuses = curl_version_info(CURLVERSION_NOW)->version_num >= REUSABLE;
  http->multi = curl_multi_init();
  http->share = curl_share_init();
  if (http->multi != NULL && http->share != NULL &&
      curl_share_setopt(http->share, CURLSHOPT_SHARE,
                        CURL_LOCK_DATA_SSL_SESSION) == CURLSHE_OK)
    return http;
  seer_http_free(http);
  return NULL;
}

void seer_http_free(seer_http *http) {
  if (http == NULL)
    return;
  if (http->multi != NULL)
    curl_multi_cleanup(http->multi);
  while (http->idle != NULL) {
    flight *f = http->idle;
    http->idle = f->next;
    curl_easy_cleanup(f->easy);
    seer_incoming_clear(&f->incoming);
    seer_outgoing_clear(&f->outgoing);
    free(f);
  }
  curl_share_cleanup(http->share);
  free(http->sockets);
  free(http);
}

/* The abandoned stay in a list, so that leak checkers do not take them for
   lost. */
void seer_http_abandon(seer_http *http) {
  static seer_http *abandoned;
  http->next = abandoned;
  abandoned = http;
  for (size_t i = 0; i < http->socket_count; i++)
    close(http->sockets[i]);
  http->socket_count = 0;
}
