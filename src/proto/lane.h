/* The lane as arithmetic: memory that both sides have mapped, cut into slots, through which
 * bulk data goes beside the connection. Pure.
 *
 *      | head | up 0 | up 1 | ... | down 0 | down 1 | ... |
 *                 host writes,       daemon writes,
 *                 daemon reads       host reads
 *
 * Each direction has slots of its own, and its writer hands them out: there is nothing to
 * agree on. A slot is in one place at a time:
 *
 *      writer    free --take--> ours --sent (DATA)--> theirs --returned (FREE)--> free
 *                                 '-----dropped----------------------------------> free
 *      reader    free --arrived (DATA)--> held --released (tells FREE)-----------> free
 *
 * What a peer says is checked against this: a slot that is not its to name is -FERRY_EPROTO.
 *
 * Fair: a stream may have one more slot only while more than it has are free (a threshold
 * that moves with what is left, as in shared-memory switches: Choudhury and Hahne, 1998).
 * So one alone gets half of them, two a third each, and streams whose readers have stalled
 * never have all. */
#ifndef FERRY_PROTO_LANE_H
#define FERRY_PROTO_LANE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* In front of the slots: the guest's kernel keeps its description of the memory there, and
 * wants what follows aligned to a large page. Never read by us. */
#define FERRY_LANE_HEAD (2u * 1024 * 1024)

/* A set of slots is a word; and no slot is larger than the disk's largest request pays for. */
#define FERRY_LANE_SLOTS_MAX 64
#define FERRY_LANE_SLOT_MAX (16u * 1024 * 1024)

typedef struct ferry_lane_shape {
    uint32_t slot; /* bytes of each, whole pages */
    uint32_t up, down;
} ferry_lane_shape;

/* 0, or -FERRY_EPROTO for what no host of ours offers. */
int ferry_lane_check(const ferry_lane_shape *s);
/* Of all slots, without the head. */
uint64_t ferry_lane_bytes(const ferry_lane_shape *s);
/* Where a slot begins, from the first slot on. */
uint64_t ferry_lane_up(const ferry_lane_shape *s, unsigned slot);
uint64_t ferry_lane_down(const ferry_lane_shape *s, unsigned slot);

/* ---- the writer of a direction ----------------------------------------------------- */

typedef struct ferry_lane_out {
    unsigned n;
    uint64_t ours,
        theirs; /* sets; a slot may be in both: sent, and its buffer is still here */
} ferry_lane_out;

void ferry_lane_out_init(ferry_lane_out *o, unsigned n);
/* A slot for a stream that has `held` of them already; -1: not now. */
int ferry_lane_out_take(ferry_lane_out *o, unsigned held);
void ferry_lane_out_sent(ferry_lane_out *o, unsigned slot);
/* Our buffer is gone: sent or not. True if the slot is free now. */
bool ferry_lane_out_dropped(ferry_lane_out *o, unsigned slot);
/* The reader is done with these. -FERRY_EPROTO: none, or one that it did not have. */
int ferry_lane_out_returned(ferry_lane_out *o, uint64_t set);

/* ---- the reader of a direction ----------------------------------------------------- */

typedef struct ferry_lane_in {
    unsigned n;
    uint64_t held, done; /* sets; done: to be told */
} ferry_lane_in;

void ferry_lane_in_init(ferry_lane_in *i, unsigned n);
/* -FERRY_EPROTO: no such slot, it is here already, or a length that no slot has. */
int ferry_lane_in_arrived(ferry_lane_in *i, const ferry_lane_shape *s, uint32_t slot,
                          uint32_t len);
void ferry_lane_in_released(ferry_lane_in *i, unsigned slot);
/* What FREE is to tell now; 0: nothing. From then on the slots may come again. */
uint64_t ferry_lane_in_tell(ferry_lane_in *i);

#endif
