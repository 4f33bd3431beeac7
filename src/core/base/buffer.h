#pragma once

/*
 * Growable bytes with a ceiling given at birth.
 *
 * Errors are sticky: the first append that fails sets `error`, and every
 * later one does nothing. A writer appends without looking and checks once,
 * at the end. The memory is kept between uses (seer_buffer_reset), so a
 * buffer that is used again and again soon allocates nothing.
 */

#include <stdbool.h>
#include <stddef.h>
#include <string.h>

typedef enum seer_buffer_error {
  SEER_BUFFER_OK = 0,
  SEER_BUFFER_FULL, /* the ceiling would have been passed */
  SEER_BUFFER_NOMEM /* the allocator said no */
} seer_buffer_error;

typedef struct seer_buffer {
  char *data; /* not terminated by a zero */
  size_t length;
  size_t capacity;
  size_t ceiling; /* `length` never exceeds it */
  seer_buffer_error error;
} seer_buffer;

/* An empty buffer that owns nothing yet; cannot fail. */
void seer_buffer_init(seer_buffer *buffer, size_t ceiling);

/* An empty buffer in `size` bytes of the caller's, which are its ceiling.
   It allocates nothing and is not to be cleared or reset. */
void seer_buffer_borrow(seer_buffer *buffer, char *memory, size_t size);

/* Frees the bytes; the buffer is as after seer_buffer_init. */
void seer_buffer_clear(seer_buffer *buffer);

/* The bytes, for the caller to free, who leaves the buffer; NULL after an
   error. */
char *seer_buffer_take(seer_buffer *buffer);

/* Empties the buffer and forgets its error. Memory is kept for the next
   use unless it has grown past `keep` bytes. */
void seer_buffer_reset(seer_buffer *buffer, size_t keep);

/* Makes room for `extra` more bytes; false (and a sticky error) if there
   is none. */
bool seer_buffer_grow(seer_buffer *buffer, size_t extra);

/* Whether there is room for them already, and no error. */
static inline bool seer_buffer_has(const seer_buffer *buffer, size_t extra) {
  return buffer->capacity - buffer->length >= extra && !buffer->error;
}

/* Room for `extra` bytes at the end, or NULL after an error. The caller
   writes there and adds what it wrote to `length`. */
static inline char *seer_buffer_reserve(seer_buffer *buffer, size_t extra) {
  if (!seer_buffer_has(buffer, extra) && !seer_buffer_grow(buffer, extra))
    return NULL;
  return buffer->data + buffer->length;
}

static inline void seer_buffer_append(seer_buffer *buffer, const char *bytes,
                                      size_t length) {
  char *room = seer_buffer_reserve(buffer, length);
  if (room == NULL)
    return;
  memcpy(room, bytes, length);
  buffer->length += length;
}

static inline void seer_buffer_text(seer_buffer *buffer, const char *text) {
  seer_buffer_append(buffer, text, strlen(text));
}

/* With the zero at its end. */
static inline void seer_buffer_line(seer_buffer *buffer, const char *text) {
  seer_buffer_append(buffer, text, strlen(text) + 1);
}

/* Takes back what was appended since the buffer had `length` bytes. */
static inline void seer_buffer_cut(seer_buffer *buffer, size_t length) {
  if (buffer->length > length)
    buffer->length = length;
}

static inline void seer_buffer_byte(seer_buffer *buffer, char byte) {
  char *room = seer_buffer_reserve(buffer, 1);
  if (room == NULL)
    return;
  *room = byte;
  buffer->length++;
}
