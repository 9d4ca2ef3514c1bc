/* Writes down, in order, what a process asks of the files below one folder, so that a test can build what a power cut at any
 * moment would have left. Preloaded into the process under test; see tests/src/durability.rs for the reader and the model.
 *
 *   WAXWING_JOURNAL_ROOT   the folder, absolute, without a trailing slash
 *   WAXWING_JOURNAL        the journal, outside of it
 *
 * Record: kind[1] inode[8] offset[8] length[4] path length[2], in native order, then the path, then the bytes.
 *
 * A write is written down after it happened and before its caller hears so; a sync before it happens. So a sync in the journal
 * covers only writes that were complete when it began, which is all that a sync promises.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

enum { CREATE = 1, WRITE = 2, TRUNCATE = 3, SYNC = 4, RENAME = 5, UNLINK = 6, MKDIR = 7, RMDIR = 8 };

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static int journal = -1;
static char root[PATH_MAX];
static size_t root_length;

#define REAL(type, name, ...)                                       \
    static type (*real)(__VA_ARGS__);                               \
    if (!real) real = (type(*)(__VA_ARGS__))dlsym(RTLD_NEXT, #name)

static void die(const char *why) {
    dprintf(2, "journal: %s\n", why);
    _exit(97);
}

__attribute__((constructor)) static void start(void) {
    const char *folder = getenv("WAXWING_JOURNAL_ROOT"), *path = getenv("WAXWING_JOURNAL");
    if (!folder || !path) return;
    if (strlen(folder) >= sizeof root) die("the folder's name is too long");
    strcpy(root, folder);
    root_length = strlen(root);
    int (*real)(const char *, int, ...) = (int (*)(const char *, int, ...))dlsym(RTLD_NEXT, "open");
    journal = real(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    if (journal < 0) die("the journal can't be opened");
}

static void put(uint8_t kind, uint64_t inode, uint64_t offset, const char *path, const void *bytes, uint32_t length) {
    uint16_t path_length = path ? (uint16_t)strlen(path) : 0;
    struct iovec parts[7] = {{&kind, 1},        {&inode, 8},
                             {&offset, 8},      {&length, 4},
                             {&path_length, 2}, {(void *)path, path_length},
                             {(void *)bytes, length}};
    size_t total = 23 + (size_t)path_length + length;
    REAL(ssize_t, writev, int, const struct iovec *, int);
    pthread_mutex_lock(&lock);
    if (real(journal, parts, 7) != (ssize_t)total) die("the journal can't be written");
    pthread_mutex_unlock(&lock);
}

static int is_inside(const char *path) {
    return journal >= 0 && !strncmp(path, root, root_length) && (path[root_length] == '/' || !path[root_length]);
}

/* The absolute path of a name, if it is inside. */
static int absolute(int folder, const char *name, char *path) {
    if (journal < 0 || !name) return 0;
    if (name[0] == '/') {
        if (strlen(name) >= PATH_MAX) return 0;
        strcpy(path, name);
    } else {
        char base[PATH_MAX];
        if (folder == AT_FDCWD) {
            if (!getcwd(base, sizeof base)) return 0;
        } else {
            char link[64];
            snprintf(link, sizeof link, "/proc/self/fd/%d", folder);
            ssize_t length = readlink(link, base, sizeof base - 1);
            if (length < 0) return 0;
            base[length] = 0;
        }
        if (snprintf(path, PATH_MAX, "%s/%s", base, name) >= PATH_MAX) return 0;
    }
    return is_inside(path);
}

/* The path and status of a descriptor, if its file is inside. */
static int look(int descriptor, char *path, struct stat *status) {
    if (journal < 0 || descriptor == journal) return 0;
    int kept = errno;
    char link[64];
    snprintf(link, sizeof link, "/proc/self/fd/%d", descriptor);
    ssize_t length = readlink(link, path, PATH_MAX - 1);
    if (length > 0) path[length] = 0;
    int found = length > 0 && is_inside(path) && !fstat(descriptor, status);
    errno = kept;
    return found;
}

static int inside(int descriptor, uint64_t *inode) {
    char path[PATH_MAX];
    struct stat status;
    int found = look(descriptor, path, &status);
    if (found) *inode = status.st_ino;
    return found;
}

static int opened(int descriptor, int existed, int flags, const char *path) {
    struct stat status;
    if (descriptor < 0 || fstat(descriptor, &status)) return descriptor;
    if ((flags & O_CREAT) && !existed) put(CREATE, status.st_ino, 0, path, NULL, 0);
    else if (flags & O_TRUNC) put(TRUNCATE, status.st_ino, 0, NULL, NULL, 0);
    return descriptor;
}

#define OPEN(name, declared, folder, ...)                                     \
    int name declared {                                                       \
        mode_t mode = 0;                                                      \
        if ((flags & O_CREAT) || (flags & O_TMPFILE) == O_TMPFILE) {                               \
            va_list rest;                                                     \
            va_start(rest, flags);                                            \
            mode = va_arg(rest, mode_t);                                      \
            va_end(rest);                                                     \
        }                                                                     \
        static int (*real) declared;                                          \
        if (!real) *(void **)&real = dlsym(RTLD_NEXT, #name);                 \
        char path[PATH_MAX];                                                  \
        if (!absolute(folder, file, path)) return real(__VA_ARGS__, flags, mode); \
        int existed = !access(path, F_OK);                                    \
        return opened(real(__VA_ARGS__, flags, mode), existed, flags, path);  \
    }
OPEN(open, (const char *file, int flags, ...), AT_FDCWD, file)
OPEN(open64, (const char *file, int flags, ...), AT_FDCWD, file)
OPEN(openat, (int folder, const char *file, int flags, ...), folder, folder, file)
OPEN(openat64, (int folder, const char *file, int flags, ...), folder, folder, file)

static ssize_t wrote(int descriptor, ssize_t done, const void *bytes, off_t offset) {
    uint64_t inode;
    if (done > 0 && inside(descriptor, &inode)) put(WRITE, inode, (uint64_t)offset, NULL, bytes, (uint32_t)done);
    return done;
}

ssize_t write(int descriptor, const void *bytes, size_t length) {
    REAL(ssize_t, write, int, const void *, size_t);
    ssize_t done = real(descriptor, bytes, length);
    uint64_t inode;
    if (done <= 0 || !inside(descriptor, &inode)) return done;
    return wrote(descriptor, done, bytes, lseek(descriptor, 0, SEEK_CUR) - done);
}

ssize_t pwrite(int descriptor, const void *bytes, size_t length, off_t offset) {
    REAL(ssize_t, pwrite, int, const void *, size_t, off_t);
    return wrote(descriptor, real(descriptor, bytes, length, offset), bytes, offset);
}

ssize_t pwrite64(int descriptor, const void *bytes, size_t length, off64_t offset) {
    REAL(ssize_t, pwrite64, int, const void *, size_t, off64_t);
    return wrote(descriptor, real(descriptor, bytes, length, offset), bytes, offset);
}

/* Vectored writes, mappings for writing and copies inside the kernel are not modelled: nobody may believe they were. */
ssize_t writev(int descriptor, const struct iovec *parts, int count) {
    REAL(ssize_t, writev, int, const struct iovec *, int);
    uint64_t inode;
    if (inside(descriptor, &inode)) die("writev below the folder is not modelled");
    return real(descriptor, parts, count);
}

ssize_t pwritev(int descriptor, const struct iovec *parts, int count, off_t offset) {
    REAL(ssize_t, pwritev, int, const struct iovec *, int, off_t);
    uint64_t inode;
    if (inside(descriptor, &inode)) die("pwritev below the folder is not modelled");
    return real(descriptor, parts, count, offset);
}

int fallocate(int descriptor, int mode, off_t offset, off_t length) {
    REAL(int, fallocate, int, int, off_t, off_t);
    uint64_t inode;
    if (inside(descriptor, &inode)) die("fallocate below the folder is not modelled");
    return real(descriptor, mode, offset, length);
}

static int truncated(int descriptor, int result, off_t length) {
    uint64_t inode;
    if (!result && inside(descriptor, &inode)) put(TRUNCATE, inode, (uint64_t)length, NULL, NULL, 0);
    return result;
}

int ftruncate(int descriptor, off_t length) {
    REAL(int, ftruncate, int, off_t);
    return truncated(descriptor, real(descriptor, length), length);
}

int ftruncate64(int descriptor, off64_t length) {
    REAL(int, ftruncate64, int, off64_t);
    return truncated(descriptor, real(descriptor, length), length);
}

static void syncing(int descriptor) {
    char path[PATH_MAX];
    struct stat status;
    if (!look(descriptor, path, &status)) return;
    put(SYNC, status.st_ino, 0, S_ISDIR(status.st_mode) ? path : NULL, NULL, 0);
}

int fsync(int descriptor) {
    REAL(int, fsync, int);
    syncing(descriptor);
    return real(descriptor);
}

int fdatasync(int descriptor) {
    REAL(int, fdatasync, int);
    syncing(descriptor);
    return real(descriptor);
}

static int named(uint8_t kind, int result, const char *path) {
    if (!result) put(kind, 0, 0, path, NULL, 0);
    return result;
}

int unlink(const char *file) {
    REAL(int, unlink, const char *);
    char path[PATH_MAX];
    int is = absolute(AT_FDCWD, file, path), result = real(file);
    return is ? named(UNLINK, result, path) : result;
}

int unlinkat(int folder, const char *file, int flags) {
    REAL(int, unlinkat, int, const char *, int);
    char path[PATH_MAX];
    int is = absolute(folder, file, path), result = real(folder, file, flags);
    return is ? named(flags & AT_REMOVEDIR ? RMDIR : UNLINK, result, path) : result;
}

int rmdir(const char *file) {
    REAL(int, rmdir, const char *);
    char path[PATH_MAX];
    int is = absolute(AT_FDCWD, file, path), result = real(file);
    return is ? named(RMDIR, result, path) : result;
}

int mkdir(const char *file, mode_t mode) {
    REAL(int, mkdir, const char *, mode_t);
    char path[PATH_MAX];
    int is = absolute(AT_FDCWD, file, path), result = real(file, mode);
    return is ? named(MKDIR, result, path) : result;
}

int rename(const char *from, const char *to) {
    REAL(int, rename, const char *, const char *);
    char old[PATH_MAX], new[PATH_MAX];
    int is = absolute(AT_FDCWD, from, old) & absolute(AT_FDCWD, to, new), result = real(from, to);
    if (!result && is) put(RENAME, 0, 0, old, new, (uint32_t)strlen(new));
    return result;
}
