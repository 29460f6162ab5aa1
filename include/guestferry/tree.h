/* guestferry/tree.h - whole trees of files in and out.
 *
 * A tree travels as one stream, so that thousands of small files cost little more than their
 * bytes: it is read at one end and made at the other, both at once.
 *
 * Kept always: names as bytes, permissions (0777; on the host less the umask), times, symbolic
 * links as links, hard links among what is copied, holes, "user." attributes. With `archive` also
 * owners (where the program may set them), permissions whatever the umask says,
 * ACLs and every other extended attribute. With `keep_suid` set-user-ID, set-group-ID and
 * sticky bits, and capabilities. Devices, FIFOs and sockets are left out, and told.
 *
 * What is there already: a directory stays, and what is copied goes into it; a file or link is replaced, each
 * by a rename, and without `archive` the file's owner, permissions and attributes stay; a
 * directory is never replaced by a file, nor a file by a directory.
 *
 * A tree that comes out of an image is hostile. Nothing in it leaves the directory it is copied
 * to: links are made, never followed, not even such as another program plants meanwhile. */
#ifndef GUESTFERRY_TREE_H
#define GUESTFERRY_TREE_H

#include <guestferry/vm.h>

#ifdef __cplusplus
extern "C" {
#endif

/* name        what the tree is called where it goes; NULL = what it was called; "." = it is not put
 *             into the directory, it becomes it
 * archive     owners, exact permissions, ACLs, all attributes
 * keep_suid   set-user-ID, set-group-ID, sticky bits and capabilities
 * keep_going  an entry that cannot be copied does not end the op: ferry_copy_problem()
 * priority    ferry_priority: beside other transfers of the VM (guestferry/op.h)
 * verify      both sides compute a checksum (XXH64) of all that is sent, names and attributes too, while
 *             it is; they are compared at the end. Another one: FERRY_EIO, and what has been made by then,
 *             whole files only, stays and is not to be trusted. Against bytes that change on their way, as
 *             for a single file (guestferry/transfer.h) */
typedef struct ferry_copy_opts {
    size_t size;
    const char *name;
    int archive;
    int keep_suid;
    int keep_going;
    int priority;
    int verify;
} ferry_copy_opts;

/* Copies a file, link or directory of the host, with all that is in it, into remotedir, which must be a
 * directory in the image. localpath that ends in "/" or "/." stands for what is in that directory: name
 * is "." then, unless it is given. Disks of the VM that lie in the tree are left out.
 *
 * Progress counts bytes and files that have been made in the image. Cancelled or failed, whole files may be
 * there, parts of files are not.
 *
 * Errors: FERRY_ENOENT, FERRY_ENOTDIR (remotedir; a file or link is where a directory should go),
 * FERRY_EISDIR (the other way round), FERRY_EACCES, FERRY_ENOSPC, FERRY_EROFS, FERRY_EIO, FERRY_ECHANGED
 * (a file shrank while it was read), FERRY_ESTATE, FERRY_EDEAD, FERRY_ETIMEDOUT, FERRY_ECANCELED.
 * The message names the entry. Thread: any. Since 0.1. */
FERRY_EXPORT int ferry_copy_in_start(ferry_vm *vm, const char *localpath,
                                     const char *remotedir, const ferry_copy_opts *opts,
                                     ferry_op **ret_op, ferry_error *reterr);
FERRY_EXPORT int ferry_copy_in(ferry_vm *vm, const char *localpath,
                               const char *remotedir, const ferry_copy_opts *opts,
                               ferry_error *reterr);

/* Copies a file, link or directory of the image, with all that is in it, into localdir, which must be a
 * directory. remotepath is not followed if it is a symbolic link.
 *
 * Cancelled or failed, whole files may be there, parts of files are not. An op that is cancelled ends without
 * waiting for the host's disk longer than 2 s; a disk that hangs longer may find some files later.
 *
 * Errors as above; FERRY_EPROTO: the appliance sent what is no tree, and is given up.
 * Thread: any. Since 0.1. */
FERRY_EXPORT int ferry_copy_out_start(ferry_vm *vm, const char *remotepath,
                                      const char *localdir, const ferry_copy_opts *opts,
                                      ferry_op **ret_op, ferry_error *reterr);
FERRY_EXPORT int ferry_copy_out(ferry_vm *vm, const char *remotepath,
                                const char *localdir, const ferry_copy_opts *opts,
                                ferry_error *reterr);

/* Takes the next of the entries that were left out, in their order; any time from the op's start on.
 * Returns 1 and the entry's path below the tree (*ret_path is the caller's: free) with why in *reterr
 * (may be NULL); or 0: there is none now. reterr->code is 0 for a device, FIFO or socket, which
 * is also told without keep_going; a directory stands for all that is in it. After 10,000
 * that nobody has taken further ones are only counted: the last has the path "..." .
 * -FERRY_EINVAL: the op is of another call. Thread: any. Since 0.1. */
FERRY_EXPORT int ferry_copy_problem(ferry_op *op, char **ret_path, ferry_error *reterr);

#ifdef __cplusplus
}
#endif
#endif
