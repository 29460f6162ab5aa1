/* The host's side of an e2e test: a scratch directory, files of known content, tools
 * that are not ours, and what processes and descriptors we have. Every assert prints
 * both values. Knows nothing of VMs (vm.h). */
#ifndef FERRY_TESTS_HOST_H
#define FERRY_TESTS_HOST_H

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include <cmocka.h>

#define KIB ((uint64_t)1024)
#define MIB (1024 * KIB)
#define GIB (1024 * MIB)

/* ---- scratch -------------------------------------------------------------------- */

/* A new directory in the build tree (on a disk, where /tmp may be memory). */
void scratch_make(void);
void scratch_remove(void);
/* The same for cmocka_run_group_tests(). */
int scratch_setup(void **state);
int scratch_teardown(void **state);
/* The path of a name in it; not to be freed. */
const char *scratch(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

/* ---- content -------------------------------------------------------------------- */

/* Bytes that no two seeds share, without a period that a shift could hide in. */
void fill(void *data, size_t len, unsigned seed);
void *filled(size_t len, unsigned seed); /* malloced; of at least 1 byte */

/* A file of `len` such bytes. */
void make_file(const char *path, uint64_t len, unsigned seed);
/* Writes them at `offset` of a file that may be there. */
void put_bytes(const char *path, uint64_t offset, size_t len, unsigned seed);

void assert_file_is(const char *path, const void *data, size_t len);
/* Content, size and (holes) the map of data and holes, with 4 KiB of slack at the
 * edges. */
void assert_same_file(const char *a, const char *b);
void assert_same_holes(const char *a, const char *b);
uint64_t file_size(const char *path);
uint64_t file_allocated(const char *path); /* bytes of disk */

/* ---- tools ---------------------------------------------------------------------- */

/* Runs a shell command, whose exit status must be 0; else fails with its output.
 * Returns its stdout and stderr (static, up to 64 KiB). */
const char *host(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
/* The same for any status, which is returned. */
int host_status(const char **ret_output, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));

void assert_has(const char *text, const char *part);

/* Ends the test program as skipped (77), saying why. */
_Noreturn void skip_all(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

/* ---- what we have --------------------------------------------------------------- */

int count_fds(void); /* a socket that is open twice counts once */
/* How many children this process has; the pid of one (0: none). */
int count_children(pid_t *ret_pid);
pid_t child_of(pid_t parent); /* 0: none */
/* "gferry-guard": the name of a process; "" when it is gone. */
const char *process_name(pid_t pid);
/* For eventually(): *(pid_t *)pid does not run any more (whoever has to reap it). */
bool process_has_ended(void *pid);

/* How long anything may take that comes by itself: never what a test is about, for a machine
 * that others use too may stand still for seconds. Once this was 5 s, and that was too little. */
#define PATIENCE_MS 60000

/* Waits until cond(arg) holds, at most PATIENCE_MS. For what ends by itself, on another
 * thread or in another process, with nobody to tell. */
bool eventually(bool (*cond)(void *arg), void *arg);

uint64_t now_ms(void);

/* SIGSTOP, and back when every thread of it stands still: a signal that was sent has not
 * been taken yet. */
void stop_process(pid_t pid);

/* Sends `sig` to the calling thread as soon as that sleeps in the kernel: in a wait, never on the
 * way to one. From a thread of its own, which signalled_asleep() joins. */
void signal_asleep(int sig);
void signalled_asleep(void);

/* ---- chance --------------------------------------------------------------------- */

/* A number that the environment may give: FERRY_ROUNDS, FERRY_SECONDS. */
unsigned from_env(const char *name, unsigned otherwise);
/* For rand_r(): FERRY_SEED, or a new one. Printed, so that a failure can be repeated. */
unsigned seed_for_chance(void);

#endif
