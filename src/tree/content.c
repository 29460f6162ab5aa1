/* A file's bytes: see content.h. */
#include "tree/content.h"

#include "tree/wire.h"

#include <guestferry/error.h>

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* From here on a run of data has buffers of its own. */
#define BULK (64 * 1024)

/* One record's bytes at most: a length is 32 bits. */
#define DATA_MAX (1u << 30)

/* Below this the page cache's readahead is as good. */
#define DIRECT_MIN (4u << 20)

void ferry_content_open(ferry_content *c, int fd, const struct stat *st, bool direct)
{
    *c = (ferry_content){.fd = fd, .direct = -1, .size = (uint64_t)st->st_size};
    c->holes = (uint64_t)st->st_blocks * 512 < c->size;
    c->data_end = c->holes ? 0 : c->size;
    if (direct && c->size >= DIRECT_MIN) {
        char link[64];
        snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
        c->direct = open(link, O_RDONLY | O_DIRECT | O_CLOEXEC);
    }
}

void ferry_content_close(ferry_content *c)
{
    if (c->fd >= 0)
        close(c->fd);
    if (c->direct >= 0)
        close(c->direct);
    *c = (ferry_content){.fd = -1, .direct = -1};
}

static void emit(ferry_buf *b, const ferry_tree_record *r)
{
    ferry_tree_encode(r, b->data + b->len);
    b->len += ferry_tree_length(r);
}

/* The end of the file, one way or the other. */
static int finish(ferry_content *c, ferry_buf *b)
{
    emit(b, &(ferry_tree_record){.type = c->broken ? FERRY_TREE_FAILED : FERRY_TREE_DONE,
                                 .code = c->broken});
    return 0;
}

/* Looks for the data at or after c->at, and sends the hole before it. A file system that cannot
 * tell says it is all data; so does a file that was cut, which the read finds out. */
static int next_extent(ferry_content *c, ferry_buf *b)
{
    off_t data = lseek(c->fd, (off_t)c->at, SEEK_DATA), hole;
    struct stat st;
    bool rest = data < 0 && errno == ENXIO && fstat(c->fd, &st) == 0 &&
                (uint64_t)st.st_size >= c->size;
    if (data < 0)
        data = rest ? (off_t)c->size : (off_t)c->at;
    if ((uint64_t)data > c->size)
        data = (off_t)c->size;
    hole = (uint64_t)data < c->size ? lseek(c->fd, data, SEEK_HOLE) : data;
    c->data_end = hole < 0 || (uint64_t)hole > c->size ? c->size : (uint64_t)hole;
    if ((uint64_t)data > c->at) {
        emit(b, &(ferry_tree_record){.type = FERRY_TREE_HOLE,
                                     .size = (uint64_t)data - c->at});
        c->at = (uint64_t)data;
    }
    return 1;
}

static ssize_t read_at(const ferry_content *c, uint8_t *p, size_t len)
{
    size_t blocks = (len + FERRY_BUF_ALIGN - 1) / FERRY_BUF_ALIGN * FERRY_BUF_ALIGN;
    ssize_t n = -1;
    errno = EINVAL;
    if (c->direct >= 0 && c->at % FERRY_BUF_ALIGN == 0 &&
        (uintptr_t)p % FERRY_BUF_ALIGN == 0)
        n = pread(c->direct, p, blocks, (off_t)c->at);
    if (n < 0 && errno == EINVAL)
        n = pread(c->fd, p, len, (off_t)c->at);
    return n < 0 ? -errno : n > (ssize_t)len ? (ssize_t)len : n;
}

/* Appends bytes behind a DATA header, as many as there are at once. */
static int small(ferry_content *c, ferry_buf *b, size_t want)
{
    uint8_t *header = b->data + b->len;
    size_t room = ferry_buf_room(b) - FERRY_TREE_HEADER;
    ssize_t n = read_at(c, header + FERRY_TREE_HEADER, want < room ? want : room);
    if (n <= 0) {
        c->broken = n < 0 ? (int)n : -FERRY_ECHANGED;
        return finish(c, b);
    }
    ferry_tree_encode(&(ferry_tree_record){.type = FERRY_TREE_DATA, .size = (uint64_t)n},
                      header);
    b->len += FERRY_TREE_HEADER + (size_t)n;
    c->at += (uint64_t)n;
    return 1;
}

int ferry_content_next(ferry_content *c, ferry_buf *b)
{
    if (c->broken || c->at == c->size)
        return finish(c, b);
    if (c->at == c->data_end)
        return next_extent(c, b);

    uint64_t run = c->data_end - c->at;
    if (run < BULK)
        return small(c, b, (size_t)run);
    c->announced = run < DATA_MAX ? run : DATA_MAX;
    ferry_tree_record data = {.type = FERRY_TREE_DATA, .size = c->announced};
    emit(b, &data);
    return 1;
}

int ferry_content_bulk(ferry_content *c, ferry_buf *b)
{
    size_t want = c->announced < b->cap ? (size_t)c->announced : b->cap;
    while (b->len < want && !c->broken) {
        ssize_t n = read_at(c, b->data + b->len, want - b->len);
        if (n <= 0) {
            c->broken = n < 0 ? (int)n : -FERRY_ECHANGED;
            break;
        }
        b->len += (size_t)n;
        c->at += (uint64_t)n;
    }
    memset(b->data + b->len, 0, want - b->len);
    b->len = want;
    c->announced -= want;
    return 1;
}
