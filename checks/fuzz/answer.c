/*
 * Whole answers: a client that sends by itself is connected to a socket that
 * says what the input says, piece by piece, and whatever it gets is looked
 * at by answer.lua. No network, no thread, no second process.
 */

#include "support/fuzz.h"

#include "core/http/http.h"

#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

#define SERVERS 64 /* connections in one run */

static input stream;         /* what is still to be said */
static int servers[SERVERS]; /* the other ends of the connections */
static size_t server_count;  /* the last one is the one that speaks... */
static bool speaking;        /* ...unless it has ended */

/* What takes the place of libc's functions in libcurl. */
#define EVERYWHERE __attribute__((visibility("default")))

int __wrap_socket(int domain, int type, int protocol);
bool __real_seer_http_poll(seer_http *http, int alarm, int timeout);
bool __wrap_seer_http_poll(seer_http *http, int alarm, int timeout);
void __real_seer_http_perform(seer_http *http);
void __wrap_seer_http_perform(seer_http *http);

/* Every name has an address. */
EVERYWHERE int getaddrinfo(const char *host, const char *service,
                           const struct addrinfo *hints,
                           struct addrinfo **found) {
  struct addrinfo *one = calloc(1, sizeof *one + sizeof(struct sockaddr_in));
  struct sockaddr_in *address = (void *)(one + 1);
  (void)host, (void)hints;
  address->sin_family = AF_INET;
  address->sin_port = htons((uint16_t)(service ? atoi(service) : 80));
  address->sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  one->ai_family = AF_INET;
  one->ai_socktype = SOCK_STREAM;
  one->ai_protocol = IPPROTO_TCP;
  one->ai_addr = (void *)address;
  one->ai_addrlen = sizeof *address;
  *found = one;
  return 0;
}

EVERYWHERE void freeaddrinfo(struct addrinfo *found) {
  free(found);
}

int __wrap_socket(int domain, int type, int protocol) {
  int ends[2];
  (void)domain, (void)type, (void)protocol;
  if (server_count == SERVERS ||
      socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) != 0)
    return -1;
  fcntl(ends[1], F_SETFL, O_NONBLOCK);
  servers[server_count++] = ends[1];
  speaking = true;
  return ends[0];
}

/* They are connected from the beginning. */
EVERYWHERE int connect(int fd, const struct sockaddr *address,
                       socklen_t length) {
  (void)fd, (void)address, (void)length;
  return 0;
}

static void say(int fd, const char *bytes, size_t length) {
  ssize_t written = send(fd, bytes, length, MSG_NOSIGNAL);
  (void)written; /* what is too much is lost */
}

static void say_key(int fd, bool escaped) {
  char text[256] = FUZZ_KEY;
  size_t length = strlen(text);
  if (escaped) {
    length = 0;
    for (const char *k = FUZZ_KEY; *k != '\0'; k++)
      length += (size_t)sprintf(text + length, "\\u%04x", (uint8_t)*k);
  }
  say(fd, text, length);
}

/* A piece: so many bytes, a few bytes many times, the key, or the end. */
static void speak(int fd) {
  size_t length, size = input_byte(&stream);
  const char *bytes;
  if (size == 0 || stream.at == stream.end) {
    shutdown(fd, SHUT_WR);
    speaking = false;
    return;
  }
  if (size >= 254) {
    say_key(fd, size == 254);
    return;
  }
  bytes = input_bytes(&stream, size < 240 ? size : 8, &length);
  for (size_t times = size < 240 ? 1 : (size - 239) * 600; times > 0; times--)
    say(fd, bytes, length);
}

void __wrap_seer_http_perform(seer_http *http) {
  char heard[4096];
  for (size_t i = 0; i < server_count; i++)
    while (recv(servers[i], heard, sizeof heard, 0) > 0)
      continue;
  if (speaking)
    speak(servers[server_count - 1]);
  __real_seer_http_perform(http);
}

/* There is always more to come, or the end: nothing is to be waited for. */
bool __wrap_seer_http_poll(seer_http *http, int alarm, int timeout) {
  (void)timeout;
  return __real_seer_http_poll(http, alarm, 0);
}

static void hang_up(void) {
  speaking = false;
  while (server_count > 0)
    close(servers[--server_count]);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  lua_State *L = fuzz_state();
  uint8_t mode;
  stream = input_of(data, size);
  mode = input_byte(&stream);
  fuzz_push_script(L, "checks/fuzz/answer.lua");
  lua_pushinteger(L, mode);
  fuzz_call(L, 1, 0);
  hang_up();
  return 0;
}
