/* The libvirt backend; see libvirt.h.
 *
 * A watcher (watcher.h) that is a thread of the plugin's: it gets the sockets that the
 * guard gets, and reports as the guard does. So a kill is a shutdown(2) here too, and what
 * libvirt does in the meantime is not waited for on the loop. */
#include "launch/libvirt.h"

#include "async/pipe.h"
#include "async/work.h"
#include "base/auto.h"
#include "base/error.h"
#include "launch/libvirt/plugin.h"

#include <assert.h>
#include <dlfcn.h>
#include <errno.h>
#include <ferry_config.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

/* libvirtd destroys a domain within milliseconds. One that does not answer is left to its
 * thread: shorter than the grace that a cancel has. */
#define GONE_MS 1500

/* A domain with 255 disks, each with a path of 4 KiB. */
#define ANSWER_MAX (2u * 1024 * 1024)

struct libvirt {
    ferry_watcher watcher;
    const ferry_libvirt_plugin *plugin;
    char *uri;    /* NULL: libvirt's own */
    char *append; /* kernel parameters */

    /* What is still to be started; its strings belong to whoever asked. */
    ferry_argv_in in;
    ferry_drive *drives; /* ours; a scratch disk has our path of its file */
    int *scratch;        /* their files, until qemu has opened them; -1 */
};

/* ---- names ----------------------------------------------------------------------- */

bool ferry_libvirt_named(const char *backend, const char **ret_uri)
{
    if (!backend || strncmp(backend, "libvirt", 7) != 0 ||
        (backend[7] != '\0' && backend[7] != ':'))
        return false;
    *ret_uri = backend[7] && backend[8] ? backend + 8 : NULL;
    return true;
}

bool ferry_libvirt_remote(const char *uri)
{
    const char *host = uri ? strstr(uri, "://") : NULL;
    return host && host[3] != '/' && host[3] != '\0';
}

/* ---- the plugin ------------------------------------------------------------------ */

/* What dlopen() says, with what to do about it. */
static int blame_open(const char *file, ferry_error *e)
{
    const char *why = dlerror();
    if (access(file, F_OK) < 0)
        return ferry_fail(e, -FERRY_ELAUNCH, "libvirt",
                          "%s is not there: the libvirt plugin belongs to guestferry; "
                          "install that again, or set FERRY_PLUGINS to its directory",
                          file);
    if (why && strstr(why, "libvirt.so.0"))
        return ferry_fail(
            e, -FERRY_ELAUNCH, "libvirt",
            "the libvirt plugin needs libvirt: install the package libvirt0 "
            "(%s)",
            why);
    return ferry_fail(e, -FERRY_ELAUNCH, "libvirt", "the libvirt plugin: %s",
                      why ? why : "unknown error");
}

int ferry_libvirt_load(const ferry_libvirt_plugin **ret, ferry_error *e)
{
    const char *env = secure_getenv("FERRY_PLUGINS");
    const char *dir = env && *env ? env : FERRY_CONFIG_PLUGINS;
    FERRY_AUTO(mem) char *file = NULL;
    if (asprintf(&file, "%s/%s", dir, FERRY_LIBVIRT_MODULE) < 0) {
        file = NULL;
        return ferry_fail(e, -FERRY_ENOMEM, "libvirt", "out of memory");
    }
    void *module = dlopen(file, RTLD_NOW | RTLD_LOCAL | RTLD_NODELETE);
    if (!module)
        return blame_open(file, e);
    const ferry_libvirt_plugin *p = dlsym(module, FERRY_LIBVIRT_SYMBOL);
    bool ours = p && strcmp(p->abi, FERRY_LIBVIRT_ABI) == 0;
    dlclose(module); /* NODELETE: only the count */
    if (!ours)
        return ferry_fail(e, -FERRY_ELAUNCH, "libvirt",
                          "%s is of another build than the library: install guestferry "
                          "again",
                          file);
    *ret = p;
    return 0;
}

/* ---- questions ------------------------------------------------------------------- */

struct load {
    ferry_job job;
    const ferry_libvirt_plugin *plugin;
    ferry_error error;
    int r;
};

static void run_load(ferry_job *job)
{
    struct load *l = ferry_container(job, struct load, job);
    l->r = ferry_libvirt_load(&l->plugin, &l->error);
}

static void free_load(ferry_job *job)
{
    free(ferry_container(job, struct load, job));
}

static FERRY_CO int load(const ferry_libvirt_plugin **ret, ferry_error *e)
{
    struct load *l = calloc(1, sizeof *l);
    if (!l)
        return ferry_fail(e, -FERRY_ENOMEM, "libvirt", "out of memory");
    ferry_job_init(&l->job, run_load, free_load);
    int r = ferry_work(&l->job, FERRY_WORK_IN_TURN);
    if (r == 0 && (r = l->r) < 0 && e)
        *e = l->error;
    if (r == 0)
        *ret = l->plugin;
    ferry_job_unref(&l->job);
    return r;
}

/* All that comes until the end. */
static FERRY_CO int read_all(ferry_link *link, json_t **ret)
{
    FERRY_AUTO(buf) ferry_buf *b = NULL;
    int r = ferry_buf_new(ANSWER_MAX, &b);
    if (r < 0)
        return r;
    ssize_t n;
    while ((n = ferry_link_read(link, b)) > 0)
        if (ferry_buf_room(b) == 0)
            return -FERRY_EPROTO;
    if (n < 0)
        return (int)n;
    *ret = json_loadb((const char *)b->data, b->len, 0, NULL);
    return *ret ? 0 : -FERRY_EPROTO;
}

static int cannot_reach(const char *uri, const char *why, int code, const char *where,
                        ferry_error *e)
{
    return ferry_fail(
        e, code, where,
        "libvirt%s%s cannot be reached: %s; start libvirtd or virtqemud, or "
        "give another URI",
        uri ? " at " : "", uri ? uri : "", why);
}

static int refusal(const char *uri, json_t *answer, ferry_error *e)
{
    const char *words = json_string_value(json_object_get(answer, "error"));
    if (!words)
        return 0;
    int code = (int)json_integer_value(json_object_get(answer, "code"));
    code = code < 0 ? code : -FERRY_ELAUNCH;
    if (json_is_true(json_object_get(answer, "unreachable")))
        return cannot_reach(uri, words, code, "libvirt", e);
    return ferry_fail(e, code, "libvirt", "libvirt%s%s: %s", uri ? " at " : "",
                      uri ? uri : "", words);
}

FERRY_CO int ferry_libvirt_ask(const char *uri, const char *domain, json_t **ret,
                               ferry_error *e)
{
    const ferry_libvirt_plugin *plugin = NULL;
    int r = load(&plugin, e);
    if (r < 0)
        return r;
    int pair[2];
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0)
        return ferry_fail(e, -errno, "libvirt", "%s", ferry_strerror(errno));
    FERRY_AUTO(link) ferry_link *link = NULL;
    r = ferry_pipe_open(ferry_self_loop(), pair[0], FERRY_PIPE_READ, 0, &link);
    if (r == 0)
        r = plugin->ask(uri, domain, pair[1]);
    else
        close(pair[1]);
    json_t *answer = NULL;
    if (r == 0)
        r = read_all(link, &answer);
    if (r < 0)
        return ferry_fail(e, r, "libvirt", "asking libvirt: %s", ferry_strerror(r));
    r = refusal(uri, answer, e);
    if (r < 0)
        json_decref(answer);
    else
        *ret = answer;
    return r;
}

/* ---- the watcher ----------------------------------------------------------------- */

static FERRY_CO int start(ferry_watcher *w, ferry_loop *loop, const int *sockets,
                          ferry_error *e)
{
    struct libvirt *l = ferry_container(w, struct libvirt, watcher);
    ferry_libvirt_spec spec = {.uri = l->uri, .in = &l->in, .append = l->append};
    (void)loop;
    int r = l->plugin->start(&spec, sockets);
    memset(&l->in, 0, sizeof l->in); /* not ours */
    return r < 0 ? ferry_fail(e, r, "launch", "starting libvirt's thread: %s",
                              ferry_strerror(r))
                 : 0;
}

static void release(ferry_watcher *w)
{
    struct libvirt *l = ferry_container(w, struct libvirt, watcher);
    for (unsigned i = 0; l->scratch && l->scratch[i] != -2; i++) {
        if (l->scratch[i] < 0)
            continue;
        close(l->scratch[i]);
        free(l->drives[i].path);
    }
    free(l->scratch);
    free(l->drives);
    free(l->append);
    free(l->uri);
    free(l);
}

static const ferry_watcher_ops ops = {.start = start, .free = release};

/* qemu opens the nameless file by way of us. It runs as our user, or as one that may. */
static int add_scratch(struct libvirt *l, unsigned i, ferry_error *e)
{
    if (ferry_libvirt_remote(l->uri))
        return ferry_fail(e, -FERRY_ENOTSUP, "launch",
                          "scratch disks are not possible on another host");
    int r = ferry_drive_open_scratch(&l->drives[i], &l->scratch[i], e);
    if (r < 0)
        return r;
    char *path = NULL;
    if (asprintf(&path, "/proc/%d/fd/%d", (int)getpid(), l->scratch[i]) < 0)
        path = NULL;
    l->drives[i].path = path;
    return path ? 0 : ferry_fail(e, -FERRY_ENOMEM, "launch", "out of memory");
}

static int copy_drives(struct libvirt *l, ferry_error *e)
{
    unsigned n = l->in.ndrives;
    l->drives = calloc(n + 1, sizeof *l->drives);
    l->scratch = calloc(n + 1, sizeof *l->scratch);
    if (!l->drives || !l->scratch)
        return ferry_fail(e, -FERRY_ENOMEM, "launch", "out of memory");
    for (unsigned i = 0; i < n; i++)
        l->scratch[i] = -1;
    l->scratch[n] = -2;
    for (unsigned i = 0; i < n; i++) {
        l->drives[i] = l->in.drives[i];
        int r = l->drives[i].path ? 0 : add_scratch(l, i, e);
        if (r < 0)
            return r;
    }
    l->in.drives = l->drives;
    return 0;
}

static int watcher(const ferry_argv_in *in, const ferry_prepared *found,
                   ferry_watcher **ret, ferry_error *e)
{
    struct libvirt *l = calloc(1, sizeof *l);
    if (!l)
        return ferry_fail(e, -FERRY_ENOMEM, "launch", "out of memory");
    l->watcher = (ferry_watcher){.ops = &ops, .gone_ms = GONE_MS};
    l->plugin = found->libvirt;
    l->in = *in;
    l->append = ferry_argv_append(in);
    l->uri = found->uri ? strdup(found->uri) : NULL;

    int r = !l->append || (found->uri && !l->uri)
                ? ferry_fail(e, -FERRY_ENOMEM, "launch", "out of memory")
                : copy_drives(l, e);
    if (r < 0)
        release(&l->watcher);
    else
        *ret = &l->watcher;
    return r;
}

/* ---- words ----------------------------------------------------------------------- */

/* The drive that the words are about: they have its path. */
static const ferry_drive *accused(const ferry_evidence *ev)
{
    const ferry_drive *found = NULL;
    for (unsigned i = 0; i < ev->spec->ndrives; i++) {
        const ferry_drive *d = &ev->spec->drives[i];
        if (d->path && strstr(ev->words, d->path) &&
            (!found || strlen(d->path) > strlen(found->path)))
            found = d;
    }
    return found;
}

/* libvirt's words, without what it says of itself, and as qemu would have said them. */
static void first_words(const ferry_evidence *ev, char *buf, size_t size)
{
    const char *qemu = strstr(ev->words, "qemu-system-");
    const char *said = qemu ? qemu : ev->words;
    ferry_words(said, buf, size);
    if (strncmp(buf, "internal error: ", 16) == 0)
        memmove(buf, buf + 16, strlen(buf + 16) + 1);
}

static int blame_start(const ferry_evidence *ev, int code, ferry_error *e)
{
    char said[200];
    first_words(ev, said, sizeof said);
    const char *where = ev->qemu;
    switch (ev->exec_errno) {
    case FERRY_LIBVIRT_CONNECT: return cannot_reach(where, said, code, "launch", e);
    case FERRY_LIBVIRT_REFUSED:
        return ferry_fail(e, -FERRY_EACCES, "launch", "libvirt%s%s refuses: %s",
                          where ? " at " : "", where ? where : "", said);
    default: break;
    }
    const ferry_drive *d = accused(ev);
    if (d)
        return ferry_blame_drive(d, said, code, e);
    return ferry_fail(e, code, "launch", "libvirt cannot start the appliance: %s", said);
}

static int blame(const ferry_evidence *ev, int code, ferry_error *e)
{
    if (ev->exec_errno)
        return blame_start(ev, code, e);
    switch (ev->status) {
    case FERRY_LIBVIRT_LOST:
        return ferry_fail(
            e, code, "launch",
            "libvirtd died, or does not answer any more, and the appliance "
            "with it");
    case FERRY_LIBVIRT_DESTROYED:
        return ferry_fail(e, code, "launch",
                          "appliance killed: its domain was destroyed");
    case FERRY_LIBVIRT_CUT:
        return ferry_fail(e, code, "launch",
                          "libvirt closed the channel to the appliance, which it still "
                          "runs");
    case FERRY_LIBVIRT_HUNG: {
        char said[160];
        first_words(ev, said, sizeof said);
        return ferry_fail(e, code, "launch",
                          "qemu did not close its images when asked to (%s)", said);
    }
    case FERRY_LIBVIRT_CRASHED:
        if (!*ev->panic && !*ev->oom)
            return ferry_fail(e, code, "launch",
                              "appliance killed: qemu crashed, or was killed%s%s",
                              *ev->last ? "; its last line: " : "", ev->last);
        break;
    default: break;
    }
    return ferry_blame_guest(ev, code, e);
}

static enum ferry_suspect suspect(const ferry_evidence *ev)
{
    if (ev->exec_errno == FERRY_LIBVIRT_CREATE && !accused(ev) &&
        strcasestr(ev->words, "kvm"))
        return FERRY_SUSPECT_ACCEL;
    if (!ev->exec_errno &&
        (ev->status == FERRY_LIBVIRT_CRASHED || ev->status == FERRY_LIBVIRT_OFF))
        return FERRY_SUSPECT_BOOT;
    return FERRY_SUSPECT_OTHER;
}

const ferry_backend ferry_backend_libvirt = {
    .name = "libvirt",
    .watcher = watcher,
    .blame = blame,
    .suspect = suspect,
};
