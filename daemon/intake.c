/* See intake.h. */
#include "intake.h"

#include "base/auto.h"

void ferryd_batch_free(struct ferryd_batch *b)
{
    if (!b)
        return;
    for (unsigned i = 0; i < b->n; i++)
        ferry_slice_done(&b->slice[i]);
    free(b);
}

static size_t min_size(size_t a, size_t b)
{
    return a < b ? a : b;
}

/* Moves as much of in->rest into the batch as it has room for; a slot of the lane is written at
 * once, however large. */
static void batch_add(struct ferryd_intake *in, struct ferryd_batch *b)
{
    bool lent = ferry_buf_is_lent(in->rest.buf);
    size_t n = lent ? in->rest.len : min_size(in->rest.len, FERRYD_BATCH - b->len);
    b->slice[b->n++] = (ferry_slice){ferry_buf_ref(in->rest.buf), in->rest.data, n};
    b->len += n;
    in->rest.data += n;
    in->rest.len -= n;
    if (in->rest.len == 0)
        ferry_slice_done(&in->rest);
}

/* A batch that is not the last of its run ends on a block boundary: what is over goes back
 * to in->rest. Only a batch that ran out of slices is concerned, and of that only the last
 * slices, which are small. */
static void batch_trim(struct ferryd_intake *in, struct ferryd_batch *b)
{
    size_t over = (size_t)((b->offset + b->len) % FERRY_BUF_ALIGN);
    ferry_slice *last = b->n ? &b->slice[b->n - 1] : NULL;
    if (!last || over == 0 || over >= last->len || in->rest.len > 0)
        return;
    in->rest =
        (ferry_slice){ferry_buf_ref(last->buf), last->data + last->len - over, over};
    last->len -= over;
    b->len -= over;
}

int ferryd_intake_fill(struct ferryd_intake *in, struct ferryd_batch *b)
{
    b->offset = in->at;
    while (!in->hole && b->len < FERRYD_BATCH && b->n < FERRYD_BATCH_SLICES) {
        if (in->rest.len > 0) {
            bool lent = ferry_buf_is_lent(in->rest.buf);
            batch_add(in, b);
            if (lent)
                break; /* the host may wait for this slot before it sends more */
            continue;
        }
        ferry_piece piece;
        int r = in->end ? 0 : ferry_seal_read(&in->seal, in->stream, &piece);
        if (r < 0)
            return r;
        if (r == 0) {
            in->end = true;
            break;
        }
        in->rest = piece.data;
        in->hole = piece.hole;
    }
    if (b->n == FERRYD_BATCH_SLICES)
        batch_trim(in, b);

    if (in->at + b->len < in->at || in->at + b->len > INT64_MAX)
        return -FERRY_EFBIG;
    in->at += b->len;
    return 0;
}

void ferryd_intake_done(struct ferryd_intake *in)
{
    ferry_slice_done(&in->rest);
    ferry_seal_done(&in->seal);
}
