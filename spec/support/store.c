/* A store for specs: a file, or this process's memory, with the faults that
   its control file names. A module of the specs alone:

     store.open { path = ..., control = ..., abi = ... } -> the option `store`
     store.rows(path) -> { { uuid, owner, user, body }... }, of a file

   The file is written anew by each commit, so that a kill leaves the one or
   the other. An owner lives as long as its lock is held. The control file has
   a word, and a number: "slow 50" (ms), "hang" (until it says otherwise; "hang
   1": what both puts and adopts), "full", "later", "broken", "unsure" (done),
   "lost" (unsure, not done), "forgetful" (says it has put what it has not),
   "refuse" (to open). */

#include "../../src/core/store.h"

#include <errno.h>
#include <fcntl.h>
#include <lauxlib.h>
#include <lua.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/random.h>
#include <time.h>
#include <unistd.h>

#define ROOM 200

typedef struct config {
  char path[ROOM], control[ROOM]; /* "": in memory; none */
} config;

/* As it is in the file, with its body behind it. */
typedef struct record {
  uint64_t number, owner, user;
  uint8_t target[16], uuid[16];
  uint32_t kind, tries, length;
  uint32_t taken; /* by the adoption that is at work */
  int64_t captured; /* wall ms */
} record;

typedef struct table {
  char *bytes;
  size_t length, room;
} table;

typedef struct store {
  const config *config;
  uint64_t owner;
  int lock;
  uint64_t numbers;
  table memory;
  char word[20];
  long number;
} store;

static int64_t wall(void) {
  struct timespec time;
  clock_gettime(CLOCK_REALTIME, &time);
  return (int64_t)time.tv_sec * 1000 + time.tv_nsec / 1000000;
}

static void pause_for(long ms) {
  struct timespec time = {ms / 1000, ms % 1000 * 1000000};
  nanosleep(&time, NULL);
}

static void read_control(store *s, const config *from) {
  FILE *file = *from->control != '\0' ? fopen(from->control, "re") : NULL;
  s->word[0] = '\0';
  s->number = 0;
  if (file == NULL)
    return;
  if (fscanf(file, "%19s %ld", s->word, &s->number) < 1)
    s->word[0] = '\0';
  fclose(file);
}

static bool is(const store *s, const char *word) {
  return strcmp(s->word, word) == 0;
}

/*
** Tables of records.
*/

static void append(table *t, const void *bytes, size_t length) {
  if (t->room - t->length < length) {
    t->room = 2 * t->room + length;
    t->bytes = realloc(t->bytes, t->room);
    if (t->bytes == NULL)
      abort();
  }
  if (length > 0)
    memcpy(t->bytes + t->length, bytes, length);
  t->length += length;
}

static void add(table *t, const record *r, const char *body) {
  append(t, r, sizeof *r);
  append(t, body, r->length);
}

/* The next record, and its body; false at the end. */
static bool next(const table *t, size_t *at, record *r, const char **body) {
  if (t->length - *at < sizeof *r)
    return false;
  memcpy(r, t->bytes + *at, sizeof *r);
  *body = t->bytes + *at + sizeof *r;
  *at += sizeof *r + r->length;
  return true;
}

static table read_table(const char *path) {
  table t = {NULL, 0, 0};
  char part[65536];
  ssize_t got;
  int fd = open(path, O_RDONLY | O_CLOEXEC);
  while (fd >= 0 && (got = read(fd, part, sizeof part)) > 0)
    append(&t, part, (size_t)got);
  if (fd >= 0)
    close(fd);
  return t;
}

static bool write_table(const char *path, const table *t) {
  char fresh[ROOM + 10];
  size_t at = 0;
  ssize_t put = 1;
  int fd;
  snprintf(fresh, sizeof fresh, "%s.new", path);
  fd = open(fresh, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
  while (fd >= 0 && at < t->length && put > 0) {
    put = write(fd, t->bytes + at, t->length - at);
    at += put > 0 ? (size_t)put : 0;
  }
  if (fd < 0 || at < t->length || close(fd) < 0)
    return false;
  return rename(fresh, path) == 0;
}

/*
** Locks: of the table, and of its owners.
*/

static int lock(const char *path, const char *suffix, int how) {
  char name[ROOM + 40];
  int fd;
  snprintf(name, sizeof name, "%s%s", path, suffix);
  fd = open(name, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
  if (fd >= 0 && flock(fd, how) < 0) {
    close(fd);
    return -1;
  }
  return fd;
}

static void owner_suffix(uint64_t owner, char suffix[40]) {
  snprintf(suffix, 40, ".owner-%llx", (unsigned long long)owner);
}

static bool is_dead(const store *s, uint64_t owner) {
  char suffix[40];
  int fd;
  if (owner == 0 || owner == s->owner || *s->config->path == '\0')
    return false;
  owner_suffix(owner, suffix);
  fd = lock(s->config->path, suffix, LOCK_EX | LOCK_NB);
  if (fd >= 0)
    close(fd);
  return fd >= 0;
}

static void *store_open(const void *given, seer_store_message message) {
  store *s = calloc(1, sizeof *s);
  char suffix[40];
  s->config = given;
  read_control(s, given);
  if (is(s, "refuse")) {
    snprintf(message, sizeof(seer_store_message), "refused");
    free(s);
    return NULL;
  }
  if (getrandom(&s->owner, sizeof s->owner, 0) < 0)
    abort();
  s->owner |= 1;
  s->lock = -1;
  owner_suffix(s->owner, suffix);
  if (*s->config->path != '\0')
    s->lock = lock(s->config->path, suffix, LOCK_EX);
  return s;
}

/*
** A commit.
*/

static bool is_settled(const seer_batch *batch, const record *r) {
  for (size_t i = 0; i < batch->settled_count; i++)
    if (batch->settled[i].a == r->number &&
        memcmp(&batch->settled[i].b, r->uuid, sizeof(uint64_t)) == 0)
      return true;
  return false;
}

static bool is_wanted(const seer_batch *batch, const record *r) {
  for (size_t i = 0; i < batch->target_count; i++)
    if (memcmp(batch->targets[i], r->target, sizeof r->target) == 0)
      return r->kind < batch->kinds;
  return false;
}

/* Whether an older identify of the user is there that this call has not
   taken. */
static bool is_held(const table *done, uint64_t user) {
  record r;
  const char *body;
  for (size_t at = 0; user != 0 && next(done, &at, &r, &body);)
    if (r.user == user && !r.taken)
      return true;
  return false;
}

static seer_row row_of(const record *r, const char *body) {
  seer_row row = {.target = r->target, .user = r->user, .kind = r->kind,
                  .tries = r->tries, .age = wall() - r->captured,
                  .body = body, .length = r->length, .mine = true};
  row.id.a = r->number;
  memcpy(&row.id.b, r->uuid, sizeof row.id.b);
  memcpy(row.uuid, r->uuid, sizeof row.uuid);
  return row;
}

/* What is left of the table: nobody's rows of the dead, without what is
   settled; and what is adopted of it. */
static void sweep(store *s, seer_batch *batch, const table *before,
                  table *after) {
  size_t count = 0;
  size_t fuse = batch->fuse;
  record r;
  const char *body;
  for (size_t at = 0; next(before, &at, &r, &body);) {
    if (is_settled(batch, &r))
      continue;
    r.taken = 0;
    if (batch->look && is_dead(s, r.owner)) {
      r.owner = 0;
      r.tries++;
    }
    if (batch->room > 0 && r.owner == 0 && is_wanted(batch, &r)) {
      bool fused = r.tries >= SEER_STORE_TRIES;
      if (count < batch->room && (!fused || fuse > 0) &&
          !is_held(after, r.user)) {
        seer_row row = row_of(&r, body);
        batch->adopt(batch->to, &row);
        count++;
        r.taken = 1;
        r.owner = s->owner;
        fuse -= fused;
      } else {
        batch->backlog = true;
      }
    }
    add(after, &r, body);
  }
}

static bool has_others(const store *s, const table *t, uint64_t user) {
  record r;
  const char *body;
  for (size_t at = 0; user != 0 && next(t, &at, &r, &body);)
    if (r.user == user && r.owner != s->owner)
      return true;
  return false;
}

static void put(store *s, seer_batch *batch, table *after) {
  for (size_t i = 0; i < batch->put_count; i++) {
    seer_row *row = &batch->puts[i];
    record r;
    memset(&r, 0, sizeof r);
    if (has_others(s, after, row->user))
      row->mine = false;
    r.number = (uint64_t)wall() << 20 | (++s->numbers & 0xfffff);
    r.owner = row->mine ? s->owner : 0;
    r.user = row->user;
    memcpy(r.target, row->target, sizeof r.target);
    memcpy(r.uuid, row->uuid, sizeof r.uuid);
    r.kind = row->kind;
    r.length = (uint32_t)row->length;
    r.captured = wall() - row->age;
    row->id = row_of(&r, NULL).id;
    if (!is(s, "forgetful"))
      add(after, &r, row->body);
  }
}

static void total(const table *t, seer_store_totals *totals) {
  record r;
  const char *body;
  *totals = (seer_store_totals){0, 0, (int64_t)t->length, 0, 0};
  for (size_t at = 0; next(t, &at, &r, &body);) {
    totals->events++;
    totals->nobodys += r.owner == 0;
  }
}

static seer_store_result apply(store *s, seer_batch *batch) {
  bool file = *s->config->path != '\0', full = is(s, "full");
  table before = file ? read_table(s->config->path) : s->memory;
  table after = {NULL, 0, 0};
  bool written = true;
  if (full)
    sweep(s, batch, &before, &after);
  else {
    table with = {NULL, 0, 0};
    record r;
    const char *body;
    for (size_t at = 0; next(&before, &at, &r, &body);)
      add(&with, &r, body);
    put(s, batch, &with);
    sweep(s, batch, &with, &after);
    free(with.bytes);
  }
  total(&after, &batch->totals);
  free(before.bytes);
  if (file) {
    written = write_table(s->config->path, &after);
    free(after.bytes);
  } else {
    s->memory = after;
  }
  return !written ? SEER_STORE_LATER : full ? SEER_STORE_FULL
                                            : SEER_STORE_DONE;
}

static seer_store_result fault(store *s, seer_batch *batch,
                               seer_store_message message) {
  snprintf(message, sizeof(seer_store_message), "told to be %s", s->word);
  for (size_t i = 0; is(s, "lost") && i < batch->put_count; i++)
    batch->puts[i].id = (seer_store_id){++s->numbers, s->owner};
  return is(s, "later")    ? SEER_STORE_LATER
         : is(s, "broken") ? SEER_STORE_BROKEN
         : is(s, "lost")   ? SEER_STORE_UNSURE
                           : SEER_STORE_DONE;
}

static void ignore(void *to, const seer_row *row) {
  (void)to;
  (void)row;
}

/* A file says so. */
static void tell_hung(const config *c) {
  char path[ROOM + 8];
  snprintf(path, sizeof(path), "%s.hangs", c->control);
  close(open(path, O_CREAT | O_CLOEXEC, 0600));
}

static seer_store_result store_commit(void *given, seer_batch *batch,
                                      seer_store_message message) {
  store *s = given;
  seer_store_result result;
  int held = -1;
  read_control(s, s->config);
  while (is(s, "hang") &&
         (s->number == 0 || (batch->put_count > 0 && batch->room > 0))) {
    tell_hung(s->config);
    pause_for(2);
    read_control(s, s->config);
  }
  if (is(s, "slow"))
    pause_for(s->number);
  result = fault(s, batch, message);
  if (result != SEER_STORE_DONE)
    return result;
  message[0] = '\0';
  if (is(s, "unsure")) {
    batch->adopt = ignore;
    batch->room = 0;
  }
  if (*s->config->path != '\0')
    held = lock(s->config->path, ".lock", LOCK_EX);
  result = apply(s, batch);
  if (held >= 0)
    close(held);
  return is(s, "unsure") ? SEER_STORE_UNSURE : result;
}

static void store_forked(void *given) {
  store *s = given;
  if (s == NULL)
    return;
  if (s->lock >= 0)
    close(s->lock);
  free(s->memory.bytes);
  free(s);
}

/* What is in memory is lost with the process. */
static void store_close(void *given) {
  store *s = given;
  table before, after = {NULL, 0, 0};
  record r;
  const char *body;
  if (*s->config->path != '\0') {
    int held = lock(s->config->path, ".lock", LOCK_EX);
    before = read_table(s->config->path);
    for (size_t at = 0; next(&before, &at, &r, &body);) {
      r.owner = r.owner == s->owner ? 0 : r.owner;
      add(&after, &r, body);
    }
    write_table(s->config->path, &after);
    close(held);
    free(before.bytes);
    free(after.bytes);
  }
  store_forked(s);
}

static const seer_store_driver driver = {
    .abi = SEER_STORE_ABI,
    .row_size = sizeof(seer_row),
    .batch_size = sizeof(seer_batch),
    .name = "fake",
    .open = store_open,
    .commit = store_commit,
    .forked = store_forked,
    .close = store_close,
};

/*
** For Lua.
*/

static void copy_field(lua_State *L, const char *name, char place[ROOM]) {
  lua_getfield(L, 1, name);
  snprintf(place, ROOM, "%s", luaL_optstring(L, -1, ""));
  lua_pop(L, 1);
}

static int open_store(lua_State *L) {
  seer_store_object *object;
  config made;
  memset(&made, 0, sizeof made);
  luaL_checktype(L, 1, LUA_TTABLE);
  copy_field(L, "path", made.path);
  copy_field(L, "control", made.control);
  lua_getfield(L, 1, "abi");
  object = lua_newuserdata(L, sizeof *object + sizeof made);
  object->abi = (int)luaL_optinteger(L, -2, SEER_STORE_ABI);
  object->config_size = sizeof made;
  object->driver = &driver;
  memcpy(object->config, &made, sizeof made);
  luaL_newmetatable(L, SEER_STORE_METATABLE);
  lua_setmetatable(L, -2);
  return 1;
}

static void push_hex(lua_State *L, const uint8_t bytes[16]) {
  char text[33];
  for (int i = 0; i < 16; i++)
    snprintf(text + 2 * i, 3, "%02x", bytes[i]);
  lua_pushstring(L, text);
}

static int list_rows(lua_State *L) {
  table t = read_table(luaL_checkstring(L, 1));
  record r;
  const char *body;
  int count = 0;
  lua_newtable(L);
  for (size_t at = 0; next(&t, &at, &r, &body);) {
    lua_createtable(L, 0, 5);
    push_hex(L, r.uuid);
    lua_setfield(L, -2, "uuid");
    lua_pushboolean(L, r.owner != 0);
    lua_setfield(L, -2, "owned");
    lua_pushinteger(L, (lua_Integer)r.tries);
    lua_setfield(L, -2, "tries");
    lua_pushlstring(L, body, r.length);
    lua_setfield(L, -2, "body");
    lua_rawseti(L, -2, ++count);
  }
  free(t.bytes);
  return 1;
}

__attribute__((visibility("default"))) int
luaopen_seer_spec_store(lua_State *L);

int luaopen_seer_spec_store(lua_State *L) {
  lua_newtable(L);
  lua_pushcfunction(L, open_store);
  lua_setfield(L, -2, "open");
  lua_pushcfunction(L, list_rows);
  lua_setfield(L, -2, "rows");
  return 1;
}
