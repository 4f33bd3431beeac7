#include "client.h"

#include "compat.h"
#include "core/endpoints.h"

#include <stdlib.h>
#pragma GCC visibility push(hidden)

static const seer_settings no_settings;

seer_client *seer_client_push(lua_State *L, int64_t max_event_bytes) {
  seer_client *client = lua_newuserdata(L, sizeof(*client));
  memset(client, 0, sizeof(*client));
  client->settings = &no_settings;
  client->with.marks = seer_marks_get(L);
  client->with.stamp = &client->stamp;
  client->with.scratch = &client->scratch;
  seer_buffer_init(&client->scratch, (size_t)max_event_bytes);
  client->closed = true;
  luaL_getmetatable(L, SEER_CLIENT);
  lua_setmetatable(L, -2);
  return client;
}

bool seer_client_begin(seer_client *client, const seer_store_object *store) {
  client->queue = seer_sender_open(client->party, store);
  if (client->queue != NULL)
    client->with.hand = &client->queue->hand;
  return client->queue != NULL;
}

void seer_client_open(lua_State *L, seer_client *client) {
  if (client->queue == NULL && client->party != NULL &&
      !seer_client_begin(client, NULL))
    luaL_error(L, "not enough memory");
}

void seer_client_end(seer_client *client) {
  seer_queue *queue = client->queue;
  seer_party *party = client->party;
  client->queue = NULL;
  client->party = NULL;
  client->with.hand = NULL;
  client->settings = &no_settings;
  client->closed = true;
  seer_buffer_clear(&client->scratch);
  free(client->invalid);
  client->invalid = NULL;
  if (queue != NULL)
    seer_sender_release(queue);
  else if (party != NULL)
    seer_endpoints_leave(party);
}

/*
** What Lua keeps for a client: in the table of its members, by addresses.
*/

static const char kept_keys[SEER_KEPT];

/* While a table is made, a finalizer may have given the client another. */
void seer_client_members(lua_State *L, int self) {
  seer_client *client = lua_touserdata(L, self);
  if (!client->has_members) {
    lua_createtable(L, 0, 2);
    if (!client->has_members)
      lua_setuservalue(L, self);
    else
      lua_pop(L, 1);
    client->has_members = true;
  }
  lua_getuservalue(L, self);
}

void seer_client_get(lua_State *L, int self, seer_kept what) {
  const seer_client *client = lua_touserdata(L, self);
  if (!client->has_members) {
    lua_pushnil(L);
    return;
  }
  lua_getuservalue(L, self);
  lua_rawgetp(L, -1, &kept_keys[what]);
  lua_remove(L, -2);
}

void seer_client_keep(lua_State *L, int self, seer_kept what) {
  seer_client_members(L, self);
  lua_insert(L, -2);
  lua_rawsetp(L, -2, &kept_keys[what]);
  lua_pop(L, 1);
}

bool seer_client_hold(const seer_client *client, seer_holder *holder) {
  if (client->party == NULL)
    return false;
  holder->endpoint = client->party->endpoint;
  holder->site = client->party->site;
  seer_endpoints_refer(holder->endpoint, holder->site);
  return true;
}
