/* Two ends of a byte stream in memory, as bad as a seed wants it: the ferry_link that
 * the sim tests put between two connections.
 *
 *      end 0 --write--> [ ring: to_1 ] --read--> end 1
 *            <--read--- [ ring: to_0 ] <--write--
 *
 * Time passes by the loop's fake clock. Everything is decided by the seed. */
#ifndef FERRY_TESTS_WIRE_H
#define FERRY_TESTS_WIRE_H

#include "async/link.h"

#include <stdint.h>

#define WIRE_NEVER UINT64_MAX

/* One direction's. Zero-initialised with WIRE_NEVER in the three positions: a good
 * wire; see WIRE_GOOD. */
typedef struct wire_faults {
    unsigned seed;
    size_t capacity;     /* bytes on the way at most; 0: 64 KiB */
    size_t max_read;     /* a read gives 1 .. max_read bytes; 0: all there is */
    unsigned max_delay;  /* a read waits 0 .. max_delay ms first */
    uint64_t cut_at;     /* after so many bytes both directions end */
    uint64_t reset_at;   /* the same, and what is on the way is lost (ECONNRESET) */
    uint64_t corrupt_at; /* this byte is changed */
    uint8_t corrupt_by;  /* xor */
} wire_faults;

#define WIRE_GOOD                                                                      \
    {                                                                                  \
        .cut_at = WIRE_NEVER, .reset_at = WIRE_NEVER, .corrupt_at = WIRE_NEVER         \
    }

/* Aborts the program when there is no memory. The wire is gone when both ends are
 * closed. */
void wire_new(const wire_faults *to_1, const wire_faults *to_0, ferry_link *ret_ends[]);

/* Bytes that this end has written so far, and that it has read. */
uint64_t wire_written(const ferry_link *end);
uint64_t wire_read(const ferry_link *end);

/* Stops and resumes the delivery of what this end reads. */
void wire_hold(ferry_link *end, bool hold);

/* No more will come from this end; it can still read. */
void wire_end_of_writing(ferry_link *end);

/* Both directions end now; what is on the way still arrives. */
void wire_cut(ferry_link *end);

/* Ends of wires that are not closed yet, in the whole program. */
unsigned wire_open_ends(void);

#endif
