/* gferry cp: reads its operands as cp(1) would, and has copy.h do it. */
#include "auto.h"
#include "command.h"
#include "copy.h"
#include "guest.h"
#include "say.h"
#include "side.h"
#include "text.h"

#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

enum {
    OPT_KEEP_SUID = OPT_OWN,
    OPT_KEEP_PARTIAL,
    OPT_RESUME,
    OPT_VERIFY,
    OPT_LIMIT_RATE
};

static const char help[] =
    "Copies files into an image or out of it. A side written IMAGE:PATH, with an "
    "absolute\n"
    "PATH, is in the image; '-' is standard input or output. As with cp(1), if DST is "
    "a\n"
    "directory the copy goes into it; several sources, or a DST that ends in '/', need "
    "one.\n"
    "\n"
    "A file appears under its name only when it is complete: cancelled with ^C, or "
    "failed, a\n"
    "copy leaves what was there before. Holes stay holes. A copy out opens the image\n"
    "read-only. The program ends with 0 only when all is flushed to the image.\n"
    "\n"
    "A local name with ':/' in it is taken as local if what is before the colon is no "
    "file;\n"
    "the image's format follows from its extension unless --format is given.\n"
    "\n"
    "Options:\n"
    "  -r, --recursive       copy directories with all that is in them, links as "
    "links,\n"
    "                        and with modes, times, hard links and user attributes\n"
    "  -a, --archive         the same, and owners, exact modes, ACLs, all attributes\n"
    "      --keep-suid       keep set-user-ID, set-group-ID and sticky bits\n"
    "      --keep-partial    cancelled or failed, keep what was copied beside DST, as\n"
    "                        DST.ferry-partial\n"
    "      --resume          go on from what was kept, as far as it is equal to the "
    "source;\n"
    "                        implies --keep-partial\n"
    "      --verify          compare checksums of what was sent and what arrived "
    "before "
    "a\n"
    "                        file gets its name; of a directory, when all has arrived\n"
    "      --limit-rate RATE copy at most so many bytes a second, all files together\n"
    "                        (500K, 20M)\n"
    "\n"
    "Examples:\n"
    "  gferry cp big.iso disk.qcow2:/root/\n"
    "  gferry cp disk.qcow2:/var/log/messages .\n"
    "  gferry cp --resume big.iso disk.qcow2:/root/\n"
    "  gferry cp -r www/ disk.img:/srv/www -m sda2\n"
    "  tar c . | gferry cp - disk.img:/backup.tar\n"
    "  gferry cp disk.img:/backup.tar - | tar t\n";

static const struct option longs[] = {
    {"recursive", no_argument, NULL, 'r'},
    {"archive", no_argument, NULL, 'a'},
    {"keep-suid", no_argument, NULL, OPT_KEEP_SUID},
    {"keep-partial", no_argument, NULL, OPT_KEEP_PARTIAL},
    {"resume", no_argument, NULL, OPT_RESUME},
    {"verify", no_argument, NULL, OPT_VERIFY},
    {"limit-rate", required_argument, NULL, OPT_LIMIT_RATE},
    {0},
};

static int parse_rate(struct options *o, const char *value)
{
    if (text_parse_size(value, &o->rate_max) < 0 || o->rate_max == 0)
        return say_usage("--limit-rate %s: bytes a second, such as 500K or 20M", value);
    return 0;
}

static int option(struct options *o, int c, const char *value)
{
    switch (c) {
    case OPT_LIMIT_RATE: return parse_rate(o, value);
    case OPT_KEEP_SUID: o->keep_suid = true; break;
    case OPT_RESUME: o->resume = o->keep_partial = true; break;
    case OPT_VERIFY: o->verify = true; break;
    case OPT_KEEP_PARTIAL: o->keep_partial = true; break;
    case 'a': o->archive = o->recursive = true; break;
    default: o->recursive = true; break;
    }
    return 0;
}

/* ---- operands ---------------------------------------------------------------------- */

struct operands {
    struct side *src; /* n of them */
    int n;
    struct side dst;
    bool into; /* the image, else out of it */
    const char *image;
};

static void operands_done(struct operands *ops)
{
    for (int i = 0; i < ops->n; i++)
        side_done(&ops->src[i]);
    free(ops->src);
    side_done(&ops->dst);
}

static int parse_side(const struct options *o, const char *operand, struct side *ret)
{
    char why[SIDE_WHY];
    bool given;
    int r = o->domain ? side_parse_domain(operand, o->domain, ret, &given) : -ENOENT;
    if (r == -ENOENT)
        r = side_parse(operand, o->format, ret, why);
    if (r == -EINVAL)
        return say_usage("%s", why);
    if (r < 0) {
        say_no_memory();
        return STATUS_FAILED;
    }
    return STATUS_OK;
}

/* One image, on one side. */
static int check_sides(struct operands *ops)
{
    ops->into = ops->dst.kind == SIDE_IMAGE;
    ops->image = ops->into ? ops->dst.image : ops->src[0].image;
    for (int i = 0; i < ops->n; i++) {
        const struct side *s = &ops->src[i];
        if (s->kind == SIDE_IMAGE && ops->into)
            return say_usage("both sides are in an image; copy out first, then in");
        if (s->kind != SIDE_IMAGE && !ops->into)
            return say_usage("no side is in an image; write it IMAGE:/PATH%s",
                             i > 0 && ops->image ? ", for every source" : "");
        if (s->kind == SIDE_IMAGE && strcmp(s->image, ops->image) != 0)
            return say_usage("'%s' and '%s': one image at a time", ops->image, s->image);
        if (s->kind == SIDE_STDIO && ops->n > 1)
            return say_usage("'-' must be the only source");
    }
    if (ops->dst.kind == SIDE_STDIO && ops->n > 1)
        return say_usage("only one file can go to standard output");
    return STATUS_OK;
}

/* A stream cannot be read again, and of a tree only whole files stay. */
static int check_partials(const struct options *o, const struct operands *ops)
{
    const char *option = o->resume ? "--resume" : "--keep-partial";
    if (!o->keep_partial)
        return STATUS_OK;
    if (ops->src[0].kind == SIDE_STDIO || ops->dst.kind == SIDE_STDIO)
        return say_usage("%s: not with '-', which cannot be read again", option);
    if (o->recursive)
        return say_usage("%s: not with -r; name the files", option);
    return STATUS_OK;
}

static int parse_operands(const struct options *o, char **operands, int n,
                          struct operands *ops)
{
    ops->src = calloc((size_t)n - 1, sizeof *ops->src);
    if (!ops->src) {
        say_no_memory();
        return STATUS_FAILED;
    }
    int status = parse_side(o, operands[n - 1], &ops->dst);
    for (int i = 0; i < n - 1 && status == STATUS_OK; i++, ops->n++)
        status = parse_side(o, operands[i], &ops->src[i]);
    if (status == STATUS_OK)
        status = check_sides(ops);
    return status == STATUS_OK ? check_partials(o, ops) : status;
}

/* A mistyped source is told at once, not after a boot. */
static bool any_source_there(const struct operands *ops)
{
    bool any = false;
    for (int i = 0; i < ops->n; i++) {
        struct stat st;
        if (ops->src[i].kind == SIDE_STDIO || lstat(ops->src[i].path, &st) == 0)
            any = true;
    }
    for (int i = 0; i < ops->n && !any; i++)
        say_errno(ops->src[i].path, ENOENT);
    return any;
}

/* ---- where it goes ----------------------------------------------------------------- */

/* Says whether DST is a directory; STATUS_... if it cannot be what it has to be. */
static int look_at_dst(struct session *s, const struct operands *ops, bool *ret_is_dir)
{
    const char *path = ops->dst.path;
    bool there = false, is_dir = false;
    ferry_error e = {0};
    if (ops->into) {
        ferry_stat_info st;
        int r = guest_stat(s, path, &st, &e);
        if (r < 0 && r != -FERRY_ENOENT)
            return session_failed(s, path, &e);
        there = r == 0;
        is_dir = there && S_ISDIR(st.mode);
    } else {
        struct stat st;
        there = stat(path, &st) == 0;
        is_dir = there && S_ISDIR(st.st_mode);
    }

    bool needed = ops->n > 1 || (text_ends_slash(path) && !s->o->recursive);
    if (needed && !is_dir) {
        FERRY_AUTO(mem) char *name = ops->into ? session_name(s, path) : strdup(path);
        say("%s: %s", name ? name : path,
            there ? "is not a directory" : "no such directory");
        return there || !ops->into ? STATUS_FAILED : STATUS_NOT_FOUND;
    }
    *ret_is_dir = is_dir;
    return STATUS_OK;
}

static void add_source(struct copy *c, const struct operands *ops, int i, bool into_dir)
{
    const char *src = ops->src[i].path;
    FERRY_AUTO(mem) char *base = text_basename(src);
    FERRY_AUTO(mem) char *dst =
        base && into_dir ? text_join(ops->dst.path, base) : strdup(ops->dst.path);
    if (!base || !dst) {
        say_no_memory();
        copy_failed(c, STATUS_FAILED);
    } else if (ops->into) {
        copy_in_add(c, src, dst);
    } else {
        copy_out_add(c, src, dst);
    }
}

/* Standard input or output: a single stream, and DST is a file. */
static int add_stream(struct copy *c, const struct operands *ops)
{
    if (!ops->into) {
        copy_out_add(c, ops->src[0].path, "-");
        return STATUS_OK;
    }
    struct entry e = {.kind = ENTRY_FILE};
    struct stat st;
    if (fstat(STDIN_FILENO, &st) == 0 && S_ISREG(st.st_mode))
        e.size = (uint64_t)st.st_size;
    else
        c->unknown = true;
    e.src = strdup("-");
    e.dst = strdup(ops->dst.path);
    if (!e.src || !e.dst || copy_add(c, &e) < 0) {
        say_no_memory();
        return STATUS_FAILED;
    }
    return STATUS_OK;
}

/* ---- run --------------------------------------------------------------------------- */

static int fill(struct copy *c, const struct operands *ops)
{
    bool is_dir = false;
    bool to_stdout = ops->dst.kind == SIDE_STDIO;
    int status = to_stdout ? STATUS_OK : look_at_dst(c->s, ops, &is_dir);
    if (status != STATUS_OK)
        return status;
    if (ops->src[0].kind == SIDE_STDIO && is_dir) {
        say("%s:%s: is a directory; name the file", ops->image, ops->dst.path);
        return STATUS_FAILED;
    }
    if (ops->src[0].kind == SIDE_STDIO || to_stdout)
        return add_stream(c, ops);
    for (int i = 0; i < ops->n && !copy_stopping(c); i++)
        add_source(c, ops, i, is_dir);
    return STATUS_OK;
}

/* What the bar is called. The caller frees. */
static char *make_label(const struct operands *ops)
{
    if (ops->n > 1)
        return strdup("total");
    if (ops->src[0].kind == SIDE_STDIO)
        return text_basename(ops->dst.path);
    char *base = text_basename(ops->src[0].path);
    if (base && !*base) {
        free(base);
        return strdup("total");
    }
    return base;
}

static int copy_all(struct session *s, const struct operands *ops, struct copy *c,
                    const char *label)
{
    int status = session_mount(s);
    if (status == STATUS_OK)
        status = fill(c, ops);
    if (status != STATUS_OK)
        return status;

    /* A bar in the middle of a terminal's output helps nobody. */
    if (ops->dst.kind == SIDE_STDIO && isatty(STDOUT_FILENO))
        s->progress.mode = PROGRESS_NONE;
    if (ops->into)
        copy_in_run(c, label);
    else
        copy_out_run(c, label);
    return copy_status(c);
}

static int run_copy(const struct options *o, const struct operands *ops)
{
    if (ops->into && !any_source_there(ops))
        return STATUS_FAILED;

    struct session s;
    struct copy c;
    FERRY_AUTO(mem) char *label = make_label(ops);
    int status =
        session_open(&s, o, ops->image, ops->into ? SESSION_WRITE : SESSION_READ);
    copy_init(&c, &s);
    if (s.vm)
        ferry_vm_set_rate_max(s.vm, o->rate_max);
    if (status == STATUS_OK)
        status = copy_all(&s, ops, &c, label ? label : "");
    status = session_close(&s, status);
    /* Only now is it a promise: the image has it all. */
    if (c.copied && (status == STATUS_OK || status == STATUS_PARTIAL))
        progress_summary(&s.progress, label ? label : "",
                         c.files > 1 || c.trees ? c.copied : 0, c.bytes_done, c.took_ms);
    kept_say(&c.kept, o);
    copy_done(&c);
    return status;
}

static int run(const struct options *o, char **operands, int n)
{
    struct operands ops = {0};
    int status = parse_operands(o, operands, n, &ops);
    if (status == STATUS_OK)
        status = run_copy(o, &ops);
    operands_done(&ops);
    return status;
}

const struct command cp_command = {
    .name = "cp",
    .synopsis = "[-r | -a] SRC... DST",
    .summary = "copy files into an image or out of it",
    .help = help,
    .shorts = "ra",
    .longs = longs,
    .option = option,
    .min_operands = 2,
    .max_operands = -1,
    .missing = "SRC or DST",
    .run = run,
};
