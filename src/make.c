#include "make.h"

#include "client.h"
#include "compat.h"
#include "core/base/block.h"
#include "core/base/os.h"
#include "core/base/version.h"
#include "core/endpoints.h"
#include "core/http/url.h"
#include "core/report.h"
#include "core/share.h"
#include "fields.h"
#include "merge.h"
#pragma GCC visibility push(hidden)

/* Pushes what is to be kept: an option, what the client at `from` (0: none)
   has, or nil. */
static void push_kept(lua_State *L, int64_t given, int from, int what) {
  if (given != 0)
    lua_pushvalue(L, (int)given);
  else if (from != 0 && what < SEER_KEPT_CAPTURED)
    seer_client_get(L, from, (seer_kept)what);
  else
    lua_pushnil(L);
}

static void add_list(lua_State *L, int self, seer_kept what) {
  lua_newtable(L);
  seer_client_keep(L, self, what);
}

/* Gives the client at `self` its callbacks, and copies of its defaults; what
   of that the core is to know goes to its settings. */
static void set_kept(lua_State *L, int self, const int64_t *given, int from,
                     seer_settings *settings) {
  seer_client *client = lua_touserdata(L, self);
  for (int what = 0; what < SEER_KEPT; what++) {
    push_kept(L, given[what], from, what);
    client->has[what] = lua_toboolean(L, -1);
    if (lua_istable(L, -1)) {
      lua_pushnil(L);
      seer_merge_fields(L, -2, -1); /* a copy */
      lua_replace(L, -3);
      lua_pop(L, 1);
    }
    if (client->has[what])
      seer_client_keep(L, self, (seer_kept)what);
    else
      lua_pop(L, 1);
  }
  if (settings->test_mode)
    add_list(L, self, SEER_KEPT_CAPTURED);
  if (client->has[SEER_KEPT_ON_ERROR])
    add_list(L, self, SEER_KEPT_INVALID);
  settings->has_logger = client->has[SEER_KEPT_LOGGER];
  settings->has_on_error = client->has[SEER_KEPT_ON_ERROR];
  settings->has_on_delivered = client->has[SEER_KEPT_ON_DELIVERED];
}

/* The string that stays at an index, or what is so otherwise. */
static const char *given_or(lua_State *L, int64_t index, const char *other) {
  return index != 0 ? lua_tostring(L, (int)index) : other;
}

/* Pushes a block: that at the index `given` (0: none), laid over `under`. */
static const char *push_block(lua_State *L, int64_t given, const char *name,
                              seer_block_kind kind, const char *under) {
  seer_holder *holder = seer_holder_push(L, SIZE_MAX / 2);
  size_t most =
      kind == SEER_BLOCK_HEADERS ? SEER_HEADERS_MOST : SEER_QUERY_MOST;
  seer_block_merge(&holder->scratch, kind, under, given_or(L, given, NULL));
  if (holder->scratch.error)
    luaL_error(L, "not enough memory");
  if (holder->scratch.length > most)
    luaL_error(L, "option '%s': more than %d bytes with those of the client",
               name, (int)most);
  lua_pushlstring(L, holder->scratch.data, holder->scratch.length);
  seer_holder_release(holder);
  lua_remove(L, -2);
  return lua_tostring(L, -1);
}

/* Changes `site`, which has what is so otherwise, to what the options say.
   The strings in it stay on the stack. */
static void set_site(lua_State *L, const seer_client_options *options,
                     seer_site_options *site) {
  site->http_version = (int)options->settings.http_version;
  site->threadless = !options->settings.thread;
  site->headers = push_block(L, options->headers, "headers",
                             SEER_BLOCK_HEADERS, site->headers);
  site->query =
      push_block(L, options->query, "query", SEER_BLOCK_QUERY, site->query);
  site->proxy = given_or(L, options->proxy, site->proxy);
  if (options->proxy != 0)
    site->no_proxy = NULL;
  if (options->ca_file != 0 || options->ca_blob != 0)
    site->ca_file = NULL;
  site->ca_blob = given_or(L, options->ca_file,
                           given_or(L, options->ca_blob, site->ca_blob));
  if (options->client_cert == 0)
    return;
  site->identity =
      lua_pushfstring(L, "%s\n%s", given_or(L, options->client_key, ""),
                      lua_tostring(L, (int)options->client_cert));
  site->key_password = given_or(L, options->key_password, NULL);
}

/*
** Making: the options at an index, and for with_options the client that has
** the others.
*/

/* The store that the client at `self` sends by way of, or NULL. */
static const seer_store_object *store_of(lua_State *L, int self,
                                         const seer_settings *settings) {
  const seer_client *client = lua_touserdata(L, self);
  const seer_store_object *store = NULL;
  if (!client->has[SEER_KEPT_STORE] || !seer_settings_send(settings))
    return NULL;
  seer_client_get(L, self, SEER_KEPT_STORE);
  store = lua_touserdata(L, -1); /* which the client keeps */
  lua_pop(L, 1);
  if (store->abi == SEER_STORE_ABI)
    seer_os_pin((const void *)store->driver);
  return store;
}

/* With a store the queue is made now, for there may be events in it. */
static bool open_client(seer_client *client, const seer_settings *settings,
                        const seer_site_options *options,
                        const seer_store_object *store) {
  client->party = seer_endpoints_join(options, settings);
  if (client->party == NULL)
    return false;
  client->settings = client->party->settings;
  client->with.stored = store != NULL;
  client->closed = false;
  if (store == NULL || seer_client_begin(client, store))
    return true;
  seer_client_end(client);
  return false;
}

/* Once per process. The URL has been checked, so it begins with "http:" or
   "https:", in whatever case. */
static void warn_of_plain_http(lua_State *L, seer_client *client) {
  static bool told;
  const char *url = client->party->endpoint->base_url;
  if (url[4] != ':' || !seer_settings_send(client->settings) ||
      client->settings->log_level < SEER_WARN || seer_url_is_loopback(url) ||
      __atomic_load_n(&told, __ATOMIC_RELAXED))
    return;
  seer_client_open(L, client);
  if (!__atomic_test_and_set(&told, __ATOMIC_RELAXED))
    seer_report_say(client->queue, SEER_WARN,
                    "base_url is plain http: everybody on the way can read "
                    "the key");
}

static void tell_made(lua_State *L, seer_client *client) {
  if (client->settings->log_level < SEER_INFO)
    return;
  lua_pushfstring(L, "version %s, sending to %s", SEER_VERSION,
                  client->party->endpoint->base_url);
  seer_client_open(L, client);
  if (client->queue != NULL) /* a finalizer that debugs may have ended it */
    seer_report_say(client->queue, SEER_INFO, lua_tostring(L, -1));
  lua_pop(L, 1);
}

/* Pushes a client with these options, or else what the client at `from` (0:
   none) has. */
static void push_client(lua_State *L, const seer_client_options *options,
                        int from, seer_site_options *site) {
  seer_settings settings = options->settings;
  int top = lua_gettop(L);
  seer_client *client;
  luaL_checkstack(L, 20, "too many options");
  set_site(L, options, site);
  client = seer_client_push(L, settings.max_event_bytes);
  set_kept(L, lua_gettop(L), options->kept, from, &settings);
  if (!open_client(client, &settings, site,
                   store_of(L, lua_gettop(L), &settings)))
    luaL_error(L, "not enough memory");
  if (!settings.has_store && settings.share_rate > 0 &&
      seer_settings_send(&settings)) { /* with a store, its keeper does */
    seer_client_open(L, client);
    seer_share(client->queue);
  }
  warn_of_plain_http(L, client);
  tell_made(L, client);
  lua_replace(L, top + 1);
  lua_settop(L, top + 1);
}

bool seer_make(lua_State *L, const seer_client_options *options) {
  seer_site_options site = {.base_url = NULL};
  if (!seer_options_endpoint(L, options,
                             seer_settings_send(&options->settings)))
    return false;
  site.base_url = lua_tostring(L, -2);
  site.api_key = lua_tostring(L, -1);
  push_client(L, options, 0, &site); /* url, key, client */
  lua_replace(L, -3);
  lua_pop(L, 1);
  return true;
}

bool seer_make_with(lua_State *L, int self) {
  const seer_client *client = lua_touserdata(L, self);
  seer_client_options options;
  seer_site_options site;
  seer_holder *holder;
  if (client->party == NULL)
    return false;
  seer_options_table(L, 1, "with_options");
  seer_options_overrides(L, 1, "with_options", client->settings, &options);
  holder = seer_holder_push(L, 1);
  if (!seer_client_hold(client, holder))
    return false;
  site = holder->site->options;
  if (seer_settings_send(&options.settings) && *site.api_key == '\0')
    luaL_error(L, "bad argument #1 to 'with_options' (the client has no "
                  "key)");
  push_client(L, &options, self, &site);
  seer_holder_release(holder);
  return true;
}
