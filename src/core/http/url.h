#pragma once

/*
 * URLs as libcurl reads them: whether they can be used, and which names are
 * looked up for them.
 */

#include "core/base/buffer.h"

#include <stdbool.h>

/* How libcurl reads the URL of a proxy: a scheme may be missing, and is then
   guessed. */
#define SEER_URL_OF_PROXY (CURLU_NON_SUPPORT_SCHEME | CURLU_GUESS_SCHEME)

/* What libcurl says of itself, asked once: it asks all its libraries for their
   versions each time. */
const struct curl_version_info_data *seer_url_libcurl(void);

/* Whether this libcurl was built with all of these: CURL_VERSION_SSL and the
   like. */
bool seer_url_built_with(int features);

/* Why `url` cannot be a base URL, or NULL if it can: http or https, a host,
   no user information, query or fragment. */
const char *seer_url_check_base(const char *text);

/* Whether a path, without a zero in it, leads to somewhere below a base URL:
   at most 8192 bytes. */
bool seer_url_is_relative(const char *path, size_t length);

/* True if the URL's host is "localhost" or a loopback address. */
bool seer_url_is_loopback(const char *url);

/* Why `text` cannot be the URL of a proxy, or NULL if it can. The result
   says nothing of the text: there may be a password in it. */
const char *seer_url_check_proxy(const char *text);

/* A block (see block.h) of what libcurl looks up for a request to the URL,
   each as "host:port": the host, or the proxy's, or both where the proxy wants
   an address. Those are left out that need no resolver. The lists are "" where
   there is no proxy, or none goes without. For the caller to free; NULL
   without memory. */
char *seer_url_targets(const char *text, const char *proxy,
                       const char *no_proxy);
