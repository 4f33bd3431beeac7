#include "record.h"

#include "compat.h"
#include "core/base/block.h"
#include "core/http/outgoing.h"
#include "result.h"

#include <string.h>
#pragma GCC visibility push(hidden)

/* The list of a client is a ring of max_queue_events at most: the request
   that is number n since it was taken last has the index n % most + 1. */

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
  if (query != NULL)
    seer_setstring(L, "query", query + 1);
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
  int64_t most = client->settings->max_queue_events;
  seer_outgoing_preview(client->party->site, holder->event, &holder->scratch);
  if (holder->scratch.error)
    luaL_error(L, "not enough memory");
  push_request(L, holder->event, &holder->scratch);
  seer_client_get(L, self, SEER_KEPT_CAPTURED);
  lua_insert(L, -2); /* list, request */
  lua_rawseti(L, -2, (int)(client->captured++ % most + 1));
  lua_pop(L, 1);
}

void seer_record_take(lua_State *L, int self) {
  seer_client *client = lua_touserdata(L, self);
  int64_t most = client->settings->max_queue_events, first;
  int list;
  lua_newtable(L);
  if (!client->settings->test_mode)
    return;
  lua_newtable(L); /* the result, the next list */
  seer_client_get(L, self, SEER_KEPT_CAPTURED);
  list = lua_gettop(L);
  first = client->captured > most ? client->captured - most : 0;
  for (int64_t i = first; i < client->captured; i++) {
    lua_rawgeti(L, list, (int)(i % most + 1));
    lua_rawseti(L, list - 2, (int)(i - first + 1));
  }
  client->captured = 0;
  lua_pop(L, 1);
  seer_client_keep(L, self, SEER_KEPT_CAPTURED);
}
