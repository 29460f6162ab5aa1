/* Extended attributes: see xattrs.h. */
#include "tree/xattrs.h"

#include "tree/wire.h"

#include "base/auto.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/xattr.h>

static bool begins(const char *text, const char *with)
{
    return strncmp(text, with, strlen(with)) == 0;
}

/* "btrfs." ones are properties that a new file has from its directory; overlayfs' would make a
 * file of another file system lie about itself. */
bool ferry_tree_keeps_xattr(const char *name, unsigned keep)
{
    if (begins(name, "user."))
        return true;
    if (strcmp(name, "security.capability") == 0)
        return keep & FERRY_TREE_SUID;
    return keep & FERRY_TREE_ARCHIVE && !begins(name, "btrfs.") &&
           !begins(name, "trusted.overlay.");
}

/* For calls that take a path and do not follow it. */
static void make_path(int fd, const char *name, char path[PATH_MAX])
{
    snprintf(path, PATH_MAX, "/proc/self/fd/%d/%s", fd, name);
}

static ssize_t list(int fd, const char *path, char *names, size_t size)
{
    ssize_t n = path ? llistxattr(path, names, size) : flistxattr(fd, names, size);
    if (n < 0)
        return errno == ENOTSUP || errno == ENODATA ? 0
               : errno == ERANGE                    ? -E2BIG
                                                    : -errno;
    return n;
}

/* One attribute as a record at p; 0 bytes if it is gone or may not be read. `value` has room for
 * any. */
static long get(int fd, const char *path, const char *name, void *value, uint8_t *p,
                size_t room)
{
    ssize_t n = path ? lgetxattr(path, name, value, FERRY_TREE_XATTR_VALUE)
                     : fgetxattr(fd, name, value, FERRY_TREE_XATTR_VALUE);
    if (n < 0)
        return errno == ENODATA || errno == EPERM || errno == ENOTSUP ? 0
               : errno == ERANGE                                      ? -E2BIG
                                                                      : -errno;
    ferry_tree_record r = {.type = FERRY_TREE_XATTR,
                           .name = name,
                           .value = value,
                           .value_len = (size_t)n};
    size_t len = ferry_tree_length(&r);
    if (len > room)
        return -E2BIG;
    ferry_tree_encode(&r, p);
    return (long)len;
}

static long get_all(int fd, const char *path, const char *names, const char *end,
                    unsigned keep, uint8_t *p, size_t room)
{
    FERRY_AUTO(mem) char *value = malloc(FERRY_TREE_XATTR_VALUE);
    if (!value)
        return -ENOMEM;
    size_t used = 0;
    for (const char *name = names; name < end; name += strlen(name) + 1) {
        if (!ferry_tree_keeps_xattr(name, keep))
            continue;
        long n = get(fd, path, name, value, p + used, room - used);
        if (n < 0)
            return n;
        used += (size_t)n;
    }
    return (long)used;
}

long ferry_tree_get_xattrs(int fd, const char *name, unsigned keep, uint8_t *p,
                           size_t room)
{
    char names[4096], path[PATH_MAX];
    if (name)
        make_path(fd, name, path);
    ssize_t n = list(fd, name ? path : NULL, names, sizeof names);
    if (n <= 0)
        return n;
    return get_all(fd, name ? path : NULL, names, names + n, keep, p, room);
}

/* ---- setting -------------------------------------------------------------------------- */

static int set(int fd, const char *path, const ferry_tree_record *r)
{
    int done = path ? lsetxattr(path, r->name, r->value, r->value_len, 0)
                    : fsetxattr(fd, r->name, r->value, r->value_len, 0);
    if (done == 0 || errno == ENOTSUP || errno == EPERM || errno == EACCES)
        return 0;
    return -errno;
}

int ferry_tree_set_xattrs(int fd, const char *name, unsigned keep,
                          const uint8_t *records, size_t len)
{
    char path[PATH_MAX];
    if (name)
        make_path(fd, name, path);
    int r = 0;
    for (const uint8_t *p = records; r == 0 && p < records + len;) {
        ferry_tree_type type = FERRY_TREE_XATTR;
        ferry_tree_record x;
        uint32_t body = 0;
        r = ferry_tree_decode_header(p, &type, &body);
        if (r == 0)
            r = ferry_tree_decode(type, p + FERRY_TREE_HEADER, body, &x);
        if (r == 0 && ferry_tree_keeps_xattr(x.name, keep))
            r = set(fd, name ? path : NULL, &x);
        p += FERRY_TREE_HEADER + body;
    }
    return r;
}
