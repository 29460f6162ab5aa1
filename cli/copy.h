/* The state of one cp: what is to be copied, what has been, what went wrong. copy.c owns the
 * list and the books; copy_in.c and copy_out.c fill the list and move the bytes; cp.c reads
 * the command line and calls them.
 *
 *     cp.c -> copy_in_add()/copy_out_add() for each source -> entries
 *          -> copy_in_run()/copy_out_run():  directories, files (many at once), links
 *          -> copy_status() */
#ifndef GFERRY_COPY_H
#define GFERRY_COPY_H

#include "kept.h"
#include "pump.h"
#include "session.h"

#include <sys/types.h>

enum entry_kind { ENTRY_DIR, ENTRY_FILE, ENTRY_LINK };

/* One thing to copy. Parents come before what is in them. */
struct entry {
    enum entry_kind kind;
    char *src, *dst; /* full paths, in the image or on the host */
    uint64_t size;   /* ENTRY_FILE */
    uint32_t mode;   /* permission bits of the source */
    /* Of a tree: the host's path below a directory that is open; a lookup never leaves it. Of a
     * file named by the user: root -1, and the path is used as it is. */
    int root;
    const char *rel; /* inside src (in) or dst (out) */
    bool made;       /* ENTRY_DIR, out: its mode is set at the end */
};

/* Trees named on one command line; each keeps a directory open. */
#define COPY_ROOTS_MAX 256

struct copy {
    struct session *s;
    struct entry *entries;
    size_t len, cap;
    int roots[COPY_ROOTS_MAX];
    size_t nroots;

    uint64_t bytes; /* of all files */
    uint64_t files; /* files and links */
    bool unknown;   /* a source does not tell its size */
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

/* Appends an entry; src and dst become the list's, also on failure (-ENOMEM). */
int copy_add(struct copy *c, const struct entry *e);
/* Takes over an open directory. -EMFILE when there are too many. */
int copy_add_root(struct copy *c, int fd);

/* What the line of a file's transfer is called. */
void copy_show(const struct entry *e, struct pump_task *t);

/* Books. */
void copy_file_done(struct copy *c, const struct entry *e);
void copy_failed(struct copy *c, int status);
/* A code came after which nothing works: stop. */
void copy_check_over(struct copy *c, int code);
bool copy_stopping(const struct copy *c);

/* Runs `start` on each file with many in flight, under a bar. start() adds a task to c->pump,
 * or accounts for a failure. */
void copy_run_files(struct copy *c, const char *label,
                    void (*start)(struct copy *c, struct entry *e));
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
