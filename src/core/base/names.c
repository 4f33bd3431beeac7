#include "names.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>
#pragma GCC visibility push(hidden)

seer_name *seer_names_find(seer_names *names, const char *host,
                           size_t length) {
  for (int i = 0; i < SEER_NAMES; i++) {
    seer_name *name = &names->all[i];
    if (length > 0 && strlen(name->host) == length &&
        strncasecmp(name->host, host, length) == 0)
      return name;
  }
  return NULL;
}

static bool is_taken(const seer_name *name) {
  return name->wanted || name->takers > 0;
}

/* That which was settled longest ago; one that is free never was. */
static seer_name *oldest(seer_names *names) {
  seer_name *oldest = NULL;
  for (int i = 0; i < SEER_NAMES; i++) {
    seer_name *name = &names->all[i];
    if (!is_taken(name) &&
        (oldest == NULL || name->settled_at < oldest->settled_at))
      oldest = name;
  }
  return oldest;
}

seer_name *seer_names_add(seer_names *names, const char *host, size_t length) {
  seer_name *name = seer_names_find(names, host, length);
  if (name != NULL || length >= SEER_NAME_SIZE)
    return name;
  name = oldest(names);
  if (name == NULL)
    return NULL;
  memset(name, 0, sizeof *name);
  memcpy(name->host, host, length);
  return name;
}

static bool is_pending(const seer_name *name, int64_t now) {
  return name->wanted || name->takers >= SEER_NAME_MOST ||
         (name->takers > 0 && now - name->taken_at < SEER_NAME_LONG);
}

seer_name_state seer_name_judge(const seer_name *name, int64_t since,
                                int64_t now) {
  bool known = name->addresses[0] != '\0';
  bool fresh = !name->doubtful && now - name->settled_at < SEER_NAME_AGE;
  if (known && fresh)
    return SEER_NAME_KNOWN;
  if (!known && name->settled_at >= since)
    return SEER_NAME_FAILED;
  return is_pending(name, now) ? SEER_NAME_PENDING : SEER_NAME_UNKNOWN;
}

bool seer_name_want(seer_name *name, int64_t now) {
  if (is_pending(name, now))
    return false;
  name->wanted = true;
  return true;
}

seer_name *seer_names_take(seer_names *names, int64_t now) {
  for (int i = 0; i < SEER_NAMES; i++) {
    seer_name *name = &names->all[i];
    if (!name->wanted)
      continue;
    name->wanted = false;
    name->takers++;
    name->taken_at = now;
    return name;
  }
  return NULL;
}

void seer_name_settle(seer_name *name, const char *addresses, int64_t now) {
  if (addresses != NULL)
    snprintf(name->addresses, sizeof name->addresses, "%s", addresses);
  name->settled_at = now;
  name->doubtful = false;
}

void seer_names_forget(seer_names *names, bool whole) {
  for (int i = 0; i < SEER_NAMES; i++) {
    seer_name *name = &names->all[i];
    if (is_taken(name) && !whole)
      memset(name, 0, sizeof *name);
    name->wanted = false;
    name->takers = 0;
  }
}
