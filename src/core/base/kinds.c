#include "kinds.h"
#pragma GCC visibility push(hidden)

/* What has to hold of a row, or it does not compile: the size of an array. */
#define MUST(condition) sizeof(char[(condition) ? 1 : -1])

/* clang-format off */
#define FIELD(name, form)                                                     \
  {name, sizeof(name) - MUST(sizeof(name) > 4 && sizeof(name) <= 17),         \
   SEER_FORM_##form, sizeof(name) + 3, ",\"" name "\":"}

#define KIND(kind, path, space, method, function, merged, ...)                \
  typedef char kind##_fields[MUST(sizeof((seer_field[]){__VA_ARGS__}) <       \
                                  SEER_FIELDS * sizeof(seer_field))];
SEER_KINDS(KIND)
#undef KIND

#define KIND(kind, path, space, method, function, merged, ...)                \
  {path, space, method, function, merged,                                     \
   {__VA_ARGS__, FIELD(merged, NAMED)}},
/* clang-format on */
const seer_kind_row seer_kinds[SEER_ROWS] = {SEER_KINDS(KIND)};
