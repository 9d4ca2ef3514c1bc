/* Makes writes and syncs of the files below one folder fail when a test says so. Preloaded into the process under test, which
 * changes its mind by rewriting a small file; see tests/src/faults.rs.
 *
 *   WAXWING_FAULT_ROOT   the folder, absolute, without a trailing slash
 *   WAXWING_FAULT        the file outside of it: "kind error after generation" in decimal
 *                        kind 1 writes, 2 syncs, 3 both; error an errno; after so many good ones everything of that kind fails;
 *                        kind 0 nothing fails. Another generation counts anew.
 *
 * A write that fails for want of room writes its first half, as a disk that fills up does.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>
#include <unistd.h>

enum { WRITES = 1, SYNCS = 2 };

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static int orders = -1;
static char root[PATH_MAX];
static size_t root_length;
static long generation = -1, left;

#define REAL(type, name, ...)                                       \
    static type (*real)(__VA_ARGS__);                               \
    if (!real) real = (type(*)(__VA_ARGS__))dlsym(RTLD_NEXT, #name)

__attribute__((constructor)) static void start(void) {
    const char *folder = getenv("WAXWING_FAULT_ROOT"), *path = getenv("WAXWING_FAULT");
    if (!folder || !path || strlen(folder) >= sizeof root) return;
    strcpy(root, folder);
    root_length = strlen(root);
    orders = open(path, O_RDONLY | O_CLOEXEC);
}

static int is_inside(int descriptor) {
    char link[64], path[PATH_MAX];
    snprintf(link, sizeof link, "/proc/self/fd/%d", descriptor);
    ssize_t length = readlink(link, path, sizeof path - 1);
    if (length <= 0) return 0;
    path[length] = 0;
    return !strncmp(path, root, root_length) && path[root_length] == '/';
}

/* The error that this operation is to fail with, or 0. */
static int fault(int kind, int descriptor) {
    if (orders < 0 || descriptor == orders) return 0;
    int kept = errno, error = 0;
    if (is_inside(descriptor)) {
        char text[64] = {0};
        REAL(ssize_t, pread, int, void *, size_t, off_t);
        int wanted = 0, with = 0;
        long after = 0, now = 0;
        pthread_mutex_lock(&lock);
        if (real(orders, text, sizeof text - 1, 0) > 0 && sscanf(text, "%d %d %ld %ld", &wanted, &with, &after, &now) == 4) {
            if (now != generation) generation = now, left = after;
            if (wanted & kind && left-- <= 0) error = with;
        }
        pthread_mutex_unlock(&lock);
    }
    errno = kept;
    return error;
}

ssize_t write(int descriptor, const void *bytes, size_t length) {
    REAL(ssize_t, write, int, const void *, size_t);
    int error = fault(WRITES, descriptor);
    if (!error) return real(descriptor, bytes, length);
    if (error == ENOSPC && length > 1) return real(descriptor, bytes, length / 2);
    errno = error;
    return -1;
}

#define PWRITE(name, offset_type)                                                         \
    ssize_t name(int descriptor, const void *bytes, size_t length, offset_type offset) {  \
        REAL(ssize_t, name, int, const void *, size_t, offset_type);                      \
        int error = fault(WRITES, descriptor);                                            \
        if (!error) return real(descriptor, bytes, length, offset);                       \
        if (error == ENOSPC && length > 1) return real(descriptor, bytes, length / 2, offset); \
        errno = error;                                                                    \
        return -1;                                                                        \
    }
PWRITE(pwrite, off_t)
PWRITE(pwrite64, off64_t)

#define SYNC(name)                              \
    int name(int descriptor) {                  \
        REAL(int, name, int);                   \
        int error = fault(SYNCS, descriptor);   \
        if (!error) return real(descriptor);    \
        errno = error;                          \
        return -1;                              \
    }
SYNC(fsync)
SYNC(fdatasync)
