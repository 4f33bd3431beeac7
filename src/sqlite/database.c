#include "database.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#pragma GCC visibility push(hidden)

#define VERSION 1       /* of the tables; a greater one is of a newer module */
#define OLDEST 3024000  /* SQLite's version */
#define SHRINK_FROM 128 /* pages that are free */
#define LOG_PART 256    /* frames */
#define CHUNK                                                                 \
  65536 /* bytes by which the file grows; else it is not made                 \
           longer before it is written to */

/* Nobody is as long as an owner: else a row that changes hands would be
   written anew, with its body. */
#define NOBODY "4611686018427387904"

static const char schema[] =
    "BEGIN IMMEDIATE;"
    "CREATE TABLE IF NOT EXISTS api(id INTEGER PRIMARY KEY,"
    " target BLOB NOT NULL UNIQUE);"
    "CREATE TABLE IF NOT EXISTS owner(id INTEGER PRIMARY KEY);"
    "CREATE TABLE IF NOT EXISTS event(id INTEGER PRIMARY KEY AUTOINCREMENT,"
    " api INTEGER NOT NULL, owner INTEGER NOT NULL, user INTEGER,"
    " kind INTEGER NOT NULL, boot INTEGER NOT NULL, mono INTEGER NOT NULL,"
    " wall INTEGER NOT NULL, tries INTEGER NOT NULL DEFAULT 0,"
    " uuid BLOB NOT NULL, body BLOB NOT NULL);"
    "CREATE INDEX IF NOT EXISTS event_owner ON event(owner, api, id);"
    "CREATE INDEX IF NOT EXISTS event_user ON event(user, id)"
    " WHERE user IS NOT NULL;"
    "CREATE TABLE IF NOT EXISTS total(n INTEGER NOT NULL);"
    "INSERT INTO total SELECT 0 WHERE NOT EXISTS (SELECT 1 FROM total);"
    "PRAGMA user_version=1;"
    "COMMIT";

static const char *const texts[SEER_DATABASE_STATEMENTS] = {
    [SEER_DATABASE_BEGIN] = "BEGIN IMMEDIATE",
    [SEER_DATABASE_COMMIT] = "COMMIT",
    [SEER_DATABASE_ROLLBACK] = "ROLLBACK",
    [SEER_DATABASE_API] = "SELECT id FROM api WHERE target=?1",
    [SEER_DATABASE_ADD_API] = "INSERT INTO api(target) VALUES(?1)",
    [SEER_DATABASE_PUT] = "INSERT INTO event(api, owner, user, kind, boot,"
                          " mono, wall, uuid, body)"
                          " VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)",
    [SEER_DATABASE_FORGET] =
        "DELETE FROM event WHERE id=?1 AND substr(uuid, 1, 8)=?2",
    [SEER_DATABASE_OTHERS] = "SELECT 1 FROM event WHERE user=?2 AND api=?3"
                             " AND owner<>?1 LIMIT 1",
    [SEER_DATABASE_BEFORE] = "SELECT id FROM event WHERE user=?1 AND api=?2"
                             " AND id<?3 ORDER BY id DESC LIMIT 1",
    [SEER_DATABASE_FIND] =
        "SELECT id, user, tries, length(body) FROM event WHERE owner=" NOBODY
        " AND api=?1 AND id>?2 AND kind<?3"
        " ORDER BY id LIMIT ?4",
    [SEER_DATABASE_TAKE] = "UPDATE event SET owner=?1 WHERE id=?2",
    [SEER_DATABASE_UNTAKE] =
        "UPDATE event SET owner=" NOBODY " WHERE owner=?1 AND id=?2",
    [SEER_DATABASE_READ] = "SELECT id, user, kind, tries, boot, mono, wall,"
                           " uuid, body FROM event WHERE id=?1",
    [SEER_DATABASE_LIST] = "SELECT id, owner, kind, tries, boot, mono, wall,"
                           " uuid, body FROM event WHERE id>?1"
                           " ORDER BY id LIMIT ?2",
    [SEER_DATABASE_OWNER] = "SELECT 1 FROM owner WHERE id=?1",
    [SEER_DATABASE_OWNERS] =
        "SELECT id FROM owner WHERE id<>?1 AND id<" NOBODY,
    [SEER_DATABASE_JOIN] = "INSERT INTO owner(id) VALUES(?1)",
    [SEER_DATABASE_FREE] =
        "UPDATE event SET owner=" NOBODY ", tries=tries+?3 WHERE id IN"
        " (SELECT id FROM event WHERE owner=?1 LIMIT ?2)",
    [SEER_DATABASE_DISOWN] = "DELETE FROM owner WHERE id=?1 AND NOT EXISTS"
                             " (SELECT 1 FROM event WHERE owner=?1)",
    [SEER_DATABASE_DISPLACE] =
        "DELETE FROM event WHERE id IN (SELECT id FROM event NOT INDEXED"
        " WHERE owner=" NOBODY " ORDER BY id LIMIT ?1)",
    [SEER_DATABASE_COUNT] = "UPDATE total SET n=max(0, n+?1)",
    [SEER_DATABASE_TOTALS] =
        "SELECT (SELECT n FROM total),"
        " (SELECT count(*) FROM event WHERE owner<" NOBODY ")",
    [SEER_DATABASE_OLDEST] =
        "SELECT boot, mono, wall FROM event WHERE id IN"
        " (SELECT (SELECT id FROM event WHERE owner=" NOBODY " AND api=a.id"
        " ORDER BY id LIMIT 1) FROM api a)",
    [SEER_DATABASE_PAGES] = "PRAGMA page_count",
    [SEER_DATABASE_FREE_PAGES] = "PRAGMA freelist_count",
};

/* A connection with a mutex has none if the host has chosen single-thread
   mode, in which threads would run into each other. */
bool seer_database_check(seer_store_message message) {
  sqlite3 *probe = NULL;
  const char *problem = NULL;
  if (sqlite3_libversion_number() < OLDEST)
    problem = "SQLite 3.24 or newer is needed";
  else if (sqlite3_threadsafe() == 0)
    problem = "SQLite was built without threads";
  else if (sqlite3_open_v2(":memory:", &probe,
                           SQLITE_OPEN_READWRITE | SQLITE_OPEN_FULLMUTEX,
                           NULL) != SQLITE_OK)
    problem = "SQLite does not start";
  else if (sqlite3_db_mutex(probe) == NULL)
    problem = "the host has put SQLite into single-thread mode";
  sqlite3_close(probe);
  if (problem != NULL)
    snprintf(message, sizeof(seer_store_message), "%s", problem);
  return problem == NULL;
}

void seer_database_try(const char *path) {
  sqlite3 *scratch = NULL;
  if (sqlite3_open_v2(path, &scratch,
                      SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE |
                          SQLITE_OPEN_NOMUTEX,
                      NULL) == SQLITE_OK)
    sqlite3_exec(scratch, "PRAGMA journal_mode=OFF; CREATE TABLE t(x)", NULL,
                 NULL, NULL);
  sqlite3_close(scratch);
}

static int query_number(sqlite3 *connection, const char *text,
                        int64_t *number) {
  sqlite3_stmt *statement = NULL;
  int code = sqlite3_prepare_v2(connection, text, -1, &statement, NULL);
  if (code == SQLITE_OK && (code = sqlite3_step(statement)) == SQLITE_ROW) {
    *number = sqlite3_column_int64(statement, 0);
    code = SQLITE_OK;
  }
  sqlite3_finalize(statement);
  return code;
}

/* Views, triggers and virtual tables, which this module makes none of, would
   run what somebody else has written. */
static const char foreigners[] =
    "SELECT count(*) FROM sqlite_master WHERE type<>'index' AND"
    " (type<>'table' OR sql NOT LIKE 'CREATE TABLE %')";

/* Who has copied a database with SQLite's shell may have ended this. */
#define LOGGED "PRAGMA journal_mode=WAL"

/* Whether the tables are there that this version knows; makes them in an
   empty file. */
static int prepare_tables(sqlite3 *connection, seer_store_message message) {
  int64_t version = 0, tables = 0, foreign = 0;
  int code = query_number(connection, "PRAGMA user_version", &version);
  if (code == SQLITE_OK)
    code = query_number(connection, "SELECT count(*) FROM sqlite_master",
                        &tables);
  if (code == SQLITE_OK)
    code = query_number(connection, foreigners, &foreign);
  if (code == SQLITE_OK && version == VERSION && foreign == 0)
    return sqlite3_exec(connection, LOGGED, NULL, NULL, NULL);
  if (code != SQLITE_OK)
    return code;
  if (version == 0 && tables == 0) {
    code = sqlite3_exec(connection, "PRAGMA auto_vacuum=INCREMENTAL;" LOGGED,
                        NULL, NULL, NULL);
    return code != SQLITE_OK
               ? code
               : sqlite3_exec(connection, schema, NULL, NULL, NULL);
  }
  snprintf(message, sizeof(seer_store_message), "%s",
           version > VERSION
               ? "queue.db was made by a newer version of seerstack.sqlite"
               : "queue.db is not one of seerstack.sqlite");
  return SQLITE_MISMATCH;
}

/* What was deleted is overwritten only where a page is written anyway: else to
   delete rows would take as much of the log as to put them. */
static const char settings[] = "PRAGMA mmap_size=0;"
                               "PRAGMA trusted_schema=OFF;"
                               "PRAGMA cell_size_check=ON;"
                               "PRAGMA secure_delete=FAST;"
                               "PRAGMA temp_store=MEMORY;"
                               "PRAGMA journal_size_limit=4194304;"
                               "PRAGMA wal_autocheckpoint=256;";

static int configure(sqlite3 *connection, bool power) {
  int on = 1, chunk = CHUNK, code;
  sqlite3_extended_result_codes(connection, 1);
  sqlite3_busy_timeout(connection, SEER_STORE_PATIENCE);
  sqlite3_file_control(connection, NULL, SQLITE_FCNTL_PERSIST_WAL, &on);
  sqlite3_file_control(connection, NULL, SQLITE_FCNTL_CHUNK_SIZE, &chunk);
  sqlite3_db_config(connection, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, NULL);
  code = sqlite3_exec(connection, settings, NULL, NULL, NULL);
  return code != SQLITE_OK ? code
                           : sqlite3_exec(connection,
                                          power ? "PRAGMA synchronous=FULL"
                                                : "PRAGMA synchronous=NORMAL",
                                          NULL, NULL, NULL);
}

static int prepare_statements(seer_database *database) {
  int code = SQLITE_OK;
  for (int i = 0; i < SEER_DATABASE_STATEMENTS && code == SQLITE_OK; i++)
    code = sqlite3_prepare_v3(database->connection, texts[i], -1,
                              SQLITE_PREPARE_PERSISTENT,
                              &database->statements[i], NULL);
  return code;
}

int seer_database_open(seer_database *database, const seer_files *files,
                       seer_store_message message) {
  seer_files_path path;
  int code;
  *message = '\0';
  seer_files_path_of(files, "queue.db", path);
  code = sqlite3_open_v2(path, &database->connection,
                         SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX |
                             SQLITE_OPEN_PRIVATECACHE,
                         NULL);
  if (code == SQLITE_OK)
    code = configure(database->connection, files->config->power != 0);
  if (code == SQLITE_OK)
    code = prepare_tables(database->connection, message);
  if (code == SQLITE_OK)
    code = query_number(database->connection, "PRAGMA page_size",
                        &database->page_size);
  if (code == SQLITE_OK)
    code = prepare_statements(database);
  if (code == SQLITE_OK)
    return code;
  code = seer_database_cause(database, code);
  if (*message == '\0')
    snprintf(message, sizeof(seer_store_message), "%.100s: %.80s", path,
             seer_database_explain(database, code));
  seer_database_close(database);
  return code;
}

void seer_database_close(seer_database *database) {
  for (int i = 0; i < SEER_DATABASE_STATEMENTS; i++) {
    sqlite3_finalize(database->statements[i]);
    database->statements[i] = NULL;
  }
  sqlite3_close(database->connection);
  database->connection = NULL;
}

void seer_database_set_patience(seer_database *database, int64_t ms) {
  sqlite3_busy_timeout(database->connection, ms > 1 ? (int)ms : 1);
}

sqlite3_stmt *seer_database_get(seer_database *database,
                                seer_database_statement which) {
  return database->statements[which];
}

int seer_database_run(seer_database *database, seer_database_statement which,
                      const int64_t *parameters, int count, int64_t *result) {
  sqlite3_stmt *statement = database->statements[which];
  int code = SQLITE_OK;
  for (int i = 0; i < count && code == SQLITE_OK; i++)
    code = sqlite3_bind_int64(statement, i + 1, parameters[i]);
  if (code == SQLITE_OK)
    code = sqlite3_step(statement);
  if (code == SQLITE_ROW && result != NULL)
    *result = sqlite3_column_int64(statement, 0);
  sqlite3_reset(statement);
  return code;
}

int seer_database_cause(const seer_database *database, int code) {
  sqlite3_file *log = NULL;
  int error = 0, of_log = 0;
  if ((code & 0xff) != SQLITE_CORRUPT || database->connection == NULL)
    return code;
  sqlite3_file_control(database->connection, NULL, SQLITE_FCNTL_LAST_ERRNO,
                       &error);
  sqlite3_file_control(database->connection, NULL,
                       SQLITE_FCNTL_JOURNAL_POINTER, (void *)&log);
  if (log != NULL && log->pMethods != NULL)
    log->pMethods->xFileControl(log, SQLITE_FCNTL_LAST_ERRNO, &of_log);
  return error == EIO || of_log == EIO ? SQLITE_IOERR : code;
}

const char *seer_database_explain(const seer_database *database, int code) {
  if (database->connection == NULL)
    return "not enough memory";
  if ((code & 0xff) == SQLITE_CANTOPEN &&
      sqlite3_system_errno(database->connection) != 0)
    return strerror(sqlite3_system_errno(database->connection));
  return (code & 0xff) == SQLITE_IOERR ? sqlite3_errstr(code)
                                       : sqlite3_errmsg(database->connection);
}

/* The index of the log is made longer by writing to it, too, where that does
   not fit SQLite speaks of a failure. */
bool seer_database_is_full(const seer_database *database, int code) {
  return code == SQLITE_FULL ||
         ((code & 0xff) == SQLITE_IOERR && database->connection != NULL &&
          (sqlite3_system_errno(database->connection) == ENOSPC ||
           sqlite3_system_errno(database->connection) == EDQUOT));
}

int seer_database_used(seer_database *database, int64_t *bytes) {
  int64_t pages = 0, unused = 0;
  int code = seer_database_run(database, SEER_DATABASE_PAGES, NULL, 0, &pages);
  if (code == SQLITE_ROW)
    code = seer_database_run(database, SEER_DATABASE_FREE_PAGES, NULL, 0,
                             &unused);
  *bytes = (pages - unused) * database->page_size;
  return code;
}

/* Makes the file as long as it will be when the present transaction has been
   written back, so that there is room for that. */
static int reserve(seer_database *database, int64_t pages) {
  int64_t bytes = pages * database->page_size;
  return sqlite3_file_control(database->connection, NULL,
                              SQLITE_FCNTL_SIZE_HINT, &bytes) == SQLITE_OK
             ? SQLITE_OK
             : SQLITE_FULL;
}

int seer_database_commit(seer_database *database) {
  int64_t pages = 0;
  int code = SQLITE_CORRUPT;
  if (seer_database_run(database, SEER_DATABASE_PAGES, NULL, 0, &pages) ==
      SQLITE_ROW)
    code = reserve(database, pages);
  if (code != SQLITE_OK)
    return code;
  code = seer_database_run(database, SEER_DATABASE_COMMIT, NULL, 0, NULL);
  if (code != SQLITE_DONE)
    return code;
  reserve(database, pages); /* who wrote the log back may have cut it */
  return SQLITE_OK;
}

static int remember_log(void *database_, sqlite3 *connection, const char *name,
                        int frames) {
  seer_database *database = database_;
  (void)connection;
  (void)name;
  database->log = frames;
  return SQLITE_OK;
}

void seer_database_watch_log(seer_database *database) {
  sqlite3_wal_hook(database->connection, remember_log, database);
}

bool seer_database_has_grown(seer_database *database) {
  int written = 0, most = 0, before;
  sqlite3_db_status(database->connection, SQLITE_DBSTATUS_CACHE_WRITE,
                    &written, &most, 1);
  before = database->log > written ? database->log - written : 0;
  return database->log / LOG_PART > before / LOG_PART;
}

void seer_database_write_back(seer_database *database, bool shorten) {
  sqlite3_wal_checkpoint_v2(database->connection, NULL,
                            shorten ? SQLITE_CHECKPOINT_TRUNCATE
                                    : SQLITE_CHECKPOINT_PASSIVE,
                            NULL, NULL);
  database->log = 0;
}

/* Not in full, for that takes long, and pages that are free are used again. */
void seer_database_shrink(seer_database *database) {
  int64_t unused = 0;
  if (seer_database_run(database, SEER_DATABASE_FREE_PAGES, NULL, 0,
                        &unused) == SQLITE_ROW &&
      unused > SHRINK_FROM)
    sqlite3_exec(database->connection, "PRAGMA incremental_vacuum(128)", NULL,
                 NULL, NULL);
}
