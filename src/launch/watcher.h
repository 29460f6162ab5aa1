/* Who starts qemu and stays beside it until it is gone. There are two: a guard process of
 * ours (direct.c) and libvirt (libvirt.c). They get the same sockets and say the same
 * things over them, so that qemu.c need not know which it is.
 *
 *      ferry_qemu_spawn(loop, watcher)
 *          start: gets one end of each socket ------> reports over CONTROL (guard.h)
 *          CONTROL shut down: "kill"           ------> ENDED, then the end of the stream
 *          gone: nothing of it is left
 *          free
 *
 * A watcher is made by its backend with all that it has to know, and belongs to the
 * ferry_qemu from the spawn on. Loop thread only. */
#ifndef FERRY_LAUNCH_WATCHER_H
#define FERRY_LAUNCH_WATCHER_H

#include "async/loop.h"

#include <guestferry/error.h>

#include <stdbool.h>

/* The socketpairs between us and what is started, by what they are for. */
enum ferry_socket {
    FERRY_SOCKET_CONTROL, /* reports and the kill switch: the watcher's */
    FERRY_SOCKET_CHANNEL, /* qemu's virtio-serial port */
    FERRY_SOCKET_QMP,     /* qemu's monitor; unused without one */
    FERRY_SOCKET_CONSOLE, /* the guest's serial port */
    FERRY_SOCKET_WORDS,   /* what qemu, or its watcher, has to complain about */
    FERRY_SOCKETS,
};

/* Over CONTROL, to a watcher without QMP: have qemu close its images and end. (Ahead of it
 * comes the guard's "go".) */
#define FERRY_WATCHER_QUIT 'q'

/* Reports beyond guard.h's, from a watcher without QMP; value: the drive's index. */
enum ferry_watcher_report {
    FERRY_WATCHER_DISK_ERROR = 4,
    FERRY_WATCHER_DISK_FULL = 5,
};

typedef struct ferry_watcher ferry_watcher;

typedef struct ferry_watcher_ops {
    /* The descriptors stay the caller's, who closes them when this returns: what is to
     * live on is duplicated. On failure e is filled, and gone is not called. */
    FERRY_CO int (*start)(ferry_watcher *w, ferry_loop *loop, const int *fds,
                          ferry_error *e);
    /* Waits until nothing is left of it; several may at a time. The deadline of one that has
     * killed it holds; what is left then ends without anybody who waits. NULL: the end of the reports is
     * the end of all. */
    FERRY_CO void (*gone)(ferry_watcher *w);
    void (*free)(ferry_watcher *w);
} ferry_watcher_ops;

struct ferry_watcher {
    const ferry_watcher_ops *ops;
    bool has_qmp; /* we talk to qemu's monitor; else "quit" is asked of the watcher */
    unsigned gone_ms; /* how long its end may take after a kill */
};

#endif
