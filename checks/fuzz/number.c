/*
 * Numbers: what is written is a JSON number that reads back as the same
 * value, in as few digits as printf finds; and what reads as a number only
 * counts as the spelling of one if a key of that number is written so.
 */

#include "support/fuzz.h"

#include "core/base/json.h"
#include "number.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>

/* Digits between the first and the last that are not zero. */
static int significant(const char *text) {
  int count = 0, zeros = 0;
  for (; *text != '\0' && *text != 'e'; text++) {
    if (*text < '0' || *text > '9')
      continue;
    if (*text != '0') {
      count += zeros + 1;
      zeros = 0;
    } else if (count > 0) {
      zeros++;
    }
  }
  return count;
}

/* But of numbers that have lost bits to their exponent, 15 are as good. */
static int fewest(double number) {
  char text[64];
  int precision = fabs(number) < 0x1p-1022 ? 15 : 1;
  for (; precision < 17; precision++) {
    snprintf(text, sizeof text, "%.*e", precision - 1, number);
    if (strtod(text, NULL) == number)
      return precision;
  }
  return 17;
}

static void check_double(double number) {
  char memory[SEER_NUMBER_LENGTH + 1], expected[32];
  seer_buffer out;
  seer_buffer_borrow(&out, memory, SEER_NUMBER_LENGTH);
  seer_json_number(&out, number);
  fuzz_check(!out.error, "%a: longer than SEER_NUMBER_LENGTH", number);
  memory[out.length] = '\0';
  if (!isfinite(number)) {
    fuzz_check(strcmp(memory, "null") == 0, "%a is %s", number, memory);
    return;
  }
  fuzz_check(fuzz_json_number(memory, memory + out.length) == out.length,
             "%a is %s, which is not JSON", number, memory);
  fuzz_check(strtod(memory, NULL) == number, "%a is %s", number, memory);
  fuzz_check(significant(memory) <= fewest(number), "%a is %s: too long",
             number, memory);
  if (fabs(number) > 0x1p53 || floor(number) != number)
    return;
  if (number == 0 && signbit(number))
    strcpy(expected, "-0.0");
  else
    snprintf(expected, sizeof expected, "%" PRId64, (int64_t)number);
  fuzz_check(strcmp(memory, expected) == 0, "%a is %s", number, memory);
}

static void check_integer(int64_t number) {
  char memory[SEER_NUMBER_LENGTH], expected[32];
  seer_buffer out;
  seer_buffer_borrow(&out, memory, sizeof memory);
  seer_json_integer(&out, number);
  snprintf(expected, sizeof expected, "%" PRId64, number);
  fuzz_check(out.length == strlen(expected) &&
                 memcmp(memory, expected, out.length) == 0,
             "%s is %.*s", expected, (int)out.length, memory);
}

/* Whether the number on the top is written as the text; pops it. */
static bool is_written(lua_State *L, const char *text, size_t length) {
  char memory[SEER_NUMBER_LENGTH];
  seer_buffer out;
  seer_buffer_borrow(&out, memory, sizeof memory);
  seer_number_name(L, -1, &out);
  lua_pop(L, 1);
  return !out.error && out.length == length &&
         memcmp(memory, text, length) == 0;
}

static bool some_is_written(lua_State *L, const char *text, size_t length) {
  seer_pushint64(L, strtoll(text, NULL, 10));
  if (is_written(L, text, length))
    return true;
  lua_pushnumber(L, strtod(text, NULL));
  return is_written(L, text, length) && strcmp(text, "null") != 0;
}

static void check_spelled(const char *bytes, size_t length) {
  lua_State *L = fuzz_state();
  char *text = malloc(length + 1); /* to have what follows it poisoned */
  memcpy(text, bytes, length);
  text[length] = '\0';
  if (seer_number_spelled(L, text, length)) {
    fuzz_check(lua_type(L, -1) == LUA_TNUMBER && lua_gettop(L) == 1,
               "'%s' left something else", text);
    fuzz_check(is_written(L, text, length), "'%s' is written otherwise", text);
  } else {
    fuzz_check(lua_gettop(L) == 0, "'%s' left something", text);
    fuzz_check(strlen(text) != length || !some_is_written(L, text, length),
               "'%s' is the spelling of a number", text);
  }
  free(text);
}

static void check_own_spelling(lua_State *L, double number) {
  char text[SEER_NUMBER_LENGTH + 1];
  seer_buffer out;
  seer_buffer_borrow(&out, text, SEER_NUMBER_LENGTH);
  lua_pushnumber(L, number);
  seer_number_name(L, -1, &out);
  lua_pop(L, 1);
  text[out.length] = '\0';
  if (isfinite(number))
    check_spelled(text, out.length);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  input in = input_of(data, size);
  union {
    uint64_t bits;
    double number;
  } any;
  size_t length;
  int64_t digits;
  if (input_byte(&in) & 1) {
    const char *text = input_bytes(&in, 40, &length);
    check_spelled(text, length);
    return 0;
  }
  any.bits = input_bits(&in);
  digits = (int64_t)any.bits >> input_below(&in, 64);
  check_double(any.number);
  check_integer((int64_t)any.bits);
  check_integer(digits);
  check_double((double)digits);
  check_double((double)digits / pow(10, input_byte(&in) % 30));
  check_own_spelling(fuzz_state(), any.number);
  return 0;
}
