/* The cage of tests that run as root: see guest_main.h. */
#include "guest_main.h"

#include "guest.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/wait.h>
#include <unistd.h>

#define SKIP 77

char guest_scratch[64];
static bool confined;

/* ---- the child ----------------------------------------------------------------------- */

static _Noreturn void give_up(const char *what)
{
    fprintf(stderr, "skipped: cannot be confined here: %s: %s\n", what, strerror(errno));
    _exit(SKIP);
}

/* A read-only tree of mounts with one hole in it. The scratch directory is a mount before the
 * rest is closed, so that opening it again opens nothing else. */
static void close_all_but_scratch(void)
{
    struct mount_attr closed = {.attr_set = MOUNT_ATTR_RDONLY};
    struct mount_attr open = {.attr_clr = MOUNT_ATTR_RDONLY};
    if (unshare(CLONE_NEWNS) < 0)
        give_up("unshare");
    if (mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0)
        give_up("private mounts");
    if (mount(guest_scratch, guest_scratch, NULL, MS_BIND, NULL) < 0)
        give_up("bind mount");
    if (mount_setattr(AT_FDCWD, "/", AT_RECURSIVE, &closed, sizeof closed) < 0)
        give_up("read-only mounts");
    if (mount_setattr(AT_FDCWD, guest_scratch, 0, &open, sizeof open) < 0)
        give_up("writable scratch directory");
}

static void expect_read_only(const char *dir)
{
    struct statvfs fs;
    if (statvfs(dir, &fs) < 0)
        give_up(dir);
    errno = 0;
    if (!(fs.f_flag & ST_RDONLY)) {
        fprintf(stderr, "skipped: %s can still be written\n", dir);
        _exit(SKIP);
    }
}

/* Not what was asked for, but what came of it: tried by making a file, and by asking for every
 * directory between here and the scratch one. */
static void try_the_bars(void)
{
    char probe[128];
    snprintf(probe, sizeof probe, "%s.probe", guest_scratch); /* beside it, in /tmp */
    int fd = open(probe, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (fd >= 0 || errno != EROFS) {
        if (fd >= 0)
            unlink(probe);
        fprintf(stderr, "skipped: /tmp can still be written\n");
        _exit(SKIP);
    }
    expect_read_only("/");
    expect_read_only("/tmp");
    expect_read_only("/usr");
    expect_read_only(getenv("FERRY_SOURCE_DIR") ? getenv("FERRY_SOURCE_DIR") : "/");
    expect_read_only(getenv("FERRY_BUILD_DIR") ? getenv("FERRY_BUILD_DIR") : "/");

    snprintf(probe, sizeof probe, "%s/probe", guest_scratch);
    fd = open(probe, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (fd < 0)
        give_up("scratch directory");
    close(fd);
    unlink(probe);
}

/* ---- the parent -------------------------------------------------------------------------- */

/* The child has emptied its directory. This process is not confined, so it removes nothing that
 * holds anything. */
static _Noreturn void wait_for(pid_t child)
{
    int status;
    while (waitpid(child, &status, 0) < 0 && errno == EINTR)
        ;
    if (rmdir(guest_scratch) < 0)
        fprintf(stderr, "%s is left behind: %s\n", guest_scratch, strerror(errno));
    if (WIFSIGNALED(status))
        fprintf(stderr, "killed by signal %d\n", WTERMSIG(status));
    exit(WIFEXITED(status) ? WEXITSTATUS(status) : EXIT_FAILURE);
}

void guest_confine(void)
{
    if (confined)
        return;
    if (geteuid() != 0) {
        fprintf(stderr, "skipped: needs root (owners, mounts)\n");
        exit(SKIP);
    }
    snprintf(guest_scratch, sizeof guest_scratch, "/tmp/ferry-test-XXXXXX");
    if (!mkdtemp(guest_scratch)) {
        perror(guest_scratch);
        exit(EXIT_FAILURE);
    }

    pid_t parent = getpid(), child = fork();
    if (child < 0) {
        perror("fork");
        exit(EXIT_FAILURE);
    }
    if (child > 0)
        wait_for(child);

    prctl(PR_SET_PDEATHSIG, SIGKILL); /* ctest's timeout ends the parent only */
    if (getppid() != parent)
        _exit(EXIT_FAILURE);
    close_all_but_scratch();
    try_the_bars();
    confined = true;
}

bool guest_is_confined(void)
{
    return confined;
}
