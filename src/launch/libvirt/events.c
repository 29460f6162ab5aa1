/* libvirt's event loop; see events.h. */
#include "launch/libvirt/events.h"

#include <errno.h>
#include <libvirt/libvirt.h>
#include <libvirt/virterror.h>
#include <signal.h>

static pthread_once_t once = PTHREAD_ONCE_INIT;
static int started = -EAGAIN;

/* Without a handler libvirt writes its errors to stderr, which is the program's. Each call
 * that fails is looked at by its caller. */
static void keep_quiet(void *user, virErrorPtr error)
{
    (void)user, (void)error;
}

static void *run_events(void *arg)
{
    (void)arg;
    for (;;)
        virEventRunDefaultImpl();
    return NULL;
}

int ferry_events_thread(void *(*run)(void *arg), void *arg)
{
    pthread_attr_t attr;
    int r = pthread_attr_init(&attr);
    if (r != 0)
        return -r;
    pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);

    sigset_t all, old;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &old);
    pthread_t thread;
    r = pthread_create(&thread, &attr, run, arg);
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    pthread_attr_destroy(&attr);
    return -r;
}

static void start(void)
{
    if (virInitialize() < 0 || virEventRegisterDefaultImpl() < 0)
        return;
    virSetErrorFunc(NULL, keep_quiet);
    started = ferry_events_thread(run_events, NULL);
}

int ferry_events_start(void)
{
    pthread_once(&once, start);
    return started;
}
