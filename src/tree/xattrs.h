/* Extended attributes of one entry, as XATTR records: read off a file, put on another. Blocking.
 * ACLs, labels and capabilities are such attributes too. */
#ifndef FERRY_TREE_XATTRS_H
#define FERRY_TREE_XATTRS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* All of one entry's, encoded: what no file has by chance. With more the entry is sent without the
 * rest, and a problem. */
#define FERRY_TREE_XATTRS (80 * 1024)

enum ferry_tree_keep {
    FERRY_TREE_ARCHIVE = 1 << 0, /* owner, ACLs, every attribute, the mode whatever the
                                  * umask says */
    FERRY_TREE_SUID = 1 << 1,    /* set-user-ID, set-group-ID, sticky; capabilities */
};

/* Is the attribute one that is copied? "user." ones always. */
bool ferry_tree_keeps_xattr(const char *name, unsigned keep);

/* Encodes those of what `fd` is, or `name` in the directory `fd` (a symbolic link is looked
 * at itself), at p. Returns the bytes; -E2BIG: they do not fit `room`. A file system without
 * attributes has none. */
long ferry_tree_get_xattrs(int fd, const char *name, unsigned keep, uint8_t *p,
                           size_t room);

/* Puts those of `records` (as decoded and checked before) on it. What the file system cannot keep,
 * or we are not allowed to set, is not an error. */
int ferry_tree_set_xattrs(int fd, const char *name, unsigned keep,
                          const uint8_t *records, size_t len);

#endif
