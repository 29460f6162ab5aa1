/* See mangle.h. */
#include "harness/mangle.h"

#include "base/list.h"

#include <errno.h>
#include <stdlib.h>

struct mangler {
    ferry_link link;
    ferry_link *below;
    size_t read, written; /* how much of the mark has just passed */
};

static struct mangler *mangler_of(ferry_link *l)
{
    return ferry_container(l, struct mangler, link);
}

static void change(size_t *seen, uint8_t *data, size_t len)
{
    static const uint8_t mark[] = MANGLE_MARK;
    for (size_t i = 0; i < len; i++) {
        *seen = data[i] == mark[*seen] ? *seen + 1 : data[i] == mark[0];
        if (!mark[*seen]) {
            data[i] ^= 1;
            *seen = 0;
        }
    }
}

static FERRY_CO ssize_t read_changed(ferry_link *l, ferry_buf *b)
{
    struct mangler *m = mangler_of(l);
    ssize_t n = ferry_link_read(m->below, b);
    if (n > 0)
        change(&m->read, b->data + b->len - (size_t)n, (size_t)n);
    return n;
}

/* What is written is the daemon's own memory, and not used again. */
static FERRY_CO int write_changed(ferry_link *l, struct iovec *iov, int n)
{
    struct mangler *m = mangler_of(l);
    for (int i = 0; i < n; i++)
        change(&m->written, iov[i].iov_base, iov[i].iov_len);
    return ferry_link_write(m->below, iov, n);
}

static void close_both(ferry_link *l)
{
    struct mangler *m = mangler_of(l);
    ferry_link_close(m->below);
    free(m);
}

int mangle(ferry_link **l)
{
    static const ferry_link_ops ops = {read_changed, write_changed, close_both};
    struct mangler *m = calloc(1, sizeof *m);
    if (!m)
        return -ENOMEM;
    m->link.ops = &ops;
    m->below = *l;
    *l = &m->link;
    return 0;
}
