/* A tree to records: see reader.h. What is in a file is content.c. */
#include "tree/reader.h"

#include "tree/content.h"
#include "tree/descent.h"
#include "tree/links.h"
#include "tree/names.h"

#include "base/auto.h"

#include <guestferry/error.h>

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <string.h>

/* A buffer is sent when it holds this much: what one entry takes at most, its attributes included, then
 * still fits behind it. */
#define ENOUGH (FERRY_TREE_PIECE - FERRY_TREE_XATTRS - 16 * 1024)

struct ferry_tree_reader {
    ferry_tree_reader_opts opts;
    ferry_tree_id *skip;
    ferry_descent way; /* a level's `user` is its ferry_names; of `dir` itself: none */
    char *first;       /* the name to begin with; NULL: begun */
    bool counted;
    ferry_content content;          /* of the file that is being sent */
    char name[FERRY_TREE_NAME + 1]; /* of that file */
    ferry_links links;
    uint64_t total_files, total_bytes;
    uint64_t files, bytes; /* bytes: of the files before */
};

static int stopped(const ferry_tree_reader *t)
{
    return t->opts.stop ? atomic_load_explicit(t->opts.stop, memory_order_relaxed) : 0;
}

/* ---- records -------------------------------------------------------------------------- */

static void emit(ferry_buf *b, const ferry_tree_record *r)
{
    ferry_tree_encode(r, b->data + b->len);
    b->len += ferry_tree_length(r);
}

static ferry_tree_meta meta_of(const struct stat *st)
{
    return (ferry_tree_meta){.mode = st->st_mode & 07777,
                             .uid = st->st_uid,
                             .gid = st->st_gid,
                             .atime = st->st_atim,
                             .mtime = st->st_mtim};
}

/* An entry is left out. */
static void problem(ferry_tree_reader *t, ferry_buf *b, const char *name, int code)
{
    if (t->opts.problem) {
        char path[PATH_MAX];
        (void)ferry_descent_path(&t->way, name, path, sizeof path);
        t->opts.problem(t->opts.user, path, code);
    } else {
        emit(b, &(ferry_tree_record){.type = FERRY_TREE_PROBLEM,
                                     .code = code,
                                     .name = name});
    }
}

/* Attributes of what was just emitted; too many are a problem, but not of the entry's content. */
static int emit_xattrs(ferry_tree_reader *t, ferry_buf *b, int fd, const char *name,
                       const char *shown)
{
    long n = ferry_tree_get_xattrs(fd, name, t->opts.keep, b->data + b->len,
                                   FERRY_TREE_XATTRS);
    if (n < 0) {
        problem(t, b, shown, (int)n);
        return n == -ENOMEM ? (int)n : 0;
    }
    b->len += (size_t)n;
    return 0;
}

/* ---- entries: each returns 1 when it is sent (or left out), or why nothing works -------- */

static bool is_skipped(const ferry_tree_reader *t, const struct stat *st)
{
    for (size_t i = 0; i < t->opts.nskip; i++)
        if (st->st_dev == t->skip[i].dev && st->st_ino == t->skip[i].ino)
            return true;
    return false;
}

/* 0, or the number under which the file is sent; 1 in *ret_sent: another of its names was. */
static int64_t link_number(ferry_tree_reader *t, const struct stat *st, bool *ret_sent)
{
    bool is_new = true;
    int64_t n = 0;
    if (st->st_nlink > 1)
        n = ferry_links_number(&t->links, st->st_dev, st->st_ino, &is_new);
    *ret_sent = n > 0 && !is_new;
    return n;
}

/* No file, directory or link; if all of the tree is that, there is no tree. */
static int leave_out(ferry_tree_reader *t, ferry_buf *b, const char *name,
                     const char *sent_as)
{
    if (!*sent_as)
        return -FERRY_EINVAL;
    problem(t, b, name, 0);
    return 1;
}

static int send_file(ferry_tree_reader *t, ferry_buf *b, const char *name,
                     const char *sent_as)
{
    const int flags = O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC;
    FERRY_AUTO(fd) int fd = openat(ferry_descent_here(&t->way)->fd, name, flags);
    struct stat st;
    if (fd < 0 || fstat(fd, &st) < 0)
        return -errno;
    if (!S_ISREG(st.st_mode))
        return -FERRY_ECHANGED; /* it was a file when it was listed */
    if (is_skipped(t, &st))
        return leave_out(t, b, name, sent_as);

    bool sent;
    int64_t number = link_number(t, &st, &sent);
    if (number < 0)
        return (int)number;
    t->files++;
    if (sent) {
        emit(b, &(ferry_tree_record){.type = FERRY_TREE_LINK,
                                     .link = (uint32_t)number,
                                     .name = sent_as});
        return 1;
    }
    emit(b, &(ferry_tree_record){.type = FERRY_TREE_FILE,
                                 .meta = meta_of(&st),
                                 .size = (uint64_t)st.st_size,
                                 .link = (uint32_t)number,
                                 .name = sent_as});
    int r = emit_xattrs(t, b, fd, NULL, name);
    if (r < 0)
        return r;
    strcpy(t->name, name);
    ferry_content_open(&t->content, ferry_take_fd(&fd), &st, t->opts.direct);
    return 1;
}

static int send_dir(ferry_tree_reader *t, ferry_buf *b, const char *name,
                    const char *sent_as)
{
    struct stat st;
    ferry_names *names = NULL;
    int r = ferry_descent_enter(&t->way, name);
    if (r < 0)
        return r;
    ferry_level *here = ferry_descent_here(&t->way);
    r = fstat(here->fd, &st) < 0 ? -errno : ferry_names_read(here->fd, &names);
    if (r < 0) {
        int left = ferry_descent_leave(&t->way);
        return left < 0 ? left : r;
    }
    here->user = names;
    emit(b, &(ferry_tree_record){.type = FERRY_TREE_DIR,
                                 .meta = meta_of(&st),
                                 .name = sent_as});
    r = emit_xattrs(t, b, here->fd, NULL, "");
    return r < 0 ? r : 1;
}

static int send_symlink(ferry_tree_reader *t, ferry_buf *b, const char *name,
                        const char *sent_as)
{
    char target[PATH_MAX];
    struct stat st;
    int dir = ferry_descent_here(&t->way)->fd;
    ssize_t n = readlinkat(dir, name, target, sizeof target - 1);
    if (n < 0 || fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
        return -errno;
    target[n] = '\0';
    t->files++;
    emit(b, &(ferry_tree_record){.type = FERRY_TREE_SYMLINK,
                                 .meta = meta_of(&st),
                                 .name = sent_as,
                                 .target = target});
    int r = t->opts.keep & FERRY_TREE_ARCHIVE ? emit_xattrs(t, b, dir, name, name) : 0;
    return r < 0 ? r : 1;
}

/* DT_UNKNOWN: the directory does not say. */
static int find_type(const ferry_descent *way, const char *name, unsigned char *type)
{
    struct stat st;
    if (*type != DT_UNKNOWN)
        return 0;
    if (fstatat(ferry_descent_here(way)->fd, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
        return -errno;
    *type = (unsigned char)IFTODT(st.st_mode);
    return 0;
}

static int send_entry(ferry_tree_reader *t, ferry_buf *b, const char *name,
                      unsigned char type, const char *sent_as)
{
    int r = find_type(&t->way, name, &type);
    if (r < 0)
        return r;
    switch (type) {
    case DT_REG: return send_file(t, b, name, sent_as);
    case DT_DIR: return send_dir(t, b, name, sent_as);
    case DT_LNK: return send_symlink(t, b, name, sent_as);
    default: return leave_out(t, b, name, sent_as);
    }
}

/* ---- counting ------------------------------------------------------------------------- */

static int count_entry(ferry_descent *way, const char *name, unsigned char type,
                       ferry_tree_record *total)
{
    struct stat st;
    int r = find_type(way, name, &type);
    if (r < 0)
        return r;
    if (type == DT_DIR) {
        r = ferry_descent_enter(way, name);
        ferry_names *names = NULL;
        if (r == 0 && ferry_names_read(ferry_descent_here(way)->fd, &names) == 0)
            ferry_descent_here(way)->user = names;
        return r;
    }
    total->files += type == DT_REG || type == DT_LNK;
    if (type == DT_REG &&
        fstatat(ferry_descent_here(way)->fd, name, &st, AT_SYMLINK_NOFOLLOW) == 0)
        total->size += (uint64_t)st.st_size;
    return 0;
}

static int count_tree(const ferry_tree_reader *t, ferry_descent *way,
                      ferry_tree_record *total)
{
    int r = count_entry(way, t->first, DT_UNKNOWN, total);
    while (r == 0 && way->depth > 1) {
        if (stopped(t))
            return stopped(t);
        ferry_names *names = ferry_descent_here(way)->user;
        if (names && names->next < names->count) {
            const ferry_name *n = &names->list[names->next++];
            /* What cannot be looked at is told when it is its turn. */
            (void)count_entry(way, ferry_names_text(names, n), n->type, total);
            continue;
        }
        ferry_names_free(names);
        ferry_descent_here(way)->user = NULL;
        r = ferry_descent_leave(way);
    }
    return r;
}

static void way_done(ferry_descent *way)
{
    for (size_t i = 0; i < way->depth; i++)
        ferry_names_free(way->levels[i].user);
    ferry_descent_done(way);
}

static int send_total(ferry_tree_reader *t, ferry_buf *b)
{
    ferry_tree_record total = {.type = FERRY_TREE_TOTAL};
    ferry_descent way;
    int top = fcntl(ferry_descent_here(&t->way)->fd, F_DUPFD_CLOEXEC, 0);
    int r = top < 0 ? -errno : ferry_descent_init(&way, top);
    if (r < 0)
        return r;
    r = count_tree(t, &way, &total);
    way_done(&way);
    if (r < 0)
        return r;
    t->total_files = total.files;
    t->total_bytes = total.size;
    emit(b, &total);
    return 1;
}

/* ---- the walk --------------------------------------------------------------------------- */

static int begin(ferry_tree_reader *t, ferry_buf *b)
{
    if (t->opts.count && !t->counted) {
        t->counted = true;
        return send_total(t, b);
    }
    FERRY_AUTO(mem) char *first = ferry_take(&t->first);
    return send_entry(t, b, first, DT_UNKNOWN, "");
}

/* The next entry of the current directory, or its end. 0: the tree's. */
static int step(ferry_tree_reader *t, ferry_buf *b)
{
    if (t->first)
        return begin(t, b);
    if (t->way.depth == 1)
        return 0;

    ferry_names *names = ferry_descent_here(&t->way)->user;
    if (names->next == names->count) {
        ferry_names_free(names);
        ferry_descent_here(&t->way)->user = NULL;
        int r = ferry_descent_leave(&t->way);
        emit(b, &(ferry_tree_record){.type = FERRY_TREE_LEAVE});
        return r < 0 ? r : 1;
    }
    const ferry_name *n = &names->list[names->next++];
    const char *name = ferry_names_text(names, n);
    int r = send_entry(t, b, name, n->type, name);
    if (r >= 0 || r == -ENOMEM || r == -ESTALE)
        return r;
    problem(t, b, name, r);
    return 1;
}

/* Some of the file's bytes, or its end. */
static int step_file(ferry_tree_reader *t, ferry_buf *b)
{
    ferry_content *c = &t->content;
    int r = ferry_content_next(c, b);
    if (r != 0)
        return r;
    t->bytes += c->at;
    if (c->broken && t->opts.problem)
        problem(t, b, t->name, c->broken);
    ferry_content_close(c);
    return 1;
}

int ferry_tree_read(ferry_tree_reader *t, ferry_buf *b)
{
    if (stopped(t))
        return stopped(t);
    if (ferry_content_is_bulk(&t->content))
        return ferry_content_bulk(&t->content, b);
    while (b->len < ENOUGH) {
        if (stopped(t))
            return stopped(t);
        int r = t->content.fd >= 0 ? step_file(t, b) : step(t, b);
        if (r <= 0)
            return r;
        if (ferry_content_is_bulk(&t->content))
            break;
    }
    return 1;
}

/* ---- life --------------------------------------------------------------------------------- */

int ferry_tree_reader_new(int dir, const char *name, const ferry_tree_reader_opts *o,
                          ferry_tree_reader **ret)
{
    ferry_tree_reader *t = calloc(1, sizeof *t);
    if (!t)
        return -ENOMEM;
    t->opts = *o;
    t->content.fd = t->content.direct = -1;
    t->first = strdup(name);
    t->skip = malloc((o->nskip + 1) * sizeof *t->skip);
    int top = openat(dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    int r = top < 0 ? -errno : ferry_descent_init(&t->way, top);
    if (r == 0 && (!t->first || !t->skip))
        r = -ENOMEM;
    if (r == 0 && o->nskip > 0)
        memcpy(t->skip, o->skip, o->nskip * sizeof *t->skip);
    if (r < 0) {
        ferry_tree_reader_free(t);
        return r;
    }
    *ret = t;
    return 0;
}

void ferry_tree_reader_free(ferry_tree_reader *t)
{
    if (!t)
        return;
    ferry_content_close(&t->content);
    way_done(&t->way);
    ferry_links_done(&t->links);
    free(t->first);
    free(t->skip);
    free(t);
}

void ferry_tree_reader_count(const ferry_tree_reader *t, uint64_t *ret_files,
                             uint64_t *ret_bytes)
{
    *ret_files = t->files;
    *ret_bytes = t->bytes + (t->content.fd >= 0 ? t->content.at : 0);
}

void ferry_tree_reader_total(const ferry_tree_reader *t, uint64_t *ret_files,
                             uint64_t *ret_bytes)
{
    *ret_files = t->total_files;
    *ret_bytes = t->total_bytes;
}

void ferry_tree_reader_path(const ferry_tree_reader *t, char *buf, size_t size)
{
    (void)ferry_descent_path(&t->way, t->content.fd >= 0 ? t->name : "", buf, size);
}
