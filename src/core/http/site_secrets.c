/* What is secret of a site. */

#include "core/base/block.h"
#include "core/http/site.h"
#include "core/http/url.h"

#include <curl/curl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#pragma GCC visibility push(hidden)

static bool add_secret(seer_secrets *secrets, const char *secret) {
  return seer_secrets_add(secrets, secret, strlen(secret));
}

static char *base64(const char *bytes, size_t length) {
  static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklm"
                               "nopqrstuvwxyz0123456789+/";
  char *coded = calloc(1, length / 3 * 4 + 5), *at = coded;
  if (coded == NULL)
    return NULL;
  for (size_t i = 0; i < length; i += 3) {
    unsigned char three[3] = {0, 0, 0};
    size_t left = length - i < 3 ? length - i : 3;
    memcpy(three, bytes + i, left);
    *at++ = digits[three[0] >> 2];
    *at++ = digits[(three[0] & 3) << 4 | three[1] >> 4];
    *at++ = left > 1 ? digits[(three[1] & 15) << 2 | three[2] >> 6] : '=';
    *at++ = left > 2 ? digits[three[2] & 63] : '=';
  }
  return coded;
}

/* Adds what is left of a text in base64 when it begins there and is so long,
   as it is and as it would be in a URL. */
static bool add_digits(seer_secrets *secrets, char *text, size_t length) {
  bool added = seer_secrets_add(secrets, text, length), differs = false;
  for (char *at = text; at < text + length; at++) {
    differs = differs || *at == '+' || *at == '/';
    *at = *at == '+' ? '-' : *at == '/' ? '_' : *at;
  }
  return added && (!differs || seer_secrets_add(secrets, text, length));
}

/* As it goes over the wire of a login, or is shown by some servers: in base64,
   also behind and before something else, of which the digits at both ends
   depend. `bytes` has two more before the secret. */
static bool add_base64(seer_secrets *secrets, const char *bytes,
                       size_t length) {
  bool added = true;
  for (size_t before = 0; added && before < 3; before++) {
    size_t first = before > 0 ? before + 1 : 0;
    size_t digits = (length + before) * 8 / 6;
    char *coded = base64(bytes + 2 - before, length + before);
    added = coded != NULL && (before > 0 || add_secret(secrets, coded)) &&
            (digits < first + (size_t)2 * SEER_SECRET_LEAST ||
             add_digits(secrets, coded + first, digits - first));
    free(coded);
  }
  return added;
}

/* Also its bytes in hexadecimal, in either case. */
static bool add_coded(seer_secrets *secrets, const char *secret) {
  static const char *const digits_of[] = {"0123456789abcdef",
                                          "0123456789ABCDEF"};
  size_t length = strlen(secret);
  char *bytes = calloc(1, length + 3), *digits = calloc(2, length + 1);
  bool added = bytes != NULL && digits != NULL;
  for (int upper = 0; added && upper < 2; upper++) {
    for (size_t i = 0; i < length; i++) {
      digits[2 * i] = digits_of[upper][(unsigned char)secret[i] >> 4];
      digits[2 * i + 1] = digits_of[upper][secret[i] & 15];
    }
    added = add_secret(secrets, digits);
  }
  if (added) {
    strcpy(bytes + 2, secret);
    added = add_base64(secrets, bytes, length);
  }
  free(bytes);
  free(digits);
  return added;
}

/* "bob:secret", what goes over the wire of it, and the password. A short name
   alone is none of it: it stands in too many places. */
static bool add_login(seer_secrets *secrets, const char *user,
                      const char *password) {
  const char *secret = password != NULL ? password : "";
  char *login = malloc(strlen(user) + strlen(secret) + 2);
  bool added;
  if (login == NULL)
    return false;
  sprintf(login, "%s:%s", user, secret);
  added = add_coded(secrets, login) && add_secret(secrets, secret);
  if (password == NULL)
    login[strlen(user)] = '\0';
  if (password != NULL || strlen(user) >= (size_t)2 * SEER_SECRET_LEAST)
    added = added && add_secret(secrets, login);
  free(login);
  return added;
}

/* The login as it stands in the URL, or what that means. */
static bool add_parts(seer_secrets *secrets, CURLU *proxy, unsigned flags) {
  char *user = NULL, *password = NULL;
  bool added = curl_url_get(proxy, CURLUPART_USER, &user, flags) !=
                   CURLUE_OUT_OF_MEMORY &&
               curl_url_get(proxy, CURLUPART_PASSWORD, &password, flags) !=
                   CURLUE_OUT_OF_MEMORY;
  if (added && (user != NULL || password != NULL))
    added = add_login(secrets, user != NULL ? user : "", password);
  curl_free(user);
  curl_free(password);
  return added;
}

/* What is no URL is quoted by libcurl as a whole. */
static bool add_proxy_secrets(seer_secrets *secrets, const char *text) {
  CURLU *proxy = curl_url();
  CURLUcode code = CURLUE_OUT_OF_MEMORY;
  bool added;
  if (proxy != NULL)
    code = curl_url_set(proxy, CURLUPART_URL, text, SEER_URL_OF_PROXY);
  if (code == CURLUE_OK)
    added = add_parts(secrets, proxy, 0) &&
            add_parts(secrets, proxy, CURLU_URLDECODE);
  else
    added = code != CURLUE_OUT_OF_MEMORY && add_secret(secrets, text);
  curl_url_cleanup(proxy);
  return added;
}

bool seer_site_secrets_add(seer_secrets *secrets, const char *block) {
  for (; *block != '\0'; block = seer_block_next(block)) {
    const char *secret = seer_block_secret(block);
    size_t length = secret != NULL ? strlen(secret) : 0;
    if (secret != NULL && !seer_secrets_add(secrets, secret, length))
      return false;
    while (secret != NULL &&
           (secret = seer_block_part(secret, &length)) != NULL) {
      if (!seer_secrets_add(secrets, secret, length))
        return false;
      secret += length;
    }
  }
  return true;
}

void seer_site_secrets_free(seer_secrets *secrets) {
  if (secrets != NULL)
    seer_secrets_clear(secrets);
  free(secrets);
}

seer_secrets *seer_site_secrets_new(const seer_site_options *options) {
  seer_secrets *secrets = calloc(1, sizeof *secrets);
  if (secrets != NULL && add_secret(secrets, options->api_key) &&
      add_secret(secrets, options->key_password) &&
      add_coded(secrets, options->api_key) &&
      (*options->proxy == '\0' ||
       add_proxy_secrets(secrets, options->proxy)) &&
      seer_site_secrets_add(secrets, options->headers))
    return secrets;
  seer_site_secrets_free(secrets);
  return NULL;
}
