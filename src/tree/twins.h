/* Files that may get further names, on their way into a tree: number to path. */
#ifndef FERRY_TREE_TWINS_H
#define FERRY_TREE_TWINS_H

#include "tree/descent.h"
#include "tree/wire.h"

typedef struct ferry_twin {
    char *path; /* inside the tree; NULL: it was not made */
    dev_t dev;
    ino_t ino;
} ferry_twin;

typedef struct ferry_twins {
    ferry_twin *list; /* of number n: [n - 1] */
    uint32_t count;
    size_t cap;
} ferry_twins;

void ferry_twins_done(ferry_twins *t);
/* A place for `number`, which must be the next. -FERRY_EPROTO. */
int ferry_twins_expect(ferry_twins *t, uint32_t number);
/* It was made: `name` in the current directory, open as fd. */
int ferry_twins_made(ferry_twins *t, uint32_t number, const ferry_descent *way,
                     const char *name, int fd);
/* Opens it (O_PATH), if it is still what was made. -FERRY_EPROTO: no such number; -ENOENT: it
 * was not made, or is gone. */
int ferry_twins_open(const ferry_twins *t, uint32_t number, int tree);

#endif
