/* checksum: the content of a file through libnettle, a piece at a time on a pool thread. crc is
 * POSIX cksum's, which no library has. */
#include "checksum.h"
#include "root.h"

#include "base/auto.h"
#include "block.h"
#include "devices.h"

#include <fcntl.h>
#include <nettle/nettle-meta.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* One job; under TCG about 10 ms of sha512. */
#define PIECE (1024 * 1024)

#define MAX_DIGEST 64 /* sha512 */

/* ---- crc -------------------------------------------------------------------------------- */

#define CRC_POLYNOMIAL 0x04c11db7u

static void crc_table(uint32_t table[256])
{
    for (uint32_t i = 0; i < 256; i++) {
        uint32_t v = i << 24;
        for (int bit = 0; bit < 8; bit++)
            v = v << 1 ^ (v & 0x80000000u ? CRC_POLYNOMIAL : 0);
        table[i] = v;
    }
}

void ferryd_crc_init(struct ferryd_crc *c)
{
    *c = (struct ferryd_crc){0};
    crc_table(c->table);
}

void ferryd_crc_add(struct ferryd_crc *c, const void *data, size_t len)
{
    const uint8_t *p = data;
    uint32_t v = c->value;
    for (size_t i = 0; i < len; i++)
        v = v << 8 ^ c->table[v >> 24 ^ p[i]];
    c->value = v;
    c->length += len;
}

/* The length follows the data, its lowest byte first, without leading zeroes. */
uint32_t ferryd_crc_end(struct ferryd_crc *c)
{
    uint64_t length = c->length;
    for (uint64_t n = length; n; n >>= 8) {
        uint8_t byte = (uint8_t)n;
        ferryd_crc_add(c, &byte, 1);
    }
    return ~c->value;
}

/* ---- a sum of either kind ------------------------------------------------------------------ */

struct sum {
    struct ferryd_call *call;
    const char *path;
    ferry_file *root; /* NULL: a device */
    int fd;
    uint8_t *piece;
    int r;                          /* of a job */
    const struct nettle_hash *hash; /* NULL: crc */
    void *state;
    struct ferryd_crc crc;
    char text[2 * MAX_DIGEST + 1];
};

static const struct nettle_hash *find_hash(const char *name)
{
    static const struct nettle_hash *const hashes[] = {
        &nettle_md5,    &nettle_sha1,   &nettle_sha224,
        &nettle_sha256, &nettle_sha384, &nettle_sha512,
    };
    for (size_t i = 0; i < sizeof hashes / sizeof *hashes; i++)
        if (strcmp(hashes[i]->name, name) == 0)
            return hashes[i];
    return NULL;
}

static int sum_init(struct sum *s, const char *type)
{
    s->hash = find_hash(type);
    if (!s->hash && strcmp(type, "crc") != 0)
        return -EINVAL;
    if (!s->hash) {
        ferryd_crc_init(&s->crc);
        return 0;
    }
    s->state = malloc(s->hash->context_size);
    if (!s->state)
        return -ENOMEM;
    s->hash->init(s->state);
    return 0;
}

static void sum_end(struct sum *s)
{
    uint8_t digest[MAX_DIGEST];
    if (!s->hash) {
        snprintf(s->text, sizeof s->text, "%u", ferryd_crc_end(&s->crc));
        return;
    }
    s->hash->digest(s->state, s->hash->digest_size, digest);
    for (size_t i = 0; i < s->hash->digest_size; i++)
        snprintf(s->text + 2 * i, 3, "%02x", digest[i]);
}

static int check_kind(int fd)
{
    struct stat st;
    if (fstat(fd, &st) < 0)
        return -errno;
    if (!S_ISREG(st.st_mode) && !S_ISBLK(st.st_mode))
        return S_ISDIR(st.st_mode) ? -EISDIR : -EINVAL;
    return 0;
}

static void open_run(void *arg)
{
    struct sum *s = arg;
    int flags = O_RDONLY | O_NONBLOCK | O_NOCTTY;
    s->fd = s->root ? ferryd_at_open(s->root->fd, s->path, flags, 0)
                    : open(s->path, flags | O_CLOEXEC);
    s->r = s->fd < 0 ? (s->root ? s->fd : -errno) : check_kind(s->fd);
}

/* r > 0: there may be more. */
static void add_run(void *arg)
{
    struct sum *s = arg;
    ssize_t n = read(s->fd, s->piece, PIECE);
    s->r = n < 0 ? -errno : (int)n;
    if (n > 0 && s->hash)
        s->hash->update(s->state, (size_t)n, s->piece);
    else if (n > 0)
        ferryd_crc_add(&s->crc, s->piece, (size_t)n);
}

/* A job for each piece, so that a long file neither keeps a pool thread from other calls nor a
 * cancel waiting. */
static FERRY_CO int sum_all(struct sum *s)
{
    int r = ferryd_block(open_run, s);
    if (r == 0)
        r = s->r;
    while (r == 0) {
        r = ferryd_block_bulk(add_run, s);
        if (r == 0 && s->r == 0)
            break;
        if (r == 0 && s->r < 0)
            r = s->r;
    }
    if (r == 0)
        sum_end(s);
    return r;
}

static FERRY_CO int checksum(struct sum *s, ferry_error *e)
{
    int r = ferryd_is_device(s->path) ? 0 : ferryd_root_get(s->call, &s->root, e);
    if (r < 0)
        return r;
    s->piece = malloc(PIECE);
    r = s->piece ? sum_all(s) : -ENOMEM;
    return r < 0 ? ferryd_fail(s->call, e, r, s->path) : 0;
}

int ferryd_checksum(struct ferryd_call *c, const fx_checksum_args *a,
                    fx_checksum_ret *ret, ferry_error *e)
{
    struct sum s = {.call = c, .path = a->path, .fd = -1};
    int r = sum_init(&s, a->csumtype);
    if (r == -EINVAL)
        r = ferryd_failf(c, e,
                         r, "%s: not one of crc, md5, sha1, sha224, sha256, sha384, sha512",
                         a->csumtype);
    if (r == 0)
        r = checksum(&s, e);
    if (r == 0) {
        ret->value = strdup(s.text);
        r = ret->value ? 0 : -ENOMEM;
    }
    if (s.fd >= 0)
        close(s.fd); /* opened for reading: has nothing to wait for */
    ferry_file_unref(s.root);
    free(s.piece);
    free(s.state);
    return r;
}
