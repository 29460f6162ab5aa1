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

/* ---- large blocks, again ----------------------------------------------------------- */

/* A frame's buffer is large enough for glibc to map and unmap it each time, page faults
 * included: a tenth of a download's CPU (docs/performance.md). So a thread keeps a few: a
 * download has about as many at once. Not under ASan, which is to see every use after free. */
#define KEPT_SIZE ((size_t)256 * 1024)
#if defined(__SANITIZE_ADDRESS__)
#define KEPT_MAX 0
#else
#define KEPT_MAX 8
#endif

static _Thread_local struct {
    void *block[KEPT_MAX + 1];
    int n; /* signed, for it is compared with a KEPT_MAX of 0 */
} kept;

static void release(void *data, size_t cap)
{
    if (cap == KEPT_SIZE && kept.n < KEPT_MAX)
        kept.block[kept.n++] = data;
    else
        free(data);
}

void ferry_buf_drop_kept(void)
{
    while (kept.n > 0)
        free(kept.block[--kept.n]);
}

/* Small buffers (calls, replies) need no alignment and would waste a page each. */
static void *allocate(size_t cap)
{
    if (cap == KEPT_SIZE && kept.n > 0)
        return kept.block[--kept.n];
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
    if (b->release) {
        b->release(b);
        return;
    }
    if (b->secret)
        explicit_bzero(b->data, b->cap);
    release(b->data, b->cap);
    free(b);
}

void ferry_slice_done(ferry_slice *s)
{
    ferry_buf_unref(s->buf);
    *s = (ferry_slice){0};
}
