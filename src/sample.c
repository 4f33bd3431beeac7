#include "sample.h"

#include "compat.h"
#include "core/base/id.h"
#include "core/base/json.h"
#include "core/endpoint.h"
#include "number.h"

#pragma GCC visibility push(hidden)

/* Pushes the part that is to be sent: of all, or of those with the event's
   name. */
static void push_part(lua_State *L, int self, int event) {
  seer_client_get(L, self, SEER_KEPT_SAMPLE);
  if (!lua_istable(L, -1))
    return;
  seer_rawgetfield(L, event, "name");
  if (lua_isnil(L, -1)) /* which no key may be */
    return;
  lua_rawget(L, -2);
}

/* The text of the id on the top, by which it is sent, or NULL: it has none,
   or cannot be sent. */
static const char *id_text(lua_State *L, char *digits, size_t size,
                           size_t *length) {
  seer_buffer out;
  int64_t integer;
  if (lua_type(L, -1) == LUA_TNUMBER && seer_toint64(L, -1, &integer)) {
    seer_buffer_borrow(&out, digits, size);
    seer_json_integer(&out, integer);
    *length = out.length;
    return digits;
  }
  if (lua_type(L, -1) != LUA_TSTRING && !seer_number_boxed(L, lua_gettop(L)))
    return NULL;
  return lua_tolstring(L, -1, length);
}

/* A number from 0 inclusive to 1 exclusive. A finalizer may end the client
   until the id is there; what is not sent anyway has any. */
static double draw(lua_State *L, const seer_client *client, int event) {
  char digits[SEER_NUMBER_LENGTH];
  const char *id;
  size_t length = 0;
  seer_rawgetfield(L, event, "user_id");
  id = id_text(L, digits, sizeof digits, &length);
  if (id == NULL || length == 0 || client->party == NULL)
    return seer_id_fraction();
  return seer_id_part(client->party->endpoint->api_key, id, length);
}

bool seer_sample_keeps(lua_State *L, int self, int event) {
  const seer_client *client = lua_touserdata(L, self);
  int top = lua_gettop(L);
  bool keeps = true;
  if (!lua_istable(L, event)) /* it cannot be sent */
    return true;
  push_part(L, self, event);
  if (lua_type(L, -1) == LUA_TNUMBER) {
    double part = lua_tonumber(L, -1);
    keeps = draw(L, client, event) < part;
  }
  lua_settop(L, top);
  return keeps;
}
