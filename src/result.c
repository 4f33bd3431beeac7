#include "result.h"

#include "compat.h"
#include "core/base/ascii.h"
#include "core/base/block.h"
#include "core/base/mask.h"

#include <stdio.h>
#pragma GCC visibility push(hidden)

#define METATABLE "seerstack.error"
#define DECODE "seerstack.decode" /* the registry's: cjson.new().decode */
#define DECODE_DEPTH 110          /* more than any event of ours has */
#define TEXT_LIMIT 200            /* bytes of an answer's text in a message */

static int error_tostring(lua_State *L) {
  lua_settop(L, 1);
  luaL_checktype(L, 1, LUA_TTABLE);
  seer_rawgetfield(L, 1, "message");
  return 1;
}

/* Pushes the list of searchers, which has another name in Lua 5.1. */
static void push_searchers(lua_State *L, int loaded) {
  lua_getfield(L, loaded, "package");
  luaL_checktype(L, -1, LUA_TTABLE);
  lua_getfield(L, -1, "searchers");
  if (lua_isnil(L, -1)) {
    lua_pop(L, 1);
    lua_getfield(L, -1, "loaders");
  }
  luaL_checktype(L, -1, LUA_TTABLE);
}

/* Leaves a loader and its second argument on the top. */
static void search(lua_State *L, int searchers, const char *name) {
  lua_pushliteral(L, ""); /* where it is not */
  for (int i = 1;; i++) {
    lua_rawgeti(L, searchers, i);
    if (lua_isnil(L, -1))
      luaL_error(L, "module '%s' not found:%s", name, lua_tostring(L, -2));
    lua_pushstring(L, name);
    lua_call(L, 1, 2);
    if (lua_isfunction(L, -2))
      return;
    lua_pop(L, 1);
    if (!lua_isstring(L, -1)) {
      lua_pop(L, 1);
      lua_pushliteral(L, "");
    }
    lua_concat(L, 2);
  }
}

/* Pushes what the module's loader returns, and keeps it as loaded. */
static void load(lua_State *L, int loaded, const char *name) {
  push_searchers(L, loaded);
  search(L, lua_gettop(L), name);
  lua_pushstring(L, name);
  lua_insert(L, -2);
  lua_call(L, 2, 1);
  if (!lua_isnil(L, -1))
    lua_setfield(L, loaded, name);
  lua_getfield(L, loaded, name);
}

/* Pushes the value of a module, which is loaded if it is not yet. Sandboxes
   put a function that refuses in the place of the global `require`, so it is
   not asked: what is loaded already, and who searches for the rest, stands in
   the table `package`, which the registry keeps. */
static void require(lua_State *L, const char *name) {
  int loaded = lua_gettop(L) + 1;
  luaL_checkstack(L, LUA_MINSTACK, "too many calls");
  lua_getfield(L, LUA_REGISTRYINDEX, "_LOADED");
  luaL_checktype(L, loaded, LUA_TTABLE);
  lua_getfield(L, loaded, name);
  if (!lua_toboolean(L, -1))
    load(L, loaded, name);
  lua_replace(L, loaded);
  lua_settop(L, loaded);
}

/* Pushes a function of the table on the top; raises if there is none: other
   modules call themselves cjson, too. */
static void check_member(lua_State *L, const char *name) {
  if (lua_istable(L, -1)) {
    lua_getfield(L, -1, name);
    if (lua_isfunction(L, -1))
      return;
  }
  luaL_error(L,
             "seerstack: the module 'cjson' is not lua-cjson 2.0 or newer: "
             "'%s' is missing",
             name);
}

/* Makes a decoder for the registry. lua-cjson takes the decimal point from
   the locale that holds then, so one of before os.setlocale reads no
   fractions. */
static int make_decoder(lua_State *L) {
  require(L, "cjson");
  check_member(L, "new");
  lua_call(L, 0, 1); /* cjson, an instance */
  check_member(L, "decode_max_depth");
  lua_pushinteger(L, DECODE_DEPTH);
  lua_call(L, 1, 0);
  lua_getfield(L, -1, "decode");
  lua_setfield(L, LUA_REGISTRYINDEX, DECODE);
  lua_pop(L, 2);
  return 0;
}

void seer_result_open(lua_State *L) {
  static const luaL_Reg metamethods[] = {
      {"__tostring", error_tostring},
      {NULL,         NULL          }
  };
  seer_newmetatable(L, METATABLE, metamethods);
  lua_pop(L, 1);
  make_decoder(L);
}

/* Replaces the message on the top by message, err. */
static void new_error(lua_State *L, const char *name) {
  lua_createtable(L, 0, 6);
  seer_setstring(L, "name", name);
  lua_pushvalue(L, -2);
  lua_setfield(L, -2, "message");
  luaL_getmetatable(L, METATABLE);
  lua_setmetatable(L, -2);
}

int seer_result_fail(lua_State *L, const char *name) {
  new_error(L, name);
  lua_pushnil(L);
  lua_insert(L, -3); /* nil, message, err */
  return 3;
}

int seer_result_closed(lua_State *L) {
  lua_pushliteral(L, "client is closed");
  return seer_result_fail(L, "ClosedError");
}

int seer_result_late(lua_State *L, int64_t timeout, const char *what) {
  char message[400];
  snprintf(message, sizeof(message), "timed out after %.14g s: %s",
           (double)timeout / 1000, what);
  lua_pushstring(L, message);
  return seer_result_fail(L, "TimeoutError");
}

int seer_result_drop(lua_State *L, const char *message, const char *path) {
  lua_pushstring(L, message);
  seer_result_fail(L, "DroppedError");
  seer_setstring(L, "path", path);
  return 3;
}

static const char *name_of_status(int status) {
  static const struct {
    int status;
    const char *name;
  } names[] = {
      {400, "BadRequestError"         },
      {401, "AuthenticationError"     },
      {403, "PermissionDeniedError"   },
      {404, "NotFoundError"           },
      {409, "ConflictError"           },
      {422, "UnprocessableEntityError"},
      {429, "RateLimitError"          }
  };
  for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
    if (names[i].status == status)
      return names[i].name;
  return status >= 500 ? "InternalServerError" : "APIStatusError";
}

/* What there is instead of an answer: what the error is called, and what it
   says if libcurl does not. Others are called by their status. */
static const struct {
  const char *name, *message;
} failures[] = {
    [SEER_FAILURE_CONNECTION] = {"APIConnectionError", NULL               },
    [SEER_FAILURE_TIMEOUT] = {"APITimeoutError",    NULL               },
    [SEER_FAILURE_PACED] = {"RateLimitError",
                                 "rate limit: the request would have to wait "
                            "beyond its timeout"                          },
    [SEER_FAILURE_CLOSED] = {"ClosedError",
                                 "closed before there was an answer"      },
    [SEER_FAILURE_NOMEM] = {"APIConnectionError", "not enough memory"},
};

static const char *name_of(const seer_outcome *outcome) {
  const char *name = failures[outcome->failure].name;
  return name != NULL ? name : name_of_status(outcome->status);
}

/*
** Headers: a table from the lower-case name to the value; the values of a
** repeated one are joined by ", ".
*/

void seer_result_push_lower(lua_State *L, const char *text, size_t length) {
  luaL_Buffer buffer;
  luaL_buffinit(L, &buffer);
  for (size_t i = 0; i < length; i++)
    luaL_addchar(&buffer, seer_lower(text[i]));
  luaL_pushresult(&buffer);
}

/* Adds a field to the table on the top. */
static void add_header(lua_State *L, const seer_header *field) {
  seer_result_push_lower(L, field->name, field->name_length);
  lua_pushvalue(L, -1);
  lua_rawget(L, -3); /* headers, name, the value so far */
  if (lua_isnil(L, -1)) {
    lua_pop(L, 1);
    lua_pushlstring(L, field->value, field->value_length);
  } else {
    lua_pushliteral(L, ", ");
    lua_pushlstring(L, field->value, field->value_length);
    lua_concat(L, 3);
  }
  lua_rawset(L, -3); /* headers[name] = value */
}

static void push_headers(lua_State *L, const seer_outcome *outcome) {
  const char *line = outcome->headers;
  const char *end = line != NULL ? line + outcome->headers_length : NULL;
  seer_header field;
  lua_newtable(L);
  while ((line = seer_header_read(&field, line, end)) != NULL)
    add_header(L, &field);
}

static bool decode(lua_State *L, const char *text, size_t length) {
  lua_getfield(L, LUA_REGISTRYINDEX, DECODE);
  lua_pushlstring(L, text, length);
  if (lua_pcall(L, 1, 1, 0) == LUA_OK)
    return true;
  lua_pop(L, 1);
  return false;
}

static int nothing(lua_State *L) {
  (void)L;
  return 0;
}

/* A hook that a signal has set, such as the interpreter's for Ctrl-C, raises
   its error at the next call: outside of pcall, or nobody would hear of it. */
void seer_result_let_hooks(lua_State *L) {
  lua_pushcfunction(L, nothing);
  lua_call(L, 0, 0);
}

bool seer_result_decode(lua_State *L, const char *text, size_t length) {
  seer_result_let_hooks(L);
  if (decode(L, text, length))
    return true;
  lua_pushcfunction(L, make_decoder);
  if (lua_pcall(L, 0, 0, 0) != LUA_OK) {
    lua_pop(L, 1);
    return false;
  }
  return decode(L, text, length);
}

/* JSON's arrays and objects look alike once they are decoded. */
static bool begins_object(const seer_outcome *outcome) {
  size_t i = 0;
  while (i < outcome->body_length && seer_is_blank(outcome->body[i]))
    i++;
  return i < outcome->body_length && outcome->body[i] == '{';
}

/* Pushes what a server says, which is not to forge a line of a log. */
static void push_clean(lua_State *L, const char *text, size_t length) {
  char *copy = lua_newuserdata(L, length);
  memcpy(copy, text, length);
  seer_mask_controls(copy, length);
  lua_pushlstring(L, copy, length);
  lua_remove(L, -2);
}

/* Pushes the "error" of the decoded body at `body`, if it has that string,
   else the beginning of its text. */
static void push_reason(lua_State *L, int body, const seer_outcome *outcome) {
  size_t length;
  if (lua_istable(L, body)) {
    lua_getfield(L, body, "error");
    if (lua_type(L, -1) == LUA_TSTRING) {
      const char *text = lua_tolstring(L, -1, &length);
      push_clean(L, text, length);
      lua_remove(L, -2);
      return;
    }
    lua_pop(L, 1);
  }
  push_clean(L, outcome->body,
             seer_cut(outcome->body, outcome->body_length, TEXT_LIMIT));
}

static const char *why_none(const seer_outcome *outcome) {
  const char *message = failures[outcome->failure].message;
  if (message != NULL)
    return message;
  return outcome->message[0] != '\0' ? outcome->message : "timed out";
}

/* Pushes "401 Missing or invalid API key". `body` is the index of the body,
   0 if there is none. */
static void push_message(lua_State *L, int body, const seer_outcome *outcome) {
  char status[16];
  if (outcome->failure != SEER_FAILURE_NONE &&
      outcome->failure != SEER_FAILURE_STATUS) {
    lua_pushstring(L, why_none(outcome));
    return;
  }
  snprintf(status, sizeof(status), "%d ", outcome->status);
  lua_pushstring(L, status);
  if (body)
    push_reason(L, body, outcome);
  else
    lua_pushliteral(L, "status code (no body)");
  lua_concat(L, 2);
}

/* The body on the top of the stack, if `body` is not 0, becomes a part of
   the error that it describes. */
static int push_failure(lua_State *L, int body, const seer_outcome *outcome,
                        const char *path) {
  push_message(L, body, outcome);
  seer_result_fail(L, name_of(outcome)); /* ..., nil, message, err */
  if (outcome->status != 0)
    seer_setint64(L, "status", outcome->status);
  if (outcome->headers != NULL) {
    push_headers(L, outcome);
    lua_setfield(L, -2, "headers");
  }
  if (body) {
    lua_pushvalue(L, body);
    lua_setfield(L, -2, "body");
  }
  seer_setstring(L, "path", path);
  return 3;
}

static int push_response(lua_State *L, const seer_outcome *outcome) {
  lua_createtable(L, 0, 2); /* response, http */
  seer_setint64(L, "status", outcome->status);
  push_headers(L, outcome);
  lua_setfield(L, -2, "headers");
  return 2;
}

/* Pushes the body: decoded, or as it is; the index, 0 if there is none. */
static int push_body(lua_State *L, const seer_outcome *outcome) {
  if (outcome->body_length == 0)
    return 0;
  if (!seer_result_decode(L, outcome->body, outcome->body_length))
    lua_pushlstring(L, outcome->body, outcome->body_length);
  return lua_gettop(L);
}

/* Whether the body at the index `body` is a JSON object that does not deny
   the success that the status promises. */
static bool is_response(lua_State *L, int body, const seer_outcome *outcome) {
  bool denied;
  if (!lua_istable(L, body) || !begins_object(outcome))
    return false;
  lua_getfield(L, body, "success");
  denied = lua_isboolean(L, -1) && !lua_toboolean(L, -1);
  lua_pop(L, 1);
  return !denied;
}

int seer_result_push(lua_State *L, const seer_outcome *outcome,
                     const char *path) {
  int body;
  luaL_checkstack(L, 16, "no room for an answer");
  body = push_body(L, outcome);
  if (outcome->failure == SEER_FAILURE_NONE && body == 0)
    lua_newtable(L);
  else if (outcome->failure != SEER_FAILURE_NONE ||
           !is_response(L, body, outcome))
    return push_failure(L, body, outcome, path);
  return push_response(L, outcome);
}
