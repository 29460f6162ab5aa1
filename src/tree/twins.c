/* Number to path: see twins.h. */
#include "tree/twins.h"

#include "base/auto.h"

#include <guestferry/error.h>

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/openat2.h>
#include <string.h>
#include <sys/syscall.h>

/* A lookup that raced with a rename elsewhere is tried again so often. */
#define MAX_RACES 64

void ferry_twins_done(ferry_twins *t)
{
    for (uint32_t i = 0; i < t->count; i++)
        free(t->list[i].path);
    free(t->list);
    *t = (ferry_twins){0};
}

int ferry_twins_expect(ferry_twins *t, uint32_t number)
{
    if (number != t->count + 1 || number > FERRY_TREE_LINKS)
        return -FERRY_EPROTO;
    if (t->count == t->cap) {
        size_t cap = t->cap ? 2 * t->cap : 64;
        ferry_twin *more = realloc(t->list, cap * sizeof *more);
        if (!more)
            return -ENOMEM;
        t->list = more;
        t->cap = cap;
    }
    t->list[t->count++] = (ferry_twin){0};
    return 0;
}

int ferry_twins_made(ferry_twins *t, uint32_t number, const ferry_descent *way,
                     const char *name, int fd)
{
    char path[PATH_MAX];
    struct stat st;
    if (fstat(fd, &st) < 0)
        return -errno;
    if (!ferry_descent_path(way, name, path, sizeof path))
        return 0; /* deeper than a path can say: its other names will fail */
    ferry_twin *w = &t->list[number - 1];
    w->path = strdup(path);
    w->dev = st.st_dev;
    w->ino = st.st_ino;
    return w->path ? 0 : -ENOMEM;
}

int ferry_twins_open(const ferry_twins *t, uint32_t number, int tree)
{
    if (number == 0 || number > t->count)
        return -FERRY_EPROTO;
    const ferry_twin *w = &t->list[number - 1];
    if (!w->path)
        return -ENOENT;

    struct open_how how = {
        .flags = O_PATH | O_NOFOLLOW | O_CLOEXEC,
        .resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS,
    };
    long opened = -1;
    errno = EAGAIN;
    for (int i = 0; opened < 0 && errno == EAGAIN && i < MAX_RACES; i++)
        opened = syscall(SYS_openat2, tree, w->path, &how, sizeof how);
    FERRY_AUTO(fd) int fd = (int)opened;
    struct stat st;
    if (fd < 0 || fstat(fd, &st) < 0)
        return -errno;
    if (st.st_dev != w->dev || st.st_ino != w->ino)
        return -ENOENT;
    return ferry_take_fd(&fd);
}
