#include "connection.h"

#include "tls.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#pragma GCC visibility push(hidden)

#define SHOWN 100 /* bytes of what Redis says */
#define OLDEST 5  /* Redis's version */

/*
** Words
*/

void seer_words_clear(seer_words *words) {
  free(words->bytes);
  memset(words, 0, sizeof *words);
}

static void append(seer_words *words, const void *bytes, size_t length) {
  if (words->room - words->length < length) {
    size_t room = 2 * (words->length + length) + 1024;
    char *grown = words->room == 0 || words->bytes != NULL
                      ? realloc(words->bytes, room)
                      : NULL;
    if (grown == NULL)
      free(words->bytes);
    words->bytes = grown;
    words->room = room;
  }
  if (words->bytes != NULL && length > 0)
    memcpy(words->bytes + words->length, bytes, length);
  words->length += length;
}

void seer_words_add(seer_words *words, const void *bytes, size_t length) {
  char size[32];
  append(words, size, (size_t)snprintf(size, sizeof size, "$%zu\r\n", length));
  append(words, bytes, length);
  append(words, "\r\n", 2);
  words->count++;
}

void seer_words_print(seer_words *words, const char *format, ...) {
  char text[160];
  va_list list;
  va_start(list, format);
  vsnprintf(text, sizeof text, format, list);
  va_end(list);
  seer_words_add(words, text, strlen(text));
}

void seer_words_add_row(seer_words *words, const seer_row *row) {
  seer_words_print(words, "%" PRIu64, row->id.a);
  seer_words_print(words, "%d", row->mine);
  seer_words_print(words, "%" PRIu32, row->kind);
  if (row->user != 0)
    seer_words_print(words, "%016" PRIx64, row->user);
  else
    seer_words_add(words, "", 0);
  seer_words_add(words, row->uuid, sizeof row->uuid);
  seer_words_print(words, "%" PRId64, row->age);
  seer_words_add(words, row->body, row->length);
}

/*
** Replies
*/

static const redisReply *element(const redisReply *reply, size_t i) {
  return reply->type == REDIS_REPLY_ARRAY && i < reply->elements
             ? reply->element[i]
             : NULL;
}

const char *seer_connection_string(const redisReply *reply, size_t i,
                                   size_t *length) {
  const redisReply *found = element(reply, i);
  bool is_string = found != NULL && found->type == REDIS_REPLY_STRING;
  *length = is_string ? (size_t)found->len : 0;
  return is_string ? found->str : "";
}

long long seer_connection_number(const redisReply *reply, size_t i) {
  const redisReply *found = element(reply, i);
  size_t length;
  if (found != NULL && found->type == REDIS_REPLY_INTEGER)
    return found->integer;
  return strtoll(seer_connection_string(reply, i, &length), NULL, 10);
}

/*
** Troubles
*/

void seer_connection_explain(const seer_connection *self, const char *what,
                             const char *said, seer_store_message message) {
  seer_address_name name;
  char text[1024], *end;
  seer_address_describe(&self->config->address, name);
  /* some versions begin with "-", and end with the script's name, or with what
     they were sent */
  snprintf(text, sizeof text, "%s", said + (*said == '-'));
  seer_address_mask(&self->config->address, text);
  text[strcspn(text, "\r\n")] = '\0';
  if ((end = strstr(text, " script: ")) != NULL ||
      (end = strstr(text, ", with args")) != NULL)
    *end = '\0';
  snprintf(message, sizeof(seer_store_message), "%.70s: %s%.*s", name, what,
           SHOWN, text);
}

void seer_connection_close(seer_connection *self) {
  redisContext *context = self->context;
  self->context = NULL;
  if (context != NULL)
    redisFree(context);
}

static bool lose(seer_connection *self, const char *what, const char *said,
                 seer_store_message message) {
  seer_connection_explain(self, what, said, message);
  seer_connection_close(self);
  return false;
}

/* The next reply; NULL if there is none, and no connection any more. */
static redisReply *receive(seer_connection *self, seer_store_message message) {
  void *reply = NULL;
  if (redisGetReply(self->context, &reply) == REDIS_OK && reply != NULL)
    return reply;
  if (self->context->err == REDIS_ERR_IO && errno == EAGAIN)
    lose(self, "it does not answer", "", message);
  else
    lose(self, self->context->errstr, "", message);
  return NULL;
}

/* The same of one that is no refusal. */
static redisReply *expect(seer_connection *self, seer_store_message message) {
  redisReply *reply = receive(self, message);
  if (reply == NULL || reply->type != REDIS_REPLY_ERROR)
    return reply;
  lose(self, "", reply->str, message);
  freeReplyObject(reply);
  return NULL;
}

static bool expect_ok(seer_connection *self, seer_store_message message) {
  redisReply *reply = expect(self, message);
  if (reply != NULL)
    freeReplyObject(reply);
  return reply != NULL;
}

/*
** Opening
*/

static bool begin_tls(seer_connection *self, seer_store_message message) {
  const char *wrong = seer_tls_begin(self->context, self->config->address.host,
                                     self->config->ca_file);
  return wrong == NULL || lose(self, "TLS: ", wrong, message);
}

static bool dial(seer_connection *self, seer_store_message message) {
  const seer_address *address = &self->config->address;
  struct timeval patience = {SEER_STORE_PATIENCE / 1000,
                             SEER_STORE_PATIENCE % 1000 * 1000L};
  int fd;
  self->context =
      address->port == 0
          ? redisConnectUnixWithTimeout(address->host, patience)
          : redisConnectWithTimeout(address->host, address->port, patience);
  if (self->context == NULL)
    return lose(self, "not enough memory", "", message);
  if (self->context->err != 0)
    return lose(self, self->context->errstr, "", message);
  /* no standard stream of the host's, and not for its programs */
  fd = fcntl(self->context->fd, F_DUPFD_CLOEXEC, 3);
  if (fd < 0 || redisSetTimeout(self->context, patience) != REDIS_OK)
    return lose(self, strerror(errno), "", message);
  close(self->context->fd);
  self->context->fd = fd;
  return !address->tls || begin_tls(self, message);
}

/* Copies a field of what INFO says, or "". */
static void read_field(const redisReply *info, const char *name, char *to,
                       size_t room) {
  const char *at = info->type == REDIS_REPLY_STRING ? info->str : "";
  size_t length = 0;
  at = strstr(at, name);
  if (at != NULL) {
    at += strlen(name);
    length = strcspn(at, "\r\n");
  }
  if (length >= room)
    length = room - 1;
  if (length > 0)
    memcpy(to, at, length);
  to[length] = '\0';
}

static void send_login(seer_connection *self) {
  const seer_address *address = &self->config->address;
  if (address->user[0] != '\0')
    redisAppendCommand(self->context, "AUTH %s %s", address->user,
                       address->password);
  else if (address->password[0] != '\0')
    redisAppendCommand(self->context, "AUTH %s", address->password);
  redisAppendCommand(self->context, "SELECT %d", (int)address->database);
}

/* Who may not ask goes without what it would say. */
static bool introduce(seer_connection *self, seer_store_message message) {
  char version[16];
  redisReply *id, *info;
  id = receive(self, message);
  if (id == NULL)
    return false;
  self->client = id->type == REDIS_REPLY_INTEGER ? id->integer : 0;
  freeReplyObject(id);
  info = receive(self, message);
  if (info == NULL)
    return false;
  read_field(info, "run_id:", self->server, sizeof self->server);
  read_field(info, "maxmemory_policy:", self->policy, sizeof self->policy);
  read_field(info, "redis_version:", version, sizeof version);
  freeReplyObject(info);
  if (version[0] != '\0' && strtol(version, NULL, 10) < OLDEST)
    return lose(self, "Redis 5 or newer is needed, not ", version, message);
  return true;
}

static bool load(seer_connection *self, int script,
                 seer_store_message message) {
  redisReply *reply = expect(self, message);
  if (reply == NULL)
    return false;
  snprintf(self->scripts[script], sizeof self->scripts[script], "%s",
           reply->str);
  freeReplyObject(reply);
  return true;
}

/* What the last connection may still have to say is not to be heard any more,
   or it would be done after what is asked here. A Redis that has started anew
   knows nothing of that, and gives its number to others. */
static bool silence(seer_connection *self, const char *server,
                    long long client, seer_store_message message) {
  redisReply *reply;
  if (!self->unsure || client == 0 || strcmp(server, self->server) != 0)
    return true;
  redisAppendCommand(self->context, "CLIENT KILL ID %lld", client);
  reply = receive(self, message);
  if (reply != NULL)
    freeReplyObject(reply);
  return reply != NULL;
}

static bool connect_and_ask(seer_connection *self,
                            seer_store_message message) {
  char server[sizeof self->server];
  long long client = self->client;
  bool ok;
  memcpy(server, self->server, sizeof server);
  if (!dial(self, message))
    return false;
  send_login(self);
  redisAppendCommand(self->context, "CLIENT ID");
  redisAppendCommand(self->context, "INFO");
  for (int i = 0; i < SEER_SCRIPTS_LOADED; i++)
    redisAppendCommand(self->context, "SCRIPT LOAD %s", seer_scripts[i]);
  ok = (self->config->address.password[0] == '\0' ||
        expect_ok(self, message)) &&
       expect_ok(self, message) && introduce(self, message);
  for (int i = 0; i < SEER_SCRIPTS_LOADED && ok; i++)
    ok = load(self, i, message);
  if (ok && silence(self, server, client, message)) {
    self->unsure = false;
    return true;
  }
  if (self->unsure) { /* that connection is still the one */
    self->client = client;
    memcpy(self->server, server, sizeof server);
  }
  return false;
}

bool seer_connection_open(seer_connection *self, seer_store_message message) {
  struct pollfd input = {-1, POLLIN, 0};
  if (self->context != NULL) {
    input.fd = self->context->fd;
    if (poll(&input, 1, 0) != 0) /* its end: nobody was asked for anything */
      seer_connection_close(self);
  }
  return self->context != NULL || connect_and_ask(self, message);
}

/*
** Running scripts
*/

static redisReply *ask(seer_connection *self, const char *how,
                       const char *what, const seer_words *words,
                       seer_store_message message) {
  char *head = malloc(strlen(what) + 64);
  bool ok = head != NULL && words->bytes != NULL;
  if (ok) {
    int length =
        sprintf(head, "*%d\r\n$%zu\r\n%s\r\n$%zu\r\n%s\r\n", words->count + 2,
                strlen(how), how, strlen(what), what);
    ok = redisAppendFormattedCommand(self->context, head, (size_t)length) ==
             REDIS_OK &&
         redisAppendFormattedCommand(self->context, words->bytes,
                                     words->length) == REDIS_OK;
  }
  free(head);
  if (ok) {
    redisReply *reply = receive(self, message);
    self->unsure = reply == NULL;
    return reply;
  }
  lose(self, "not enough memory", "", message);
  return NULL;
}

/* Scripts may be flushed at any time; with its text one is known again. */
redisReply *seer_connection_run(seer_connection *self, int script,
                                const seer_words *words,
                                seer_store_message message) {
  bool loaded = script < SEER_SCRIPTS_LOADED;
  redisReply *reply = NULL;
  if (loaded)
    reply = ask(self, "EVALSHA", self->scripts[script], words, message);
  if (reply != NULL && reply->type == REDIS_REPLY_ERROR &&
      strncmp(reply->str, "NOSCRIPT", 8) == 0) {
    freeReplyObject(reply);
    loaded = false;
  }
  if (!loaded)
    reply = ask(self, "EVAL", seer_scripts[script], words, message);
  if (reply != NULL && reply->type == REDIS_REPLY_ERROR) {
    lose(self, "", reply->str, message);
    freeReplyObject(reply);
    reply = NULL;
  }
  return reply;
}
