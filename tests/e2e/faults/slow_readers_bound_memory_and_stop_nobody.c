/* Downloads whose readers take a byte now and then: what is held for them is bounded, however large
 * the files are, and the transfers of others come through meanwhile. */
#include "harness/vm.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define LEN (32 * MIB)
#define READERS 8
#define OTHERS 20
#define OTHER_LEN MIB

/* What the library may hold for all of them, of the 256 MiB they are due: 4 MiB of credit each,
 * in buffers of our own or of the lane's (16 MiB), the heap's waste, and the others' bytes. */
#define GROWTH_MAX (64 * MIB)

static char *content;

static uint64_t resident(void)
{
    unsigned long total, pages;
    FILE *f = fopen("/proc/self/statm", "re");
    assert_non_null(f);
    assert_int_equal(fscanf(f, "%lu %lu", &total, &pages), 2);
    fclose(f);
    return pages * (uint64_t)sysconf(_SC_PAGESIZE);
}

static int setup(void **state)
{
    vm_setup(state);
    content = filled(LEN, 1);
    return 0;
}

static int teardown(void **state)
{
    free(content);
    return vm_teardown(state);
}

struct reader {
    int fds[2];
    ferry_op *op;
    size_t done;
};

static void takes_a_byte(struct reader *r)
{
    char byte;
    assert_int_equal(read(r->fds[0], &byte, 1), 1);
    assert_int_equal(byte, content[r->done++]);
}

static void others_come_through(void **state)
{
    (void)state;
    struct reader readers[READERS] = {0};
    void *got;
    size_t len;
    assert_ok(ferry_upload_mem(vm, content, LEN, "/big", NULL, &err));
    assert_ok(ferry_upload_mem(vm, content, OTHER_LEN, "/other", NULL, &err));
    uint64_t before = resident(), most = 0;

    for (int i = 0; i < READERS; i++) {
        assert_int_equal(pipe2(readers[i].fds, O_CLOEXEC), 0);
        assert_ok(ferry_download_fd_start(vm, "/big", readers[i].fds[1], NULL,
                                          &readers[i].op, &err));
    }
    for (int n = 0; n < OTHERS; n++) {
        for (int i = 0; i < READERS; i++)
            takes_a_byte(&readers[i]);
        assert_ok(ferry_download_mem(vm, "/other", NULL, &got, &len, &err));
        assert_int_equal(len, OTHER_LEN);
        assert_memory_equal(got, content, len);
        free(got);
        assert_ok(ferry_upload_mem(vm, content, OTHER_LEN, "/new", NULL, &err));
        most = resident() > most ? resident() : most;
    }
    if (most > before + GROWTH_MAX)
        fail_msg("%llu MiB are held", (unsigned long long)((most - before) / MIB));
    print_message("%llu KiB more than before\n",
                  (unsigned long long)(most > before ? (most - before) / KIB : 0));

    for (int i = 0; i < READERS; i++) {
        assert_int_equal(ferry_op_poll(readers[i].op, NULL), FERRY_OP_PENDING);
        ferry_op_cancel(readers[i].op);
        assert_ends(readers[i].op, FERRY_ECANCELED);
        ferry_op_free(readers[i].op);
        close(readers[i].fds[0]);
        close(readers[i].fds[1]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        vm_test(others_come_through),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
