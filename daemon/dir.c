/* Calls that list a directory: ls, readdir. The directory is read on a pool thread in
 * batches; readdir sends each batch before it reads the next, so its memory is bounded
 * whatever the directory holds; ls has to sort, so it keeps all names. */
#include "root.h"

#include "base/auto.h"
#include "block.h"

#include <dirent.h>
#include <fcntl.h>
#include <string.h>
#include <sys/syscall.h>

/* One getdents64: about a thousand names, and about a millisecond without a thread change. */
#define BATCH (32 * 1024)

/* Most bytes of names that ls keeps to sort: a directory that needs more is read with
 * readdir. The host stops at the same size (FERRY_ITEMS_MAX). */
#define LS_MAX (64 * 1024 * 1024)

struct linux_dirent {
    uint64_t ino;
    int64_t off;
    unsigned short reclen;
    unsigned char type;
    char name[];
};

struct listing {
    struct ferryd_call *call;
    ferry_file *root;
    const char *path;
    int fd;
    size_t len; /* bytes of buf that are entries; 0: the end */
    int r;
    struct { /* ls */
        char *text;
        size_t len, cap, count;
    } names;
    _Alignas(struct linux_dirent) char buf[BATCH];
};

static struct linux_dirent *entry_at(struct listing *l, size_t at)
{
    return (struct linux_dirent *)(void *)(l->buf + at);
}

static void listing_free(struct listing *l)
{
    if (!l)
        return;
    if (l->fd >= 0)
        close(l->fd);
    free(l->names.text);
    ferry_file_unref(l->root);
    free(l);
}

static inline void ferry_auto_listing(struct listing **l)
{
    listing_free(*l);
}

static int listing_new(struct ferryd_call *c, const char *path, struct listing **ret,
                       ferry_error *e)
{
    struct listing *l = calloc(1, sizeof *l);
    if (!l)
        return -ENOMEM;
    l->call = c;
    l->path = path;
    l->fd = -1;
    int r = ferryd_root_get(c, &l->root, e);
    if (r < 0) {
        free(l);
        return r;
    }
    *ret = l;
    return 0;
}

static void read_batch(void *arg)
{
    struct listing *l = arg;
    if (l->fd < 0) {
        int fd = ferryd_at_open(l->root->fd, l->path, O_RDONLY | O_DIRECTORY, 0);
        if (fd < 0) {
            l->r = fd;
            return;
        }
        l->fd = fd;
    }

    long n = syscall(SYS_getdents64, l->fd, l->buf, sizeof l->buf);
    l->r = n < 0 ? -errno : 0;
    l->len = n < 0 ? 0 : (size_t)n;
}

static FERRY_CO int block_listing(struct listing *l, void (*fn)(void *), ferry_error *e)
{
    int r = ferryd_block(fn, l);
    if (r == 0 && l->r < 0)
        r = ferryd_fail(l->call, e, l->r, l->path);
    return r;
}

/* ---- readdir --------------------------------------------------------------------------- */

static int type_letter(unsigned char type)
{
    switch (type) {
    case DT_BLK: return 'b';
    case DT_CHR: return 'c';
    case DT_DIR: return 'd';
    case DT_FIFO: return 'f';
    case DT_LNK: return 'l';
    case DT_REG: return 'r';
    case DT_SOCK: return 's';
    default: return 'u';
    }
}

static FERRY_CO int send_batch(struct listing *l)
{
    int r = 0;
    for (size_t at = 0; r == 0 && at < l->len; at += entry_at(l, at)->reclen) {
        struct linux_dirent *d = entry_at(l, at);
        fx_dirent item = {.ino = d->ino, .ftyp = type_letter(d->type), .name = d->name};
        r = ferryd_readdir_item(l->call, &item);
    }
    return r;
}

int ferryd_readdir(struct ferryd_call *c, const fx_readdir_args *a, ferry_error *e)
{
    FERRY_AUTO(listing) struct listing *l = NULL;
    int r = listing_new(c, a->dir, &l, e);
    while (r == 0) {
        r = block_listing(l, read_batch, e);
        if (r == 0 && l->len == 0)
            break;
        if (r == 0)
            r = send_batch(l);
    }
    return r;
}

/* ---- ls --------------------------------------------------------------------------------- */

static int keep_name(struct listing *l, const char *name)
{
    size_t n = strlen(name) + 1;
    if (l->names.len + n > LS_MAX)
        return -EFBIG;
    if (l->names.len + n > l->names.cap) {
        size_t cap = l->names.cap ? 2 * l->names.cap : BATCH;
        char *more = realloc(l->names.text, cap);
        if (!more)
            return -ENOMEM;
        l->names.text = more;
        l->names.cap = cap;
    }
    memcpy(l->names.text + l->names.len, name, n);
    l->names.len += n;
    l->names.count++;
    return 0;
}

static int keep_batch(struct listing *l)
{
    int r = 0;
    for (size_t at = 0; r == 0 && at < l->len; at += entry_at(l, at)->reclen) {
        const char *name = entry_at(l, at)->name;
        if (strcmp(name, ".") != 0 && strcmp(name, "..") != 0)
            r = keep_name(l, name);
    }
    return r;
}

/* The whole directory in one go: nothing is sent before all is there, so there is nothing to
 * change threads for. */
static void read_all(void *arg)
{
    struct listing *l = arg;
    do {
        read_batch(l);
        if (l->r == 0)
            l->r = ferryd_stop(l->call);
        if (l->r == 0)
            l->r = keep_batch(l);
    } while (l->r == 0 && l->len > 0);
}

static int by_bytes(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

static int sorted_names(const struct listing *l, char ***ret)
{
    char **names = calloc(l->names.count + 1, sizeof *names);
    if (!names)
        return -ENOMEM;
    char *at = l->names.text;
    for (size_t i = 0; i < l->names.count; i++, at += strlen(at) + 1)
        names[i] = at;
    qsort(names, l->names.count, sizeof *names, by_bytes);
    *ret = names;
    return 0;
}

int ferryd_ls(struct ferryd_call *c, const fx_ls_args *a, ferry_error *e)
{
    FERRY_AUTO(listing) struct listing *l = NULL;
    FERRY_AUTO(mem) char **names = NULL;
    int r = listing_new(c, a->directory, &l, e);
    if (r == 0)
        r = block_listing(l, read_all, e);
    if (r == 0)
        r = sorted_names(l, &names);
    for (size_t i = 0; r == 0 && i < l->names.count; i++)
        r = ferryd_ls_item(c, names[i]);
    return r;
}
