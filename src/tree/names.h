/* All names in one directory, read at once: a directory far up a deep tree need not stay open. */
#ifndef FERRY_TREE_NAMES_H
#define FERRY_TREE_NAMES_H

#include <stddef.h>
#include <sys/types.h>

typedef struct ferry_name {
    ino_t ino;
    size_t at;          /* of its text */
    unsigned char type; /* DT_... */
} ferry_name;

typedef struct ferry_names {
    ferry_name *list;
    size_t count, next; /* next: the reader's */
    char *text;
    size_t len;
} ferry_names;

/* Those of an open directory, in the order of their inodes: file systems put inodes and data of
 * files that were made together side by side, and a directory's own order is that of a hash. */
int ferry_names_read(int fd, ferry_names **ret);
void ferry_names_free(ferry_names *n); /* NULL is allowed */

static inline const char *ferry_names_text(const ferry_names *n, const ferry_name *name)
{
    return n->text + name->at;
}

#endif
