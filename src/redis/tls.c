#include "tls.h"

#include <stdbool.h>
#include <stddef.h>
#ifdef SEER_REDIS_TLS
#include <errno.h>
#include <hiredis/hiredis.h>
#include <hiredis/hiredis_ssl.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#endif
#pragma GCC visibility push(hidden)

#ifdef SEER_REDIS_TLS

const char *const seer_tls_missing;

/* Without a file OpenSSL trusts what the system does, or what SSL_CERT_FILE
   names. */
static SSL_CTX *new_context(const char *ca_file) {
  SSL_CTX *context = SSL_CTX_new(TLS_client_method());
  bool ok = context != NULL &&
            SSL_CTX_set_min_proto_version(context, TLS1_2_VERSION) == 1;
  if (ok && *ca_file != '\0')
    ok = SSL_CTX_load_verify_locations(context, ca_file, NULL) == 1;
  else if (ok)
    ok = SSL_CTX_set_default_verify_paths(context) == 1;
  if (ok)
    return context;
  SSL_CTX_free(context);
  return NULL;
}

/* Whom the certificate has to name: an address, or a name. */
static bool set_host(SSL *ssl, const char *host) {
  if (X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(ssl), host) == 1)
    return true;
  return SSL_set1_host(ssl, host) == 1 &&
         SSL_set_tlsext_host_name(ssl, host) == 1;
}

static SSL *new_session(const char *host, const char *ca_file) {
  SSL_CTX *context = new_context(ca_file);
  SSL *ssl = context != NULL ? SSL_new(context) : NULL;
  SSL_CTX_free(context); /* the session has its own reference */
  if (ssl == NULL)
    return NULL;
  SSL_set_verify(ssl, SSL_VERIFY_PEER, NULL);
  if (set_host(ssl, host))
    return ssl;
  SSL_free(ssl);
  return NULL;
}

static const char *describe(const redisContext *context, const SSL *ssl,
                            int error) {
  long verdict = SSL_get_verify_result(ssl);
  if (verdict != X509_V_OK)
    return X509_verify_cert_error_string(verdict);
  return error == EAGAIN ? "it does not answer" : context->errstr;
}

/* At exit this may be in use when OpenSSL's own handler would be called. */
const char *seer_tls_begin(redisContext *context, const char *host,
                           const char *ca_file) {
  const char *wrong;
  SSL *ssl;
  OPENSSL_init_crypto(OPENSSL_INIT_NO_ATEXIT, NULL);
  ssl = new_session(host, ca_file);
  ERR_clear_error();
  if (ssl == NULL)
    return "the file of its authorities cannot be used";
  if (redisInitiateSSL(context, ssl) == REDIS_OK)
    return NULL;
  wrong = describe(context, ssl, errno);
  ERR_clear_error();
  SSL_free(ssl);
  return wrong;
}

#else

const char *const seer_tls_missing =
    "redis:// or unix:// (this module was built without hiredis_ssl)";

const char *seer_tls_begin(struct redisContext *context, const char *host,
                           const char *ca_file) {
  (void)context;
  (void)host;
  (void)ca_file;
  return seer_tls_missing;
}

#endif
