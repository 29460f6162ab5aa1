/* Links: see place.h. */
#include "tree/place.h"

#include "tree/output.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#define MAX_TRIES 16

struct place {
    int dir;
    const char *target; /* NULL: a hard link of fd */
    int fd;
};

static int make(const struct place *p, const char *name)
{
    char link[64];
    if (p->target)
        return symlinkat(p->target, p->dir, name) < 0 ? -errno : 0;
    snprintf(link, sizeof link, "/proc/self/fd/%d", p->fd);
    return linkat(AT_FDCWD, link, p->dir, name, AT_SYMLINK_FOLLOW) < 0 ? -errno : 0;
}

static int replace(const struct place *p, const char *name)
{
    char temp[24];
    struct stat st;
    if (fstatat(p->dir, name, &st, AT_SYMLINK_NOFOLLOW) == 0 && S_ISDIR(st.st_mode))
        return -EISDIR;
    int r = -EEXIST;
    for (int i = 0; r == -EEXIST && i < MAX_TRIES; i++) {
        ferry_output_temp(temp);
        r = make(p, temp);
    }
    if (r < 0)
        return r;
    if (renameat(p->dir, temp, p->dir, name) < 0)
        r = -errno;
    /* Renaming onto another name of the same file does nothing. */
    (void)unlinkat(p->dir, temp, 0);
    return r;
}

static int place(const struct place *p, const char *name)
{
    int r = make(p, name);
    return r == -EEXIST ? replace(p, name) : r;
}

int ferry_place_symlink(int dir, const char *name, const char *target)
{
    return place(&(struct place){.dir = dir, .target = target}, name);
}

int ferry_place_link(int dir, const char *name, int fd)
{
    return place(&(struct place){.dir = dir, .fd = fd}, name);
}
