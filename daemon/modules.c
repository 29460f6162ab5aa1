/* Loading modules: see modules.h. Used at boot and when the lane is opened. */
#include "modules.h"

#include "base/auto.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

static int complain(int code, const char *what, const char *arg)
{
    dprintf(STDERR_FILENO, "ferryd: %s %s: %s\n", what, arg, strerror(-code));
    return code;
}

/* `line` is cut in two here. */
static int load(char *line)
{
    const char *params = "";
    char *blank = strchr(line, ' ');
    if (blank) {
        *blank = '\0';
        params = blank + 1;
    }

    FERRY_AUTO(fd) int fd = open(line, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return complain(-errno, "open", line);

    /* EEXIST: built in or there already. ENODEV: an optional feature this CPU lacks. */
    if (syscall(SYS_finit_module, fd, params, 0) < 0 && errno != EEXIST &&
        errno != ENODEV)
        return complain(-errno, "load", line);
    return 0;
}

int ferryd_modules_load(const char *list)
{
    FILE *f = fopen(list, "re");
    if (!f)
        return complain(-errno, "open", list);

    int r = 0;
    char line[256];
    while (r == 0 && fgets(line, sizeof line, f)) {
        line[strcspn(line, "\n")] = '\0';
        if (line[0] != '\0')
            r = load(line);
    }
    fclose(f);
    return r;
}
