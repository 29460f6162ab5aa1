/* gferry stat: all that an inode says, as stat(1) shows it. */
#include "auto.h"
#include "command.h"
#include "guest.h"
#include "json.h"
#include "listing.h"
#include "out.h"
#include "targets.h"
#include "text.h"

#include <stdio.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <time.h>

static const char help[] = "Shows what files in an image are: size, mode, owner, "
                           "times. A symbolic link is looked\n"
                           "at itself.\n"
                           "\n"
                           "Examples:\n"
                           "  gferry stat disk.img:/etc/passwd\n"
                           "  gferry stat --json disk.img:/etc/passwd\n";

static void format_time(int64_t sec, uint32_t nsec, char *buf, size_t size)
{
    time_t t = sec;
    struct tm tm;
    char date[64], zone[16];
    if (!localtime_r(&t, &tm) || !strftime(date, sizeof date, "%Y-%m-%d %H:%M:%S", &tm) ||
        !strftime(zone, sizeof zone, "%z", &tm)) {
        snprintf(buf, size, "%lld", (long long)sec);
        return;
    }
    snprintf(buf, size, "%s.%09u %s", date, nsec, zone);
}

static void print_text(FILE *out, const char *path, const ferry_stat_info *st,
                       const char *target)
{
    char mode[TEXT_MAX], when[128];
    text_mode(st->mode, mode);
    fputs("  File: ", out);
    out_name(out, path);
    if (target) {
        fputs(" -> ", out);
        out_name(out, target);
    }
    fprintf(out, "\n  Size: %-12lld Blocks: %-10lld %s", (long long)st->size,
            (long long)st->blocks, listing_type(st->mode));
    if (S_ISBLK(st->mode) || S_ISCHR(st->mode))
        fprintf(out, " %u, %u", major(st->rdev), minor(st->rdev));
    fprintf(out, "\n Inode: %-12llu Links: %llu\n", (unsigned long long)st->ino,
            (unsigned long long)st->nlink);
    fprintf(out, "Access: (%04o/%s)  Uid: %u  Gid: %u\n", st->mode & 07777, mode,
            st->uid, st->gid);
    format_time(st->atime_sec, st->atime_nsec, when, sizeof when);
    fprintf(out, "Access: %s\n", when);
    format_time(st->mtime_sec, st->mtime_nsec, when, sizeof when);
    fprintf(out, "Modify: %s\n", when);
    format_time(st->ctime_sec, st->ctime_nsec, when, sizeof when);
    fprintf(out, "Change: %s\n", when);
}

static int stat_each(struct session *s, const char *path, void *user)
{
    (void)user;
    ferry_error e = {0};
    ferry_stat_info st;
    FERRY_AUTO(mem) char *target = NULL;
    int r = guest_lstat(s, path, &st, &e);
    if (r == 0 && S_ISLNK(st.mode))
        r = guest_readlink(s, path, &target, &e);
    if (r < 0)
        return session_failed(s, path, &e);

    FILE *out = out_begin();
    if (s->o->json) {
        FERRY_AUTO(json) json_t *o = json_object();
        json_set_name(o, "path", path);
        listing_json_stat(o, &st);
        if (target)
            json_set_name(o, "target", target);
        json_print(o, out, true);
    } else {
        print_text(out, path, &st, target);
    }
    return out_end(out);
}

static int run(const struct options *o, char **operands, int n)
{
    struct targets t;
    int status = targets_parse(o, operands, n, false, &t);
    if (status == STATUS_OK)
        status = targets_run(o, &t, SESSION_READ, stat_each, NULL);
    targets_done(&t);
    return status;
}

const struct command stat_command = {
    .name = "stat",
    .synopsis = "IMAGE:PATH...",
    .summary = "show what files in an image are",
    .help = help,
    .min_operands = 1,
    .max_operands = -1,
    .missing = "IMAGE:PATH",
    .run = run,
};
