/*
 * The options of clients and requests, and what the requests become. A misuse
 * is told by the option's name; what is accepted yields a URL that libcurl
 * reads as one of the base URL's, and headers of a line each.
 */

#include "support/fuzz.h"

#include "core/http/outgoing.h"

#include <curl/curl.h>
#include <netdb.h>

/* No name is looked up. */
int __wrap_getaddrinfo(const char *host, const char *service,
                       const struct addrinfo *hints, struct addrinfo **found);
void __real_seer_outgoing_preview(seer_site *site, const seer_event *event,
                                  seer_buffer *out);
void __wrap_seer_outgoing_preview(seer_site *site, const seer_event *event,
                                  seer_buffer *out);

int __wrap_getaddrinfo(const char *host, const char *service,
                       const struct addrinfo *hints, struct addrinfo **found) {
  (void)host, (void)service, (void)hints, (void)found;
  return EAI_NONAME;
}

static char *part_of(const char *url, CURLUPart part) {
  char *text = NULL;
  CURLU *parts = curl_url();
  fuzz_check(curl_url_set(parts, CURLUPART_URL, url, CURLU_DISALLOW_USER) ==
                 CURLUE_OK,
             "libcurl takes it for no URL: %s", url);
  curl_url_get(parts, part, &text, CURLU_DEFAULT_PORT);
  curl_url_cleanup(parts);
  return text;
}

static void check_part(const char *url, const char *base, CURLUPart part) {
  char *one = part_of(url, part), *other = part_of(base, part);
  fuzz_check(one != NULL && other != NULL && strcmp(one, other) == 0,
             "%s is not at %s", url, base);
  curl_free(one);
  curl_free(other);
}

static void check_url(const char *url, const char *base) {
  char *path = part_of(url, CURLUPART_PATH);
  char *start = part_of(base, CURLUPART_PATH);
  size_t length = strlen(start);
  while (length > 0 && start[length - 1] == '/')
    length--;
  for (const char *c = url; *c != '\0'; c++)
    fuzz_check((uint8_t)*c > ' ' && *c != 0x7F && *c != '#', "%02x in %s",
               (uint8_t)*c, url);
  check_part(url, base, CURLUPART_SCHEME);
  check_part(url, base, CURLUPART_HOST);
  check_part(url, base, CURLUPART_PORT);
  fuzz_check(strncmp(path, start, length) == 0 && path[length] == '/',
             "%s is not below %s", url, base);
  curl_free(path);
  curl_free(start);
}

static void check_headers(const struct curl_slist *list) {
  for (; list != NULL; list = list->next) {
    const char *line = list->data;
    size_t name = strcspn(line, ":;");
    fuzz_check(name > 0 && line[name] != '\0', "no header: %s", line);
    fuzz_check(line[strcspn(line, "\r\n")] == '\0', "two lines: %s", line);
    for (size_t i = 0; i < name; i++)
      fuzz_check(line[i] > ' ' && line[i] < 0x7F, "no name: %s", line);
  }
}

void __wrap_seer_outgoing_preview(seer_site *site, const seer_event *event,
                                  seer_buffer *out) {
  seer_outgoing request;
  size_t before = out->length;
  seer_outgoing_init(&request, site, event);
  check_url(seer_outgoing_url(&request), site->options.base_url);
  check_headers(seer_outgoing_headers(&request));
  seer_outgoing_clear(&request);
  __real_seer_outgoing_preview(site, event, out);
  fuzz_check(!fuzz_contains(out->data + before, out->length - before,
                            site->options.api_key) ||
                 strlen(site->options.api_key) < SEER_SECRET_LEAST,
             "the key is shown: %s", site->options.api_key);
}

static void push_path(lua_State *L, input *in) {
  size_t length;
  const char *text = input_bytes(in, input_below(in, 24), &length);
  lua_pushliteral(L, "/");
  lua_pushlstring(L, text, length);
  lua_concat(L, 2);
}

/* As if there were no default client yet. */
static int reset_default(lua_State *L) {
  lua_pushnil(L);
  lua_setfield(L, LUA_REGISTRYINDEX, "seerstack.default");
  return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  input in = input_of(data, size);
  lua_State *L = fuzz_state();
  uint8_t mode = input_byte(&in);
  lua_pushcfunction(L, reset_default);
  lua_setglobal(L, "reset_default");
  fuzz_push_script(L, "checks/fuzz/options.lua");
  lua_pushinteger(L, mode);
  fuzz_push_options(L, &in, fuzz_client_options);
  fuzz_push_options(L, &in, fuzz_client_options);
  push_path(L, &in);
  fuzz_push_options(L, &in, fuzz_request_options);
  fuzz_call(L, 5, 0);
  return 0;
}
