/* Templates on disk, reading; see template.h. Writing is template_save.c. */
#include "launch/template.h"

#include "base/auto.h"
#include "base/error.h"
#include "launch/cache.h"
#include "launch/digest.h"
#include "launch/template_dir.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

/* Read at once: it stays in the second cache until it has been digested. */
#define CHUNK (64 * FERRY_DIGEST_PAGE)

void ferry_template_done(ferry_template *t)
{
    if (t->ram >= 0)
        close(t->ram);
    if (t->state >= 0)
        close(t->state);
    t->ram = t->state = -1;
}

void ferry_template_name(const char *key, char name[FERRY_TEMPLATE_NAME])
{
    uint64_t half[2];
    for (uint64_t i = 0; i < 2; i++) {
        ferry_digest d;
        ferry_digest_init(&d, i);
        ferry_digest_bytes(&d, key, strlen(key));
        half[i] = ferry_digest_end(&d);
    }
    snprintf(name, FERRY_TEMPLATE_NAME, "%016" PRIx64 "%016" PRIx64, half[0], half[1]);
}

/* ---- open ---------------------------------------------------------------------------- */

static int bad(ferry_error *e, const char *name, const char *what)
{
    return ferry_fail(e, -FERRY_EIO, "template", "template %.8s: %s", name, what);
}

/* A regular file of ours in dir, of a size that meta says. */
static int open_part(int dir, const char *part, int flags, uint64_t bytes, int *ret,
                     const char **why)
{
    struct stat st;
    FERRY_AUTO(fd)
    int fd = openat(dir, part, flags | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
    if (fd < 0)
        *why = errno == ELOOP ? "holds a symbolic link" : "a file cannot be opened";
    else if (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode) || !ferry_cache_is_ours(fd))
        *why = "a file is another user's, or others may write it";
    else if ((uint64_t)st.st_size != bytes)
        *why = "a file has another size than when it was made";
    else
        *ret = ferry_take_fd(&fd);
    return *ret < 0 ? -FERRY_EIO : 0;
}

/* "guestferry-template 1\nram BYTES DIGEST\nstate BYTES DIGEST\n\nKEY" */
static int parse_meta(char *text, ferry_template *t, const char **ret_key)
{
    int n = 0;
    char *key = strstr(text, "\n\n");
    if (!key ||
        sscanf(text,
               FERRY_TEMPLATE_MAGIC "\nram %" SCNu64 " %" SCNx64 "\nstate %" SCNu64
                                    " %" SCNx64 "\n%n",
               &t->ram_bytes, &t->ram_digest, &t->state_bytes, &t->state_digest,
               &n) != 4 ||
        n == 0)
        return -FERRY_EIO;
    *ret_key = key + 2;
    return 0;
}

static int read_meta(int dir, char *text, size_t size, const char **why)
{
    struct stat st;
    FERRY_AUTO(fd)
    int fd = openat(dir, "meta", O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
    if (fd < 0 || fstat(fd, &st) < 0 || !S_ISREG(st.st_mode) ||
        !ferry_cache_is_ours(fd)) {
        *why = fd < 0 && errno == ELOOP ? "holds a symbolic link"
                                        : "its description cannot be believed";
        return -FERRY_EIO;
    }
    ssize_t n = read(fd, text, size - 1);
    text[n > 0 ? n : 0] = '\0';
    return 0;
}

static int open_all(int dir, const char *key, ferry_template *t, const char **why)
{
    FERRY_AUTO(mem) char *text = malloc(FERRY_TEMPLATE_META);
    const char *theirs = "";
    int r = text ? read_meta(dir, text, FERRY_TEMPLATE_META, why) : -FERRY_ENOMEM;
    if (r == 0 && parse_meta(text, t, &theirs) < 0) {
        *why = "its description is damaged";
        r = -FERRY_EIO;
    }
    if (r == 0 && strcmp(theirs, key) != 0) {
        *why = "was made of another appliance, qemu or library";
        r = -FERRY_EIO;
    }
    if (r == 0)
        r = open_part(dir, "ram", O_RDWR, t->ram_bytes, &t->ram, why);
    if (r == 0)
        r = open_part(dir, "state", O_RDONLY, t->state_bytes, &t->state, why);
    return r;
}

int ferry_template_open(const char *key, ferry_template *ret, ferry_error *e)
{
    char name[FERRY_TEMPLATE_NAME];
    ferry_template t = FERRY_TEMPLATE_INIT;
    const char *why = "cannot be opened";
    ferry_template_name(key, name);

    FERRY_AUTO(fd) int top = ferry_template_top(false, NULL);
    if (top < 0)
        return ferry_fail(e, -FERRY_ENOENT, "template", "there is no template");
    FERRY_AUTO(fd) int dir = ferry_template_subdir(top, name);
    if (dir == -ENOENT)
        return ferry_fail(e, -FERRY_ENOENT, "template", "there is no template");
    if (dir < 0)
        return bad(e, name,
                   dir == -ELOOP || dir == -ENOTDIR
                       ? "is a symbolic link, or no directory"
                       : "is another user's, or others may write it");
    int r = open_all(dir, key, &t, &why);
    if (r < 0) {
        ferry_template_done(&t);
        return bad(e, name, why);
    }
    *ret = t;
    return 0;
}

/* ---- verify -------------------------------------------------------------------------- */

/* Digests a file page by page, as ferry_template_save() did. What lies in holes is zero. */
static int digest_file(int fd, uint64_t bytes, const atomic_bool *stop, uint64_t *ret)
{
    FERRY_AUTO(mem) uint8_t *buf = malloc(CHUNK);
    ferry_digest d;
    if (!buf)
        return -ENOMEM;
    ferry_digest_init(&d, bytes);
    for (off_t at = 0; (uint64_t)at < bytes;) {
        off_t data = lseek(fd, at, SEEK_DATA);
        if (data < 0 && errno == ENXIO)
            break;
        if (data < 0)
            return -errno;
        at = data / FERRY_DIGEST_PAGE * FERRY_DIGEST_PAGE;
        off_t hole = lseek(fd, data, SEEK_HOLE);
        for (ssize_t n; at < hole; at += n) {
            if (atomic_load_explicit(stop, memory_order_relaxed))
                return -FERRY_ECANCELED;
            n = ferry_template_read_pages(fd, buf, CHUNK, at);
            if (n <= 0)
                return n < 0 ? (int)n : -EIO;
            for (ssize_t i = 0; i < n; i += FERRY_DIGEST_PAGE)
                ferry_digest_page(&d, (uint64_t)(at + i) / FERRY_DIGEST_PAGE, buf + i);
        }
    }
    *ret = ferry_digest_end(&d);
    return 0;
}

/* Whole pages from `at`, the last one filled up with zeroes; 0: the end. */
ssize_t ferry_template_read_pages(int fd, uint8_t *buf, size_t size, off_t at)
{
    size_t got = 0;
    while (got < size) {
        ssize_t n = pread(fd, buf + got, size - got, at + (off_t)got);
        if (n < 0)
            return -errno;
        if (n == 0)
            break;
        got += (size_t)n;
    }
    size_t whole = (got + FERRY_DIGEST_PAGE - 1) / FERRY_DIGEST_PAGE * FERRY_DIGEST_PAGE;
    memset(buf + got, 0, whole - got);
    return (ssize_t)whole;
}

int ferry_template_verify(const ferry_template *t, const atomic_bool *stop,
                          ferry_error *e)
{
    uint64_t digest = 0;
    int r = digest_file(t->state, t->state_bytes, stop, &digest);
    const char *part = "device state";
    bool same = digest == t->state_digest;
    if (r == 0 && same) {
        r = digest_file(t->ram, t->ram_bytes, stop, &digest);
        part = "memory";
        same = digest == t->ram_digest;
    }
    if (r == -FERRY_ECANCELED)
        return r;
    if (r < 0)
        return ferry_fail_os(e, -FERRY_EIO, -r, "template",
                             "the template's %s cannot be read: %s", part,
                             ferry_strerror(r));
    if (!same)
        return ferry_fail(e, -FERRY_EIO, "template",
                          "the template's %s is not what was written: damaged on disk",
                          part);
    return 0;
}
