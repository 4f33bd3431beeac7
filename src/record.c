#include "record.h"

#include "compat.h"
#include "core/base/block.h"
#include "core/http/http.h"
#include "result.h"

#include <string.h>

/* The list of a client that has many is cut from its front, so it is a
   queue: { first = n, last = m, [n] = ..., [m] = ... } */

static int64_t get_number(lua_State *L, int list, const char *name) {
  int64_t number;
  lua_pushstring(L, name);
  lua_rawget(L, list);
  number = (int64_t)lua_tonumber(L, -1);
  lua_pop(L, 1);
  return number;
}

static void set_number(lua_State *L, int list, const char *name,
                       int64_t number) {
  lua_pushstring(L, name);
  seer_pushint64(L, number);
  lua_rawset(L, list);
}

/* Pushes the client's list, which is made when there is none. */
static void push_list(lua_State *L, int self) {
  seer_client_get(L, self, SEER_KEPT_CAPTURED);
  if (lua_istable(L, -1))
    return;
  lua_pop(L, 1);
  lua_newtable(L);
  set_number(L, lua_gettop(L), "first", 1);
  set_number(L, lua_gettop(L), "last", 0);
  lua_pushvalue(L, -1);
  seer_client_keep(L, self, SEER_KEPT_CAPTURED);
}

/* Adds a line to the table on the top: "Name: value", or "Name;" without a
   value. "Name:" is not sent. */
static void add_header(lua_State *L, const char *line) {
  size_t length = strcspn(line, ":;");
  const char *value = line + length;
  if (strcmp(value, ":") == 0)
    return;
  seer_result_push_lower(L, line, length);
  lua_pushstring(L, strncmp(value, ": ", 2) == 0 ? value + 2 : "");
  lua_rawset(L, -3);
}

static void push_headers(lua_State *L, const char *block) {
  lua_newtable(L);
  for (; *block != '\0'; block = seer_block_next(block))
    add_header(L, block);
}

/* Pushes { path, query, headers, body, json }. */
static void push_request(lua_State *L, const seer_event *event,
                         const seer_buffer *preview) {
  const char *path = seer_event_path(event);
  const char *query = strchr(preview->data, '?');
  lua_createtable(L, 0, 5);
  lua_pushlstring(L, path, strcspn(path, "?"));
  lua_setfield(L, -2, "path");
  if (query != NULL) {
    lua_pushstring(L, query + 1);
    lua_setfield(L, -2, "query");
  }
  push_headers(L, seer_block_next(preview->data));
  lua_setfield(L, -2, "headers");
  if (event->length > 0 && seer_result_decode(L, event->body, event->length))
    lua_setfield(L, -2, "body");
  if (event->length == 0)
    return;
  lua_pushlstring(L, event->body, event->length);
  lua_setfield(L, -2, "json");
}

/* The request comes first: while it is made, a finalizer may add another, or
   take the list away. */
void seer_record_add(lua_State *L, int self, seer_holder *holder) {
  seer_client *client = lua_touserdata(L, self);
  int64_t first, last;
  int list;
  seer_http_preview(client->site, holder->event, &holder->scratch);
  if (holder->scratch.error)
    luaL_error(L, "not enough memory");
  push_request(L, holder->event, &holder->scratch);
  push_list(L, self);
  list = lua_gettop(L);
  lua_insert(L, -2); /* list, request */
  list--;
  first = get_number(L, list, "first");
  last = get_number(L, list, "last") + 1;
  seer_pushint64(L, last);
  lua_insert(L, -2);
  lua_rawset(L, list); /* list[last] = request */
  set_number(L, list, "last", last);
  if (last - first >= client->settings.max_queue_events) {
    seer_pushint64(L, first);
    lua_pushnil(L);
    lua_rawset(L, list);
    set_number(L, list, "first", first + 1);
  }
  lua_pop(L, 1);
}

void seer_record_take(lua_State *L, int self) {
  int64_t first, last;
  int list;
  push_list(L, self);
  list = lua_gettop(L);
  first = get_number(L, list, "first");
  last = get_number(L, list, "last");
  lua_newtable(L);
  for (int64_t i = first; i <= last; i++) {
    seer_pushint64(L, i - first + 1);
    seer_rawgeti(L, list, i);
    lua_rawset(L, -3);
  }
  lua_remove(L, list);
  lua_pushnil(L);
  seer_client_keep(L, self, SEER_KEPT_CAPTURED);
}
