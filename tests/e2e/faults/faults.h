/* What the fault tests share: the VM that is hurt (vm, of vm.h), and beside it, on the same
 * context, one that must not notice; ops whose completions are counted; and a look at what is
 * left of a VM that died. */
#ifndef FERRY_TESTS_FAULTS_H
#define FERRY_TESTS_FAULTS_H

#include "harness/vm.h"

/* ---- fixtures ------------------------------------------------------------------------- */

/* disk.img, an ext4 of 1 GiB, added to vm, which is not launched; the bystander is up. */
int faults_setup(void **state);
int faults_teardown(void **state);
/* Launches vm, mounts disk.img at /. */
void faults_up(void);
/* Shuts vm down; disk.img then passes its checker. */
void faults_down(void);
pid_t faults_qemu(void); /* of vm; never 0 */

/* vm is dead: soon there is no process, zombie, descriptor or temporary of it; the bystander
 * works. */
void assert_nothing_left(void);
void assert_bystander_works(void);

/* ---- ops that end once ------------------------------------------------------------------ */

struct once {
    ferry_op *op;
    unsigned calls; /* of the completion callback */
};

/* Counts op's completions from now on. The struct must live until it is freed. */
void once_watch(struct once *o, ferry_op *op);
/* It ends within ms; with this code (FERRY_EDEAD; 0: OK), these words, and one completion. The
 * op is freed. */
void once_ends(struct once *o, unsigned ms, int code, const char *part);

#endif
