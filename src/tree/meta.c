/* Owner, mode and times: see meta.h. */
#include "tree/meta.h"

#include "base/auto.h"

#include <errno.h>
#include <sys/stat.h>

mode_t ferry_meta_mode(const ferry_tree_meta *m, unsigned keep)
{
    return m->mode & (keep & FERRY_TREE_SUID ? 07777 : 0777);
}

static int set_owner(int fd, uid_t uid, gid_t gid, bool no_owners)
{
    return fchown(fd, uid, gid) < 0 && !no_owners ? -errno : 0;
}

static int set_mode(int fd, mode_t mode, bool no_owners)
{
    return fchmod(fd, mode) < 0 && !no_owners ? -errno : 0;
}

/* A change of owner clears set-id bits and capabilities, and an ACL brings a mode of its own. */
int ferry_meta_set(int fd, const ferry_tree_meta *m, const uint8_t *xattrs,
                   size_t xattrs_len, unsigned keep, bool no_owners)
{
    int r = 0;
    mode_t mode = ferry_meta_mode(m, keep);
    if (keep & FERRY_TREE_ARCHIVE)
        r = set_owner(fd, m->uid, m->gid, no_owners);
    if (r == 0 && xattrs_len > 0)
        r = ferry_tree_set_xattrs(fd, NULL, keep, xattrs, xattrs_len);
    if (r == 0 && (keep & FERRY_TREE_ARCHIVE || mode & ~0777U))
        r = set_mode(fd, mode, no_owners);
    const struct timespec times[2] = {m->atime, m->mtime};
    if (r == 0 && futimens(fd, times) < 0 &&
        errno != EINVAL) /* EINVAL: out of its range */
        r = -errno;
    return r;
}

int ferry_meta_take_over(int fd, int from, bool no_owners)
{
    struct stat st;
    FERRY_AUTO(mem) uint8_t *xattrs = malloc(FERRY_TREE_XATTRS);
    if (!xattrs)
        return -ENOMEM;
    long n = ferry_tree_get_xattrs(from, NULL, FERRY_TREE_ARCHIVE | FERRY_TREE_SUID,
                                   xattrs, FERRY_TREE_XATTRS);
    int r = n < 0 ? (int)n : fstat(from, &st) < 0 ? -errno : 0;
    if (r == 0)
        r = set_owner(fd, st.st_uid, st.st_gid, no_owners);
    if (r == 0 && n > 0)
        r = ferry_tree_set_xattrs(fd, NULL, FERRY_TREE_ARCHIVE, xattrs, (size_t)n);
    if (r == 0)
        r = set_mode(fd, st.st_mode & 0777, no_owners);
    return r;
}
