/* The close of a file that goes with it may take long, and is the pool's: who lets go of the file does
 * not wait, nor does anybody else on the loop; who asks to wait does, until a cancel; and what a
 * closing loop still has is closed in any case.
 *
 * Once, a cancelled download gave back 200 MiB of a nameless file on the loop's thread: a third of a
 * second in which no other op went on, and none could be cancelled. */
#include "async/fs.h"
#include "harness/real.h"

#include <guestferry/error.h>

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <unistd.h>

/* Linked with --wrap=close: the close of `slow` waits for a byte at the gate, if there is one. */
static atomic_int slow = -1;
static atomic_bool closing, closed_here;
static int gate[2] = {-1, -1};
static pthread_t loops_thread;

int __real_close(int fd);
int __wrap_close(int fd);

int __wrap_close(int fd)
{
    char byte;
    if (fd < 0 || fd != atomic_load(&slow))
        return __real_close(fd);
    atomic_store(&closed_here, pthread_equal(pthread_self(), loops_thread));
    atomic_store(&closing, true);
    if (!closed_here && gate[0] >= 0 && read(gate[0], &byte, 1) != 1)
        abort();
    atomic_store(&slow, -1);
    return __real_close(fd);
}

static void open_gate(void)
{
    check_eq(write(gate[1], ".", 1), 1);
}

static FERRY_CO ferry_file *file(void)
{
    ferry_file *f = NULL;
    loops_thread = pthread_self();
    atomic_store(&closing, false);
    check_eq(ferry_fs_open("/dev/null", O_RDONLY, 0, &f), 0);
    ferry_file_close_aside(f, ferry_self_loop());
    atomic_store(&slow, f->fd);
    return f;
}

static FERRY_CO ferry_file *slow_file(void)
{
    check_eq(pipe2(gate, O_CLOEXEC), 0);
    return file();
}

static void end(void)
{
    check_eq(atomic_load(&slow), -1);
    check(!closed_here);
    close(gate[0]);
    close(gate[1]);
    gate[0] = -1;
}

/* It has been going on all the while. */
static FERRY_CO void let_it_end(void)
{
    check(atomic_load(&slow) >= 0);
    open_gate();
    while (atomic_load(&slow) >= 0)
        ferry_yield();
    end();
}

static FERRY_CO int nobody_waits(void *arg)
{
    struct stat st;
    (void)arg;
    ferry_file *f = slow_file(), *other = NULL;
    ferry_file_unref(f);
    while (!atomic_load(&closing))
        ferry_yield();
    check_eq(ferry_fs_open("/dev/null", O_RDONLY, 0, &other), 0);
    check_eq(ferry_fs_stat(other, &st), 0);
    ferry_file_unref(other);
    let_it_end();
    return 0;
}

static FERRY_CO int closes(void *arg)
{
    ferry_file_close(arg);
    return 0;
}

static FERRY_CO int who_asks_waits(void *arg)
{
    ferry_scope s;
    (void)arg;
    ferry_file *f = slow_file();
    ferry_scope_open(&s, 0);
    check_eq(ferry_spawn(&s, "closes", closes, f), 0);
    while (!atomic_load(&closing))
        ferry_yield();
    open_gate();
    check_eq(ferry_scope_join(&s), 0);
    end(); /* it is closed */
    return 0;
}

static FERRY_CO int until_a_cancel(void *arg)
{
    ferry_scope s;
    (void)arg;
    for (int before = 0; before < 2; before++) {
        ferry_file *f = slow_file();
        ferry_scope_open(&s, 0);
        check_eq(ferry_spawn(&s, "closes", closes, f), 0);
        while (!before && !atomic_load(&closing))
            ferry_yield();
        ferry_scope_cancel(&s, -FERRY_ECANCELED);
        ferry_scope_join(&s);
        let_it_end();
    }
    return 0;
}

/* run_on_uv() closes the loop next, and counts descriptors. */
static FERRY_CO int a_closing_loop_waits(void *arg)
{
    (void)arg;
    ferry_file_unref(file());
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST_ON_UV(nobody_waits),
        TEST_ON_UV(who_asks_waits),
        TEST_ON_UV(until_a_cancel),
        TEST_ON_UV(a_closing_loop_waits),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
