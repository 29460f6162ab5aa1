/* Keeps libuv's own descriptors off the numbers 0-2. A program that has closed its standard
 * streams gets those numbers from the next open(2); libuv makes some descriptors for itself
 * and asserts, at uv_loop_close, that none of them is so low. Used around the calls that
 * make them: uv_loop_init() and the first uv_pipe_init(). */
#include "async/internal.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

void ferry_plug(ferry_plugs *p)
{
    p->n = 0;
    for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++) {
        if (fcntl(fd, F_GETFD) >= 0)
            continue;
        int plug =
            open("/dev/null", O_RDWR | O_CLOEXEC); /* takes the lowest that is free */
        if (plug >= 0)
            p->fd[p->n++] = plug;
    }
}

void ferry_unplug(const ferry_plugs *p)
{
    for (int i = 0; i < p->n; i++)
        close(p->fd[i]);
}
