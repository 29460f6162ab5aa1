/* What the files of one launch share: the machine as it is inside, and the steps of an attempt.
 *
 *      machine.c    the contract, which accelerator, drives, the end
 *      attempt.c    one qemu: from a template if there is one, else cold; why it failed
 *      restore.c    finding a template, and going on from it
 *      snapshot.c   making one
 *
 * Loop thread only. */
#ifndef FERRY_LAUNCH_ATTEMPT_H
#define FERRY_LAUNCH_ATTEMPT_H

#include "launch/backend.h"
#include "launch/machine.h"
#include "launch/qemu.h"
#include "launch/template.h"

/* qemu's stderr, as far as an error text wants it. */
#define FERRY_WORDS 4096

struct ferry_machine {
    ferry_loop *loop;
    ferry_machine_spec spec; /* drives are our copy; the other strings are not kept */
    ferry_prepared found;
    const ferry_backend *backend;
    ferry_accel accel;
    bool no_sandbox; /* this qemu has none */
    ferry_qemu *qemu;
    const char *phase;

    /* of the attempt that is going on */
    ferry_ram ram;
    ferry_template template;         /* RAM_PRIVATE: what it goes on from */
    char *template_key;              /* malloced; of what is being made */
    int template_ram, template_lock; /* RAM_SHARED: what it makes; -1 */
    bool greeted; /* what fails from here on is no template's fault */
    ferry_template_use template_use;

    uint64_t started; /* ms */
    ferry_launch_times times;
    bool quitting;
};

void ferry_attempt_phase(ferry_machine *m, const ferry_machine_hooks *hooks,
                         const char *phase);
uint32_t ferry_attempt_ms(const ferry_machine *m, uint64_t since);

/* One accelerator: 0 when it has greeted (and has its drives). Else e says why, and
 * *ret_suspect whether another way may do better; nothing is left of it. */
FERRY_CO int ferry_attempt(ferry_machine *m, const ferry_machine_hooks *hooks,
                           ferry_accel accel, enum ferry_suspect *ret_suspect,
                           ferry_error *e);

/* One of its connections has ended: so does qemu, in a moment, which this waits for. */
FERRY_CO void ferry_attempt_await_end(ferry_machine *m);

/* How qemu ended, in a person's words. ret_suspect may be NULL. */
int ferry_attempt_blame(ferry_machine *m, int code, enum ferry_suspect *ret_suspect,
                        ferry_error *e);

/* Takes the channel from qemu and has the caller greet over it. */
FERRY_CO int ferry_attempt_greet(ferry_machine *m, const ferry_machine_hooks *hooks,
                                 ferry_error *e);

/* What describes this attempt's qemu, for argv.c. */
ferry_argv_in ferry_attempt_argv(const ferry_machine *m);

/* ---- restore.c ----------------------------------------------------------------------- */

/* Opens the template of this attempt: 0 and m->template; -FERRY_ENOENT: there is none; else what
 * is wrong with it. */
FERRY_CO int ferry_restore_find(ferry_machine *m, ferry_error *e);
/* qemu has been started on it: takes in the state, greets, plugs the drives. */
FERRY_CO int ferry_restore(ferry_machine *m, const ferry_machine_hooks *hooks,
                           ferry_error *e);

/* ---- snapshot.c ---------------------------------------------------------------------- */

/* The right to make this attempt's template, and the memory to make it of. */
FERRY_CO int ferry_snapshot_begin(ferry_machine *m, ferry_error *e);
/* Memory stays where it is, and the end is told as an event. */
FERRY_CO int ferry_snapshot_capabilities(ferry_qmp *qmp, ferry_error *e);

/* ---- template_key.c ------------------------------------------------------------------ */

/* What a template must be of, to be this attempt's: the machine's own copies of all it needs.
 * Made on the loop, read on a pool thread. */
typedef struct ferry_template_source {
    ferry_appliance appliance;
    char **argv;
    char *qemu, *build;
    uint32_t ticks_khz;
    bool kvm;
} ferry_template_source;

int ferry_template_source_init(ferry_template_source *s, const ferry_machine *m);
void ferry_template_source_done(ferry_template_source *s);
/* Blocking. -FERRY_ENOENT: a file is not there (any more); -FERRY_ENAMETOOLONG. */
int ferry_template_key(const ferry_template_source *s, char key[FERRY_TEMPLATE_KEY]);

#endif
