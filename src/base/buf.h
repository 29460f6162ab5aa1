/* Reference-counted byte buffers.
 *
 *      data                       data+len           data+cap
 *      |--- bytes that are set ---|---- free ---------|
 *
 * Not atomic: a buffer belongs to one loop's thread, or to one pool request at a time.
 * `data` is aligned to FERRY_BUF_ALIGN so that it may be used with O_DIRECT. */
#ifndef FERRY_BASE_BUF_H
#define FERRY_BASE_BUF_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Logical block size of every disk we meet; O_DIRECT wants memory aligned to it. */
#define FERRY_BUF_ALIGN 4096

typedef struct ferry_buf {
    unsigned refs;
    size_t len; /* bytes set */
    size_t cap; /* bytes allocated at data */
    uint8_t *data;
    bool secret; /* wiped before the memory is anybody else's; for those without `release` */
    /* Called with the last reference, frees b and gives back what is at data; NULL: both
     * are of the heap. */
    void (*release)(struct ferry_buf *b);
} ferry_buf;

/* A new buffer of at least `cap` bytes, len 0, one reference. -ENOMEM. */
int ferry_buf_new(size_t cap, ferry_buf **ret);
/* A new buffer holding a copy of `len` bytes. */
int ferry_buf_copy(const void *data, size_t len, ferry_buf **ret);
ferry_buf *ferry_buf_ref(ferry_buf *b);
void ferry_buf_unref(ferry_buf *b); /* NULL is allowed */

/* Frees the blocks this thread keeps for its next buffers. A loop calls it at its end. */
void ferry_buf_drop_kept(void);

/* Memory that somebody waits to have back: not to be hoarded. */
static inline bool ferry_buf_is_lent(const ferry_buf *b)
{
    return b->release;
}

static inline size_t ferry_buf_room(const ferry_buf *b)
{
    return b->cap - b->len;
}

static inline void ferry_auto_buf(ferry_buf **b)
{
    ferry_buf_unref(*b);
}

/* Some bytes of a buffer, with a reference to it: how payloads travel uncopied.
 * {0} is the empty slice, which owns nothing. */
typedef struct ferry_slice {
    ferry_buf *buf;
    const uint8_t *data; /* inside buf */
    size_t len;
} ferry_slice;

void ferry_slice_done(ferry_slice *s); /* drops the reference, leaves {0} */

static inline void ferry_auto_slice(ferry_slice *s)
{
    ferry_slice_done(s);
}

#endif
