/* Records to bytes and back: see wire.h. */
#include "tree/wire.h"

#include "base/bytes.h"

#include <guestferry/error.h>

#include <string.h>

#define META_LEN 36

#define FILES_MAX INT64_MAX /* no file is longer, no tree has more */

/* Of each type: the numbers at the start of its body, and how many texts follow. */
static const struct shape {
    bool meta;
    uint8_t numbers; /* bytes */
    uint8_t texts;
    bool value; /* bytes up to the end */
} shapes[] = {
    [FERRY_TREE_TOTAL] = {.numbers = 16},
    [FERRY_TREE_DIR] = {.meta = true, .texts = 1},
    [FERRY_TREE_FILE] = {.meta = true, .numbers = 12, .texts = 1},
    [FERRY_TREE_SYMLINK] = {.meta = true, .texts = 2},
    [FERRY_TREE_LINK] = {.numbers = 4, .texts = 1},
    [FERRY_TREE_XATTR] = {.texts = 1, .value = true},
    [FERRY_TREE_DATA] = {0},
    [FERRY_TREE_HOLE] = {.numbers = 8},
    [FERRY_TREE_DONE] = {0},
    [FERRY_TREE_FAILED] = {.numbers = 4},
    [FERRY_TREE_PROBLEM] = {.numbers = 4, .texts = 1},
    [FERRY_TREE_LEAVE] = {0},
};

bool ferry_tree_name_ok(const char *name)
{
    return *name && strcmp(name, ".") != 0 && strcmp(name, "..") != 0 &&
           !strchr(name, '/') && strlen(name) <= FERRY_TREE_NAME;
}

/* ---- encoding ------------------------------------------------------------------------- */

size_t ferry_tree_length(const ferry_tree_record *r)
{
    const struct shape *s = &shapes[r->type];
    size_t n = FERRY_TREE_HEADER + s->numbers;
    if (s->meta)
        n += META_LEN;
    if (s->texts > 0)
        n += strlen(r->name) + 1;
    if (s->texts > 1)
        n += strlen(r->target) + 1;
    return s->value ? n + r->value_len : n;
}

static uint8_t *put_time(uint8_t *p, struct timespec t)
{
    ferry_put64(p, (uint64_t)t.tv_sec);
    ferry_put32(p + 8, (uint32_t)t.tv_nsec);
    return p + 12;
}

static uint8_t *put_meta(uint8_t *p, const ferry_tree_meta *m)
{
    ferry_put32(p, m->mode);
    ferry_put32(p + 4, m->uid);
    ferry_put32(p + 8, m->gid);
    return put_time(put_time(p + 12, m->atime), m->mtime);
}

static uint8_t *put_numbers(uint8_t *p, const ferry_tree_record *r)
{
    switch (r->type) {
    case FERRY_TREE_TOTAL:
        ferry_put64(p, r->files);
        ferry_put64(p + 8, r->size);
        break;
    case FERRY_TREE_FILE:
        ferry_put64(p, r->size);
        ferry_put32(p + 8, r->link);
        break;
    case FERRY_TREE_LINK: ferry_put32(p, r->link); break;
    case FERRY_TREE_HOLE: ferry_put64(p, r->size); break;
    case FERRY_TREE_FAILED:
    case FERRY_TREE_PROBLEM: ferry_put32(p, (uint32_t)r->code); break;
    default: break;
    }
    return p + shapes[r->type].numbers;
}

static uint8_t *put_bytes(uint8_t *p, const void *data, size_t len)
{
    memcpy(p, data, len);
    return p + len;
}

void ferry_tree_encode(const ferry_tree_record *r, uint8_t *p)
{
    const struct shape *s = &shapes[r->type];
    size_t len = r->type == FERRY_TREE_DATA ? (size_t)r->size
                                            : ferry_tree_length(r) - FERRY_TREE_HEADER;
    memset(p, 0, 4);
    p[0] = (uint8_t)r->type;
    ferry_put32(p + 4, (uint32_t)len);
    p += FERRY_TREE_HEADER;

    if (s->meta)
        p = put_meta(p, &r->meta);
    p = put_numbers(p, r);
    if (s->texts > 0)
        p = put_bytes(p, r->name, strlen(r->name) + 1);
    if (s->texts > 1)
        p = put_bytes(p, r->target, strlen(r->target) + 1);
    if (s->value && r->value_len > 0)
        put_bytes(p, r->value, r->value_len);
}

/* ---- decoding ------------------------------------------------------------------------- */

int ferry_tree_decode_header(const uint8_t *p, ferry_tree_type *ret_type,
                             uint32_t *ret_len)
{
    uint32_t len = ferry_get32(p + 4);
    if (p[0] < FERRY_TREE_TOTAL || p[0] > FERRY_TREE_LEAVE || p[1] || p[2] || p[3])
        return -FERRY_EPROTO;
    if (p[0] != FERRY_TREE_DATA && len > FERRY_TREE_BODY)
        return -FERRY_EPROTO;
    if (p[0] == FERRY_TREE_DATA && len == 0)
        return -FERRY_EPROTO;
    *ret_type = p[0];
    *ret_len = len;
    return 0;
}

static bool get_time(const uint8_t *p, struct timespec *ret)
{
    uint32_t nsec = ferry_get32(p + 8);
    ret->tv_sec = (time_t)(int64_t)ferry_get64(p);
    ret->tv_nsec = nsec;
    return nsec < 1000000000;
}

static bool get_meta(const uint8_t *p, ferry_tree_meta *ret)
{
    ret->mode = ferry_get32(p);
    ret->uid = ferry_get32(p + 4);
    ret->gid = ferry_get32(p + 8);
    return (ret->mode & ~07777U) == 0 && get_time(p + 12, &ret->atime) &&
           get_time(p + 24, &ret->mtime);
}

static bool get_numbers(const uint8_t *p, ferry_tree_record *r)
{
    switch (r->type) {
    case FERRY_TREE_TOTAL:
        r->files = ferry_get64(p);
        r->size = ferry_get64(p + 8);
        return true;
    case FERRY_TREE_FILE:
        r->size = ferry_get64(p);
        r->link = ferry_get32(p + 8);
        return r->size <= FILES_MAX && r->link <= FERRY_TREE_LINKS;
    case FERRY_TREE_LINK:
        r->link = ferry_get32(p);
        return r->link > 0 && r->link <= FERRY_TREE_LINKS;
    case FERRY_TREE_HOLE: r->size = ferry_get64(p); return r->size <= FILES_MAX;
    case FERRY_TREE_FAILED:
    case FERRY_TREE_PROBLEM: r->code = (int32_t)ferry_get32(p); return r->code <= 0;
    default: return true;
    }
}

/* A text at *p; moves *p behind its 0. NULL: there is none. */
static const char *get_text(const uint8_t **p, const uint8_t *end)
{
    const char *text = (const char *)*p;
    const uint8_t *zero = *p < end ? memchr(*p, 0, (size_t)(end - *p)) : NULL;
    if (!zero)
        return NULL;
    *p = zero + 1;
    return text;
}

static bool texts_ok(const ferry_tree_record *r)
{
    switch (r->type) {
    case FERRY_TREE_DIR:
    case FERRY_TREE_FILE: return !*r->name || ferry_tree_name_ok(r->name);
    case FERRY_TREE_SYMLINK:
        return (!*r->name || ferry_tree_name_ok(r->name)) && *r->target;
    case FERRY_TREE_LINK: return ferry_tree_name_ok(r->name);
    case FERRY_TREE_XATTR:
        return *r->name && strlen(r->name) <= FERRY_TREE_XATTR_NAME &&
               r->value_len <= FERRY_TREE_XATTR_VALUE;
    default: return true;
    }
}

int ferry_tree_decode(ferry_tree_type type, const uint8_t *body, size_t len,
                      ferry_tree_record *ret)
{
    const struct shape *s = &shapes[type];
    const uint8_t *p = body, *end = body + len;
    ferry_tree_record r = {.type = type};
    if (len < s->numbers + (s->meta ? (size_t)META_LEN : 0))
        return -FERRY_EPROTO;

    if (s->meta && !get_meta(p, &r.meta))
        return -FERRY_EPROTO;
    p += s->meta ? META_LEN : 0;
    if (!get_numbers(p, &r))
        return -FERRY_EPROTO;
    p += s->numbers;
    if (s->texts > 0 && !(r.name = get_text(&p, end)))
        return -FERRY_EPROTO;
    if (s->texts > 1 && !(r.target = get_text(&p, end)))
        return -FERRY_EPROTO;
    if (s->value) {
        r.value = p;
        r.value_len = (size_t)(end - p);
        p = end;
    }
    if (p != end || !texts_ok(&r))
        return -FERRY_EPROTO;
    *ret = r;
    return 0;
}
