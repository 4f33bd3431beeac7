#include "core/base/names.h"

#include "unit.h"

#include <stdio.h>
#include <string.h>

#define HOSTS 24 /* more than the table has room for */

/* What a table without bounds would have of a host. */
static struct {
  int takers;
  bool known, doubtful;
  int64_t taken_at, settled_at;
} hosts[HOSTS];

static seer_names names;

static const char *name_of(int host) {
  static char text[24];
  sprintf(text, unit_random(2) ? "Host%d.test" : "host%d.TEST", host);
  return text;
}

static seer_name *find(int host) {
  const char *name = name_of(host);
  return seer_names_find(&names, name, strlen(name));
}

static int host_of(const seer_name *name) {
  int host;
  CHECK(sscanf(name->host + 4, "%d", &host) == 1);
  return host;
}

static seer_name_state right(int host, int64_t since) {
  int64_t age = unit_now - hosts[host].settled_at;
  if (hosts[host].known && !hosts[host].doubtful && age < 60000)
    return SEER_NAME_KNOWN;
  if (!hosts[host].known && hosts[host].settled_at >= since)
    return SEER_NAME_FAILED;
  if (hosts[host].takers == 4 ||
      (hosts[host].takers > 0 && unit_now - hosts[host].taken_at < 5000))
    return SEER_NAME_PENDING;
  return SEER_NAME_UNKNOWN;
}

/* Somebody wants to know, and looks it up if nobody does. */
static void ask(int host) {
  const char *text = name_of(host);
  seer_name *name = seer_names_add(&names, text, strlen(text));
  bool found = find(host) != NULL, wanted;
  CHECK(found == (name != NULL));
  if (name == NULL)
    return;
  if (name->settled_at == 0 && name->takers == 0)
    memset(&hosts[host], 0, sizeof hosts[host]); /* it had to make room */
  wanted = hosts[host].takers == 0 ||
           (hosts[host].takers < 4 && unit_now - hosts[host].taken_at >= 5000);
  CHECK(seer_name_want(name, unit_now) == wanted);
  if (!wanted)
    return;
  CHECK(!seer_name_want(name, unit_now)); /* it is already */
  CHECK(seer_names_take(&names, unit_now) == name);
  CHECK(seer_names_take(&names, unit_now) == NULL);
  hosts[host].takers++;
  hosts[host].taken_at = unit_now;
}

static void answer(int host) {
  seer_name *name = find(host);
  int64_t kind = unit_random(3); /* found, not there, no answer */
  if (hosts[host].takers == 0)
    return;
  CHECK(name != NULL); /* it stays */
  name->takers--;
  seer_name_settle(name,
                   kind == 0   ? "127.0.0.1"
                   : kind == 1 ? ""
                               : NULL,
                   unit_now);
  hosts[host].takers--;
  hosts[host].settled_at = unit_now;
  hosts[host].doubtful = false;
  if (kind != 2)
    hosts[host].known = kind == 0;
}

static void doubt(int host) {
  seer_name *name = find(host);
  if (name != NULL)
    name->doubtful = hosts[host].doubtful = true;
}

static void check_all(void) {
  int count = 0;
  for (int host = 0; host < HOSTS; host++) {
    const seer_name *name = find(host);
    int64_t since = unit_now - unit_random(100);
    CHECK(name != NULL || hosts[host].takers == 0);
    if (name == NULL)
      continue;
    count++;
    CHECK(host_of(name) == host);
    CHECK(seer_name_judge(name, since, unit_now) == right(host, since));
  }
  CHECK(count <= SEER_NAMES);
}

static void knows_what_was_found(void) {
  memset(&names, 0, sizeof names);
  memset(hosts, 0, sizeof hosts);
  for (int i = 0; i < 100000; i++) {
    int host = (int)unit_random(unit_random(2) ? HOSTS : 3);
    switch (unit_random(8)) {
    case 0:
      unit_now += unit_random(i % 5 == 0 ? 70000 : 3000);
      break;
    case 1:
      doubt(host);
      break;
    case 2:
    case 3:
    case 4:
      answer(host);
      break;
    default:
      ask(host);
    }
    check_all();
  }
}

static void keeps_those_that_are_looked_up(void) {
  memset(&names, 0, sizeof names);
  memset(hosts, 0, sizeof hosts);
  for (int host = 0; host < HOSTS; host++) {
    ask(host);
    CHECK((find(host) != NULL) == (host < SEER_NAMES));
  }
  seer_names_forget(&names, true); /* a child has nobody who does */
  ask(HOSTS - 1);
  CHECK(find(HOSTS - 1) != NULL);
}

const unit_test unit_names[] = {
    {"names are looked up by few at a time, and known for a minute",
     knows_what_was_found                                                },
    {"names that are being looked up stay in the table",
     keeps_those_that_are_looked_up                                      },
    {NULL,                                                           NULL}
};
