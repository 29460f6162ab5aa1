/* The worker's commands that hold downloads back: their readers take a byte a second, while
 * bench/slow.py measures what others still get.
 *
 *      file in the image --download--> pipe --a byte a second--> reader thread */
#include "worker.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <stdbool.h>
#include <unistd.h>

#define READERS_MAX 64

static struct {
    ferry_op *op[READERS_MAX];
    int out[READERS_MAX]; /* the pipes' ends that are read */
    int in[READERS_MAX];
    int n;
    int stop[2];
    pthread_t reader;
} slow;

/* Until the other end of stop[] is closed. */
static void *read_slowly(void *unused)
{
    struct pollfd stop = {.fd = slow.stop[0], .events = POLLIN};
    (void)unused;
    do {
        char byte;
        for (int i = 0; i < slow.n; i++)
            if (read(slow.out[i], &byte, 1) < 0 && errno != EAGAIN)
                return NULL;
    } while (poll(&stop, 1, 1000) == 0);
    return NULL;
}

static int start_one(struct worker *w)
{
    int fds[2], i = slow.n;
    char byte;
    if (pipe2(fds, O_CLOEXEC) < 0)
        return -errno;
    slow.out[i] = fds[0];
    slow.in[i] = fds[1];
    slow.n++;
    int r = ferry_download_fd_start(w->vm, word(w, 2), fds[1], NULL, &slow.op[i], &w->e);
    /* It has begun to move. */
    return r == 0 && read(fds[0], &byte, 1) < 0 ? -errno : r;
}

/* slow_readers COUNT PATH */
int cmd_slow_readers(struct worker *w)
{
    int r = 0;
    while (r == 0 && slow.n < number(w, 1) && slow.n < READERS_MAX)
        r = start_one(w);
    if (r == 0 && pipe2(slow.stop, O_CLOEXEC) < 0)
        r = -errno;
    return r == 0 ? -pthread_create(&slow.reader, NULL, read_slowly, NULL) : r;
}

/* end_slow_readers: fails if one was not held back. */
int cmd_end_slow_readers(struct worker *w)
{
    bool held = true;
    (void)w;
    close(slow.stop[1]);
    pthread_join(slow.reader, NULL);
    close(slow.stop[0]);
    for (int i = 0; i < slow.n; i++) {
        held &= ferry_op_poll(slow.op[i], NULL) == FERRY_OP_PENDING;
        ferry_op_cancel(slow.op[i]);
        ferry_op_wait(slow.op[i], -1);
        ferry_op_free(slow.op[i]);
        close(slow.in[i]);
        close(slow.out[i]);
    }
    slow.n = 0;
    return held ? 0 : -FERRY_ESTATE;
}
