/* Whatever the records of a tree say, nothing is made or changed outside the directory it is made in: not by
 * "..", not by a slash, not through a link that the tree, or somebody else meanwhile, has planted.
 * What no sender sends is FERRY_EPROTO. */
#include "pair.h"

#include "base/auto.h"

#include <guestferry/error.h>

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static struct bytes b;

static int build(void)
{
    struct pair p = {.go_on = true};
    return pair_build(&p, b.data, b.len, "t");
}

static void outside_is_untouched(void)
{
    assert_true(file_is("outside/victim", "mine"));
    assert_int_equal(count_names("outside"), 1);
    assert_int_equal(look("outside").st_mode & 07777, 0755);
    assert_int_equal(look("outside/victim").st_mode & 07777, 0600);
}

static void names_that_are_paths(void **state)
{
    (void)state;
    static const char *const bad[] = {"..",         ".",   "../outside/x",
                                      "/outside/x", "a/b", "sub/../../outside/victim",
                                      "../outside", "a/",  ""};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        const ferry_tree_record kinds[] =
            {{.type = FERRY_TREE_DIR, .name = bad[i]},
             {.type = FERRY_TREE_FILE, .name = bad[i]},
             {.type = FERRY_TREE_SYMLINK, .name = bad[i], .target = "x"},
             {.type = FERRY_TREE_LINK, .name = bad[i], .link = 1}};
        for (size_t k = 0; k < 4; k++) {
            b.len = 0;
            put_dir(&b, "");
            put(&b, kinds[k]);
            assert_int_equal(build(), -FERRY_EPROTO);
            outside_is_untouched();
        }
    }
}

/* The classic: first a link, then something by that name. */
static void a_link_of_the_tree_itself(void **state)
{
    (void)state;
    static const char *const targets[] = {"../../outside", "/tmp", ".", ".."};
    for (size_t i = 0; i < 4; i++) {
        struct pair p = {.go_on = true};
        pair_reset();
        b.len = 0;
        put_dir(&b, "");
        put(&b, (ferry_tree_record){.type = FERRY_TREE_SYMLINK,
                                    .name = "x",
                                    .target = targets[i]});
        put_dir(&b, "x");
        put_file(&b, "victim", "evil");
        put_dir(&b, "deeper");
        put_file(&b, "f", "evil");
        put_leave(&b);
        put_leave(&b);
        put_file(&b, "after", "fine");
        put_leave(&b);
        assert_int_equal(pair_build(&p, b.data, b.len, "t"), 0);
        assert_int_equal(p.n, 1);
        assert_string_equal(p.path[0], "x");
        assert_int_equal(p.code[0], -ENOTDIR);
        assert_true(S_ISLNK(look("to/t/x").st_mode));
        assert_true(file_is("to/t/after", "fine"));
        assert_int_equal(count_names("to/t"), 2);
        outside_is_untouched();
    }
}

static void a_file_replaces_a_link_itself(void **state)
{
    (void)state;
    make_dir("to/t", 0755);
    assert_int_equal(symlink("../../outside/victim", "to/t/f"), 0);
    b.len = 0;
    put_dir(&b, "");
    put_file(&b, "f", "new");
    put(&b, (ferry_tree_record){.type = FERRY_TREE_SYMLINK,
                                .name = "l",
                                .target = "../../outside/victim"});
    put_file(&b, "l", "new");
    put_leave(&b);
    assert_int_equal(build(), 0);
    assert_true(file_is("to/t/f", "new"));
    assert_true(file_is("to/t/l", "new"));
    outside_is_untouched();
}

/* Somebody else moves things about between the records. */
static void what_is_planted_meanwhile(void **state)
{
    (void)state;
    const ferry_tree_builder_opts o = {.no_owners = true};
    ferry_tree_builder *t = NULL;
    assert_int_equal(ferry_tree_builder_new(open("to", O_RDONLY | O_DIRECTORY), "t", &o,
                                            &t),
                     0);
    b.len = 0;
    put_dir(&b, "");
    put_dir(&b, "d");
    assert_int_equal(ferry_tree_build(t, b.data, b.len), 0);

    assert_int_equal(rename("to/t/d", "to/moved"), 0);
    assert_int_equal(symlink("../../outside", "to/t/d"), 0);
    b.len = 0;
    put_file(&b, "victim", "evil");
    put_leave(&b);
    put_leave(&b);
    assert_int_equal(ferry_tree_build(t, b.data, b.len), 0);
    ferry_tree_builder_free(t);
    outside_is_untouched();
    assert_true(file_is("to/moved/victim", "evil")); /* the directory that was made */
}

/* A hard link is of a file that was made here, not of what has its name by then. */
static void a_twin_that_was_exchanged(void **state)
{
    (void)state;
    const ferry_tree_builder_opts o = {.no_owners = true};
    ferry_tree_builder *t = NULL;
    assert_int_equal(ferry_tree_builder_new(open("to", O_RDONLY | O_DIRECTORY), "t", &o,
                                            &t),
                     0);
    b.len = 0;
    put_dir(&b, "");
    put(&b, (ferry_tree_record){.type = FERRY_TREE_FILE, .name = "a", .link = 1});
    put(&b, (ferry_tree_record){.type = FERRY_TREE_DONE});
    assert_int_equal(ferry_tree_build(t, b.data, b.len), 0);

    assert_int_equal(link("outside/victim", "to/t/swap"), 0);
    assert_int_equal(rename("to/t/swap", "to/t/a"), 0);
    b.len = 0;
    put(&b, (ferry_tree_record){.type = FERRY_TREE_LINK, .name = "twin", .link = 1});
    assert_int_equal(ferry_tree_build(t, b.data, b.len), -ENOENT);
    ferry_tree_builder_free(t);
    assert_false(is_there("to/t/twin"));
    assert_int_equal(look("outside/victim").st_nlink, 2);
}

/* ---- what no sender sends ------------------------------------------------------------------ */

#define R(...) ((ferry_tree_record){__VA_ARGS__})

static void refused(const char *what, const ferry_tree_record *r, size_t n)
{
    pair_reset();
    b.len = 0;
    put_dir(&b, "");
    for (size_t i = 0; i < n; i++)
        put(&b, r[i]);
    int code = build();
    if (code != -FERRY_EPROTO)
        print_error("%s: %d\n", what, code);
    assert_int_equal(code, -FERRY_EPROTO);
    outside_is_untouched();
}

#define REFUSED(what, ...)                                                             \
    refused(what, (const ferry_tree_record[]){__VA_ARGS__},                            \
            sizeof((const ferry_tree_record[]){__VA_ARGS__}) /                         \
                sizeof(ferry_tree_record))

static void records_out_of_order(void **state)
{
    (void)state;
    REFUSED("the end is missing");
    REFUSED("more is left than was entered", R(.type = FERRY_TREE_LEAVE),
            R(.type = FERRY_TREE_LEAVE));
    REFUSED("a second tree", R(.type = FERRY_TREE_LEAVE),
            R(.type = FERRY_TREE_DIR, .name = "u"));
    REFUSED("done without a file", R(.type = FERRY_TREE_DONE));
    REFUSED("failed without a file", R(.type = FERRY_TREE_FAILED, .code = -5));
    REFUSED("a hole without a file", R(.type = FERRY_TREE_HOLE, .size = 1));
    REFUSED("data without a file", R(.type = FERRY_TREE_DATA, .size = 1));
    REFUSED("a total at the end", R(.type = FERRY_TREE_TOTAL));
    REFUSED("a file in a file", R(.type = FERRY_TREE_FILE, .name = "f", .size = 1),
            R(.type = FERRY_TREE_FILE, .name = "g"));
    REFUSED("a directory in a file", R(.type = FERRY_TREE_FILE, .name = "f"),
            R(.type = FERRY_TREE_LEAVE));
    REFUSED("too short", R(.type = FERRY_TREE_FILE, .name = "f", .size = 2),
            R(.type = FERRY_TREE_HOLE, .size = 1), R(.type = FERRY_TREE_DONE));
    REFUSED("a hole too long", R(.type = FERRY_TREE_FILE, .name = "f", .size = 2),
            R(.type = FERRY_TREE_HOLE, .size = 3));
    REFUSED("data too long", R(.type = FERRY_TREE_FILE, .name = "f", .size = 2),
            R(.type = FERRY_TREE_DATA, .size = 3));
    REFUSED("numbers with gaps", R(.type = FERRY_TREE_FILE, .name = "f", .link = 2));
    REFUSED("a twin of nothing", R(.type = FERRY_TREE_LINK, .name = "f", .link = 1));
    REFUSED("an attribute after the data",
            R(.type = FERRY_TREE_FILE, .name = "f", .size = 2),
            R(.type = FERRY_TREE_HOLE, .size = 1),
            R(.type = FERRY_TREE_XATTR, .name = "user.x"));
    REFUSED("an attribute of nothing", R(.type = FERRY_TREE_DIR, .name = "d"),
            R(.type = FERRY_TREE_LEAVE), R(.type = FERRY_TREE_XATTR, .name = "user.x"));
    REFUSED("a mode with a type",
            R(.type = FERRY_TREE_DIR, .name = "d", .meta = {.mode = 0100644}));
}

/* More attributes than one entry has. */
static void attributes_without_end(void **state)
{
    (void)state;
    static const uint8_t value[60000];
    b.len = 0;
    put_dir(&b, "");
    put(&b, R(.type = FERRY_TREE_FILE, .name = "f"));
    for (int i = 0; i < 2; i++)
        put(&b, R(.type = FERRY_TREE_XATTR, .name = "user.x", .value = value,
                  .value_len = sizeof value));
    assert_int_equal(build(), -FERRY_EPROTO);
}

/* A tree that ends anywhere leaves whole files, and no parts of any. */
static void cut_anywhere(void **state)
{
    (void)state;
    struct stat st;
    b.len = 0;
    put_dir(&b, "");
    put_file(&b, "a", "whole a");
    put_dir(&b, "d");
    put_file(&b, "b", "whole b");
    put_leave(&b);
    put_leave(&b);
    const size_t all = b.len;
    for (size_t n = 0; n < all; n++) {
        struct pair p = {0};
        pair_reset();
        assert_int_equal(pair_build(&p, b.data, n, "t"), -FERRY_EPROTO);
        assert_true(!is_there("to/t/a") || file_is("to/t/a", "whole a"));
        assert_true(!is_there("to/t/d/b") || file_is("to/t/d/b", "whole b"));
        assert_int_equal(count_names("to"), stat("to/t", &st) == 0);
    }
    assert_int_equal(build(), 0);
}

/* Every byte of a good tree turned into every other that differs in one bit, and noise: any answer, but
 * nothing outside, and no crash (this is run under the sanitizers, too). */
static void flipped_bits(void **state)
{
    (void)state;
    b.len = 0;
    put_dir(&b, "");
    put_file(&b, "a", "x");
    put(&b, R(.type = FERRY_TREE_SYMLINK, .name = "l", .target = "../../outside"));
    put(&b, R(.type = FERRY_TREE_FILE, .name = "f", .link = 1));
    put(&b, R(.type = FERRY_TREE_DONE));
    put(&b, R(.type = FERRY_TREE_LINK, .name = "g", .link = 1));
    put_dir(&b, "d");
    put_leave(&b);
    put_leave(&b);
    for (size_t i = 0; i < b.len * 8; i++) {
        b.data[i / 8] ^= (uint8_t)(1 << i % 8);
        (void)build();
        b.data[i / 8] ^= (uint8_t)(1 << i % 8);
    }
    outside_is_untouched();
}

static int fresh(void **state)
{
    (void)state;
    pair_reset();
    return 0;
}

#define TEST(name) cmocka_unit_test_setup(name, fresh)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(names_that_are_paths),
        TEST(a_link_of_the_tree_itself),
        TEST(a_file_replaces_a_link_itself),
        TEST(what_is_planted_meanwhile),
        TEST(a_twin_that_was_exchanged),
        TEST(records_out_of_order),
        TEST(attributes_without_end),
        TEST(cut_anywhere),
        TEST(flipped_bits),
    };
    return cmocka_run_group_tests(tests, pair_setup, pair_teardown);
}
