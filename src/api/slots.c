/* The table of cancel bits: see slots.h. */
#include "api/slots.h"

#include <errno.h>
#include <stdlib.h>

static uint32_t index_of(ferry_token token)
{
    return (uint32_t)(token & (FERRY_SLOTS - 1));
}

static uint64_t generation_of(ferry_token token)
{
    return token >> FERRY_SLOT_BITS;
}

/* NULL for a token that cannot be of this table. */
static ferry_slot *find(const ferry_slots *t, ferry_token token)
{
    uint32_t i = index_of(token);
    ferry_slot *chunk = atomic_load(&t->chunks[i / FERRY_SLOT_CHUNK]);
    return chunk ? &chunk[i % FERRY_SLOT_CHUNK] : NULL;
}

void ferry_slots_init(ferry_slots *t)
{
    *t = (ferry_slots){0};
    pthread_mutex_init(&t->lock, NULL);
}

void ferry_slots_done(ferry_slots *t)
{
    for (uint32_t i = 0; i < t->nchunks; i++)
        free(atomic_load(&t->chunks[i]));
    pthread_mutex_destroy(&t->lock);
}

static int grow(ferry_slots *t)
{
    if (t->nchunks == FERRY_SLOTS / FERRY_SLOT_CHUNK)
        return -EAGAIN;
    ferry_slot *chunk = calloc(FERRY_SLOT_CHUNK, sizeof *chunk);
    if (!chunk)
        return -ENOMEM;
    uint32_t base = t->nchunks * FERRY_SLOT_CHUNK;
    for (uint32_t i = 0; i < FERRY_SLOT_CHUNK; i++) {
        atomic_init(&chunk[i].word, 1 << 1); /* generation 1: no token is 0 */
        chunk[i].next_free = i + 1 < FERRY_SLOT_CHUNK ? base + i + 2 : 0;
    }
    t->first_free = base + 1;
    atomic_store(&t->chunks[t->nchunks++], chunk);
    return 0;
}

int ferry_slots_take(ferry_slots *t, ferry_token *ret)
{
    pthread_mutex_lock(&t->lock);
    int r = t->first_free ? 0 : grow(t);
    if (r == 0) {
        uint32_t i = t->first_free - 1;
        ferry_slot *s = find(t, i);
        t->first_free = s->next_free;
        *ret = atomic_load(&s->word) >> 1 << FERRY_SLOT_BITS | i;
    }
    pthread_mutex_unlock(&t->lock);
    return r;
}

void ferry_slots_give(ferry_slots *t, ferry_token token)
{
    ferry_slot *s = find(t, token);
    pthread_mutex_lock(&t->lock);
    atomic_store(&s->word, (generation_of(token) + 1) << 1);
    s->next_free = t->first_free;
    t->first_free = index_of(token) + 1;
    pthread_mutex_unlock(&t->lock);
}

bool ferry_slots_cancel(ferry_slots *t, ferry_token token)
{
    ferry_slot *s = find(t, token);
    uint64_t live = generation_of(token) << 1;
    return s && (atomic_compare_exchange_strong(&s->word, &live, live | 1) ||
                 live == (generation_of(token) << 1 | 1));
}

bool ferry_slots_cancelled(const ferry_slots *t, ferry_token token)
{
    const ferry_slot *s = find(t, token);
    return s && atomic_load(&s->word) == (generation_of(token) << 1 | 1);
}
