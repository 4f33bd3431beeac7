#include "driver.h"

#include "budget.h"
#include "connection.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>
#include <unistd.h>
#pragma GCC visibility push(hidden)

#define KEYS 5
#define LEFT 256 /* rows that LEAVE may make nobody's */

/* What this process has of a target; its name is the first half of that. */
typedef struct target {
  uint64_t name;
  bool joined;       /* it is in the list of owners... */
  bool tried;        /* ...or may be */
  bool unfreed;      /* not all that the dead have left has been looked at */
  bool wanted;       /* the present batch is about it */
  uint64_t from, to; /* ids of rows that may be in its stream without being in
                        memory: they go back; 0: none */
  char place[48];    /* where in nobody's stream to go on */
  redisReply *reply;
} target;

typedef struct store {
  seer_config config;
  seer_connection connection;
  seer_words words;
  char me[17];
  pid_t process; /* no other may touch what is open here */
  bool inside;   /* somebody is at work here */
  bool warned;
  target *targets;
  size_t target_count;
} store;

/* Ids of rows: they grow, whatever store of this process they are for. */
static uint64_t draw_ids(size_t count) {
  static uint64_t last;
  return __atomic_add_fetch(&last, count, __ATOMIC_RELAXED) - count + 1;
}

static uint64_t name_of(const uint8_t id[16]) {
  uint64_t name = 0;
  for (int i = 0; i < 8; i++)
    name = name << 8 | id[i];
  return name;
}

/*
** Targets
*/

/* The one of this name, found or made; NULL without memory. */
static target *find(store *self, uint64_t name) {
  target *grown;
  for (size_t i = 0; i < self->target_count; i++)
    if (self->targets[i].name == name)
      return &self->targets[i];
  grown =
      realloc(self->targets, (self->target_count + 1) * sizeof *self->targets);
  if (grown == NULL)
    return NULL;
  self->targets = grown;
  grown += self->target_count++;
  memset(grown, 0, sizeof *grown);
  grown->name = name;
  memcpy(grown->place, "-", 2);
  return grown;
}

static bool want(store *self, uint64_t name) {
  target *it = find(self, name);
  if (it != NULL)
    it->wanted = true;
  return it != NULL;
}

/* Which targets a batch is about; a look is about all, for it is what keeps
   their leases. */
static bool want_all(store *self, const seer_batch *batch) {
  bool ok = true;
  for (size_t i = 0; i < self->target_count; i++)
    self->targets[i].wanted = batch->look && self->targets[i].tried;
  for (size_t i = 0; i < batch->target_count && ok; i++)
    ok = want(self, name_of(batch->targets[i]));
  for (size_t i = 0; i < batch->put_count && ok; i++)
    ok = want(self, batch->puts[i].id.b);
  for (size_t i = 0; i < batch->settled_count && ok; i++)
    ok = want(self, batch->settled[i].b);
  return ok;
}

/* The place among those to adopt for; their number if it is not there. */
static size_t index_of(const seer_batch *batch, const target *it) {
  size_t i = 0;
  while (i < batch->target_count && name_of(batch->targets[i]) != it->name)
    i++;
  return i;
}

/*
** What is said to Redis
*/

static void add_keys(store *self, const target *it) {
  static const char *const names[] = {"owners", "o:", "q", "users"};
  seer_words *words = &self->words;
  const char *prefix = self->config.prefix;
  seer_words_clear(words);
  seer_words_print(words, "%d", KEYS);
  for (int i = 0; i < 4; i++)
    seer_words_print(words, "%s:{%016" PRIx64 "}:%s%s", prefix, it->name,
                     names[i], i == 1 ? self->me : "");
  seer_words_print(words, "%s:targets", prefix);
  seer_words_add(words, self->me, sizeof self->me - 1);
  seer_words_print(words, "%s:{%016" PRIx64 "}:o:", prefix, it->name);
}

static int count_rows(const seer_batch *batch, const target *it) {
  int count = 0;
  for (size_t i = 0; i < batch->put_count; i++)
    count += batch->puts[i].id.b == it->name;
  return count;
}

static int count_settled(const seer_batch *batch, const target *it) {
  int count = 0;
  for (size_t i = 0; i < batch->settled_count; i++)
    count += batch->settled[i].b == it->name;
  return count;
}

/* The words behind the keys, up to the lists, in the order of COMMIT. */
static void add_numbers(store *self, const seer_batch *batch, const target *it,
                        size_t room, size_t fuse, uint64_t id) {
  seer_words *words = &self->words;
  const seer_config *config = &self->config;
  seer_words_print(words, "%" PRId64, config->lease);
  seer_words_print(words, "%d", it->joined);
  seer_words_print(words, "%" PRId64, config->max_events);
  seer_words_print(words, "%" PRId64, config->max_bytes);
  seer_words_print(words, "%d", batch->displace);
  seer_words_print(words, "%zu", room);
  seer_words_print(words, "%zu", fuse);
  seer_words_print(words, "%" PRIu32, batch->kinds);
  seer_words_print(words, "%" PRIu64, id);
  seer_words_add(words, it->place, strlen(it->place));
  seer_words_print(words, "%" PRIu64, it->from);
  seer_words_print(words, "%" PRIu64, it->to);
  seer_words_print(words, "%d", count_settled(batch, it));
  seer_words_print(words, "%d", count_rows(batch, it));
  seer_words_print(words, "%016" PRIx64, it->name);
}

static void add_lists(store *self, const seer_batch *batch, const target *it) {
  for (size_t i = 0; i < batch->settled_count; i++)
    if (batch->settled[i].b == it->name)
      seer_words_print(&self->words, "%" PRIu64, batch->settled[i].a);
  for (size_t i = 0; i < batch->put_count; i++)
    if (batch->puts[i].id.b == it->name)
      seer_words_add_row(&self->words, &batch->puts[i]);
}

/*
** One target's part of a batch
*/

/* How far a batch has come. */
typedef struct progress {
  size_t room, fuse;
  bool done;      /* something was */
  char limit[16]; /* what one target has too much of; "": none has */
} progress;

/* Whose lease has run out is dead; what it had is nobody's then. */
static bool look(store *self, seer_batch *batch, target *it,
                 seer_store_message message) {
  redisReply *reply;
  add_keys(self, it);
  reply = seer_connection_run(&self->connection, SEER_SCRIPTS_LOOK,
                              &self->words, message);
  if (reply == NULL)
    return false;
  it->unfreed = seer_connection_number(reply, 0) != 0;
  if (batch->look) {
    seer_store_totals *totals = &batch->totals;
    int64_t events = seer_connection_number(reply, 1);
    int64_t oldest = seer_connection_number(reply, 4);
    totals->events =
        events < 0 || totals->events < 0 ? -1 : totals->events + events;
    totals->nobodys += seer_connection_number(reply, 2);
    totals->bytes += seer_connection_number(reply, 3);
    totals->oldest = oldest > totals->oldest ? oldest : totals->oldest;
  }
  freeReplyObject(reply);
  return true;
}

/* There is none where nothing was put. */
static void read_flags(const seer_batch *batch, const target *it) {
  size_t length, at = 0;
  const char *flags = seer_connection_string(it->reply, 4, &length);
  for (size_t i = 0; i < batch->put_count && at < length; i++)
    if (batch->puts[i].id.b == it->name) {
      batch->puts[i].mine = flags[at++] == '1';
      batch->puts[i].put = true;
    }
}

/* The rows that were adopted. */
static const redisReply *rows_of(const target *it) {
  const redisReply *reply = it->reply;
  bool is_list = reply != NULL && reply->type == REDIS_REPLY_ARRAY &&
                 reply->elements == 6 &&
                 reply->element[5]->type == REDIS_REPLY_ARRAY;
  return is_list ? reply->element[5] : NULL;
}

static void read_reply(seer_batch *batch, target *it, progress *p) {
  const redisReply *rows = rows_of(it);
  size_t length;
  const char *text = seer_connection_string(it->reply, 0, &length);
  p->done = true;
  it->joined = true;
  if (length > 0)
    snprintf(p->limit, sizeof p->limit, "%s", text);
  read_flags(batch, it);
  batch->displaced += seer_connection_number(it->reply, 1);
  batch->backlog |= seer_connection_number(it->reply, 2) > 0;
  text = seer_connection_string(it->reply, 3, &length);
  snprintf(it->place, sizeof it->place, "%s", length > 0 ? text : "-");
  p->room -= rows->elements;
  for (size_t i = 0; i < rows->elements; i++)
    p->fuse -= seer_connection_number(rows->element[i], 4) >= SEER_STORE_TRIES;
}

/* Only what it has said is known of what Redis has done. */
static seer_store_result commit_target(store *self, seer_batch *batch,
                                       target *it, progress *p,
                                       seer_store_message message) {
  bool adopts = index_of(batch, it) < batch->target_count;
  size_t room = adopts && it->from == 0 ? p->room : 0, length;
  uint64_t id = draw_ids(room);
  if ((batch->look || it->unfreed) && !look(self, batch, it, message))
    return SEER_STORE_LATER;
  add_keys(self, it);
  add_numbers(self, batch, it, room, p->fuse, id);
  add_lists(self, batch, it);
  it->tried = true;
  it->reply = seer_connection_run(&self->connection, SEER_SCRIPTS_COMMIT,
                                  &self->words, message);
  if (it->reply == NULL && !self->connection.unsure)
    return SEER_STORE_LATER;
  if (it->reply != NULL &&
      strcmp(seer_connection_string(it->reply, 0, &length), "lost") == 0) {
    seer_connection_explain(&self->connection,
                            "it has lost what this process had there, or "
                            "has not heard of it for as long as the lease",
                            "", message);
    return SEER_STORE_BROKEN;
  }
  if (room > 0) { /* until it is known what was adopted */
    it->from = id;
    it->to = id + room - 1;
  }
  if (it->reply == NULL)
    return SEER_STORE_UNSURE;
  if (rows_of(it) == NULL) {
    seer_connection_explain(&self->connection, "its answer is not understood",
                            "", message);
    return SEER_STORE_UNSURE;
  }
  read_reply(batch, it, p);
  return SEER_STORE_DONE;
}

/*
** Batches
*/

/* A row that was adopted; false if it is none. */
static bool deliver_row(const seer_batch *batch, size_t i, uint64_t id,
                        uint64_t name, const redisReply *from) {
  seer_row row = {.target = batch->targets[i], .mine = true};
  size_t length;
  const char *text = seer_connection_string(from, 2, &length);
  if (length != sizeof row.uuid)
    return false;
  memcpy(row.uuid, text, length);
  row.id.a = id;
  row.id.b = name;
  row.kind = (uint32_t)seer_connection_number(from, 0);
  row.user = strtoull(seer_connection_string(from, 1, &length), NULL, 16);
  row.age = seer_connection_number(from, 3);
  row.tries = (uint32_t)seer_connection_number(from, 4);
  row.body = seer_connection_string(from, 5, &row.length);
  if (row.length == 0 || row.kind >= batch->kinds)
    return false;
  batch->adopt(batch->to, &row);
  return true;
}

static void deliver(const store *self, seer_batch *batch, target *it,
                    seer_store_message message) {
  const redisReply *rows = rows_of(it);
  size_t i = index_of(batch, it);
  bool ok = true;
  for (size_t n = 0; i < batch->target_count && n < rows->elements; n++)
    ok &= deliver_row(batch, i, it->from + n, it->name, rows->element[n]);
  it->from = it->to = 0;
  if (!ok)
    seer_connection_explain(&self->connection,
                            "there is a row of somebody else's", "", message);
}

/* What it comes to for all targets together. */
static seer_store_result judge(store *self, seer_store_result result,
                               const progress *p, seer_store_message message) {
  if (p->limit[0] != '\0' && result == SEER_STORE_DONE) {
    seer_connection_explain(&self->connection, "it is full: ", p->limit,
                            message);
    return SEER_STORE_FULL;
  }
  return result == SEER_STORE_LATER && p->done ? SEER_STORE_UNSURE : result;
}

static void warn(store *self, seer_store_message message) {
  if (!self->warned && strncmp(self->connection.policy, "allkeys-", 8) == 0)
    seer_connection_explain(
        &self->connection,
        "it may throw away events, for its maxmemory-policy is ",
        self->connection.policy, message);
  self->warned = true;
}

static seer_store_result commit(store *self, seer_batch *batch,
                                seer_store_message message) {
  progress p = {.room = batch->room, .fuse = batch->fuse};
  seer_store_result result = SEER_STORE_DONE;
  for (size_t i = 0; i < self->target_count && result == SEER_STORE_DONE; i++)
    if (self->targets[i].wanted)
      result = commit_target(self, batch, &self->targets[i], &p, message);
  result = judge(self, result, &p, message);
  for (size_t i = 0; i < self->target_count; i++) {
    target *it = &self->targets[i];
    if (it->reply != NULL) {
      if (result == SEER_STORE_DONE || result == SEER_STORE_FULL)
        deliver(self, batch, it, message);
      freeReplyObject(it->reply);
    }
    it->reply = NULL;
  }
  if (result == SEER_STORE_DONE)
    warn(self, message);
  return result;
}

static bool prepare(store *self, seer_batch *batch) {
  uint64_t id = draw_ids(batch->put_count);
  for (size_t i = 0; i < batch->put_count; i++) {
    batch->puts[i].id.a = id + i;
    batch->puts[i].id.b = name_of(batch->puts[i].target);
  }
  batch->displaced = 0;
  batch->backlog = false;
  batch->totals = (seer_store_totals){0, 0, 0, -1, 0};
  return want_all(self, batch);
}

static seer_store_result commit_batch(void *store_, seer_batch *batch,
                                      seer_store_message message) {
  store *self = store_;
  seer_store_result result = SEER_STORE_LATER;
  *message = '\0';
  if (self->process != getpid()) {
    snprintf(message, sizeof(seer_store_message),
             "the process was forked without its handlers");
    return SEER_STORE_BROKEN;
  }
  self->inside = true;
  if (!prepare(self, batch))
    snprintf(message, sizeof(seer_store_message), "not enough memory");
  else if (seer_connection_open(&self->connection, message))
    result = commit(self, batch, message);
  seer_words_clear(&self->words);
  self->inside = false;
  return result;
}

static seer_store_result share_budget(void *store_, seer_budget *budget,
                                      seer_store_message message) {
  store *self = store_;
  seer_store_result result = SEER_STORE_LATER;
  self->inside = true;
  if (self->process == getpid() &&
      seer_connection_open(&self->connection, message))
    result = seer_budget_ask(&self->connection, budget, message);
  self->inside = false;
  return result;
}

/*
** Beginning and end
*/

static void *open_store(const void *config, seer_store_message message) {
  store *self = calloc(1, sizeof *self);
  uint64_t me;
  *message = '\0';
  if (self == NULL || getrandom(&me, sizeof me, 0) < 0) {
    snprintf(message, sizeof(seer_store_message), "not enough memory");
    free(self);
    return NULL;
  }
  memcpy(&self->config, config, sizeof self->config);
  snprintf(self->me, sizeof self->me, "%016" PRIx64, me);
  self->connection.config = &self->config;
  self->process = getpid();
  return self;
}

/* What was being changed when the process was copied is left alone. */
static void forget_parents(void *store_) {
  store *self = store_;
  if (self == NULL)
    return;
  if (!self->inside) {
    seer_connection_close(&self->connection);
    free(self->targets);
    free(self);
  } else if (self->connection.context != NULL) {
    close(self->connection.context->fd);
  }
}

static int64_t now(void) {
  struct timespec time = {0, 0};
  clock_gettime(CLOCK_MONOTONIC, &time);
  return (int64_t)time.tv_sec * 1000 + time.tv_nsec / 1000000;
}

/* Makes the rows of this process nobody's. What there is no time for others
   find when the lease has run out. */
static void leave(store *self, const target *it, int64_t deadline) {
  seer_store_message message;
  redisReply *reply;
  long long count = LEFT;
  while (count == LEFT && now() < deadline) {
    add_keys(self, it);
    reply = seer_connection_run(&self->connection, SEER_SCRIPTS_LEAVE,
                                &self->words, message);
    count = reply != NULL && reply->type == REDIS_REPLY_INTEGER
                ? reply->integer
                : 0;
    if (reply != NULL)
      freeReplyObject(reply);
  }
}

static void close_store(void *store_) {
  store *self = store_;
  seer_store_message message;
  int64_t deadline = now() + SEER_STORE_PATIENCE;
  if (self->process != getpid()) {
    forget_parents(self);
    return;
  }
  self->inside = true;
  for (size_t i = 0; i < self->target_count; i++)
    if (self->targets[i].tried && now() < deadline &&
        seer_connection_open(&self->connection, message))
      leave(self, &self->targets[i], deadline);
  seer_connection_close(&self->connection);
  seer_words_clear(&self->words);
  free(self->targets);
  free(self);
}

const seer_store_driver seer_driver = {
    .abi = SEER_STORE_ABI,
    .row_size = sizeof(seer_row),
    .batch_size = sizeof(seer_batch),
    .name = "redis",
    .open = open_store,
    .commit = commit_batch,
    .budget = share_budget,
    .forked = forget_parents,
    .close = close_store,
};
