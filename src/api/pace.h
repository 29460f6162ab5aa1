/* The pace of a VM's transfers: how many bytes a second all of them together may move.
 *
 *      transfer: move a piece -- ferry_pace_pay(bytes): wait until they were due -- next piece
 *
 * Bytes get a number each, in the order in which they are paid for; `due` runs through the numbers at
 * the rate. So transfers share it piece by piece, and none waits for another's end. */
#ifndef FERRY_API_PACE_H
#define FERRY_API_PACE_H

#include "async/co.h"

#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

typedef struct ferry_pace {
    _Atomic uint64_t rate; /* bytes a second; 0: no limit. Any thread */

    /* loop */
    uint64_t paid;  /* bytes, by all */
    uint64_t due;   /* of these; at most `paid`: time that nobody used is no credit */
    uint64_t at_ms; /* when `due` was true */
    uint64_t spare; /* thousandths of a byte that were due, too */
} ferry_pace;

struct ferry_meter;

/* Suspends until so many bytes more were due at the pace; a rate that is set meanwhile counts at once.
 * To the meter the wait is no stall. 0, or the cancel code. */
FERRY_CO int ferry_pace_pay(ferry_pace *p, struct ferry_meter *m, uint64_t bytes);

/* The most bytes that should go in one piece, so that they go evenly; SIZE_MAX without a limit. */
size_t ferry_pace_piece(const ferry_pace *p);

#endif
