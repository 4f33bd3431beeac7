#include "callbacks.h"

#include "compat.h"
#include "core/endpoint.h"
#include "core/http/site.h"
#include "core/report.h"
#include "holder.h"
#include "merge.h"
#include "result.h"

#include <stdio.h>
#pragma GCC visibility push(hidden)

#define FAILURE_LENGTH 400
#define CALLS 256 /* in one go; the rest is for the next */

/* The text of an error; another value if it has none. */
static int describe(lua_State *L) {
  if (lua_isstring(L, 1) || !luaL_callmeta(L, 1, "__tostring"))
    lua_settop(L, 1);
  return 1;
}

/* Pushes "<callback> failed: <the error on the top>", in place of that.
   What it says may have been in the options, and so is looked through for
   secrets. */
static void push_failure(lua_State *L, const seer_client *client,
                         const char *callback) {
  char text[FAILURE_LENGTH];
  const char *error = NULL;
  lua_pushcfunction(L, describe);
  lua_pushvalue(L, -2);
  if (lua_pcall(L, 1, 1, 0) == LUA_OK)
    error = lua_tostring(L, -1);
  if (error == NULL)
    error = luaL_typename(L, -2);
  snprintf(text, sizeof(text), "%s failed: %s", callback, error);
  if (client->party != NULL)
    seer_site_mask(client->party->site, text, strlen(text),
                   strlen(text) == sizeof(text) - 1);
  else /* it was finalized meanwhile, and nobody knows its secrets */
    snprintf(text, sizeof(text), "%s failed", callback);
  lua_pop(L, 2);
  lua_pushstring(L, text);
}

static seer_filtered judge(lua_State *L, const seer_client *client,
                           int event) {
  if (lua_istable(L, -1)) {
    lua_replace(L, event);
    return SEER_FILTERED_SEND;
  }
  if (lua_isnil(L, -1)) {
    lua_pop(L, 1);
    lua_pushliteral(L, "dropped by before_send");
    return SEER_FILTERED_DROP;
  }
  lua_pushfstring(L, "a table or nil expected, got %s", luaL_typename(L, -1));
  lua_remove(L, -2);
  push_failure(L, client, "before_send");
  return SEER_FILTERED_FAILURE;
}

seer_filtered seer_callbacks_filter(lua_State *L, int self, int event,
                                    const char *path) {
  seer_client *client = lua_touserdata(L, self);
  int status;
  if (!seer_merge_copy(L, event))
    return SEER_FILTERED_INVALID;
  seer_client_get(L, self, SEER_KEPT_BEFORE_SEND);
  lua_insert(L, -2);
  lua_pushstring(L, path); /* before_send, event, path */
  client->filtering = true;
  status = lua_pcall(L, 2, 1, 0);
  if (status != LUA_OK)
    push_failure(L, client, "before_send");
  client->filtering = false;
  return status == LUA_OK ? judge(L, client, event) : SEER_FILTERED_FAILURE;
}

/* Calls a callback, which is on the stack below its arguments. That it fails
   is told of on the standard error, now and then. */
static void call(lua_State *L, seer_kept what, int arguments) {
  static const char *const names[] = {"before_send", "on_error",
                                      "on_delivered", "logger"};
  static seer_trouble troubles[sizeof names / sizeof *names];
  const seer_client *client = lua_touserdata(L, 1);
  int64_t untold;
  if (lua_pcall(L, arguments, 0, 0) == LUA_OK)
    return;
  push_failure(L, client, names[what]);
  if (client->settings->log_level >= SEER_WARN &&
      (untold = seer_trouble_now(&troubles[what])) >= 0)
    seer_tell_again(SEER_WARN, untold, lua_tostring(L, -1));
  lua_pop(L, 1);
}

/* Sets a field of the table on the top, unless the number is 0. */
static void set_number(lua_State *L, const char *name, int64_t number) {
  if (number != 0)
    seer_setint64(L, name, number);
}

/* Pushes the arguments of logger. */
static void push_message(lua_State *L, const seer_holder *holder) {
  const seer_message *message = holder->message;
  lua_pushstring(L, seer_level_names[message->level]);
  lua_pushstring(L, message->text);
  lua_createtable(L, 0, 4);
  seer_setstring(L, "url", holder->endpoint->base_url);
  set_number(L, "status", message->status);
  set_number(L, "attempt", message->attempt);
  set_number(L, "repeated", message->repeated);
}

static bool call_logger(lua_State *L, seer_client *client,
                        seer_holder *holder) {
  holder->message = seer_report_next_message(client->queue);
  if (holder->message == NULL)
    return false;
  seer_client_hold(client, holder);
  seer_client_get(L, 1, SEER_KEPT_LOGGER);
  push_message(L, holder);
  seer_holder_release(holder);
  call(L, SEER_KEPT_LOGGER, 3);
  return true;
}

/* Pushes the error about an event that was given up. */
static void push_error(lua_State *L, const seer_event *event) {
  const char *path = seer_event_path(event);
  int top = lua_gettop(L);
  if (event->request != NULL)
    seer_result_push(L, &event->request->outcome, path);
  else if (event->lost == SEER_SETTLED_EXPIRED)
    seer_result_drop(L, "dropped: older than max_age", path);
  else if (event->lost == SEER_SETTLED_DISPLACED)
    seer_result_drop(L, "dropped: displaced by newer events", path);
  else
    seer_result_drop(L, "dropped: rejected, and no memory to say why", path);
  lua_replace(L, top + 1); /* err, above it a body, nil or message */
  lua_settop(L, top + 1);
}

/* Calls on_error or on_delivered about the next event for it, if there is one;
   with its body, decoded, and the text of that. */
static bool call_with_event(lua_State *L, seer_client *client, seer_kept what,
                            seer_holder *holder) {
  bool lost = what == SEER_KEPT_ON_ERROR;
  const seer_event *event = holder->event =
      seer_report_next_event(client->queue, lost);
  if (event == NULL)
    return false;
  seer_client_get(L, 1, what);
  if (lost)
    push_error(L, event);
  if (!seer_result_decode(L, event->body, event->length))
    lua_pushnil(L);
  lua_pushlstring(L, event->body, event->length);
  seer_holder_release(holder);
  call(L, what, lost ? 3 : 2);
  return true;
}

/*
** Events that cannot be sent are no matter of the queue's: they wait, with
** their errors, in a list of Lua's. It is a ring like that of record.c.
*/

void seer_callbacks_keep_invalid(lua_State *L, int self, int event) {
  seer_client *client = lua_touserdata(L, self);
  if (!client->has[SEER_KEPT_ON_ERROR])
    return;
  lua_createtable(L, 2, 0);
  lua_pushvalue(L, -2);
  lua_rawseti(L, -2, 1);
  lua_pushvalue(L, event);
  lua_rawseti(L, -2, 2); /* err, { err, event } */
  seer_client_get(L, self, SEER_KEPT_INVALID);
  lua_insert(L, -2);
  if (client->unsendable - client->unheard == SEER_NOTICES) {
    client->unheard++;
    client->missed++;
  }
  lua_rawseti(L, -2, (int)(client->unsendable++ % SEER_NOTICES + 1));
  lua_pop(L, 1);
}

static bool call_for_invalid(lua_State *L, seer_client *client) {
  int place = (int)(client->unheard % SEER_NOTICES + 1);
  if (client->unheard == client->unsendable)
    return false;
  client->unheard++;
  seer_client_get(L, 1, SEER_KEPT_ON_ERROR);
  seer_client_get(L, 1, SEER_KEPT_INVALID);
  lua_rawgeti(L, -1, place);
  lua_pushnil(L);
  lua_rawseti(L, -3, place);
  lua_remove(L, -2); /* on_error, { err, event } */
  lua_rawgeti(L, -1, 1);
  lua_rawgeti(L, -2, 2);
  lua_remove(L, -3);
  call(L, SEER_KEPT_ON_ERROR, 2);
  return true;
}

static bool call_next(lua_State *L, seer_client *client, seer_holder *holder) {
  const bool *has = client->has;
  return client->queue != NULL &&
         ((has[SEER_KEPT_LOGGER] && call_logger(L, client, holder)) ||
          (has[SEER_KEPT_ON_ERROR] &&
           call_with_event(L, client, SEER_KEPT_ON_ERROR, holder)) ||
          (has[SEER_KEPT_ON_DELIVERED] &&
           call_with_event(L, client, SEER_KEPT_ON_DELIVERED, holder)) ||
          call_for_invalid(L, client));
}

/* Under pcall, with the client at index 1. */
static int run(lua_State *L) {
  seer_holder *holder = seer_holder_push(L, 1);
  int calls = 0;
  while (calls < CALLS && call_next(L, lua_touserdata(L, 1), holder))
    calls++;
  lua_pushinteger(L, calls);
  return 1;
}

int seer_callbacks_run(lua_State *L, int self) {
  seer_client *client = lua_touserdata(L, self);
  int calls = 0;
  if (client->calling ||
      !(client->has[SEER_KEPT_LOGGER] || client->has[SEER_KEPT_ON_ERROR] ||
        client->has[SEER_KEPT_ON_DELIVERED]))
    return 0;
  seer_result_let_hooks(L);
  lua_pushcfunction(L, run);
  lua_pushvalue(L, self);
  client->calling = true;
  if (lua_pcall(L, 1, 1, 0) == LUA_OK)
    calls = (int)lua_tointeger(L, -1);
  client->calling = false;
  lua_pop(L, 1);
  return calls;
}
