#include "rows.h"

#include <string.h>
#pragma GCC visibility push(hidden)

#define DEAD_MOST 64 /* owners that are looked at in a batch */
#define DISPLACED 256
#define ADOPTED_BYTES 4194304 /* of a batch, and then one event more */

static int run(const seer_rows *rows, seer_database_statement which,
               const int64_t *parameters, int count) {
  int code = seer_database_run(rows->database, which, parameters, count, NULL);
  return code == SQLITE_DONE ? SQLITE_OK : code;
}

static int64_t changes(const seer_rows *rows) {
  return sqlite3_changes(rows->database->connection);
}

/*
** Forgetting, and making rows nobody's
*/

int seer_rows_forget(seer_rows *rows, const seer_batch *batch) {
  sqlite3_stmt *forget =
      seer_database_get(rows->database, SEER_DATABASE_FORGET);
  for (size_t i = 0; i < batch->settled_count; i++) {
    const seer_store_id *id = &batch->settled[i];
    int code;
    sqlite3_bind_int64(forget, 1, (int64_t)id->a);
    sqlite3_bind_blob(forget, 2, &id->b, sizeof id->b, SQLITE_STATIC);
    code = sqlite3_step(forget);
    sqlite3_reset(forget);
    if (code != SQLITE_DONE)
      return code;
    rows->change -= changes(rows);
  }
  return SQLITE_OK;
}

/* Some rows of an owner; when there are none left, it goes. */
static int free_rows(seer_rows *rows, int64_t owner, bool died) {
  int64_t parameters[] = {owner, rows->most, died};
  int code = run(rows, SEER_DATABASE_FREE, parameters, 3);
  if (code == SQLITE_OK)
    code = run(rows, SEER_DATABASE_DISOWN, &owner, 1);
  rows->unfreed |= code == SQLITE_OK && changes(rows) == 0;
  return code;
}

int seer_rows_look(seer_rows *rows, bool first) {
  sqlite3_stmt *owners =
      seer_database_get(rows->database, SEER_DATABASE_OWNERS);
  int64_t dead[DEAD_MOST];
  int count = 0, code;
  if (!first && !rows->unfreed)
    return SQLITE_OK;
  sqlite3_bind_int64(owners, 1, rows->owner);
  while ((code = sqlite3_step(owners)) == SQLITE_ROW && count < DEAD_MOST) {
    int64_t owner = sqlite3_column_int64(owners, 0);
    if (!seer_files_is_owned(rows->files, owner))
      dead[count++] = owner;
  }
  sqlite3_reset(owners);
  if (code != SQLITE_ROW && code != SQLITE_DONE)
    return code;
  rows->unfreed = count == DEAD_MOST;
  code = SQLITE_OK;
  for (int i = 0; i < count && code == SQLITE_OK && !rows->unfreed; i++)
    code = free_rows(rows, dead[i], true);
  return code;
}

int seer_rows_join(seer_rows *rows) {
  return run(rows, SEER_DATABASE_JOIN, &rows->owner, 1);
}

int seer_rows_leave(seer_rows *rows) {
  int code = SQLITE_OK;
  do {
    rows->unfreed = false;
    code = free_rows(rows, rows->owner, false);
  } while (code == SQLITE_OK && rows->unfreed);
  return code;
}

int seer_rows_displace(seer_rows *rows, int64_t *count) {
  int64_t most = DISPLACED;
  int code = run(rows, SEER_DATABASE_DISPLACE, &most, 1);
  *count = code == SQLITE_OK ? changes(rows) : 0;
  rows->change -= *count;
  return code;
}

int seer_rows_count(seer_rows *rows) {
  int64_t change = rows->change;
  return change != 0 ? run(rows, SEER_DATABASE_COUNT, &change, 1) : SQLITE_OK;
}

/*
** Putting
*/

/* The number of a target's API; 0 if it has no rows yet. */
static int find_api(const seer_rows *rows, const uint8_t *target, bool add,
                    int64_t *api) {
  sqlite3_stmt *find = seer_database_get(rows->database, SEER_DATABASE_API);
  sqlite3_stmt *insert =
      seer_database_get(rows->database, SEER_DATABASE_ADD_API);
  int code;
  sqlite3_bind_blob(find, 1, target, 16, SQLITE_STATIC);
  code = sqlite3_step(find);
  *api = code == SQLITE_ROW ? sqlite3_column_int64(find, 0) : 0;
  sqlite3_reset(find);
  if (code == SQLITE_ROW || (code == SQLITE_DONE && !add))
    return SQLITE_OK;
  if (code != SQLITE_DONE)
    return code;
  sqlite3_bind_blob(insert, 1, target, 16, SQLITE_STATIC);
  code = sqlite3_step(insert);
  sqlite3_reset(insert);
  *api = sqlite3_last_insert_rowid(rows->database->connection);
  return code == SQLITE_DONE ? SQLITE_OK : code;
}

/* Its high bit is lost: SQLite's integers have a sign. */
static int64_t user_of(const seer_row *row) {
  return (int64_t)(row->user & INT64_MAX);
}

static int insert(const seer_rows *rows, seer_row *row, int64_t api) {
  sqlite3_stmt *put = seer_database_get(rows->database, SEER_DATABASE_PUT);
  int code;
  sqlite3_bind_int64(put, 1, api);
  sqlite3_bind_int64(put, 2, row->mine ? rows->owner : SEER_DATABASE_NOBODY);
  if (row->user != 0)
    sqlite3_bind_int64(put, 3, user_of(row));
  else
    sqlite3_bind_null(put, 3);
  sqlite3_bind_int64(put, 4, row->kind);
  sqlite3_bind_int64(put, 5, rows->now.boot);
  sqlite3_bind_int64(put, 6, rows->now.mono - row->age);
  sqlite3_bind_int64(put, 7, rows->now.wall - row->age);
  sqlite3_bind_blob(put, 8, row->uuid, 16, SQLITE_STATIC);
  sqlite3_bind_blob64(put, 9, row->body, row->length, SQLITE_STATIC);
  code = sqlite3_step(put);
  sqlite3_reset(put);
  row->id.a = (uint64_t)sqlite3_last_insert_rowid(rows->database->connection);
  memcpy(&row->id.b, row->uuid, sizeof row->id.b);
  return code == SQLITE_DONE ? SQLITE_OK : code;
}

/* A user's identifies are one process's, or wait for each other. */
static int put_row(seer_rows *rows, seer_row *row) {
  int64_t api;
  int code = find_api(rows, row->target, true, &api);
  if (code == SQLITE_OK && row->user != 0 && row->mine) {
    int64_t parameters[] = {rows->owner, user_of(row), api};
    code = seer_database_run(rows->database, SEER_DATABASE_OTHERS, parameters,
                             3, NULL);
    row->mine = code == SQLITE_DONE;
    if (code == SQLITE_DONE || code == SQLITE_ROW)
      code = SQLITE_OK;
  }
  return code == SQLITE_OK ? insert(rows, row, api) : code;
}

int seer_rows_put(seer_rows *rows, seer_batch *batch) {
  int code = SQLITE_OK;
  for (size_t i = 0; i < batch->put_count && code == SQLITE_OK; i++) {
    code = put_row(rows, &batch->puts[i]);
    batch->backlog |= !batch->puts[i].mine;
    rows->change++;
  }
  return code;
}

int seer_rows_keep(seer_rows *rows) {
  const seer_batch *batch = rows->late;
  int code = SQLITE_OK;
  for (size_t i = 0; i < batch->put_count && code == SQLITE_OK; i++) {
    int64_t parameters[] = {rows->owner, (int64_t)batch->puts[i].id.a};
    if (batch->puts[i].user == 0)
      code = run(rows, SEER_DATABASE_TAKE, parameters, 2);
  }
  return code;
}

/*
** Adopting
*/

/* Where to go on with a target; NULL where there are too many: at the
   start. */
static int64_t *place_of(seer_rows *rows, const uint8_t target[16]) {
  for (size_t i = 0; i < rows->place_count; i++)
    if (memcmp(rows->places[i].target, target, 16) == 0)
      return &rows->places[i].from;
  if (rows->place_count == SEER_ROWS_TARGETS)
    return NULL;
  memcpy(rows->places[rows->place_count].target, target, 16);
  rows->places[rows->place_count].from = 0;
  return &rows->places[rows->place_count++].from;
}

typedef struct found {
  int64_t id, user, tries, length;
} found;

/* Those of nobody's rows that come next. They are taken afterwards: a query
   must not see what it changes. */
static int find_rows(const seer_rows *rows, int64_t api, int64_t from,
                     uint32_t kinds, found list[SEER_ROWS_ADOPTED],
                     size_t *count) {
  sqlite3_stmt *find = seer_database_get(rows->database, SEER_DATABASE_FIND);
  int code;
  *count = 0;
  sqlite3_bind_int64(find, 1, api);
  sqlite3_bind_int64(find, 2, from);
  sqlite3_bind_int64(find, 3, kinds);
  sqlite3_bind_int64(find, 4, SEER_ROWS_ADOPTED);
  while ((code = sqlite3_step(find)) == SQLITE_ROW) {
    found *row = &list[(*count)++];
    row->id = sqlite3_column_int64(find, 0);
    row->user = sqlite3_column_int64(find, 1);
    row->tries = sqlite3_column_int64(find, 2);
    row->length = sqlite3_column_int64(find, 3);
  }
  sqlite3_reset(find);
  return code == SQLITE_DONE ? SQLITE_OK : code;
}

/* Whether an older identify of the user is somewhere, but for those that are
   taken together with this one. */
static int is_behind(const seer_rows *rows, const found *row, int64_t api,
                     bool *behind) {
  int64_t parameters[] = {row->user, api, row->id}, before;
  int code = seer_database_run(rows->database, SEER_DATABASE_BEFORE,
                               parameters, 3, &before);
  *behind = code == SQLITE_ROW;
  for (size_t i = rows->adopted; *behind && i > 0; i--)
    *behind = rows->taken[i - 1].id != before;
  return code == SQLITE_ROW || code == SQLITE_DONE ? SQLITE_OK : code;
}

/* Takes a row, unless it has to wait: for an older one of its user, or because
   its owners die of it. */
static int take(seer_rows *rows, const found *row, int64_t api, size_t *fuse,
                bool *taken) {
  int64_t parameters[] = {rows->owner, row->id};
  bool behind = false;
  int code = SQLITE_OK;
  *taken = false;
  if (row->tries >= SEER_STORE_TRIES && *fuse == 0)
    return SQLITE_OK;
  if (row->user != 0)
    code = is_behind(rows, row, api, &behind);
  if (code != SQLITE_OK || behind)
    return code;
  *taken = true;
  *fuse -= row->tries >= SEER_STORE_TRIES;
  return run(rows, SEER_DATABASE_TAKE, parameters, 2);
}

/* Looks at all of nobody's rows in turn, batch after batch: those that cannot
   be taken do not hide what is behind them. */
static int adopt_for(seer_rows *rows, seer_batch *batch, size_t target,
                     size_t most, size_t *fuse) {
  found list[SEER_ROWS_ADOPTED];
  int64_t *place = place_of(rows, batch->targets[target]);
  int64_t api, last = place != NULL ? *place : 0;
  size_t count = 0, i = 0;
  int code = find_api(rows, batch->targets[target], false, &api);
  if (code == SQLITE_OK && api != 0)
    code = find_rows(rows, api, last, batch->kinds, list, &count);
  for (; i < count && rows->adopted < most && rows->bytes < ADOPTED_BYTES &&
         code == SQLITE_OK;
       i++) {
    bool taken;
    code = take(rows, &list[i], api, fuse, &taken);
    last = list[i].id;
    batch->backlog |= !taken;
    if (taken) {
      rows->bytes += list[i].length;
      rows->taken[rows->adopted].id = last;
      rows->taken[rows->adopted++].target = target;
    }
  }
  if (i == count && count < SEER_ROWS_ADOPTED)
    last = 0;
  batch->backlog |= last != 0 || i < count;
  if (place != NULL)
    *place = last;
  return code;
}

int seer_rows_adopt(seer_rows *rows, seer_batch *batch) {
  size_t most =
      batch->room < (size_t)rows->most ? batch->room : (size_t)rows->most;
  size_t fuse = batch->fuse;
  int code = SQLITE_OK;
  rows->bytes = 0;
  for (size_t i = 0; i < batch->target_count && code == SQLITE_OK; i++)
    code = adopt_for(rows, batch, i, most, &fuse);
  return code;
}

int seer_rows_give_back(seer_rows *rows) {
  int code = SQLITE_OK;
  for (size_t i = 0; i < rows->adopted && code == SQLITE_OK; i++) {
    int64_t parameters[] = {rows->owner, rows->taken[i].id};
    code = run(rows, SEER_DATABASE_UNTAKE, parameters, 2);
  }
  return code;
}

static int64_t age_in(sqlite3_stmt *row, int column,
                      const seer_age_moment *now) {
  seer_age_moment moment;
  moment.boot = sqlite3_column_int64(row, column);
  moment.mono = sqlite3_column_int64(row, column + 1);
  moment.wall = sqlite3_column_int64(row, column + 2);
  return seer_age_of(&moment, now);
}

/* A row that is not as it was put is one of a database that is corrupt. */
static int deliver(const seer_rows *rows, sqlite3_stmt *read,
                   const seer_batch *batch, size_t target) {
  seer_row row = {.target = batch->targets[target], .mine = true};
  const void *uuid = sqlite3_column_blob(read, 7);
  if (uuid == NULL || sqlite3_column_bytes(read, 7) != sizeof row.uuid)
    return SQLITE_CORRUPT;
  memcpy(row.uuid, uuid, sizeof row.uuid);
  row.id.a = (uint64_t)sqlite3_column_int64(read, 0);
  memcpy(&row.id.b, uuid, sizeof row.id.b);
  row.user = (uint64_t)sqlite3_column_int64(read, 1);
  row.kind = (uint32_t)sqlite3_column_int64(read, 2);
  row.tries = (uint32_t)sqlite3_column_int64(read, 3);
  row.age = age_in(read, 4, &rows->now);
  row.body = sqlite3_column_blob(read, 8);
  row.length = (size_t)sqlite3_column_bytes(read, 8);
  if (row.body == NULL || row.kind >= batch->kinds)
    return SQLITE_CORRUPT;
  batch->adopt(batch->to, &row);
  return SQLITE_OK;
}

int seer_rows_deliver(seer_rows *rows, const seer_batch *batch) {
  sqlite3_stmt *read = seer_database_get(rows->database, SEER_DATABASE_READ);
  int code = SQLITE_OK;
  for (size_t i = 0; i < rows->adopted && code == SQLITE_OK; i++) {
    sqlite3_bind_int64(read, 1, rows->taken[i].id);
    code = sqlite3_step(read);
    if (code == SQLITE_ROW)
      code = deliver(rows, read, batch, rows->taken[i].target);
    else if (code == SQLITE_DONE)
      code = SQLITE_CORRUPT; /* it was there a moment ago */
    sqlite3_reset(read);
  }
  return code;
}

/*
** Totals
*/

static int find_oldest(const seer_rows *rows, int64_t *oldest) {
  sqlite3_stmt *find = seer_database_get(rows->database, SEER_DATABASE_OLDEST);
  int code;
  *oldest = 0;
  while ((code = sqlite3_step(find)) == SQLITE_ROW) {
    int64_t age = age_in(find, 0, &rows->now);
    if (age > *oldest)
      *oldest = age;
  }
  sqlite3_reset(find);
  return code == SQLITE_DONE ? SQLITE_OK : code;
}

int seer_rows_total(seer_rows *rows, seer_store_totals *totals) {
  sqlite3_stmt *count =
      seer_database_get(rows->database, SEER_DATABASE_TOTALS);
  int code = sqlite3_step(count);
  if (code == SQLITE_ROW) {
    totals->events = sqlite3_column_int64(count, 0);
    totals->nobodys = totals->events - sqlite3_column_int64(count, 1);
    code = SQLITE_OK;
  }
  sqlite3_reset(count);
  totals->log = seer_files_size(rows->files, SEER_DATABASE_LOG);
  totals->bytes = seer_files_size(rows->files, "queue.db") + totals->log;
  return code == SQLITE_OK ? find_oldest(rows, &totals->oldest) : code;
}
