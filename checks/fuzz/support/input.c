#include "fuzz.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

void fuzz_fail(const char *format, ...) {
  va_list arguments;
  va_start(arguments, format);
  fputs("FUZZ: ", stderr);
  vfprintf(stderr, format, arguments);
  fputs("\n", stderr);
  va_end(arguments);
  abort();
}

input input_of(const uint8_t *data, size_t size) {
  input in = {data, data + size};
  return in;
}

uint8_t input_byte(input *in) {
  return in->at < in->end ? *in->at++ : 0;
}

uint64_t input_bits(input *in) {
  uint64_t bits = 0;
  for (int i = 0; i < 8; i++)
    bits |= (uint64_t)input_byte(in) << 8 * i;
  return bits;
}

size_t input_below(input *in, size_t limit) {
  size_t value = input_byte(in);
  if (limit > 256)
    value |= (size_t)input_byte(in) << 8;
  return value % limit;
}

const char *input_bytes(input *in, size_t most, size_t *length) {
  const char *start = (const char *)in->at;
  size_t left = (size_t)(in->end - in->at);
  *length = left < most ? left : most;
  in->at += *length;
  return start;
}

const char *input_rest(input *in, size_t *length) {
  return input_bytes(in, SIZE_MAX, length);
}

bool fuzz_contains(const char *text, size_t length, const char *part) {
  return memmem(text, length, part, strlen(part)) != NULL;
}
