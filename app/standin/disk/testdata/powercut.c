// Loaded before the C library, this notes what SQLite does to the files of one folder, and ends the process at one of these
// steps as a power cut would, if it is to. What was not synced then is dropped by the package that this lies in.
//
// A step in the log: kind, length of the name, offset and size as 64 bit numbers, the name, the data of a write.
#define _GNU_SOURCE
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static const char *folder;
static int out = -1;
static long left;

__attribute__((constructor)) static void begin(void) {
  const char *after = getenv("POWERCUT_AFTER");
  folder = getenv("POWERCUT_FOLDER");
  left = after ? atol(after) : -1;
  if (folder && getenv("POWERCUT_LOG")) out = open(getenv("POWERCUT_LOG"), O_CREAT | O_WRONLY | O_APPEND | O_CLOEXEC, 0600);
}

static void put(const void *data, size_t size) {
  if (syscall(SYS_write, out, data, size) != (ssize_t)size) abort();
}

// note writes a step down; the process ends before the step that is one too many.
static void note(char kind, const char *path, uint64_t offset, const void *data, uint64_t size) {
  size_t skip = folder ? strlen(folder) : 0;
  if (out < 0 || strncmp(path, folder, skip) != 0 || path[skip] != '/' || strstr(path, "-shm")) return;
  const char *name = path + skip + 1;
  uint64_t head[4] = {(uint64_t)kind, strlen(name), offset, size};
  pthread_mutex_lock(&lock);
  if (left == 0) kill(getpid(), SIGKILL);
  if (left > 0) left--;
  put(head, sizeof head);
  put(name, head[1]);
  if (data) put(data, size);
  pthread_mutex_unlock(&lock);
}

static void note_file(char kind, int fd, uint64_t offset, const void *data, uint64_t size) {
  char link[64], path[4096];
  snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
  ssize_t n = readlink(link, path, sizeof path - 1);
  if (n <= 0) return;
  path[n] = 0;
  note(kind, path, offset, data, size);
}

ssize_t pwrite(int fd, const void *data, size_t size, off_t offset) {
  note_file('w', fd, offset, data, size);
  return syscall(SYS_pwrite64, fd, data, size, offset);
}
ssize_t pwrite64(int fd, const void *data, size_t size, off64_t offset) { return pwrite(fd, data, size, offset); }

ssize_t write(int fd, const void *data, size_t size) {
  off_t at = lseek(fd, 0, SEEK_CUR);
  if (at >= 0) note_file('w', fd, at, data, size);
  return syscall(SYS_write, fd, data, size);
}

int ftruncate(int fd, off_t size) {
  note_file('t', fd, size, NULL, 0);
  return syscall(SYS_ftruncate, fd, size);
}
int ftruncate64(int fd, off64_t size) { return ftruncate(fd, size); }

// The disk need not be asked: the log says what it would have kept.
int fsync(int fd) {
  note_file('s', fd, 0, NULL, 0);
  return 0;
}
int fdatasync(int fd) { return fsync(fd); }

int unlink(const char *path) {
  note('u', path, 0, NULL, 0);
  return syscall(SYS_unlink, path);
}
