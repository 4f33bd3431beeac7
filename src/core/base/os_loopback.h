#pragma once

/* The alarm of systems that have no eventfd. */

#include "os.h"

/* A socket that is connected to itself: one descriptor, and what others send
   is not let in; -1 without one. */
static int open_loopback(void) {
  struct sockaddr_in self = {.sin_family = AF_INET};
  socklen_t length = sizeof self;
  int opened = seer_os_socket(AF_INET, SOCK_DGRAM, 0);
  self.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  if (opened < 0 ||
      (bind(opened, (struct sockaddr *)&self, sizeof self) == 0 &&
       getsockname(opened, (struct sockaddr *)&self, &length) == 0 &&
       connect(opened, (struct sockaddr *)&self, sizeof self) == 0))
    return opened;
  seer_fd_close(opened);
  return -1;
}
