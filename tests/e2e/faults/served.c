/* See served.h. */
#include "served.h"

#include "harness/vm.h"

#include <stdio.h>
#include <unistd.h>

/* Longer than a test may take: should it crash, they go by themselves. */
#define SERVED_S 620

static bool exists(void *path)
{
    return access(path, F_OK) == 0;
}

static bool is_gone(void *path)
{
    return access(path, F_OK) != 0;
}

void served_needs(void)
{
    const char *said;
    if (access("/dev/fuse", R_OK | W_OK) < 0 ||
        host_status(&said, "command -v nbdkit && command -v nbdfuse") != 0)
        skip_all("needs /dev/fuse, nbdkit and nbdfuse (libnbd-bin)");
}

void served_make(void)
{
    host("truncate -s 128M '%s' && mkfs.ext4 -q -F -E lazy_itable_init=0 '%s'",
         scratch("frail.img"), scratch("frail.img"));
}

void served_start(const char *nbdkit)
{
    host("cd '%s' && mkdir -p m && setsid timeout %d nbdkit -f -P nbdkit.pid -U - %s "
         "--run 'nbdfuse -P nbdfuse.pid m/frail.img \"$uri\"' >nbdkit.log 2>&1 &",
         scratch("."), SERVED_S, nbdkit);
    if (!eventually(exists, (void *)scratch("nbdfuse.pid")))
        fail_msg("%s", host("cat '%s'", scratch("nbdkit.log")));
}

/* nbdkit ends with its nbdfuse, which ends with its mount. */
void served_stop(void)
{
    const char *said;
    host_status(&said, "umount '%s' && rm -f '%s'", scratch("m"),
                scratch("nbdfuse.pid"));
    eventually(is_gone, (void *)scratch("m/frail.img"));
}
