#include "make.h"

#include "client.h"
#include "compat.h"
#include "core/base/block.h"
#include "core/base/version.h"
#include "core/endpoints.h"
#include "core/report.h"
#include "fields.h"
#include "merge.h"
#include "options.h"
#include "values.h"

static const char *const kept_options[] = {[SEER_KEPT_BEFORE_SEND] =
                                               "before_send",
                                           [SEER_KEPT_ON_ERROR] = "on_error",
                                           [SEER_KEPT_LOGGER] = "logger"};

/* The option that gives what is kept, or NULL. */
static const char *option_of(int what) {
  if (what >= SEER_KEPT_DEFAULTS)
    return seer_kinds[what - SEER_KEPT_DEFAULTS].defaults;
  return what < SEER_KEPT_CAPTURED ? kept_options[what] : NULL;
}

/* Pushes an option, or what the client at `from` (0: none) has instead. */
static void push_kept(lua_State *L, int options, int from, int what) {
  if (option_of(what) != NULL && seer_options_get(L, options, option_of(what)))
    return;
  if (from != 0 && what != SEER_KEPT_CAPTURED)
    seer_client_get(L, from, (seer_kept)what);
  else
    lua_pushnil(L);
}

static void set_kept(lua_State *L, int self, int options, int from) {
  seer_client *client = lua_touserdata(L, self);
  for (int what = 0; what < SEER_KEPT; what++) {
    push_kept(L, options, from, what);
    client->has[what] = lua_toboolean(L, -1);
    if (lua_istable(L, -1)) {
      lua_pushnil(L);
      seer_merge_fields(L, -2, -1); /* a copy */
      lua_replace(L, -3);
      lua_pop(L, 1);
    }
    seer_client_keep(L, self, (seer_kept)what);
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
    if (!seer_values_push_file(L, file))
      luaL_error(L, "option 'ca_file': %s", lua_tostring(L, -1));
    blob = lua_tostring(L, -1);
  }
  if (blob == NULL)
    return;
  site->ca_file = NULL;
  site->ca_blob = blob;
}

static void set_site(lua_State *L, int options, const seer_settings *settings,
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

/*
** Making: the options at an index, and for with_options the client that has
** the others.
*/

static bool open_queue(seer_client *client, const seer_site_options *options) {
  seer_endpoint *endpoint = seer_endpoints_get(options, &client->site);
  if (endpoint == NULL)
    return false;
  client->queue = seer_sender_open(&client->settings, endpoint, client->site);
  if (client->queue == NULL) {
    seer_endpoints_release(endpoint, client->site);
    client->site = NULL;
    return false;
  }
  client->endpoint = endpoint;
  client->closed = false;
  return true;
}

static bool needs_key(const seer_settings *settings) {
  return settings->enabled && !settings->test_mode;
}

/* Once per process. The URL has been checked, so it begins with "http:" or
   "https:", in whatever case. */
static void warn_of_plain_http(const seer_client *client) {
  static bool told;
  const char *url = seer_endpoint_url(client->endpoint);
  bool plain = url[4] == ':' && !seer_http_is_loopback(url);
  if (plain && needs_key(&client->settings) &&
      client->settings.log_level >= SEER_WARN &&
      !__atomic_test_and_set(&told, __ATOMIC_RELAXED))
    seer_report_say(client->queue, SEER_WARN,
                    "base_url is plain http: everybody on the way can read "
                    "the key",
                    0, 0);
}

static void tell_made(lua_State *L, const seer_client *client) {
  if (client->settings.log_level < SEER_INFO)
    return;
  lua_pushfstring(L, "version %s, sending to %s", SEER_VERSION,
                  seer_endpoint_url(client->endpoint));
  seer_report_say(client->queue, SEER_INFO, lua_tostring(L, -1), 0, 0);
  lua_pop(L, 1);
}

/* Pushes a client with these settings, and with what else the options at the
   index `options` say, or else the client at `from` (0: none) has. */
static void push_client(lua_State *L, const seer_settings *settings,
                        int options, int from, seer_site_options *site) {
  int top = lua_gettop(L);
  seer_client *client;
  luaL_checkstack(L, 20, "too many options");
  set_site(L, options, settings, site);
  client = seer_client_push(L, settings);
  set_kept(L, lua_gettop(L), options, from);
  if (!open_queue(client, site))
    luaL_error(L, "not enough memory");
  warn_of_plain_http(client);
  tell_made(L, client);
  lua_replace(L, top + 1);
  lua_settop(L, top + 1);
}

bool seer_make(lua_State *L, int argument, const char *function) {
  seer_settings settings;
  seer_site_options site = {.inherited = false};
  seer_options_settings(L, argument, function, &settings);
  if (!seer_options_endpoint(L, argument, needs_key(&settings)))
    return false;
  site.base_url = lua_tostring(L, -2);
  site.api_key = lua_tostring(L, -1);
  push_client(L, &settings, argument, 0, &site); /* url, key, client */
  lua_replace(L, -3);
  lua_pop(L, 1);
  return true;
}

bool seer_make_with(lua_State *L, int self) {
  const seer_client *client = lua_touserdata(L, self);
  seer_settings settings;
  seer_site_options site;
  seer_holder *holder;
  if (client->site == NULL)
    return false;
  seer_options_table(L, 1, "with_options");
  settings = client->settings;
  seer_options_overrides(L, 1, "with_options", &settings);
  holder = seer_holder_push(L, 1);
  if (!seer_client_hold(client, holder))
    return false;
  seer_site_get_options(holder->site, &site);
  if (needs_key(&settings) && *site.api_key == '\0')
    luaL_error(L, "bad argument #1 to 'with_options' (the client has no "
                  "key)");
  push_client(L, &settings, 1, self, &site);
  seer_holder_release(holder);
  return true;
}
