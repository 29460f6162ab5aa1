/* See launcher.h. */
#include "launcher.h"

#include "base/auto.h"
#include "launch/appliance.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

char scratch[64];

bool launch_missing(void)
{
    FERRY_AUTO(mem) char *qemu = NULL;
    ferry_appliance a = {0};
    ferry_error e = {0};
    bool found = ferry_appliance_find(NULL, &a, &e) == 0 &&
                 ferry_qemu_find(a.platform, NULL, &qemu, &e) == 0;
    if (!found)
        fprintf(stderr, "skipped: %s\n", e.msg);
    ferry_appliance_done(&a);
    return !found;
}

/* Descriptors that are neither files nor libuv's: one of a socketpair or a pidfd is what a launch
 * could leave. */
static int launch_fds(void)
{
    char path[64], target[128];
    int n = 0;
    for (int fd = 3; fd < 256; fd++) {
        snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
        ssize_t len = readlink(path, target, sizeof target - 1);
        if (len < 0)
            continue;
        target[len] = '\0';
        n += !strncmp(target, "socket:", 7) || strstr(target, "pidfd") ||
             strstr(target, "deleted");
    }
    return n;
}

/* Whoever started us may have left us some: once a socket, and every launch was said to leak. */
static int inherited;

int make_scratch(void **state)
{
    (void)state;
    inherited = launch_fds();
    umask(022);
    strcpy(scratch, "/tmp/ferry-launch-XXXXXX");
    if (!mkdtemp(scratch))
        return -1;
    setenv("XDG_CACHE_HOME", scratch, 1);
    return chdir(scratch);
}

int drop_scratch(void **state)
{
    (void)state;
    if (chdir("/") < 0)
        return -1;
    shell("rm -rf %s", scratch);
    return 0;
}

void shell(const char *fmt, ...)
{
    char command[1024];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(command, sizeof command, fmt, ap);
    va_end(ap);
    int status = system(command);
    if (status != 0) {
        fprintf(stderr, "%s: status %d\n", command, status);
        abort();
    }
}

void write_manifest(const char *appliance)
{
    shell("cd %s && rm -f manifest.json && sha256sum initramfs qboot.rom usr.img "
          "vmlinux |"
          " awk '{ s = s (s ? \", \" : \"\") \"\\\"\" $2 \"\\\": \\\"\" $1 \"\\\"\" }"
          " END { print \"{\\\"sha256\\\": {\" s \"}}\" }' > manifest.json",
          appliance);
}

char *still_qemu(void)
{
    static char path[] = "./still-qemu";
    shell(
        "echo '#!/bin/sh\nexec qemu-system-$(uname -m) -S \"$@\"' > %s && chmod +x %s",
        path, path);
    return path;
}

/* ---- a launch ---------------------------------------------------------------------- */

void add_image(struct launch *l, const char *name, const char *format, bool readonly)
{
    ferry_drive_opts o = {.size = sizeof o, .format = format, .readonly = readonly};
    if (!check_eq(ferry_drive_check(name, &o, &l->drives[l->spec.ndrives], &l->e), 0))
        fprintf(stderr, "%s\n", l->e.msg);
    else
        l->spec.ndrives++;
}

void add_scratch(struct launch *l, uint64_t bytes)
{
    check_eq(ferry_drive_scratch(bytes, NULL, &l->drives[l->spec.ndrives++], &l->e), 0);
}

static FERRY_CO int greet(void *arg, ferry_link *channel, bool restored, ferry_error *e)
{
    (void)restored;
    struct launch *l = arg;
    FERRY_AUTO(buf) ferry_buf *b = NULL;
    (void)e;
    int r = ferry_buf_new(4096, &b);
    ssize_t n = r < 0 ? r : ferry_link_read(channel, b);
    /* A cancel of this phase comes while a greeting is waiting for its peer. */
    if (n > 0 && l->cancel_in && strcmp(l->cancel_in, "greeting") == 0) {
        do
            b->len = 0;
        while ((n = ferry_link_read(channel, b)) > 0);
    }
    if (n <= 0) {
        ferry_link_close(channel);
        return n < 0 ? (int)n : -FERRY_EPIPE;
    }
    l->channel = channel;
    return 0;
}

static void cancel_now(ferry_timer *t)
{
    struct launch *l = ferry_container(t, struct launch, timer);
    ferry_scope_cancel(&l->scope, -FERRY_ECANCELED);
}

static void on_phase(void *arg, const char *phase)
{
    struct launch *l = arg;
    snprintf(l->phases + strlen(l->phases), sizeof l->phases - strlen(l->phases), "%s,",
             phase);
    if (l->late_in && strcmp(l->late_in, phase) == 0)
        ferry_scope_deadline(&l->scope, 50);
    if (!l->cancel_in || strcmp(l->cancel_in, phase) != 0)
        return;
    if (l->cancel_ms)
        ferry_timer_start(l->scope.loop, &l->timer, l->cancel_ms, cancel_now);
    else
        cancel_now(&l->timer);
}

FERRY_CO int launch_start(struct launch *l)
{
    ferry_machine_hooks hooks = {.greet = greet, .phase = on_phase, .arg = l};
    l->spec.drives = l->drives;
    memset(&l->e, 0, sizeof l->e);
    l->phases[0] = '\0';
    ferry_scope_open(&l->scope, 0);
    ferry_scope_deadline(&l->scope, LAUNCH_MS);
    int r = ferry_machine_start(&l->spec, &hooks, &l->m, &l->e);
    ferry_timer_stop(&l->timer);
    ferry_scope_join(&l->scope);
    check_eq(l->e.code, r);
    return r;
}

FERRY_CO void launch_done(struct launch *l)
{
    ferry_link_close(ferry_take(&l->channel));
    ferry_machine_free(ferry_take(&l->m));
    for (unsigned i = 0; i < l->spec.ndrives; i++)
        ferry_drive_done(&l->drives[i]);
    ferry_sleep(1); /* libuv closes a handle in its next turn */
    check_eq(launch_fds(), inherited);
    check_eq(waitpid(-1, NULL, WNOHANG), -1);
    check_eq(errno, ECHILD);
}
