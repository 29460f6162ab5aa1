/* Many ops in flight: starts work as long as there is some and there is room, and hands back
 * each op that ends. Used by cp (transfers), ls -l and the tree scan (lstat). */
#ifndef GFERRY_PUMP_H
#define GFERRY_PUMP_H

#include "session.h"

/* Small transfers and lookups are a round trip each: this many hide it (measured by
 * bench/, more give no more), and keep descriptors and buffers few. */
#define PUMP_MAX 24

/* What a transfer's own line shows, and so needs. Zero: it has none. */
struct pump_shown {
    const char *label; /* lives as long as the task */
    uint64_t total, started_ms;
    struct meter meter;
};

struct pump_task {
    ferry_op *op; /* set by whoever starts it; freed by the pump */
    /* The op has ended: result is its code. Owns the task from here on. */
    void (*done)(struct pump_task *t, int result, const ferry_error *e);
    void *user; /* for done() */
    struct pump_shown shown;
    struct pump *pump;
    struct pump_task *next, *prev; /* in flight */
};

struct pump {
    struct session *s;
    unsigned active;
    struct pump_task *tasks;
    /* Starts one piece of work with pump_add(). false: there is none now (there may be more
     * when something in flight has ended). */
    bool (*next)(struct pump *p, void *user);
    void *user;
    bool over; /* a fatal code came: nothing new is started */
};

/* The task's op runs: take it in. */
void pump_add(struct pump *p, struct pump_task *t);
/* Runs to the end: of the work, or after a cancel or fatal failure of what is in flight. */
void pump_run(struct pump *p);
/* Is one of those in flight in this phase? */
bool pump_any_in(const struct pump *p, const char *phase);
/* Bytes moved so far by the transfers in flight. */
uint64_t pump_bytes(const struct pump *p);
/* Those that have run long enough to be worth a line, oldest first: a progress_rows. */
unsigned pump_rows(struct pump *p, uint64_t now_ms, struct progress_row *ret);

#endif
