/* ferryd, the appliance's only program of ours: boots the guest, opens the channel, answers
 * calls until the host hangs up. Owns the loop. Whoever ends, the reaper (PID 1) powers off.
 *
 *      PID 1: ferryd_reap_split ---- waits ------------------------> ferryd_poweroff
 *      child: ferryd_boot -> ferryd_serve on the port -> exit ----------^
 */
#include "async/pipe.h"
#include "base/auto.h"
#include "base/trace.h"
#include "block.h"
#include "boot.h"
#include "lane.h"
#include "reap.h"
#include "server.h"

#include <malloc.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <uv.h>

/* What one read of a virtio-serial port gives: the kernel hands out pages (pipe.h). */
#define PORT_READ_SIZE 4096

/* Transfers move through buffers of 1 MiB. glibc gives blocks of that size back to the
 * kernel at every free, and each new page is a fault: with TCG, slower than the copy
 * into it. Below this size it keeps them. */
#define KEEP_BLOCKS (16 * 1024 * 1024)

/* Descriptors: a few for each call, and one for each level of a tree that is removed. The kernel
 * gives its first process 1024. */
#define DESCRIPTORS 65536

struct life {
    struct ferryd *d;
    ferry_link *link;
    ferry_scope scope;
    int code;
    ferry_error error;
};

static FERRY_CO int live(void *arg)
{
    struct life *life = arg;
    life->code = ferryd_serve(life->d, ferry_take(&life->link), &life->error);
    ferry_loop_release(life->d->loop);
    return 0;
}

static void make_lane(void)
{
    char what[80];
    int r = ferryd_dax_make(what, sizeof what);
    if (r < 0) /* such guests have none, then */
        fprintf(stderr, "ferryd: no lane: %s: %s\n", what, ferry_strerror(r));
}

/* What the host has to say on the kernel's command line: ferry.trace=daemon,proto is its FERRY_TRACE;
 * ferry.lane=make: a template is to be made of this guest, and those that go on from it have the lane's device
 * only if it is there by then (its driver would find a device that has forgotten the guest). */
static void read_command_line(void)
{
    char line[4096] = "";
    FILE *f = fopen("/proc/cmdline", "re");
    if (f) {
        if (!fgets(line, sizeof line, f))
            line[0] = '\0';
        fclose(f);
    }

    const char *areas = "";
    char *at;
    for (char *word = strtok_r(line, " \n", &at); word;
         word = strtok_r(NULL, " \n", &at))
        if (strncmp(word, "ferry.trace=", 12) == 0)
            areas = word + 12;
        else if (strcmp(word, "ferry.lane=make") == 0)
            make_lane();
    ferry_trace_init(areas);
}

static int run(uv_loop_t *uv, int port)
{
    struct life life = {0};
    ferry_loop *loop = NULL;
    int r = ferry_loop_new(uv, &loop);
    if (r < 0) {
        close(port);
        return r;
    }

    r = ferry_pipe_open(loop, port, FERRY_PIPE_READ | FERRY_PIPE_WRITE, PORT_READ_SIZE,
                        &life.link);
    if (r == 0)
        r = ferryd_new(loop, FERRYD_SYSROOT, &life.d);
    if (r < 0)
        return r;

    life.d->appliance = true;
    ferry_scope_open_root(&life.scope, loop, NULL, FERRY_SCOPE_SUPERVISE);
    r = ferry_spawn(&life.scope, "daemon", live, &life);
    if (r < 0)
        return r;
    ferry_loop_hold(loop);
    uv_run(uv, UV_RUN_DEFAULT);

    ferry_scope_done(&life.scope);
    ferryd_free(life.d);
    ferry_loop_close(loop, NULL, NULL);
    uv_run(uv, UV_RUN_DEFAULT);
    if (life.code != -FERRY_EPIPE)
        fprintf(stderr, "ferryd: %s\n", life.error.msg);
    return life.code == -FERRY_EPIPE ? 0 : life.code;
}

int main(void)
{
    struct ferryd_boot boot;
    uv_loop_t uv;

    if (ferryd_reap_split() < 0 || ferryd_boot(&boot) < 0)
        return EXIT_FAILURE;
    read_command_line();
    ferryd_block_alone();
    signal(SIGPIPE, SIG_IGN);
    setrlimit(RLIMIT_NOFILE, &(struct rlimit){DESCRIPTORS, DESCRIPTORS});
    mallopt(M_MMAP_THRESHOLD, KEEP_BLOCKS);
    mallopt(M_TRIM_THRESHOLD, KEEP_BLOCKS);
    FERRY_TRACE(daemon, "booted: %lu us to modules, %lu us to the port",
                (unsigned long)boot.modules_us, (unsigned long)boot.port_us);

    int r = uv_loop_init(&uv);
    if (r == 0)
        r = run(&uv, boot.port);
    if (r < 0)
        fprintf(stderr, "ferryd: %s\n", ferry_strerror(r));
    return r < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}
