/* Records to a tree: see builder.h. The bytes' way:
 *
 *      ferry_tree_build -> parser.c -> record() -> entry() | content() | ...   and  write_data()
 */
#include "tree/builder.h"

#include "tree/descent.h"
#include "tree/meta.h"
#include "tree/output.h"
#include "tree/parser.h"
#include "tree/place.h"
#include "tree/twins.h"

#include "base/auto.h"

#include <guestferry/error.h>

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <string.h>

/* Permissions of ours while a directory is being filled. */
#define DIR_WHILE 0700

/* What is to be done when a directory is left: a level's `user`. */
struct dir {
    ferry_tree_meta meta;
    bool made; /* by us: its attributes are ours to set */
    uint8_t *xattrs;
    size_t xattrs_len;
};

struct ferry_tree_builder {
    ferry_tree_builder_opts opts;
    ferry_descent way; /* the first level is the directory that was given */
    char *top;         /* the tree's name in it */
    bool begun;        /* the first entry was here */
    uint64_t skipping; /* directories we are in that could not be made; their content is dropped */

    /* of the FILE that is being sent */
    bool in_file;
    bool has_content; /* DATA or HOLE was here */
    ferry_tree_record file;
    uint64_t at;
    ferry_output out; /* fd -1: it could not be made; its bytes are dropped */
    uint8_t xattrs[FERRY_TREE_XATTRS];
    size_t xattrs_len;

    ferry_tree_type last; /* the entry an XATTR belongs to; 0: to none */
    bool last_dropped;
    char last_name[FERRY_TREE_NAME + 1];

    ferry_twins twins;
    ferry_tree_made made;

    ferry_tree_parser parser;
};

/* ---- failures ---------------------------------------------------------------------------- */

/* After these every other entry would fail the same way. */
static bool is_fatal(int code)
{
    switch (-code) {
    case ENOSPC:
    case EDQUOT:
    case EROFS:
    case EIO:
    case ENOMEM:
    case EMFILE:
    case ENFILE:
    case ESTALE:
    case FERRY_EPROTO: return true;
    default: return false;
    }
}

/* An entry cannot be made: the tree goes on without it, if the caller agrees. */
static int left_out(ferry_tree_builder *t, const char *name, int code)
{
    char path[PATH_MAX];
    if (is_fatal(code) || t->way.depth == 1)
        return code;
    (void)ferry_descent_path(&t->way, name, path, sizeof path);
    return t->opts.problem ? t->opts.problem(t->opts.user, path, code) : code;
}

/* What the entry is called here; the peer names all but the first. */
static const char *name_of(const ferry_tree_builder *t, const ferry_tree_record *r)
{
    return t->way.depth == 1 && t->skipping == 0 ? t->top : r->name;
}

/* ---- files ----------------------------------------------------------------------------------- */

static int open_file(ferry_tree_builder *t, const ferry_tree_record *r)
{
    t->in_file = true;
    t->has_content = false;
    t->file = *r;
    t->at = 0;
    t->xattrs_len = 0;
    if (r->link > 0) {
        int e = ferry_twins_expect(&t->twins, r->link);
        if (e < 0)
            return e;
    }
    if (t->skipping > 0)
        return 0;
    const char *name = name_of(t, r);
    if (strcmp(name, ".") == 0)
        return -EISDIR;
    return ferry_output_open(&t->out, ferry_descent_here(&t->way)->fd, r, name,
                             t->opts.keep, t->opts.direct);
}

/* Its output failed: what still comes is dropped. */
static int drop_file(ferry_tree_builder *t, int code)
{
    ferry_output_close(&t->out);
    return left_out(t, t->last_name, code);
}

static int commit_file(ferry_tree_builder *t)
{
    ferry_output *o = &t->out;
    if (o->fd < 0)
        return 0;
    int r = ferry_output_commit(o, &t->file.meta, t->xattrs, t->xattrs_len,
                                t->opts.keep, t->opts.no_owners);
    if (r == 0 && t->file.link > 0)
        r = ferry_twins_made(&t->twins, t->file.link, &t->way, t->last_name, o->fd);
    if (r < 0)
        return drop_file(t, r);
    ferry_output_close(o);
    t->made.files++;
    return 0;
}

/* DATA's length or a HOLE's: within what FILE has announced? */
static int advance(ferry_tree_builder *t, uint64_t len)
{
    if (!t->in_file || len > t->file.size - t->at)
        return -FERRY_EPROTO;
    t->has_content = true;
    t->at += len;
    t->made.bytes += len;
    return 0;
}

static int write_data(void *user, const uint8_t *data, size_t len)
{
    ferry_tree_builder *t = user;
    if (t->out.fd < 0)
        return 0;
    int r = ferry_output_write(&t->out, data, len);
    return r < 0 ? drop_file(t, r) : 0;
}

static int content(ferry_tree_builder *t, const ferry_tree_record *r)
{
    int e = 0;
    switch (r->type) {
    case FERRY_TREE_DATA: return advance(t, r->size);
    case FERRY_TREE_HOLE:
        e = advance(t, r->size);
        if (e == 0 && t->out.fd >= 0)
            ferry_output_hole(&t->out, r->size);
        return e;
    case FERRY_TREE_DONE:
        if (!t->in_file || t->at != t->file.size)
            return -FERRY_EPROTO;
        t->in_file = false;
        return commit_file(t);
    default: /* FAILED */
        if (!t->in_file || r->code == 0)
            return -FERRY_EPROTO;
        t->in_file = false;
        return t->skipping ? 0 : drop_file(t, r->code);
    }
}

/* ---- directories ------------------------------------------------------------------------------- */

static int make_dir(const ferry_tree_builder *t, const ferry_tree_record *r,
                    const char *name, bool *ret_made)
{
    mode_t mode = t->opts.keep & FERRY_TREE_ARCHIVE ? 0 : r->meta.mode & 0777;
    *ret_made = false;
    if (strcmp(name, ".") == 0)
        return 0;
    *ret_made = mkdirat(ferry_descent_here(&t->way)->fd, name, mode | DIR_WHILE) == 0;
    return *ret_made || errno == EEXIST ? 0 : -errno;
}

static int enter_dir(ferry_tree_builder *t, const ferry_tree_record *r)
{
    const char *name = name_of(t, r);
    struct dir *d = calloc(1, sizeof *d);
    if (!d)
        return -ENOMEM;
    d->meta = r->meta;
    int e = make_dir(t, r, name, &d->made);
    if (e == 0)
        e = ferry_descent_enter(&t->way, name);
    if (e < 0) {
        free(d);
        return e;
    }
    ferry_descent_here(&t->way)->user = d;
    return 0;
}

static void free_dir(struct dir *d)
{
    if (d)
        free(d->xattrs);
    free(d);
}

static int finish_dir(const ferry_tree_builder *t, int fd, const struct dir *d)
{
    struct stat st;
    unsigned keep = t->opts.keep;
    if (!d->made && !(keep & FERRY_TREE_ARCHIVE))
        return 0;
    mode_t lacks = DIR_WHILE & ~d->meta.mode;
    if (lacks && !(keep & FERRY_TREE_ARCHIVE) &&
        (fstat(fd, &st) < 0 || fchmod(fd, st.st_mode & 0777 & ~lacks) < 0))
        return -errno;
    return ferry_meta_set(fd, &d->meta, d->xattrs, d->xattrs_len, keep,
                          t->opts.no_owners);
}

static int leave_dir(ferry_tree_builder *t)
{
    if (t->skipping > 0) {
        t->skipping--;
        return 0;
    }
    if (t->way.depth == 1)
        return -FERRY_EPROTO;
    ferry_level *here = ferry_descent_here(&t->way);
    int r = finish_dir(t, here->fd, here->user);
    if (r < 0)
        r = is_fatal(r) ? r : left_out(t, "", r);
    free_dir(ferry_take(&here->user));
    return r < 0 ? r : ferry_descent_leave(&t->way);
}

/* ---- links --------------------------------------------------------------------------------------- */

static int make_symlink(ferry_tree_builder *t, const ferry_tree_record *r)
{
    const char *name = name_of(t, r);
    int dir = ferry_descent_here(&t->way)->fd;
    if (strcmp(name, ".") == 0)
        return -EISDIR;
    int e = ferry_place_symlink(dir, name, r->target);
    if (e < 0)
        return e;
    t->made.files++;
    const struct timespec times[2] = {r->meta.atime, r->meta.mtime};
    (void)utimensat(dir, name, times, AT_SYMLINK_NOFOLLOW);
    if (t->opts.keep & FERRY_TREE_ARCHIVE &&
        fchownat(dir, name, r->meta.uid, r->meta.gid, AT_SYMLINK_NOFOLLOW) < 0 &&
        !t->opts.no_owners)
        return -errno;
    return 0;
}

static int make_link(ferry_tree_builder *t, const ferry_tree_record *r)
{
    FERRY_AUTO(fd) int fd = ferry_twins_open(&t->twins, r->link, t->way.levels[1].fd);
    int e = fd < 0 ? fd : ferry_place_link(ferry_descent_here(&t->way)->fd, r->name, fd);
    if (e == 0)
        t->made.files++;
    return e;
}

/* ---- attributes ------------------------------------------------------------------------------------ */

/* The record as it came is kept until its entry is finished: data, mode and owner would undo it. */
static int keep_xattr(uint8_t *all, size_t *len, const ferry_tree_record *r)
{
    size_t n = ferry_tree_length(r);
    if (n > FERRY_TREE_XATTRS - *len)
        return -FERRY_EPROTO;
    ferry_tree_encode(r, all + *len);
    *len += n;
    return 0;
}

static int symlink_xattr(ferry_tree_builder *t, const ferry_tree_record *r)
{
    FERRY_AUTO(mem) uint8_t *one = malloc(ferry_tree_length(r));
    if (!one)
        return -ENOMEM;
    ferry_tree_encode(r, one);
    int e = ferry_tree_set_xattrs(ferry_descent_here(&t->way)->fd, t->last_name,
                                  t->opts.keep, one, ferry_tree_length(r));
    return e < 0 ? left_out(t, t->last_name, e) : 0;
}

static int xattr(ferry_tree_builder *t, const ferry_tree_record *r)
{
    if (t->last == 0 || (t->in_file && t->has_content))
        return -FERRY_EPROTO;
    if (t->last_dropped || t->skipping > 0)
        return 0;
    if (t->last == FERRY_TREE_FILE)
        return keep_xattr(t->xattrs, &t->xattrs_len, r);
    if (t->last == FERRY_TREE_SYMLINK)
        return symlink_xattr(t, r);
    struct dir *d = ferry_descent_here(&t->way)->user;
    if (!d->xattrs && !(d->xattrs = malloc(FERRY_TREE_XATTRS)))
        return -ENOMEM;
    return keep_xattr(d->xattrs, &d->xattrs_len, r);
}

/* ---- records ------------------------------------------------------------------------------------------ */

/* An entry comes where one may: the first without a name, the others inside of it. */
static int check_place(ferry_tree_builder *t, const ferry_tree_record *r)
{
    bool first = !t->begun, inside = t->way.depth > 1 || t->skipping > 0;
    if (t->in_file || first == inside || first != !*r->name)
        return -FERRY_EPROTO;
    if (first && r->type == FERRY_TREE_LINK)
        return -FERRY_EPROTO;
    t->begun = true;
    t->last = r->type == FERRY_TREE_LINK ? 0 : r->type;
    t->last_dropped = false;
    strcpy(t->last_name, name_of(t, r));
    return 0;
}

static int entry(ferry_tree_builder *t, const ferry_tree_record *r)
{
    int e = check_place(t, r);
    if (e < 0)
        return e;
    if (r->type == FERRY_TREE_FILE)
        e = open_file(t, r);
    else if (t->skipping > 0)
        t->skipping += r->type == FERRY_TREE_DIR;
    else
        e = r->type == FERRY_TREE_DIR       ? enter_dir(t, r)
            : r->type == FERRY_TREE_SYMLINK ? make_symlink(t, r)
                                            : make_link(t, r);
    if (e == 0)
        return 0;
    t->last_dropped = true;
    e = left_out(t, t->last_name, e);
    if (e == 0)
        t->skipping += r->type == FERRY_TREE_DIR;
    return e;
}

static int record(void *user, const ferry_tree_record *r)
{
    ferry_tree_builder *t = user;
    char path[PATH_MAX];
    int stop =
        t->opts.stop ? atomic_load_explicit(t->opts.stop, memory_order_relaxed) : 0;
    if (stop)
        return stop;
    if (r->type != FERRY_TREE_XATTR && r->type != FERRY_TREE_PROBLEM)
        t->last = t->in_file ? t->last : 0;
    switch (r->type) {
    case FERRY_TREE_TOTAL:
        if (t->begun)
            return -FERRY_EPROTO;
        t->made.total_files = r->files;
        t->made.total_bytes = r->size;
        return 0;
    case FERRY_TREE_DIR:
    case FERRY_TREE_FILE:
    case FERRY_TREE_SYMLINK:
    case FERRY_TREE_LINK: return entry(t, r);
    case FERRY_TREE_XATTR: return xattr(t, r);
    case FERRY_TREE_PROBLEM:
        (void)ferry_descent_path(&t->way, r->name, path, sizeof path);
        return t->opts.problem ? t->opts.problem(t->opts.user, path, r->code) : 0;
    case FERRY_TREE_LEAVE: return t->in_file ? -FERRY_EPROTO : leave_dir(t);
    default: return content(t, r);
    }
}

/* ---- bytes ----------------------------------------------------------------------------------------- */

int ferry_tree_build(ferry_tree_builder *t, const uint8_t *data, size_t len)
{
    return ferry_tree_parse(&t->parser, data, len);
}

int ferry_tree_build_end(ferry_tree_builder *t)
{
    bool whole = t->begun && !t->in_file && t->way.depth == 1 && t->skipping == 0 &&
                 ferry_tree_parser_is_between(&t->parser);
    return whole ? 0 : -FERRY_EPROTO;
}

/* ---- life --------------------------------------------------------------------------------------------------- */

int ferry_tree_builder_new(int dir, const char *name, const ferry_tree_builder_opts *o,
                           ferry_tree_builder **ret)
{
    ferry_tree_builder *t = calloc(1, sizeof *t);
    if (!t) {
        close(dir);
        return -ENOMEM;
    }
    t->opts = *o;
    t->parser.record = record;
    t->parser.data = write_data;
    t->parser.user = t;
    t->out.fd = t->out.direct = -1;
    t->top = strdup(name);
    int r = ferry_descent_init(&t->way, dir);
    if (r == 0 && !t->top)
        r = -ENOMEM;
    if (r == 0 && strcmp(name, ".") != 0 && !ferry_tree_name_ok(name))
        r = -EINVAL;
    if (r < 0) {
        ferry_tree_builder_free(t);
        return r;
    }
    *ret = t;
    return 0;
}

void ferry_tree_builder_free(ferry_tree_builder *t)
{
    if (!t)
        return;
    ferry_output_close(&t->out);
    for (size_t i = 0; i < t->way.depth; i++)
        free_dir(t->way.levels[i].user);
    ferry_descent_done(&t->way);
    ferry_twins_done(&t->twins);
    free(t->top);
    free(t);
}

const ferry_tree_made *ferry_tree_builder_made(const ferry_tree_builder *t)
{
    return &t->made;
}

void ferry_tree_builder_path(const ferry_tree_builder *t, char *buf, size_t size)
{
    (void)ferry_descent_path(&t->way, t->last_name, buf, size);
}
