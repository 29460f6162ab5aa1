/* Temporaries and their installation: see sink_path.h. Everything named run_ is on a pool
 * thread and sees its job only. */
#include "api/sink_path.h"

#include "api/sink_keep.h"
#include "async/work.h"
#include "base/auto.h"
#include "base/partial.h"

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <limits.h>
#include <linux/limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/xattr.h>

/* A name's random part; a collision (EEXIST) is tried again with another. */
#define TRIES 16

/* Symbolic links followed, as the kernel does. */
#define LINKS 40

/* Nothing tells of a reader that opens a FIFO: this often we look. */
#define READER_MS 20

/* Nor of a partial that is let go; half a second, for one that was cancelled a moment ago. */
#define BUSY_TRIES 25

struct place_job {
    ferry_job job;
    char *path; /* in prepare: what the user said; in install: unused */
    uint32_t mode;
    bool resume;
    ferry_sink_place place;
    /* install */
    uint64_t size;
    bool durable, keep, installed;
    int result;
};

/* ---- names ------------------------------------------------------------------------- */

/* "/dir/.name.ferry-1a2b3c4d": hidden, beside the target, says whose it is. */
static char *temporary_name(const char *target)
{
    uint32_t random = 0;
    const char *slash = strrchr(target, '/');
    int dir = slash ? (int)(slash - target) : 0;
    char *name = NULL;

    if (getrandom(&random, sizeof random, 0) < 0)
        return NULL;
    if (asprintf(&name, "%.*s/.%.200s.ferry-%08x", dir, target,
                 slash ? slash + 1 : target, random) < 0)
        return NULL;
    return name;
}

/* A new name in a directory that exists. */
static int new_name(const char *path, char **ret)
{
    size_t n = strlen(path);
    FERRY_AUTO(mem) char *copy = strdup(path), *copy2 = strdup(path);
    if (!copy || !copy2)
        return -ENOMEM;
    const char *base = basename(copy2);
    FERRY_AUTO(mem) char *dir = realpath(dirname(copy), NULL);
    if (!dir)
        return -errno;
    if (n == 0 || path[n - 1] == '/')
        return n ? -EISDIR : -ENOENT;
    return asprintf(ret, "%s/%s", strcmp(dir, "/") ? dir : "", base) < 0 ? -ENOMEM : 0;
}

/* Where a link that leads nowhere leads: 1 and that. 0: no such link. (/dev/stdout of a pipe
 * reads like one, but leads somewhere.) */
static int dangling(const char *path, char **ret)
{
    char to[PATH_MAX];
    struct stat st;
    ssize_t n = readlink(path, to, sizeof to - 1);
    if (n <= 0 || stat(path, &st) == 0)
        return 0;
    to[n] = '\0';
    int dir = to[0] == '/' ? 0 : (int)(strrchr(path, '/') - path) + 1;
    return asprintf(ret, "%.*s%s", dir, path, to) < 0 ? -ENOMEM : 1;
}

/* The file the path means: an existing one through its links, else a new name in a directory that
 * exists; through a dangling link too, as open(2) would make it. */
static int resolve(const char *path, char **ret)
{
    FERRY_AUTO(mem) char *at = strdup(path);
    for (int i = 0; at && i < LINKS; i++) {
        *ret = realpath(at, NULL);
        if (*ret || errno != ENOENT)
            return *ret ? 0 : -errno;
        int r = new_name(at, ret);
        free(ferry_take(&at));
        if (r == 0)
            r = dangling(*ret, &at);
        if (r <= 0)
            return r;
        free(ferry_take(ret));
    }
    return at ? -ELOOP : -ENOMEM;
}

/* ---- preparing --------------------------------------------------------------------- */

/* -EAGAIN: a FIFO that nobody reads yet. It is never opened for both: then we would be a
 * reader ourselves, and would not hear of it when the other one is gone. */
static int open_special(struct place_job *j)
{
    int fd = open(j->place.target, O_WRONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
    if (fd < 0)
        return errno == ENXIO && S_ISFIFO(j->place.st.st_mode) ? -EAGAIN : -errno;
    j->place.special = true;
    return ferry_file_new(fd, &j->place.file);
}

static int open_named(const char *target, mode_t mode, char **ret_name)
{
    for (int i = 0; i < TRIES; i++) {
        char *name = temporary_name(target);
        if (!name)
            return -ENOMEM;
        int fd = open(name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, mode);
        if (fd >= 0) {
            *ret_name = name;
            return fd;
        }
        int r = -errno;
        free(name);
        if (r != -EEXIST)
            return r;
    }
    return -EEXIST;
}

static int open_new(struct place_job *j)
{
    FERRY_AUTO(mem) char *copy = strdup(j->place.target);
    if (!copy)
        return -ENOMEM;
    int fd = open(dirname(copy), O_TMPFILE | O_WRONLY | O_CLOEXEC, 0666);
    if (fd < 0 &&
        (errno == EOPNOTSUPP || errno == EISDIR || errno == EINVAL || errno == ENOENT))
        fd = open_named(j->place.target, 0666, &j->place.temporary);
    return fd < 0 && !j->place.temporary ? -errno : fd;
}

static int open_temporary(struct place_job *j)
{
    int fd = j->resume ? ferry_sink_open_partial(&j->place) : -ENOENT;
    if (fd == -ENOENT)
        fd = open_new(j);
    if (fd < 0)
        return fd;
    if (j->mode && fchmod(fd, j->mode & 07777) < 0) {
        int r = -errno;
        close(fd);
        return r;
    }
    return ferry_file_new(fd, &j->place.file);
}

static void run_prepare(ferry_job *job)
{
    struct place_job *j = ferry_container(job, struct place_job, job);
    j->result = resolve(j->path, &j->place.target);
    if (j->result < 0)
        return;
    if (stat(j->place.target, &j->place.st) < 0)
        j->result = errno == ENOENT ? open_temporary(j) : -errno;
    else if (S_ISDIR(j->place.st.st_mode))
        j->result = -EISDIR;
    else if (!S_ISREG(j->place.st.st_mode))
        j->result = open_special(j);
    else if (faccessat(AT_FDCWD, j->place.target, W_OK, AT_EACCESS) < 0)
        j->result = -errno;
    else
        j->result = open_temporary(j);
}

static void free_place(ferry_job *job)
{
    struct place_job *j = ferry_container(job, struct place_job, job);
    if (j->place.temporary && !j->place.resumed)
        unlink(j->place.temporary);
    ferry_file_unref(j->place.file);
    free(j->place.target);
    free(j->place.temporary);
    free(j->path);
    free(j);
}

static FERRY_CO int prepare_once(const char *path, uint32_t mode, bool resume,
                                 ferry_sink_place *ret)
{
    struct place_job *j = calloc(1, sizeof *j);
    if (!j)
        return -ENOMEM;
    ferry_job_init(&j->job, run_prepare, free_place);
    j->mode = mode;
    j->resume = resume;
    j->path = strdup(path);
    int r = j->path ? ferry_work(&j->job, FERRY_WORK_IN_TURN) : -ENOMEM;
    if (r == 0)
        r = j->result;
    if (r == 0) {
        *ret = j->place;
        j->place = (ferry_sink_place){0};
    }
    ferry_job_unref(&j->job);
    return r;
}

int ferry_sink_prepare(const char *path, uint32_t mode, bool resume,
                       ferry_sink_place *ret)
{
    int r = prepare_once(path, mode, resume, ret);
    for (unsigned i = 0; r == -EAGAIN || (r == -EBUSY && i < BUSY_TRIES); i++) {
        r = ferry_sleep(READER_MS);
        if (r == 0)
            r = prepare_once(path, mode, resume, ret);
    }
    return r;
}

/* ---- installing -------------------------------------------------------------------- */

/* As far as the file system and our rights allow: what replaces a file should look like it.
 * But the image's bytes do not get the capabilities of the program they replace: write(2)
 * takes those away too. */
static void copy_attributes(int from, int to)
{
    FERRY_AUTO(mem) char *names = malloc(XATTR_LIST_MAX);
    FERRY_AUTO(mem) char *value = malloc(XATTR_SIZE_MAX);
    if (!names || !value)
        return;
    ssize_t len = flistxattr(from, names, XATTR_LIST_MAX);
    for (ssize_t i = 0; i < len; i += (ssize_t)strlen(names + i) + 1) {
        ssize_t n = fgetxattr(from, names + i, value, XATTR_SIZE_MAX);
        if (n >= 0 && strcmp(names + i, "security.capability") != 0)
            (void)fsetxattr(to, names + i, value, (size_t)n, 0);
    }
}

static void take_after(const char *target, int fd)
{
    struct stat st;
    FERRY_AUTO(fd) int old = open(target, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
    if (old < 0 ? stat(target, &st) < 0 : fstat(old, &st) < 0)
        return; /* a new file */
    if (fchown(fd, st.st_uid, st.st_gid) < 0 && fchown(fd, (uid_t)-1, st.st_gid) < 0) {
        /* not ours to give away: it stays the caller's */
    }
    (void)fchmod(fd, st.st_mode & 01777); /* set-id bits: as with capabilities */
    if (old >= 0)
        copy_attributes(old, fd);
}

/* Gives the unnamed file a name beside the target: linkat cannot replace, rename can. */
static int give_name(struct place_job *j)
{
    char self[32];
    snprintf(self, sizeof self, "/proc/self/fd/%d", j->place.file->fd);
    for (int i = 0; i < TRIES; i++) {
        char *name = temporary_name(j->place.target);
        if (!name)
            return -ENOMEM;
        if (linkat(AT_FDCWD, self, AT_FDCWD, name, AT_SYMLINK_FOLLOW) == 0) {
            j->place.temporary = name;
            return 0;
        }
        int r = -errno;
        free(name);
        if (r != -EEXIST)
            return r;
    }
    return -EEXIST;
}

static int sync_directory(const char *target)
{
    FERRY_AUTO(mem) char *copy = strdup(target);
    if (!copy)
        return -ENOMEM;
    FERRY_AUTO(fd) int fd = open(dirname(copy), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    return fd < 0 || fsync(fd) < 0 ? -errno : 0;
}

/* What an earlier try has left is of no use any more. */
static void remove_partial(const struct place_job *j)
{
    FERRY_AUTO(mem) char *partial = ferry_partial_name(j->place.target);
    if (partial)
        ferry_partial_remove(AT_FDCWD, partial);
}

static int put_in_place(struct place_job *j)
{
    int r = 0;
    if (j->place.resumed)
        r = ferry_partial_check(AT_FDCWD, j->place.temporary, j->place.file->fd);
    else if (!j->place.temporary)
        r = give_name(j);
    if (r < 0)
        return r;
    if (rename(j->place.temporary, j->place.target) < 0)
        return -errno;
    j->installed = true;
    free(ferry_take(&j->place.temporary));
    if (j->keep && !j->place.resumed)
        remove_partial(j);
    return 0;
}

static int install(struct place_job *j)
{
    int fd = j->place.file->fd;
    if (ftruncate(fd, (off_t)j->size) < 0)
        return -errno;
    take_after(j->place.target, fd);
    if (j->durable && fsync(fd) < 0)
        return -errno;
    int r = put_in_place(j);
    return r == 0 && j->durable ? sync_directory(j->place.target) : r;
}

static void run_install(ferry_job *job)
{
    struct place_job *j = ferry_container(job, struct place_job, job);
    j->result = install(j);
}

int ferry_sink_install(ferry_sink *s)
{
    struct place_job *j = calloc(1, sizeof *j);
    if (!j)
        return -ENOMEM;
    ferry_job_init(&j->job, run_install, free_place);
    j->place = (ferry_sink_place){.target = ferry_take(&s->target),
                                  .temporary = ferry_take(&s->temporary),
                                  .file = ferry_file_ref(s->file),
                                  .resumed = s->resumed};
    j->size = s->offset;
    j->durable = s->durable;
    j->keep = s->keep;
    int r = ferry_work(&j->job, s->durable ? FERRY_WORK_BULK : FERRY_WORK_IN_TURN);
    if (r == 0)
        r = j->result;
    s->installed = j->installed;
    if (!j->installed) { /* it may be kept */
        s->target = ferry_take(&j->place.target);
        s->temporary = ferry_take(&j->place.temporary);
    }
    ferry_job_unref(&j->job);
    return r;
}

/* ---- a file of the caller's -------------------------------------------------------- */

struct file_job {
    ferry_job job;
    ferry_file *file;
    uint64_t offset, len;
    bool durable;
    int result;
};

static void free_file(ferry_job *job)
{
    struct file_job *j = ferry_container(job, struct file_job, job);
    ferry_file_unref(j->file);
    free(j);
}

static FERRY_CO int work_on(ferry_file *f, uint64_t offset, uint64_t len, bool durable,
                            void (*run)(ferry_job *))
{
    struct file_job *j = calloc(1, sizeof *j);
    if (!j)
        return -ENOMEM;
    ferry_job_init(&j->job, run, free_file);
    j->file = ferry_file_ref(f);
    j->offset = offset;
    j->len = len;
    j->durable = durable;
    int r = ferry_work(&j->job, durable ? FERRY_WORK_BULK : FERRY_WORK_IN_TURN);
    if (r == 0)
        r = j->result;
    ferry_job_unref(&j->job);
    return r;
}

static void run_punch(ferry_job *job)
{
    struct file_job *j = ferry_container(job, struct file_job, job);
    struct stat st;
    if (fstat(j->file->fd, &st) < 0)
        j->result = -errno;
    else if (S_ISREG(st.st_mode) && (uint64_t)st.st_size <= j->offset)
        j->result = 0; /* nothing there yet: the end sets the size */
    else if (fallocate(j->file->fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
                       (off_t)j->offset, (off_t)j->len) < 0)
        j->result = -errno;
}

int ferry_sink_punch(ferry_file *f, uint64_t offset, uint64_t len)
{
    return work_on(f, offset, len, false, run_punch);
}

static void run_end(ferry_job *job)
{
    struct file_job *j = ferry_container(job, struct file_job, job);
    struct stat st;
    int fd = j->file->fd;
    if (fstat(fd, &st) < 0)
        j->result = -errno;
    else if (S_ISREG(st.st_mode) && (uint64_t)st.st_size < j->offset &&
             ftruncate(fd, (off_t)j->offset) < 0)
        j->result = -errno;
    else if (lseek(fd, (off_t)j->offset, SEEK_SET) < 0)
        j->result = -errno;
    else if (j->durable && fsync(fd) < 0)
        j->result = -errno;
}

int ferry_sink_end_file(ferry_sink *s)
{
    return work_on(s->file, s->offset, 0, s->durable, run_end);
}
