#include "hint.h"

#include "core/base/ascii.h"

#include <stdio.h>
#include <string.h>
#pragma GCC visibility push(hidden)

/* What others call a field, without capitals and separators. */
static const struct {
  const char *name, *synonyms;
} known_as[] = {
    {"name",       " event eventname eventtype fullname username "      },
    {"user_id",    " id user uid distinctid anonymousid externalid "    },
    {"user_id",    " customerid accountid playerid "                    },
    {"timestamp",  " time ts date sentat createdat occurredat "         },
    {"email",      " emailaddress useremail "                           },
    {"data",       " properties props attributes traits params payload "},
    {"data",       " parameters metadata eventdata eventproperties "    },
    {"attributes", " traits properties props data metadata "            },
    {"attributes", " userdata userproperties customattributes "         },
};

#define SYNONYMS (sizeof known_as / sizeof known_as[0])

/* A name as it is compared: a blank, its letters and digits, and a blank. */
typedef struct plain {
  char text[SEER_KEY_ROOM + 3];
} plain;

/* False if the name is too long, or is not like that of a field. */
static bool simplify(const char *name, plain *to) {
  size_t length = strlen(name);
  char *end = to->text;
  if (length > SEER_KEY_ROOM)
    return false;
  *end++ = ' ';
  for (; *name != '\0'; name++) {
    char byte = seer_lower(*name);
    if ((byte >= 'a' && byte <= 'z') || (byte >= '0' && byte <= '9'))
      *end++ = byte;
    else if (strchr("_-. ", byte) == NULL)
      return false;
  }
  *end++ = ' ';
  *end = '\0';
  return end > to->text + 2;
}

/* Whether one letter more, less, or other, or two that are swapped, make one
   text the other. */
static bool is_near(const char *one, const char *other) {
  while (*one != '\0' && *one == *other) {
    one++;
    other++;
  }
  if (*one == '\0' || *other == '\0')
    return strlen(one) + strlen(other) <= 1;
  return strcmp(one + 1, other + 1) == 0 || strcmp(one, other + 1) == 0 ||
         strcmp(one + 1, other) == 0 ||
         (one[0] == other[1] && one[1] == other[0] &&
          strcmp(one + 2, other + 2) == 0);
}

static bool is_synonym(const plain *given, const char *name) {
  for (size_t i = 0; i < SYNONYMS; i++)
    if (strcmp(known_as[i].name, name) == 0 &&
        strstr(known_as[i].synonyms, given->text) != NULL)
      return true;
  return false;
}

static bool may_mean(const char *given, const char *name) {
  plain one, other;
  return simplify(given, &one) && simplify(name, &other) &&
         (is_near(one.text, other.text) || is_synonym(&one, name));
}

/* The unknown key that may mean this field, the first by the alphabet; NULL
   if there is none, or the field itself. */
static const char *find(lua_State *L, int index, const seer_kind_row *row,
                        const char *name) {
  const char *found = NULL;
  bool present = false;
  if (!lua_istable(L, index))
    return NULL;
  lua_pushnil(L);
  while (lua_next(L, index)) {
    const char *key;
    lua_pop(L, 1);
    if (lua_type(L, -1) != LUA_TSTRING)
      continue;
    key = lua_tostring(L, -1);
    if (strcmp(key, name) == 0)
      present = true;
    else if ((found == NULL || strcmp(key, found) < 0) &&
             may_mean(key, name) &&
             seer_kind_find(row->fields, key, strlen(key)) < 0)
      found = key;
  }
  return present ? NULL : found;
}

bool seer_hint_write(lua_State *L, int index, const seer_kind_row *row,
                     char text[SEER_HINT_LENGTH]) {
  size_t length = 0;
  const seer_field *f;
  for (f = row->fields; f->form != SEER_FORM_NONE; f++) {
    const char *given = find(L, index, row, f->name);
    if (given != NULL)
      length += (size_t)snprintf(
          text + length, SEER_HINT_LENGTH - length, "%s%s by \"%s\"",
          length == 0 ? "did you mean " : ", ", f->name, given);
  }
  if (length > 0)
    memcpy(text + length, "?", sizeof "?");
  return length > 0;
}

const char *seer_hint_string(lua_State *L, int index, const char *name) {
  const char *found = NULL;
  if (!lua_istable(L, index))
    return NULL;
  lua_pushnil(L);
  while (lua_next(L, index)) {
    if (lua_type(L, -2) == LUA_TSTRING && lua_type(L, -1) == LUA_TSTRING &&
        strcmp(lua_tostring(L, -2), name) == 0)
      found = lua_tostring(L, -1);
    lua_pop(L, 1);
  }
  return found;
}
