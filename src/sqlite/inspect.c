#include "inspect.h"

#include "compat.h"
#include "rows.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>
#pragma GCC visibility push(hidden)

#define PAGE 256 /* rows that are listed at a time */

typedef struct visit {
  seer_files_config config;
  seer_files files;
  seer_database database;
  seer_rows rows;
} visit;

static bool has_database(const visit *self, seer_store_message message) {
  seer_files_path path;
  seer_files_path_of(&self->files, "queue.db", path);
  if (access(self->config.directory, F_OK) != 0 ||
      (access(path, F_OK) != 0 && errno != ENOENT))
    snprintf(message, sizeof(seer_store_message), "%.150s: %s",
             self->config.directory, strerror(errno));
  else if (seer_files_size(&self->files, "queue.db") == 0)
    snprintf(message, sizeof(seer_store_message),
             "there is no queue.db in it");
  return *message == '\0';
}

static bool enter(visit *self, seer_store_message message) {
  self->files.config = &self->config;
  if (!has_database(self, message))
    return false;
  if (!seer_database_check(message) ||
      !seer_files_open(&self->files, &self->config, message))
    return false;
  *message = '\0';
  if (!seer_files_enter(&self->files, SEER_STORE_PATIENCE, message)) {
    seer_files_close(&self->files);
    return false;
  }
  if (seer_database_open(&self->database, &self->files, message) == SQLITE_OK)
    return true;
  seer_files_leave(&self->files);
  seer_files_close(&self->files);
  return false;
}

static void leave(visit *self) {
  seer_database_close(&self->database);
  seer_files_leave(&self->files);
  seer_files_close(&self->files);
}

/* Opens what the first argument names, with nobody else inside, and nothing of
   Lua's may raise until `leave`; else pushes nil and a message. */
static bool begin_visit(lua_State *L, visit *self) {
  size_t length;
  const char *directory = luaL_checklstring(L, 1, &length);
  seer_store_message message = "";
  memset(self, 0, sizeof *self);
  luaL_argcheck(L,
                length < SEER_FILES_DIRECTORY && strlen(directory) == length,
                1, "a path of at most 479 bytes expected");
  snprintf(self->config.directory, sizeof self->config.directory, "%s%s",
           strncmp(directory, "file:", 5) == 0 ? "./" : "", /* no URI */
           directory);
  self->rows.database = &self->database;
  self->rows.files = &self->files;
  self->rows.most = SEER_ROWS_ADOPTED;
  self->rows.now = seer_age_moment_now(seer_age_boot());
  if (enter(self, message))
    return true;
  lua_pushnil(L);
  lua_pushstring(L, message);
  return false;
}

static int fail(lua_State *L, visit *self) {
  seer_store_message message;
  snprintf(message, sizeof message, "%s",
           sqlite3_errmsg(self->database.connection));
  leave(self);
  lua_pushnil(L);
  lua_pushstring(L, message);
  return 2;
}

/* Begins a transaction in which rows of the dead are nobody's. */
static bool look(visit *self) {
  bool ok;
  seer_database_set_patience(&self->database, SEER_STORE_PATIENCE);
  ok = seer_database_run(&self->database, SEER_DATABASE_BEGIN, NULL, 0,
                         NULL) == SQLITE_DONE &&
       seer_rows_look(&self->rows, true) == SQLITE_OK;
  while (ok && self->rows.unfreed)
    ok = seer_rows_look(&self->rows, false) == SQLITE_OK;
  return ok;
}

static bool commit(visit *self) {
  return seer_database_commit(&self->database) == SQLITE_OK;
}

static void set(lua_State *L, const char *name, int64_t value) {
  seer_pushint64(L, value);
  lua_setfield(L, -2, name);
}

static int64_t count_owners(visit *self) {
  int64_t count = 0;
  sqlite3_stmt *owners =
      seer_database_get(&self->database, SEER_DATABASE_OWNERS);
  sqlite3_bind_int64(owners, 1, SEER_DATABASE_NOBODY); /* is none of them */
  while (sqlite3_step(owners) == SQLITE_ROW)
    count +=
        seer_files_is_owned(&self->files, sqlite3_column_int64(owners, 0));
  sqlite3_reset(owners);
  return count;
}

int seer_inspect_totals(lua_State *L) {
  visit self;
  seer_store_totals totals = {0};
  int64_t owners;
  if (!begin_visit(L, &self))
    return 2;
  if (!look(&self) || !commit(&self)) /* a full disk can be looked at */
    seer_database_run(&self.database, SEER_DATABASE_ROLLBACK, NULL, 0, NULL);
  if (seer_rows_total(&self.rows, &totals) != SQLITE_OK)
    return fail(L, &self);
  owners = count_owners(&self);
  leave(&self);
  lua_createtable(L, 0, 6);
  set(L, "events", totals.events);
  set(L, "nobodys", totals.nobodys);
  set(L, "owners", owners);
  set(L, "bytes", totals.bytes);
  set(L, "log", totals.log);
  lua_pushnumber(L, (lua_Number)totals.oldest / 1000);
  lua_setfield(L, -2, "oldest");
  return 1;
}

/* Pushes a row as a table. */
static int push_row(lua_State *L) {
  sqlite3_stmt *list = lua_touserdata(L, 1);
  const seer_age_moment *now = lua_touserdata(L, 2);
  seer_age_moment moment = {sqlite3_column_int64(list, 4),
                            sqlite3_column_int64(list, 5),
                            sqlite3_column_int64(list, 6)};
  int index = (int)lua_rawlen(L, 3) + 1;
  lua_createtable(L, 0, 7);
  set(L, "id", sqlite3_column_int64(list, 0));
  lua_pushboolean(L, sqlite3_column_int64(list, 1) != SEER_DATABASE_NOBODY);
  lua_setfield(L, -2, "owned");
  set(L, "kind", sqlite3_column_int64(list, 2));
  set(L, "tries", sqlite3_column_int64(list, 3));
  lua_pushnumber(L, (lua_Number)seer_age_of(&moment, now) / 1000);
  lua_setfield(L, -2, "age");
  lua_pushlstring(L, sqlite3_column_blob(list, 7),
                  (size_t)sqlite3_column_bytes(list, 7));
  lua_setfield(L, -2, "uuid");
  lua_pushlstring(L, sqlite3_column_blob(list, 8),
                  (size_t)sqlite3_column_bytes(list, 8));
  lua_setfield(L, -2, "body");
  lua_rawseti(L, 3, index);
  return 0;
}

/* Lua may raise where a row is made into a table; the visit ends first. */
int seer_inspect_rows(lua_State *L) {
  visit self;
  sqlite3_stmt *list;
  lua_Number from = luaL_optnumber(L, 2, 0);
  int code, status = 0;
  luaL_argcheck(L, from >= 0 && from < 0x1p63, 2, "id expected");
  lua_settop(L, 1);
  lua_newtable(L);
  luaL_checkstack(L, 8, "not enough memory");
  if (!begin_visit(L, &self))
    return 2;
  list = seer_database_get(&self.database, SEER_DATABASE_LIST);
  sqlite3_bind_int64(list, 1, (int64_t)from);
  sqlite3_bind_int64(list, 2, PAGE);
  while (status == 0 && (code = sqlite3_step(list)) == SQLITE_ROW) {
    lua_pushcfunction(L, push_row);
    lua_pushlightuserdata(L, list);
    lua_pushlightuserdata(L, &self.rows.now);
    lua_pushvalue(L, 2);
    status = lua_pcall(L, 3, 0, 0);
  }
  sqlite3_reset(list);
  if (status != 0) {
    leave(&self);
    return lua_error(L);
  }
  if (code != SQLITE_DONE)
    return fail(L, &self);
  leave(&self);
  return 1;
}

int seer_inspect_purge(lua_State *L) {
  visit self;
  int64_t removed = 0, count = 0;
  bool ok;
  if (!begin_visit(L, &self))
    return 2;
  ok = look(&self);
  while (ok && (ok = seer_rows_displace(&self.rows, &count) == SQLITE_OK) &&
         count > 0)
    removed += count;
  if (!ok || seer_rows_count(&self.rows) != SQLITE_OK || !commit(&self))
    return fail(L, &self);
  leave(&self);
  seer_pushint64(L, removed);
  return 1;
}
