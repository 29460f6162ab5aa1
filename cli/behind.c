/* A gferry behind this one; see behind.h. */
#include "behind.h"

#include "say.h"

#include <fcntl.h>
#include <spawn.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static const char *accel_name(ferry_accel accel)
{
    return accel == FERRY_ACCEL_KVM ? "kvm" : accel == FERRY_ACCEL_TCG ? "tcg" : "auto";
}

void behind_build_template(const struct options *o)
{
    char *const argv[] = {(char *)(uintptr_t) "gferry",
                          (char *)(uintptr_t) "template",
                          (char *)(uintptr_t) "build",
                          (char *)(uintptr_t) "-q",
                          (char *)(uintptr_t) "--accel",
                          (char *)(uintptr_t)accel_name(o->accel),
                          NULL};
    posix_spawnattr_t attr;
    posix_spawn_file_actions_t files;
    pid_t pid;
    if (posix_spawnattr_init(&attr) != 0)
        return;
    if (posix_spawn_file_actions_init(&files) != 0) {
        posix_spawnattr_destroy(&attr);
        return;
    }
    posix_spawnattr_setflags(&attr, POSIX_SPAWN_SETSID);
    for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++)
        posix_spawn_file_actions_addopen(&files, fd, "/dev/null", O_RDWR, 0);

    int r = posix_spawn(&pid, "/proc/self/exe", &files, &attr, argv, environ);
    if (o->verbose && r == 0)
        say("no template yet; one is being made for the next launch (process %d)",
            (int)pid);
    posix_spawn_file_actions_destroy(&files);
    posix_spawnattr_destroy(&attr);
}
