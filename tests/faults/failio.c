/* An LD_PRELOAD library that makes chosen operations on files fail, or kills the process just before one.

   Operations on paths that begin with FAILIO_DIR are counted, over all processes that share the counter. From the
   FAILIO_AT-th on, FAILIO_COUNT of them do not happen: they fail with the errno FAILIO_ERR, or their process is
   killed (FAILIO_ERR=kill) before they do.

   FAILIO_DIR    what paths begin with, absolute; also one file's whole path
   FAILIO_CTR    file of the counter (8 bytes; made if it is not there)
   FAILIO_OPS    letters: R open for reading, o open for writing, D list a folder, i read, w write, t truncate,
                 f fsync, r rename, l link or symlink, u unlink, m mkdir, d rmdir, s stat
   FAILIO_AT     the first that fails, from 1; 0 or absent: only count
   FAILIO_COUNT  how many fail (1)
   FAILIO_ERR    an errno as a number, or "kill" (5, EIO)
   FAILIO_EXE    only in processes whose command line contains this (absent: in all)
   FAILIO_LOG    file that gets a line for each counted operation */
#define _GNU_SOURCE
#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

static long *counter, first, times = 1;
static int fault = EIO, killing;
static const char *below, *ops, *exe, *logged;

/* Own needs go past the wrappers below. */
static int raw_open(const char *path, int flags) {
    return syscall(SYS_openat, AT_FDCWD, path, flags | O_CLOEXEC, 0666);
}

/* A copy: a process that gives itself another title, as Ray's workers do, writes it over its environment. An emptied
   FAILIO_DIR would be the beginning of every path. */
static const char *copied(const char *name) {
    const char *text = getenv(name);
    return text ? strdup(text) : 0;
}

/* Also for a fork of a process that has read it: it sets the variables, removes the counter and calls this. */
__attribute__((constructor)) void failio_read_environment(void) {
    const char *file = getenv("FAILIO_CTR"), *text;
    below = copied("FAILIO_DIR");
    exe = copied("FAILIO_EXE");
    logged = copied("FAILIO_LOG");
    if (!below || !file || !getenv("FAILIO_OPS")) return;
    if ((text = getenv("FAILIO_AT"))) first = atol(text);
    if ((text = getenv("FAILIO_COUNT"))) times = atol(text);
    if ((text = getenv("FAILIO_ERR"))) {
        killing = !strcmp(text, "kill");
        fault = atoi(text);
    }
    int fd = raw_open(file, O_RDWR | O_CREAT);
    if (fd < 0 || syscall(SYS_ftruncate, fd, 8L)) return;
    void *shared = mmap(0, 8, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    close(fd);
    if (shared == MAP_FAILED) return;
    counter = shared;
    ops = copied("FAILIO_OPS");
}

/* Processes may give themselves another command line, so it is looked at each time. */
static int is_meant(void) {
    char text[4096];
    if (!exe) return 1;
    int fd = raw_open("/proc/self/cmdline", O_RDONLY);
    if (fd < 0) return 0;
    ssize_t length = syscall(SYS_read, fd, text, sizeof text - 1);
    close(fd);
    for (ssize_t i = 0; i < length; i++)
        if (!text[i]) text[i] = ' ';
    text[length > 0 ? length : 0] = 0;
    return strstr(text, exe) != 0;
}

/* True, with errno set, if this operation is to fail. `path` may be relative to `folder`, or NULL for `folder`. */
static int fails(char op, int folder, const char *path) {
    if (!ops || !strchr(ops, op)) return 0;
    int before = errno;
    char at[PATH_MAX + 1], name[2 * PATH_MAX + 2], link[64];
    if (path && path[0] == '/') {
        snprintf(name, sizeof name, "%s", path);
    } else {
        snprintf(link, sizeof link, folder == AT_FDCWD ? "/proc/self/cwd" : "/proc/self/fd/%d", folder);
        ssize_t length = syscall(SYS_readlinkat, AT_FDCWD, link, at, (size_t)PATH_MAX);
        at[length > 0 ? length : 0] = 0;
        snprintf(name, sizeof name, path ? "%s/%s" : "%s", at, path);
    }
    errno = before;
    if (strncmp(name, below, strlen(below)) || !is_meant()) return 0;
    long number = __sync_add_and_fetch(counter, 1);
    int failing = first && number >= first && number < first + times;
    if (logged) {
        char line[2 * PATH_MAX + 128];
        const char *mark = failing ? " FAULT" : "";
        int length = snprintf(line, sizeof line, "%ld %c %d %s%s\n", number, op, getpid(), name, mark);
        int fd = raw_open(logged, O_WRONLY | O_CREAT | O_APPEND);
        syscall(SYS_write, fd, line, (size_t)length);
        close(fd);
    }
    errno = failing ? fault : before;
    if (failing && killing) {
        kill(getpid(), SIGKILL);
        pause();
    }
    return failing;
}

/* The library's own function of the same name. */
#define NEXT(name)                            \
    static __typeof__(&name) next;            \
    if (!next) next = dlsym(RTLD_NEXT, #name)

static char opening(int flags) {
    return flags & (O_WRONLY | O_RDWR | O_CREAT | O_TRUNC) ? 'o' : flags & O_DIRECTORY ? 'D' : 'R';
}

#define MODE                                                    \
    mode_t mode = 0;                                            \
    if ((flags & O_CREAT) || (flags & O_TMPFILE) == O_TMPFILE) { \
        va_list rest;                                           \
        va_start(rest, flags);                                  \
        mode = va_arg(rest, mode_t);                            \
        va_end(rest);                                           \
    }

#define OPEN(name)                                                        \
    int name(const char *path, int flags, ...) {                          \
        MODE NEXT(name);                                                  \
        return fails(opening(flags), AT_FDCWD, path) ? -1 : next(path, flags, mode); \
    }
#define OPENAT(name)                                                     \
    int name(int folder, const char *path, int flags, ...) {             \
        MODE NEXT(name);                                                 \
        return fails(opening(flags), folder, path) ? -1 : next(folder, path, flags, mode); \
    }
#define FOPEN(name)                                                      \
    FILE *name(const char *path, const char *mode) {                     \
        NEXT(name);                                                      \
        return fails(mode[0] == 'r' ? 'R' : 'o', AT_FDCWD, path) ? 0 : next(path, mode); \
    }
#define STAT(name, buffer)                                               \
    int name(const char *path, struct buffer *found) {                   \
        NEXT(name);                                                      \
        return fails('s', AT_FDCWD, path) ? -1 : next(path, found);      \
    }
#define FSTATAT(name, buffer)                                            \
    int name(int folder, const char *path, struct buffer *found, int flags) { \
        NEXT(name);                                                      \
        return fails('s', folder, path) ? -1 : next(folder, path, found, flags); \
    }

OPEN(open)
OPEN(open64)
OPENAT(openat)
OPENAT(openat64)
FOPEN(fopen)
FOPEN(fopen64)
STAT(stat, stat)
STAT(stat64, stat64)
STAT(lstat, stat)
STAT(lstat64, stat64)
FSTATAT(fstatat, stat)
FSTATAT(fstatat64, stat64)

DIR *opendir(const char *path) { NEXT(opendir); return fails('D', AT_FDCWD, path) ? 0 : next(path); }

/* Standard streams, pipes and sockets have no path below a folder; those of them below 3 are not even asked. */
#define ON_FD(op, fd) ((fd) > 2 && fails(op, fd, 0))
#define MOVE(name, op, kind, size) \
    ssize_t name(int fd, kind data, size length) { NEXT(name); return ON_FD(op, fd) ? -1 : next(fd, data, length); }
MOVE(read, 'i', void *, size_t)
MOVE(write, 'w', const void *, size_t)
MOVE(writev, 'w', const struct iovec *, int)
int fsync(int fd) { NEXT(fsync); return ON_FD('f', fd) ? -1 : next(fd); }
int fdatasync(int fd) { NEXT(fdatasync); return ON_FD('f', fd) ? -1 : next(fd); }
int ftruncate(int fd, off_t size) { NEXT(ftruncate); return ON_FD('t', fd) ? -1 : next(fd, size); }
int ftruncate64(int fd, off64_t size) { NEXT(ftruncate64); return ON_FD('t', fd) ? -1 : next(fd, size); }

int rename(const char *from, const char *to) { NEXT(rename); return fails('r', AT_FDCWD, to) ? -1 : next(from, to); }
int renameat(int a, const char *from, int b, const char *to) {
    NEXT(renameat);
    return fails('r', b, to) ? -1 : next(a, from, b, to);
}
int link(const char *from, const char *to) { NEXT(link); return fails('l', AT_FDCWD, to) ? -1 : next(from, to); }
int symlink(const char *from, const char *to) { NEXT(symlink); return fails('l', AT_FDCWD, to) ? -1 : next(from, to); }
int unlink(const char *path) { NEXT(unlink); return fails('u', AT_FDCWD, path) ? -1 : next(path); }
int unlinkat(int folder, const char *path, int flags) {
    NEXT(unlinkat);
    return fails(flags & AT_REMOVEDIR ? 'd' : 'u', folder, path) ? -1 : next(folder, path, flags);
}
int rmdir(const char *path) { NEXT(rmdir); return fails('d', AT_FDCWD, path) ? -1 : next(path); }
int mkdir(const char *path, mode_t mode) { NEXT(mkdir); return fails('m', AT_FDCWD, path) ? -1 : next(path, mode); }
int mkdirat(int folder, const char *path, mode_t mode) {
    NEXT(mkdirat);
    return fails('m', folder, path) ? -1 : next(folder, path, mode);
}
