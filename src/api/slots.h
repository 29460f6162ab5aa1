/* Cancel requests that outlive their op.
 *
 * A signal handler or another thread often cannot know whether an op still lives. So the cancel
 * bit is not in the op but in a slot of a table that lives as long as the context, beside the
 * generation of the op that has the slot now:
 *
 *      token  = generation << 16 | slot          a plain value, never reused within 2^47 ops
 *      word   = generation << 1  | cancelled     one atomic 64-bit word a slot
 *
 *      cancel(token): compare-and-swap from (generation, 0) to (generation, 1)
 *                     fails, and does nothing, if the slot has gone to another op
 *
 * (The idea is a slot map's; generational tokens guard entity handles in game engines the same way.)
 * Take and give lock; cancel and asked are lock-free and signal-safe. Knows no op. */
#ifndef FERRY_API_SLOTS_H
#define FERRY_API_SLOTS_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#define FERRY_SLOT_BITS 16
#define FERRY_SLOTS (1 << FERRY_SLOT_BITS) /* ops of one context that exist at once */
#define FERRY_SLOT_CHUNK 256               /* slots allocated together: 4 KiB */

typedef uint64_t ferry_token; /* 0 is nobody's */

typedef struct ferry_slot {
    _Atomic uint64_t word;
    uint32_t next_free; /* index + 1; 0: none. Under the lock */
} ferry_slot;

typedef struct ferry_slots {
    pthread_mutex_t lock;
    _Atomic(ferry_slot *) chunks[FERRY_SLOTS / FERRY_SLOT_CHUNK];
    uint32_t first_free; /* index + 1 */
    uint32_t nchunks;
} ferry_slots;

void ferry_slots_init(ferry_slots *t);
void ferry_slots_done(ferry_slots *t);

/* A slot for a new op. -ENOMEM; -EAGAIN: FERRY_SLOTS ops exist. */
int ferry_slots_take(ferry_slots *t, ferry_token *ret);
/* The op is gone: its token means nothing from here on. */
void ferry_slots_give(ferry_slots *t, ferry_token token);

/* True if the token's op still had its slot. Any thread, signal-safe. Any value is safe. */
bool ferry_slots_cancel(ferry_slots *t, ferry_token token);
bool ferry_slots_cancelled(const ferry_slots *t, ferry_token token);

#endif
