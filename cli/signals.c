/* Signal handlers; see signals.h. */
#include "signals.h"

#include "screen.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdint.h>
#include <time.h>
#include <unistd.h>

/* Two signals from one sender this close together are one wish (is_echo). */
#define ECHO_MS 50

/* Everything here is read or written by handlers: lock-free atomics and sig_atomic_t. */
static struct {
    int pipe[2];
    volatile sig_atomic_t caught, redraw, closing;
    pid_t sender;  /* of the first signal; 0: the terminal */
    uint64_t when; /* of the first signal, monotonic ms */
    _Atomic(ferry_vm *) vm;
    _Atomic(const char *) remove;
} sig = {.pipe = {-1, -1}};

static void poke(void)
{
    int saved = errno;
    ssize_t n = write(sig.pipe[1], "", 1); /* full is fine: it is readable then */
    (void)n;
    errno = saved;
}

static uint64_t now_ms(void)
{
    struct timespec ts;
    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (uint64_t)ts.tv_sec * 1000 + (uint64_t)ts.tv_nsec / 1000000;
}

static pid_t sender_of(const siginfo_t *info)
{
    return info->si_code == SI_USER ? info->si_pid : 0;
}

/* Not everybody who sends two signals is impatient: timeout(1) signals its child and then
 * its whole group, a closing terminal's SIGHUP comes from the kernel and from the shell. */
static bool is_echo(int signo, const siginfo_t *info)
{
    if (signo == SIGHUP)
        return true;
    return signo == sig.caught && sig.sender && sender_of(info) == sig.sender &&
           now_ms() - sig.when < ECHO_MS;
}

static void on_second(int signo, const siginfo_t *info)
{
    if (is_echo(signo, info))
        return;
    ferry_vm *vm = atomic_load(&sig.vm);
    if (vm)
        ferry_vm_kill(vm);
    const char *path = atomic_load(&sig.remove);
    if (path)
        unlink(path);
    screen_clear();
    _exit(128 + sig.caught);
}

static void on_end(int signo, siginfo_t *info, void *context)
{
    (void)context;
    int saved = errno;
    if (sig.caught) {
        on_second(signo, info);
        errno = saved;
        return;
    }
    sig.caught = signo;
    sig.sender = sender_of(info);
    sig.when = now_ms();
    ferry_vm *vm = atomic_load(&sig.vm);
    if (vm && !sig.closing)
        ferry_vm_cancel_all(vm);
    screen_clear();
    screen_note(screen_utf8() ? "Cancelling… (again: stop at once)\n"
                              : "Cancelling... (again: stop at once)\n");
    poke();
    errno = saved;
}

static void on_redraw(int signo, siginfo_t *info, void *context)
{
    (void)signo, (void)info, (void)context;
    sig.redraw = 1;
    poke();
}

/* Stops here, with the line gone, as the default action would have; goes on behind raise()
 * after SIGCONT. */
static void on_stop(int signo, siginfo_t *info, void *context)
{
    int saved = errno;
    screen_clear();

    struct sigaction dfl = {.sa_handler = SIG_DFL}, ours;
    sigset_t only, before;
    sigemptyset(&only);
    sigaddset(&only, signo);
    sigaction(signo, &dfl, &ours);
    raise(signo);
    sigprocmask(SIG_UNBLOCK, &only, &before);
    sigprocmask(SIG_SETMASK, &before, NULL);
    sigaction(signo, &ours, NULL);

    on_redraw(signo, info, context);
    errno = saved;
}

typedef void handler(int signo, siginfo_t *info, void *context);

static int install(int signo, handler *run, int flags)
{
    struct sigaction old, sa = {.sa_sigaction = run, .sa_flags = SA_SIGINFO | flags};
    sigemptyset(&sa.sa_mask);
    if (sigaction(signo, NULL, &old) < 0)
        return -errno;
    if (old.sa_handler == SIG_IGN)
        return 0;
    return sigaction(signo, &sa, NULL) < 0 ? -errno : 0;
}

int signals_init(void)
{
    if (pipe2(sig.pipe, O_CLOEXEC | O_NONBLOCK) < 0)
        return -errno;
    signal(SIGPIPE, SIG_IGN);

    static const struct {
        int signo;
        handler *run;
        int flags;
    } list[] = {
        /* No SA_RESTART: a read of ours that hangs is over. */
        {SIGINT, on_end, 0},
        {SIGTERM, on_end, 0},
        {SIGHUP, on_end, 0},
        {SIGTSTP, on_stop, SA_RESTART},
        {SIGCONT, on_redraw, SA_RESTART},
        {SIGWINCH, on_redraw, SA_RESTART},
    };
    for (size_t i = 0; i < sizeof list / sizeof *list; i++) {
        int r = install(list[i].signo, list[i].run, list[i].flags);
        if (r < 0)
            return r;
    }
    return 0;
}

void signals_attach(ferry_vm *vm)
{
    atomic_store(&sig.vm, vm);
}

void signals_closing(bool closing)
{
    sig.closing = closing;
}

void signals_remove(const char *path)
{
    atomic_store(&sig.remove, path);
}

int signals_caught(void)
{
    return sig.caught;
}

int signals_fd(void)
{
    return sig.pipe[0];
}

bool signals_drain(void)
{
    char bytes[64];
    while (read(sig.pipe[0], bytes, sizeof bytes) > 0)
        ;
    bool redraw = sig.redraw;
    sig.redraw = 0;
    return redraw;
}
