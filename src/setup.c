#include "setup.h"

#include "compat.h"
#include "core/base/block.h"
#include "fields.h"
#include "holder.h"
#include "merge.h"
#include "options.h"
#include "values.h"

static const struct {
  seer_kept what;
  const char *name;
} kept_options[] = {
    {SEER_KEPT_BEFORE_SEND,        "before_send"       },
    {SEER_KEPT_ON_ERROR,           "on_error"          },
    {SEER_KEPT_LOGGER,             "logger"            },
    {SEER_KEPT_DEFAULT_DATA,       "default_data"      },
    {SEER_KEPT_DEFAULT_ATTRIBUTES, "default_attributes"}
};

/* Pushes an option, or what the client at `from` (0: none) has instead. */
static void push_kept(lua_State *L, int options, int from, int i) {
  if (seer_options_get(L, options, kept_options[i].name))
    return;
  if (from != 0)
    seer_client_get(L, from, kept_options[i].what);
  else
    lua_pushnil(L);
}

void seer_setup_kept(lua_State *L, int self, int options, int from) {
  seer_client *client = lua_touserdata(L, self);
  for (int i = 0; i < (int)(sizeof kept_options / sizeof *kept_options); i++) {
    push_kept(L, options, from, i);
    client->has[kept_options[i].what] = lua_toboolean(L, -1);
    if (lua_istable(L, -1)) {
      lua_pushnil(L);
      seer_merge_fields(L, -2, -1); /* a copy */
      lua_replace(L, -3);
      lua_pop(L, 1);
    }
    seer_client_keep(L, self, kept_options[i].what);
  }
}

/* Pushes the string that an option is, and returns it; NULL, and nothing
   pushed, if it is not given. */
static const char *push_string(lua_State *L, int options, const char *name) {
  return seer_options_get(L, options, name) ? lua_tostring(L, -1) : NULL;
}

/* Pushes a block: that of the option, laid over `under`. */
static const char *push_block(lua_State *L, int options, const char *name,
                              seer_block_kind kind, const char *under) {
  seer_holder *holder;
  const char *over = NULL;
  size_t most =
      kind == SEER_BLOCK_HEADERS ? SEER_HEADERS_MOST : SEER_QUERY_MOST;
  int top = lua_gettop(L);
  if (seer_options_get(L, options, name))
    over = seer_fields_push_checked(L, lua_gettop(L), kind);
  holder = seer_holder_push(L, SIZE_MAX / 2);
  seer_block_merge(&holder->scratch, kind, under, over);
  if (holder->scratch.error)
    luaL_error(L, "not enough memory");
  if (holder->scratch.length > most)
    luaL_error(L, "option '%s': more than %d bytes with those of the client",
               name, (int)most);
  lua_pushlstring(L, holder->scratch.data, holder->scratch.length);
  seer_holder_release(holder);
  lua_replace(L, top + 1);
  lua_settop(L, top + 1);
  return lua_tostring(L, -1);
}

/* A file is read now: later the process may be in a chroot, or of a user who
   cannot read it. */
static void push_authorities(lua_State *L, int options,
                             seer_site_options *site) {
  const char *file = push_string(L, options, "ca_file");
  const char *blob = push_string(L, options, "ca_blob");
  if (file != NULL) {
    if (!seer_value_push_file(L, file))
      luaL_error(L, "option 'ca_file': %s", lua_tostring(L, -1));
    blob = lua_tostring(L, -1);
  }
  if (blob == NULL)
    return;
  site->ca_file = NULL;
  site->ca_blob = blob;
}

void seer_setup_site(lua_State *L, int options, const seer_settings *settings,
                     seer_site_options *site) {
  site->http_version = (int)settings->http_version;
  site->resolve = !settings->thread; /* libcurl's resolver needs one */
  site->headers =
      push_block(L, options, "headers", SEER_BLOCK_HEADERS, site->headers);
  site->query = push_block(L, options, "query", SEER_BLOCK_QUERY, site->query);
  if (seer_options_get(L, options, "proxy")) {
    const char *proxy = lua_tostring(L, -1);
    site->proxy = proxy != NULL ? proxy : ""; /* false: none */
    site->no_proxy = NULL;
  }
  push_authorities(L, options, site);
}
