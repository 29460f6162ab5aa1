/* One domain of ours; see session.h.
 *
 *      thread of its own                        libvirt's event loop
 *      connect                                  CONTROL:    quit, killed
 *      create, paused                           connection: lost
 *      open channel and console                 domain:     stopped
 *      resume, "started"                        pumps
 *      wait for one of these ----------------------'
 *      destroy, close, "ended"
 *
 * The blocking calls are the thread's; callbacks only set a flag, under the lock. No lock
 * is held over a call to libvirt. The domain is bound to the connection (AUTODESTROY):
 * the end of this process, however it comes, is its end. The end of libvirtd is not: qemu
 * lives on without it. There the pidfd helps, where qemu is ours to kill. */
#include "launch/libvirt/session.h"

#include "base/auto.h"
#include "launch/guard.h"
#include "launch/libvirt/domain.h"
#include "launch/libvirt/events.h"
#include "launch/libvirt/process.h"
#include "launch/libvirt/pump.h"
#include "launch/watcher.h"

#include <errno.h>
#include <fcntl.h>
#include <libvirt/libvirt.h>
#include <libvirt/virterror.h>
#include <libxml/uri.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

/* A libvirtd that has not answered for 30 s is gone. Slower than our own heartbeat's
 * first question, which tells more. */
#define KEEPALIVE_S 5
#define KEEPALIVE_COUNT 5

/* A channel that ends does so a moment before libvirt tells how qemu did; on a busy host, a
 * long one. */
#define REASON_S 5

struct session {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    unsigned refs; /* the thread's, and those of callbacks */

    /* Set once, by start. */
    char *uri;
    char *name;
    char *xml[FERRY_OWNERS];
    int control, channel, console, words; /* -1 once a pump has it */

    /* The thread's. */
    virConnectPtr conn;
    virDomainPtr domain;
    ferry_pump *channel_pump, *console_pump;
    bool local;                     /* libvirtd is on our host; under the lock */
    int pidfd;                      /* its qemu, once it is there; under the lock */
    int watch, lifecycle, io_error; /* -1: not registered */

    /* Flags, under the lock. */
    bool killed, quit, lost, stopped, cut;
    int stopped_detail; /* VIR_DOMAIN_EVENT_STOPPED_... */
};

/* ---- life ------------------------------------------------------------------------ */

static void close_fd(int *fd)
{
    if (*fd >= 0)
        close(*fd);
    *fd = -1;
}

static void unref(void *opaque)
{
    struct session *s = opaque;
    pthread_mutex_lock(&s->lock);
    bool last = --s->refs == 0;
    pthread_mutex_unlock(&s->lock);
    if (!last)
        return;
    close_fd(&s->control);
    close_fd(&s->channel);
    close_fd(&s->console);
    close_fd(&s->words);
    close_fd(&s->pidfd);
    free(s->uri);
    free(s->name);
    for (int i = 0; i < FERRY_OWNERS; i++)
        free(s->xml[i]);
    pthread_cond_destroy(&s->changed);
    pthread_mutex_destroy(&s->lock);
    free(s);
}

static struct session *ref(struct session *s)
{
    pthread_mutex_lock(&s->lock);
    s->refs++;
    pthread_mutex_unlock(&s->lock);
    return s;
}

static bool is_killed(struct session *s)
{
    pthread_mutex_lock(&s->lock);
    bool killed = s->killed;
    pthread_mutex_unlock(&s->lock);
    return killed;
}

/* ---- what we tell ---------------------------------------------------------------- */

static void report(struct session *s, int32_t what, int32_t value)
{
    ferry_guard_report r = {what, value};
    send(s->control, &r, sizeof r, MSG_NOSIGNAL | MSG_DONTWAIT);
}

/* libvirt's last error on this thread, as a line. It is short and the socket is empty. */
static void say_error(struct session *s)
{
    FERRY_AUTO(mem) char *line = NULL;
    int n = asprintf(&line, "%s\n", virGetLastErrorMessage());
    if (n > 0)
        send(s->words, line, (size_t)n, MSG_NOSIGNAL | MSG_DONTWAIT);
}

/* Is it about rights? */
static bool refused(void)
{
    virErrorPtr e = virGetLastError();
    if (!e)
        return false;
    switch (e->code) {
    case VIR_ERR_AUTH_FAILED:
    case VIR_ERR_AUTH_CANCELLED:
    case VIR_ERR_AUTH_UNAVAILABLE:
    case VIR_ERR_ACCESS_DENIED:
    case VIR_ERR_OPERATION_DENIED: return true;
    case VIR_ERR_SYSTEM_ERROR: return e->int1 == EACCES || e->int1 == EPERM;
    default: return false;
    }
}

/* ---- callbacks ------------------------------------------------------------------- */

/* Needs no libvirtd: whatever the thread waits for, and as often as one likes. While the
 * domain is being created, there may be a qemu already that nobody has told us of. */
static void kill_qemu(struct session *s)
{
    pid_t pid;
    pthread_mutex_lock(&s->lock);
    if (s->local && s->pidfd < 0)
        s->pidfd = ferry_domain_pidfd(s->name, &pid);
    ferry_domain_kill(s->pidfd);
    pthread_mutex_unlock(&s->lock);
}

static void set(struct session *s, bool *flag)
{
    pthread_mutex_lock(&s->lock);
    *flag = true;
    pthread_cond_broadcast(&s->changed);
    pthread_mutex_unlock(&s->lock);
}

static void on_control(int watch, int fd, int events, void *opaque)
{
    struct session *s = opaque;
    char said[16];
    (void)events;
    ssize_t n = recv(fd, said, sizeof said, MSG_DONTWAIT);
    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (n > 0) {
        if (memchr(said, FERRY_WATCHER_QUIT, (size_t)n))
            set(s, &s->quit);
        return;
    }
    virEventUpdateHandle(watch, 0);
    kill_qemu(s);
    set(s, &s->killed);
}

static void on_close(virConnectPtr conn, int reason, void *opaque)
{
    struct session *s = opaque;
    (void)conn;
    if (reason != VIR_CONNECT_CLOSE_REASON_CLIENT)
        set(s, &s->lost);
}

static int on_lifecycle(virConnectPtr conn, virDomainPtr domain, int event, int detail,
                        void *opaque)
{
    struct session *s = opaque;
    (void)conn, (void)domain;
    if (event != VIR_DOMAIN_EVENT_STOPPED)
        return 0;
    pthread_mutex_lock(&s->lock);
    s->stopped_detail = detail;
    pthread_mutex_unlock(&s->lock);
    set(s, &s->stopped);
    return 0;
}

/* The path is one of those we gave. libvirt knows a full disk, and no other reason. */
static void on_io_error(virConnectPtr conn, virDomainPtr domain, const char *path,
                        const char *alias, int action, const char *reason, void *opaque)
{
    struct session *s = opaque;
    unsigned drive;
    (void)conn, (void)domain, (void)path, (void)action;
    if (!alias || sscanf(alias, "scsi0-0-%u-0", &drive) != 1)
        return;
    bool full = reason && strcmp(reason, "enospc") == 0;
    report(s, full ? FERRY_WATCHER_DISK_FULL : FERRY_WATCHER_DISK_ERROR, (int32_t)drive);
}

/* The channel has ended: something has happened, which libvirt may not have told yet. */
static void on_channel_end(void *arg)
{
    struct session *s = arg;
    set(s, &s->cut);
}

/* ---- up -------------------------------------------------------------------------- */

/* A URI without a host is about this one. */
static bool is_local(virConnectPtr conn)
{
    char *text = virConnectGetURI(conn);
    xmlURI *uri = text ? xmlParseURI(text) : NULL;
    bool local = uri && (!uri->server || !*uri->server);
    xmlFreeURI(uri);
    free(text);
    return local;
}

/* Does the daemon change the owners of files? The one of a user cannot. */
static bool has_dac(virConnectPtr conn)
{
    char *caps = virConnectGetCapabilities(conn);
    bool dac = caps && strstr(caps, "<model>dac</model>");
    free(caps);
    return dac;
}

static int connect_to(struct session *s)
{
    s->conn = virConnectOpen(s->uri);
    if (!s->conn) {
        say_error(s);
        return refused() ? FERRY_LIBVIRT_REFUSED : FERRY_LIBVIRT_CONNECT;
    }
    /* Without these (an old libvirtd) the end of the channel tells us. */
    virConnectSetKeepAlive(s->conn, KEEPALIVE_S, KEEPALIVE_COUNT);
    if (virConnectRegisterCloseCallback(s->conn, on_close, ref(s), unref) < 0)
        unref(s);
    return 0;
}

static int create(struct session *s)
{
    bool local = is_local(s->conn);
    pthread_mutex_lock(&s->lock);
    s->local = local;
    pthread_mutex_unlock(&s->lock);
    enum ferry_domain_owner owner = !has_dac(s->conn) ? FERRY_OWNER_ANY
                                    : local           ? FERRY_OWNER_CALLER
                                                      : FERRY_OWNER_QEMU;
    s->domain =
        virDomainCreateXML(s->conn, s->xml[owner],
                           VIR_DOMAIN_START_PAUSED | VIR_DOMAIN_START_AUTODESTROY);
    if (!s->domain) {
        say_error(s);
        kill_qemu(s); /* a libvirtd that died, or hangs, may have started it */
        return refused() ? FERRY_LIBVIRT_REFUSED : FERRY_LIBVIRT_CREATE;
    }
    pid_t pid = 0;
    int pidfd = local ? ferry_domain_pidfd(s->name, &pid) : -1;
    pthread_mutex_lock(&s->lock);
    if (s->pidfd < 0)
        s->pidfd = pidfd;
    else
        close(pidfd); /* it was killed meanwhile */
    pthread_mutex_unlock(&s->lock);
    report(s, FERRY_GUARD_STARTED, pid);
    return 0;
}

/* The callbacks come to the domain while it is paused: nothing is missed but a qemu that
 * has crashed already, and then resuming fails. */
static void listen_to_domain(struct session *s)
{
    s->lifecycle =
        virConnectDomainEventRegisterAny(s->conn, s->domain,
                                         VIR_DOMAIN_EVENT_ID_LIFECYCLE,
                                         VIR_DOMAIN_EVENT_CALLBACK(on_lifecycle),
                                         ref(s), unref);
    if (s->lifecycle < 0)
        unref(s);
    s->io_error =
        virConnectDomainEventRegisterAny(s->conn, s->domain,
                                         VIR_DOMAIN_EVENT_ID_IO_ERROR_REASON,
                                         VIR_DOMAIN_EVENT_CALLBACK(on_io_error), ref(s),
                                         unref);
    if (s->io_error < 0)
        unref(s);
}

static virStreamPtr new_stream(struct session *s)
{
    return virStreamNew(s->conn, VIR_STREAM_NONBLOCK);
}

static int open_channel(struct session *s)
{
    virStreamPtr st = new_stream(s);
    if (st && virDomainOpenChannel(s->domain, FERRY_PORT_NAME, st, 0) < 0) {
        virStreamFree(st);
        st = NULL;
    }
    if (st)
        s->channel_pump =
            ferry_pump_new(st, ferry_take_fd(&s->channel), on_channel_end, s);
    return s->channel_pump ? 0 : -1;
}

/* For error texts only: without it, a panic is an end without a reason. */
static void open_console(struct session *s)
{
    virStreamPtr st = new_stream(s);
    if (st && virDomainOpenConsole(s->domain, NULL, st, VIR_DOMAIN_CONSOLE_FORCE) < 0) {
        virStreamFree(st);
        st = NULL;
    }
    if (st)
        s->console_pump = ferry_pump_new(st, ferry_take_fd(&s->console), NULL, NULL);
    else
        close_fd(&s->console);
}

static int attach(struct session *s)
{
    listen_to_domain(s);
    open_console(s);
    if (open_channel(s) < 0 || virDomainResume(s->domain) < 0) {
        say_error(s);
        return FERRY_LIBVIRT_ATTACH;
    }
    return 0;
}

/* 0, or the step that failed; -1 if it was killed meanwhile. */
static int up(struct session *s)
{
    int step = is_killed(s) ? -1 : connect_to(s);
    if (step == 0)
        step = is_killed(s) ? -1 : create(s);
    if (step == 0)
        step = is_killed(s) ? -1 : attach(s);
    return step;
}

/* ---- down ------------------------------------------------------------------------ */

static bool knows_why(const struct session *s)
{
    return s->killed || s->quit || s->lost || s->stopped;
}

static void wait_for_an_end(struct session *s)
{
    struct timespec until;
    pthread_mutex_lock(&s->lock);
    while (!knows_why(s) && !s->cut)
        pthread_cond_wait(&s->changed, &s->lock);
    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_sec += REASON_S;
    while (!knows_why(s) &&
           pthread_cond_timedwait(&s->changed, &s->lock, &until) != ETIMEDOUT)
        ;
    pthread_mutex_unlock(&s->lock);
}

/* SIGTERM to qemu, which closes its images and ends; libvirt waits for that. */
static int quit(struct session *s)
{
    if (virDomainDestroyFlags(s->domain, VIR_DOMAIN_DESTROY_GRACEFUL) == 0)
        return FERRY_LIBVIRT_QUIT;
    say_error(s);
    return FERRY_LIBVIRT_HUNG;
}

static int how_it_ended(struct session *s)
{
    pthread_mutex_lock(&s->lock);
    bool killed = s->killed, asked = s->quit, lost = s->lost, stopped = s->stopped;
    int detail = s->stopped_detail;
    pthread_mutex_unlock(&s->lock);
    if (stopped && detail == VIR_DOMAIN_EVENT_STOPPED_SHUTDOWN)
        return FERRY_LIBVIRT_OFF;
    if (stopped && detail == VIR_DOMAIN_EVENT_STOPPED_DESTROYED)
        return FERRY_LIBVIRT_DESTROYED;
    if (stopped)
        return FERRY_LIBVIRT_CRASHED;
    if (lost)
        return FERRY_LIBVIRT_LOST;
    if (killed)
        return FERRY_LIBVIRT_DESTROYED;
    return asked ? quit(s) : FERRY_LIBVIRT_CUT;
}

static void stop_listening(struct session *s)
{
    if (s->lifecycle >= 0)
        virConnectDomainEventDeregisterAny(s->conn, s->lifecycle);
    if (s->io_error >= 0)
        virConnectDomainEventDeregisterAny(s->conn, s->io_error);
    virConnectUnregisterCloseCallback(s->conn, on_close);
}

/* Everything that needs no libvirtd comes first: it may not answer any more. */
static void down(struct session *s)
{
    kill_qemu(s);
    ferry_pump_close(s->channel_pump);
    ferry_pump_close(s->console_pump);
    shutdown(s->words, SHUT_RDWR);

    if (s->domain) {
        virDomainDestroy(s->domain); /* gone already: an error nobody needs */
        virDomainFree(s->domain);
    }
    if (s->conn) {
        stop_listening(s);
        virConnectClose(s->conn);
    }
}

static void *run_session(void *arg)
{
    struct session *s = arg;
    int step = up(s);
    if (step == 0) {
        wait_for_an_end(s);
        report(s, FERRY_GUARD_ENDED, how_it_ended(s));
    } else if (step > 0) {
        report(s, FERRY_GUARD_FAILED, step);
    }
    down(s);
    if (s->watch >= 0)
        virEventRemoveHandle(s->watch);
    shutdown(s->control, SHUT_RDWR); /* nothing is left: this is how they know */
    unref(s);
    return NULL;
}

/* ---- start ----------------------------------------------------------------------- */

/* Nobody else's on that host: qemu is looked up by this name, and killed. Short: libvirt
 * makes sockets in a directory of that name, which a user has far below $HOME. */
static int make_name(char **ret)
{
    uint64_t random;
    if (getrandom(&random, sizeof random, 0) != sizeof random)
        return -errno;
    if (asprintf(ret, "ferry-%012llx", (unsigned long long)random >> 16) < 0) {
        *ret = NULL;
        return -ENOMEM;
    }
    return 0;
}

static int describe(struct session *s, const ferry_libvirt_spec *spec)
{
    s->uri = spec->uri ? strdup(spec->uri) : NULL;
    if (spec->uri && !s->uri)
        return -ENOMEM;
    int r = make_name(&s->name);
    ferry_domain_in in = {.spec = spec,
                          .name = s->name,
                          .uid = geteuid(),
                          .gid = getegid()};
    for (int i = 0; i < FERRY_OWNERS && r == 0; i++) {
        in.owner = (enum ferry_domain_owner)i;
        r = ferry_domain_xml(&in, &s->xml[i]);
    }
    return r;
}

static int keep(int fd, int *ret)
{
    *ret = fcntl(fd, F_DUPFD_CLOEXEC, 0);
    return *ret < 0 ? -errno : 0;
}

static struct session *new_session(void)
{
    struct session *s = calloc(1, sizeof *s);
    if (!s)
        return NULL;
    pthread_mutex_init(&s->lock, NULL);
    pthread_condattr_t monotonic;
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_cond_init(&s->changed, &monotonic);
    pthread_condattr_destroy(&monotonic);
    s->refs = 1;
    s->control = s->channel = s->console = s->words = s->pidfd = -1;
    s->watch = s->lifecycle = s->io_error = -1;
    return s;
}

int ferry_session_start(const ferry_libvirt_spec *spec, const int *sockets)
{
    struct session *s = new_session();
    if (!s)
        return -ENOMEM;
    int r = ferry_events_start();
    if (r == 0)
        r = describe(s, spec);
    if (r == 0)
        r = keep(sockets[FERRY_SOCKET_CONTROL], &s->control);
    if (r == 0)
        r = keep(sockets[FERRY_SOCKET_CHANNEL], &s->channel);
    if (r == 0)
        r = keep(sockets[FERRY_SOCKET_CONSOLE], &s->console);
    if (r == 0)
        r = keep(sockets[FERRY_SOCKET_WORDS], &s->words);
    if (r < 0) {
        unref(s);
        return r;
    }

    s->watch = virEventAddHandle(s->control, VIR_EVENT_HANDLE_READABLE, on_control,
                                 ref(s), unref);
    if (s->watch < 0) {
        unref(s); /* the handle's */
        unref(s);
        return -ENOMEM;
    }
    r = ferry_events_thread(run_session, s);
    if (r < 0) {
        virEventRemoveHandle(s->watch);
        unref(s);
    }
    return r;
}
