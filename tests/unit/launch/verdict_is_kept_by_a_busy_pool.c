/* That kvm does not work is written down though every thread of the pool has something else to do; but
 * a cancelled launch does not wait for that. Once nobody waited longer than 100 ms: on a busy machine the
 * verdict was lost, the next launch tried kvm again, and one that requires a template found none. */
#include "async/internal.h"
#include "async/work.h"
#include "launch/accel.h"
#include "launch/prepare.h"

#include "harness/real.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define BUSY_MS 300 /* longer than somebody who has cancelled waits */

static int gate[2];

struct hung {
    ferry_job job;
};

static void run_hung(ferry_job *job)
{
    char byte;
    (void)job;
    if (read(gate[0], &byte, 1) != 1)
        abort();
}

static void free_hung(ferry_job *job)
{
    free(ferry_container(job, struct hung, job));
}

static FERRY_CO int hang(void *arg)
{
    struct hung *h = calloc(1, sizeof *h);
    (void)arg;
    ferry_job_init(&h->job, run_hung, free_hung);
    int r = ferry_work(&h->job, FERRY_WORK_IN_TURN);
    ferry_job_unref(&h->job);
    return r;
}

static FERRY_CO int let_go(void *arg)
{
    static const char bytes[FERRY_POOL_SHARE];
    (void)arg;
    ferry_sleep(BUSY_MS);
    check_eq(write(gate[1], bytes, sizeof bytes), sizeof bytes);
    return 0;
}

/* What is written by a launch that ends while the pool is busy. */
static FERRY_CO bool is_kept(const char *key, bool cancelled)
{
    ferry_prepared p = {0};
    char reason[FERRY_ACCEL_REASON];
    ferry_scope busy, launch;
    snprintf(p.accel_key, sizeof p.accel_key, "%s", key);
    ferry_scope_open(&busy, 0);
    for (int i = 0; i < FERRY_POOL_SHARE; i++)
        ferry_spawn(&busy, "hang", hang, NULL);
    ferry_yield(); /* they are first */
    ferry_spawn(&busy, "let go", let_go, NULL);
    ferry_scope_open(&launch, 0);
    if (cancelled)
        ferry_scope_cancel(&launch, -FERRY_ECANCELED);
    ferry_prepared_verdict(&p, "it hangs");
    ferry_scope_join(&launch);
    bool kept = ferry_accel_recall(key, reason);
    ferry_scope_join(&busy);
    return kept;
}

static FERRY_CO int body(void *arg)
{
    (void)arg;
    check(is_kept("boot qemu kernel", false));
    check(!is_kept("boot another kernel", true));
    return 0;
}

static void by_a_busy_pool(void **state)
{
    (void)state;
    char home[] = "/tmp/ferry-verdict-XXXXXX", command[64];
    assert_non_null(mkdtemp(home));
    setenv("XDG_CACHE_HOME", home, 1);
    assert_int_equal(pipe2(gate, O_CLOEXEC), 0);
    run_on_uv(body, NULL);
    snprintf(command, sizeof command, "rm -r %s", home);
    assert_int_equal(system(command), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(by_a_busy_pool)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
