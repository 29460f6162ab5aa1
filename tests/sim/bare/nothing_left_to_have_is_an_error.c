/* The n-th thing that the library asks for is refused, for every n, once or from then on: memory, a
 * mapping, a thread, a process, a descriptor. Every call of a whole session, launch and close among
 * them, succeeds or says what was not to be had; none aborts, hangs, or leaves a process or a
 * descriptor; and when there is enough again, the next session in the same process works.
 *
 * The linker wraps what our objects call (CMakeLists.txt). Every 7th n; FERRY_SLOW: all. */
#include "harness/host.h"
#include "session.h"

#include <errno.h>
#include <spawn.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

/* ---- what is refused ------------------------------------------------------------------------ */

static atomic_int countdown; /* 1: the next is refused; 0: none is */
static atomic_bool for_good;
static atomic_int refused;

static bool refuse(void)
{
    int n = atomic_load(&countdown);
    while (n > 0 &&
           !atomic_compare_exchange_weak(&countdown, &n,
                                         n == 1 && atomic_load(&for_good) ? 1 : n - 1))
        ;
    if (n == 1)
        atomic_fetch_add(&refused, 1);
    return n == 1;
}

#define WRAP(type, name, params, args, failure)                                        \
    type __real_##name params;                                                         \
    type __wrap_##name params;                                                         \
    type __wrap_##name params                                                          \
    {                                                                                  \
        if (!refuse())                                                                 \
            return __real_##name args;                                                 \
        failure;                                                                       \
    }
#define NONE(code, value)                                                              \
    errno = (code);                                                                    \
    return value

WRAP(void *, malloc, (size_t n), (n), NONE(ENOMEM, NULL))
WRAP(void *, calloc, (size_t n, size_t size), (n, size), NONE(ENOMEM, NULL))
WRAP(void *, realloc, (void *p, size_t n), (p, n), NONE(ENOMEM, NULL))
WRAP(void *, aligned_alloc, (size_t align, size_t n), (align, n), NONE(ENOMEM, NULL))
WRAP(char *, strdup, (const char *s), (s), NONE(ENOMEM, NULL))
WRAP(void *, mmap, (void *at, size_t n, int prot, int flags, int fd, off_t off),
     (at, n, prot, flags, fd, off), NONE(ENOMEM, MAP_FAILED))
WRAP(int, pthread_create,
     (pthread_t * t, const pthread_attr_t *a, void *(*f)(void *), void *arg),
     (t, a, f, arg), return EAGAIN)
WRAP(int, posix_spawnp,
     (pid_t * pid, const char *path, const posix_spawn_file_actions_t *actions,
      const posix_spawnattr_t *attrs, char *const *argv, char *const *envp),
     (pid, path, actions, attrs, argv, envp), return EAGAIN)
WRAP(int, socketpair, (int domain, int type, int protocol, int *fds),
     (domain, type, protocol, fds), NONE(EMFILE, -1))
WRAP(int, eventfd, (unsigned value, int flags), (value, flags), NONE(EMFILE, -1))

static bool may(int code)
{
    switch (-code) {
    case FERRY_ENOMEM:
    case FERRY_ENPROC:
    case FERRY_EMFILE:
    case FERRY_EDEAD: /* the connection's tasks were refused what they need */
    case FERRY_ELAUNCH: return true;
    default: return false;
    }
}

static bool never(int code)
{
    (void)code;
    return false;
}

/* ---- the sweep ----------------------------------------------------------------------------- */

static bool no_child(void *arg)
{
    (void)arg;
    return count_children(NULL) == 0;
}

static bool as_many_fds(void *arg)
{
    return count_fds() == *(const int *)arg;
}

static void sweep(bool good)
{
    int step = getenv("FERRY_SLOW") ? 1 : 7, failed = 0, n;
    ferry_error e;
    assert_int_equal(session(never, &e), 0); /* libuv's own descriptors are there */
    int fds = count_fds();
    for (n = 1 + (int)getpid() % step;; n += step) {
        atomic_store(&refused, 0);
        atomic_store(&for_good, good);
        atomic_store(&countdown, n);
        bool well = session(may, &e) == 0;
        atomic_store(&countdown, 0);
        failed += !well;
        assert_true(eventually(no_child, NULL));
        assert_true(eventually(as_many_fds, &fds));
        if (atomic_load(&refused) == 0) {
            assert_true(well);
            break;
        }
        if (n / step % 8 == 0)
            assert_int_equal(session(never, &e), 0);
    }
    print_message("%d things were asked for; %d sessions failed\n", n, failed);
    assert_true(n > 100);
    assert_true(failed > 100 / step);
}

static void once(void **state)
{
    (void)state;
    sweep(false);
}

static void from_then_on(void **state)
{
    (void)state;
    sweep(true);
}

static int setup(void **state)
{
    scratch_setup(state);
    session_files(scratch("."));
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(once),
        cmocka_unit_test(from_then_on),
    };
    return cmocka_run_group_tests(tests, setup, scratch_teardown);
}
