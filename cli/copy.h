/* The state of one cp: what is to be copied, what has been, what went wrong. copy.c owns the
 * list and the books; copy_in.c and copy_out.c fill the list and move the bytes; cp.c reads
 * the command line and calls them.
 *
 *     cp.c -> copy_in_add()/copy_out_add() for each source -> entries
 *          -> copy_in_run()/copy_out_run():  an op each, many at once
 *          -> copy_status()
 *
 * A tree is one entry and one op: the library walks it (guestferry/tree.h). */
#ifndef GFERRY_COPY_H
#define GFERRY_COPY_H

#include "kept.h"
#include "pump.h"
#include "session.h"

#include <guestferry/tree.h>

#include <sys/types.h>

enum entry_kind { ENTRY_FILE, ENTRY_TREE };

/* One thing to copy. */
struct entry {
    enum entry_kind kind;
    char *src;      /* in the image or on the host */
    char *dst;      /* ENTRY_FILE: its path; ENTRY_TREE: the directory it goes to */
    char *name;     /* ENTRY_TREE: what it is called there */
    uint64_t size;  /* ENTRY_FILE; of a tree when its op has ended */
    uint64_t files; /* ENTRY_TREE, then: made, of so many */
    uint32_t mode;  /* ENTRY_FILE: permission bits of the source */
    ferry_op *op;   /* ENTRY_TREE: while it runs */
};

struct copy {
    struct session *s;
    struct entry *entries;
    size_t len, cap;

    uint64_t bytes; /* of all files */
    uint64_t files; /* files; those of trees not counted */
    bool into;      /* the image */
    bool unknown;   /* a source does not tell its size */
    bool trees;     /* there is one */
    uint64_t copied, failed, skipped;
    uint64_t bytes_done;
    int status; /* of the first failure */
    bool over;  /* of no use to go on */
    struct kept kept;

    struct pump pump;
    size_t next; /* entry to start */
    uint64_t started_ms, took_ms;
};

void copy_init(struct copy *c, struct session *s);
void copy_done(struct copy *c);

/* Appends an entry; its texts become the list's, also on failure (-ENOMEM). */
int copy_add(struct copy *c, const struct entry *e);
/* Appends a tree that becomes `dst`: merge: which is a directory and stays; else it is what is put in the
 * directory above. */
int copy_add_tree(struct copy *c, const char *src, const char *dst, bool merge);

/* What the line of a file's transfer is called. */
void copy_show(const struct entry *e, struct pump_task *t);

/* Books. */
void copy_file_done(struct copy *c, const struct entry *e);
void copy_failed(struct copy *c, int status);
/* A code came after which nothing works: stop. */
void copy_check_over(struct copy *c, int code);
bool copy_stopping(const struct copy *c);

/* Runs `start` on each entry with many in flight, under a bar. start() adds a task to c->pump,
 * or accounts for a failure. */
void copy_run_entries(struct copy *c, const char *label,
                      void (*start)(struct copy *c, struct entry *e));
/* The start() of a tree: begins its op with `start`. */
typedef int copy_tree_start(struct copy *c, const struct entry *e,
                            const ferry_copy_opts *opts, ferry_op **ret,
                            ferry_error *err);
void copy_start_tree(struct copy *c, struct entry *e, copy_tree_start *start);

/* The exit code of what the books say. */
int copy_status(const struct copy *c);

/* Into the image. add: one source of the host, to be dst in the image. Both account for what
 * goes wrong. */
void copy_in_add(struct copy *c, const char *src, const char *dst);
void copy_in_run(struct copy *c, const char *label);

/* Out of it. src: path in the image. */
void copy_out_add(struct copy *c, const char *src, const char *dst);
void copy_out_run(struct copy *c, const char *label);

#endif
