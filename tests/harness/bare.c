/* The daemon in qemu's place: started by the library as if it were qemu, it serves the channel
 * it is given with ferryd's own code, on an empty tmpfs that nobody else sees. So the whole library,
 * its guard and a real daemon can run thousands of rounds in seconds, and under the
 * sanitizers, where there is no appliance.
 *
 *      test -- libguestferry -- gferry-guard -- this
 *                    |  channel ................ ferryd_serve on ROOT
 *                    '- monitor ................ enough QMP to be ended by "quit"
 *
 * No machine and no disk: what is told by either is tested in e2e. Everything that could be
 * written is made read-only first, as in tests/unit/daemon/confine.c, for it runs as root. */
#include "async/pipe.h"
#include "base/auto.h"
#include "harness/mangle.h"
#include "launch/argv.h"
#include "launch/qmp.h"
#include "root.h"
#include "server.h"

#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>
#include <uv.h>

#define PLACE "/tmp"       /* a tmpfs is mounted there, for this process alone */
#define ROOT PLACE "/root" /* the guest's / */

/* The lane's memory: there are no scratch disks before it. */
#define LANE ((int)FERRY_FD_SCRATCH)

static _Noreturn void give_up(const char *what)
{
    fprintf(stderr, "cannot be confined: %s: %s\n", what, strerror(errno)); /* vm.c */
    _exit(EXIT_FAILURE);
}

static void confine(void)
{
    struct mount_attr closed = {.attr_set = MOUNT_ATTR_RDONLY};
    if (unshare(CLONE_NEWNS) < 0)
        give_up("unshare");
    if (mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0)
        give_up("private mounts");
    if (mount_setattr(AT_FDCWD, "/", AT_RECURSIVE, &closed, sizeof closed) < 0)
        give_up("read-only mounts");
    if (mount("bare", PLACE, "tmpfs", MS_NOSUID | MS_NODEV, "size=512m") < 0)
        give_up("tmpfs");
    if (mkdir(ROOT, 0755) < 0)
        give_up(ROOT);
    /* No disks of the host's, that would be listed or flushed. */
    if (mount("bare", "/sys", "tmpfs", 0, NULL) < 0 || mkdir("/sys/block", 0755) < 0)
        give_up("/sys");
}

/* ---- the monitor ---------------------------------------------------------------------------- */

static void say(const char *text)
{
    if (dprintf(FERRY_FD_QMP, "%s\r\n", text) < 0)
        _exit(EXIT_FAILURE);
}

static void answer(const char *line)
{
    FERRY_AUTO(json) json_t *msg = json_loads(line, 0, NULL);
    const char *command = json_string_value(json_object_get(msg, "execute"));
    FERRY_AUTO(json)
    json_t *reply = json_pack("{s:{}, s:O}", "return", "id", json_object_get(msg, "id"));
    FERRY_AUTO(mem) char *text = reply ? json_dumps(reply, JSON_COMPACT) : NULL;
    if (!text)
        _exit(EXIT_FAILURE);
    say(text);
    if (command && strcmp(command, "quit") == 0)
        _exit(EXIT_SUCCESS);
}

static void *monitor(void *arg)
{
    (void)arg;
    char line[4096];
    FILE *f = fdopen(FERRY_FD_QMP, "r");
    say("{\"QMP\": {\"version\": {\"qemu\": {\"major\": 0, \"minor\": 0, \"micro\": "
        "0}},"
        " \"capabilities\": []}}");
    while (f && fgets(line, sizeof line, f))
        answer(line);
    _exit(EXIT_SUCCESS);
}

/* ---- the daemon ------------------------------------------------------------------------------ */

struct life {
    struct ferryd *d;
    ferry_link *link;
};

static FERRY_CO int live(void *arg)
{
    struct life *life = arg;
    ferry_error e = {0};
    int r = ferryd_serve(life->d, ferry_take(&life->link), &e);
    if (r != -FERRY_EPIPE)
        fprintf(stderr, "ferryd: %s\n", e.msg);
    ferry_loop_release(life->d->loop);
    return 0;
}

/* Serves until the host hangs up; the monitor ends the program. */
static int serve(uv_loop_t *uv)
{
    struct life life = {0};
    ferry_loop *loop = NULL;
    ferry_scope scope;
    int r = ferry_loop_new(uv, &loop);
    if (r == 0)
        r = ferry_pipe_open(loop, FERRY_FD_CHANNEL, FERRY_PIPE_READ | FERRY_PIPE_WRITE,
                            0, &life.link);
    if (r == 0 && getenv("FERRY_BARE_MANGLE"))
        r = mangle(&life.link);
    if (r == 0)
        r = ferryd_new(loop, ROOT, &life.d);
    if (r == 0)
        r = ferryd_root_open(life.d);
    if (r < 0)
        return r;
    if (fcntl(LANE, F_GETFD) >= 0)
        life.d->lane_fd = LANE;
    ferry_scope_open_root(&scope, loop, NULL, FERRY_SCOPE_SUPERVISE);
    r = ferry_spawn(&scope, "daemon", live, &life);
    if (r < 0)
        return r;
    ferry_loop_hold(loop);
    uv_run(uv, UV_RUN_DEFAULT);
    return 0;
}

int main(void)
{
    uv_loop_t uv;
    pthread_t thread;
    signal(SIGPIPE, SIG_IGN);
    confine();
    if (pthread_create(&thread, NULL, monitor, NULL) != 0 || uv_loop_init(&uv) < 0)
        return EXIT_FAILURE;
    int r = serve(&uv);
    if (r < 0)
        fprintf(stderr, "bare: %s\n", ferry_strerror(r));
    pthread_join(thread, NULL);
    return EXIT_FAILURE;
}
