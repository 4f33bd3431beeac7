#pragma once

/*
 * Random numbers: 128-bit identities for the Idempotency-Key, and the
 * jitter of delays. One generator per process, seeded by the system; the
 * child of a fork starts another, or two processes would mint the same
 * identities. Not for secrets.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define SEER_ID_LENGTH 36 /* of its text, without the terminating zero */

typedef struct seer_id {
  uint64_t high, low; /* both 0: none has been drawn */
} seer_id;

static inline bool seer_id_is_drawn(seer_id id) {
  return (id.high | id.low) != 0;
}

/* A new identity. Safe on any thread. */
seer_id seer_id_new(void);

/* The same, with the lock held. */
seer_id seer_id_next(void);

/* The identity as a version 4 UUID, and a zero. */
void seer_id_text(seer_id id, char text[SEER_ID_LENGTH + 1]);

/* The bytes of its UUID, and an identity with the same. */
#define SEER_ID_SIZE 16
void seer_id_bytes(seer_id id, uint8_t bytes[SEER_ID_SIZE]);
seer_id seer_id_read(const uint8_t bytes[SEER_ID_SIZE]);

/* A random number from 0 inclusive to 1 exclusive. Safe on any thread. */
double seer_id_fraction(void);

/* A hash of bytes that differs from process to process. */
uint64_t seer_id_hash(const char *bytes, size_t length);

/* A number from 0 inclusive to 1 exclusive that depends on the key and the
   bytes alone. */
double seer_id_part(const char *key, const char *bytes, size_t length);

/* Called in the child of a fork: forget the generator's state. */
void seer_id_forget(void);
