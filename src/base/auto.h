/* Scope-exit cleanup and explicit transfer of ownership.
 *
 *     FERRY_AUTO(buf) ferry_buf *chunk = NULL;   // freed when the block ends
 *     return send(st, ferry_take(&chunk));       // ... unless it was handed on
 *
 * A type takes part by defining  static inline void ferry_auto_NAME(T *p).
 * The manner is nbdkit's CLEANUP_FREE and systemd's _cleanup_. */
#ifndef FERRY_BASE_AUTO_H
#define FERRY_BASE_AUTO_H

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#define FERRY_AUTO(name) __attribute__((cleanup(ferry_auto_##name)))

/* Yields *p and leaves NULL: the mark of every change of owner. */
#define ferry_take(p)                                                                  \
    ({                                                                                 \
        __typeof__(*(p)) taken_ = *(p);                                                \
        *(p) = NULL;                                                                   \
        taken_;                                                                        \
    })

/* Yields *fd and leaves -1. */
static inline int ferry_take_fd(int *fd)
{
    int taken = *fd;
    *fd = -1;
    return taken;
}

/* FERRY_AUTO(mem) char *s: free(). */
static inline void ferry_auto_mem(void *p)
{
    free(*(void **)p);
}

/* FERRY_AUTO(fd) int fd = -1: close(), errno kept. */
static inline void ferry_auto_fd(int *fd)
{
    if (*fd >= 0) {
        int saved = errno;
        close(*fd);
        errno = saved;
    }
}

/* FERRY_AUTO(strv) char **list: frees the strings and the NULL-terminated array. */
static inline void ferry_auto_strv(char ***list)
{
    if (*list)
        for (char **s = *list; *s; s++)
            free(*s);
    free(*list);
}

#endif
