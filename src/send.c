#include "send.h"

#include "callbacks.h"
#include "compat.h"
#include "core/base/clock.h"
#include "core/http/url.h"
#include "core/report.h"
#include "event.h"
#include "future.h"
#include "hint.h"
#include "holder.h"
#include "marks.h"
#include "merge.h"
#include "options.h"
#include "raw.h"
#include "record.h"
#include "result.h"
#include "sample.h"

#include <stdio.h>
#include <stdlib.h>
#pragma GCC visibility push(hidden)

#define TELL_LENGTH 600

/* A call on its way. The indices are of the Lua stack. */
typedef struct call {
  lua_State *L;
  seer_client *client;
  int self;
  int event;   /* the event, or the body of a post */
  int options; /* of the request */
  bool has_options, is_raw;
  seer_kind kind;
  const char *function, *path;
  seer_request_options chosen;
  seer_special special;
  bool is_special;
} call;

static bool is_answered(const call *c) {
  return c->chosen.wait || c->chosen.future;
}

/*
** Failures. Each returns the number of results.
*/

/* Tells of the event: of what is wrong with it, and whether it is sent. */
static void tell(const call *c, const char *problem, const char *what) {
  const seer_client *client = c->client;
  char text[TELL_LENGTH], subject[SEER_SUBJECT_LENGTH];
  const char *name =
      c->kind != SEER_POST ? seer_hint_string(c->L, c->event, "name") : NULL;
  seer_site *site = client->party->site;
  seer_report_write_subject(site, name, name != NULL ? strlen(name) : 0,
                            c->path, subject);
  snprintf(text, sizeof(text), "%s: %s; the event%s is %s", c->function,
           problem, subject, what);
  seer_site_mask(site, text, strlen(text), strlen(text) == sizeof(text) - 1);
  seer_report_say(client->queue, SEER_WARN, text);
}

/* Whether the problem is to be told of now; without memory it always is. */
static bool is_time_to_tell(const call *c, const char *problem) {
  seer_client *client = c->client;
  unsigned hash = (unsigned)c->kind;
  size_t length = strcspn(problem, ":.[");
  for (size_t i = 0; i < length; i++)
    hash = hash * 31 + (unsigned char)problem[i];
  if (client->invalid == NULL)
    client->invalid = calloc(SEER_CLIENT_FAULTS, sizeof *client->invalid);
  return client->invalid == NULL ||
         seer_trouble_now(&client->invalid[hash % SEER_CLIENT_FAULTS]) >= 0;
}

/* Adds to the message on the top which field may be meant otherwise. */
static void add_hint(const call *c) {
  lua_State *L = c->L;
  char hint[SEER_HINT_LENGTH];
  if (c->kind == SEER_POST ||
      !seer_hint_write(L, c->event, &seer_kinds[c->kind], hint))
    return;
  lua_pushfstring(L, "%s (%s)", lua_tostring(L, -1), hint);
  lua_remove(L, -2);
}

/* Gives the error on the top its path. That of a post may be anything, and so
   is shown as in a line of the log. A finalizer may have ended the client. */
static void set_path(const call *c) {
  const seer_party *party = c->client->party;
  char text[SEER_SUBJECT_LENGTH];
  if (party == NULL)
    return;
  seer_report_write_subject(party->site, NULL, 0, c->path, text);
  seer_setstring(c->L, "path", text + sizeof " to " - 1);
}

/* Tells of the problem on the top, once per kind: nobody may look at the
   result of a call that does not wait. */
static void tell_problem(const call *c) {
  const seer_client *client = c->client;
  const char *problem = lua_tostring(c->L, -1);
  if (client->queue != NULL && !is_answered(c) &&
      client->settings->log_level >= SEER_WARN && is_time_to_tell(c, problem))
    tell(c, problem, "not sent");
}

static int fail_full(const call *c) {
  const seer_settings *settings = c->client->settings;
  char message[120];
  snprintf(message, sizeof(message),
           "queue full: max_queue_events is %lld, max_queue_bytes %lld",
           (long long)settings->max_queue_events,
           (long long)settings->max_queue_bytes);
  lua_pushstring(c->L, message);
  tell_problem(c);
  return seer_result_fail(c->L, "QueueFullError");
}

static int fail_closed(const call *c) {
  if (c->client->queue != NULL)
    seer_sender_count(&c->client->queue->refused);
  lua_pushliteral(c->L, "client is closed");
  tell_problem(c);
  return seer_result_fail(c->L, "ClosedError");
}

static int fail_submitted(const call *c, seer_submitted submitted) {
  return submitted == SEER_QUEUE_FULL ? fail_full(c) : fail_closed(c);
}

static int fail_invalid(const call *c) {
  add_hint(c);
  if (c->client->queue != NULL)
    seer_sender_count(&c->client->queue->invalid);
  tell_problem(c);
  seer_result_fail(c->L, "ValidationError");
  set_path(c);
  if (!is_answered(c))
    seer_callbacks_keep_invalid(c->L, c->self, c->event);
  return 3;
}

/* Writes a hint, and returns where it is noted that it was told; NULL if there
   is none, or it was told before. */
static bool *write_hint(const call *c, const char *hollow,
                        char hint[SEER_HINT_LENGTH]) {
  seer_client *client = c->client;
  if (hollow != NULL && !client->hollow_told) {
    snprintf(hint, SEER_HINT_LENGTH,
             "%s is empty by raw access, and no metamethod is called: copy "
             "what __index or __pairs would show",
             hollow);
    return &client->hollow_told;
  }
  return !client->hinted[c->kind] &&
                 seer_hint_write(c->L, c->event, &seer_kinds[c->kind], hint)
             ? &client->hinted[c->kind]
             : NULL;
}

/* Tells once of what may be a mistake in an event that is sent. */
static void tell_hint(const call *c) {
  seer_client *client = c->client;
  const char *hollow = client->with.hollow;
  char hint[SEER_HINT_LENGTH];
  bool *told;
  client->with.others = false;
  client->with.hollow = NULL;
  if (client->queue == NULL || client->settings->log_level < SEER_WARN ||
      (told = write_hint(c, hollow, hint)) == NULL)
    return;
  *told = true;
  tell(c, hint, "sent as it is");
}

static void read_options(call *c) {
  c->chosen.wait = c->client->settings->wait;
  c->chosen.future = c->chosen.timeout = 0;
  c->chosen.max_retries = -1;
  c->has_options =
      lua_gettop(c->L) >= c->options && !lua_isnil(c->L, c->options);
  if (c->has_options)
    seer_options_request(c->L, c->options, c->function, &c->chosen);
}

static void read_arguments(call *c) {
  lua_State *L = c->L;
  bool posts = c->kind == SEER_POST;
  if (posts)
    lua_settop(L, SEER_SEND_SELF);
  c->function = posts ? "post" : seer_kinds[c->kind].function;
  c->event = posts ? 2 : 1;
  c->options = posts ? 3 : 2;
  if (posts && lua_type(L, 1) != LUA_TSTRING) {
    lua_pushfstring(L, "string expected, got %s", luaL_typename(L, 1));
    seer_options_misuse(L, 1, c->function);
  }
  c->path = posts ? lua_tostring(L, 1) : seer_kinds[c->kind].path;
  c->is_raw = lua_type(L, c->event) != LUA_TTABLE &&
              seer_options_event(L, c->event, c->function, posts);
  read_options(c);
}

/* The string that stays at an index, or NULL. */
static const char *string_at(const call *c, int64_t index) {
  return index != 0 ? lua_tostring(c->L, (int)index) : NULL;
}

/* What the request has of its own; the times only where no request record
   is there to keep them. */
static void read_special(call *c) {
  seer_special *special = &c->special;
  bool timed =
      !is_answered(c) && (c->chosen.timeout > 0 || c->chosen.max_retries >= 0);
  special->timeout = c->chosen.timeout;
  special->max_retries = c->chosen.max_retries;
  special->path = c->kind == SEER_POST ? c->path : NULL;
  special->headers = special->query = special->key = NULL;
  if (c->has_options) {
    special->headers = string_at(c, c->chosen.headers);
    special->query = string_at(c, c->chosen.query);
    special->key = string_at(c, c->chosen.idempotency_key);
  }
  c->is_special = timed || special->path != NULL || special->headers != NULL ||
                  special->query != NULL || special->key != NULL;
}

/*
** What is laid under and over the event.
*/

/* Whether extra fields cannot go into the body of a post. */
static bool is_array(const call *c) {
  lua_State *L = c->L;
  return lua_istable(L, c->event) &&
         (lua_rawlen(L, c->event) > 0 ||
          seer_marks_has(c->client->with.marks, L, c->event));
}

static void merge(const call *c, int defaults, int extra) {
  const char *merged =
      c->kind == SEER_POST ? NULL : seer_kinds[c->kind].merged;
  seer_merge_event(c->L, c->event, merged, defaults, extra);
  lua_replace(c->L, c->event);
}

/* Replaces the event by one with the client's defaults and the request's
   extra fields, if there are any. Pushes a message and returns false if
   there is no place for them. */
static bool lay_over(call *c) {
  seer_kept kept = (seer_kept)(SEER_KEPT_DEFAULTS + c->kind);
  lua_State *L = c->L;
  bool has_defaults = c->kind != SEER_POST && c->client->has[kept];
  bool has_extra = c->has_options && c->chosen.extra_body != 0;
  if (!has_defaults && !has_extra)
    return true;
  if (has_extra && c->kind == SEER_POST && is_array(c)) {
    lua_pushliteral(L, "extra_body: the body is an array, which has no place "
                       "for it");
    return false;
  }
  if (has_extra)
    lua_pushvalue(L, (int)c->chosen.extra_body);
  else
    lua_pushnil(L);
  if (has_defaults)
    seer_client_get(L, c->self, kept);
  else
    lua_pushnil(L);
  merge(c, lua_gettop(L), lua_gettop(L) - 1);
  lua_pop(L, 2);
  return true;
}

/*
** Results that need no sending: of a client that is not enabled, or is in
** test mode.
*/

static seer_request *new_request(const call *c) {
  const seer_settings *settings = c->client->settings;
  const seer_request_options *chosen = &c->chosen;
  return seer_request_new(
      chosen->timeout > 0 ? chosen->timeout : settings->timeout,
      chosen->max_retries >= 0 ? chosen->max_retries : settings->max_retries);
}

/* Pushes what an answer with this status and body would give. */
static int push_answer(const call *c, int status, const char *body) {
  lua_State *L = c->L;
  seer_holder *holder;
  seer_outcome *outcome;
  if (!is_answered(c)) {
    lua_pushboolean(L, 1);
    return 1;
  }
  holder = seer_holder_push(L, 1);
  holder->request = new_request(c);
  if (holder->request == NULL)
    return luaL_error(L, "not enough memory");
  holder->request->settled = true;
  outcome = &holder->request->outcome;
  outcome->status = status;
  outcome->body = strdup(body);
  outcome->body_length = outcome->body != NULL ? strlen(body) : 0;
  if (c->chosen.wait)
    return seer_result_push(L, outcome, c->path);
  seer_future_push(L, c->self, &holder->request, c->path);
  return 1;
}

/* Counts an event, unless a finalizer has ended the client meanwhile. */
static bool account(const call *c, seer_settlement why) {
  if (!c->client->closed)
    seer_sender_account(c->client->queue, why);
  return !c->client->closed;
}

static int discard(const call *c, seer_settlement why) {
  return account(c, why) ? push_answer(c, 204, "") : fail_closed(c);
}

/*
** Sending. Between the making of an event and its submission nothing may
** raise.
*/

static seer_event *build_within(const call *c, const seer_special *special) {
  size_t ceiling = (size_t)c->client->settings->max_event_bytes;
  seer_holder *holder = seer_holder_push(c->L, ceiling);
  seer_building with = c->client->with;
  seer_event *event;
  with.scratch = &holder->scratch;
  with.hand = NULL; /* the client may be ended meanwhile */
  event = seer_event_build(c->L, c->event, c->kind, &with, special);
  seer_holder_release(holder);
  return event;
}

/* While an event is built, the collector may run a finalizer that captures
   another with the same client: that one gets a scratch of its own. So does
   each that comes after one whose building was ended by an error of Lua's. */
static seer_event *build(const call *c) {
  seer_building *with = &c->client->with;
  const seer_special *special = c->is_special ? &c->special : NULL;
  seer_event *event;
  if (with->scratch == NULL)
    return build_within(c, special);
  event = seer_event_build(c->L, c->event, c->kind, with, special);
  if (with->others && event != NULL)
    tell_hint(c);
  return event;
}

/* Such a finalizer may also have closed the client. */
static seer_submitted submit(const call *c, seer_event *event) {
  return c->client->closed ? SEER_QUEUE_CLOSED
                           : seer_sender_submit(c->client->queue, event);
}

static int send_queued(const call *c) {
  seer_event *event = build(c);
  if (event == NULL)
    return fail_invalid(c);
  seer_submitted submitted = submit(c, event);
  if (submitted != SEER_ACCEPTED) {
    seer_event_free(event);
    return fail_submitted(c, submitted);
  }
  lua_pushboolean(c->L, 1);
  return 1;
}

static seer_submitted submit_request(const call *c, seer_event *event,
                                     seer_request *request) {
  seer_submitted submitted;
  event->request = request;
  request->references = 2;
  submitted = submit(c, event);
  if (submitted != SEER_ACCEPTED) {
    event->request = NULL;
    request->references = 1;
    seer_event_free(event);
  }
  return submitted;
}

static int push_waited(const call *c, seer_holder *holder) {
  int results;
  seer_sender_wait(c->client->queue, holder->request, SEER_NEVER);
  seer_callbacks_run(c->L, c->self);
  results = seer_result_push(c->L, &holder->request->outcome, c->path);
  seer_holder_release(holder);
  return results;
}

/* The future is made first, for that may raise. */
static int send_answered(const call *c) {
  lua_State *L = c->L;
  seer_submitted submitted;
  seer_event *event;
  seer_holder *holder = seer_holder_push(L, 1);
  seer_request *request = holder->request = new_request(c);
  int future = 0;
  if (request == NULL)
    return luaL_error(L, "not enough memory");
  if (c->chosen.future) {
    seer_future_push(L, c->self, &holder->request, c->path);
    future = lua_gettop(L);
  }
  event = build(c);
  if (event == NULL)
    return fail_invalid(c);
  submitted = submit_request(c, event, request);
  if (submitted != SEER_ACCEPTED)
    return fail_submitted(c, submitted);
  if (future == 0)
    return push_waited(c, holder);
  lua_settop(L, future);
  return 1;
}

static int keep_record(const call *c) {
  seer_holder *holder = seer_holder_push(c->L, SIZE_MAX / 2);
  holder->event = build(c);
  if (holder->event == NULL)
    return fail_invalid(c);
  holder->event->id = seer_id_new();
  if (!account(c, SEER_SETTLED_DELIVERED))
    return fail_closed(c);
  seer_record_add(c->L, c->self, holder);
  seer_holder_release(holder);
  return push_answer(c, 200, "{\"success\":true}");
}

/* before_send has dropped the event, and left a message. */
static int drop(const call *c, seer_filtered filtered) {
  lua_State *L = c->L;
  if (!account(c, SEER_SETTLED_BEFORE_SEND))
    return fail_closed(c);
  if (filtered == SEER_FILTERED_FAILURE)
    tell_problem(c);
  if (filtered == SEER_FILTERED_FAILURE || is_answered(c))
    return seer_result_drop(L, lua_tostring(L, -1), c->path);
  return push_answer(c, 204, "");
}

static int filter_and_send(const call *c) {
  lua_State *L = c->L;
  if (c->client->has[SEER_KEPT_SAMPLE] && c->kind == SEER_CAPTURE &&
      !is_answered(c) && !seer_sample_keeps(L, c->self, c->event))
    return discard(c, SEER_SETTLED_SAMPLED);
  if (c->client->has[SEER_KEPT_BEFORE_SEND] && lua_istable(L, c->event)) {
    seer_filtered filtered =
        seer_callbacks_filter(L, c->self, c->event, c->path);
    if (filtered == SEER_FILTERED_INVALID)
      return fail_invalid(c);
    if (filtered != SEER_FILTERED_SEND)
      return drop(c, filtered);
  }
  if (c->client->settings->test_mode)
    return keep_record(c);
  return is_answered(c) ? send_answered(c) : send_queued(c);
}

int seer_send(lua_State *L, seer_client *client, int self, seer_kind kind) {
  call c; /* much of it is for a few calls only */
  c.L = L;
  c.client = client;
  c.self = self;
  c.kind = kind;
  c.is_special = false;
  read_arguments(&c);
  if (client->queue == NULL)
    seer_client_open(L, client);
  if (client->closed)
    return fail_closed(&c);
  if (client->filtering)
    return seer_result_drop(
        L, "before_send cannot send with the client that has called it",
        c.path);
  if (kind == SEER_POST && !seer_url_is_relative(c.path, lua_rawlen(L, 1))) {
    lua_pushliteral(
        L, "path: must have at most 8192 bytes, be ASCII (percent-encode the "
           "rest), begin with one \"/\", have no space, control character, "
           "\"#\", \"\\\" or segment \"..\"");
    return fail_invalid(&c);
  }
  if (!client->settings->enabled)
    return discard(&c, SEER_SETTLED_DISABLED);
  if (c.has_options || kind == SEER_POST)
    read_special(&c);
  if ((c.is_raw && !seer_raw_event(L, c.event, kind)) || !lay_over(&c))
    return fail_invalid(&c);
  return filter_and_send(&c);
}
