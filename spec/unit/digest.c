#include "core/base/digest.h"

#include "unit.h"

#include <stdio.h>
#include <string.h>

static void write_hex(const uint8_t result[SEER_DIGEST_SIZE], char text[65]) {
  for (int i = 0; i < SEER_DIGEST_SIZE; i++)
    snprintf(text + 2 * (size_t)i, 3, "%02x", result[i]);
}

/* Of a letter that is added so many times, in parts of any size. */
static void digest_of(char letter, size_t count, char text[65]) {
  uint8_t result[SEER_DIGEST_SIZE];
  seer_digest digest;
  char part[300];
  memset(part, letter, sizeof part);
  seer_digest_init(&digest);
  while (count > 0) {
    size_t taken = (size_t)unit_random(sizeof part) + 1;
    taken = taken < count ? taken : count;
    seer_digest_add(&digest, part, taken);
    count -= taken;
  }
  seer_digest_end(&digest, result);
  write_hex(result, text);
}

/* What sha256sum says. */
static void is_the_standards(void) {
  char text[65];
  digest_of('a', 0, text);
  CHECK(strcmp(text, "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b"
                     "7852b855") == 0);
  digest_of('a', 1000000, text);
  CHECK(strcmp(text, "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39cc"
                     "c7112cd0") == 0);
}

static void does_not_depend_on_the_parts(void) {
  char one[65], other[65];
  for (size_t count = 1; count < 300; count++) {
    digest_of('b', count, one);
    digest_of('b', count, other);
    CHECK(strcmp(one, other) == 0);
  }
}

const unit_test unit_digest[] = {
    {"a digest is the standard's",            is_the_standards            },
    {"a digest does not depend on the parts", does_not_depend_on_the_parts},
    {NULL,                                    NULL                        }
};
