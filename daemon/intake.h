/* An upload's data as it comes, made into batches to be written (sink.h). On the loop.
 *
 *      DATA of the stream ---> seal ---> rest ---> batch       a run of data
 *                                '-----> hole                  between two runs: the upload's to pass
 */
#ifndef FERRYD_INTAKE_H
#define FERRYD_INTAKE_H

#include "sink.h"

#include "proto/seal.h"

struct ferryd_intake {
    ferry_stream *stream;
    ferry_seal seal;
    uint64_t at;      /* offset in the target of what comes next */
    uint64_t hole;    /* that comes next; 0: none. Whoever passes it adds it to `at` */
    ferry_slice rest; /* of a piece that did not fit the last batch */
    bool end;         /* nothing comes after `rest` and `hole` */
};

void ferryd_batch_free(struct ferryd_batch *b); /* NULL is allowed */

static inline void ferry_auto_batch(struct ferryd_batch **b)
{
    ferryd_batch_free(*b);
}

/* Receives until the batch is full or has a slot of the lane, the run of data ends at a hole, or
 * nothing more comes. -FERRY_EFBIG: beyond any offset. */
FERRY_CO int ferryd_intake_fill(struct ferryd_intake *in, struct ferryd_batch *b);

/* All has come, and was handed out. */
static inline bool ferryd_intake_is_over(const struct ferryd_intake *in)
{
    return in->end && !in->hole && in->rest.len == 0;
}

void ferryd_intake_done(struct ferryd_intake *in);

#endif
