/* A disk that has only what was synced: preloaded into a process, it keeps a second copy ("the disk")
 * of one folder. Writes go to the folder alone; `fsync` and `fdatasync` bring the file's bytes to the
 * disk, as they are then. Names are on the disk at once: what is removed or renamed is so there too,
 * which is the harder case, because a name may change before the bytes are there. When the process is
 * killed, the disk is what a power cut would have left.
 *
 *   POWER_FOLDER  the folder; paths below it
 *   POWER_DISK    the copy
 *   POWER_DELAY   microseconds that a sync takes at least, so that a cut meets something unsynced
 *   POWER_LIE     while a file of this name exists, syncs say yes and do nothing
 *
 * A sync that is cut short leaves a part of the file there, as a disk does. Processes may share a
 * folder: a sync of one brings what all have written. `-shm` files are memory, not kept. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#define BLOCK 65536

static int (*real_unlink)(const char *);
static int (*real_rename)(const char *, const char *);
static int (*real_mkdir)(const char *, mode_t);
static int (*real_link)(const char *, const char *);

/* Where a path of the folder is on the disk; 0 if it is none of it. */
static int placed(const char *path, char *out) {
    const char *folder = getenv("POWER_FOLDER"), *disk = getenv("POWER_DISK");
    char whole[PATH_MAX];
    if (!folder || !disk) return 0;
    if (path[0] != '/') {
        char here[PATH_MAX / 2];
        if (!getcwd(here, sizeof here)) return 0;
        if (snprintf(whole, sizeof whole, "%s/%s", here, path) >= (int)sizeof whole) return 0;
        path = whole;
    }
    size_t length = strlen(folder), end = strlen(path);
    if (strncmp(path, folder, length) || path[length] != '/') return 0;
    if (end > 4 && !strcmp(path + end - 4, "-shm")) return 0;
    if (strstr(path, " (deleted)")) return 0;
    return snprintf(out, PATH_MAX, "%s%s", disk, path + length) < PATH_MAX;
}

/* Makes the copy's bytes those of the file. */
static int bring(int from, const char *to) {
    static __thread char mine[BLOCK], there[BLOCK];
    struct stat stat;
    int result = -1, disk = open(to, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (disk < 0) return -1;
    /* Two syncs of one file must not bring older bytes after newer ones. */
    if (flock(disk, LOCK_EX) || fstat(from, &stat)) goto out;
    for (off_t at = 0; at < stat.st_size;) {
        ssize_t got = pread(from, mine, BLOCK, at);
        if (got <= 0) break;
        ssize_t had = pread(disk, there, got, at);
        if ((had != got || memcmp(mine, there, got)) && pwrite(disk, mine, got, at) != got) goto out;
        at += got;
    }
    result = ftruncate(disk, stat.st_size);
out:
    close(disk);
    return result;
}

static int sync_of(int file) {
    char link[64], path[PATH_MAX], to[PATH_MAX];
    struct stat stat;
    const char *lie = getenv("POWER_LIE");
    if (fstat(file, &stat)) return -1;
    if (!S_ISREG(stat.st_mode)) return 0;
    snprintf(link, sizeof link, "/proc/self/fd/%d", file);
    ssize_t length = readlink(link, path, sizeof path - 1);
    if (length < 0) return -1;
    path[length] = 0;
    if (!placed(path, to) || (lie && !access(lie, F_OK))) return 0;
    const char *delay = getenv("POWER_DELAY");
    if (delay) usleep(atoi(delay));
    /* The file may be open for writing only. */
    int from = open(link, O_RDONLY | O_CLOEXEC);
    if (from < 0) return -1;
    int result = bring(from, to);
    close(from);
    return result;
}

int fsync(int file) { return sync_of(file); }

int fdatasync(int file) { return sync_of(file); }

int unlink(const char *path) {
    char to[PATH_MAX];
    if (!real_unlink) real_unlink = dlsym(RTLD_NEXT, "unlink");
    int result = real_unlink(path);
    if (!result && placed(path, to)) {
        real_unlink(to);
        errno = 0;
    }
    return result;
}

int rename(const char *old, const char *new) {
    char from[PATH_MAX], to[PATH_MAX];
    if (!real_rename) real_rename = dlsym(RTLD_NEXT, "rename");
    int result = real_rename(old, new);
    if (!result && placed(old, from) && placed(new, to) && real_rename(from, to)) {
        /* Nothing of it was synced: the new name is there and is empty. */
        int empty = open(to, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
        if (empty >= 0) close(empty);
        errno = 0;
    }
    return result;
}

int link(const char *old, const char *new) {
    char from[PATH_MAX], to[PATH_MAX];
    if (!real_link) real_link = dlsym(RTLD_NEXT, "link");
    int result = real_link(old, new);
    if (!result && placed(old, from) && placed(new, to)) {
        real_link(from, to);
        errno = 0;
    }
    return result;
}

int mkdir(const char *path, mode_t mode) {
    char to[PATH_MAX];
    if (!real_mkdir) real_mkdir = dlsym(RTLD_NEXT, "mkdir");
    int result = real_mkdir(path, mode);
    if (!result && placed(path, to)) {
        real_mkdir(to, mode);
        errno = 0;
    }
    return result;
}
