/* An OpenSSL, or a libcurl, that writes to sockets without MSG_NOSIGNAL, as
   other versions do: to be preloaded, so that a connection that the server
   has given up raises SIGPIPE. */

#include <dlfcn.h>
#include <sys/socket.h>

typedef ssize_t send_function(int, const void *, size_t, int);

__attribute__((visibility("default"))) ssize_t send(int fd, const void *bytes,
                                                    size_t length, int flags) {
  send_function *next;
  *(void **)&next = dlsym(RTLD_NEXT, "send");
  return next(fd, bytes, length, flags & ~MSG_NOSIGNAL);
}
