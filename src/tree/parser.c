/* See parser.h. */
#include "tree/parser.h"

#include <string.h>

/* The record at `at`, of which n bytes are here. Returns the bytes it took, 0 if it is not whole. */
static long take_record(ferry_tree_parser *p, const uint8_t *at, size_t n)
{
    ferry_tree_type type;
    ferry_tree_record r;
    uint32_t len;
    if (n < FERRY_TREE_HEADER)
        return 0;
    int e = ferry_tree_decode_header(at, &type, &len);
    if (e < 0)
        return e;
    if (type == FERRY_TREE_DATA) {
        r = (ferry_tree_record){.type = type, .size = len};
        p->data_left = len;
        e = p->record(p->user, &r);
        return e ? e : FERRY_TREE_HEADER;
    }
    if (n < FERRY_TREE_HEADER + len)
        return 0;
    e = ferry_tree_decode(type, at + FERRY_TREE_HEADER, len, &r);
    if (e == 0)
        e = p->record(p->user, &r);
    return e ? e : FERRY_TREE_HEADER + (long)len;
}

/* A record that came in parts: adds as much as it lacks. Returns the bytes taken from data. */
static long take_partial(ferry_tree_parser *p, const uint8_t *data, size_t len)
{
    size_t want = FERRY_TREE_HEADER;
    if (p->have >= FERRY_TREE_HEADER) {
        ferry_tree_type type;
        uint32_t body;
        int e = ferry_tree_decode_header(p->partial, &type, &body);
        if (e < 0)
            return e;
        want += type == FERRY_TREE_DATA ? 0 : body;
    }
    size_t n = want - p->have < len ? want - p->have : len;
    memcpy(p->partial + p->have, data, n);
    p->have += n;
    if (p->have < want)
        return (long)n;
    long taken = take_record(p, p->partial, p->have);
    if (taken > 0)
        p->have = 0;
    return taken < 0 ? taken : (long)n;
}

int ferry_tree_parse(ferry_tree_parser *p, const uint8_t *data, size_t len)
{
    while (len > 0) {
        long n;
        if (p->data_left > 0) {
            n = p->data_left < len ? (long)p->data_left : (long)len;
            p->data_left -= (uint32_t)n;
            int e = p->data(p->user, data, (size_t)n);
            if (e)
                return e;
        } else {
            n = p->have > 0 ? 0 : take_record(p, data, len);
            if (n == 0)
                n = take_partial(p, data, len);
        }
        if (n < 0)
            return (int)n;
        data += n;
        len -= (size_t)n;
    }
    return 0;
}

bool ferry_tree_parser_is_between(const ferry_tree_parser *p)
{
    return p->have == 0 && p->data_left == 0;
}
