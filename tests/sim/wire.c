/* A byte stream in memory that goes wrong when it is told to: see wire.h. */
#include "sim/wire.h"

#include "async/sync.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define DEFAULT_CAPACITY (64 * 1024)

struct way {
    wire_faults faults;
    unsigned dice;
    uint8_t *ring;
    size_t cap, head, count;
    uint64_t written, read; /* bytes ever */
    bool held;
    bool ended; /* its writer says no more */
    ferry_cond changed;
};

struct wire;

struct end {
    ferry_link link;
    struct wire *wire;
    int side;
    bool closed;
};

struct wire {
    struct end ends[2];
    struct way ways[2]; /* ways[i] is what end i reads */
    int broken; /* 0; -EPIPE: cut; -ECONNRESET: and what was on the way is lost */
};

static unsigned open_ends;

static struct end *end_of(const ferry_link *l)
{
    return (struct end *)l;
}

static struct way *inward(const struct end *e)
{
    return &e->wire->ways[e->side];
}

static struct way *outward(const struct end *e)
{
    return &e->wire->ways[1 - e->side];
}

static void changed(struct wire *w)
{
    ferry_cond_wake(&w->ways[0].changed);
    ferry_cond_wake(&w->ways[1].changed);
}

static void break_wire(struct wire *w, int how)
{
    if (!w->broken)
        w->broken = how;
    changed(w);
}

/* ---- reading -------------------------------------------------------------------- */

static size_t take(struct way *y, uint8_t *out, size_t max)
{
    size_t n = y->count < max ? y->count : max;
    if (y->faults.max_read) {
        size_t limit = 1 + (size_t)rand_r(&y->dice) % y->faults.max_read;
        n = n < limit ? n : limit;
    }
    for (size_t done = 0; done < n;) {
        size_t run = y->cap - y->head < n - done ? y->cap - y->head : n - done;
        memcpy(out + done, y->ring + y->head, run);
        y->head = (y->head + run) % y->cap;
        done += run;
    }
    y->count -= n;
    y->read += n;
    return n;
}

static FERRY_CO int wait_for_bytes(struct end *e, struct way *y)
{
    while (y->count == 0 || y->held) {
        if (e->wire->broken == -ECONNRESET)
            return -ECONNRESET;
        bool over = e->wire->broken || y->ended || e->wire->ends[1 - e->side].closed;
        if (over && y->count == 0)
            return 0;
        int r = ferry_cond_wait(&y->changed);
        if (r < 0)
            return r;
    }
    return e->wire->broken == -ECONNRESET ? -ECONNRESET : 1;
}

static FERRY_CO ssize_t wire_link_read(ferry_link *l, ferry_buf *b)
{
    struct end *e = end_of(l);
    struct way *y = inward(e);
    assert(!e->closed && "read after close");

    /* A real link comes back through the loop, too. */
    unsigned delay = y->faults.max_delay;
    int r =
        delay ? ferry_sleep((unsigned)rand_r(&y->dice) % (delay + 1)) : ferry_yield();
    if (r < 0)
        return r;
    r = wait_for_bytes(e, y);
    if (r <= 0)
        return r;

    size_t n = take(y, b->data + b->len, ferry_buf_room(b));
    b->len += n;
    ferry_cond_wake(&y->changed);
    return (ssize_t)n;
}

/* ---- writing -------------------------------------------------------------------- */

static void put(struct way *y, uint8_t byte)
{
    if (y->written == y->faults.corrupt_at)
        byte ^= y->faults.corrupt_by;
    y->ring[(y->head + y->count) % y->cap] = byte;
    y->count++;
    y->written++;
}

/* As much as has room. 0, or why there will be no more. */
static int push(struct end *e, struct way *y, struct iovec *v)
{
    const uint8_t *from = v->iov_base;
    size_t n = 0;
    for (; n < v->iov_len && y->count < y->cap; n++) {
        if (y->written == y->faults.cut_at || y->written == y->faults.reset_at) {
            break_wire(e->wire, y->written == y->faults.cut_at ? -EPIPE : -ECONNRESET);
            return e->wire->broken;
        }
        put(y, from[n]);
    }
    v->iov_base = (void *)(from + n);
    v->iov_len -= n;
    ferry_cond_wake(&y->changed);
    return 0;
}

static FERRY_CO int wire_link_write(ferry_link *l, struct iovec *iov, int n)
{
    struct end *e = end_of(l);
    struct way *y = outward(e);
    assert(!e->closed && "write after close");

    for (int i = 0; i < n; i++)
        while (iov[i].iov_len > 0) {
            if (e->wire->broken)
                return e->wire->broken;
            if (e->wire->ends[1 - e->side].closed)
                return -EPIPE;
            int r = push(e, y, &iov[i]);
            if (r == 0 && iov[i].iov_len > 0)
                r = ferry_cond_wait(&y->changed);
            if (r < 0)
                return r;
        }
    return 0;
}

/* ---- life ----------------------------------------------------------------------- */

static void wire_link_close(ferry_link *l)
{
    struct end *e = end_of(l);
    struct wire *w = e->wire;
    assert(!e->closed && "closed twice");
    e->closed = true;
    open_ends--;
    changed(w);
    if (!w->ends[1 - e->side].closed)
        return;
    free(w->ways[0].ring);
    free(w->ways[1].ring);
    free(w);
}

static const ferry_link_ops wire_ops = {
    .read = wire_link_read,
    .write = wire_link_write,
    .close = wire_link_close,
};

static void way_init(struct way *y, const wire_faults *faults)
{
    y->faults = *faults;
    y->dice = faults->seed;
    y->cap = faults->capacity ? faults->capacity : DEFAULT_CAPACITY;
    y->ring = malloc(y->cap);
    if (!y->ring)
        abort();
    ferry_cond_init(&y->changed);
}

void wire_new(const wire_faults *to_1, const wire_faults *to_0, ferry_link *ret_ends[])
{
    struct wire *w = calloc(1, sizeof *w);
    if (!w)
        abort();
    way_init(&w->ways[0], to_0);
    way_init(&w->ways[1], to_1);
    for (int side = 0; side < 2; side++) {
        w->ends[side] = (struct end){{&wire_ops}, w, side, false};
        ret_ends[side] = &w->ends[side].link;
    }
    open_ends += 2;
}

uint64_t wire_written(const ferry_link *end)
{
    return outward(end_of(end))->written;
}

uint64_t wire_read(const ferry_link *end)
{
    return inward(end_of(end))->read;
}

void wire_hold(ferry_link *end, bool hold)
{
    struct way *y = inward(end_of(end));
    y->held = hold;
    ferry_cond_wake(&y->changed);
}

void wire_end_of_writing(ferry_link *end)
{
    struct way *y = outward(end_of(end));
    y->ended = true;
    ferry_cond_wake(&y->changed);
}

void wire_cut(ferry_link *end)
{
    break_wire(end_of(end)->wire, -EPIPE);
}

unsigned wire_open_ends(void)
{
    return open_ends;
}
