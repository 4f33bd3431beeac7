#include "core/http/flight.h"

#include "core/base/block.h"
#include "core/base/clock.h"
#include "core/base/thread.h"
#include "core/http/lookup.h"
#include "core/http/url.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#pragma GCC visibility push(hidden)

#define FORGOTTEN 60000 /* ms without use: longer, and it may be dead */
#define SPARES_MOST 64

static size_t on_header(char *line, size_t size, size_t count, void *data) {
  seer_flight *f = data;
  size_t length = size * count;
  return seer_incoming_header(&f->incoming, line, length) ? length : 0;
}

static size_t on_body(char *bytes, size_t size, size_t count, void *data) {
  seer_flight *f = data;
  size_t length = size * count;
  return seer_incoming_body(&f->incoming, bytes, length) ? length : 0;
}

/* From here on it is of this request that libcurl says why it failed. Before,
   it closes idle connections that have ended, and would say that. */
static void listen_to(seer_flight *f) {
  curl_easy_setopt(f->easy, CURLOPT_ERRORBUFFER, f->error);
}

static curl_socket_t on_socket(void *data, curlsocktype purpose,
                               struct curl_sockaddr *address) {
  seer_flight *f = data;
  curl_socket_t fd = seer_sockets_open(&f->handles->sockets, address);
  (void)purpose;
  listen_to(f);
  if (fd == CURL_SOCKET_BAD)
    f->exhausted = errno == EMFILE || errno == ENFILE;
  return fd;
}

/* libcurl is about to look a name up. It tells nobody which. */
static int on_resolve(void *state, void *reserved, void *data) {
  seer_flight *f = data;
  (void)state, (void)reserved;
  listen_to(f);
  f->grounded = f->missing;
  return f->missing;
}

/* A connection that was used is not to carry a request when its input waits
   to be taken for the answer, or when it may be as dead as one that failed
   since it last answered, or was forgotten on the way. One of HTTP/2 says
   whose answer it has, and may be in use. */
static bool is_doubtful(const seer_socket *opened, const seer_site *site) {
  return opened->in_turn &&
         (opened->alive_at < site->broke_at ||
          seer_clock_boot() - opened->alive_at > FORGOTTEN ||
          seer_os_has_input(opened->fd));
}

/* Whether the connection is fit to carry the request. */
static bool board(seer_flight *f, seer_socket *opened) {
  f->socket = opened != NULL ? opened->fd : -1;
  f->reused = opened != NULL && opened->used;
  f->stale = f->reused && is_doubtful(opened, f->site);
  if (opened != NULL) {
    f->alive_at = opened->alive_at;
    opened->used = true;
  }
  return !f->stale;
}

/* Called each time the request is about to go over a connection: a second
   call means that libcurl sends it again because a reused one had died. One
   that was used before tells nothing of the server until it answers. */
static int on_connected(void *data, char *peer, char *local, int peer_port,
                        int local_port) {
  seer_flight *f = data;
  (void)local;
  listen_to(f);
  if (!board(f, seer_sockets_find(&f->handles->sockets, local_port, peer,
                                  peer_port)))
    return CURL_PREREQFUNC_ABORT;
  f->transfer.sent++;
  if (f->reused || f->connected)
    return CURL_PREREQFUNC_OK;
  seer_lock();
  f->site->connected++;
  f->site->connected_at = seer_clock_now();
  seer_unlock();
  f->connected = true;
  return CURL_PREREQFUNC_OK;
}

static void disconnected(seer_flight *f, bool answered) {
  int64_t now = seer_clock_now();
  /* No other thread changes it. */
  if (!f->connected && (!answered || f->site->connected_at == now))
    return;
  seer_lock();
  f->site->connected -= f->connected;
  f->site->connected_at = now; /* until now it was */
  seer_unlock();
  f->connected = false;
}

/* Sets an option of the handle `easy`; false if libcurl refuses. */
#define SET(option, value)                                                    \
  (curl_easy_setopt(easy, CURLOPT_##option, value) == CURLE_OK)

static bool has_tls(void) {
  return seer_url_built_with(CURL_VERSION_SSL);
}

/* What is the same for every request. Nothing is said of what libcurl does
   anyway: it neither reads .netrc nor follows redirects. Other protocols need
   not be forbidden, for no URL has one. */
static bool set_permanent(seer_flight *f) {
  CURL *easy = f->easy;
  return SET(PRIVATE, f) && SET(NOSIGNAL, 1L) &&
         (!seer_url_built_with(CURL_VERSION_LIBZ) ||
          SET(ACCEPT_ENCODING, "gzip, deflate")) &&
         SET(HEADERFUNCTION, on_header) && SET(HEADERDATA, f) &&
         SET(WRITEFUNCTION, on_body) && SET(WRITEDATA, f) &&
         SET(PREREQFUNCTION, on_connected) && SET(PREREQDATA, f) &&
         SET(OPENSOCKETFUNCTION, on_socket) && SET(OPENSOCKETDATA, f) &&
         SET(RESOLVER_START_FUNCTION, on_resolve) &&
         SET(RESOLVER_START_DATA, f) &&
         SET(CLOSESOCKETFUNCTION, seer_sockets_close) &&
         SET(CLOSESOCKETDATA, &f->handles->sockets) &&
         SET(SHARE, f->handles->share) &&
         SET(QUICK_EXIT, 1L); /* join no resolver */
}

/* The site's text stays while the handle is used for it: no copy is needed. */
static struct curl_blob blob_of(const char *text) {
  return (struct curl_blob){(char *)text, strlen(text), CURL_BLOB_NOCOPY};
}

/* A libcurl with Windows's own TLS knows none. */
static bool set_no_directory(CURL *easy, CURLoption option) {
  CURLcode code = curl_easy_setopt(easy, option, NULL);
  return code == CURLE_OK || code == CURLE_NOT_BUILT_IN;
}

static bool set_authorities(CURL *easy, const seer_site *site) {
  const char *file = site->options.ca_file;
  struct curl_blob blob = blob_of(site->options.ca_blob);
  if (!has_tls() || (*file == '\0' && blob.len == 0))
    return true;
  if (!set_no_directory(easy, CURLOPT_CAPATH) ||
      !set_no_directory(easy, CURLOPT_PROXY_CAPATH))
    return false; /* these, and no others */
  if (blob.len == 0)
    return SET(CAINFO, file) && SET(PROXY_CAINFO, file);
  return SET(CAINFO_BLOB, &blob) && SET(PROXY_CAINFO_BLOB, &blob);
}

/* Certificate and key are for the origin alone that they were given for. As
   one text they tell connections apart: libcurl does not compare the keys. The
   password is set even if there is none, for OpenSSL would ask for it at the
   terminal. */
static bool set_identity(CURL *easy, const seer_site *site, bool foreign) {
  struct curl_blob blob = blob_of(site->options.identity);
  return foreign || blob.len == 0 || !has_tls() ||
         (SET(SSLCERT_BLOB, &blob) && SET(SSLKEY_BLOB, &blob) &&
          SET(KEYPASSWD, site->options.key_password));
}

static bool set_version(CURL *easy, const seer_site *site) {
  return SET(HTTP_VERSION, site->http_version) &&
         (site->http_version != CURL_HTTP_VERSION_2TLS ||
          SET(SSLVERSION, site->tls_version));
}

/* What is the same for every request to a site. */
static bool set_site(CURL *easy, const seer_site *site) {
  const char *proxy = site->options.proxy;
  return set_version(easy, site) && SET(PROXY, proxy) &&
         SET(NOPROXY, site->options.no_proxy) &&
         (*proxy == '\0' || SET(SUPPRESS_CONNECT_HEADERS, 1L)) &&
         set_authorities(easy, site);
}

/* Tells libcurl what is known of a target. */
static bool add_addresses(seer_flight *f, const char *target) {
  char entry[SEER_NAME_SIZE + SEER_ADDRESSES_SIZE + 8];
  char addresses[SEER_ADDRESSES_SIZE];
  struct curl_slist *longer;
  if (seer_lookup(target, f->asked_at, addresses) == SEER_NAME_KNOWN) {
    snprintf(entry, sizeof entry, "%s:%s", target, addresses);
  } else {
    snprintf(entry, sizeof entry, "-%s", target); /* forget it */
    f->missing = true;
  }
  longer = curl_slist_append(f->resolve, entry);
  if (longer != NULL)
    f->resolve = longer;
  return longer != NULL;
}

/* libcurl reads the list when the request begins: then it knows what stands
   there and no more, for how long addresses are good is not its to say. */
static bool set_addresses(seer_flight *f) {
  CURL *easy = f->easy;
  bool set = true;
  curl_slist_free_all(f->resolve);
  f->resolve = NULL;
  f->missing = false;
  f->targets = seer_outgoing_targets(&f->outgoing);
  if (f->targets == NULL || *f->targets == '\0')
    return f->targets != NULL;
  for (const char *t = f->targets; set && *t != '\0'; t = seer_block_next(t))
    set = add_addresses(f, t);
  return set && SET(RESOLVE, f->resolve);
}

/* What is left of the time to connect: 0 would be libcurl's own idea of it. */
static long connect_timeout(const seer_flight *f) {
  int64_t left = f->connect_by - seer_clock_now();
  return left > 0 ? (long)left : 1;
}

/* Whether the URL is one of the site's. */
static bool is_common(const seer_outgoing *out) {
  return out->url == NULL && out->own_url == NULL;
}

static bool set_url(seer_flight *f) {
  CURL *easy = f->easy;
  CURLU *parsed;
  if (!is_common(&f->outgoing))
    return SET(URL, seer_outgoing_url(&f->outgoing));
  parsed = seer_site_parsed(f->site, f->outgoing.event->kind);
  return parsed != NULL && SET(CURLU, parsed);
}

/* Makes the handle send what `outgoing` says. The deadline is not libcurl's to
   judge: it would, before it reads what has come while the process stood
   still. */
static bool set_request(seer_flight *f) {
  CURL *easy = f->easy;
  struct curl_slist *headers = seer_outgoing_headers(&f->outgoing);
  return headers != NULL && SET(CONNECTTIMEOUT_MS, connect_timeout(f)) &&
         SET(HTTPHEADER, headers) && set_url(f);
}

static bool set_method(seer_flight *f) {
  const seer_event *event = f->outgoing.event;
  CURL *easy = f->easy;
  if (f->outgoing.get)
    return SET(HTTPGET, 1L);
  return SET(POSTFIELDSIZE_LARGE, (curl_off_t)event->length) &&
         SET(POSTFIELDS, (const char *)event->body);
}

/* Gives it a new handle. The connections stay: they are the multi handle's.
   One that is used again would keep what is of another site, or of a redirect,
   and below libcurl 8.1.1 write to headers that it has freed; and
   curl_easy_reset does not say when it got no memory for the defaults. */
static bool renew(seer_flight *f) {
  curl_easy_cleanup(f->easy);
  f->easy = curl_easy_init();
  return f->easy != NULL && set_permanent(f) && set_site(f->easy, f->site) &&
         set_identity(f->easy, f->site, f->outgoing.foreign);
}

/* Whether its handle can be used again, if this libcurl's can. */
static bool is_plain(const seer_flight *f) {
  return seer_url_libcurl()->version_num >= 0x080101 &&
         is_common(&f->outgoing) && !f->alone;
}

/* A handle that sends to the site. One may do so again that has got an answer
   to a request of the site's own. */
static bool ready(seer_flight *f) {
  CURL *easy = f->easy;
  bool again = f->made_for == f->site->number && is_plain(f);
  f->made_for = 0;
  f->alone = false;
  return again ? SET(ERRORBUFFER, NULL) : renew(f);
}

/* Which connections are too old: those that the client says; and more after a
   timeout. libcurl keeps a connection of HTTP/2 over which a request has timed
   out, and would use it for each attempt though it may be dead. So after a
   timeout no connection is used that may be the one: none at all while a
   request flies that took off before, for this keeps it in use; then none that
   is as old. libcurl counts in whole seconds, and 0 means for ever. */
static bool avoid_old(seer_flight *f) {
  const seer_site *site = f->site;
  CURL *easy = f->easy;
  long lifetime = f->lifetime;
  bool suspicious =
      site->timeouts > 0 && site->http_version == CURL_HTTP_VERSION_2TLS;
  int64_t seconds =
      suspicious ? (seer_clock_now() - site->timed_out_at) / 1000 : 0;
  f->alone = f->fresh || (suspicious && (site->suspects > 0 || seconds < 2));
  if (f->alone)
    return SET(FRESH_CONNECT, 1L);
  if (suspicious && seconds - 1 < lifetime)
    lifetime = (long)(seconds - 1);
  return SET(MAXLIFETIME_CONN, lifetime);
}

bool seer_flight_prepare(seer_flight *f) {
  return ready(f) && set_addresses(f) && set_request(f) && set_method(f) &&
         avoid_old(f);
}

void seer_flight_take_off(seer_flight *f) {
  f->socket = -1;
  f->reused = f->stale = f->exhausted = f->grounded = false;
  f->timeouts = f->site->timeouts;
  f->site->flying++;
}

static bool is_broken(CURLcode code) {
  return code == CURLE_OPERATION_TIMEDOUT || code == CURLE_RECV_ERROR ||
         code == CURLE_SEND_ERROR || code == CURLE_GOT_NOTHING;
}

/* What the end of a transfer tells of its connection, and of others. */
static void learn(seer_flight *f, CURLcode code) {
  seer_socket *opened = seer_sockets_get(&f->handles->sockets, f->socket);
  long version = 0;
  if (f->reused && is_broken(code))
    f->site->broke_at = seer_clock_boot();
  if (code != CURLE_OK || opened == NULL)
    return;
  curl_easy_getinfo(f->easy, CURLINFO_HTTP_VERSION, &version);
  opened->in_turn = version < CURL_HTTP_VERSION_2_0;
  opened->alive_at = seer_clock_boot();
}

/* The timeout of a suspect tells nothing new: what took off since shares no
   connection with it. */
void seer_flight_land(seer_flight *f, CURLcode code) {
  seer_site *site = f->site;
  disconnected(f, f->incoming.status != 0);
  learn(f, code);
  site->flying--;
  if (code == CURLE_OK && is_plain(f))
    f->made_for = site->number;
  if (f->timeouts != site->timeouts)
    site->suspects--;
  else if (code == CURLE_OPERATION_TIMEDOUT) {
    site->timeouts++;
    site->suspects = site->flying;
    site->timed_out_at = seer_clock_now();
  }
}

/* The code and what is to be said if it ends so. */
static CURLcode tell(seer_flight *f, CURLcode code, const char *what,
                     const char *target) {
  snprintf(f->error, sizeof f->error, "%s %.*s", what,
           (int)(strrchr(target, ':') - target), target);
  return code;
}

static CURLcode look_up(seer_flight *f, const char *target, int alarm,
                        int64_t time) {
  seer_name_state state = seer_lookup(target, f->asked_at, NULL);
  if (state == SEER_NAME_KNOWN)
    return CURLE_OK;
  if (state == SEER_NAME_FAILED)
    return tell(f, CURLE_COULDNT_RESOLVE_HOST,
                "Could not resolve host:", target);
  if (state == SEER_NAME_PENDING || seer_lookup_start(target, alarm))
    return tell(f, CURLE_AGAIN, "timed out, looking up", target);
  if (seer_lookup_has_time(time)) {
    f->refused = target;
    return CURLE_AGAIN;
  }
  if (seer_lookup_keep(target))
    return CURLE_OK;
  return tell(f, CURLE_COULDNT_RESOLVE_HOST,
              "no thread could be started to look up", target);
}

CURLcode seer_flight_look_up(seer_flight *f, int alarm, int64_t time) {
  CURLcode code = CURLE_OK;
  f->refused = NULL;
  for (const char *t = f->targets;
       *t != '\0' && code != CURLE_COULDNT_RESOLVE_HOST;
       t = seer_block_next(t)) {
    CURLcode one = look_up(f, t, alarm, time);
    if (one != CURLE_OK)
      code = one;
  }
  return code;
}

seer_flight *seer_flight_of(seer_transfer *transfer) {
  return (seer_flight *)(void *)transfer;
}

seer_flight *seer_flight_new(seer_handles *handles) {
  seer_flight *f = handles->spare;
  if (f != NULL) {
    handles->spare = f->next;
    handles->spares--;
  } else if ((f = calloc(1, sizeof *f)) != NULL) {
    seer_incoming_init(&f->incoming);
    f->handles = handles;
  }
  return f;
}

static void dispose(seer_flight *f) {
  curl_easy_cleanup(f->easy);
  seer_incoming_clear(&f->incoming);
  free(f);
}

/* Makes it as good as new. */
static void recycle(seer_flight *f) {
  curl_slist_free_all(f->resolve);
  seer_outgoing_clear(&f->outgoing);
  seer_incoming_again(&f->incoming);
  memset(f, 0, offsetof(seer_flight, easy));
}

void seer_flight_free(seer_flight *f) {
  seer_handles *handles = f->handles;
  recycle(f);
  if (handles->spares == SPARES_MOST) {
    dispose(f);
    return;
  }
  f->next = handles->spare;
  handles->spare = f;
  handles->spares++;
}

void seer_handles_empty(seer_handles *handles) {
  seer_flight *f;
  while ((f = handles->spare) != NULL) {
    handles->spare = f->next;
    dispose(f);
  }
}

bool seer_handles_init(seer_handles *handles) {
  handles->share = curl_share_init();
  return handles->share != NULL &&
         (!has_tls() ||
          curl_share_setopt(handles->share, CURLSHOPT_SHARE,
                            CURL_LOCK_DATA_SSL_SESSION) == CURLSHE_OK);
}

void seer_handles_clear(seer_handles *handles) {
  curl_share_cleanup(handles->share);
  free(handles->sockets.open);
}
