/* A destination gets what was sent, where it was to go, and nothing else of the caller's is
 * touched: not what an O_APPEND descriptor's file holds already, and not what a hole of a
 * hostile length would wrap around to. */
#include "harness/real.h"

#include "api/sink.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/xattr.h>

static char *dir;

static int setup(void **state)
{
    (void)state;
    dir = scratch_new();
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    scratch_free(dir);
    return 0;
}

static const char *in_dir(const char *name)
{
    static char path[512];
    snprintf(path, sizeof path, "%s/%s", dir, name);
    return path;
}

static void put(const char *name, const char *text)
{
    FERRY_AUTO(fd) int fd = open(in_dir(name), O_WRONLY | O_CREAT | O_TRUNC, 0644);
    check_eq(write(fd, text, strlen(text)), strlen(text));
}

static bool holds(const char *name, const char *want, size_t len)
{
    char got[256];
    FERRY_AUTO(fd) int fd = open(in_dir(name), O_RDONLY);
    ssize_t n = read(fd, got, sizeof got);
    return check_eq(n, len) && check(memcmp(got, want, len) == 0);
}

static FERRY_CO int send(ferry_sink *s, const char *text, ferry_error *e)
{
    FERRY_AUTO(buf) ferry_buf *b = NULL;
    int r = ferry_buf_copy(text, strlen(text), &b);
    if (r < 0)
        return r;
    ferry_piece p = {.data = {b, b->data, b->len}};
    return ferry_sink_write(s, &p, e);
}

static FERRY_CO int send_hole(ferry_sink *s, uint64_t len, ferry_error *e)
{
    ferry_piece p = {.hole = len};
    return ferry_sink_write(s, &p, e);
}

static FERRY_CO int appended(void *arg)
{
    (void)arg;
    put("log", "before\n");
    FERRY_AUTO(fd) int fd = open(in_dir("log"), O_WRONLY | O_APPEND);
    ferry_sink s = {.fd = fd, .durable = true};
    ferry_error e = {0};
    check_eq(ferry_sink_open(&s, &e), 0);
    check_eq(send_hole(&s, 3, &e), 0);
    check_eq(send(&s, "after", &e), 0);
    check_eq(ferry_sink_commit(&s, &e), 0);
    ferry_sink_done(&s);
    holds("log", "before\n\0\0\0after", 15);
    return 0;
}

static FERRY_CO int from_the_position(void *arg)
{
    (void)arg;
    put("file", "0123456789");
    FERRY_AUTO(fd) int fd = open(in_dir("file"), O_WRONLY);
    check_eq(lseek(fd, 2, SEEK_SET), 2);
    ferry_sink s = {.fd = fd};
    ferry_error e = {0};
    check_eq(ferry_sink_open(&s, &e), 0);
    check_eq(send(&s, "ab", &e), 0);
    check_eq(send_hole(&s, 2, &e), 0);
    check_eq(send(&s, "c", &e), 0);
    check_eq(ferry_sink_commit(&s, &e), 0);
    ferry_sink_done(&s);
    check_eq(lseek(fd, 0, SEEK_CUR), 7);
    holds("file", "01ab\0\0c789", 10);
    return 0;
}

static FERRY_CO int a_hole_does_not_wrap(void *arg)
{
    (void)arg;
    put("file", "precious");
    FERRY_AUTO(fd) int fd = open(in_dir("file"), O_WRONLY);
    check_eq(lseek(fd, 8, SEEK_SET), 8);
    ferry_sink s = {.fd = fd};
    ferry_error e = {0};
    check_eq(ferry_sink_open(&s, &e), 0);
    check_eq(send_hole(&s, UINT64_MAX - 7, &e), -FERRY_EFBIG);
    check(strstr(e.msg, "the destination") != NULL);
    check_eq(send_hole(&s, INT64_MAX - 8, &e), 0);
    check_eq(send(&s, "x", &e), -FERRY_EFBIG);
    ferry_sink_done(&s);
    holds("file", "precious", 8);
    return 0;
}

static FERRY_CO int memory_without_a_limit(void *arg)
{
    (void)arg;
    ferry_sink s = {.fd = -1, .max_bytes = UINT64_MAX};
    ferry_error e = {0};
    check_eq(ferry_sink_open(&s, &e), 0);
    check_eq(send(&s, "abc", &e), 0);
    check_eq(send_hole(&s, UINT64_MAX - 3, &e), -FERRY_EFBIG);
    check_eq(send_hole(&s, 2, &e), 0);
    check_eq(ferry_sink_commit(&s, &e), 0);
    check_eq(s.offset, 5);
    check(memcmp(s.memory, "abc\0\0", 6) == 0);
    ferry_sink_done(&s);
    return 0;
}

static FERRY_CO int memory_has_its_limit(void *arg)
{
    (void)arg;
    ferry_sink s = {.fd = -1, .max_bytes = 4};
    ferry_error e = {0};
    check_eq(ferry_sink_open(&s, &e), 0);
    check_eq(send(&s, "1234", &e), 0);
    check_eq(send(&s, "5", &e), -FERRY_EFBIG);
    ferry_sink_done(&s);
    return 0;
}

static FERRY_CO void download(const char *name, const char *text)
{
    ferry_sink s = {.path = strdup(in_dir(name)), .fd = -1, .durable = true};
    ferry_error e = {0};
    check_eq(ferry_sink_open(&s, &e), 0);
    check_eq(send(&s, text, &e), 0);
    check_eq(ferry_sink_commit(&s, &e), 0);
    ferry_sink_done(&s);
}

static FERRY_CO int through_a_dangling_link(void *arg)
{
    (void)arg;
    struct stat st;
    check_eq(mkdir(in_dir("sub"), 0755), 0);
    check_eq(symlink("hop", in_dir("link")), 0);
    check_eq(symlink("sub/real", in_dir("hop")), 0);
    download("link", "text");
    check_eq(lstat(in_dir("link"), &st), 0);
    check(S_ISLNK(st.st_mode));
    holds("sub/real", "text", 4);

    check_eq(symlink("nowhere/real", in_dir("lost")), 0);
    ferry_sink s = {.path = strdup(in_dir("lost")), .fd = -1};
    ferry_error e = {0};
    check_eq(ferry_sink_open(&s, &e), -FERRY_ENOENT);
    check(strstr(e.msg, "/lost: ") != NULL);
    ferry_sink_done(&s);
    return 0;
}

static FERRY_CO int what_is_replaced_keeps_its_looks(void *arg)
{
    (void)arg;
    static char big[30000], got[sizeof big];
    struct stat st;
    put("old", "old");
    check_eq(chmod(in_dir("old"), 06751), 0);
    memset(big, 'v', sizeof big);
    /* ext4 and others have room for a block only. */
    bool fits = setxattr(in_dir("old"), "user.big", big, sizeof big, 0) == 0;
    if (!fits)
        check_eq(setxattr(in_dir("old"), "user.big", big, 100, 0) < 0 ? errno : 0, 0);
    download("old", "new");
    holds("old", "new", 3);
    check_eq(stat(in_dir("old"), &st), 0);
    check_eq(st.st_mode & 07777, 0751);
    check_eq(getxattr(in_dir("old"), "user.big", got, sizeof got),
             fits ? (int)sizeof big : 100);
    return 0;
}

static FERRY_CO int cancelled_before_its_commit(void *arg)
{
    (void)arg;
    put("kept", "old");
    ferry_sink s = {.path = strdup(in_dir("kept")), .fd = -1, .durable = true};
    ferry_error e = {0};
    ferry_scope scope;
    check_eq(ferry_sink_open(&s, &e), 0);
    check_eq(send(&s, "new", &e), 0);
    ferry_scope_open(&scope, 0);
    ferry_scope_cancel(&scope, -FERRY_ECANCELED);
    check_eq(ferry_sink_commit(&s, &e), -FERRY_ECANCELED);
    ferry_scope_join(&scope);
    ferry_sink_done(&s);
    holds("kept", "old", 3);
    return 0;
}

struct opening {
    ferry_sink sink;
    ferry_error error;
    bool done;
};

static FERRY_CO int open_it(void *arg)
{
    struct opening *o = arg;
    int r = ferry_sink_open(&o->sink, &o->error);
    o->done = true;
    return r;
}

/* It was once opened for both directions, and then again for writing alone: when the reader
 * came between the two all went well, and on a busy machine, where it came later, the download
 * failed with "the other end was closed". */
static FERRY_CO int a_fifo_waits_for_its_reader(void *arg)
{
    (void)arg;
    check_eq(mkfifo(in_dir("fifo"), 0600), 0);
    struct opening o = {.sink = {.path = strdup(in_dir("fifo")), .fd = -1}};

    ferry_scope scope;
    ferry_scope_open(&scope, 0);
    ferry_scope_deadline(&scope, 50);
    check_eq(ferry_sink_open(&o.sink, &o.error), -FERRY_ETIMEDOUT);
    ferry_scope_join(&scope);

    ferry_scope_open(&scope, 0);
    check_eq(ferry_spawn(&scope, "open", open_it, &o), 0);
    let_others_park();
    check(!o.done);
    FERRY_AUTO(fd) int reader = open(in_dir("fifo"), O_RDONLY | O_NONBLOCK);
    check_eq(ferry_scope_join(&scope), 0);
    check(o.done);
    check_eq(send(&o.sink, "abc", &o.error), 0);
    char got[4] = "";
    check_eq(read(reader, got, sizeof got), 3);
    check(strcmp(got, "abc") == 0);

    close(ferry_take_fd(&reader));
    check_eq(send(&o.sink, "d", &o.error), -FERRY_EPIPE);
    check(strstr(o.error.msg, "/fifo: ") != NULL);
    ferry_sink_done(&o.sink);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST_ON_UV(appended),
        TEST_ON_UV(from_the_position),
        TEST_ON_UV(a_hole_does_not_wrap),
        TEST_ON_UV(memory_without_a_limit),
        TEST_ON_UV(memory_has_its_limit),
        TEST_ON_UV(through_a_dangling_link),
        TEST_ON_UV(what_is_replaced_keeps_its_looks),
        TEST_ON_UV(cancelled_before_its_commit),
        TEST_ON_UV(a_fifo_waits_for_its_reader),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
