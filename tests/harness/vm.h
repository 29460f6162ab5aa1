/* One appliance for the tests of a program, or a new one for each.
 *
 *      group setup      vm_setup_ext4, or steps of your own: vm_new, image, vm_launch
 *      each test        vm_test(f): nothing may be left behind that was not there before
 *      group teardown   vm_teardown: shut down; no process, descriptor, temporary is left
 *
 * A test reads as its user would write it: assert_ok(ferry_mkdir(vm, "/d", NULL, &err)).
 */
#ifndef FERRY_TESTS_VM_H
#define FERRY_TESTS_VM_H

#include "harness/host.h"

#include <guestferry.h>

extern ferry_ctx *ctx;
extern ferry_vm *vm;
extern ferry_error err;       /* of the call that is being asserted */
extern ferry_vm_opts vm_opts; /* for vm_new(); what is zero is the harness's default */

/* ---- asserts -------------------------------------------------------------------- */

/* The call must succeed; else fails with err. A call that was made before and has filled err
 * will do: assert_ok(r). */
#define assert_ok(call) assert_ok_or(call, 0)
/* Or fail with this code. */
#define assert_ok_or(call, code)                                                       \
    assert_ok_or_at((call), (code), #call, __FILE__, __LINE__)
/* The call must fail with this code (FERRY_ENOENT), say so in err, and name `part`. */
#define assert_fails(call, code, part)                                                 \
    (memset(&err, 0, sizeof err),                                                      \
     assert_fails_at((call), (code), (part), #call, __FILE__, __LINE__))

/* The op ends, before long, with this code (FERRY_EDEAD; 0: OK), and err is what it says. */
#define assert_ends(op, code)                                                          \
    assert_ends_at((op), 2 * PATIENCE_MS, (code), #op, __FILE__, __LINE__)

void assert_ok_or_at(int r, int code, const char *call, const char *file, int line);
void assert_ends_at(ferry_op *op, unsigned ms, int code, const char *name,
                    const char *file, int line);
void assert_fails_at(int r, int code, const char *part, const char *call,
                     const char *file, int line);

/* ---- life ----------------------------------------------------------------------- */

/* A context and a VM, not launched. Counts descriptors first. */
void vm_new(void);
/* A new image of the format its extension says, in the scratch directory; added to
 * the VM. */
const char *vm_image(const char *name, uint64_t bytes);
void vm_launch(void);
void vm_shutdown(void); /* orderly; the VM can be launched again */
/* Frees both, and asserts that nothing of them is left. */
void vm_free(void);
/* So many descriptors are open, or will be as soon as others have closed theirs. */
void assert_fds(int expected);

/* ---- a transfer half-way ---------------------------------------------------------- */

/* For ferry_vm_set_rate_max(): what has 40 MiB to go is not over before something has been done to
 * it, however fast the machine is and however busy. 0 lets it go on. */
#define SLOWLY (4 * MIB)

/* ---- a launch half-way ------------------------------------------------------------ */

/* A qemu whose guest never runs an instruction: its launch stays in "booting" however fast the
 * machine is. For .qemu, with .accel FERRY_ACCEL_TCG, or kvm would be said to hang. */
const char *still_qemu(void);
/* Until a launch has come to this phase, or is beyond it: "waiting", "starting qemu" (which can
 * be over before anybody has seen it), "booting". */
void launch_comes_to(ferry_op *op, const char *phase);

/* ---- fixtures for cmocka -------------------------------------------------------- */

/* One ext4 of 2 GiB, made by mkfs.ext4 on the host, mounted at /. */
int vm_setup_ext4(void **state);
/* The same, or an empty bare daemon (harness/bare.c) where FERRY_BARE says so: for tests of what
 * has nothing to do with machines and disks, which then run under the sanitizers too. */
int vm_setup(void **state);
bool vm_is_bare(void);
int vm_teardown(void **state);
/* After each test: one guard and one qemu (or none when it is not up), no descriptor
 * more than before, no temporary on the host. */
int vm_leaves_nothing(void **state);

#define vm_test(f) cmocka_unit_test_teardown(f, vm_leaves_nothing)

/* ---- the guest ------------------------------------------------------------------ */

pid_t vm_qemu(void); /* its pid, found below the guard; 0: none */

/* Content, by way of ferry_download_mem. */
void assert_guest_is(const char *path, const void *data, size_t len);
/* The names in a directory of the guest, with blanks between: "a b lost+found". */
void assert_guest_ls(const char *dir, const char *names);
ferry_stat_info guest_stat(const char *path);

#endif
