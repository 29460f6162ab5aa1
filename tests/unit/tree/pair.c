/* See pair.h. */
#include "pair.h"

#include "base/auto.h"

#include <dirent.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static char top[] = "/tmp/ferry-tree-XXXXXX";

static void make_all(void)
{
    make_dir("from", 0755);
    make_dir("to", 0755);
    make_dir("outside", 0755);
    make_file("outside/victim", "mine", 0600);
}

int pair_setup(void **state)
{
    (void)state;
    if (!mkdtemp(top) || chdir(top) < 0)
        return -1;
    umask(022);
    make_all();
    return 0;
}

static void empty(void)
{
    char command[128];
    snprintf(command, sizeof command, "rm -rf %s/from %s/to %s/outside", top, top, top);
    assert_int_equal(system(command), 0);
}

void pair_reset(void)
{
    empty();
    make_all();
}

int pair_teardown(void **state)
{
    (void)state;
    empty();
    return rmdir(top);
}

/* ---- copying -------------------------------------------------------------------------- */

static int note(void *user, const char *path, int code)
{
    struct pair *p = user;
    if (p->n < 16) {
        snprintf(p->path[p->n], sizeof p->path[0], "%s", path);
        p->code[p->n] = code;
    }
    p->n++;
    return p->go_on || code == 0 ? 0 : code;
}

static ferry_tree_builder *new_builder(struct pair *p, const char *dst)
{
    const ferry_tree_builder_opts o = {.keep = p->keep,
                                       .no_owners = geteuid() != 0,
                                       .problem = note,
                                       .user = p};
    ferry_tree_builder *b = NULL;
    int to = open("to", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    assert_true(to >= 0);
    assert_int_equal(ferry_tree_builder_new(to, dst, &o, &b), 0);
    return b;
}

static int feed(const struct pair *p, ferry_tree_builder *b, const uint8_t *data,
                size_t len)
{
    int r = 0;
    for (size_t at = 0; r == 0 && at < len;) {
        size_t n = p->cut && p->cut < len - at ? p->cut : len - at;
        r = ferry_tree_build(b, data + at, n);
        at += n;
    }
    return r;
}

static int finish(struct pair *p, ferry_tree_builder *b, int r)
{
    if (r == 0)
        r = ferry_tree_build_end(b);
    p->made = *ferry_tree_builder_made(b);
    ferry_tree_builder_free(b);
    return r;
}

int pair_copy(struct pair *p, const char *src, const char *dst)
{
    const ferry_tree_reader_opts o = {.keep = p->keep, .count = true};
    ferry_tree_reader *reader = NULL;
    FERRY_AUTO(fd) int from = open("from", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    int r = ferry_tree_reader_new(from, src, &o, &reader), more = 1;
    assert_int_equal(r, 0);
    ferry_tree_builder *b = new_builder(p, dst);
    while (r == 0 && more > 0) {
        FERRY_AUTO(buf) ferry_buf *piece = NULL;
        assert_int_equal(ferry_buf_new(FERRY_TREE_PIECE, &piece), 0);
        more = ferry_tree_read(reader, piece);
        assert_true(piece->len <= FERRY_TREE_PIECE);
        r = more < 0 ? more : feed(p, b, piece->data, piece->len);
    }
    uint64_t bytes;
    ferry_tree_reader_total(reader, &p->total_files, &bytes);
    ferry_tree_reader_free(reader);
    return finish(p, b, r);
}

int pair_build(struct pair *p, const uint8_t *data, size_t len, const char *dst)
{
    ferry_tree_builder *b = new_builder(p, dst);
    return finish(p, b, feed(p, b, data, len));
}

/* ---- by hand ---------------------------------------------------------------------------- */

void put(struct bytes *b, ferry_tree_record r)
{
    size_t n = ferry_tree_length(&r);
    assert_true(n <= sizeof b->data - b->len);
    ferry_tree_encode(&r, b->data + b->len);
    b->len += n;
}

void put_dir(struct bytes *b, const char *name)
{
    put(b, (ferry_tree_record){.type = FERRY_TREE_DIR,
                               .name = name,
                               .meta = {.mode = 0755}});
}

void put_leave(struct bytes *b)
{
    put(b, (ferry_tree_record){.type = FERRY_TREE_LEAVE});
}

void put_file(struct bytes *b, const char *name, const char *content)
{
    size_t n = strlen(content);
    put(b, (ferry_tree_record){.type = FERRY_TREE_FILE,
                               .name = name,
                               .size = n,
                               .meta = {.mode = 0644}});
    if (n > 0) {
        put(b, (ferry_tree_record){.type = FERRY_TREE_DATA, .size = n});
        memcpy(b->data + b->len, content, n);
        b->len += n;
    }
    put(b, (ferry_tree_record){.type = FERRY_TREE_DONE});
}

/* ---- files -------------------------------------------------------------------------------- */

void make_file(const char *path, const char *content, mode_t mode)
{
    FERRY_AUTO(fd) int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, content, strlen(content)), strlen(content));
    assert_int_equal(fchmod(fd, mode), 0);
}

void make_dir(const char *path, mode_t mode)
{
    assert_int_equal(mkdir(path, 0700), 0);
    assert_int_equal(chmod(path, mode), 0);
}

bool file_is(const char *path, const char *content)
{
    char got[4096];
    FERRY_AUTO(fd) int fd = open(path, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
    ssize_t n = fd < 0 ? -1 : read(fd, got, sizeof got);
    return n == (ssize_t)strlen(content) && memcmp(got, content, (size_t)n) == 0;
}

bool is_there(const char *path)
{
    struct stat st;
    return lstat(path, &st) == 0;
}

int count_names(const char *dir)
{
    DIR *d = opendir(dir);
    int n = -2;
    while (d && readdir(d))
        n++;
    if (d)
        closedir(d);
    return n;
}

struct stat look(const char *path)
{
    struct stat st;
    assert_int_equal(lstat(path, &st), 0);
    return st;
}
