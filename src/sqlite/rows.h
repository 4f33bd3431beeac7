#pragma once

/*
 * What a batch asks for, as changes of the tables, within a transaction. All
 * return SQLite's code, SQLITE_OK if it is done.
 *
 * A row has an owner, the process that has its event in memory, or it is
 * nobody's. What is adopted is read only after the commit: until then it might
 * be undone.
 */

#include "age.h"
#include "database.h"

#define SEER_ROWS_ADOPTED 256 /* of a batch, at most */
#define SEER_ROWS_TARGETS 64  /* whose place is remembered */

typedef struct seer_rows {
  seer_database *database;
  const seer_files *files;
  int64_t owner;       /* this process */
  seer_age_moment now; /* of the batch */
  int64_t change;      /* of the number of rows, in this transaction */
  int64_t most;        /* rows that may change hands in it: <= ADOPTED */
  bool unfreed;        /* not all that the dead have left has been looked at */
  size_t adopted;      /* in this transaction */
  int64_t bytes;       /* of these */
  const seer_batch *late;
  struct {
    int64_t id;
    size_t target;
  } taken[SEER_ROWS_ADOPTED];
  struct { /* how far the rows of a target have been looked at */
    uint8_t target[16];
    int64_t from;
  } places[SEER_ROWS_TARGETS];
  size_t place_count;
} seer_rows;

int seer_rows_forget(seer_rows *rows, const seer_batch *batch);

/* Makes rows of owners that have died nobody's: if it is the `first` look, or
   the last one has not come to an end. */
int seer_rows_look(seer_rows *rows, bool first);

int seer_rows_put(seer_rows *rows, seer_batch *batch);

/* Takes back what the `late` batch has put for nobody, but for identifies. */
int seer_rows_keep(seer_rows *rows);

/* Takes some of nobody's rows, which `deliver` reads. */
int seer_rows_adopt(seer_rows *rows, seer_batch *batch);
int seer_rows_deliver(seer_rows *rows, const seer_batch *batch);

/* Gives back what may have been taken by a transaction of which nobody knows
   whether it was done. */
int seer_rows_give_back(seer_rows *rows);

/* Removes some of nobody's oldest; how many. */
int seer_rows_displace(seer_rows *rows, int64_t *count);

/* The number of rows, which the transaction has changed. */
int seer_rows_count(seer_rows *rows);

int seer_rows_total(seer_rows *rows, seer_store_totals *totals);

/* This process is an owner; it is none, and its rows are nobody's. */
int seer_rows_join(seer_rows *rows);
int seer_rows_leave(seer_rows *rows);
