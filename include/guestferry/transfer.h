/* guestferry/transfer.h - files in and out.
 *
 * A source or destination on the host is a path, a descriptor (pipe, socket, tty, file; it stays
 * the caller's, is read or written from its current position, and is left behind the last
 * byte) or memory. The other side is
 * a path in the image, below what is mounted, or a block device such as /dev/sda1 (then
 * in place).
 *
 * Each comes in three manners: ferry_X_start() gives an op, ferry_X() blocks, and the result of
 * an op, if there is one, is fetched with ferry_X_result(). */
#ifndef GUESTFERRY_TRANSFER_H
#define GUESTFERRY_TRANSFER_H

#include <guestferry/vm.h>

#ifdef __cplusplus
extern "C" {
#endif

/* By default an upload is atomic: it goes to a temporary in the target's directory, which
 * replaces the target at the end and takes over owner, mode and extended attributes of what it
 * replaces. Cancelled or failed, it leaves what was there before.
 *
 * mode      permission bits of a new file; 0 = 0644, less what the replaced file says
 * uid, gid  owner of a new file (0: root)
 * in_place  writes into the existing file (or device) instead; what was written stays
 * offset    bytes into the target; implies in_place
 * durable   file and directory are fsynced in the image before the op is OK
 * total     bytes that will come, for progress, when the source cannot tell (a pipe)
 * stall_ms  FERRY_ETIMEDOUT when for so long nothing has moved (0: no limit). What moves is
 *           seen in steps of up to 1 MiB, so allow for that on a very slow disk
 * keep_partial  cancelled or failed, leaves what was written as a partial: "NAME.ferry-partial" beside
 *           the target, which is as it was. ferry_op_get_leftover() says how much that is. An
 *           older partial is replaced; what has that name and is no partial (a link, somebody
 *           else's file) is left alone, and then nothing is kept; nor is less than 1 MiB.
 *           In place there is no partial: what was written stays anyway
 * resume    goes on from the partial, if there is one: compares it with the source, by digests that
 *           both sides compute (phase "verifying"), keeps what is equal from the start in steps of
 *           1 MiB, and sends the rest. If already the start differs it starts over: see
 *           ferry_leftover.resumed. Implies keep_partial. A source that cannot be read again
 *           (a pipe) starts over, too. Not with in_place and offset (FERRY_EINVAL). FERRY_EBUSY:
 *           another upload is at the partial
 * verify    both sides compute a checksum (XXH64) of what is sent, while it is; before anything
 *           is put in its place they are compared. Another one: FERRY_EIO, and the target is as it
 *           was (in place: what was written stays). Against bytes that change on their way from the source
 *           to the file system of the image; what a disk does to them is not read again
 * priority  ferry_priority: beside other transfers of the VM (guestferry/op.h)
 *
 * Holes of a source file stay holes. */
typedef struct ferry_upload_opts {
    size_t size;
    uint32_t mode;
    uint32_t uid, gid;
    int in_place;
    int durable;
    uint64_t offset;
    uint64_t total;
    uint32_t stall_ms;
    int keep_partial;
    int resume;
    int verify;
    int priority;
} ferry_upload_opts;

/* Downloads to a path are atomic in the same way: owner, mode and extended attributes of an
 * existing file are kept, but not its set-id bits and capabilities, which were not given to what
 * the image holds. Symbolic links are followed, one that dangles too. A FIFO (whose reader is
 * waited for), a device or /dev/stdout is written as it is.
 *
 * offset, length  which part; length 0 = to the end
 * mode            permission bits of a new file; 0 = 0666 less the umask
 * durable         fsync before OK
 * keep_partial    as of an upload, on the host: the partial is the caller's own file, never more
 *                 readable than the target; kept too when the VM has died. What has its name and is
 *                 no partial is left alone. Paths only
 * resume          as of an upload. FERRY_EBUSY: another download, of any process, is at the partial
 * verify          as of an upload: FERRY_EIO, and there is no new file (a descriptor keeps what came)
 * priority        as of an upload
 * max_bytes       ferry_download_mem: more than this is FERRY_EFBIG (0 = 1 GiB)
 * stall_ms        FERRY_ETIMEDOUT when for so long no byte has come or gone (0: no limit) */
typedef struct ferry_download_opts {
    size_t size;
    uint64_t offset, length;
    uint32_t mode;
    int durable;
    uint64_t max_bytes;
    uint32_t stall_ms;
    int keep_partial;
    int resume;
    int verify;
    int priority;
} ferry_download_opts;

/* Errors of all: FERRY_ENOENT, FERRY_EISDIR, FERRY_ENOTDIR, FERRY_EACCES, FERRY_ENOSPC,
 * FERRY_EROFS, FERRY_EIO, FERRY_EPIPE (a destination's reader left), FERRY_ECHANGED (a source
 * file shrank while it was read), FERRY_ESTATE, FERRY_EDEAD, FERRY_ETIMEDOUT, FERRY_ECANCELED.
 * Thread: any. Since 0.1. */
FERRY_EXPORT int ferry_upload_start(ferry_vm *vm, const char *src, const char *dst,
                                    const ferry_upload_opts *opts, ferry_op **ret_op,
                                    ferry_error *reterr);
FERRY_EXPORT int ferry_upload(ferry_vm *vm, const char *src, const char *dst,
                              const ferry_upload_opts *opts, ferry_error *reterr);

/* fd must stay open until the op has ended. */
FERRY_EXPORT int ferry_upload_fd_start(ferry_vm *vm, int fd, const char *dst,
                                       const ferry_upload_opts *opts, ferry_op **ret_op,
                                       ferry_error *reterr);
FERRY_EXPORT int ferry_upload_fd(ferry_vm *vm, int fd, const char *dst,
                                 const ferry_upload_opts *opts, ferry_error *reterr);

/* data must stay valid until the op has ended; `len` bytes. */
FERRY_EXPORT int ferry_upload_mem_start(ferry_vm *vm, const void *data, size_t len,
                                        const char *dst, const ferry_upload_opts *opts,
                                        ferry_op **ret_op, ferry_error *reterr);
FERRY_EXPORT int ferry_upload_mem(ferry_vm *vm, const void *data, size_t len,
                                  const char *dst, const ferry_upload_opts *opts,
                                  ferry_error *reterr);

FERRY_EXPORT int ferry_download_start(ferry_vm *vm, const char *src, const char *dst,
                                      const ferry_download_opts *opts,
                                      ferry_op **ret_op, ferry_error *reterr);
FERRY_EXPORT int ferry_download(ferry_vm *vm, const char *src, const char *dst,
                                const ferry_download_opts *opts, ferry_error *reterr);

FERRY_EXPORT int ferry_download_fd_start(ferry_vm *vm, const char *src, int fd,
                                         const ferry_download_opts *opts,
                                         ferry_op **ret_op, ferry_error *reterr);
FERRY_EXPORT int ferry_download_fd(ferry_vm *vm, const char *src, int fd,
                                   const ferry_download_opts *opts, ferry_error *reterr);

/* *ret_data is *ret_len bytes, the caller's (free), and has a 0 byte behind it. */
FERRY_EXPORT int ferry_download_mem_start(ferry_vm *vm, const char *src,
                                          const ferry_download_opts *opts,
                                          ferry_op **ret_op, ferry_error *reterr);
FERRY_EXPORT int ferry_download_mem_result(ferry_op *op, void **ret_data,
                                           size_t *ret_len, ferry_error *reterr);
FERRY_EXPORT int ferry_download_mem(ferry_vm *vm, const char *src,
                                    const ferry_download_opts *opts, void **ret_data,
                                    size_t *ret_len, ferry_error *reterr);

#ifdef __cplusplus
}
#endif
#endif
