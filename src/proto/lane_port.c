/* Slots as buffers: see lane_port.h. Knows no frames; what a FREE or DATA means for streams
 * is receive.c's and writer.c's business. */
#include "proto/lane_port.h"

#include "base/auto.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <sys/mman.h>

/* ---- the memory --------------------------------------------------------------------- */

struct ferry_lane_map {
    unsigned refs;
    uint8_t *at;
    size_t len;
};

int ferry_lane_map_new(void *at, size_t len, ferry_lane_map **ret)
{
    ferry_lane_map *m = malloc(sizeof *m);
    if (!m) {
        munmap(at, len);
        return -ENOMEM;
    }
    *m = (ferry_lane_map){.refs = 1, .at = at, .len = len};
    *ret = m;
    return 0;
}

ferry_lane_map *ferry_lane_map_ref(ferry_lane_map *m)
{
    m->refs++;
    return m;
}

void ferry_lane_map_unref(ferry_lane_map *m)
{
    if (!m || --m->refs > 0)
        return;
    munmap(m->at, m->len);
    free(m);
}

/* ---- buffers ------------------------------------------------------------------------ */

struct slot_buf {
    ferry_buf buf;
    struct ferry_lane_port *port; /* NULL: the connection is gone */
    ferry_lane_map *map;
    unsigned slot;
    bool received;
    ferry_list link; /* port->bufs */
};

static void release(ferry_buf *b)
{
    struct slot_buf *s = ferry_container(b, struct slot_buf, buf);
    struct ferry_lane_port *p = s->port;
    if (p && s->received) {
        ferry_lane_in_released(&p->in, s->slot);
        ferry_cond_wake(p->work);
    } else if (p && ferry_lane_out_dropped(&p->out, s->slot)) {
        ferry_cond_wake(&p->freed);
    }
    ferry_list_remove(&s->link);
    ferry_lane_map_unref(s->map);
    free(s);
}

static int new_buf(struct ferry_lane_port *p, unsigned slot, bool received,
                   ferry_buf **ret)
{
    struct slot_buf *s = malloc(sizeof *s);
    if (!s)
        return -ENOMEM;
    bool up = p->server == received;
    uint64_t at = up ? ferry_lane_up(&p->shape, slot) : ferry_lane_down(&p->shape, slot);
    *s = (struct slot_buf){
        .buf = {.refs = 1,
                .cap = p->shape.slot,
                .data = p->map->at + at,
                .release = release},
        .port = p,
        .map = ferry_lane_map_ref(p->map),
        .slot = slot,
        .received = received,
    };
    ferry_list_append(&p->bufs, &s->link);
    *ret = &s->buf;
    return 0;
}

unsigned ferry_lane_port_held(const struct ferry_lane_port *p, uint32_t stream)
{
    unsigned held = 0;
    for (unsigned i = 0; i < p->out.n; i++)
        held += (p->out.ours | p->out.theirs) >> i & 1 && p->use[i].stream == stream;
    return held;
}

static bool is_above(ferry_rank a, ferry_rank b)
{
    static const int height[FERRY_RANKS] = {[FERRY_RANK_LOW] = -1, [FERRY_RANK_HIGH] = 1};
    return height[a] > height[b];
}

bool ferry_lane_port_outranked(const struct ferry_lane_port *p, ferry_rank rank)
{
    for (ferry_rank r = 0; r < FERRY_RANKS; r++)
        if (is_above(r, rank) && p->waiting[r] > 0)
            return true;
    for (unsigned i = 0; i < p->out.n; i++)
        if (p->out.theirs >> i & 1 && is_above(p->use[i].rank, rank))
            return true;
    return false;
}

int ferry_lane_port_take(struct ferry_lane_port *p, uint32_t stream, ferry_rank rank,
                         ferry_buf **ret)
{
    int slot = ferry_lane_out_take(&p->out, ferry_lane_port_held(p, stream));
    if (slot < 0)
        return 0;
    int r = new_buf(p, (unsigned)slot, false, ret);
    if (r < 0) {
        ferry_lane_out_dropped(&p->out, (unsigned)slot);
        return r;
    }
    p->use[slot] = (struct ferry_lane_use){.stream = stream, .rank = rank};
    return 1;
}

int ferry_lane_port_slot(const struct ferry_lane_port *p, const ferry_slice *s)
{
    if (!s->buf || s->buf->release != release || s->data != s->buf->data || s->len == 0)
        return -1;
    const struct slot_buf *b = ferry_container(s->buf, struct slot_buf, buf);
    return b->port == p && !b->received ? (int)b->slot : -1;
}

int ferry_lane_port_arrived(struct ferry_lane_port *p, uint32_t slot, uint32_t len,
                            ferry_buf **ret)
{
    int r = ferry_lane_in_arrived(&p->in, &p->shape, slot, len);
    if (r < 0)
        return r;
    r = new_buf(p, slot, true, ret);
    if (r < 0) {
        ferry_lane_in_released(&p->in, slot);
        ferry_cond_wake(p->work);
        return r;
    }
    (*ret)->len = len;
    return 0;
}

/* ---- the port ----------------------------------------------------------------------- */

void ferry_lane_port_init(struct ferry_lane_port *p, bool server, ferry_cond *work)
{
    *p = (struct ferry_lane_port){.server = server, .work = work};
    ferry_list_init(&p->bufs);
    ferry_cond_init(&p->freed);
}

void ferry_lane_port_done(struct ferry_lane_port *p)
{
    for (ferry_list *l; (l = ferry_list_pop(&p->bufs));)
        ferry_container(l, struct slot_buf, link)->port = NULL;
    ferry_lane_map_unref(p->map);
    p->map = NULL;
}
