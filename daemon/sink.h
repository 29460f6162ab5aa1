/* Writing an upload's data to its target: blocking, for pool threads.
 *
 *      pieces of the stream   |--256K--|--256K--|-hole-|--17K-|--9K-|  ...
 *      batches                |------ 1 MiB -----|     |-- cut at a block's end --|
 *
 * A batch is up to FERRYD_BATCH bytes in a row, in the buffers they arrived in. All but the last of
 * a run of data end on a block boundary, so that they can be written with O_DIRECT: as they
 * are when their buffers are aligned (the usual case: the host sends whole frames), else through one aligned copy,
 * made on the pool thread. */
#ifndef FERRYD_SINK_H
#define FERRYD_SINK_H

#include "block.h"
#include "target.h"

#include "base/buf.h"

/* One write(2): long enough that its fixed cost vanishes, short enough that a cancel never waits
 * long for it. One that has a slot of the lane is longer by as much. */
#define FERRYD_BATCH (1024 * 1024)
#define FERRYD_BATCH_SLICES 64

struct ferryd_batch {
    uint64_t offset; /* in the target */
    size_t len;
    unsigned n;
    ferry_slice slice[FERRYD_BATCH_SLICES];
};

/* Writes all of it. */
int ferryd_sink_write(const struct ferryd_target *t, const struct ferryd_batch *b);

/* Makes [from, to) read as zeroes without taking space where that is possible. Looks at
 * ferryd_stop(c) between steps. */
int ferryd_sink_hole(const struct ferryd_call *c, const struct ferryd_target *t,
                     uint64_t from, uint64_t to);

/* Takes space for [from, to). Failing is no error, it only says not to try again. */
bool ferryd_sink_allocate(const struct ferryd_target *t, uint64_t from, uint64_t to);

#endif
