/* The list and the books of a copy; see copy.h. */
#include "copy.h"

#include "auto.h"

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
    }
    free(c->entries);
    kept_done(&c->kept);
    for (size_t i = 0; i < c->nroots; i++)
        close(c->roots[i]);
}

int copy_add(struct copy *c, const struct entry *e)
{
    if (c->len == c->cap) {
        size_t cap = c->cap ? c->cap * 2 : 64;
        struct entry *more = realloc(c->entries, cap * sizeof *more);
        if (!more) {
            free(e->src);
            free(e->dst);
            return -ENOMEM;
        }
        c->entries = more;
        c->cap = cap;
    }
    c->entries[c->len++] = *e;
    if (e->kind != ENTRY_DIR)
        c->files++;
    if (e->kind == ENTRY_FILE)
        c->bytes += e->size;
    return 0;
}

int copy_add_root(struct copy *c, int fd)
{
    if (c->nroots == COPY_ROOTS_MAX) {
        close(fd);
        return -EMFILE;
    }
    c->roots[c->nroots++] = fd;
    return 0;
}

void copy_show(const struct entry *e, struct pump_task *t)
{
    const char *slash = strrchr(e->src, '/');
    t->shown.label = e->root >= 0 && e->rel && *e->rel ? e->rel
                     : slash && slash[1]               ? slash + 1
                                                       : e->src;
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

/* ---- files ------------------------------------------------------------------------- */

struct start {
    struct copy *c;
    void (*start)(struct copy *c, struct entry *e);
};

/* The next file of the list. One that could not be started is accounted for by start(). */
static bool start_next(struct pump *p, void *user)
{
    (void)p;
    struct start *st = user;
    struct copy *c = st->c;
    while (c->next < c->len && c->entries[c->next].kind != ENTRY_FILE)
        c->next++;
    if (c->next == c->len)
        return false;
    st->start(c, &c->entries[c->next++]);
    return true;
}

static void sample(void *user, struct progress_sample *ret)
{
    const struct copy *c = user;
    ret->phase = pump_any_in(&c->pump, "verifying") ? "verifying" : "copying";
    ret->bytes = c->bytes_done + pump_bytes(&c->pump);
    ret->total = c->unknown ? 0 : c->bytes;
    if (c->files > 1) {
        ret->files = c->copied;
        ret->files_total = c->files;
    }
}

static unsigned rows(void *user, uint64_t now_ms, struct progress_row *ret)
{
    struct copy *c = user;
    return pump_rows(&c->pump, now_ms, ret);
}

void copy_run_files(struct copy *c, const char *label,
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
