/* gferry ls: the names in a directory, or with -l what they are. */
#include "auto.h"
#include "command.h"
#include "guest.h"
#include "json.h"
#include "listing.h"
#include "out.h"
#include "pump.h"
#include "targets.h"
#include "text.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

static const char help[] =
    "Lists directories in an image, sorted by name; of anything else, the name. IMAGE "
    "alone\n"
    "is its root directory. Owners are the numbers in the image.\n"
    "\n"
    "Options:\n"
    "  -l                    mode, links, owner, group, size, time, and where links "
    "lead\n"
    "  -a, --all             names that start with '.' as well\n"
    "\n"
    "Examples:\n"
    "  gferry ls disk.img\n"
    "  gferry ls -l disk.qcow2:/etc\n"
    "  gferry ls --json -l disk.qcow2:/etc | jq '.[].size'\n";

static const struct option longs[] = {{"all", no_argument, NULL, 'a'}, {0}};

static int option(struct options *o, int c, const char *value)
{
    (void)value;
    if (c == 'a')
        o->all = true;
    else
        o->detail = true;
    return 0;
}

/* ---- gathering --------------------------------------------------------------------- */

struct row_task {
    struct pump_task task;
    struct session *s;
    struct listing_row *row;
    char *path;
};

static void row_end(struct row_task *t)
{
    free(t->path);
    free(t);
}

static void link_done(struct pump_task *task, int result, const ferry_error *e)
{
    struct row_task *t = task->user;
    (void)e; /* the link is shown without its target */
    if (result == 0)
        ferry_readlink_result(task->op, &t->row->target, NULL);
    row_end(t);
}

/* A symbolic link is asked a second question. */
static void stat_done(struct pump_task *task, int result, const ferry_error *e)
{
    struct row_task *t = task->user;
    ferry_error err = *e;
    if (result == 0)
        result = ferry_lstat_result(task->op, &t->row->st, &err);
    if (result < 0) {
        t->row->status = session_failed(t->s, t->path, &err);
        row_end(t);
        return;
    }
    t->row->known = true;
    ferry_op *op = NULL;
    if (!S_ISLNK(t->row->st.mode) ||
        ferry_readlink_start(t->s->vm, t->path, &op, NULL) < 0) {
        row_end(t);
        return;
    }
    t->task.op = op; /* the pump frees the one that has ended */
    t->task.done = link_done;
    pump_add(t->task.pump, &t->task);
}

struct gather {
    struct session *s;
    const char *dir;
    struct listing *list;
    size_t next;
    int status;
};

static bool gather_next(struct pump *p, void *user)
{
    struct gather *g = user;
    if (g->next == g->list->len)
        return false;
    struct row_task *t = calloc(1, sizeof *t);
    struct listing_row *row = &g->list->rows[g->next++];
    ferry_error e = {.code = -FERRY_ENOMEM};
    if (!t)
        return false;
    *t = (struct row_task){.s = g->s, .row = row, .path = text_join(g->dir, row->name)};
    t->task.done = stat_done;
    t->task.user = t;
    if (t->path && ferry_lstat_start(g->s->vm, t->path, &t->task.op, &e) == 0) {
        pump_add(p, &t->task);
        return true;
    }
    g->status = session_failed(g->s, g->dir, &e);
    row_end(t);
    return false;
}

static int gather_details(struct session *s, const char *dir, struct listing *list)
{
    struct gather g = {.s = s, .dir = dir, .list = list};
    struct pump pump = {.s = s, .next = gather_next, .user = &g};
    pump_run(&pump);
    for (size_t i = 0; i < list->len && g.status == STATUS_OK; i++)
        g.status = list->rows[i].status;
    return session_stopping(s) ? STATUS_FAILED : g.status;
}

static int read_dir(struct session *s, const char *path, struct listing *list)
{
    ferry_error e = {0};
    FERRY_AUTO(dirents) ferry_dirent_list names = {0};
    if (guest_readdir(s, path, &names, &e) < 0)
        return session_failed(s, path, &e);
    for (size_t i = 0; i < names.len; i++) {
        const ferry_dirent *d = &names.val[i];
        bool dot = !strcmp(d->name, ".") || !strcmp(d->name, "..");
        if (dot || (d->name[0] == '.' && !s->o->all))
            continue;
        if (listing_add(list, d->name, d->ftyp) < 0) {
            say_no_memory();
            return STATUS_FAILED;
        }
    }
    listing_sort(list);
    return s->o->detail ? gather_details(s, path, list) : STATUS_OK;
}

/* A file is listed under the name it was asked by. */
static int read_file(struct session *s, const char *path, const ferry_stat_info *st,
                     struct listing *list)
{
    if (listing_add(list, path, '?') < 0) {
        say_no_memory();
        return STATUS_FAILED;
    }
    struct listing_row *row = &list->rows[0];
    row->st = *st;
    row->known = true;
    ferry_error e = {0};
    if (S_ISLNK(st->mode) && guest_readlink(s, path, &row->target, &e) < 0)
        return session_failed(s, path, &e);
    return STATUS_OK;
}

/* ---- run --------------------------------------------------------------------------- */

struct ls {
    bool headings, first;
};

/* As ls(1): with -l a link is shown itself; else a link to a directory is that directory. */
static int list_path(struct session *s, const char *path, struct listing *list,
                     bool *ret_is_dir)
{
    ferry_error e = {0};
    ferry_stat_info st;
    bool itself = s->o->detail && !text_ends_slash(path);
    int r = itself ? guest_lstat(s, path, &st, &e) : guest_stat(s, path, &st, &e);
    if (r < 0 && !itself)
        r = guest_lstat(s, path, &st, &e); /* a link that leads nowhere */
    if (r < 0)
        return session_failed(s, path, &e);
    *ret_is_dir = S_ISDIR(st.mode);
    return *ret_is_dir ? read_dir(s, path, list) : read_file(s, path, &st, list);
}

static int ls_each(struct session *s, const char *path, void *user)
{
    struct ls *ls = user;
    struct listing list = {0};
    bool is_dir = false;
    int status = list_path(s, path, &list, &is_dir);

    /* What could be read is shown even if something could not. */
    FILE *out = out_begin();
    if (s->o->json && (status == STATUS_OK || list.len)) {
        FERRY_AUTO(json) json_t *array = listing_json(&list, s->o->detail || !is_dir);
        json_print(array, out, true);
    } else if (status == STATUS_OK || list.len) {
        if (ls->headings && is_dir) {
            fputs(ls->first ? "" : "\n", out);
            out_name(out, path);
            fputs(":\n", out);
        }
        listing_print(&list, out, s->o->detail);
    }
    ls->first = false;
    listing_done(&list);
    int end = out_end(out);
    return status == STATUS_OK ? end : status;
}

static int run(const struct options *o, char **operands, int n)
{
    struct targets t;
    struct ls ls = {.headings = n > 1, .first = true};
    int status = targets_parse(o, operands, n, false, &t);
    if (status == STATUS_OK)
        status = targets_run(o, &t, SESSION_READ, ls_each, &ls);
    targets_done(&t);
    return status;
}

const struct command ls_command = {
    .name = "ls",
    .synopsis = "[-la] IMAGE[:PATH]...",
    .summary = "list a directory in an image",
    .help = help,
    .shorts = "la",
    .longs = longs,
    .option = option,
    .min_operands = 1,
    .max_operands = -1,
    .missing = "IMAGE",
    .run = run,
};
