#pragma once

/*
 * Requests and answers as lines for debugging. The key, other
 * secrets, and the values of headers that log somebody in are shown as ***.
 */

#include "core/http/transfer.h"

/* These write at most `size` bytes, ended by a zero:
   "POST http://h/capture; Name: value; ...; {"name":...}" */
void seer_trace_request(seer_transfer *transfer, char *text, size_t size);

/* "200 from http://h/capture after 12 ms; Name: value; ...; {...}", or why
   there was no answer. */
void seer_trace_answer(seer_transfer *transfer, char *text, size_t size);
