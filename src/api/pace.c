/* See pace.h. */
#include "api/pace.h"

#include "api/meter.h"

#define LOOK_MS                                                                        \
    100 /* a new rate, or a later byte that became due earlier: seen so soon */
#define PIECES_A_SECOND 4
#define PIECE_MIN 4096

static void run_on(ferry_pace *p, uint64_t rate)
{
    uint64_t now = ferry_loop_now(ferry_self_loop()), ms = now - p->at_ms;
    uint64_t left = p->paid - p->due;
    p->at_ms = now;
    if (rate == 0 || left == 0) {
        p->due = p->paid;
        p->spare = 0;
        return;
    }
    if (ms > 1000) /* the process was stopped: that was not used either */
        ms = 1000;
    if (rate > UINT64_MAX / 1024) /* is as good as none */
        rate = UINT64_MAX / 1024;
    uint64_t more = rate * ms + p->spare;
    p->spare = more % 1000;
    p->due += more / 1000 < left ? more / 1000 : left;
}

int ferry_pace_pay(ferry_pace *p, ferry_meter *m, uint64_t bytes)
{
    int r = 0;
    uint64_t rate = atomic_load(&p->rate);
    run_on(p, rate);
    p->paid += bytes;
    for (uint64_t mine = p->paid; r == 0;) {
        rate = atomic_load(&p->rate);
        run_on(p, rate);
        if (p->due >= mine)
            break;
        uint64_t left = mine - p->due;
        uint64_t ms = left / rate >= 1 ? LOOK_MS : left * 1000 / rate + 1;
        m->paced = true;
        r = ferry_sleep(ms < LOOK_MS ? ms : LOOK_MS);
        m->paced = false;
    }
    return r;
}

size_t ferry_pace_piece(const ferry_pace *p)
{
    uint64_t rate = atomic_load(&p->rate), n = rate / PIECES_A_SECOND;
    if (rate == 0)
        return SIZE_MAX;
    return n < PIECE_MIN ? PIECE_MIN : n < SIZE_MAX ? (size_t)n : SIZE_MAX;
}
