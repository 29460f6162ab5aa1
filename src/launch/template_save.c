/* Templates on disk, writing and removing; see template.h.
 *
 *      lock (flock: a killed builder's goes with it)
 *        -> .NAME.tmp/{ram,state,meta}, synced -> the old one away -> rename -> unlock
 *
 * What a killed builder left is removed by the next one. */
#include "base/auto.h"
#include "base/error.h"
#include "launch/cache.h"
#include "launch/digest.h"
#include "launch/template_dir.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/statvfs.h>

#define CHUNK (64 * FERRY_DIGEST_PAGE)
/* An upgrade of qemu or the appliance makes another one; so many of the newest are kept. */
#define KEPT 4
/* One takes 70 MiB; whoever has so little left needs it for something else. */
#define ROOM_MIB 160

/* ---- directories --------------------------------------------------------------------- */

int ferry_template_subdir(int top, const char *name)
{
    FERRY_AUTO(fd)
    int fd = openat(top, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0)
        return -errno;
    return ferry_cache_is_ours(fd) ? ferry_take_fd(&fd) : -EPERM;
}

int ferry_template_top(bool create, ferry_error *e)
{
    FERRY_AUTO(fd) int cache = ferry_cache_dir(create);
    if (cache < 0)
        return ferry_fail(
            e, -ENOENT, "template",
            "the cache directory ($XDG_CACHE_HOME, ~/.cache) is not there, "
            "not yours, or cannot be made");
    if (create && mkdirat(cache, "templates", 0700) < 0 && errno != EEXIST)
        return ferry_fail(e, -errno, "template", "the cache directory: %s",
                          ferry_strerror(-errno));
    int top = ferry_template_subdir(cache, "templates");
    return top < 0
               ? ferry_fail(e, top, "template", "templates in the cache directory: %s",
                            ferry_strerror(top))
               : top;
}

/* A directory of files, and nothing deeper. */
static void remove_dir(int top, const char *name)
{
    int fd = openat(top, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    DIR *d = fd < 0 ? NULL : fdopendir(fd);
    if (fd >= 0 && !d)
        close(fd);
    for (struct dirent *e; d && (e = readdir(d));)
        if (strcmp(e->d_name, ".") != 0 && strcmp(e->d_name, "..") != 0)
            unlinkat(dirfd(d), e->d_name, 0);
    if (d)
        closedir(d);
    if (unlinkat(top, name, AT_REMOVEDIR) < 0)
        unlinkat(top, name, 0); /* a symbolic link, a file */
}

/* ---- the lock ------------------------------------------------------------------------ */

static bool is_whole(const char *key)
{
    ferry_template t = FERRY_TEMPLATE_INIT;
    atomic_bool stop = false;
    bool whole = ferry_template_open(key, &t, NULL) == 0 &&
                 ferry_template_verify(&t, &stop, NULL) == 0;
    ferry_template_done(&t);
    return whole;
}

/* Before a boot is spent on it. */
static bool has_room(int top)
{
    struct statvfs fs;
    return fstatvfs(top, &fs) < 0 ||
           (uint64_t)fs.f_bavail * fs.f_frsize >= (uint64_t)ROOM_MIB << 20;
}

int ferry_template_lock(const char *key, int *ret_lock, ferry_error *e)
{
    char name[FERRY_TEMPLATE_NAME], file[FERRY_TEMPLATE_NAME + 8];
    ferry_template_name(key, name);
    snprintf(file, sizeof file, "%s.lock", name);
    FERRY_AUTO(fd) int top = ferry_template_top(true, e);
    if (top < 0)
        return top;
    FERRY_AUTO(fd)
    int lock = openat(top, file, O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (lock < 0)
        return ferry_fail(e, -errno, "template", "no template can be kept: %s",
                          ferry_strerror(-errno));
    if (flock(lock, LOCK_EX | LOCK_NB) < 0)
        return ferry_fail(e, -FERRY_EBUSY, "template",
                          "another process is making this template");
    if (!has_room(top))
        return ferry_fail(e, -ENOSPC, "template",
                          "no template can be kept: %d MiB of disk space are wanted",
                          ROOM_MIB);
    if (is_whole(key))
        return ferry_fail(e, -FERRY_EEXIST, "template", "the template is there already");
    *ret_lock = ferry_take_fd(&lock);
    return 0;
}

/* ---- one file ------------------------------------------------------------------------ */

static int create(int dir, const char *name, int *ret)
{
    *ret = openat(dir, name, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
    return *ret < 0 ? -errno : 0;
}

static int write_at(int fd, const uint8_t *p, size_t len, off_t at)
{
    while (len > 0) {
        ssize_t n = pwrite(fd, p, len, at);
        if (n < 0)
            return -errno;
        p += n;
        at += n;
        len -= (size_t)n;
    }
    return 0;
}

static bool is_zero(const uint8_t *page)
{
    return page[0] == 0 && memcmp(page, page + 1, FERRY_DIGEST_PAGE - 1) == 0;
}

/* Pages of zeroes stay holes: half of what the kernel has touched is free again. */
static int copy_chunk(int to, const uint8_t *buf, size_t n, off_t at, ferry_digest *d)
{
    for (size_t i = 0; i < n; i += FERRY_DIGEST_PAGE) {
        off_t page = at + (off_t)i;
        if (is_zero(buf + i))
            continue;
        ferry_digest_page(d, (uint64_t)page / FERRY_DIGEST_PAGE, buf + i);
        int r = write_at(to, buf + i, FERRY_DIGEST_PAGE, page);
        if (r < 0)
            return r;
    }
    return 0;
}

/* Copies what is not zero and digests it; the copy is on the disk when it returns. */
static int copy_file(int from, int dir, const char *name, uint64_t *ret_bytes,
                     uint64_t *ret_digest)
{
    struct stat st;
    ferry_digest d;
    FERRY_AUTO(fd) int to = -1;
    FERRY_AUTO(mem) uint8_t *buf = malloc(CHUNK);
    int r = buf ? create(dir, name, &to) : -ENOMEM;
    if (r == 0 && fstat(from, &st) < 0)
        r = -errno;
    if (r < 0)
        return r;
    ferry_digest_init(&d, (uint64_t)st.st_size);
    for (off_t at = 0; r == 0 && at < st.st_size;) {
        off_t data = lseek(from, at, SEEK_DATA);
        if (data < 0)
            break; /* nothing but a hole to the end */
        at = data / FERRY_DIGEST_PAGE * FERRY_DIGEST_PAGE;
        ssize_t n = ferry_template_read_pages(from, buf, CHUNK, at);
        r = n <= 0 ? (n < 0 ? (int)n : -EIO) : copy_chunk(to, buf, (size_t)n, at, &d);
        at += n;
    }
    if (r == 0 && (ftruncate(to, st.st_size) < 0 || fsync(to) < 0))
        r = -errno;
    *ret_bytes = (uint64_t)st.st_size;
    *ret_digest = ferry_digest_end(&d);
    return r;
}

static int write_meta(int dir, const char *key, const ferry_template *t)
{
    FERRY_AUTO(mem) char *text = NULL;
    FERRY_AUTO(fd) int fd = -1;
    int len =
        asprintf(&text,
                 FERRY_TEMPLATE_MAGIC "\nram %" PRIu64 " %016" PRIx64 "\nstate %" PRIu64
                                      " %016" PRIx64 "\n\n%s",
                 t->ram_bytes, t->ram_digest, t->state_bytes, t->state_digest, key);
    if (len < 0) {
        text = NULL;
        return -ENOMEM;
    }
    int r = create(dir, "meta", &fd);
    if (r == 0)
        r = write_at(fd, (const uint8_t *)text, (size_t)len, 0);
    return r == 0 && fsync(fd) < 0 ? -errno : r;
}

/* ---- all of it ----------------------------------------------------------------------- */

static int fill(int top, const char *temp, const char *key, int ram, int state)
{
    ferry_template t = FERRY_TEMPLATE_INIT;
    remove_dir(top, temp); /* a killed builder's */
    if (mkdirat(top, temp, 0700) < 0)
        return -errno;
    FERRY_AUTO(fd) int dir = ferry_template_subdir(top, temp);
    int r = dir < 0 ? dir : copy_file(ram, dir, "ram", &t.ram_bytes, &t.ram_digest);
    if (r == 0)
        r = copy_file(state, dir, "state", &t.state_bytes, &t.state_digest);
    if (r == 0)
        r = write_meta(dir, key, &t);
    return r == 0 && fsync(dir) < 0 ? -errno : r;
}

/* Between the two names there is none for a moment: a launch is cold then. */
static int put_in_place(int top, const char *temp, const char *name)
{
    if (renameat(top, temp, top, name) == 0)
        return fsync(top) < 0 ? -errno : 0;
    remove_dir(top, name); /* one that was not whole, or foreign */
    return renameat(top, temp, top, name) < 0 || fsync(top) < 0 ? -errno : 0;
}

static void prune(int top);

int ferry_template_save(const char *key, int ram, int state, ferry_error *e)
{
    char name[FERRY_TEMPLATE_NAME], temp[FERRY_TEMPLATE_NAME + 8];
    ferry_template_name(key, name);
    snprintf(temp, sizeof temp, ".%s.tmp", name);
    FERRY_AUTO(fd) int top = ferry_template_top(true, e);
    if (top < 0)
        return top;
    int r = fill(top, temp, key, ram, state);
    if (r == 0)
        r = put_in_place(top, temp, name);
    if (r < 0) {
        remove_dir(top, temp);
        return ferry_fail(e, r, "template", "no template can be kept: %s",
                          ferry_strerror(r));
    }
    prune(top);
    return 0;
}

/* ---- what there is ------------------------------------------------------------------- */

static bool is_name(const char *s)
{
    return strlen(s) == FERRY_TEMPLATE_NAME - 1 &&
           strspn(s, "0123456789abcdef") == FERRY_TEMPLATE_NAME - 1;
}

static void describe(int top, const char *name, ferry_template_entry *ret, char *meta)
{
    struct stat st;
    *ret = (ferry_template_entry){.what = ""};
    memcpy(ret->name, name, sizeof ret->name); /* is_name() */
    FERRY_AUTO(fd) int dir = ferry_template_subdir(top, name);
    static const char *const parts[] = {"ram", "state", "meta"};
    for (size_t i = 0; dir >= 0 && i < sizeof parts / sizeof *parts; i++)
        if (fstatat(dir, parts[i], &st, AT_SYMLINK_NOFOLLOW) == 0) {
            ret->disk_bytes += (uint64_t)st.st_blocks * 512;
            ret->made = st.st_mtim.tv_sec;
        }
    FERRY_AUTO(fd)
    int fd = dir < 0 ? -1 : openat(dir, "meta", O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
    ssize_t n = fd < 0 ? -1 : read(fd, meta, FERRY_TEMPLATE_META - 1);
    meta[n > 0 ? n : 0] = '\0';
    const char *key = strstr(meta, "\n\n");
    if (key && strncmp(meta, FERRY_TEMPLATE_MAGIC "\n",
                       strlen(FERRY_TEMPLATE_MAGIC "\n")) == 0)
        ret->what = key + 2;
}

static int each(int top, void (*fn)(const ferry_template_entry *, void *), void *arg)
{
    FERRY_AUTO(mem) char *meta = malloc(FERRY_TEMPLATE_META);
    int copy = fcntl(top, F_DUPFD_CLOEXEC, 0);
    DIR *d = copy < 0 || !meta ? NULL : fdopendir(copy);
    if (!d) {
        if (copy >= 0)
            close(copy);
        return -ENOMEM;
    }
    rewinddir(d);
    for (struct dirent *e; (e = readdir(d));) {
        ferry_template_entry entry;
        if (!is_name(e->d_name))
            continue;
        describe(top, e->d_name, &entry, meta);
        fn(&entry, arg);
    }
    closedir(d);
    return 0;
}

int ferry_template_each(void (*fn)(const ferry_template_entry *entry, void *arg),
                        void *arg, ferry_error *e)
{
    FERRY_AUTO(fd) int top = ferry_template_top(false, NULL);
    if (top < 0)
        return 0; /* none, and nobody asked for one */
    int r = each(top, fn, arg);
    return r < 0 ? ferry_fail(e, r, "template", "%s", ferry_strerror(r)) : 0;
}

struct oldest {
    unsigned count;
    ferry_template_entry entry;
};

static void find_oldest(const ferry_template_entry *entry, void *arg)
{
    struct oldest *o = arg;
    if (o->count++ == 0 || entry->made < o->entry.made)
        o->entry = *entry;
}

static void prune(int top)
{
    struct oldest o = {0};
    while (each(top, find_oldest, &o) == 0 && o.count > KEPT) {
        remove_dir(top, o.entry.name);
        o = (struct oldest){0};
    }
}

int ferry_template_clear(unsigned *ret_removed, ferry_error *e)
{
    *ret_removed = 0;
    FERRY_AUTO(fd) int top = ferry_template_top(false, NULL);
    if (top < 0)
        return 0;
    int copy = fcntl(top, F_DUPFD_CLOEXEC, 0);
    DIR *d = copy < 0 ? NULL : fdopendir(copy);
    if (!d)
        return ferry_fail(e, -errno, "template", "%s", ferry_strerror(-errno));
    for (struct dirent *entry; (entry = readdir(d));) {
        if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
            continue;
        *ret_removed += is_name(entry->d_name);
        remove_dir(top, entry->d_name);
    }
    closedir(d);
    return 0;
}
