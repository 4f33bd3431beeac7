/* To be preloaded: a system without System V shared memory. */

#include <errno.h>
#include <sys/shm.h>

__attribute__((visibility("default"))) int shmget(key_t key, size_t size,
                                                  int flags) {
  (void)key, (void)size, (void)flags;
  errno = ENOSYS;
  return -1;
}
