#include "files.h"

#include "age.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <time.h>
#include <unistd.h>
#pragma GCC visibility push(hidden)

static const char *const names[SEER_FILES] = {"queue.db", "queue.db-wal",
                                              "queue.db-shm", "lock"};

void seer_files_path_of(const seer_files *files, const char *name,
                        seer_files_path path) {
  snprintf(path, sizeof(seer_files_path), "%s/%s", files->config->directory,
           name);
}

static bool fail(seer_store_message message, const char *path) {
  snprintf(message, sizeof(seer_store_message), "%.150s: %s", path,
           strerror(errno));
  return false;
}

/* File systems whose locks and shared memory are those of one machine; of the
   last two the files are gone with the container, or the machine. */
static const struct {
  long type;
  bool lasting;
} systems[] = {
    {0xef53,     true }, /* ext4 */
    {0x58465342, true }, /* xfs */
    {0xf2f52010, true }, /* f2fs */
    {0x9123683e, true }, /* btrfs */
    {0x2fc12fc1, true }, /* zfs */
    {0x794c7630, false}, /* overlayfs */
    {0x01021994, false}, /* tmpfs */
};
#define SYSTEMS (sizeof systems / sizeof systems[0])

static size_t find_system(const char *directory) {
  struct statfs found;
  size_t i = 0;
  if (statfs(directory, &found) != 0)
    return SYSTEMS;
  while (i < SYSTEMS && systems[i].type != (long)found.f_type)
    i++;
  return i;
}

static bool check_system(const char *directory, seer_store_message message) {
  size_t i = find_system(directory);
  if (i == SYSTEMS)
    snprintf(message, sizeof(seer_store_message),
             "%.100s: its file system may be a network's; ext4, xfs, btrfs, "
             "zfs and f2fs are known to do",
             directory);
  else if (!systems[i].lasting)
    snprintf(message, sizeof(seer_store_message),
             "%.100s is on %s: it is gone with the container or the machine",
             directory, i + 1 == SYSTEMS ? "tmpfs" : "overlayfs");
  return i < SYSTEMS;
}

/* Opens a file of the directory. One that is made belongs to whom the
   directory does, and lets the others of its group in if they take part. */
static int open_file(const seer_files *files, const char *name) {
  seer_files_path path;
  struct stat directory;
  int fd;
  seer_files_path_of(files, name, path);
  fd = open(path, O_RDWR | O_CLOEXEC | O_NOFOLLOW);
  if (fd >= 0 || errno != ENOENT)
    return fd;
  fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
  if (fd < 0 && errno == EEXIST)
    return open(path, O_RDWR | O_CLOEXEC | O_NOFOLLOW);
  if (fd < 0)
    return fd;
  if (geteuid() == 0 && stat(files->config->directory, &directory) == 0 &&
      fchown(fd, directory.st_uid, directory.st_gid) != 0)
    errno = 0; /* root's is of use, too */

  /* Whatever the umask. */
  fchmod(fd, files->config->group ? 0660 : 0600);
  return fd;
}

/* Of stores that are being opened the locks, each plus 1. */
static int opening[4];

/* One that is `from` becomes `to`. */
static void exchange(int from, int to) {
  for (size_t i = 0; i < sizeof opening / sizeof opening[0]; i++) {
    int expected = from;
    if (__atomic_compare_exchange_n(&opening[i], &expected, to, false,
                                    __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST))
      return;
  }
}

void seer_files_are_known(const seer_files *files) {
  exchange(files->lock + 1, 0);
}

void seer_files_forget(void) {
  for (size_t i = 0; i < sizeof opening / sizeof opening[0]; i++)
    if (opening[i] > 0)
      close(opening[i] - 1);
  memset(opening, 0, sizeof opening);
}

bool seer_files_open(seer_files *files, const seer_files_config *config,
                     seer_store_message message) {
  int made;
  memset(files, 0, sizeof *files);
  files->config = config;
  made = mkdir(config->directory, 0700) == 0 ? 0 : errno;
  if (made == 0)
    chmod(config->directory, config->group ? 02770 : 0700);
  if (access(config->directory, F_OK) != 0) {
    errno = made != EEXIST ? made : errno; /* or a link that leads nowhere */
    return fail(message, config->directory);
  }
  if (!check_system(config->directory, message))
    return false;
  files->lock = open_file(files, "lock");
  if (files->lock < 0)
    return fail(message, config->directory);
  exchange(0, files->lock + 1);
  return true;
}

void seer_files_close(seer_files *files) {
  seer_files_are_known(files);
  close(files->lock);
  files->lock = -1;
}

/* What fcntl says; for F_OFD_GETLK 1 if somebody has it. */
static int lock_byte(int fd, int command, int type, int64_t at) {
  struct flock lock = {.l_type = (short)type,
                       .l_whence = SEEK_SET,
                       .l_start = (off_t)at,
                       .l_len = 1};
  int result;
  do
    result = fcntl(fd, command, &lock);
  while (result < 0 && errno == EINTR);
  if (result == 0 && command == F_OFD_GETLK)
    return lock.l_type != F_UNLCK;
  return result;
}

bool seer_files_enter(const seer_files *files, int64_t patience,
                      seer_store_message message) {
  struct timespec pause = {0, 100000};
  int64_t deadline = seer_age_now() + patience;
  while (lock_byte(files->lock, F_OFD_SETLK, F_WRLCK, 0) != 0) {
    if (errno != EAGAIN && errno != EACCES)
      return fail(message, files->config->directory);
    if (seer_age_now() >= deadline) {
      snprintf(message, sizeof(seer_store_message),
               "%.100s: another process is in it and does not come out",
               files->config->directory);
      return false;
    }
    nanosleep(&pause, NULL);
    if (pause.tv_nsec < 2000000)
      pause.tv_nsec *= 2;
  }
  return true;
}

void seer_files_leave(const seer_files *files) {
  lock_byte(files->lock, F_OFD_SETLK, F_UNLCK, 0);
}

/* A log that is left of a database that was set aside is not this one's. */
bool seer_files_make(const seer_files *files, seer_store_message message) {
  seer_files_path path;
  struct stat found;
  int fd;
  seer_files_path_of(files, names[SEER_FILES_DATABASE], path);
  if (lstat(path, &found) == 0) {
    errno = EINVAL; /* nor does it wait at a pipe */
    return S_ISREG(found.st_mode) || fail(message, path);
  } /* to open and close it here would end locks of this process */
  if (errno != ENOENT) /* else its log, with what is in it, has to stay */
    return fail(message, path);
  for (int i = SEER_FILES_LOG; i <= SEER_FILES_INDEX; i++) {
    seer_files_path_of(files, names[i], path);
    unlink(path);
  }
  fd = open_file(files, names[SEER_FILES_DATABASE]);
  if (fd < 0)
    return fail(message, files->config->directory);
  close(fd);
  return true;
}

/* False if it cannot be looked at, be it there or not. */
static bool identify(const seer_files *files, int which, dev_t *device,
                     ino_t *inode) {
  seer_files_path path;
  struct stat found = {0};
  bool seen;
  seer_files_path_of(files, names[which], path);
  seen = stat(path, &found) == 0;
  *device = seen ? found.st_dev : 0;
  *inode = seen ? found.st_ino : 0;
  return seen || errno == ENOENT;
}

void seer_files_remember(seer_files *files) {
  struct stat lock = {0};
  for (int i = 0; i < SEER_FILES; i++)
    identify(files, i, &files->known[i].device, &files->known[i].inode);
  fstat(files->lock, &lock);
  files->known[SEER_FILES_LOCK].device = lock.st_dev;
  files->known[SEER_FILES_LOCK].inode = lock.st_ino;
  files->index_size = seer_files_size(files, names[SEER_FILES_INDEX]);
}

bool seer_files_are_cut(seer_files *files) {
  int64_t size = seer_files_size(files, names[SEER_FILES_INDEX]);
  bool cut = size < files->index_size;
  files->index_size = size;
  return cut;
}

seer_store_result seer_files_compare(const seer_files *files,
                                     seer_store_message message) {
  for (int i = 0; i < SEER_FILES; i++) {
    dev_t device;
    ino_t inode;
    if (!identify(files, i, &device, &inode)) {
      fail(message, files->config->directory);
      return SEER_STORE_LATER;
    }
    if (device == files->known[i].device && inode == files->known[i].inode)
      continue;
    snprintf(message, sizeof(seer_store_message),
             "%.100s/%s was removed or replaced", files->config->directory,
             names[i]);
    return SEER_STORE_BROKEN;
  }
  return SEER_STORE_DONE;
}

/* The database first: a log without it is removed when the next is made, but a
   database without its log would be taken for whole. */
void seer_files_set_aside(const seer_files *files,
                          seer_store_message message) {
  static const char *const ends[] = {"", "-wal", "-shm"};
  long long now = (long long)time(NULL);
  for (int i = SEER_FILES_DATABASE; i <= SEER_FILES_INDEX; i++) {
    seer_files_path from, to;
    char name[64];
    snprintf(name, sizeof name, "queue.db.corrupt-%lld%s", now, ends[i]);
    seer_files_path_of(files, names[i], from);
    seer_files_path_of(files, name, to);
    if (rename(from, to) != 0 && i == SEER_FILES_DATABASE) {
      fail(message, from);
      return;
    }
  }
  snprintf(message, sizeof(seer_store_message),
           "%.80s/queue.db was corrupt; it is queue.db.corrupt-%lld now",
           files->config->directory, now);
}

bool seer_files_own(const seer_files *files, int64_t owner) {
  return lock_byte(files->lock, F_OFD_SETLK, F_WRLCK, owner) == 0;
}

/* In doubt it is: its rows are safe where they are. */
bool seer_files_is_owned(const seer_files *files, int64_t owner) {
  return lock_byte(files->lock, F_OFD_GETLK, F_WRLCK, owner) != 0;
}

int64_t seer_files_size(const seer_files *files, const char *name) {
  seer_files_path path;
  struct stat found;
  seer_files_path_of(files, name, path);
  return stat(path, &found) == 0 ? (int64_t)found.st_size : 0;
}

bool seer_files_reserve(const seer_files *files, const char *name,
                        int64_t bytes) {
  int64_t size = seer_files_size(files, name);
  int error, fd;
  if (size >= bytes)
    return true;
  fd = open_file(files, name);
  error = fd < 0 ? errno : posix_fallocate(fd, size, bytes - size);
  if (fd >= 0)
    close(fd);
  errno = error == ENOSPC || error == EDQUOT || error == EFBIG ? ENOSPC : EIO;
  return error == 0;
}
