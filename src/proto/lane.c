/* Slots as arithmetic: see lane.h. Called by lane_port.c, and for sizes and places by whoever
 * maps the memory. Must not know frames, streams or buffers. */
#include "proto/lane.h"

#include <guestferry/error.h>

#include <assert.h>

#define PAGE 4096u

static uint64_t bit(unsigned slot)
{
    return UINT64_C(1) << slot;
}

static uint64_t all(unsigned n)
{
    return n == FERRY_LANE_SLOTS_MAX ? UINT64_MAX : bit(n) - 1;
}

/* ---- the shape ---------------------------------------------------------------------- */

int ferry_lane_check(const ferry_lane_shape *s)
{
    bool good = s->slot > 0 && s->slot <= FERRY_LANE_SLOT_MAX && s->slot % PAGE == 0 &&
                s->up > 0 && s->up <= FERRY_LANE_SLOTS_MAX && s->down > 0 &&
                s->down <= FERRY_LANE_SLOTS_MAX;
    return good ? 0 : -FERRY_EPROTO;
}

uint64_t ferry_lane_bytes(const ferry_lane_shape *s)
{
    return (uint64_t)s->slot * ((uint64_t)s->up + s->down);
}

uint64_t ferry_lane_up(const ferry_lane_shape *s, unsigned slot)
{
    assert(slot < s->up);
    return (uint64_t)s->slot * slot;
}

uint64_t ferry_lane_down(const ferry_lane_shape *s, unsigned slot)
{
    assert(slot < s->down);
    return (uint64_t)s->slot * ((uint64_t)s->up + slot);
}

/* ---- the writer --------------------------------------------------------------------- */

void ferry_lane_out_init(ferry_lane_out *o, unsigned n)
{
    *o = (ferry_lane_out){.n = n};
}

/* The lowest free one: what was used last is used next, and is still in the CPU's cache. */
int ferry_lane_out_take(ferry_lane_out *o, unsigned held)
{
    uint64_t free = all(o->n) & ~(o->ours | o->theirs);
    if (held >= (unsigned)__builtin_popcountll(free))
        return -1;
    int slot = __builtin_ctzll(free);
    o->ours |= bit((unsigned)slot);
    return slot;
}

void ferry_lane_out_sent(ferry_lane_out *o, unsigned slot)
{
    assert(o->ours & bit(slot) && !(o->theirs & bit(slot)) && "a slot is sent once");
    o->theirs |= bit(slot);
}

bool ferry_lane_out_dropped(ferry_lane_out *o, unsigned slot)
{
    assert(o->ours & bit(slot));
    o->ours &= ~bit(slot);
    return !(o->theirs & bit(slot));
}

int ferry_lane_out_returned(ferry_lane_out *o, uint64_t set)
{
    if (set == 0 || set & ~o->theirs)
        return -FERRY_EPROTO;
    o->theirs &= ~set;
    return 0;
}

/* ---- the reader --------------------------------------------------------------------- */

void ferry_lane_in_init(ferry_lane_in *i, unsigned n)
{
    *i = (ferry_lane_in){.n = n};
}

int ferry_lane_in_arrived(ferry_lane_in *i, const ferry_lane_shape *s, uint32_t slot,
                          uint32_t len)
{
    if (slot >= i->n || (i->held | i->done) & bit(slot) || len == 0 || len > s->slot)
        return -FERRY_EPROTO;
    i->held |= bit(slot);
    return 0;
}

void ferry_lane_in_released(ferry_lane_in *i, unsigned slot)
{
    assert(i->held & bit(slot));
    i->held &= ~bit(slot);
    i->done |= bit(slot);
}

uint64_t ferry_lane_in_tell(ferry_lane_in *i)
{
    uint64_t done = i->done;
    i->done = 0;
    return done;
}
