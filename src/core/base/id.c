#include "id.h"

#include "assert.h"
#include "clock.h"
#include "os.h"
#include "thread.h"

#include <stdbool.h>
#include <string.h>
#include <unistd.h>
#pragma GCC visibility push(hidden)

/* xoshiro256++ by Blackman and Vigna: 256 bits of state, no weak ones. */
static uint64_t state[4];
static uint64_t hash_key;
static bool seeded;

static uint64_t rotate(uint64_t value, int bits) {
  return value << bits | value >> (64 - bits);
}

/* The finalizer of splitmix64: each bit of the input moves half of those of
   the output. */
static uint64_t mix(uint64_t value) {
  value = (value ^ value >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
  value = (value ^ value >> 27) * UINT64_C(0x94d049bb133111eb);
  return value ^ value >> 31;
}

static double fraction(uint64_t number) {
  return (double)(number >> 11) * (1.0 / 9007199254740992.0);
}

static uint64_t hash_from(uint64_t hash, const char *bytes, size_t length) {
  for (size_t i = 0; i < length; i++)
    hash = (hash ^ (unsigned char)bytes[i]) * UINT64_C(0x100000001b3);
  return mix(hash + length);
}

/* Where the system has no random numbers to give, two processes still
   differ by their number, their start and where their memory lies. */
static void seed_poorly(void) {
  uint64_t value = (uint64_t)getpid() << 32 ^ (uint64_t)seer_clock_wall() ^
                   (uint64_t)(uintptr_t)&value;
  for (int i = 0; i < 4; i++) {
    value += UINT64_C(0x9e3779b97f4a7c15) + (uint64_t)seer_clock_now();
    state[i] = mix(value);
  }
}

static uint64_t next_number(void) {
  uint64_t result = rotate(state[0] + state[3], 23) + state[0];
  uint64_t shifted = state[1] << 17;
  state[2] ^= state[0];
  state[3] ^= state[1];
  state[1] ^= state[2];
  state[0] ^= state[3];
  state[2] ^= shifted;
  state[3] = rotate(state[3], 45);
  return result;
}

static void seed(void) {
  if (seeded)
    return;
  if (!seer_os_random(state, sizeof state))
    seed_poorly();
  if (hash_key == 0) /* a fork keeps it: hashes are in its queues */
    hash_key = next_number() | 1;
  seeded = true;
}

seer_id seer_id_next(void) {
  seer_id id;
  seer_assert(seer_lock_is_held());
  seed();
  id.high = next_number();
  id.low = next_number();
  return id;
}

seer_id seer_id_new(void) {
  seer_id id;
  seer_lock();
  id = seer_id_next();
  seer_unlock();
  return id;
}

double seer_id_fraction(void) {
  return fraction(seer_id_new().high);
}

/* With the bits that say that it is a random UUID. */
static seer_id marked(seer_id id) {
  id.high = (id.high & ~UINT64_C(0xf000)) | UINT64_C(0x4000);
  id.low = (id.low & ~(UINT64_C(3) << 62)) | UINT64_C(1) << 63;
  return id;
}

void seer_id_bytes(seer_id id, uint8_t bytes[SEER_ID_SIZE]) {
  id = marked(id);
  for (int i = 0; i < SEER_ID_SIZE; i++)
    bytes[i] = (uint8_t)((i < 8 ? id.high : id.low) >> (56 - 8 * (i % 8)));
}

seer_id seer_id_read(const uint8_t bytes[SEER_ID_SIZE]) {
  seer_id id = {0, 0};
  for (int i = 0; i < SEER_ID_SIZE; i++) {
    uint64_t *half = i < 8 ? &id.high : &id.low;
    *half = *half << 8 | bytes[i];
  }
  return id;
}

/* The bits of a number from one on down to another, and what ends them. */
static char *put_digits(char *text, uint64_t bits, int from, int to,
                        char end) {
  for (int shift = from; shift >= to; shift -= 4)
    *text++ = "0123456789abcdef"[bits >> shift & 15];
  *text = end;
  return text + 1;
}

void seer_id_text(seer_id id, char text[SEER_ID_LENGTH + 1]) {
  id = marked(id);
  text = put_digits(text, id.high, 60, 32, '-');
  text = put_digits(text, id.high, 28, 16, '-');
  text = put_digits(text, id.high, 12, 0, '-');
  text = put_digits(text, id.low, 60, 48, '-');
  put_digits(text, id.low, 44, 0, '\0');
}

uint64_t seer_id_hash(const char *bytes, size_t length) {
  uint64_t hash;
  seer_lock();
  seed();
  hash = hash_key;
  seer_unlock();
  return hash_from(hash, bytes, length);
}

double seer_id_part(const char *key, const char *bytes, size_t length) {
  return fraction(hash_from(hash_from(1, key, strlen(key)), bytes, length));
}

void seer_id_forget(void) {
  seeded = false;
}
