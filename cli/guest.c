/* Calls awaited in the session's turn; see guest.h. */
#include "guest.h"

#include "auto.h"

/* Starts a call (the arguments are all but the last two), awaits it with a spinner, and has
 * `fetch` take the result from `op`. A macro because every call has a type of its own. */
#define RUN(phase, fetch, call, ...)                                                   \
    FERRY_AUTO(op) ferry_op *op = NULL;                                                \
    int r = ferry_##call##_start(s->vm, __VA_ARGS__, &op, e);                          \
    if (r == 0)                                                                        \
        r = session_await_phase(s, op, phase, e);                                      \
    return r < 0 ? r : (fetch)

/* A call inside a transfer leaves the transfer's bar in place. */
static int session_await_phase(struct session *s, ferry_op *op, const char *phase,
                               ferry_error *e)
{
    if (s->progress.active)
        return session_await(s, op, e);
    return session_await_shown(s, op, phase, e);
}

int guest_stat(struct session *s, const char *path, ferry_stat_info *ret, ferry_error *e)
{
    RUN("looking", ferry_stat_result(op, ret, e), stat, path);
}

int guest_lstat(struct session *s, const char *path, ferry_stat_info *ret,
                ferry_error *e)
{
    RUN("looking", ferry_lstat_result(op, ret, e), lstat, path);
}

int guest_readlink(struct session *s, const char *path, char **ret, ferry_error *e)
{
    RUN("looking", ferry_readlink_result(op, ret, e), readlink, path);
}

int guest_readdir(struct session *s, const char *path, ferry_dirent_list *ret,
                  ferry_error *e)
{
    RUN("listing", ferry_readdir_result(op, ret, e), readdir, path);
}

int guest_statvfs(struct session *s, const char *path, ferry_statvfs_info *ret,
                  ferry_error *e)
{
    RUN("looking", ferry_statvfs_result(op, ret, e), statvfs, path);
}

int guest_mkdir(struct session *s, const char *path, uint32_t mode, ferry_error *e)
{
    ferry_mkdir_opts opts = {.size = sizeof opts, .mode = mode};
    RUN("making directories", 0, mkdir, path, &opts);
}

int guest_mkdir_p(struct session *s, const char *path, ferry_error *e)
{
    RUN("making directories", 0, mkdir_p, path);
}

int guest_chmod(struct session *s, uint32_t mode, const char *path, ferry_error *e)
{
    RUN("making directories", 0, chmod, mode, path);
}

int guest_rm(struct session *s, const char *path, ferry_error *e)
{
    RUN("removing", 0, rm, path);
}

int guest_rm_rf(struct session *s, const char *path, ferry_error *e)
{
    RUN("removing", 0, rm_rf, path);
}

int guest_ln_s(struct session *s, const char *target, const char *path, ferry_error *e)
{
    RUN("linking", 0, ln_s, target, path);
}

int guest_list_filesystems(struct session *s, ferry_filesystem_list *ret, ferry_error *e)
{
    FERRY_AUTO(op) ferry_op *op = NULL;
    int r = ferry_list_filesystems_start(s->vm, &op, e);
    if (r == 0)
        r = session_await_phase(s, op, "looking for file systems", e);
    return r < 0 ? r : ferry_list_filesystems_result(op, ret, e);
}

int guest_list_partitions(struct session *s, char ***ret, ferry_error *e)
{
    FERRY_AUTO(op) ferry_op *op = NULL;
    int r = ferry_list_partitions_start(s->vm, &op, e);
    if (r == 0)
        r = session_await_phase(s, op, "looking for partitions", e);
    return r < 0 ? r : ferry_list_partitions_result(op, ret, e);
}

int guest_getsize(struct session *s, const char *device, uint64_t *ret, ferry_error *e)
{
    RUN("looking", ferry_blockdev_getsize64_result(op, ret, e), blockdev_getsize64,
        device);
}

int guest_mount(struct session *s, const char *device, const char *mountpoint,
                ferry_error *e)
{
    if (s->readonly) {
        RUN("mounting", 0, mount_ro, device, mountpoint);
    }
    RUN("mounting", 0, mount, device, mountpoint);
}

int guest_umount_all(struct session *s, ferry_error *e)
{
    FERRY_AUTO(op) ferry_op *op = NULL;
    int r = ferry_umount_all_start(s->vm, &op, e);
    return r < 0 ? r : session_await_phase(s, op, "unmounting", e);
}

int guest_part_disk(struct session *s, const char *device, const char *type,
                    ferry_error *e)
{
    RUN("partitioning", 0, part_disk, device, type);
}

int guest_mkfs(struct session *s, const char *fs, const char *device, const char *label,
               ferry_error *e)
{
    ferry_mkfs_opts opts = {.size = sizeof opts, .label = label};
    RUN("formatting", 0, mkfs, fs, device, &opts);
}
