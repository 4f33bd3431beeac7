#pragma once

/*
 * The kinds of request: a row for each path of the API that has a function
 * of its own. What is particular to one stands here and nowhere else; to add
 * one is to add a row, and to describe it in library/seerstack.lua and
 * docs/reference.md. The core looks at the paths; the fields are for those who
 * build an event from a value of their language.
 */

#include <stdbool.h>
#include <stddef.h>
#include <string.h>

/* KIND(name in C, path, namespace, its function, the module's function,
        merged field, other fields...)
   The other fields are in the order in which they are sent; the merged one,
   a table of named values, comes last. */
#define SEER_KINDS(KIND)                                                      \
  KIND(CAPTURE, "/capture", "events", "capture", "capture", "data",           \
       FIELD("name", NAME), FIELD("user_id", USER), FIELD("timestamp", TIME)) \
  KIND(IDENTIFY, "/identify", "users", "identify", "identify", "attributes",  \
       FIELD("user_id", OWNER), FIELD("email", TEXT), FIELD("name", TEXT))

#define KIND(name, ...) SEER_##name,
typedef enum seer_kind {
  SEER_KINDS(KIND) SEER_POST /* to a path of its own; it has no row */
} seer_kind;
#undef KIND

#define SEER_ROWS SEER_POST /* how many there are */

/* What the value of a field may be. */
typedef enum seer_form {
  SEER_FORM_NONE,  /* there is no such field */
  SEER_FORM_NAME,  /* a string that is not empty; required */
  SEER_FORM_OWNER, /* an id, required: what has the same keeps its order */
  SEER_FORM_USER,  /* an id, or nothing */
  SEER_FORM_TIME,  /* a string, a number of seconds, or nothing: now */
  SEER_FORM_TEXT,  /* a string, null or nothing */
  SEER_FORM_NAMED  /* a table of named values, or nothing */
} seer_form;

#define SEER_FIELDS 4 /* of a kind, at most */

#define SEER_KEY_ROOM 24 /* of the longest key, and to spare */

typedef struct seer_field {
  const char *name; /* of 4 to 16 bytes, so that two words tell it */
  size_t length;
  seer_form form; /* SEER_FORM_NONE after the last of a kind */
  size_t key_length;
  char key[SEER_KEY_ROOM]; /* ,"name": */
} seer_field;

typedef struct seer_kind_row {
  const char *path, *space, *method, *function, *merged;
  seer_field fields[SEER_FIELDS + 1];
} seer_kind_row;

extern const seer_kind_row seer_kinds[SEER_ROWS];

/* Whether two texts of 4 to 16 bytes are the same: two words of each tell. */
static inline bool seer_kind_same(const char *one, const char *other,
                                  size_t length) {
  if (length < 8)
    return memcmp(one, other, 4) == 0 &&
           memcmp(one + length - 4, other + length - 4, 4) == 0;
  return memcmp(one, other, 8) == 0 &&
         memcmp(one + length - 8, other + length - 8, 8) == 0;
}

/* Which of the fields of a kind has this name; -1: none. */
static inline int seer_kind_find(const seer_field *fields, const char *name,
                                 size_t length) {
  if (length < 4) /* as no name is, and the rows after the last are */
    return -1;
  for (int i = 0; i < SEER_FIELDS; i++)
    if (fields[i].length == length &&
        seer_kind_same(fields[i].name, name, length))
      return i;
  return -1;
}
