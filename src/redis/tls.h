#pragma once

/*
 * TLS on a connection to Redis, where this module was built with hiredis_ssl.
 * The certificate has to come from an authority that is trusted, and to name
 * the host of the URL.
 */

struct redisContext;

/* NULL, or what a URL can have instead, where this was built without. */
extern const char *const seer_tls_missing;

/* Begins TLS on a connection to this host, which has sent nothing, with the
   authorities of this file, or "". NULL if that was done, else what is wrong:
   a text that lasts as long as the connection. */
const char *seer_tls_begin(struct redisContext *context, const char *host,
                           const char *ca_file);
