#pragma once

/*
 * The directory of a store, and what is in it beside the database: `lock`,
 * whose bytes say who may write and who lives.
 *
 * Locks belong to the open file description (F_OFD_SETLK): one that belongs to
 * the process would go with any close of the file, and two copies of this
 * module would not see each other's. Byte 0 is for whoever is inside the
 * database; nobody blocks on it, so one who is stopped meanwhile delays others
 * by their patience only. An owner's byte is its for life, so it says without
 * an id of a process or a heartbeat who has died.
 *
 * Failing functions write a message.
 */

#include "core/store.h"

#include <sys/types.h>

#define SEER_FILES_DIRECTORY 480 /* with its end; SQLite's paths have 512 */

/* What `sqlite.open` was given. */
typedef struct seer_files_config {
  int64_t max_bytes;
  int32_t power; /* 1: commits are to survive a power failure */
  int32_t group; /* 1: other users of the directory's group take part */
  char directory[SEER_FILES_DIRECTORY];
} seer_files_config;

/* Files that have to stay what they were: to one that took their place, locks
   and pages of this one mean nothing. */
enum {
  SEER_FILES_DATABASE,
  SEER_FILES_LOG,
  SEER_FILES_INDEX,
  SEER_FILES_LOCK,
  SEER_FILES
};

typedef struct seer_files {
  const seer_files_config *config;
  int lock; /* a descriptor */
  struct {
    dev_t device;
    ino_t inode; /* 0: it was not there */
  } known[SEER_FILES];
  int64_t index_size; /* as it was seen last: it never gets shorter */
} seer_files;

typedef char seer_files_path[SEER_FILES_DIRECTORY + 64];

/* The path of a file of the directory. */
void seer_files_path_of(const seer_files *files, const char *name,
                        seer_files_path path);

/* Makes the directory, if its parent is there, and opens `lock`. A file system
   that loses its files with a container is allowed, with a warning. */
bool seer_files_open(seer_files *files, const seer_files_config *config,
                     seer_store_message message);
void seer_files_close(seer_files *files);

/* The store that has them is open: a child of a fork is told of it. Before,
   the child closes `lock` by the second of these, which else would keep the
   parent's rows when that has ended. */
void seer_files_are_known(const seer_files *files);
void seer_files_forget(void);

/* Takes byte 0 within `patience` ms. */
bool seer_files_enter(const seer_files *files, int64_t patience,
                      seer_store_message message);
void seer_files_leave(const seer_files *files);

/* Makes the database's file, empty, if it is not there. */
bool seer_files_make(const seer_files *files, seer_store_message message);

/* Remembers which files there are; whether they still are the same (DONE), are
   not (BROKEN), or cannot be looked at (LATER). */
void seer_files_remember(seer_files *files);
seer_store_result seer_files_compare(const seer_files *files,
                                     seer_store_message message);

/* Whether somebody has cut the index of the log short, which is mapped: to
   look at what is missing would end the process. What is opened anew is whole.
 */
bool seer_files_are_cut(seer_files *files);

/* Renames the database and what belongs to it, so that a new one can be
   made. */
void seer_files_set_aside(const seer_files *files, seer_store_message message);

/* Locks an owner's byte; whether somebody has it. */
bool seer_files_own(const seer_files *files, int64_t owner);
bool seer_files_is_owned(const seer_files *files, int64_t owner);

/* The size of a file of the directory; 0 if there is none. */
int64_t seer_files_size(const seer_files *files, const char *name);

/* Makes a file of the directory so long, in blocks that are its own from then
   on; else false, and errno is ENOSPC, or EIO for any other reason. Not the
   database's, for to close it would end locks of SQLite's. */
bool seer_files_reserve(const seer_files *files, const char *name,
                        int64_t bytes);
