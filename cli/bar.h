/* One line of progress as a pure function of what is known and how wide the terminal is.
 * Draws nothing: progress.c shows the text, tests compare it with golden strings. */
#ifndef GFERRY_BAR_H
#define GFERRY_BAR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Room for a line of any width we draw (BAR_MAX_COLUMNS at up to 4 bytes each, colour). */
#define BAR_LINE 2048
/* Wider terminals get no wider bar: the eye would have to travel. */
#define BAR_MAX_COLUMNS 200

struct bar {
    const char *label;           /* printable text; NULL: none */
    const char *phase;           /* not NULL: a spinner with this text, no bytes */
    uint64_t bytes, total;       /* total 0: unknown, so no percentage */
    uint64_t files, files_total; /* files_total 0: a single file, not counted */
    uint64_t rate;               /* bytes a second; 0: unknown */
    int64_t eta_ms;              /* -1: unknown */
    uint64_t elapsed_ms;
    bool utf8, colour;
};

/* Writes the line, at most columns - 1 wide (the last column would wrap on some
 * terminals), without a newline. */
void bar_render(const struct bar *b, unsigned columns, char line[BAR_LINE]);

#endif
