/* Inode to number: see links.h. */
#include "tree/links.h"

#include "tree/wire.h"

#include <errno.h>
#include <stdlib.h>

static struct ferry_link_slot *find(const ferry_links *l, dev_t dev, ino_t ino)
{
    uint64_t h = ((uint64_t)ino ^ (uint64_t)dev << 32) * 0x9e3779b97f4a7c15u;
    for (size_t i = h >> 32;; i++) {
        struct ferry_link_slot *s = &l->slots[i & (l->cap - 1)];
        if (s->number == 0 || (s->dev == dev && s->ino == ino))
            return s;
    }
}

static int grow(ferry_links *l)
{
    if (2 * ((size_t)l->count + 1) <= l->cap)
        return 0;
    ferry_links more = {.cap = l->cap ? 2 * l->cap : 64, .count = l->count};
    more.slots = calloc(more.cap, sizeof *more.slots);
    if (!more.slots)
        return -ENOMEM;
    for (size_t i = 0; i < l->cap; i++)
        if (l->slots[i].number)
            *find(&more, l->slots[i].dev, l->slots[i].ino) = l->slots[i];
    free(l->slots);
    *l = more;
    return 0;
}

int64_t ferry_links_number(ferry_links *l, dev_t dev, ino_t ino, bool *ret_new)
{
    int r = grow(l);
    if (r < 0)
        return r;
    struct ferry_link_slot *s = find(l, dev, ino);
    *ret_new = s->number == 0;
    if (s->number)
        return s->number;
    if (l->count == FERRY_TREE_LINKS)
        return 0;
    *s = (struct ferry_link_slot){dev, ino, ++l->count};
    return s->number;
}

void ferry_links_done(ferry_links *l)
{
    free(l->slots);
    *l = (ferry_links){0};
}
