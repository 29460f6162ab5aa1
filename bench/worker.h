/* What the files of the bench's worker share: the state, the words of a command, the clock, and
 * the commands that are not worker.c's. */
#ifndef FERRY_BENCH_WORKER_H
#define FERRY_BENCH_WORKER_H

#include <guestferry.h>

#define WORDS_MAX 8

struct worker {
    ferry_ctx *ctx;
    ferry_vm *vm;
    ferry_error e;
    char *word[WORDS_MAX]; /* of the command */
    int n;
    char more[16384]; /* of the answer: ", \"ms\": [1.234]" */
};

double now(void); /* seconds */
const char *word(const struct worker *w, int i);
int number(const struct worker *w, int i);

/* moves.c; 0 or a negative code */
int cmd_upload(struct worker *w);
int cmd_download(struct worker *w);
int cmd_copy_in(struct worker *w);
int cmd_copy_out(struct worker *w);
int cmd_many_in(struct worker *w);
int cmd_many_out(struct worker *w);
int cmd_stat(struct worker *w);
int cmd_cats(struct worker *w);
int cmd_limit(struct worker *w);

/* cancel.c */
int cmd_cancel(struct worker *w);
int cmd_cancel_launch(struct worker *w);

/* slow.c */
int cmd_slow_readers(struct worker *w);
int cmd_end_slow_readers(struct worker *w);

/* clones.c */
int cmd_template(struct worker *w);
int cmd_clones(struct worker *w);
int cmd_end_clones(struct worker *w);

#endif
