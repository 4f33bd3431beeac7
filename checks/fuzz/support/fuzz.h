#ifndef SEER_FUZZ_H
#define SEER_FUZZ_H

/*
 * What the fuzz targets share: the bytes that libFuzzer gives as a source of
 * decisions, a Lua state with the module in it, Lua values of any kind, and
 * a strict reader of JSON.
 */

#include "compat.h"

#include <lualib.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

/* Says what does not hold, and ends the process as libFuzzer wants it. */
void fuzz_fail(const char *format, ...) __attribute__((noreturn))
__attribute__((format(printf, 1, 2)));

#define fuzz_check(condition, ...)                                            \
  ((condition) ? (void)0 : fuzz_fail(__VA_ARGS__))

/*
** Decisions. When there are no more bytes they are zero.
*/

typedef struct input {
  const uint8_t *at, *end;
} input;

input input_of(const uint8_t *data, size_t size);
uint8_t input_byte(input *in);
uint64_t input_bits(input *in); /* eight bytes */
size_t input_below(input *in, size_t limit);

/* At most `most` bytes, and their number. */
const char *input_bytes(input *in, size_t most, size_t *length);

/* All that is left. */
const char *input_rest(input *in, size_t *length);

/*
** Lua.
*/

/* The state, made at the first call: with the libraries, lua-cjson, and the
   module as the global `seerstack`. The environment has no variable that the
   module reads. Its memory is collected now and then. */
lua_State *fuzz_state(void);

/* Pushes the function that the script of a target returns. */
void fuzz_push_script(lua_State *L, const char *path);

/* Calls as lua_call does; an error is a failure of the target. */
void fuzz_call(lua_State *L, int arguments, int results);

/* Pushes a value: tables in tables, some shared or within themselves, with
   keys of all types and metatables that raise; numbers of all sizes; bytes
   as strings; now and then what cannot be sent. */
void fuzz_push_value(lua_State *L, input *in);

/* The same, but a table for certain: with names from a list (which ends with
   NULL) as its keys, mostly. */
void fuzz_push_named(lua_State *L, input *in, const char *const *names);

/* Pushes a table of options with names from such a list, and values that
   some option takes, mostly. */
void fuzz_push_options(lua_State *L, input *in, const char *const *names);

extern const char *const fuzz_client_options[];
extern const char *const fuzz_request_options[];

/* What is secret in options. */
#define FUZZ_KEY "sk_fuzz_0123456789"
#define FUZZ_PASSWORD "fuzz_pa55word"
#define FUZZ_COOKIE "fuzz_cookie_value"

/*
** JSON.
*/

/* True if the bytes are one JSON value and nothing else, in UTF-8, without
   control characters, and no surrogate is escaped alone. */
bool fuzz_is_json(const char *text, size_t length);

/* The length of a JSON number at `text`; 0 if there is none. */
size_t fuzz_json_number(const char *text, const char *end);

/* The length of a character of UTF-8 at `at`; negated, that of the longest
   prefix of one, at least a byte, if it is none. */
int fuzz_character(const uint8_t *at, const uint8_t *end);

bool fuzz_is_utf8(const char *text, size_t length);

/* True if `part` is somewhere in `text`. */
bool fuzz_contains(const char *text, size_t length, const char *part);

#endif
