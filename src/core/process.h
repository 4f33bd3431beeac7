#pragma once

/*
 * The process around the sender: preparing it, fork, and exit.
 */

#include <stdbool.h>

/* Prepares the process: libcurl, fork handlers, exit handler, the module
   pinned in memory. Any number of calls; false if it could not be done. */
bool seer_process_init(void);

/* True in a process of nginx. */
bool seer_process_is_nginx(void);
