/* Sources and destinations that are no files: pipes, FIFOs, sockets, terminals.
 * Nobody knows their length before their end, and they are the caller's: flags and
 * position stay as they were, nothing is closed, no SIGPIPE is raised. */
#include "harness/vm.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <termios.h>
#include <unistd.h>

#define LEN (5 * MIB + 3)

/* ---- the other end -------------------------------------------------------------- */

struct peer {
    pthread_t thread;
    int fd;
    const char *path; /* of a FIFO, opened by the thread; NULL: fd */
    uint8_t *data;
    size_t len;   /* to write; or that were read */
    size_t piece; /* of one write */
};

static void *write_all(void *arg)
{
    struct peer *p = arg;
    if (p->path)
        p->fd = open(p->path, O_WRONLY | O_CLOEXEC);
    for (size_t done = 0; done < p->len;) {
        size_t n = p->len - done < p->piece ? p->len - done : p->piece;
        ssize_t r = write(p->fd, p->data + done, n);
        if (r < 0)
            break; /* what did not arrive is missed by the test */
        done += (size_t)r;
    }
    close(p->fd);
    return NULL;
}

static void *read_all(void *arg)
{
    struct peer *p = arg;
    ssize_t n;
    while ((n = read(p->fd, p->data + p->len, LEN + 1 - p->len)) > 0)
        p->len += (size_t)n;
    close(p->fd);
    return NULL;
}

static void start_writer(struct peer *p, int fd, const char *path, size_t len,
                         size_t piece, unsigned seed)
{
    *p = (struct peer){.fd = fd,
                       .path = path,
                       .data = filled(len, seed),
                       .len = len,
                       .piece = piece};
    assert_int_equal(pthread_create(&p->thread, NULL, write_all, p), 0);
}

static void start_reader(struct peer *p, int fd)
{
    *p = (struct peer){.fd = fd, .data = malloc(LEN + 1)};
    assert_int_equal(pthread_create(&p->thread, NULL, read_all, p), 0);
}

static void join_and_free(struct peer *p)
{
    pthread_join(p->thread, NULL);
    free(p->data);
}

/* ---- uploads -------------------------------------------------------------------- */

static void upload_from(int fd, struct peer *p)
{
    int flags = fcntl(fd, F_GETFL);
    assert_ok(ferry_upload_fd(vm, fd, "/in", NULL, &err));
    assert_int_equal(fcntl(fd, F_GETFL), flags);
    pthread_join(p->thread, NULL);
    assert_guest_is("/in", p->data, p->len);
    free(p->data);
    close(fd);
}

static void pipe_is_read_to_its_end(void **state)
{
    (void)state;
    static const size_t lens[] = {0, 1, LEN};
    for (size_t i = 0; i < 3; i++) {
        struct peer p;
        int fds[2];
        assert_int_equal(pipe2(fds, O_CLOEXEC), 0);
        start_writer(&p, fds[1], NULL, lens[i], 7777, (unsigned)i);
        upload_from(fds[0], &p);
    }
}

static void socket_is_read_to_its_end(void **state)
{
    (void)state;
    struct peer p;
    int fds[2];
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
    start_writer(&p, fds[1], NULL, LEN, 100000, 4);
    upload_from(fds[0], &p);
}

/* Through the path, and by its descriptor as a shell would give it as stdin. */
static void fifo_is_read_to_its_end(void **state)
{
    (void)state;
    struct peer p;
    const char *fifo = scratch("fifo");
    assert_int_equal(mkfifo(fifo, 0600), 0);
    start_writer(&p, -1, fifo, LEN, 65536, 5);
    assert_ok(ferry_upload(vm, fifo, "/fifo", NULL, &err));
    assert_guest_is("/fifo", p.data, LEN);
    join_and_free(&p);

    int fds[2];
    assert_int_equal(pipe2(fds, O_CLOEXEC), 0);
    start_writer(&p, fds[1], NULL, LEN, 65536, 6);
    int saved = dup(STDIN_FILENO);
    dup2(fds[0], STDIN_FILENO);
    int r = ferry_upload(vm, "/dev/stdin", "/stdin", NULL, &err);
    dup2(saved, STDIN_FILENO);
    close(saved);
    close(fds[0]);
    assert_ok(r);
    assert_guest_is("/stdin", p.data, LEN);
    join_and_free(&p);
    unlink(fifo);
}

static bool has_phase(void *arg)
{
    ferry_progress now;
    ferry_op_poll(arg, &now);
    return strcmp(now.phase, "copying") == 0;
}

/* Nobody may ever write: it waits where a cancel is heard, and so does a pipe. */
static void silent_fifo_is_waited_for_and_cancelled(void **state)
{
    (void)state;
    ferry_op *op = NULL;
    const char *fifo = scratch("silent");
    assert_int_equal(mkfifo(fifo, 0600), 0);
    assert_ok(ferry_upload_start(vm, fifo, "/silent", NULL, &op, &err));
    assert_true(eventually(has_phase, op));
    assert_int_equal(ferry_op_wait(op, 50), -FERRY_EAGAIN);
    ferry_op_cancel(op);
    assert_ends(op, FERRY_ECANCELED);
    ferry_op_free(op);
    assert_fails(ferry_rm(vm, "/silent", &err), FERRY_ENOENT, "/silent");
    unlink(fifo);
}

static void terminal_is_read_to_ctrl_d(void **state)
{
    (void)state;
    int master = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC);
    assert_true(master >= 0 && grantpt(master) == 0 && unlockpt(master) == 0);
    int slave = open(ptsname(master), O_RDWR | O_NOCTTY | O_CLOEXEC);
    assert_true(slave >= 0);
    assert_int_equal(write(master, "one\ntwo\n\004", 9), 9);
    assert_ok(ferry_upload_fd(vm, slave, "/typed", NULL, &err));
    assert_guest_is("/typed", "one\ntwo\n", 8);
    close(slave);
    close(master);
}

/* Progress of a source that cannot tell its length: unknown, or what the caller
 * says. */
static void total_of_a_pipe_is_what_the_caller_says(void **state)
{
    (void)state;
    for (uint64_t total = 0; total <= 100; total += 100) {
        ferry_upload_opts opts = {.size = sizeof opts, .total = total};
        ferry_progress now;
        ferry_op *op = NULL;
        int fds[2];
        assert_int_equal(pipe2(fds, O_CLOEXEC), 0);
        assert_ok(ferry_upload_fd_start(vm, fds[0], "/total", &opts, &op, &err));
        assert_true(eventually(has_phase, op));
        ferry_op_poll(op, &now);
        assert_int_equal(now.total, total);
        assert_int_equal(now.bytes, 0);
        assert_int_equal(write(fds[1], "x", 1), 1);
        close(fds[1]);
        assert_ends(op, 0);
        ferry_op_poll(op, &now);
        assert_int_equal(now.total, 1); /* the truth */
        assert_int_equal(now.bytes, 1);
        ferry_op_free(op);
        close(fds[0]);
    }
}

/* ---- downloads ------------------------------------------------------------------ */

/* What is downloaded below: LEN bytes at /in, put there by the socket's test. */
static void download_into(int fd, int reader)
{
    struct peer p;
    int flags = fcntl(fd, F_GETFL);
    start_reader(&p, reader);
    assert_ok(ferry_download_fd(vm, "/in", fd, NULL, &err));
    assert_int_equal(fcntl(fd, F_GETFL), flags);
    close(fd);
    pthread_join(p.thread, NULL);
    assert_guest_is("/in", p.data, p.len);
    assert_int_equal(p.len, LEN);
    free(p.data);
}

static void pipe_and_socket_are_filled(void **state)
{
    (void)state;
    int fds[2];
    assert_int_equal(pipe2(fds, O_CLOEXEC), 0);
    download_into(fds[1], fds[0]);
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
    download_into(fds[1], fds[0]);
}

static void fifo_path_is_written_not_replaced(void **state)
{
    (void)state;
    struct peer p;
    struct stat st;
    const char *fifo = scratch("out");
    assert_int_equal(mkfifo(fifo, 0600), 0);
    ferry_op *op;
    assert_ok(ferry_download_start(vm, "/in", fifo, NULL, &op, &err));
    start_reader(&p, open(fifo, O_RDONLY | O_CLOEXEC)); /* both wait for each other */
    assert_ends(op, 0);
    ferry_op_free(op);
    pthread_join(p.thread, NULL);
    assert_guest_is("/in", p.data, p.len);
    free(p.data);
    assert_int_equal(stat(fifo, &st), 0);
    assert_true(S_ISFIFO(st.st_mode));
    unlink(fifo);
}

/* The test has no SIGPIPE handler: if one were raised, this would be its end. */
static void reader_that_leaves_is_an_error(void **state)
{
    (void)state;
    int fds[2];
    assert_int_equal(pipe2(fds, O_CLOEXEC), 0);
    close(fds[0]);
    assert_fails(ferry_download_fd(vm, "/in", fds[1], NULL, &err), FERRY_EPIPE, "");
    close(fds[1]);
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
    close(fds[0]);
    assert_fails(ferry_download_fd(vm, "/in", fds[1], NULL, &err), FERRY_EPIPE, "");
    close(fds[1]);
}

/* The reader reads nothing: the download stands still, whatever the size, and is
 * cancelled. */
static void stuck_reader_does_not_stop_a_cancel(void **state)
{
    (void)state;
    ferry_op *op = NULL;
    int fds[2];
    assert_int_equal(pipe2(fds, O_CLOEXEC), 0);
    assert_ok(ferry_download_fd_start(vm, "/in", fds[1], NULL, &op, &err));
    assert_true(eventually(has_phase, op));
    assert_int_equal(ferry_op_wait(op, 100), -FERRY_EAGAIN);
    ferry_op_cancel(op);
    assert_ends(op, FERRY_ECANCELED);
    ferry_op_free(op);
    close(fds[0]);
    close(fds[1]);
    assert_ok(ferry_ping(vm, &err));
}

static void null_takes_all_and_full_nothing(void **state)
{
    (void)state;
    assert_ok(ferry_download(vm, "/in", "/dev/null", NULL, &err));
    assert_fails(ferry_download(vm, "/in", "/dev/full", NULL, &err), FERRY_ENOSPC,
                 "/dev/full");
}

/* ---- files by descriptor -------------------------------------------------------- */

static void descriptor_is_used_from_its_position(void **state)
{
    (void)state;
    uint8_t *data = filled(LEN, 7), *old = filled(LEN, 8);
    make_file(scratch("whole"), LEN, 7);
    int fd = open(scratch("whole"), O_RDONLY | O_CLOEXEC);
    assert_int_equal(lseek(fd, 100001, SEEK_SET), 100001);
    assert_ok(ferry_upload_fd(vm, fd, "/rest", NULL, &err));
    close(fd);
    assert_guest_is("/rest", data + 100001, LEN - 100001);

    /* Before and behind what is written, everything stays. */
    ferry_download_opts opts = {.size = sizeof opts, .length = 4096};
    make_file(scratch("kept"), LEN, 8);
    fd = open(scratch("kept"), O_RDWR | O_CLOEXEC);
    assert_int_equal(lseek(fd, 5000, SEEK_SET), 5000);
    assert_ok(ferry_download_fd(vm, "/rest", fd, &opts, &err));
    assert_int_equal(lseek(fd, 0, SEEK_CUR), 5000 + 4096);
    close(fd);
    memcpy(old + 5000, data + 100001, 4096);
    assert_file_is(scratch("kept"), old, LEN);
    free(data);
    free(old);
}

static void descriptor_of_the_wrong_kind_is_refused(void **state)
{
    (void)state;
    int dir = open("/", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    int ro = open("/dev/null", O_RDONLY | O_CLOEXEC);
    assert_fails(ferry_upload_fd(vm, dir, "/x", NULL, &err), FERRY_EISDIR, "");
    assert_fails(ferry_upload_fd(vm, -1, "/x", NULL, &err), FERRY_EINVAL, "-1");
    assert_fails(ferry_upload_fd(vm, 999, "/x", NULL, &err), EBADF, "");
    assert_fails(ferry_download_fd(vm, "/in", ro, NULL, &err), EBADF, "");
    assert_fails(ferry_download_fd(vm, "/in", -5, NULL, &err), FERRY_EINVAL, "-5");
    close(dir);
    close(ro);
    assert_fails(ferry_rm(vm, "/x", &err), FERRY_ENOENT, "/x");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        vm_test(pipe_is_read_to_its_end),
        vm_test(socket_is_read_to_its_end),
        vm_test(fifo_is_read_to_its_end),
        vm_test(silent_fifo_is_waited_for_and_cancelled),
        vm_test(terminal_is_read_to_ctrl_d),
        vm_test(total_of_a_pipe_is_what_the_caller_says),
        vm_test(pipe_and_socket_are_filled),
        vm_test(fifo_path_is_written_not_replaced),
        vm_test(reader_that_leaves_is_an_error),
        vm_test(stuck_reader_does_not_stop_a_cancel),
        vm_test(null_takes_all_and_full_nothing),
        vm_test(descriptor_is_used_from_its_position),
        vm_test(descriptor_of_the_wrong_kind_is_refused),
    };
    return cmocka_run_group_tests(tests, vm_setup_ext4, vm_teardown);
}
