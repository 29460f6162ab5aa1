/* guestferry/error.h - what a failed call tells its caller.
 *
 * Every function that can fail returns 0 (or a count) on success and a negative
 * code on failure, and fills the caller's ferry_error when one was passed. There is
 * no "last error" on any handle, so two threads can never read each other's.
 *
 * A code has the value of the Linux errno of the same name where there is one
 * (-FERRY_ENOENT == -ENOENT); codes of our own start at 1001.
 */
#ifndef GUESTFERRY_ERROR_H
#define GUESTFERRY_ERROR_H

#include <guestferry/export.h>

#ifdef __cplusplus
extern "C" {
#endif

enum ferry_code {
    FERRY_OK = 0,
    FERRY_EPERM = 1,
    FERRY_ENOENT = 2,  /* no such file, in the image or on the host */
    FERRY_EINTR = 4,   /* ferry_op_wait: a signal handler ran */
    FERRY_EIO = 5,     /* the disk under the image, or the image, failed */
    FERRY_EAGAIN = 11, /* ferry_op_wait: still pending when the time was up */
    FERRY_ENOMEM = 12,
    FERRY_EACCES = 13,
    FERRY_EBUSY = 16, /* image locked by another process; file system in use */
    FERRY_EEXIST = 17,
    FERRY_EXDEV = 18,
    FERRY_ENODEV = 19,
    FERRY_ENOTDIR = 20,
    FERRY_EISDIR = 21,
    FERRY_EINVAL = 22,
    FERRY_ENFILE = 23,
    FERRY_EMFILE = 24, /* the limit of this process, RLIMIT_NOFILE, is too low */
    FERRY_EFBIG = 27,
    FERRY_ENOSPC = 28,
    FERRY_EROFS = 30,
    FERRY_EPIPE = 32, /* the reader of a destination went away; a channel closed */
    FERRY_ENAMETOOLONG = 36,
    FERRY_ENOSYS = 38,
    FERRY_ENOTEMPTY = 39,
    FERRY_ELOOP = 40,
    FERRY_EPROTO = 71, /* the daemon broke the protocol; the VM is dead */
    FERRY_ENOTSUP = 95,
    FERRY_ETIMEDOUT = 110, /* a deadline of the caller's passed */
    FERRY_ECANCELED = 125, /* cancelled; nothing was changed unless the op says so */

    FERRY_ELAUNCH = 1001,   /* the appliance did not start; msg says how far it came */
    FERRY_EDEAD = 1002,     /* the appliance died under the call; launch a new one */
    FERRY_ESTATE = 1003,    /* not allowed now: not launched, closed, wrong thread */
    FERRY_EMISMATCH = 1004, /* library and daemon are of different builds */
    FERRY_ECHANGED = 1005,  /* the source changed while it was being read */
    FERRY_EFORMAT = 1006,   /* the image is not of the format it was opened as */
    FERRY_ENPROC =
        1007, /* no more threads or processes: ulimit -u, pids.max, or memory */
};

/* One failed call, in full. Filled by value: nothing to free.
 *
 * code      negative, as returned
 * os_errno  the errno behind it on the host or in the appliance (positive), or 0
 * where     the call or phase that failed: "upload", "launch", "mount"
 * msg       one line for a person: names the thing and, where there is one, the next
 *           step; no trailing newline; cut at a character boundary when too long
 *
 * Thread: any. Since 0.1. */
typedef struct ferry_error {
    int code;
    int os_errno;
    char where[32];
    char msg[256];
} ferry_error;

/* A short fixed text for a code: "no such file or directory", "cancelled".
 * Takes the code with either sign. Never NULL; static storage.
 * Thread: any. Signal-safe: yes. Since 0.1. */
FERRY_EXPORT const char *ferry_strerror(int code);

/* The symbolic name of a code: "FERRY_ENOENT". NULL for a code we do not define.
 * Thread: any. Signal-safe: yes. Since 0.1. */
FERRY_EXPORT const char *ferry_code_name(int code);

#ifdef __cplusplus
}
#endif
#endif
