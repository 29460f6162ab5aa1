/* Scope-exit cleanup for the command line program, in the manner of the library's own
 * src/base/auto.h. The program keeps a copy of these few lines because it includes the
 * public headers only: it is the proof that they suffice. */
#ifndef GFERRY_AUTO_H
#define GFERRY_AUTO_H

#include <guestferry/op.h>

#include <dirent.h>
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

static inline void ferry_auto_mem(void *p)
{
    free(*(void **)p);
}

static inline void ferry_auto_fd(int *fd)
{
    if (*fd >= 0) {
        int saved = errno;
        close(*fd);
        errno = saved;
    }
}

static inline void ferry_auto_dir(DIR **dir)
{
    if (*dir)
        closedir(*dir);
}

static inline void ferry_auto_op(ferry_op **op)
{
    ferry_op_free(*op);
}

#endif
