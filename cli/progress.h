/* What the user sees of work that takes time, on stderr: a redrawn bar or spinner, plain
 * lines, JSON lines, or nothing. session.c ticks it while it waits; commands tell it what
 * is going on. It knows of no op and no VM: whoever starts it gives it a sampler. */
#ifndef GFERRY_PROGRESS_H
#define GFERRY_PROGRESS_H

#include "meter.h"

#include <stdbool.h>
#include <stdint.h>

enum progress_mode {
    PROGRESS_AUTO, /* a bar on a terminal, else plain */
    PROGRESS_BAR,
    PROGRESS_PLAIN,
    PROGRESS_JSON,
    PROGRESS_NONE,
};

#define PROGRESS_REDRAW_MS 100  /* ten redraws a second */
#define PROGRESS_PLAIN_MS 10000 /* between plain lines */
#define PROGRESS_JSON_MS 500    /* between JSON lines of one state */
#define PROGRESS_SPINNER_MS 150 /* quicker work shows no spinner */

/* How far the work is. phase: static text; for a transfer only JSON shows it. */
struct progress_sample {
    uint64_t bytes, total;       /* total 0: unknown */
    uint64_t files, files_total; /* files_total 0: one file, not counted */
    const char *phase;
};

typedef void progress_sampler(void *user, struct progress_sample *ret);

/* One of several transfers that run at once. rate 0, eta_ms -1: unknown. */
struct progress_row {
    const char *label; /* as it is: made printable when it is shown */
    uint64_t bytes, total, rate, elapsed_ms;
    int64_t eta_ms;
};

#define PROGRESS_ROWS 8 /* at most: more are a flood, not a picture */

/* Fills at most PROGRESS_ROWS of them, and says how many. */
typedef unsigned progress_rows(void *user, uint64_t now_ms, struct progress_row *ret);

struct progress {
    enum progress_mode mode;
    const char *command; /* "cp"; in JSON lines */
    char *label;         /* of the transfer; printable; NULL while there is none */
    progress_sampler *sampler;
    progress_rows *rows; /* NULL: the work is not in parts */
    void *user;
    bool active, spinner;
    uint64_t started_ms, drawn_ms;
    const char *last_phase; /* JSON: a change is a line */
    struct meter meter;
};

uint64_t progress_now_ms(void); /* the monotonic clock everything here is given */

void progress_init(struct progress *p, enum progress_mode mode, const char *command);
void progress_done(struct progress *p);

/* A transfer begins: label (copied; NULL: none), and where its figures come from. */
void progress_begin(struct progress *p, const char *label, progress_sampler *sampler,
                    void *user);
/* It consists of several: each of the rows gets a bar above that of the whole. */
void progress_split(struct progress *p, progress_rows *rows);
/* Something without bytes begins: a spinner with the sampler's phase. */
void progress_begin_phase(struct progress *p, progress_sampler *sampler, void *user);
/* It is over. state, for JSON: "done", "failed", "cancelled". */
void progress_end(struct progress *p, const char *state);

/* Draws what is due; force: at once (after SIGCONT, SIGWINCH). */
void progress_tick(struct progress *p, bool force);
/* Milliseconds until the next tick is due; -1: none. */
int progress_due_ms(const struct progress *p);

/* "big.iso  1.2 GiB in 4.1 s (301 MiB/s)", when it is all in the image. files 0: a single
 * file, named by label. */
void progress_summary(struct progress *p, const char *label, uint64_t files,
                      uint64_t bytes, uint64_t ms);

#endif
