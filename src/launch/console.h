/* What the appliance's console, or qemu's stderr, has said: the tail of it as printable
 * text, and the lines that explain an end. The bytes are the guest's and are believed in
 * nothing but wording.
 *
 *      link --read--> add: strip escapes --> ring (the tail)
 *                                       `--> line --> last, panic, oom
 *
 * Embedded in its owner (qemu.c). Knows no process. Loop thread only. */
#ifndef FERRY_LAUNCH_CONSOLE_H
#define FERRY_LAUNCH_CONSOLE_H

#include "async/link.h"

#include <stdbool.h>
#include <stddef.h>

/* A whole boot without `quiet` is about 20 KiB; a panic's trace about 4. */
#define FERRY_CONSOLE_RING (32 * 1024)
/* A longer line is cut: it is meant for an error of 256 bytes. */
#define FERRY_CONSOLE_LINE 240

typedef struct ferry_console {
    char ring[FERRY_CONSOLE_RING];
    size_t total; /* characters ever added; the ring holds the last of them */

    char line[FERRY_CONSOLE_LINE]; /* the unfinished one, 0-terminated */
    size_t line_len;
    int escape; /* where in an escape sequence the stream is */
    bool text8; /* bytes >= 0x80 are kept: qemu's stderr has file names */

    /* Whole lines without the kernel's time stamp; "" while there is none. */
    char last[FERRY_CONSOLE_LINE];
    char panic[FERRY_CONSOLE_LINE]; /* the kernel's reason for stopping */
    char oom[FERRY_CONSOLE_LINE];   /* whom the guest's OOM killer took */

    bool ended; /* nothing more will come */
} ferry_console;

void ferry_console_init(ferry_console *c, bool text8);
void ferry_console_add(ferry_console *c, const void *data, size_t len);

/* The last line that says something, finished or not; "" if there was none. */
const char *ferry_console_last(const ferry_console *c);

/* The tail, at most size - 1 bytes, beginning at a line's start where it had to be cut.
 * 0-terminated. Returns its length. */
size_t ferry_console_tail(const ferry_console *c, char *buf, size_t size);

/* Reads until the stream ends; sets `ended`. 0, or what the read failed with. */
FERRY_CO int ferry_console_run(ferry_console *c, ferry_link *link);

#endif
