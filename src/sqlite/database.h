#pragma once

/*
 * The connection to queue.db, its tables, and the statements that are run on
 * them. All is done with byte 0 of the lock, so that nobody else is inside,
 * but for those who look with a tool of theirs.
 *
 * The journal is a write-ahead log that stays when the connection is closed,
 * and is not written back then, or a child of a fork that closes would take it
 * from under its parent. Its file is kept at a length in which rows can be
 * deleted when the disk is full. Nothing of SQLite that is the process's is
 * configured: the host may use it, too.
 */

#include "core/store.h"
#include "files.h"

#include <sqlite3.h>

#define SEER_DATABASE_LOG "queue.db-wal"
#define SEER_DATABASE_LOG_KEPT 4194304 /* bytes: its usual length */
#define SEER_DATABASE_LOG_LONG 896     /* frames, which are less than that */

#define SEER_DATABASE_NOBODY (INT64_C(1) << 62) /* the owner of its rows */

typedef enum seer_database_statement {
  SEER_DATABASE_BEGIN,
  SEER_DATABASE_COMMIT,
  SEER_DATABASE_ROLLBACK,
  SEER_DATABASE_API,      /* target: the number of an API */
  SEER_DATABASE_ADD_API,  /* target */
  SEER_DATABASE_PUT,      /* api, owner, user, kind, boot, mono, wall, uuid,
                             body */
  SEER_DATABASE_FORGET,   /* id, the first half of the uuid */
  SEER_DATABASE_OTHERS,   /* me, user, api: a row of the user that somebody
                             else has, or nobody */
  SEER_DATABASE_BEFORE,   /* user, api, id: the row of the user before it */
  SEER_DATABASE_FIND,     /* api, from, kinds, count: nobody's rows */
  SEER_DATABASE_TAKE,     /* me, id */
  SEER_DATABASE_UNTAKE,   /* me, id */
  SEER_DATABASE_READ,     /* id: a row */
  SEER_DATABASE_OWNER,    /* id: is there this owner? */
  SEER_DATABASE_OWNERS,   /* me: all others */
  SEER_DATABASE_JOIN,     /* me */
  SEER_DATABASE_FREE,     /* owner, count, died: its rows are nobody's */
  SEER_DATABASE_DISOWN,   /* owner, if it has no rows */
  SEER_DATABASE_DISPLACE, /* count: of the oldest of nobody's */
  SEER_DATABASE_COUNT,    /* by how much the number of rows has changed */
  SEER_DATABASE_TOTALS,   /* rows; those with an owner */
  SEER_DATABASE_LIST,     /* from, count: rows of anybody */
  SEER_DATABASE_OLDEST,   /* the oldest of nobody's rows of each API */
  SEER_DATABASE_PAGES,
  SEER_DATABASE_FREE_PAGES,
  SEER_DATABASE_STATEMENTS
} seer_database_statement;

typedef struct seer_database {
  sqlite3 *connection; /* NULL: closed */
  int64_t page_size;
  int log; /* frames that it had after the last commit, if it is watched */
  sqlite3_stmt *statements[SEER_DATABASE_STATEMENTS];
} seer_database;

/* Whether the host has an SQLite that this can be done with. */
bool seer_database_check(seer_store_message message);

/* Makes a table in a new file, so that SQLite is called. */
void seer_database_try(const char *path);

/* Opens the connection, and makes the tables of a new database. Returns
   SQLite's code. */
int seer_database_open(seer_database *database, const seer_files *files,
                       seer_store_message message);
void seer_database_close(seer_database *database);

/* How long a statement may wait for somebody with a tool. */
void seer_database_set_patience(seer_database *database, int64_t ms);

/* The statement, to be bound and stepped; whoever calls resets it. */
sqlite3_stmt *seer_database_get(seer_database *database,
                                seer_database_statement which);

/* Runs a statement with these parameters, and resets it. SQLite's code, of
   which SQLITE_ROW says that there was a row, and SQLITE_DONE that there was
   none; its first column goes to `*result` unless that is NULL. */
int seer_database_run(seer_database *database, seer_database_statement which,
                      const int64_t *parameters, int count, int64_t *result);

/* What is behind a code of SQLite's: where it speaks of a corrupt database
   since a page could not be read, be it for a moment, SQLITE_IOERR. */
int seer_database_cause(const seer_database *database, int code);

/* A code in words. */
const char *seer_database_explain(const seer_database *database, int code);

/* Whether a code says that there is no room on the disk. */
bool seer_database_is_full(const seer_database *database, int code);

/* From now on the log is written back when that is asked for, and not by a
   commit: it takes as long as the disk does, and others may go on meanwhile.
   But only what nobody adds to begins anew, so without end it must not be. */
void seer_database_watch_log(seer_database *database);
void seer_database_write_back(seer_database *database, bool shorten);

/* Whether it is worth it: this connection, since it was asked last, has made
   the log longer by another part. So one of all processes does it. */
bool seer_database_has_grown(seer_database *database);

/* COMMIT, if there is room for what is written back later. */
int seer_database_commit(seer_database *database);

/* Bytes of the pages in use. */
int seer_database_used(seer_database *database, int64_t *bytes);

/* Gives pages that are free back to the file system, if they are many. */
void seer_database_shrink(seer_database *database);
