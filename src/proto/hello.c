/* HELLO: the first frame in each direction, which says who is there.
 *
 *      0       4         6          7        7+h        8+h
 *      | magic | version | h = hash | hash.. | b = build | build.. |
 *
 * Owns the exchange before ferry_conn_run(); called through conn.h. This layout is the
 * one thing that may never change: it is how builds that differ find out. */
#include "base/bytes.h"
#include "base/error.h"
#include "base/trace.h"
#include "proto/internal.h"

#include <assert.h>
#include <stdio.h>

#define MAGIC 0x47665279u /* "GfRy" */
#define VERSION 2
#define HASH_MAX 64
#define BUILD_MAX 128

_Static_assert(8 + HASH_MAX + BUILD_MAX <= FERRY_HELLO_MAX,
               "HELLO does not hold its parts");
_Static_assert(FERRY_HELLO_MIN >= 8, "HELLO_MIN is shorter than the fixed part");

struct hello {
    uint16_t version;
    char hash[HASH_MAX + 1];
    char build[BUILD_MAX + 1];
};

static size_t put_text(uint8_t *p, const char *text, size_t max)
{
    size_t len = strnlen(text, max);
    p[0] = (uint8_t)len;
    memcpy(p + 1, text, len);
    return 1 + len;
}

static size_t encode(uint8_t *out, const char *hash, const char *build, bool again)
{
    uint8_t *payload = out + FERRY_FRAME_HEADER;
    ferry_put32(payload, MAGIC);
    payload[4] = VERSION >> 8;
    payload[5] = VERSION & 0xff;
    size_t len = 6;
    len += put_text(payload + len, hash, HASH_MAX);
    len += put_text(payload + len, build, BUILD_MAX);

    ferry_frame f = {.length = (uint32_t)len,
                     .type = FERRY_HELLO,
                     .flags = again ? FERRY_FRAME_AGAIN : 0};
    ferry_frame_encode(&f, out);
    return FERRY_FRAME_HEADER + len;
}

/* A text of the peer's that is going to be shown to a person. Moves *p past it. */
static int get_text(const uint8_t **p, const uint8_t *end, size_t max, char *ret)
{
    if (*p == end || **p > max || **p > end - *p - 1)
        return -FERRY_EPROTO;
    size_t len = *(*p)++;
    for (size_t i = 0; i < len; i++) {
        uint8_t ch = (*p)[i];
        ret[i] = ch >= 0x20 && ch < 0x7f ? (char)ch : '?';
    }
    ret[len] = '\0';
    *p += len;
    return 0;
}

static int decode(const uint8_t *payload, size_t len, struct hello *ret)
{
    const uint8_t *p = payload + 6, *end = payload + len;
    if (len < 8 || ferry_get32(payload) != MAGIC)
        return -FERRY_EPROTO;
    ret->version = (uint16_t)(payload[4] << 8 | payload[5]);
    if (get_text(&p, end, HASH_MAX, ret->hash) < 0 ||
        get_text(&p, end, BUILD_MAX, ret->build) < 0 || p != end)
        return -FERRY_EPROTO;
    return 0;
}

static FERRY_CO int receive(ferry_conn *c, struct hello *ret, bool *ret_again)
{
    ferry_frame f;
    const uint8_t *payload;
    int r = ferry_reader_first(c, &f, &payload);
    if (r < 0)
        return r;
    if (f.type != FERRY_HELLO)
        return ferry_conn_violation(c, "%s before HELLO", ferry_frame_name(f.type));
    if (decode(payload, f.length, ret) < 0)
        return ferry_conn_violation(c, "the peer's HELLO is not one of ours");
    *ret_again = f.flags & FERRY_FRAME_AGAIN;
    if (*ret_again && !c->opts.server)
        return ferry_conn_violation(c, "the daemon asks for another HELLO");
    return 0;
}

static FERRY_CO int say(ferry_conn *c, const char *hash, const char *build)
{
    uint8_t ours[FERRY_FRAME_HEADER + FERRY_HELLO_MAX];
    struct iovec iov = {ours, encode(ours, hash, build, c->opts.again)};
    return ferry_link_write(c->link, &iov, 1);
}

/* Ours goes out before theirs is judged, so that both sides can name both builds. A daemon
 * that came out of a template has said its own when that was made; it says it again. */
static FERRY_CO int exchange(ferry_conn *c, const char *hash, const char *build,
                             struct hello *ret_theirs)
{
    bool again = false;
    int r = say(c, hash, build);
    if (r == 0)
        r = receive(c, ret_theirs, &again);
    if (r == 0 && again)
        r = say(c, hash, build);
    return r;
}

static int judge(const ferry_conn *c, const struct hello *theirs, const char *hash,
                 const char *build, ferry_error *e)
{
    const char *them = c->opts.server ? "library" : "daemon";
    const char *us = c->opts.server ? "daemon" : "library";
    FERRY_TRACE(proto, "%s is build %s (%s), protocol %u", them, theirs->build,
                theirs->hash, theirs->version);
    if (theirs->version == VERSION && strcmp(theirs->hash, hash) == 0)
        return 0;
    return ferry_fail(e, -FERRY_EMISMATCH, "hello",
                      "the %s is build %.60s (API %.12s), this %s is build %.60s (API "
                      "%.12s): rebuild the appliance",
                      them, theirs->build, theirs->hash, us, build, hash);
}

FERRY_CO int ferry_conn_hello(ferry_conn *c, const char *hash, const char *build,
                              ferry_error *e)
{
    assert(strlen(hash) <= HASH_MAX &&
           "the API hash is longer than HELLO has room for");
    assert(!c->greeted && "ferry_conn_hello twice");

    struct hello theirs;
    int r = exchange(c, hash, build, &theirs);
    if (r < 0) {
        ferry_conn_fail(c, r);
        return ferry_fail(e, r, "hello", "%s", c->error_text);
    }
    r = judge(c, &theirs, hash, build, e);
    if (r < 0) {
        ferry_conn_fail(c, r);
        return r;
    }
    c->greeted = true;
    return 0;
}

FERRY_CO int ferry_conn_listen(ferry_conn *c, const char *hash, const char *build,
                               ferry_error *e)
{
    struct hello theirs;
    bool again;
    int r = receive(c, &theirs, &again);
    if (r < 0) {
        ferry_conn_fail(c, r);
        return ferry_fail(e, r, "hello", "%s", c->error_text);
    }
    return judge(c, &theirs, hash, build, e);
}
