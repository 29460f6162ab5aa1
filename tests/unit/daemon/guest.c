/* See guest.h. */
#include "guest.h"

#include "async/pipe.h"
#include "base/auto.h"
#include "proto/codec.h"
#include "root.h"

#include "api_hash.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <uv.h>

#include <cmocka.h>

/* ---- the fixture ------------------------------------------------------------------------ */

struct fixture {
    struct guest g;
    ferry_link *server_link;
    ferry_scope scope;
    FERRY_CO void (*body)(struct guest *g);
    int served;
    unsigned running;
};

static unsigned failures;

bool check_at(bool ok, const char *text, const char *file, int line)
{
    if (!ok) {
        failures++;
        fprintf(stderr, "%s:%d: not true: %s\n", file, line, text);
    }
    return ok;
}

bool check_equal_at(long long a, long long b, const char *text, const char *file,
                    int line)
{
    if (a != b) {
        failures++;
        fprintf(stderr, "%s:%d: %lld != %lld: %s\n", file, line, a, b, text);
    }
    return a == b;
}

static void task_ended(struct fixture *f)
{
    if (--f->running == 0)
        ferry_loop_release(f->g.loop);
}

static FERRY_CO int serve_task(void *arg)
{
    struct fixture *f = arg;
    ferry_error e = {0};
    f->served = ferryd_serve(f->g.d, ferry_take(&f->server_link), &e);
    task_ended(f);
    return 0;
}

static FERRY_CO int conn_task(void *arg)
{
    struct fixture *f = arg;
    ferry_conn_run(f->g.conn);
    return 0;
}

/* Memory stands for the device of an appliance: the daemon maps it behind the head. */
static FERRY_CO int open_lane(struct guest *g)
{
    static const ferry_lane_shape shape = {.slot = 2 * 1024 * 1024, .up = 8, .down = 8};
    size_t len = (size_t)ferry_lane_bytes(&shape);
    ferry_lane_map *m = NULL;
    int fd = memfd_create("guest", MFD_CLOEXEC);
    check_equal(ftruncate(fd, (off_t)(FERRY_LANE_HEAD + len)), 0);
    void *at = mmap(NULL, len, PROT_READ | PROT_WRITE, MAP_SHARED, fd, FERRY_LANE_HEAD);
    check(at != MAP_FAILED);
    check_equal(ferry_lane_map_new(at, len, &m), 0);
    g->d->lane_fd = fd;
    ferry_conn_offer_lane(g->conn, m, &shape);
    ferry_lane_map_unref(m);
    while (ferry_conn_get_lane(g->conn) == FERRY_CONN_LANE_OFFERED)
        if (ferry_sleep(1) < 0)
            break;
    check_equal(ferry_conn_get_lane(g->conn), FERRY_CONN_LANE_OPEN);
    return fd;
}

static FERRY_CO int client_task(void *arg)
{
    struct fixture *f = arg;
    ferry_error e = {0};
    FERRY_AUTO(fd) int lane = -1;
    check_equal(ferry_conn_hello(f->g.conn, FERRY_API_HASH, "test", &e), 0);

    ferry_scope s;
    ferry_scope_open(&s, FERRY_SCOPE_SUPERVISE);
    ferry_spawn(&s, "client connection", conn_task, f);
    if (getenv("FERRY_GUEST_LANE"))
        lane = open_lane(&f->g);
    f->body(&f->g);
    ferry_scope_cancel(&s, -FERRY_ECANCELED);
    ferry_scope_join(&s);
    ferry_conn_free(f->g.conn);
    task_ended(f);
    return 0;
}

static int count_fds(void)
{
    return count_entries("/proc/self/fd");
}

static void connect_both(struct fixture *f)
{
    int fds[2];
    ferry_link *client = NULL;
    const ferry_conn_opts opts = {0};
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0,
                                fds),
                     0);
    assert_int_equal(ferry_pipe_open(f->g.loop, fds[0],
                                     FERRY_PIPE_READ | FERRY_PIPE_WRITE, 0,
                                     &f->server_link),
                     0);
    assert_int_equal(ferry_pipe_open(f->g.loop, fds[1],
                                     FERRY_PIPE_READ | FERRY_PIPE_WRITE, 0, &client),
                     0);
    assert_int_equal(ferry_conn_new(f->g.loop, client, &opts, &f->g.conn), 0);
}

static void run(struct fixture *f, uv_loop_t *uv, bool mounted)
{
    assert_int_equal(ferry_loop_new(uv, &f->g.loop), 0);
    assert_int_equal(ferryd_new(f->g.loop, f->g.root, &f->g.d), 0);
    if (mounted)
        assert_int_equal(ferryd_root_open(f->g.d), 0);
    connect_both(f);

    ferry_scope_open_root(&f->scope, f->g.loop, NULL, FERRY_SCOPE_SUPERVISE);
    ferry_loop_hold(f->g.loop);
    f->running = 2;
    assert_int_equal(ferry_spawn(&f->scope, "daemon", serve_task, f), 0);
    assert_int_equal(ferry_spawn(&f->scope, "client", client_task, f), 0);
    uv_run(uv, UV_RUN_DEFAULT);

    /* A socket that is closed with something unread in it says the latter. */
    if (f->served != -ECONNRESET)
        check_equal(f->served, -FERRY_EPIPE);
    ferry_scope_done(&f->scope);
    ferryd_free(f->g.d);
    ferry_loop_close(f->g.loop, NULL, NULL);
    uv_run(uv, UV_RUN_DEFAULT);
}

void in_guest_at(const char *dir, FERRY_CO void (*body)(struct guest *g))
{
    struct fixture f = {.body = body};
    uv_loop_t uv;
    if (!guest_is_confined()) {
        fprintf(stderr, "a test in a guest is run by guest_run()\n");
        abort();
    }
    signal(SIGPIPE, SIG_IGN);
    snprintf(f.g.root, sizeof f.g.root, "%s", dir ? dir : "/nonexistent");

    failures = 0;
    /* libuv's first loop opens what it never closes. */
    assert_int_equal(uv_loop_init(&uv), 0);
    assert_int_equal(uv_loop_close(&uv), 0);
    int before = count_fds();
    assert_int_equal(uv_loop_init(&uv), 0);
    run(&f, &uv, dir != NULL);
    assert_int_equal(uv_loop_close(&uv), 0);
    check_equal(count_fds(), before);
    if (failures)
        fail_msg("%u checks failed", failures);
}

static bool shell(const char *fmt, ...) FERRY_PRINTF(1, 2);

static bool shell(const char *fmt, ...)
{
    char command[512];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(command, sizeof command, fmt, ap);
    va_end(ap);
    return system(command) == 0;
}

static void make_root(char dir[80])
{
    snprintf(dir, 80, "%s/root", guest_scratch);
    assert_int_equal(mkdir(dir, 0755), 0);
}

void in_guest(FERRY_CO void (*body)(struct guest *g))
{
    char dir[80];
    make_root(dir);
    in_guest_at(dir, body);
    assert_true(shell("rm -rf --one-file-system %s", dir));
}

bool in_guest_on(const char *type, unsigned mib, FERRY_CO void (*body)(struct guest *g))
{
    char dir[80], image[80];
    make_root(dir);
    snprintf(image, sizeof image, "%s/image", guest_scratch);

    bool mounted, ntfs = strcmp(type, "ntfs") == 0;
    if (strcmp(type, "tmpfs") == 0)
        mounted = shell("mount -t tmpfs -o size=%um tmpfs %s 2>/dev/null", mib, dir);
    else
        mounted = shell("truncate -s %uM %s && mkfs.%s -q %s %s >/dev/null 2>&1 && "
                        "mount -o loop -t %s %s %s 2>/dev/null",
                        mib, image, type, ntfs ? "-Q -F" : "", image,
                        ntfs ? "ntfs-3g" : type, image, dir);
    if (mounted) {
        in_guest_at(dir, body);
        assert_true(shell("umount %s", dir)); /* the daemon holds it no more */
    } else {
        fprintf(stderr, "skipped: cannot mount %s here\n", type);
    }
    unlink(image);
    assert_int_equal(rmdir(dir), 0);
    return mounted;
}

/* ---- calls --------------------------------------------------------------------------------- */

ferry_stream *guest_open(struct guest *g, uint32_t proc, xdrproc_t xdr_args,
                         const void *args)
{
    ferry_buf *body = NULL;
    ferry_stream *st = NULL;
    int r = xdr_args ? ferry_codec_encode(xdr_args, args, &body) : 0;
    if (check_equal(r, 0))
        check_equal(ferry_stream_call(g->conn, proc, body, &st), 0);
    return st;
}

int guest_reply(ferry_stream *st, xdrproc_t xdr_ret, void *ret, size_t ret_size,
                ferry_error *e)
{
    FERRY_AUTO(slice) ferry_slice reply = {0};
    ferry_error none;
    int r = ferry_stream_wait_reply(st, &reply);
    if (r == 0)
        r = ferry_codec_reply(reply.data, reply.len, xdr_ret, ret_size, ret,
                              e ? e : &none);
    ferry_stream_close(st);
    return r;
}

int guest_call(struct guest *g, uint32_t proc, xdrproc_t xdr_args, const void *args,
               xdrproc_t xdr_ret, void *ret, size_t ret_size, ferry_error *e)
{
    ferry_stream *st = guest_open(g, proc, xdr_args, args);
    return st ? guest_reply(st, xdr_ret, ret, ret_size, e) : -FERRY_EPROTO;
}

int guest_path_call(struct guest *g, uint32_t proc, const char *path, ferry_error *e)
{
    /* All of these have the path as their only argument. */
    fx_rm_args a = {.path = (char *)(uintptr_t)path};
    return guest_call(g, proc, (xdrproc_t)xdr_fx_rm_args, &a, NULL, NULL, 0, e);
}

/* As much as one buffer takes. */
static FERRY_CO int send_some(ferry_stream *st, const void *data, size_t len,
                              size_t *ret_sent)
{
    ferry_buf *b = NULL;
    int r = ferry_stream_slot(st, len, &b);
    if (r == 0)
        r = ferry_buf_new(len, &b);
    if (r < 0)
        return r;
    *ret_sent = b->len = len < b->cap ? len : b->cap;
    memcpy(b->data, data, b->len);
    return ferry_stream_write(st, (ferry_slice){b, b->data, b->len});
}

int guest_send(ferry_stream *st, const void *data, size_t len)
{
    int r = 0;
    for (size_t at = 0, n = 0; r == 0 && at < len; at += n)
        r = send_some(st, (const char *)data + at, len - at, &n);
    return r;
}

int guest_upload(struct guest *g, const char *path, const void *data, size_t len,
                 size_t piece, const fx_upload_args *args, ferry_error *e)
{
    fx_upload_args a = args ? *args : (fx_upload_args){0};
    fx_upload_ret ret = {0};
    a.path = (char *)(uintptr_t)path;
    ferry_stream *st = guest_open(g, FX_PROC_UPLOAD, (xdrproc_t)xdr_fx_upload_args, &a);

    int r = 0;
    for (size_t at = 0; r == 0 && at < len;) {
        size_t n = piece && piece < len - at ? piece : len - at;
        r = guest_send(st, (const char *)data + at, n);
        at += n;
    }
    if (r == 0)
        ferry_stream_finish(st);
    r = guest_reply(st, (xdrproc_t)xdr_fx_upload_ret, &ret, sizeof ret, e);
    if (r == 0)
        check_equal(ret.value, len);
    return r;
}

/* Appends what came, a hole as zeroes. */
static void append(char **data, size_t *len, const ferry_piece *p)
{
    size_t n = p->data.len + (size_t)p->hole;
    *data = realloc(*data, *len + n + 1);
    if (p->hole)
        memset(*data + *len, 0, n);
    else
        memcpy(*data + *len, p->data.data, n);
    *len += n;
}

int guest_download(struct guest *g, const char *path, uint64_t offset, uint64_t length,
                   void **ret_data, size_t *ret_len, uint64_t *ret_holes, ferry_error *e)
{
    fx_download_args a = {(char *)(uintptr_t)path, offset, length};
    fx_download_ret ret = {0};
    FERRY_AUTO(mem) char *data = calloc(1, 1);
    size_t len = 0;
    uint64_t holes = 0, done, total = 0;
    ferry_piece piece;
    ferry_stream *st =
        guest_open(g, FX_PROC_DOWNLOAD, (xdrproc_t)xdr_fx_download_args, &a);
    while (ferry_stream_read(st, &piece) > 0) {
        ferry_stream_progress(st, &done, &total);
        append(&data, &len, &piece);
        holes += piece.hole;
        check(total >= len);
        ferry_slice_done(&piece.data);
    }

    int r = guest_reply(st, (xdrproc_t)xdr_fx_download_ret, &ret, sizeof ret, e);
    if (r < 0)
        return r;
    check_equal(ret.value, len);
    check(len == 0 || total == len);
    *ret_data = ferry_take(&data);
    *ret_len = len;
    if (ret_holes)
        *ret_holes = holes;
    return 0;
}

int guest_list(struct guest *g, uint32_t proc, const char *path, xdrproc_t xdr_item,
               size_t item_size, void **ret_items, size_t *ret_count, ferry_error *e)
{
    fx_ls_args a = {(char *)(uintptr_t)path};
    FERRY_AUTO(mem) char *data = calloc(1, 1);
    size_t len = 0;
    ferry_piece piece;
    ferry_stream *st = guest_open(g, proc, path ? (xdrproc_t)xdr_fx_ls_args : NULL, &a);
    while (ferry_stream_read(st, &piece) > 0) {
        append(&data, &len, &piece);
        ferry_slice_done(&piece.data);
    }
    int r = guest_reply(st, NULL, NULL, 0, e);
    if (r == 0)
        r = ferry_codec_items(xdr_item, data, len, item_size, ret_items, ret_count);
    return r;
}

/* ---- around it ------------------------------------------------------------------------------- */

const char *guest_path(const struct guest *g, const char *path)
{
    static char buf[4][512];
    static unsigned next;
    char *b = buf[next++ % 4];
    snprintf(b, sizeof buf[0], "%s%s", g->root, path);
    return b;
}

void *test_bytes(size_t len, unsigned seed)
{
    uint8_t *data = malloc(len + 1);
    uint32_t v = seed * 2654435761u + 1;
    for (size_t i = 0; i < len; i++) {
        v = v * 1664525u + 1013904223u;
        data[i] = (uint8_t)(v >> 24);
    }
    return data;
}

bool file_is(const char *path, const void *data, size_t len)
{
    FERRY_AUTO(mem) char *got = malloc(len + 1);
    FERRY_AUTO(fd) int fd = open(path, O_RDONLY | O_CLOEXEC);
    size_t n = 0;
    for (ssize_t k; fd >= 0 && n <= len && (k = read(fd, got + n, len + 1 - n)) > 0;)
        n += (size_t)k;
    if (fd < 0 || n != len) {
        fprintf(stderr, "%s: %zu bytes, %zu expected\n", path, n, len);
        return false;
    }
    for (size_t i = 0; i < len; i++)
        if (got[i] != ((const char *)data)[i]) {
            fprintf(stderr, "%s: differs at byte %zu of %zu\n", path, i, len);
            return false;
        }
    return true;
}

bool write_file(const char *path, const void *data, size_t len, mode_t mode)
{
    FERRY_AUTO(fd) int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    return fd >= 0 && write(fd, data, len) == (ssize_t)len && fchmod(fd, mode) == 0;
}

int count_entries(const char *dir)
{
    DIR *d = opendir(dir);
    int n = 0;
    if (!d)
        return -1;
    for (struct dirent *e; (e = readdir(d));)
        n += strcmp(e->d_name, ".") != 0 && strcmp(e->d_name, "..") != 0;
    closedir(d);
    return n;
}
