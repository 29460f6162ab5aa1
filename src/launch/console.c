/* The console's ring and its reading task; see console.h. */
#include "launch/console.h"

#include "base/auto.h"
#include "base/trace.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

/* One read: a boot's burst of lines, and small beside the ring. */
#define READ_SIZE 4096

enum { PLAIN, ESCAPE, CSI };

void ferry_console_init(ferry_console *c, bool text8)
{
    memset(c, 0, sizeof *c);
    c->text8 = text8;
}

/* ---- lines ----------------------------------------------------------------------- */

/* Skips "[    1.234567] ". */
static const char *without_stamp(const char *s)
{
    if (*s != '[')
        return s;
    const char *p = s + 1;
    while (*p == ' ' || *p == '.' || isdigit((unsigned char)*p))
        p++;
    if (*p != ']' || p == s + 1)
        return s;
    p++;
    return *p == ' ' ? p + 1 : p;
}

/* The first panic and the first victim are the cause; what follows is fallout. */
static void classify(ferry_console *c, const char *text)
{
    if (!*c->panic && strstr(text, "Kernel panic - not syncing"))
        snprintf(c->panic, sizeof c->panic, "%s", text);
    if (!*c->oom && (strstr(text, "Out of memory") || strstr(text, "oom-kill:") ||
                     strstr(text, "System is deadlocked on memory")))
        snprintf(c->oom, sizeof c->oom, "%s", text);
}

static void end_line(ferry_console *c)
{
    c->line[c->line_len] = '\0';
    const char *text = without_stamp(c->line);
    if (ferry_trace_mask &
        (FERRY_TRACE_console | FERRY_TRACE_daemon)) /* it speaks there */
        ferry_trace_write("console", "%s", c->line);

    if (text[strspn(text, " ")]) {
        classify(c, text);
        snprintf(c->last, sizeof c->last, "%s", text);
    }
    c->line_len = 0;
    c->line[0] = '\0';
}

/* ---- characters ------------------------------------------------------------------ */

static void put(ferry_console *c, char ch)
{
    c->ring[c->total++ % sizeof c->ring] = ch;
    if (ch == '\n') {
        end_line(c);
    } else if (c->line_len < sizeof c->line - 1) {
        c->line[c->line_len++] = ch;
        c->line[c->line_len] = '\0';
    }
}

/* Terminal escapes vanish, other control characters too: what is kept may go to
 * somebody's terminal. */
static void add_byte(ferry_console *c, unsigned char ch)
{
    switch (c->escape) {
    case ESCAPE: c->escape = ch == '[' ? CSI : PLAIN; return;
    case CSI:
        if (ch >= 0x40 && ch <= 0x7e)
            c->escape = PLAIN;
        return;
    default: break;
    }

    if (ch == 0x1b)
        c->escape = ESCAPE;
    else if (ch == '\n')
        put(c, '\n');
    else if (ch == '\t')
        put(c, ' ');
    else if (ch >= 0x80)
        put(c, c->text8 ? (char)ch : '?');
    else if (ch >= 0x20 && ch != 0x7f)
        put(c, (char)ch);
}

void ferry_console_add(ferry_console *c, const void *data, size_t len)
{
    const unsigned char *p = data;
    for (size_t i = 0; i < len; i++)
        add_byte(c, p[i]);
}

const char *ferry_console_last(const ferry_console *c)
{
    const char *text = without_stamp(c->line);
    return text[strspn(text, " ")] ? text : c->last;
}

size_t ferry_console_tail(const ferry_console *c, char *buf, size_t size)
{
    if (size == 0)
        return 0;
    size_t have = c->total < sizeof c->ring ? c->total : sizeof c->ring;
    size_t len = have < size ? have : size - 1;
    size_t from = c->total - len;

    for (size_t i = 0; i < len; i++)
        buf[i] = c->ring[(from + i) % sizeof c->ring];
    buf[len] = '\0';

    /* Cut in mid-line? Begin with the next one. */
    if (from > 0 &&
        (len == sizeof c->ring || c->ring[(from - 1) % sizeof c->ring] != '\n')) {
        char *next = memchr(buf, '\n', len);
        if (next && next + 1 < buf + len) {
            len -= (size_t)(next + 1 - buf);
            memmove(buf, next + 1, len + 1);
        }
    }
    return len;
}

/* ---- the task -------------------------------------------------------------------- */

FERRY_CO int ferry_console_run(ferry_console *c, ferry_link *link)
{
    FERRY_AUTO(buf) ferry_buf *buf = NULL;
    int r = ferry_buf_new(READ_SIZE, &buf);
    ssize_t n = r;
    while (r == 0) {
        buf->len = 0;
        n = ferry_link_read(link, buf);
        if (n <= 0)
            break;
        ferry_console_add(c, buf->data, (size_t)n);
    }
    c->ended = true;
    return n == -ECONNRESET ? 0 : (int)n;
}
