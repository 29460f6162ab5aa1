/* FERRY_TRACE: see trace.h. The only writer to stderr in the library. */
#include "base/trace.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

unsigned ferry_trace_mask;

static const struct {
    const char *name;
    unsigned bit;
} areas[] = {
    {"base", FERRY_TRACE_base},       {"async", FERRY_TRACE_async},
    {"proto", FERRY_TRACE_proto},     {"launch", FERRY_TRACE_launch},
    {"api", FERRY_TRACE_api},         {"daemon", FERRY_TRACE_daemon},
    {"console", FERRY_TRACE_console}, {"all", ~0U},
};

static unsigned parse(const char *s)
{
    unsigned mask = 0;
    while (*s) {
        size_t n = strcspn(s, ",");
        for (size_t i = 0; i < sizeof areas / sizeof *areas; i++)
            if (strlen(areas[i].name) == n && memcmp(areas[i].name, s, n) == 0)
                mask |= areas[i].bit;
        s += n;
        s += *s == ',';
    }
    return mask;
}

void ferry_trace_words(unsigned mask, char *buf, size_t size)
{
    size_t n = 0;
    buf[0] = '\0';
    for (size_t i = 0; i < sizeof areas / sizeof *areas && n < size; i++)
        if ((mask & areas[i].bit) == areas[i].bit)
            n += (size_t)snprintf(buf + n, size - n, "%s%s", n ? "," : "",
                                  areas[i].name);
}

void ferry_trace_init(const char *list)
{
    if (!list)
        list = getenv("FERRY_TRACE");
    unsigned mask = list ? parse(list) : 0;
    /* Written only when it changes: contexts may be made by several threads at once. */
    if (__atomic_load_n(&ferry_trace_mask, __ATOMIC_RELAXED) != mask)
        __atomic_store_n(&ferry_trace_mask, mask, __ATOMIC_RELAXED);
}

/* One write(2) a line, so that lines of several threads do not mix. */
void ferry_trace_write(const char *area, const char *fmt, ...)
{
    int saved = errno;
    char line[512];
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    int n = snprintf(line, sizeof line, "%5ld.%06ld %s: ", (long)now.tv_sec,
                     now.tv_nsec / 1000, area);

    va_list ap;
    va_start(ap, fmt);
    int more = vsnprintf(line + n, sizeof line - (size_t)n - 1, fmt, ap);
    va_end(ap);

    n = more < 0 ? n : n + more;
    if ((size_t)n > sizeof line - 2)
        n = sizeof line - 2;
    line[n++] = '\n';
    if (write(STDERR_FILENO, line, (size_t)n) < 0) {
        /* A trace that cannot be written is no reason to fail. */
    }
    errno = saved;
}
