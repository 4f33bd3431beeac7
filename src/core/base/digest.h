#pragma once

/*
 * SHA-256 (FIPS 180-4), for what other processes compute as well and nobody
 * shall compute back.
 */

#include <stddef.h>
#include <stdint.h>

#define SEER_DIGEST_SIZE 32

typedef struct seer_digest {
  uint32_t state[8];
  uint64_t length; /* bytes added so far */
  uint8_t block[64];
} seer_digest;

void seer_digest_init(seer_digest *digest);
void seer_digest_add(seer_digest *digest, const void *bytes, size_t length);
void seer_digest_end(seer_digest *digest, uint8_t result[SEER_DIGEST_SIZE]);
