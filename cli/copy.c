/* The list and the books of a copy; see copy.h. */
#include "copy.h"

#include "auto.h"
#include "text.h"

#include <string.h>

void copy_init(struct copy *c, struct session *s)
{
    memset(c, 0, sizeof *c);
    c->s = s;
    c->pump.s = s;
}

void copy_done(struct copy *c)
{
    for (size_t i = 0; i < c->len; i++) {
        free(c->entries[i].src);
        free(c->entries[i].dst);
        free(c->entries[i].name);
    }
    free(c->entries);
    kept_done(&c->kept);
}

int copy_add(struct copy *c, const struct entry *e)
{
    if (c->len == c->cap) {
        size_t cap = c->cap ? c->cap * 2 : 64;
        struct entry *more = realloc(c->entries, cap * sizeof *more);
        if (!more) {
            free(e->src);
            free(e->dst);
            free(e->name);
            return -ENOMEM;
        }
        c->entries = more;
        c->cap = cap;
    }
    c->entries[c->len++] = *e;
    c->trees |= e->kind == ENTRY_TREE;
    if (e->kind == ENTRY_FILE) {
        c->files++;
        c->bytes += e->size;
    }
    return 0;
}

/* "a/b/c//" is "c" in "a/b". */
static int split(const char *path, struct entry *e)
{
    size_t end = strlen(path);
    while (end > 1 && path[end - 1] == '/')
        end--;
    size_t start = end;
    while (start > 0 && path[start - 1] != '/')
        start--;
    e->name = strndup(path + start, end - start);
    e->dst = start ? strndup(path, start) : strdup(".");
    return e->name && e->dst ? 0 : -ENOMEM;
}

int copy_add_tree(struct copy *c, const char *src, const char *dst, bool merge)
{
    struct entry e = {.kind = ENTRY_TREE, .src = strdup(src)};
    int r = 0;
    if (merge) {
        e.dst = strdup(dst);
        e.name = strdup(".");
    } else {
        r = split(dst, &e);
    }
    if (r == 0 && e.src && e.dst && e.name)
        return copy_add(c, &e);
    free(e.src);
    free(e.dst);
    free(e.name);
    return -ENOMEM;
}

void copy_show(const struct entry *e, struct pump_task *t)
{
    const char *slash = strrchr(e->src, '/');
    t->shown.label = slash && slash[1] ? slash + 1 : e->src;
    t->shown.total = e->size;
}

void copy_file_done(struct copy *c, const struct entry *e)
{
    c->copied++;
    c->bytes_done += e->size;
}

void copy_failed(struct copy *c, int status)
{
    c->failed++;
    if (c->status == STATUS_OK)
        c->status = status;
}

void copy_check_over(struct copy *c, int code)
{
    /* On a full or read-only file system every other file would fail the same way. */
    if (session_is_over(code) || code == -FERRY_ENOSPC || code == -FERRY_EROFS ||
        code == -FERRY_EPIPE)
        c->over = c->pump.over = true;
}

bool copy_stopping(const struct copy *c)
{
    return c->over || session_stopping(c->s);
}

/* ---- trees ------------------------------------------------------------------------- */

struct tree {
    struct pump_task task;
    struct copy *c;
    struct entry *e;
    bool in;
};

/* Into the image: things of the host; out of it: things of the image. */
static void say_problem(const struct tree *t, const char *path, const ferry_error *e)
{
    struct copy *c = t->c;
    const char *image = t->in ? "" : c->s->image, *colon = t->in ? "" : ":",
               *src = t->e->src, *slash = text_ends_slash(src) || !*path ? "" : "/";
    if (e->code == 0) {
        say_notice("%s%s%s%s%s: skipped: not a file, directory or link", image, colon,
                   src, slash, path);
        c->skipped++;
    } else {
        say("%s%s%s%s%s: %s", image, colon, src, slash, path,
            e->os_errno ? strerror(e->os_errno) : ferry_strerror(e->code));
        copy_failed(c, t->in ? STATUS_FAILED : status_of(e));
    }
}

/* The library's message begins with the path of one side; those of the image are absolute, and not what
 * the user called the tree. */
static int say_failure(const struct tree *t, const ferry_error *e)
{
    const char *host = t->in ? t->e->src : t->e->dst;
    bool here = !strncmp(e->msg, host, strlen(host));
    if (!here && e->msg[0] == '/')
        return session_failed(t->c->s, t->in ? t->e->dst : t->e->src, e);
    session_failed_on(t->c->s, host, e);
    return STATUS_FAILED; /* never 4, which is for files in the image */
}

static void take_problems(const struct tree *t)
{
    char *path;
    ferry_error e = {0};
    while (ferry_copy_problem(t->task.op, &path, &e) == 1) {
        say_problem(t, path, &e);
        free(path);
        e = (ferry_error){0};
    }
}

static void tree_done(struct pump_task *task, int result, const ferry_error *err)
{
    struct tree *t = task->user;
    struct copy *c = t->c;
    if (task->op) {
        ferry_progress p = {0};
        ferry_op_poll(task->op, &p);
        t->e->size = p.bytes;
        t->e->files = p.files;
        t->e->op = NULL;
        c->copied += p.files;
        c->bytes_done += p.bytes;
        take_problems(t);
    }
    if (result < 0) {
        copy_check_over(c, result);
        copy_failed(c, say_failure(t, err));
    }
    free(t);
}

void copy_start_tree(struct copy *c, struct entry *e, copy_tree_start *start)
{
    const ferry_copy_opts opts = {.size = sizeof opts,
                                  .name = e->name,
                                  .archive = c->s->o->archive,
                                  .keep_suid = c->s->o->keep_suid,
                                  .keep_going = 1,
                                  .verify = c->s->o->verify};
    struct tree *t = calloc(1, sizeof *t);
    if (!t) {
        say_no_memory();
        copy_failed(c, STATUS_FAILED);
        return;
    }
    *t = (struct tree){.c = c, .e = e, .in = c->into};
    t->task.done = tree_done;
    t->task.user = t;
    ferry_error err = {0};
    int r = start(c, e, &opts, &t->task.op, &err);
    e->op = t->task.op;
    if (r == 0)
        pump_add(&c->pump, &t->task);
    else
        tree_done(&t->task, r, &err);
}

/* ---- all of it --------------------------------------------------------------------- */

struct start {
    struct copy *c;
    void (*start)(struct copy *c, struct entry *e);
};

/* The next of the list. One that could not be started is accounted for by start(). */
static bool start_next(struct pump *p, void *user)
{
    (void)p;
    struct start *st = user;
    struct copy *c = st->c;
    if (c->next == c->len)
        return false;
    st->start(c, &c->entries[c->next++]);
    return true;
}

/* Adds what is known of the trees: what those that run say, and what the others were. */
static void sample_trees(const struct copy *c, struct progress_sample *ret)
{
    for (size_t i = 0; i < c->len; i++) {
        const struct entry *e = &c->entries[i];
        ferry_progress p = {.total = e->size, .total_files = e->files};
        if (e->kind != ENTRY_TREE)
            continue;
        if (e->op)
            ferry_op_poll(e->op, &p);
        ret->total += p.total;
        ret->files_total += p.total_files;
        ret->files += p.files;
    }
}

static void sample(void *user, struct progress_sample *ret)
{
    const struct copy *c = user;
    ret->phase = pump_any_in(&c->pump, "verifying") ? "verifying" : "copying";
    ret->bytes = c->bytes_done + pump_bytes(&c->pump);
    ret->total = c->bytes;
    if (c->files > 1 || c->trees) {
        ret->files = c->copied;
        ret->files_total = c->files;
    }
    sample_trees(c, ret);
    if (c->unknown)
        ret->total = 0;
}

static unsigned rows(void *user, uint64_t now_ms, struct progress_row *ret)
{
    struct copy *c = user;
    return pump_rows(&c->pump, now_ms, ret);
}

void copy_run_entries(struct copy *c, const char *label,
                      void (*start)(struct copy *c, struct entry *e))
{
    struct start st = {.c = c, .start = start};
    c->pump.next = start_next;
    c->pump.user = &st;
    c->started_ms = progress_now_ms();
    progress_begin(&c->s->progress, label, sample, c);
    if (c->files > 1)
        progress_split(&c->s->progress, rows);
    pump_run(&c->pump);
    progress_end(&c->s->progress, session_stopping(c->s) ? "cancelled"
                                  : c->failed            ? "failed"
                                                         : "done");
    c->took_ms = progress_now_ms() - c->started_ms;
}

int copy_status(const struct copy *c)
{
    if (c->over && c->status != STATUS_OK)
        return c->status == STATUS_NOT_FOUND ? STATUS_FAILED : c->status;
    if (c->failed == 0 && c->skipped == 0)
        return session_stopping(c->s) ? STATUS_FAILED : STATUS_OK;
    if (c->failed == 0 || c->copied)
        return STATUS_PARTIAL;
    return c->status;
}
