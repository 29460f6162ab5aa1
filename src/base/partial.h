/* The partial of a transfer that did not come to its end: what was written, in order and without
 * gaps, under a name beside the target's.
 *
 *      NAME                  the target: untouched
 *      NAME.ferry-partial    the partial
 *
 * Used on both sides: `dir` and a name in it (the daemon), or AT_FDCWD and a path (the host). Whoever
 * has a partial open holds a lock on it (flock), and nobody else opens, replaces or removes it.
 * What stands under the name and is not ours is left alone. Blocking: for pool threads. */
#ifndef FERRY_BASE_PARTIAL_H
#define FERRY_BASE_PARTIAL_H

#include <stddef.h>
#include <sys/types.h>

#define FERRY_PARTIAL_SUFFIX ".ferry-partial"

/* Name or path of a target's partial, malloced; NULL: no memory. */
char *ferry_partial_name(const char *target);

/* Opens it for reading and writing, and locks it. -ENOENT; -EEXIST: it is not one of ours (a link, no
 * regular file, with other names, somebody else's); -EBUSY: another transfer has it. */
int ferry_partial_open(int dir, const char *partial);

/* Is it still this file that has the name? */
int ferry_partial_check(int dir, const char *partial, int fd);

/* Cuts the open file to `size` and gives it the partial's name in place of `temp` (NULL: it has none
 * yet). An older partial is replaced. 0, or why not: then nothing has changed but the file. */
int ferry_partial_keep(int dir, const char *partial, int fd, const char *temp,
                       off_t size);

/* Takes an older partial away, if there is one and nobody has it open. */
void ferry_partial_remove(int dir, const char *partial);

#endif
