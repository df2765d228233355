// A preload: while a file is there, what touches paths that have a word in them waits, as for a
// network share that hangs. HUNG_READS says both: "word:file".
#define _GNU_SOURCE
#include <dirent.h>
#include <dlfcn.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

static char *word, *file;

__attribute__((constructor)) static void begin(void) {
  const char* given = getenv("HUNG_READS");
  if (!given) return;
  word = strdup(given);
  file = strchr(word, ':');
  if (file) *file++ = 0;
}

static void wait_for(const char* path) {
  if (!file || !path || !strstr(path, word)) return;
  while (syscall(SYS_access, file, F_OK) == 0) usleep(10000);
}

static void wait_for_open(int descriptor) {
  char link[32], path[4096];
  if (!file) return;
  snprintf(link, sizeof link, "/proc/self/fd/%d", descriptor);
  ssize_t size = syscall(SYS_readlink, link, path, sizeof path - 1);
  if (size < 0) return;
  path[size] = 0;
  wait_for(path);
}

static int open_at(int folder, const char* path, int flags, mode_t mode) {
  wait_for(path);
  return (int)syscall(SYS_openat, folder, path, flags, mode);
}

#define MODE                                                              \
  va_list rest;                                                           \
  va_start(rest, flags);                                                  \
  mode_t mode = flags & (O_CREAT | O_TMPFILE) ? va_arg(rest, mode_t) : 0; \
  va_end(rest)

int open(const char* path, int flags, ...) {
  MODE;
  return open_at(AT_FDCWD, path, flags, mode);
}

int open64(const char* path, int flags, ...) {
  MODE;
  return open_at(AT_FDCWD, path, flags | O_LARGEFILE, mode);
}

int openat(int folder, const char* path, int flags, ...) {
  MODE;
  return open_at(folder, path, flags, mode);
}

int openat64(int folder, const char* path, int flags, ...) {
  MODE;
  return open_at(folder, path, flags | O_LARGEFILE, mode);
}

ssize_t read(int descriptor, void* into, size_t size) {
  wait_for_open(descriptor);
  return syscall(SYS_read, descriptor, into, size);
}

DIR* opendir(const char* path) {
  static DIR* (*next)(const char*);
  if (!next) next = (DIR * (*)(const char*)) dlsym(RTLD_NEXT, "opendir");
  wait_for(path);
  return next(path);
}

#define STAT(name)                                                                          \
  int name(const char* restrict path, struct stat* restrict found) {                        \
    static int (*next)(const char* restrict, struct stat* restrict);                        \
    if (!next)                                                                              \
      next = (int (*)(const char* restrict, struct stat* restrict))dlsym(RTLD_NEXT, #name); \
    wait_for(path);                                                                         \
    return next(path, found);                                                               \
  }
STAT(stat)
STAT(lstat)

#define STAT_64(name)                                                                         \
  int name(const char* restrict path, struct stat64* restrict found) {                        \
    static int (*next)(const char* restrict, struct stat64* restrict);                        \
    if (!next)                                                                                \
      next = (int (*)(const char* restrict, struct stat64* restrict))dlsym(RTLD_NEXT, #name); \
    wait_for(path);                                                                           \
    return next(path, found);                                                                 \
  }
STAT_64(stat64)
STAT_64(lstat64)
