#include "driver.h"

#include "rows.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>
#pragma GCC visibility push(hidden)

#define LOG_MOST 67108864   /* bytes; more: somebody reads and does not end */
#define SUSPEND_PATIENCE 50 /* ms */

typedef struct store {
  seer_files files;
  seer_database database;
  seer_rows rows;
  pid_t process;    /* no other may touch what is open here */
  int64_t boot;     /* see age.h */
  int64_t deadline; /* of the present call */
  bool unsure;      /* the last transaction may have been done */
  seer_files_config config;
} store;

/* What a fork has left behind in this process. */
static bool barred;  /* the parent was inside the database */
static bool untried; /* another thread may have been inside SQLite */

/*
** Results
*/

static void explain(const store *self, int code, seer_store_message message) {
  if (*message == '\0')
    snprintf(message, sizeof(seer_store_message), "%.100s/queue.db: %.80s",
             self->config.directory,
             seer_database_explain(&self->database, code));
}

static bool is_corrupt(int code) {
  return (code & 0xff) == SQLITE_CORRUPT || (code & 0xff) == SQLITE_NOTADB;
}

static seer_store_result judge(const store *self, int code,
                               seer_store_message message) {
  explain(self, code, message);
  if (is_corrupt(code))
    seer_files_set_aside(&self->files, message);
  return is_corrupt(code) || code == SQLITE_READONLY_DBMOVED
             ? SEER_STORE_BROKEN
             : SEER_STORE_LATER;
}

static void roll_back(store *self) {
  if (!sqlite3_get_autocommit(self->database.connection))
    seer_database_run(&self->database, SEER_DATABASE_ROLLBACK, NULL, 0, NULL);
}

static int begin(store *self) {
  int code;
  self->rows.change = 0;
  self->rows.now = seer_age_moment_now(self->boot);
  seer_database_set_patience(&self->database,
                             self->deadline - self->rows.now.mono);
  code =
      seer_database_run(&self->database, SEER_DATABASE_BEGIN, NULL, 0, NULL);
  return code == SQLITE_DONE ? SQLITE_OK : code;
}

/* Writes the log back, so that it is written from its start again; and makes
   it as short as it usually is. */
static void write_back(store *self, bool shorten) {
  seer_database_write_back(&self->database, shorten);
  if (shorten)
    seer_files_reserve(&self->files, SEER_DATABASE_LOG,
                       SEER_DATABASE_LOG_KEPT);
}

/* A transaction of its own, for which there is room in the log. */
static int change(store *self, int (*how)(seer_rows *)) {
  int code, tries = 0;
  do {
    if (tries > 0)
      write_back(self, false);
    code = begin(self);
    if (code == SQLITE_OK)
      code = how(&self->rows);
    if (code == SQLITE_OK)
      code = seer_database_commit(&self->database);
    code = seer_database_cause(&self->database, code);
    if (code != SQLITE_OK)
      roll_back(self);
  } while (++tries < 2 && seer_database_is_full(&self->database, code));
  return code;
}

/*
** Opening
*/

/* In the child of a fork a lock of SQLite's may belong to a thread that is not
   here. Who waits for it for ever must not hold up others, so it is found out
   before byte 0 is taken, with a database that nobody else opens. */
static void try_sqlite(const store *self) {
  seer_files_path path;
  char name[32];
  snprintf(name, sizeof name, "scratch-%ld", (long)getpid());
  seer_files_path_of(&self->files, name, path);
  seer_database_try(path);
  unlink(path);
  untried = false;
}

/* Opens the connection before byte 0 is taken, since that is most of the work
   and keeps nobody waiting. What fails is done again, with byte 0. */
static void open_ahead(store *self) {
  seer_store_message message;
  seer_files_remember(&self->files);
  if (seer_files_size(&self->files, "queue.db") > 0)
    seer_database_open(&self->database, &self->files, message);
}

/* With byte 0: opens the connection, unless it is. A database that is corrupt
   is set aside, and the next one is new. */
static int attach(store *self, seer_store_message message) {
  int code = SQLITE_CANTOPEN;
  if (self->database.connection != NULL &&
      seer_files_compare(&self->files, message) == SEER_STORE_DONE &&
      !seer_files_are_cut(&self->files)) {
    code = SQLITE_OK;
  } else {
    seer_database_close(&self->database);
    if (seer_files_make(&self->files, message))
      code = seer_database_open(&self->database, &self->files, message);
  }
  if (code == SQLITE_OK)
    seer_database_watch_log(&self->database);
  if (is_corrupt(code))
    seer_files_set_aside(&self->files, message);
  return code;
}

/* A number that no other owner has, or had: who died with it might not be
   missed. It is locked before others can see it. */
static int join(store *self) {
  if (getrandom(&self->rows.owner, sizeof self->rows.owner, 0) < 0)
    return SQLITE_IOERR;
  self->rows.owner &= SEER_DATABASE_NOBODY - 1;
  self->rows.owner |= SEER_DATABASE_NOBODY >> 1; /* all are as long */
  if (!seer_files_own(&self->files, self->rows.owner))
    return SQLITE_IOERR_LOCK;
  self->deadline = seer_age_now() + SEER_STORE_PATIENCE;
  return change(self, seer_rows_join);
}

/* With byte 0. */
static bool start(store *self, seer_store_message message) {
  char warning[sizeof(seer_store_message)];
  int code;
  memcpy(warning, message, sizeof warning);
  code = attach(self, message);
  if (is_corrupt(code)) {
    memcpy(warning, message, sizeof warning);
    code = attach(self, message);
  }
  if (code == SQLITE_OK && (code = join(self)) != SQLITE_OK)
    judge(self, code, message);
  if (code != SQLITE_OK)
    return false;
  memcpy(message, warning, sizeof warning);
  seer_files_remember(&self->files);
  seer_files_are_known(&self->files);
  return true;
}

static store *new_store(const seer_files_config *config,
                        seer_store_message message) {
  store *self = calloc(1, sizeof *self);
  if (self == NULL) {
    snprintf(message, sizeof(seer_store_message), "not enough memory");
    return NULL;
  }
  self->config = *config;
  self->process = getpid();
  self->boot = seer_age_boot();
  self->rows.database = &self->database;
  self->rows.files = &self->files;
  self->rows.most = SEER_ROWS_ADOPTED;
  return self;
}

static bool enter_and_start(store *self, seer_store_message message) {
  bool done = false;
  open_ahead(self);
  if (seer_files_enter(&self->files, SEER_STORE_PATIENCE, message)) {
    done = start(self, message);
    seer_files_leave(&self->files);
  }
  if (!done)
    seer_database_close(&self->database);
  return done;
}

static void *open_store(const void *config, seer_store_message message) {
  store *self;
  *message = '\0';
  if (barred) {
    snprintf(message, sizeof(seer_store_message),
             "the process was forked while it was in its store");
    return NULL;
  }
  if (!seer_database_check(message))
    return NULL;
  self = new_store(config, message);
  if (self == NULL || !seer_files_open(&self->files, &self->config, message)) {
    free(self);
    return NULL;
  }
  if (untried)
    try_sqlite(self);
  if (enter_and_start(self, message))
    return self;
  seer_files_close(&self->files);
  free(self);
  return NULL;
}

/*
** Committing
*/

/* Whether there is room for the puts, which may displace others, but not in
   vain: that is undone. Without a log of the usual length nothing is put, for
   in that it is forgotten. */
static int make_room(store *self, seer_batch *batch, bool *room) {
  int64_t log = seer_files_size(&self->files, SEER_DATABASE_LOG);
  int64_t most = self->config.max_bytes, used, count = 1;
  int64_t needed =
      log > SEER_DATABASE_LOG_KEPT ? log - SEER_DATABASE_LOG_KEPT : 0;
  int code = SQLITE_OK;
  for (size_t i = 0; i < batch->put_count; i++)
    needed += (int64_t)batch->puts[i].length + 128;
  *room = false;
  if (log > LOG_MOST || log > most / 2)
    return SQLITE_OK;
  if (!seer_files_reserve(&self->files, SEER_DATABASE_LOG,
                          SEER_DATABASE_LOG_KEPT))
    return errno == ENOSPC ? SQLITE_OK : SQLITE_IOERR;
  while ((code = seer_database_used(&self->database, &used)) == SQLITE_ROW) {
    *room = used + needed <= most;
    if (*room || !batch->displace || count == 0)
      return *room || batch->displaced == 0 ? SQLITE_OK : SQLITE_FULL;
    code = seer_rows_displace(&self->rows, &count);
    if (code != SQLITE_OK)
      return code;
    batch->displaced += count;
  }
  return code;
}

static int change_rows(store *self, seer_batch *batch, bool *puts) {
  int code = seer_rows_forget(&self->rows, batch);
  bool room = false;
  if (code == SQLITE_OK)
    code = seer_rows_look(&self->rows, batch->look);
  batch->backlog = self->rows.unfreed;
  if (code == SQLITE_OK && *puts)
    code = make_room(self, batch, &room);
  *puts = *puts && room;
  if (code == SQLITE_OK && *puts)
    code = seer_rows_put(&self->rows, batch);
  if (code == SQLITE_OK)
    code = seer_rows_adopt(&self->rows, batch);
  if (code == SQLITE_OK)
    code = seer_rows_count(&self->rows);
  if (code == SQLITE_OK && batch->look)
    code = seer_rows_total(&self->rows, &batch->totals);
  return code;
}

/* One try: BEGIN to COMMIT. Whether it was COMMIT that failed. */
static int transact(store *self, seer_batch *batch, bool *puts,
                    bool *committing) {
  int code = begin(self);
  *committing = false;
  self->rows.adopted = 0;
  batch->displaced = 0;
  if (code == SQLITE_OK)
    code = change_rows(self, batch, puts);
  if (code == SQLITE_OK) {
    *committing = true;
    code = seer_database_commit(&self->database);
  }
  return seer_database_cause(&self->database, code);
}

/* What does not fit on the disk is done without the puts, for which there is
   room in the log; in one that is new, where the file system does not write to
   the same place twice. Where the database has no page left, nothing changes
   hands until something has been forgotten. */
static int transact_somehow(store *self, seer_batch *batch, bool *puts,
                            bool *committing) {
  int code = transact(self, batch, puts, committing);
  for (int tries = 0;
       tries < 3 && seer_database_is_full(&self->database, code); tries++) {
    roll_back(self);
    write_back(self, tries == 1);
    *puts = false;
    self->rows.most = tries == 0 ? 16 : tries == 1;
    code = transact(self, batch, puts, committing);
  }
  self->rows.most = SEER_ROWS_ADOPTED;
  return code;
}

/* What is not urgent, and may fail. */
static void tidy(store *self, const seer_batch *batch, bool full) {
  if (full && seer_files_size(&self->files, SEER_DATABASE_LOG) >
                  SEER_DATABASE_LOG_KEPT)
    write_back(self, true);
  if (batch->settled_count > 0 || batch->displaced > 0 || batch->look)
    seer_database_shrink(&self->database);
  if (self->database.log >= SEER_DATABASE_LOG_LONG)
    write_back(self, false);
}

/* Whether the log is to be written back when others may be inside. Not before
   the core has heard of what is nobody's now: it might take back meanwhile
   what others adopt. */
static bool may_write_back(store *self, const seer_batch *batch) {
  for (size_t i = 0; i < batch->put_count; i++)
    if (!batch->puts[i].mine)
      return false;
  return seer_database_has_grown(&self->database);
}

/* After a failure of the disk, or in doubt of what was done, the connection
   begins anew; the owner stays, so that nobody else sends what it has. */
static seer_store_result fail(store *self, int code, bool unsure,
                              seer_store_message message) {
  bool anew = (code & 0xff) == SQLITE_IOERR &&
              !seer_database_is_full(&self->database, code);
  seer_store_result result = judge(self, code, message);
  roll_back(self);
  self->unsure = unsure && result == SEER_STORE_LATER;
  if (anew || self->unsure)
    seer_database_close(&self->database);
  return self->unsure ? SEER_STORE_UNSURE : result;
}

/* So late the core may have taken back what it had for the store alone, and
   nobody else is to have that; but for identifies, which wait for others. */
static void keep_puts(store *self, seer_batch *batch) {
  self->rows.late = batch;
  if (seer_age_now() < self->deadline - SEER_STORE_PATIENCE / 2 ||
      change(self, seer_rows_keep) != SQLITE_OK)
    return;
  for (size_t i = 0; i < batch->put_count; i++)
    batch->puts[i].mine |= batch->puts[i].user == 0;
}

static seer_store_result commit(store *self, seer_batch *batch,
                                seer_store_message message) {
  bool puts = batch->put_count > 0, full = puts, committing;
  int code = transact_somehow(self, batch, &puts, &committing);
  if (code != SQLITE_OK)
    return fail(self, code, committing && (code & 0xff) == SQLITE_IOERR,
                message);
  full = full && !puts;
  code = seer_database_cause(&self->database,
                             seer_rows_deliver(&self->rows, batch));
  if (code != SQLITE_OK)
    return fail(self, code, true, message);
  if (full)
    snprintf(message, sizeof(seer_store_message), "%.150s is full",
             self->config.directory);
  tidy(self, batch, full);
  if (puts)
    keep_puts(self, batch);
  return full ? SEER_STORE_FULL : SEER_STORE_DONE;
}

/* With byte 0: opens again what was closed for a fork, or in doubt: what was
   adopted then is in nobody's memory. */
static seer_store_result resume(store *self, seer_store_message message) {
  int code = attach(self, message);
  if (code != SQLITE_OK)
    return is_corrupt(code) ? SEER_STORE_BROKEN : SEER_STORE_LATER;
  seer_files_remember(&self->files);
  code = seer_database_run(&self->database, SEER_DATABASE_OWNER,
                           &self->rows.owner, 1, NULL);
  if (code == SQLITE_ROW && self->unsure)
    code = change(self, seer_rows_give_back) == SQLITE_OK ? SQLITE_ROW
                                                          : SQLITE_BUSY;
  if (code == SQLITE_ROW) {
    self->unsure = false;
    return SEER_STORE_DONE;
  }
  seer_database_close(&self->database);
  snprintf(message, sizeof(seer_store_message), "%.100s: %s",
           self->config.directory,
           code == SQLITE_DONE ? "it was emptied" : "it cannot be read");
  return code == SQLITE_DONE ? SEER_STORE_BROKEN : SEER_STORE_LATER;
}

/* With byte 0: opens what is to be opened. */
static seer_store_result prepare(store *self, seer_store_message message) {
  seer_store_result found;
  if (self->database.connection == NULL)
    return resume(self, message);
  found = seer_files_compare(&self->files, message);
  if (found != SEER_STORE_DONE || !seer_files_are_cut(&self->files))
    return found;
  seer_database_close(&self->database);
  return resume(self, message);
}

static seer_store_result commit_batch(void *store_, seer_batch *batch,
                                      seer_store_message message) {
  store *self = store_;
  seer_store_result result;
  *message = '\0';
  if (self->process != getpid()) {
    snprintf(message, sizeof(seer_store_message),
             "the process was forked without its handlers");
    return SEER_STORE_BROKEN;
  }
  self->deadline = seer_age_now() + SEER_STORE_PATIENCE;
  if (!seer_files_enter(&self->files, SEER_STORE_PATIENCE, message))
    return SEER_STORE_LATER;
  result = prepare(self, message);
  if (result == SEER_STORE_DONE)
    result = commit(self, batch, message);
  seer_files_leave(&self->files);
  if (result == SEER_STORE_DONE && may_write_back(self, batch))
    write_back(self, false);
  return result;
}

/*
** The end, and forks
*/

static bool suspend(void *store_) {
  store *self = store_;
  seer_store_message message;
  if (self->database.connection == NULL)
    return true;
  if (!seer_files_enter(&self->files, SUSPEND_PATIENCE, message))
    return false;
  seer_database_close(&self->database);
  seer_files_leave(&self->files);
  return true;
}

/* What is open of SQLite's stays: to close it would end the parent's locks. */
static void forget_parents(void *store_) {
  store *self = store_;
  untried = true;
  barred = barred || self == NULL || self->database.connection != NULL;
  if (self != NULL)
    seer_files_close(&self->files);
  seer_files_forget();
  free(self);
}

/* Whoever finds it still in the list of owners finds its byte free. */
static void close_store(void *store_) {
  store *self = store_;
  seer_store_message message;
  if (self->process != getpid()) {
    forget_parents(self);
    return;
  }
  if (seer_files_enter(&self->files, SEER_STORE_PATIENCE, message)) {
    self->deadline = seer_age_now() + SEER_STORE_PATIENCE;
    if (prepare(self, message) == SEER_STORE_DONE)
      change(self, seer_rows_leave);
    seer_database_close(&self->database);
    seer_files_leave(&self->files);
  }
  seer_database_close(&self->database);
  seer_files_close(&self->files);
  free(self);
}

const seer_store_driver seer_driver = {
    .abi = SEER_STORE_ABI,
    .row_size = sizeof(seer_row),
    .batch_size = sizeof(seer_batch),
    .name = "sqlite",
    .open = open_store,
    .commit = commit_batch,
    .suspend = suspend,
    .forked = forget_parents,
    .close = close_store,
};
