/* gferry rm: removes files and, asked to, directories in an image. */
#include "command.h"
#include "guest.h"
#include "targets.h"

static const char help[] =
    "Removes files in an image; of a symbolic link, the link. Without -r no directory "
    "is\n"
    "removed.\n"
    "\n"
    "Options:\n"
    "  -r, --recursive       remove directories with all that is in them\n"
    "  -f, --force           a file that is not there is no failure\n"
    "\n"
    "Examples:\n"
    "  gferry rm disk.img:/etc/machine-id\n"
    "  gferry rm -rf disk.img:/var/cache/apt disk.img:/tmp/x\n";

static const struct option longs[] = {
    {"recursive", no_argument, NULL, 'r'},
    {"force", no_argument, NULL, 'f'},
    {0},
};

static int option(struct options *o, int c, const char *value)
{
    (void)value;
    if (c == 'f')
        o->force = true;
    else
        o->recursive = true;
    return 0;
}

static int rm_each(struct session *s, const char *path, void *user)
{
    (void)user;
    ferry_error e = {0};
    int r;
    if (s->o->recursive) {
        /* ferry_rm_rf() is content when there is nothing; rm(1) is not, without -f. */
        ferry_stat_info st;
        r = guest_lstat(s, path, &st, &e);
        if (r == 0)
            r = guest_rm_rf(s, path, &e);
    } else {
        r = guest_rm(s, path, &e);
    }
    if (r == 0 || (s->o->force && r == -FERRY_ENOENT))
        return STATUS_OK;
    if (r == -FERRY_EISDIR) {
        say("%s:%s: is a directory; rm -r removes directories", s->image, path);
        return STATUS_FAILED;
    }
    return session_failed(s, path, &e);
}

static int run(const struct options *o, char **operands, int n)
{
    struct targets t;
    int status = targets_parse(o, operands, n, true, &t);
    if (status == STATUS_OK)
        status = targets_run(o, &t, SESSION_WRITE, rm_each, NULL);
    targets_done(&t);
    return status;
}

const struct command rm_command = {
    .name = "rm",
    .synopsis = "[-rf] IMAGE:PATH...",
    .summary = "remove files in an image",
    .help = help,
    .shorts = "rf",
    .longs = longs,
    .option = option,
    .min_operands = 1,
    .max_operands = -1,
    .missing = "IMAGE:PATH",
    .run = run,
};
