/* The files behind scratch disks; the contract is in machine.h. */
#include "base/auto.h"
#include "base/error.h"
#include "launch/machine.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>

/* A file without a name: it is gone with the last process that has it open. */
static int open_nameless(const char *dir)
{
    int fd = open(dir, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
    if (fd >= 0 || (errno != EOPNOTSUPP && errno != EISDIR))
        return fd;

    /* No O_TMPFILE there (NFS, old overlayfs): the name lives for two system calls. */
    FERRY_AUTO(mem) char *name = NULL;
    if (asprintf(&name, "%s/gferry-scratch-XXXXXX", dir) < 0) {
        name = NULL;
        errno = ENOMEM;
        return -1;
    }
    fd = mkostemp(name, O_CLOEXEC);
    if (fd >= 0)
        unlink(name);
    return fd;
}

int ferry_drive_open_scratch(const ferry_drive *d, int *ret_fd, ferry_error *e)
{
    /* /var/tmp: on disk where /tmp may be memory. */
    const char *dir = secure_getenv("TMPDIR");
    if (!dir || !*dir)
        dir = "/var/tmp";
    FERRY_AUTO(fd) int fd = open_nameless(dir);
    if (fd < 0 || ftruncate(fd, (off_t)d->scratch_bytes) < 0) {
        int err = errno;
        return ferry_fail(e, -err, "launch", "scratch disk of %llu bytes in %s: %s",
                          (unsigned long long)d->scratch_bytes, dir,
                          ferry_strerror(err));
    }
    *ret_fd = ferry_take_fd(&fd);
    return 0;
}
