/* What the launch tests share: a real appliance, a greeting that only waits for the
 * daemon's first bytes, and a look at what is left behind. */
#ifndef FERRY_TESTS_LAUNCHER_H
#define FERRY_TESTS_LAUNCHER_H

#include "launch/machine.h"

#include "harness/real.h"

/* Generous: a loaded machine without kvm. A launch takes 2-3 s here. */
#define LAUNCH_MS 120000

/* cmocka's main for these tests: 77, with the reason, where qemu or the appliance is
 * missing; the kvm verdict goes to a directory of the test's own. */
#define run_launch_tests(tests)                                                        \
    (launch_missing() ? 77 : cmocka_run_group_tests(tests, make_scratch, drop_scratch))

bool launch_missing(void);
int make_scratch(void **state);
int drop_scratch(void **state);
extern char scratch[64]; /* that directory */

/* Runs a command line; fails the test unless it succeeds. */
void shell(const char *fmt, ...) FERRY_PRINTF(1, 2);

/* A manifest of what is in this directory now: it was built like that. */
void write_manifest(const char *appliance);

/* For .spec.qemu: its guest never runs an instruction, so that a launch with it stays in "booting"
 * however fast the machine is. */
char *still_qemu(void);

struct launch {
    ferry_machine_spec spec;
    ferry_drive drives[8];
    const char *cancel_in; /* phase in which to cancel the scope, or NULL */
    uint64_t cancel_ms;    /* that long after it was entered */
    const char *late_in; /* phase in which its deadline passes; NULL: after LAUNCH_MS */

    ferry_scope scope;
    ferry_timer timer;
    char phases[128]; /* "starting qemu,booting,greeting," */
    ferry_link *channel;
    ferry_machine *m;
    ferry_error e;
};

/* Adds a disk of the scratch directory; format NULL: by extension. */
void add_image(struct launch *l, const char *name, const char *format, bool readonly);
void add_scratch(struct launch *l, uint64_t bytes);

/* Starts it. What comes back, 0 or a code, is ferry_machine_start's. */
FERRY_CO int launch_start(struct launch *l);
/* Ends whatever there is, frees the drives, and checks that no child process and no
 * descriptor is left. */
FERRY_CO void launch_done(struct launch *l);

#endif
