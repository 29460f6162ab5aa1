/* Every record is decoded as it was encoded; none that is a byte too short or too long is. */
#include "tree/wire.h"

#include <guestferry/error.h>

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

static const ferry_tree_meta meta = {.mode = 07654,
                                     .uid = 1000,
                                     .gid = 4294967294u,
                                     .atime = {-5, 999999999},
                                     .mtime = {1234567890123, 1}};

static const ferry_tree_record records[] = {
    {.type = FERRY_TREE_TOTAL, .files = 1ull << 40, .size = UINT64_MAX},
    {.type = FERRY_TREE_DIR, .name = ""},
    {.type = FERRY_TREE_DIR, .meta = {.mode = 07777}, .name = "..."},
    {.type = FERRY_TREE_FILE, .size = INT64_MAX, .link = FERRY_TREE_LINKS, .name = "f\n"},
    {.type = FERRY_TREE_SYMLINK, .name = "l", .target = "../../x"},
    {.type = FERRY_TREE_LINK, .link = 1, .name = "h"},
    {.type = FERRY_TREE_XATTR,
     .name = "user.x",
     .value = (const uint8_t *)"a\0b",
     .value_len = 3},
    {.type = FERRY_TREE_XATTR, .name = "user.empty"},
    {.type = FERRY_TREE_HOLE, .size = INT64_MAX},
    {.type = FERRY_TREE_DONE},
    {.type = FERRY_TREE_FAILED, .code = -1005},
    {.type = FERRY_TREE_PROBLEM, .code = 0, .name = "a/path/of/a/receiver"},
    {.type = FERRY_TREE_LEAVE},
};

static void same(const ferry_tree_record *a, const ferry_tree_record *b)
{
    assert_int_equal(a->type, b->type);
    assert_memory_equal(&a->meta, &b->meta, sizeof a->meta);
    assert_int_equal(a->files, b->files);
    assert_int_equal(a->size, b->size);
    assert_int_equal(a->link, b->link);
    assert_int_equal(a->code, b->code);
    if (a->name)
        assert_string_equal(a->name, b->name);
    if (a->target)
        assert_string_equal(a->target, b->target);
    assert_int_equal(a->value_len, b->value_len);
    if (a->value_len)
        assert_memory_equal(a->value, b->value, a->value_len);
}

static void there_and_back(void **state)
{
    (void)state;
    uint8_t p[512];
    for (size_t i = 0; i < sizeof records / sizeof *records; i++) {
        ferry_tree_record r = records[i], got;
        ferry_tree_type type;
        uint32_t len;
        if (r.type == FERRY_TREE_FILE || r.type == FERRY_TREE_SYMLINK)
            r.meta = meta;
        size_t n = ferry_tree_length(&r);
        assert_true(n <= sizeof p);
        ferry_tree_encode(&r, p);
        assert_int_equal(ferry_tree_decode_header(p, &type, &len), 0);
        assert_int_equal(FERRY_TREE_HEADER + len, n);
        assert_int_equal(ferry_tree_decode(type, p + FERRY_TREE_HEADER, len, &got), 0);
        same(&r, &got);

        /* An attribute's value may have any length; nothing else is flexible. */
        bool flexible = r.type == FERRY_TREE_XATTR;
        p[n] = 'x';
        assert_int_equal(ferry_tree_decode(type, p + FERRY_TREE_HEADER, len + 1, &got),
                         flexible ? 0 : -FERRY_EPROTO);
        size_t least = flexible ? strlen(r.name) + 1 : len;
        for (uint32_t cut = 0; cut < least; cut++)
            assert_int_equal(ferry_tree_decode(type, p + FERRY_TREE_HEADER, cut, &got),
                             -FERRY_EPROTO);
    }
}

static void headers_that_cannot_be(void **state)
{
    (void)state;
    static const uint8_t bad[][FERRY_TREE_HEADER] = {
        {0, 0, 0, 0, 0, 0, 0, 0},                          /* no such type */
        {FERRY_TREE_LEAVE + 1, 0, 0, 0, 0, 0, 0, 0},       /* neither */
        {FERRY_TREE_DONE, 0, 0, 1, 0, 0, 0, 0},            /* padding */
        {FERRY_TREE_XATTR, 0, 0, 0, 0, 2, 0, 0},           /* longer than any */
        {FERRY_TREE_DIR, 0, 0, 0, 0xff, 0xff, 0xff, 0xff}, /* likewise */
        {FERRY_TREE_DATA, 0, 0, 0, 0, 0, 0, 0},            /* of nothing */
    };
    ferry_tree_type type;
    uint32_t len;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_int_equal(ferry_tree_decode_header(bad[i], &type, &len), -FERRY_EPROTO);
}

static void names(void **state)
{
    (void)state;
    char name[FERRY_TREE_NAME + 2];
    memset(name, 'n', sizeof name);
    name[FERRY_TREE_NAME + 1] = '\0';
    assert_false(ferry_tree_name_ok(name));
    name[FERRY_TREE_NAME] = '\0';
    assert_true(ferry_tree_name_ok(name));
    assert_true(ferry_tree_name_ok("..."));
    assert_true(ferry_tree_name_ok(".x"));
    assert_false(ferry_tree_name_ok(""));
    assert_false(ferry_tree_name_ok("."));
    assert_false(ferry_tree_name_ok(".."));
    assert_false(ferry_tree_name_ok("a/b"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(there_and_back),
        cmocka_unit_test(headers_that_cannot_be),
        cmocka_unit_test(names),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
