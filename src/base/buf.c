/* Reference-counted buffers: see buf.h. */
#include "base/buf.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

static size_t round_up(size_t n)
{
    return (n + FERRY_BUF_ALIGN - 1) & ~(size_t)(FERRY_BUF_ALIGN - 1);
}

/* Small buffers (calls, replies) need no alignment and would waste a page each. */
static void *allocate(size_t cap)
{
    if (cap < FERRY_BUF_ALIGN)
        return malloc(cap ? cap : 1);
    return aligned_alloc(FERRY_BUF_ALIGN, round_up(cap));
}

int ferry_buf_new(size_t cap, ferry_buf **ret)
{
    if (cap > SIZE_MAX - FERRY_BUF_ALIGN)
        return -ENOMEM;
    ferry_buf *b = malloc(sizeof *b);
    if (!b)
        return -ENOMEM;
    *b = (ferry_buf){.refs = 1, .cap = cap, .data = allocate(cap)};
    if (!b->data) {
        free(b);
        return -ENOMEM;
    }
    *ret = b;
    return 0;
}

int ferry_buf_copy(const void *data, size_t len, ferry_buf **ret)
{
    int r = ferry_buf_new(len, ret);
    if (r < 0)
        return r;
    if (len)
        memcpy((*ret)->data, data, len);
    (*ret)->len = len;
    return 0;
}

ferry_buf *ferry_buf_ref(ferry_buf *b)
{
    b->refs++;
    return b;
}

void ferry_buf_unref(ferry_buf *b)
{
    if (!b)
        return;
    assert(b->refs > 0 && "ferry_buf unreferenced too often");
    if (--b->refs > 0)
        return;
    free(b->data);
    free(b);
}

void ferry_slice_done(ferry_slice *s)
{
    ferry_buf_unref(s->buf);
    *s = (ferry_slice){0};
}
