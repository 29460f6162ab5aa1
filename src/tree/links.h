/* Files with several names, on their way out of a tree: inode to number. A hash table that only
 * grows. */
#ifndef FERRY_TREE_LINKS_H
#define FERRY_TREE_LINKS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct ferry_link_slot {
    dev_t dev;
    ino_t ino;
    uint32_t number; /* 0: empty */
};

typedef struct ferry_links {
    struct ferry_link_slot *slots;
    size_t cap; /* a power of two, at least twice `count` */
    uint32_t count;
} ferry_links;

/* The number of a file, counted from 1; *ret_new: it was not known. 0: the table is full; -ENOMEM. */
int64_t ferry_links_number(ferry_links *l, dev_t dev, ino_t ino, bool *ret_new);
void ferry_links_done(ferry_links *l);

#endif
