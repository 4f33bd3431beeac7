#include "inspect.h"

#include "compat.h"
#include "connection.h"

#include <signal.h>
#include <string.h>
#include <time.h>
#pragma GCC visibility push(hidden)

/* Runs a script on a connection of its own. That Redis has gone must not end
   the program by a signal. */
static redisReply *run(const seer_config *config, int script, const char *from,
                       seer_store_message message) {
  seer_connection connection = {.config = config};
  seer_words words = {NULL, 0, 0, 0};
  struct timespec at_once = {0, 0};
  redisReply *reply = NULL;
  sigset_t pipe, before;
  sigemptyset(&pipe);
  sigaddset(&pipe, SIGPIPE);
  sigprocmask(SIG_BLOCK, &pipe, &before);
  seer_words_print(&words, "1");
  seer_words_print(&words, "%s:targets", config->prefix);
  seer_words_add(&words, config->prefix, strlen(config->prefix));
  seer_words_add(&words, from, strlen(from));
  if (seer_connection_open(&connection, message))
    reply = seer_connection_run(&connection, script, &words, message);
  seer_connection_close(&connection);
  seer_words_clear(&words);
  if (!sigismember(&before, SIGPIPE))
    sigtimedwait(&pipe, NULL, &at_once);
  sigprocmask(SIG_SETMASK, &before, NULL);
  return reply;
}

/* Calls `push`, which may raise, with the reply, for one result. */
static int visit(lua_State *L, int script, const char *function,
                 lua_CFunction push) {
  const char *from = luaL_optstring(L, 2, "");
  seer_config config;
  seer_store_message message;
  redisReply *reply;
  int status;
  seer_config_read(L, &config, function);
  luaL_checkstack(L, 8, "not enough memory");
  reply = run(&config, script, from, message);
  if (reply == NULL) {
    lua_pushnil(L);
    lua_pushstring(L, message);
    return 2;
  }
  lua_pushcfunction(L, push);
  lua_pushlightuserdata(L, reply);
  status = lua_pcall(L, 1, 1, 0);
  freeReplyObject(reply);
  return status == 0 ? 1 : lua_error(L);
}

static void set(lua_State *L, const char *name, int64_t value) {
  seer_pushint64(L, value);
  lua_setfield(L, -2, name);
}

static void set_seconds(lua_State *L, const char *name, int64_t ms) {
  lua_pushnumber(L, ms > 0 ? (lua_Number)ms / 1000 : 0);
  lua_setfield(L, -2, name);
}

static void set_string(lua_State *L, const char *name, const redisReply *row,
                       size_t i) {
  size_t length;
  const char *text = seer_connection_string(row, i, &length);
  lua_pushlstring(L, text, length);
  lua_setfield(L, -2, name);
}

static int push_totals(lua_State *L) {
  const redisReply *reply = lua_touserdata(L, 1);
  lua_createtable(L, 0, 7);
  set(L, "events", seer_connection_number(reply, 0));
  set(L, "nobodys", seer_connection_number(reply, 1));
  set(L, "owners", seer_connection_number(reply, 2));
  set(L, "bytes", seer_connection_number(reply, 3));
  set_seconds(L, "oldest", seer_connection_number(reply, 4));
  set(L, "machines", seer_connection_number(reply, 5));
  set(L, "slots", seer_connection_number(reply, 6));
  return 1;
}

static int push_rows(lua_State *L) {
  const redisReply *reply = lua_touserdata(L, 1);
  lua_createtable(L, (int)reply->elements, 0);
  for (size_t i = 0; i < reply->elements; i++) {
    const redisReply *row = reply->element[i];
    lua_createtable(L, 0, 7);
    set_string(L, "id", row, 0);
    lua_pushboolean(L, seer_connection_number(row, 1) != 0);
    lua_setfield(L, -2, "owned");
    set(L, "kind", seer_connection_number(row, 2));
    set(L, "tries", seer_connection_number(row, 3));
    set_seconds(L, "age", seer_connection_number(row, 4));
    set_string(L, "uuid", row, 5);
    set_string(L, "body", row, 6);
    lua_rawseti(L, -2, (int)i + 1);
  }
  return 1;
}

static int push_count(lua_State *L) {
  const redisReply *reply = lua_touserdata(L, 1);
  seer_pushint64(L, reply->integer);
  return 1;
}

int seer_inspect_totals(lua_State *L) {
  return visit(L, SEER_SCRIPTS_TOTALS, "totals", push_totals);
}

int seer_inspect_rows(lua_State *L) {
  return visit(L, SEER_SCRIPTS_ROWS, "rows", push_rows);
}

int seer_inspect_purge(lua_State *L) {
  return visit(L, SEER_SCRIPTS_PURGE, "purge", push_count);
}
