#ifndef SEER_HTTP_URL_H
#define SEER_HTTP_URL_H

/*
 * URLs as libcurl reads them: whether they can be used, and the addresses
 * of their hosts.
 */

#include <stdbool.h>

struct curl_slist;

#pragma GCC visibility push(hidden)

/* How libcurl reads the URL of a proxy: a scheme may be missing, and is then
   guessed. */
#define SEER_URL_OF_PROXY (CURLU_NON_SUPPORT_SCHEME | CURLU_GUESS_SCHEME)

/* Why `url` cannot be a base URL, or NULL if it can: http or https, a host,
   no user information, query or fragment. */
const char *seer_url_check_base(const char *text);

/* True if the URL's host is "localhost" or a loopback address. */
bool seer_url_is_loopback(const char *url);

/* Why `text` cannot be the URL of a proxy, or NULL if it can. The result
   says nothing of the text: there may be a password in it. */
const char *seer_url_check_proxy(const char *text);

/* Adds the addresses of the URL's host to the list, for CURLOPT_RESOLVE,
   unless it is an address itself, or nobody knows any. Waits for the
   resolver. */
struct curl_slist *seer_url_resolve(struct curl_slist *list, const char *text,
                                    bool of_proxy);

#pragma GCC visibility pop

#endif
