/* FERRY_TRACE=async,proto (or "all") writes what a layer does to stderr, one line an
 * event with monotonic seconds. The only thing in the library that ever writes there.
 *
 *     FERRY_TRACE(proto, "stream %u: reset %s", id, ferry_strerror(code));
 *
 * Off, a trace point costs one load and one branch. */
#ifndef FERRY_BASE_TRACE_H
#define FERRY_BASE_TRACE_H

#include <guestferry/export.h>

#include <stdbool.h>
#include <stddef.h>

enum ferry_trace_area {
    FERRY_TRACE_base = 1 << 0,
    FERRY_TRACE_async = 1 << 1,
    FERRY_TRACE_proto = 1 << 2,
    FERRY_TRACE_launch = 1 << 3,
    FERRY_TRACE_api = 1 << 4,
    FERRY_TRACE_daemon = 1 << 5,
    FERRY_TRACE_console = 1 << 6, /* the appliance's console, line by line */
};

extern unsigned ferry_trace_mask; /* set once by ferry_trace_init() */

void ferry_trace_init(const char *list); /* "async,proto"; NULL: $FERRY_TRACE */

/* The words of these areas, as ferry_trace_init() reads them: "async,proto". */
void ferry_trace_words(unsigned mask, char *buf, size_t size);

void ferry_trace_write(const char *area, const char *fmt, ...) FERRY_PRINTF(2, 3);

#define FERRY_TRACE(area, ...)                                                         \
    do {                                                                               \
        if (__builtin_expect(ferry_trace_mask & FERRY_TRACE_##area, 0))                \
            ferry_trace_write(#area, __VA_ARGS__);                                     \
    } while (0)

#endif
