#include "torture.h"

/* All that the module calls but what only frees, reads, or copies a pointer.
   The macros that check types are not for who defines the functions. */
#define CURL_DISABLE_TYPECHECK
#include <curl/curl.h>

#undef curl_easy_setopt

#define NEXT(name)                                                            \
  static __typeof__(name) *_Atomic next;                                      \
  if (next == NULL)                                                           \
  next = (__typeof__(name) *)torture_next(#name)

#define FAILS(name) torture_fails(KIND_LIBCURL, #name, CALLER)

#define RETURNS(type, name, failure, parameters, arguments)                   \
  EXPORTED type name parameters {                                             \
    NEXT(name);                                                               \
    return FAILS(name) ? (failure) : next arguments;                          \
  }

RETURNS(CURLcode, curl_global_init, CURLE_FAILED_INIT, (long flags), (flags))
RETURNS(CURL *, curl_easy_init, NULL, (void), ())
RETURNS(char *, curl_easy_escape, NULL,
        (CURL * easy, const char *text, int length), (easy, text, length))
RETURNS(char *, curl_easy_unescape, NULL,
        (CURL * easy, const char *text, int length, int *result),
        (easy, text, length, result))
RETURNS(CURLM *, curl_multi_init, NULL, (void), ())
RETURNS(CURLMcode, curl_multi_add_handle, CURLM_OUT_OF_MEMORY,
        (CURLM * multi, CURL *easy), (multi, easy))
RETURNS(CURLMcode, curl_multi_perform, CURLM_OUT_OF_MEMORY,
        (CURLM * multi, int *running), (multi, running))
RETURNS(CURLMcode, curl_multi_poll, CURLM_OUT_OF_MEMORY,
        (CURLM * multi, struct curl_waitfd fds[], unsigned count, int timeout,
         int *ready),
        (multi, fds, count, timeout, ready))
RETURNS(struct curl_slist *, curl_slist_append, NULL,
        (struct curl_slist * list, const char *text), (list, text))
RETURNS(CURLU *, curl_url, NULL, (void), ())
RETURNS(CURLUcode, curl_url_set, CURLUE_OUT_OF_MEMORY,
        (CURLU * url, CURLUPart part, const char *text, unsigned flags),
        (url, part, text, flags))
/* Its first parameter has become const with time. */
EXPORTED CURLUcode url_get(const CURLU *url, CURLUPart part, char **text,
                           unsigned flags) __asm__("curl_url_get");

CURLUcode url_get(const CURLU *url, CURLUPart part, char **text,
                  unsigned flags) {
  NEXT(curl_url_get);
  return FAILS(curl_url_get)
             ? CURLUE_OUT_OF_MEMORY
             : next((CURLU *)(uintptr_t)url, part, text, flags);
}

/* Whatever the last argument is, it fits in a word. */
EXPORTED CURLcode curl_easy_setopt(CURL *easy, CURLoption option, ...) {
  va_list arguments;
  void *argument;
  NEXT(curl_easy_setopt);
  va_start(arguments, option);
  argument = va_arg(arguments, void *);
  va_end(arguments);
  return FAILS(curl_easy_setopt) ? CURLE_OUT_OF_MEMORY
                                 : next(easy, option, argument);
}
