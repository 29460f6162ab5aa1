/* Running programs: see run.h. Uses src/async/process.c, which puts each into a process group
 * of its own. Knows no program in particular. */
#include "run.h"

#include "async/pipe.h"
#include "async/process.h"
#include "base/auto.h"
#include "base/trace.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <sys/mman.h>
#include <sys/wait.h>

/* A program that has ended may have left a child behind that holds its stdout open (ntfs-3g
 * stays as a server). What the program itself wrote is in the pipe by then; this bounds how
 * long we look for more. */
#define DRAIN_MS 1000

/* ---- output ----------------------------------------------------------------------- */

struct capture {
    ferry_link *link; /* the read end */
    bool tail;        /* keep the end, not the start */
    size_t len;
    char text[FERRYD_RUN_OUTPUT + 1];
};

static void capture_add(struct capture *o, const char *data, size_t n)
{
    if (!o->tail) {
        size_t room = FERRYD_RUN_OUTPUT - o->len;
        n = n < room ? n : room;
    } else if (n >= FERRYD_RUN_OUTPUT) {
        data += n - FERRYD_RUN_OUTPUT;
        n = FERRYD_RUN_OUTPUT;
        o->len = 0;
    } else if (o->len + n > FERRYD_RUN_OUTPUT) {
        size_t drop = o->len + n - FERRYD_RUN_OUTPUT;
        memmove(o->text, o->text + drop, o->len - drop);
        o->len -= drop;
    }
    memcpy(o->text + o->len, data, n);
    o->len += n;
    o->text[o->len] = '\0';
}

static FERRY_CO int capture_task(void *arg)
{
    struct capture *o = arg;
    FERRY_AUTO(buf) ferry_buf *b = NULL;
    int r = ferry_buf_new(FERRY_BUF_ALIGN, &b);
    if (r < 0)
        return r;

    for (;;) {
        b->len = 0;
        ssize_t n = ferry_link_read(o->link, b);
        if (n <= 0)
            return (int)n;
        capture_add(o, (const char *)b->data, b->len);
    }
}

/* *ret_write is the program's end. */
static int capture_new(ferry_loop *loop, bool tail, int *ret_write, struct capture **ret)
{
    int fds[2];
    FERRY_AUTO(mem) struct capture *o = calloc(1, sizeof *o);
    if (!o)
        return -ENOMEM;
    if (pipe2(fds, O_CLOEXEC) < 0)
        return -errno;

    o->tail = tail;
    int r = ferry_pipe_open(loop, fds[0], FERRY_PIPE_READ, 0, &o->link);
    if (r < 0) {
        close(fds[1]);
        return r;
    }
    *ret_write = fds[1];
    *ret = ferry_take(&o);
    return 0;
}

static void capture_free(struct capture *o)
{
    if (o)
        ferry_link_close(o->link);
    free(o);
}

const char *ferryd_last_line(const char *program, const char *text, size_t *ret_len)
{
    const char *line = "", *slash = strrchr(program, '/');
    size_t len = 0;
    program = slash ? slash + 1 : program;

    for (const char *p = text; *p;) {
        p += strspn(p, " \t\r\n");
        if (len > 0 && strncasecmp(p, "usage:", 6) == 0)
            break; /* how to call it is no reason; what stands before that is */
        size_t n = strcspn(p, "\r\n");
        if (n > 0) {
            line = p;
            len = n;
        }
        p += n;
    }
    while (len > 0 && (line[len - 1] == ' ' || line[len - 1] == '\t'))
        len--;

    size_t plen = strlen(program);
    if (len > plen + 1 && strncmp(line, program, plen) == 0 && line[plen] == ':') {
        line += plen + 1;
        len -= plen + 1;
        while (len > 0 && *line == ' ')
            line++, len--;
    }
    *ret_len = len;
    return line;
}

/* ---- one program ------------------------------------------------------------------ */

struct run {
    const struct ferryd_call *call;
    const char *const *argv;
    ferry_process *process;
    struct capture *out, *err;
    int status;
    unsigned long oom_kills; /* before it was started */
};

/* How many processes the kernel has killed for want of memory. */
static unsigned long count_oom_kills(void)
{
    unsigned long n = 0;
    char line[128];
    FILE *f = fopen("/proc/vmstat", "re");
    while (f && fgets(line, sizeof line, f))
        if (sscanf(line, "oom_kill %lu", &n) == 1)
            break;
    if (f)
        fclose(f);
    return n;
}

/* When memory runs out it is the program that goes, and its call fails; not the daemon, whatever it
 * holds for others. In tests on a host it is nobody's business. */
static void let_it_go_first(const struct run *x)
{
    char path[64];
    snprintf(path, sizeof path, "/proc/%d/oom_score_adj",
             (int)ferry_process_pid(x->process));
    FERRY_AUTO(fd) int fd =
        x->call->d->appliance ? open(path, O_WRONLY | O_CLOEXEC) : -1;
    if (fd >= 0 && write(fd, "1000", 4) < 0)
        FERRY_TRACE(daemon, "%s: %s", path, ferry_strerror(-errno));
}

/* A file, not a pipe: what stdin holds is known beforehand, so nobody has to feed it. */
static int input_open(const char *input, int *ret)
{
    if (!input)
        return 0;
    FERRY_AUTO(fd) int fd = memfd_create("stdin", MFD_CLOEXEC);
    if (fd < 0)
        return -errno;
    size_t len = strlen(input);
    if (pwrite(fd, input, len, 0) != (ssize_t)len)
        return -EIO;
    *ret = ferry_take_fd(&fd);
    return 0;
}

static int run_spawn(struct run *x, const char *input)
{
    FERRY_AUTO(fd) int in = -1;
    FERRY_AUTO(fd) int out = -1;
    FERRY_AUTO(fd) int err = -1;
    ferry_loop *loop = x->call->d->loop;

    int r = input_open(input, &in);
    if (r == 0)
        r = capture_new(loop, false, &out, &x->out);
    if (r == 0)
        r = capture_new(loop, true, &err, &x->err);
    if (r < 0)
        return r;

    const int fds[] = {in, out, err};
    const ferry_process_opts opts = {
        .path = x->argv[0],
        .argv = x->argv,
        .fds = fds,
        .nfds = 3,
        .new_group = true,
    };
    return ferry_process_spawn(loop, &opts, &x->process);
}

/* Reads both outputs until the program has ended and they are empty. */
static FERRY_CO int run_wait(struct run *x)
{
    ferry_scope readers;
    ferry_scope_open(&readers, 0);
    int r = ferry_spawn(&readers, "stdout", capture_task, x->out);
    if (r == 0)
        r = ferry_spawn(&readers, "stderr", capture_task, x->err);
    if (r == 0)
        r = ferry_process_wait(x->process, &x->status);

    if (r < 0)
        ferry_scope_cancel(&readers, r);
    else
        ferry_scope_deadline(&readers, DRAIN_MS);
    int joined = ferry_scope_join(&readers);
    /* A reader's trouble is none of the program's, unless it is a cancel of the call: then
     * the output may lack its end. */
    return r == 0 && joined < 0 ? ferry_cancelled() : r;
}

/* After a cancel: nothing of the group is left running when this returns. */
static FERRY_CO void run_kill(struct run *x)
{
    int status;
    ferry_scope shield;
    ferry_scope_open(&shield, FERRY_SCOPE_SHIELD);
    ferry_process_kill(x->process, SIGKILL);
    ferry_process_wait(x->process, &status);
    ferry_scope_join(&shield);
}

static int run_result(struct run *x, char **ret_out, char **ret_err, ferry_error *e)
{
    if (!WIFEXITED(x->status)) {
        char how[64];
        if (WTERMSIG(x->status) == SIGKILL && count_oom_kills() > x->oom_kills)
            return ferryd_failf(x->call, e, -FERRY_ENOMEM,
                                "%s: killed: the appliance has no memory left; give it "
                                "more (memory_mib)",
                                x->argv[0]);
        return ferryd_failf(x->call, e, -FERRY_EIO, "%s: %s", x->argv[0],
                            ferry_process_describe(x->status, how, sizeof how));
    }

    size_t n;
    const char *line = ferryd_last_line(x->argv[0], x->err->text, &n);
    FERRY_AUTO(mem) char *err = ret_err ? strndup(line, n) : NULL;
    FERRY_AUTO(mem) char *out = ret_out ? strdup(x->out->text) : NULL;
    if ((ret_err && !err) || (ret_out && !out))
        return ferryd_fail(x->call, e, -ENOMEM, x->argv[0]);

    if (ret_out)
        *ret_out = ferry_take(&out);
    if (ret_err)
        *ret_err = ferry_take(&err);
    return WEXITSTATUS(x->status);
}

int ferryd_run_status(const struct ferryd_call *c, const char *const argv[],
                      const char *input, char **ret_out, char **ret_err, ferry_error *e)
{
    struct run x = {.call = c, .argv = argv, .oom_kills = count_oom_kills()};
    int r = run_spawn(&x, input);
    if (r == 0) {
        FERRY_TRACE(daemon, "%s: pid %d", argv[0], (int)ferry_process_pid(x.process));
        let_it_go_first(&x);
        r = run_wait(&x);
        if (r < 0)
            run_kill(&x);
    }

    if (r == -ENOENT)
        r = ferryd_failf(c, e, -FERRY_ENOTSUP, "%s: the appliance has no such program",
                         argv[0]);
    else if (r < 0)
        r = ferryd_fail(c, e, r, argv[0]);
    else
        r = run_result(&x, ret_out, ret_err, e);

    ferry_process_free(x.process);
    capture_free(x.out);
    capture_free(x.err);
    return r;
}

int ferryd_run(const struct ferryd_call *c, const char *const argv[], const char *input,
               char **ret_out, ferry_error *e)
{
    FERRY_AUTO(mem) char *out = NULL;
    FERRY_AUTO(mem) char *err = NULL;
    int status = ferryd_run_status(c, argv, input, &out, &err, e);
    if (status < 0)
        return status;
    if (status > 0)
        return ferryd_failf(c, e, -FERRY_EIO, "%s: %s", argv[0],
                            err[0] ? err : "failed without saying why");
    if (ret_out)
        *ret_out = ferry_take(&out);
    return 0;
}
