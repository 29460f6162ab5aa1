/* A program opens the library with dlopen(), a thread of ours hangs in a system call, and the program
 * closes context and library. The thread comes back to code that is still there (-z nodelete), ends
 * by itself, and the library can be opened again. Without that, its return was a crash of the
 * program. (A plugin's host does this; here the hung call is the open of a FIFO without a writer,
 * where an appliance should have its manifest.) */
#include "harness/host.h"

#include <guestferry.h>

#include <dirent.h>
#include <dlfcn.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

/* Nothing is linked: what the program has of the library it asks dlsym() for. */
#define ASK(library, name)                                                             \
    __typeof__(&(name)) name##_ = (__typeof__(&(name)))dlsym(library, #name);          \
    assert_non_null(name##_)

static const char *library_path(void)
{
    static char path[4096];
    snprintf(path, sizeof path, "%s/lib/libguestferry.so.0", getenv("FERRY_BUILD_DIR"));
    return path;
}

static void *library_open(void)
{
    void *library = dlopen(library_path(), RTLD_NOW | RTLD_LOCAL);
    if (!library)
        fail_msg("%s", dlerror());
    return library;
}

/* Whether a thread is in openat(2) of the manifest: "257 0xdir 0xname ...". Its memory is ours, but
 * may be gone by now, so that the kernel is asked to look. */
static bool opens_manifest(FILE *syscall_file)
{
    long number;
    unsigned long name;
    char text[PATH_MAX] = "";
    if (fscanf(syscall_file, "%ld %*x %lx", &number, &name) != 2 || number != SYS_openat)
        return false;
    int memory = open("/proc/self/mem", O_RDONLY | O_CLOEXEC);
    assert_true(memory >= 0);
    ssize_t n = pread(memory, text, sizeof text - 1, (off_t)name);
    close(memory);
    return n > 0 && strstr(text, "/manifest.json");
}

/* Threads of this process; those that hang in the open only. */
static int count_threads(bool hanging)
{
    char path[300];
    int n = 0;
    DIR *d = opendir("/proc/self/task");
    assert_non_null(d);
    for (struct dirent *e; (e = readdir(d));) {
        snprintf(path, sizeof path, "/proc/self/task/%s/syscall", e->d_name);
        FILE *f = e->d_name[0] == '.' ? NULL : fopen(path, "re");
        if (!f)
            continue; /* it has ended */
        n += !hanging || opens_manifest(f);
        fclose(f);
    }
    closedir(d);
    return n;
}

static bool one_hangs(void *arg)
{
    (void)arg;
    return count_threads(true) == 1;
}

static bool alone(void *arg)
{
    (void)arg;
    return count_threads(false) == 1;
}

static void make_appliance(void)
{
    static const char *const files[] = {"vmlinux", "Image", "initramfs", "usr.img",
                                        "qboot.rom"};
    for (size_t i = 0; i < sizeof files / sizeof *files; i++)
        make_file(scratch("%s", files[i]), 100, 1);
    assert_int_equal(mkfifo(scratch("manifest.json"), 0600), 0);
}

/* A launch whose look at the manifest hangs; cancelled, closed. */
static void leaves_a_thread_behind(void *library)
{
    ASK(library, ferry_ctx_new);
    ASK(library, ferry_vm_new);
    ASK(library, ferry_add_drive_scratch);
    ASK(library, ferry_launch_start);
    ASK(library, ferry_op_cancel);
    ASK(library, ferry_op_wait);
    ASK(library, ferry_op_poll);
    ASK(library, ferry_op_free);
    ASK(library, ferry_ctx_free);
    ferry_error e = {0};
    ferry_ctx *ctx = NULL;
    ferry_vm *vm = NULL;
    ferry_op *op = NULL;
    ferry_vm_opts o = {.size = sizeof o, .appliance = scratch(".")};

    assert_int_equal(ferry_ctx_new_(&ctx, &e), 0);
    assert_int_equal(ferry_vm_new_(ctx, &o, &vm, &e), 0);
    assert_int_equal(ferry_add_drive_scratch_(vm, MIB, &e), 0);
    assert_int_equal(ferry_launch_start_(vm, &op, &e), 0);
    assert_true(eventually(one_hangs, NULL));
    ferry_op_cancel_(op);
    assert_int_equal(ferry_op_wait_(op, 10000), 0);
    assert_int_equal(ferry_op_poll_(op, NULL), FERRY_OP_CANCELLED);
    ferry_op_free_(op);
    ferry_ctx_free_(ctx);
}

static void comes_back_to_code_that_is_there(void **state)
{
    (void)state;
    make_appliance();
    void *library = library_open();
    leaves_a_thread_behind(library);
    assert_int_equal(dlclose(library), 0);
    assert_true(one_hangs(NULL)); /* still */

    int fd = open(scratch("manifest.json"), O_WRONLY | O_CLOEXEC);
    assert_true(fd >= 0);
    close(fd);
    assert_true(eventually(alone, NULL));
}

static void can_be_opened_again(void **state)
{
    (void)state;
    void *library = library_open();
    ASK(library, ferry_ctx_new);
    ASK(library, ferry_ctx_free);
    ferry_ctx *ctx = NULL;
    assert_int_equal(ferry_ctx_new_(&ctx, NULL), 0);
    ferry_ctx_free_(ctx);
    assert_int_equal(dlclose(library), 0);
    assert_true(eventually(alone, NULL));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(comes_back_to_code_that_is_there),
        cmocka_unit_test(can_be_opened_again),
    };
    return cmocka_run_group_tests(tests, scratch_setup, scratch_teardown);
}
