/* Partials of downloads (base/partial.h): what is written of a file that is not complete, kept
 * beside its target and found again. */
#ifndef FERRY_API_SINK_KEEP_H
#define FERRY_API_SINK_KEEP_H

#include "api/sink_path.h"

/* A moment's work, unless the disk hangs: then a cancel does not wait for it. */
#define FERRY_SINK_KEEP_MS 2000

/* Blocking, for pool threads: opens the partial of p->target, locks it, and sets p's temporary, resumed
 * and found. The descriptor; -ENOENT: there is none of ours; -EBUSY. */
int ferry_sink_open_partial(ferry_sink_place *p);

/* Gives up the lock of a resumed one: a read that was orphaned keeps the file open for a while, and must not
 * keep the next download away. A write keeps the lock, too. */
void ferry_sink_unlock(ferry_file *f);

/* Of a temporary that will not be committed: makes a partial of what has been written. 0 and its path
 * (the caller's); -ENODATA: less than is worth it; -FERRY_ETIMEDOUT: the disk does not answer, so
 * that nobody knows; or why not. Shielded. */
FERRY_CO int ferry_sink_keep(ferry_sink *s, char **ret_path);

#endif
