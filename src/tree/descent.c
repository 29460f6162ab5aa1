/* Directories by descriptors: see descent.h. */
#include "tree/descent.h"

#include "base/auto.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

#define DIR_FLAGS (O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC)

static int push(ferry_descent *d, int own_fd, const char *name)
{
    FERRY_AUTO(fd) int fd = own_fd;
    struct stat st;
    if (fstat(fd, &st) < 0)
        return -errno;
    if (d->depth == d->cap) {
        size_t cap = d->cap ? 2 * d->cap : 16;
        ferry_level *more = realloc(d->levels, cap * sizeof *more);
        if (!more)
            return -ENOMEM;
        d->levels = more;
        d->cap = cap;
    }
    char *copy = strdup(name);
    if (!copy)
        return -ENOMEM;
    d->levels[d->depth++] = (ferry_level){.fd = ferry_take_fd(&fd),
                                          .dev = st.st_dev,
                                          .ino = st.st_ino,
                                          .name = copy};

    if (d->depth > FERRY_DESCENT_OPEN + 2) {
        ferry_level *far = &d->levels[d->depth - 1 - FERRY_DESCENT_OPEN];
        if (far->fd >= 0)
            close(far->fd);
        far->fd = -1;
    }
    return 0;
}

int ferry_descent_init(ferry_descent *d, int top)
{
    *d = (ferry_descent){0};
    return push(d, top, "");
}

static void pop(ferry_descent *d)
{
    ferry_level *l = &d->levels[--d->depth];
    if (l->fd >= 0)
        close(l->fd);
    free(l->name);
}

void ferry_descent_done(ferry_descent *d)
{
    while (d->depth > 0)
        pop(d);
    free(d->levels);
    *d = (ferry_descent){0};
}

int ferry_descent_enter(ferry_descent *d, const char *name)
{
    int fd = openat(ferry_descent_here(d)->fd, name, DIR_FLAGS);
    if (fd < 0)
        return errno == ELOOP ? -ENOTDIR : -errno;
    return push(d, fd, name);
}

/* Opens the level above the current one again. */
static int reopen_above(const ferry_descent *d)
{
    ferry_level *up = &d->levels[d->depth - 2];
    FERRY_AUTO(fd) int fd = openat(ferry_descent_here(d)->fd, "..", DIR_FLAGS);
    struct stat st;
    if (fd < 0 || fstat(fd, &st) < 0)
        return -errno;
    if (st.st_dev != up->dev || st.st_ino != up->ino)
        return -ESTALE;
    up->fd = ferry_take_fd(&fd);
    return 0;
}

int ferry_descent_leave(ferry_descent *d)
{
    int r = d->levels[d->depth - 2].fd < 0 ? reopen_above(d) : 0;
    if (r == 0)
        pop(d);
    return r;
}

bool ferry_descent_path(const ferry_descent *d, const char *name, char *buf, size_t size)
{
    char *p = buf + size - 1;
    bool whole = true;
    *p = '\0';
    for (size_t i = d->depth + (*name ? 1 : 0); i-- > 2;) {
        const char *part = i == d->depth ? name : d->levels[i].name;
        size_t len = strlen(part), need = len + (*p ? 1 : 0);
        whole = need <= (size_t)(p - buf);
        if (!whole)
            break;
        if (*p)
            *--p = '/';
        p -= len;
        memcpy(p, part, len);
    }
    memmove(buf, p, (size_t)(buf + size - p));
    return whole;
}
