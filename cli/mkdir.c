/* gferry mkdir: directories in an image. */
#include "command.h"
#include "guest.h"
#include "targets.h"

#include <stdlib.h>

enum { OPT_MODE = OPT_OWN };

static const char help[] = "Makes directories in an image.\n"
                           "\n"
                           "Options:\n"
                           "  -p, --parents         make those above that are missing; "
                           "one that is there is fine\n"
                           "      --mode MODE       permissions in octal (755)\n"
                           "\n"
                           "Examples:\n"
                           "  gferry mkdir disk.img:/srv/www\n"
                           "  gferry mkdir -p --mode 700 disk.img:/root/a/b/c\n";

static const struct option longs[] = {
    {"parents", no_argument, NULL, 'p'},
    {"mode", required_argument, NULL, OPT_MODE},
    {0},
};

static int option(struct options *o, int c, const char *value)
{
    if (c == 'p') {
        o->parents = true;
        return 0;
    }
    char *end;
    unsigned long mode = strtoul(value, &end, 8);
    if (!*value || *end || mode == 0 || mode > 07777)
        return say_usage("--mode %s: permissions in octal, such as 755", value);
    o->mode = (uint32_t)mode;
    return 0;
}

static int mkdir_each(struct session *s, const char *path, void *user)
{
    (void)user;
    const uint32_t wanted = s->o->mode ? s->o->mode : 0755;
    ferry_error e = {0};
    ferry_stat_info st;
    int r;
    if (s->o->parents) {
        /* mkdir_p gives its own mode to what it makes: a directory that was there keeps
         * its own. */
        bool there = guest_stat(s, path, &st, &e) == 0;
        r = guest_mkdir_p(s, path, &e);
        if (r == 0 && !there)
            r = guest_chmod(s, wanted, path, &e);
    } else {
        r = guest_mkdir(s, path, wanted, &e);
    }
    return r < 0 ? session_failed(s, path, &e) : STATUS_OK;
}

static int run(const struct options *o, char **operands, int n)
{
    struct targets t;
    int status = targets_parse(o, operands, n, true, &t);
    if (status == STATUS_OK)
        status = targets_run(o, &t, SESSION_WRITE, mkdir_each, NULL);
    targets_done(&t);
    return status;
}

const struct command mkdir_command = {
    .name = "mkdir",
    .synopsis = "[-p] IMAGE:PATH...",
    .summary = "make directories in an image",
    .help = help,
    .shorts = "p",
    .longs = longs,
    .option = option,
    .min_operands = 1,
    .max_operands = -1,
    .missing = "IMAGE:PATH",
    .run = run,
};
