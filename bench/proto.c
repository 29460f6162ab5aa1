/* What the protocol costs without a guest: two connections over a Unix socket, each on a
 * loop and a thread of its own, as host and daemon are. Prints one line a figure: name,
 * value, unit.
 *
 *     ./dev build release && build/release/bin/bench_proto
 *
 * The channel of a guest under TCG carries 310 MB/s in, 230 MB/s out, 400,000 messages of
 * 64 bytes a second (DESIGN 4): what is printed here should be well above. */
#include "async/pipe.h"
#include "async/scope.h"
#include "async/thread.h"
#include "base/auto.h"
#include "proto/conn.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>

#define BULK (1024ull * 1024 * 1024)
#define MESSAGES 2000000
#define CALLS 1000 /* by each caller */
#define CALLERS 64

enum { NOTHING, SINK, SOURCE };

static uint64_t now_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static void figure(const char *name, double value, const char *unit)
{
    printf("%-34s %10.1f %s\n", name, value, unit);
}

static void must(int r)
{
    if (r < 0) {
        fprintf(stderr, "bench_proto: failed with %d\n", r);
        exit(1);
    }
}

/* ---- both sides -------------------------------------------------------------------- */

struct side {
    ferry_thread *thread;
    ferry_loop *loop;
    int fd;
    bool server;
    FERRY_CO void (*body)(struct side *s); /* the client's work */
    ferry_conn *conn;
    ferry_scope root, calls;
    ferry_post start, finish;
};

static FERRY_CO void write_all(ferry_stream *st, uint64_t bytes, size_t chunk)
{
    FERRY_AUTO(buf) ferry_buf *b = NULL;
    must(ferry_buf_new(chunk, &b));
    memset(b->data, 1, chunk);
    b->len = chunk;
    for (uint64_t done = 0; done < bytes; done += chunk)
        must(ferry_stream_write(st, (ferry_slice){ferry_buf_ref(b), b->data, chunk}));
    ferry_stream_finish(st);
}

static FERRY_CO uint64_t read_all(ferry_stream *st)
{
    for (uint64_t count = 0;;) {
        ferry_piece p = {0};
        int r = ferry_stream_read(st, &p);
        must(r);
        if (r == 0)
            return count;
        count += p.data.len;
        ferry_slice_done(&p.data);
    }
}

static FERRY_CO int serve(void *arg)
{
    ferry_stream *st = arg;
    if (ferry_stream_proc(st) == SINK)
        read_all(st);
    if (ferry_stream_proc(st) == SOURCE)
        write_all(st, BULK, FERRY_FRAME_MAX);
    ferry_stream_reply(st, NULL);
    ferry_stream_close(st);
    return 0;
}

static void on_call(void *arg, ferry_stream *st, ferry_slice body)
{
    struct side *s = arg;
    ferry_slice_done(&body);
    must(ferry_spawn(&s->calls, "call", serve, st));
}

static FERRY_CO int run_conn(void *arg)
{
    ferry_conn_run(arg);
    return 0;
}

static FERRY_CO int side_main(void *arg)
{
    struct side *s = arg;
    ferry_link *link = NULL;
    must(ferry_pipe_open(s->loop, s->fd, FERRY_PIPE_READ | FERRY_PIPE_WRITE, 0, &link));
    ferry_conn_opts o = {.server = s->server, .on_call = on_call, .arg = s};
    must(ferry_conn_new(s->loop, link, &o, &s->conn));
    must(ferry_conn_hello(s->conn, "bench", "bench", NULL));

    ferry_scope_open(&s->calls, FERRY_SCOPE_SUPERVISE);
    must(ferry_spawn(&s->calls, "conn", run_conn, s->conn));
    if (s->body) {
        s->body(s);
        ferry_scope_cancel(&s->calls, -FERRY_ECANCELED);
    }
    ferry_scope_join(&s->calls);
    ferry_conn_free(s->conn);
    ferry_loop_post(s->loop, &s->finish);
    return 0;
}

static void start(ferry_post *p)
{
    struct side *s = ferry_container(p, struct side, start);
    ferry_scope_open_root(&s->root, s->loop, NULL, FERRY_SCOPE_SUPERVISE);
    must(ferry_spawn(&s->root, "side", side_main, s));
}

static void finish(ferry_post *p)
{
    struct side *s = ferry_container(p, struct side, finish);
    ferry_scope_done(&s->root);
    ferry_loop_close(s->loop, NULL, NULL);
}

/* ---- the client's work ------------------------------------------------------------- */

static FERRY_CO void call(ferry_conn *c, uint32_t proc, ferry_stream **ret)
{
    must(ferry_stream_call(c, proc, NULL, ret));
}

static FERRY_CO void end(ferry_stream *st)
{
    ferry_slice body = {0};
    must(ferry_stream_wait_reply(st, &body));
    ferry_slice_done(&body);
    ferry_stream_close(st);
}

static FERRY_CO double upload(ferry_conn *c, uint64_t bytes, size_t chunk)
{
    uint64_t begin = now_ns();
    ferry_stream *st;
    call(c, SINK, &st);
    write_all(st, bytes, chunk);
    end(st);
    return (double)(now_ns() - begin) / 1e9;
}

static FERRY_CO double download(ferry_conn *c)
{
    uint64_t begin = now_ns();
    ferry_stream *st;
    call(c, SOURCE, &st);
    read_all(st);
    end(st);
    return (double)(now_ns() - begin) / 1e9;
}

static FERRY_CO int call_often(void *arg)
{
    for (int i = 0; i < CALLS; i++) {
        ferry_stream *st;
        call(arg, NOTHING, &st);
        end(st);
    }
    return 0;
}

static FERRY_CO double calls(ferry_conn *c, int callers)
{
    uint64_t begin = now_ns();
    ferry_scope scope;
    ferry_scope_open(&scope, 0);
    for (int i = 0; i < callers; i++)
        must(ferry_spawn(&scope, "caller", call_often, c));
    must(ferry_scope_join(&scope));
    return (double)(now_ns() - begin) / 1e9;
}

static FERRY_CO void measure(struct side *s)
{
    ferry_conn *c = s->conn;
    upload(c, BULK / 8, FERRY_FRAME_MAX); /* warm */
    figure("upload", (double)BULK / 1e6 / upload(c, BULK, FERRY_FRAME_MAX), "MB/s");
    figure("download", (double)BULK / 1e6 / download(c), "MB/s");
    figure("4 KiB writes", (double)BULK / 4 / 1e6 / upload(c, BULK / 4, 4096), "MB/s");
    figure("64-byte messages", MESSAGES / 1e3 / upload(c, 64ull * MESSAGES, 64),
           "1000/s");
    figure("calls, one at a time", CALLS / calls(c, 1), "/s");
    figure("calls, 64 at once", CALLERS * CALLS / calls(c, CALLERS), "/s");
}

int main(void)
{
    int fds[2];
    must(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds));
    struct side sides[2] = {
        {.fd = fds[0], .server = true, .start.run = start, .finish.run = finish},
        {.fd = fds[1], .body = measure, .start.run = start, .finish.run = finish},
    };
    for (int i = 0; i < 2; i++) {
        must(ferry_thread_start(&sides[i].thread, &sides[i].loop));
        ferry_loop_post(sides[i].loop, &sides[i].start);
    }
    for (int i = 0; i < 2; i++)
        ferry_thread_join(sides[i].thread);
    return 0;
}
