/* Memory for what comes and goes with every call. */
#ifndef FERRY_BASE_ALLOC_H
#define FERRY_BASE_ALLOC_H

#include <stddef.h>

/* What calloc(1, size) is, NULL without memory; but from the thread's own cache of freed blocks (tcache, up
 * to 1032 bytes), which calloc() of glibc before 2.41 passes by: six of them and their frees were
 * 2,600 of the 12,800 instructions of the daemon's for a stat (docs/performance.md). */
void *ferry_zalloc(size_t size);

#endif
