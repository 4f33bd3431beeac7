#include "buffer.h"

#include <stdlib.h>
#pragma GCC visibility push(hidden)

#define SMALLEST 256 /* the first allocation */

void seer_buffer_init(seer_buffer *buffer, size_t ceiling) {
  memset(buffer, 0, sizeof(*buffer));
  buffer->ceiling = ceiling;
}

void seer_buffer_borrow(seer_buffer *buffer, char *memory, size_t size) {
  seer_buffer_init(buffer, size);
  buffer->data = memory;
  buffer->capacity = size;
}

void seer_buffer_clear(seer_buffer *buffer) {
  free(buffer->data);
  seer_buffer_init(buffer, buffer->ceiling);
}

char *seer_buffer_take(seer_buffer *buffer) {
  if (buffer->error)
    seer_buffer_clear(buffer);
  return buffer->data;
}

void seer_buffer_reset(seer_buffer *buffer, size_t keep) {
  if (buffer->capacity > keep)
    seer_buffer_clear(buffer);
  buffer->length = 0;
  buffer->error = SEER_BUFFER_OK;
}

/* The next capacity: doubled until it suffices, and never past the
   ceiling, so that reserving within it needs no other check. */
static size_t next_capacity(const seer_buffer *buffer, size_t needed) {
  size_t capacity = buffer->capacity ? buffer->capacity : SMALLEST;
  if (capacity > buffer->ceiling / 2)
    return buffer->ceiling;
  if (buffer->capacity)
    capacity *= 2;
  return capacity < needed ? needed : capacity;
}

bool seer_buffer_grow(seer_buffer *buffer, size_t extra) {
  size_t capacity;
  char *data;
  if (buffer->error)
    return false;
  if (extra > buffer->ceiling - buffer->length) {
    buffer->error = SEER_BUFFER_FULL;
    return false;
  }
  if (extra <= buffer->capacity - buffer->length)
    return true;
  capacity = next_capacity(buffer, buffer->length + extra);
  data = realloc(buffer->data, capacity);
  if (data == NULL) {
    buffer->error = SEER_BUFFER_NOMEM;
    return false;
  }
  buffer->data = data;
  buffer->capacity = capacity;
  return true;
}
