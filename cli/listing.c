/* Rows of ls; see listing.h. */
#include "listing.h"

#include "auto.h"
#include "out.h"
#include "text.h"

#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <time.h>

int listing_add(struct listing *l, const char *name, char ftyp)
{
    if (l->len == l->cap) {
        size_t cap = l->cap ? l->cap * 2 : 64;
        struct listing_row *more = realloc(l->rows, cap * sizeof *more);
        if (!more)
            return -ENOMEM;
        l->rows = more;
        l->cap = cap;
    }
    struct listing_row row = {.name = strdup(name), .ftyp = ftyp};
    if (!row.name)
        return -ENOMEM;
    l->rows[l->len++] = row;
    return 0;
}

static int by_name(const void *a, const void *b)
{
    const struct listing_row *x = a, *y = b;
    return strcmp(x->name, y->name);
}

void listing_sort(struct listing *l)
{
    if (l->len)
        qsort(l->rows, l->len, sizeof *l->rows, by_name);
}

void listing_done(struct listing *l)
{
    for (size_t i = 0; i < l->len; i++) {
        free(l->rows[i].name);
        free(l->rows[i].target);
    }
    free(l->rows);
    *l = (struct listing){0};
}

/* ---- text -------------------------------------------------------------------------- */

/* Each column is as wide as its widest cell. */
struct widths {
    int nlink, uid, gid, size;
};

static void cell_size(const ferry_stat_info *st, char buf[TEXT_MAX])
{
    if (S_ISBLK(st->mode) || S_ISCHR(st->mode))
        snprintf(buf, TEXT_MAX, "%u, %u", major(st->rdev), minor(st->rdev));
    else
        snprintf(buf, TEXT_MAX, "%lld", (long long)st->size);
}

static void widen(int *width, int n)
{
    if (n > *width)
        *width = n;
}

static struct widths measure(const struct listing *l)
{
    struct widths w = {1, 1, 1, 1};
    char cell[TEXT_MAX];
    for (size_t i = 0; i < l->len; i++) {
        const ferry_stat_info *st = &l->rows[i].st;
        if (!l->rows[i].known)
            continue;
        widen(&w.nlink,
              snprintf(cell, sizeof cell, "%llu", (unsigned long long)st->nlink));
        widen(&w.uid, snprintf(cell, sizeof cell, "%u", st->uid));
        widen(&w.gid, snprintf(cell, sizeof cell, "%u", st->gid));
        cell_size(st, cell);
        widen(&w.size, (int)strlen(cell));
    }
    return w;
}

static void print_detail(const struct listing_row *row, const struct widths *w,
                         FILE *out)
{
    char mode[TEXT_MAX], size[TEXT_MAX], when[TEXT_MAX];
    const ferry_stat_info *st = &row->st;
    if (!row->known) {
        fputs("??????????  ", out);
        return;
    }
    text_mode(st->mode, mode);
    cell_size(st, size);
    text_ls_time(st->mtime_sec, time(NULL), when);
    fprintf(out, "%s %*llu %-*u %-*u %*s %s ", mode, w->nlink,
            (unsigned long long)st->nlink, w->uid, st->uid, w->gid, st->gid, w->size,
            size, when);
}

void listing_print(const struct listing *l, FILE *out, bool detail)
{
    struct widths w = measure(l);
    for (size_t i = 0; i < l->len; i++) {
        const struct listing_row *row = &l->rows[i];
        if (detail)
            print_detail(row, &w, out);
        out_name(out, row->name);
        if (detail && row->target) {
            fputs(" -> ", out);
            out_name(out, row->target);
        }
        fputc('\n', out);
    }
}

/* ---- JSON -------------------------------------------------------------------------- */

const char *listing_type(uint32_t mode)
{
    switch (mode & S_IFMT) {
    case S_IFREG: return "file";
    case S_IFDIR: return "directory";
    case S_IFLNK: return "symlink";
    case S_IFBLK: return "block";
    case S_IFCHR: return "char";
    case S_IFIFO: return "fifo";
    case S_IFSOCK: return "socket";
    default: return "unknown";
    }
}

static const char *type_of_entry(char ftyp)
{
    switch (ftyp) {
    case 'r': return "file";
    case 'd': return "directory";
    case 'l': return "symlink";
    case 'b': return "block";
    case 'c': return "char";
    case 'f': return "fifo";
    case 's': return "socket";
    default: return "unknown";
    }
}

static void set_int(json_t *o, const char *key, int64_t v)
{
    json_object_set_new(o, key, json_integer(v));
}

void listing_json_stat(json_t *o, const ferry_stat_info *st)
{
    char mode[TEXT_MAX];
    snprintf(mode, sizeof mode, "%04o", st->mode & 07777);
    json_object_set_new(o, "type", json_string(listing_type(st->mode)));
    json_object_set_new(o, "mode", json_string(mode));
    set_int(o, "size", st->size);
    set_int(o, "uid", st->uid);
    set_int(o, "gid", st->gid);
    set_int(o, "nlink", (int64_t)st->nlink);
    set_int(o, "ino", (int64_t)st->ino);
    set_int(o, "blocks", st->blocks);
    json_object_set_new(o, "atime",
                        json_real((double)st->atime_sec + st->atime_nsec / 1e9));
    json_object_set_new(o, "mtime",
                        json_real((double)st->mtime_sec + st->mtime_nsec / 1e9));
    json_object_set_new(o, "ctime",
                        json_real((double)st->ctime_sec + st->ctime_nsec / 1e9));
    if (S_ISBLK(st->mode) || S_ISCHR(st->mode)) {
        set_int(o, "major", major(st->rdev));
        set_int(o, "minor", minor(st->rdev));
    }
}

json_t *listing_json(const struct listing *l, bool detail)
{
    json_t *array = json_array();
    for (size_t i = 0; i < l->len; i++) {
        const struct listing_row *row = &l->rows[i];
        json_t *o = json_object();
        json_set_name(o, "name", row->name);
        if (row->known && detail)
            listing_json_stat(o, &row->st);
        else
            json_object_set_new(o, "type", json_string(type_of_entry(row->ftyp)));
        if (row->target)
            json_set_name(o, "target", row->target);
        json_array_append_new(array, o);
    }
    return array;
}
