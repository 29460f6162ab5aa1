/* A private thread and its uv loop: see thread.h. */
#include "async/thread.h"

#include "async/internal.h"

#include <guestferry/error.h>

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

/* What uv_loop_init() opens: an epoll, an eventfd, a pipe for signals, and for the first loop
 * of the process one more pipe; and our bell (loop.c). */
#define LOOP_FDS 7

struct ferry_thread {
    pthread_t id;
    uv_loop_t uv;
};

static void *thread_main(void *arg)
{
    ferry_thread *t = arg;
    uv_run(&t->uv, UV_RUN_DEFAULT);
    int r = uv_loop_close(&t->uv);
    assert(r == 0 && "a handle was left open on a loop of ours");
    (void)r;
    return NULL;
}

int ferry_thread_create(pthread_t *ret, const char *name, size_t stack,
                        void *(*fn)(void *), void *arg)
{
    static const int faults[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP, SIGSYS};
    sigset_t all, before;
    sigfillset(&all);
    /* A fault that is blocked kills without calling the program's crash handler. */
    for (size_t i = 0; i < sizeof faults / sizeof *faults; i++)
        sigdelset(&all, faults[i]);
    pthread_attr_t attr;
    pthread_attr_init(&attr);
    if (stack)
        pthread_attr_setstacksize(&attr, stack);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int r = pthread_create(ret, &attr, fn, arg);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    pthread_attr_destroy(&attr);
    if (r == 0)
        pthread_setname_np(*ret, name);
    return r == EAGAIN ? -FERRY_ENPROC : -r;
}

static void ignore(void *arg)
{
    (void)arg;
}

/* Asked for beforehand, because libuv 1.44 aborts when it does not get the last two of them
 * and leaks the first when it does not get the others. */
static int have_descriptors(void)
{
    int fd[LOOP_FDS], n = 0, r = 0;
    while (n < LOOP_FDS && r == 0) {
        fd[n] = open("/dev/null", O_RDONLY | O_CLOEXEC);
        if (fd[n] >= 0)
            n++;
        else
            r = -errno;
    }
    while (n > 0)
        close(fd[--n]);
    return r;
}

static int init_uv(uv_loop_t *uv)
{
    int r = have_descriptors();
    if (r < 0)
        return r;
    ferry_plugs plugs;
    ferry_plug(&plugs);
    r = uv_loop_init(uv);
    ferry_unplug(&plugs);
    return r;
}

int ferry_thread_start(ferry_thread **ret_thread, ferry_loop **ret_loop)
{
    ferry_thread *t = calloc(1, sizeof *t);
    if (!t)
        return -ENOMEM;
    int r = init_uv(&t->uv);
    if (r < 0) {
        free(t);
        return r;
    }
    ferry_loop *loop = NULL;
    r = ferry_loop_new(&t->uv, &loop);
    if (r == 0) {
        ferry_loop_hold(
            loop); /* until ferry_loop_close: an idle context waits for posts */
        r = ferry_thread_create(&t->id, "guestferry", 0, thread_main, t);
        if (r < 0) {
            ferry_loop_release(loop);
            ferry_loop_close(loop, ignore, NULL);
        }
    }
    if (r < 0) {
        uv_run(&t->uv, UV_RUN_DEFAULT); /* what is closing closes */
        uv_loop_close(&t->uv);
        free(t);
        return r;
    }
    *ret_thread = t;
    *ret_loop = loop;
    return 0;
}

void ferry_thread_join(ferry_thread *t)
{
    pthread_join(t->id, NULL);
    free(t);
}

bool ferry_thread_is_self(const ferry_thread *t)
{
    return pthread_equal(t->id, pthread_self());
}
