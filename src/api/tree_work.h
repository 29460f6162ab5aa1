/* The host's side of a tree that is copied: its reader or builder (src/tree), a step at a time on the
 * pool, and the entries that were left out.
 *
 *      op's task ---- step(): a job with one piece ----> pool thread: ferry_tree_read / _build
 *          '- cancelled: *stop is set, the step ends at its next entry, and is waited for, but not
 *             for ever: one that hangs in a dead disk keeps this structure, not the op
 *
 * Counted: held by the op, and by a step that is still running. */
#ifndef FERRY_API_TREE_WORK_H
#define FERRY_API_TREE_WORK_H

#include "async/fs.h"
#include "async/sync.h"
#include "base/list.h"
#include "tree/builder.h"
#include "tree/reader.h"

#include <guestferry/error.h>

#include <pthread.h>
#include <stdatomic.h>

typedef struct ferry_tree_work {
    atomic_uint refs;

    /* what is to be done; owned, and not changed once a step has run */
    char *src, *dir, *name;
    unsigned keep;        /* enum ferry_tree_keep */
    ferry_tree_id *disks; /* files that are not read */
    size_t ndisks;

    ferry_tree_reader *reader; /* one of the two, or none yet */
    ferry_tree_builder *builder;
    atomic_int stop;
    bool keep_going;

    /* loop */
    bool running;
    ferry_cond idle;

    pthread_mutex_t lock; /* what follows: a step adds, any thread takes */
    ferry_list problems;
    unsigned nproblems;
    uint64_t dropped;
} ferry_tree_work;

int ferry_tree_work_new(ferry_tree_work **ret);
void ferry_tree_work_unref(ferry_tree_work *w); /* NULL is allowed */

/* Runs fn(w, piece) on the pool: its result, or the cancel code. One at a time; after a cancel code
 * none. piece may be NULL. */
typedef int (*ferry_tree_step)(ferry_tree_work *w, ferry_slice *piece);
FERRY_CO int ferry_tree_work_step(ferry_tree_work *w, ferry_tree_step fn,
                                  const ferry_slice *piece);

/* What was half made goes away now, not when the op is freed: whoever was told that it has ended may
 * look. A step that still hangs does it when it ends. */
FERRY_CO void ferry_tree_work_drop(ferry_tree_work *w);

/* An entry was left out. 0: go on; else the code to end with. Any thread. */
int ferry_tree_work_problem(ferry_tree_work *w, const char *path, int code);
/* Takes the oldest: 1, or 0. */
int ferry_tree_work_take(ferry_tree_work *w, char **ret_path, ferry_error *e);

#endif
