#include "core/base/id.h"

#include "unit.h"

#include <stdlib.h>
#include <string.h>

#define MANY 50000

static int compare(const void *one, const void *other) {
  return memcmp(one, other, SEER_ID_LENGTH);
}

static void check_form(const char *text) {
  CHECK(strlen(text) == SEER_ID_LENGTH);
  for (int i = 0; i < SEER_ID_LENGTH; i++) {
    bool dash = i == 8 || i == 13 || i == 18 || i == 23;
    CHECK(dash ? text[i] == '-' : strchr("0123456789abcdef", text[i]) != NULL);
  }
  CHECK(text[14] == '4' && strchr("89ab", text[19]) != NULL);
}

static void are_unique(void) {
  static char texts[MANY][SEER_ID_LENGTH + 1];
  for (int i = 0; i < MANY; i++) {
    seer_id id = seer_id_new();
    CHECK(seer_id_is_drawn(id));
    seer_id_text(id, texts[i]);
    check_form(texts[i]);
    if (i == MANY / 2)
      seer_id_forget();
  }
  qsort(texts, MANY, sizeof texts[0], compare);
  for (int i = 1; i < MANY; i++)
    CHECK(strcmp(texts[i - 1], texts[i]) != 0);
}

static void is_written_in_full(void) {
  seer_id id = {UINT64_C(0x0123456789abcdef), UINT64_C(0xfedcba9876543210)};
  char text[SEER_ID_LENGTH + 1];
  seer_id_text(id, text);
  CHECK(strcmp(text, "01234567-89ab-4def-bedc-ba9876543210") == 0);
}

/* As a store has it. */
static void is_read_from_its_bytes(void) {
  seer_id id = seer_id_new();
  uint8_t bytes[SEER_ID_SIZE];
  char text[SEER_ID_LENGTH + 1], again[SEER_ID_LENGTH + 1];
  seer_id_text(id, text);
  seer_id_bytes(id, bytes);
  seer_id_text(seer_id_read(bytes), again);
  CHECK(strcmp(text, again) == 0);
}

static void is_spread_evenly(void) {
  int tenths[10] = {0};
  for (int i = 0; i < MANY; i++) {
    double fraction = seer_id_fraction();
    CHECK(fraction >= 0 && fraction < 1);
    tenths[(int)(fraction * 10)]++;
  }
  for (int i = 0; i < 10; i++)
    CHECK(tenths[i] > MANY / 12 && tenths[i] < MANY / 8);
}

/* Each byte counts, and so does the length; in every bit about half differ. */
static void tells_texts_apart(void) {
  char text[64] = {0}, other[64];
  int ones[64] = {0};
  for (int i = 0; i < 10000; i++) {
    size_t length = 1 + (size_t)unit_random(63);
    uint64_t hash, changed;
    for (size_t j = 0; j < length; j++)
      text[j] = (char)unit_random(256);
    memcpy(other, text, sizeof text);
    hash = seer_id_hash(text, length);
    CHECK(hash == seer_id_hash(other, length));
    CHECK(hash != seer_id_hash(text, length - 1));
    other[unit_random((int64_t)length)] ^= (char)(1 << unit_random(8));
    changed = hash ^ seer_id_hash(other, length);
    CHECK(changed != 0);
    for (int bit = 0; bit < 64; bit++)
      ones[bit] += (int)(changed >> bit & 1);
  }
  for (int bit = 0; bit < 64; bit++)
    CHECK(ones[bit] > 4500 && ones[bit] < 5500);
}

const unit_test unit_id[] = {
    {"ids differ, after a fork too, and are UUIDs of version 4", are_unique            },
    {"an id is written in full but for its version",             is_written_in_full    },
    {"an identity is read from its bytes",                       is_read_from_its_bytes},
    {"fractions are from 0 to below 1, evenly",                  is_spread_evenly      },
    {"a hash depends on every bit of a user",                    tells_texts_apart     },
    {NULL,                                                       NULL                  }
};
