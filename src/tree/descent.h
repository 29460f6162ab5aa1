/* A way down a tree: the directories from its top to where we are, by descriptors. Blocking.
 *
 *      where the tree is ---> the tree ---> a ---> ... ---> current
 *      open                   open          '-- closed when far up, reopened by ".."
 *
 * Every step is one component, looked up in the directory above without following links,
 * so there is no path that a planted link or a rename could turn elsewhere, and
 * no depth at which paths become too long. A directory that was closed on the way down is found
 * again as ".." of the one below, and must be the same one (device and inode). */
#ifndef FERRY_TREE_DESCENT_H
#define FERRY_TREE_DESCENT_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/stat.h>

/* Descriptors held, besides those of the first two. */
#define FERRY_DESCENT_OPEN 32

typedef struct ferry_level {
    int fd; /* -1: closed for now */
    dev_t dev;
    ino_t ino;
    char *name; /* in the level above; "" of the top */
    void *user; /* whoever enters it, may set it */
} ferry_level;

typedef struct ferry_descent {
    ferry_level *levels;
    size_t depth, cap; /* levels[depth - 1] is where we are */
} ferry_descent;

/* Takes over top (a directory, opened for reading), also on failure. */
int ferry_descent_init(ferry_descent *d, int top);
/* Levels that have a `user` are the caller's to leave first. */
void ferry_descent_done(ferry_descent *d);

/* Goes into a directory of the current one. -ENOTDIR: it is something else, a link perhaps. */
int ferry_descent_enter(ferry_descent *d, const char *name);
/* Back up; not from the top. -ESTALE: what is above is not what was there. */
int ferry_descent_leave(ferry_descent *d);

static inline ferry_level *ferry_descent_here(const ferry_descent *d)
{
    return &d->levels[d->depth - 1];
}

/* "b/name" inside the second level ("" of that itself), at most size - 1 bytes: what does not fit
 * is left out at the start, and the answer is false. name may be "". */
bool ferry_descent_path(const ferry_descent *d, const char *name, char *buf,
                        size_t size);

#endif
