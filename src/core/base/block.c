#include "block.h"

#include "ascii.h"
#pragma GCC visibility push(hidden)

static const char *const ends[] = {":;", "="};

static size_t name_length(seer_block_kind kind, const char *line) {
  return strcspn(line, ends[kind]);
}

const char *seer_block_next(const char *line) {
  return line + strlen(line) + 1;
}

size_t seer_block_size(const char *block) {
  const char *line = block;
  if (block == NULL)
    return 0;
  while (*line != '\0')
    line = seer_block_next(line);
  return (size_t)(line - block) + 1;
}

static bool same_name(seer_block_kind kind, const char *one,
                      const char *other) {
  size_t length = name_length(kind, one);
  if (length != name_length(kind, other))
    return false;
  return kind == SEER_BLOCK_HEADERS ? seer_alike(one, other, length)
                                    : memcmp(one, other, length) == 0;
}

static bool has_name(seer_block_kind kind, const char *block,
                     const char *named) {
  if (block == NULL)
    return false;
  for (; *block != '\0'; block = seer_block_next(block))
    if (same_name(kind, block, named))
      return true;
  return false;
}

void seer_block_merge(seer_buffer *out, seer_block_kind kind,
                      const char *under, const char *over) {
  for (; under != NULL && *under != '\0'; under = seer_block_next(under))
    if (!has_name(kind, over, under))
      seer_buffer_line(out, under);
  for (; over != NULL && *over != '\0'; over = seer_block_next(over))
    seer_buffer_line(out, over);
  seer_buffer_byte(out, '\0');
}

void seer_block_write_query(seer_buffer *out, const char *block) {
  bool first = true;
  for (; block != NULL && *block != '\0'; block = seer_block_next(block)) {
    if (strchr(block, '=') == NULL)
      continue;
    if (!first)
      seer_buffer_byte(out, '&');
    seer_buffer_text(out, block);
    first = false;
  }
}

bool seer_block_is_among(const char *name, size_t length,
                         const char *const *names) {
  for (; *names != NULL; names++)
    if (strlen(*names) == length && seer_alike(name, *names, length))
      return true;
  return false;
}

static const char *const logins[] = {"authorization", "proxy-authorization",
                                     NULL};
static const char *const others[] = {"cookie", "set-cookie", "x-api-key",
                                     NULL};

bool seer_block_is_secret(const char *name, size_t length) {
  return seer_block_is_among(name, length, logins) ||
         seer_block_is_among(name, length, others);
}

const char *seer_block_secret(const char *line) {
  size_t name = name_length(SEER_BLOCK_HEADERS, line);
  const char *value;
  size_t scheme;
  if (line[name] != ':' || !seer_block_is_secret(line, name))
    return NULL;
  value = line + name + 1;
  value += strspn(value, " \t");
  scheme = seer_block_is_among(line, name, logins) ? strcspn(value, " \t") : 0;
  if (scheme > 0 && value[scheme] != '\0')
    value += scheme + strspn(value + scheme, " \t");
  return value;
}

const char *seer_block_part(const char *secret, size_t *length) {
  static const char around[] = " \t,;\"";
  const char *equals;
  for (;; secret += *length) {
    secret += strspn(secret, around);
    *length = strcspn(secret, around);
    if (*length == 0 || secret[*length] != '"' || secret[*length - 1] != '=')
      break; /* else it is the name of what is quoted */
  }
  equals = memchr(secret, '=', *length);
  if (equals == NULL || equals + strspn(equals, "=") == secret + *length)
    return *length > 0 ? secret : NULL;
  equals++;
  *length -= (size_t)(equals - secret);
  return equals;
}

const char *seer_header_read(seer_header *header, const char *line,
                             const char *end) {
  while (line < end) {
    const char *newline = memchr(line, '\n', (size_t)(end - line));
    const char *stop = newline != NULL ? newline + 1 : end;
    const char *colon = memchr(line, ':', (size_t)(stop - line));
    header->name_length = colon != NULL ? (size_t)(colon - line) : 0;
    header->name = seer_trim(line, &header->name_length);
    if (header->name_length > 0) {
      header->value_length = (size_t)(stop - colon - 1);
      header->value = seer_trim(colon + 1, &header->value_length);
      return stop;
    }
    line = stop;
  }
  return NULL;
}
