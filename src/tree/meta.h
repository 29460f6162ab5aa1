/* Owner, mode and times. Blocking. */
#ifndef FERRY_TREE_META_H
#define FERRY_TREE_META_H

#include "tree/wire.h"
#include "tree/xattrs.h"

#include <sys/types.h>

/* The permission bits that are wanted of it. */
mode_t ferry_meta_mode(const ferry_tree_meta *m, unsigned keep);

/* On an open file or directory that is ours: owner, attributes, mode, times, in the order in which none undoes
 * another. exact: the mode as it is, else what the umask has left of it stays. */
int ferry_meta_set(int fd, const ferry_tree_meta *m, const uint8_t *xattrs,
                   size_t xattrs_len, unsigned keep, bool no_owners);

/* Owner, mode and attributes of `from`: for what takes its place. */
int ferry_meta_take_over(int fd, int from, bool no_owners);

#endif
