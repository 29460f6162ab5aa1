/* An entry that cannot be read or made is named, with its reason, and the others are copied; unless
 * nobody wants to go on without it. A directory stands for all that is in it. */
#include "pair.h"

#include "base/auto.h"

#include <guestferry/error.h>

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <cmocka.h>

static void make_tree(void)
{
    make_dir("from/t", 0755);
    make_dir("from/t/d", 0755);
    make_dir("from/t/d/deeper", 0755);
    make_file("from/t/d/deeper/f", "x", 0644);
    make_file("from/t/d/g", "x", 0644);
    make_file("from/t/f", "new f", 0644);
    make_file("from/t/z", "new z", 0644);
}

static void told(const struct pair *p, const char *path, int code)
{
    for (unsigned i = 0; i < p->n && i < 16; i++)
        if (strcmp(p->path[i], path) == 0 && p->code[i] == code)
            return;
    for (unsigned i = 0; i < p->n && i < 16; i++)
        print_error("told: %s %d\n", p->path[i], p->code[i]);
    fail_msg("not told: %s %d", path, code);
}

static void a_file_where_a_directory_goes(void **state)
{
    (void)state;
    struct pair p = {.go_on = true};
    make_tree();
    make_dir("to/t", 0755);
    make_file("to/t/d", "in the way", 0644);
    make_dir("to/t/f", 0755);
    assert_int_equal(pair_copy(&p, "t", "t"), 0);
    assert_int_equal(p.n, 2);
    told(&p, "d", -ENOTDIR);
    told(&p, "f", -EISDIR);
    assert_true(file_is("to/t/z", "new z"));
    assert_true(file_is("to/t/d", "in the way"));
    assert_int_equal(p.made.files, 1);
}

static void who_does_not_go_on_ends_at_the_first(void **state)
{
    (void)state;
    struct pair p = {0};
    make_tree();
    make_dir("to/t", 0755);
    make_file("to/t/d", "in the way", 0644);
    assert_int_equal(pair_copy(&p, "t", "t"), -ENOTDIR);
    assert_int_equal(p.n, 1);
    told(&p, "d", -ENOTDIR);
}

static void the_tree_itself_cannot_be_left_out(void **state)
{
    (void)state;
    struct pair p = {.go_on = true};
    make_tree();
    make_file("to/t", "in the way", 0644);
    assert_int_equal(pair_copy(&p, "t", "t"), -ENOTDIR);
    assert_int_equal(pair_copy(&p, "nothing", "t"), -ENOENT);
    assert_true(file_is("to/t", "in the way"));
}

static void what_is_no_file_is_skipped(void **state)
{
    (void)state;
    struct pair p = {0};
    make_tree();
    assert_int_equal(mkfifo("from/t/fifo", 0644), 0);
    FERRY_AUTO(fd) int s = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    struct sockaddr_un at = {.sun_family = AF_UNIX, .sun_path = "from/t/d/socket"};
    assert_int_equal(bind(s, (struct sockaddr *)&at, sizeof at), 0);
    assert_int_equal(pair_copy(&p, "t", "t"), 0);
    assert_int_equal(p.n, 2);
    told(&p, "fifo", 0);
    told(&p, "d/socket", 0);
    assert_false(is_there("to/t/fifo"));
    assert_int_equal(count_names("to/t"), 3);
}

/* A file that becomes shorter while it is read is left out; nobody gets zeroes for content. */
static void a_file_that_shrinks(void **state)
{
    (void)state;
    struct pair p = {.go_on = true};
    const ferry_tree_reader_opts o = {0};
    ferry_tree_reader *reader = NULL;
    static struct bytes all;
    make_dir("from/t", 0755);
    make_file("from/t/log", "", 0644);
    assert_int_equal(truncate("from/t/log", 1), 0);
    {
        FERRY_AUTO(fd) int fd = open("from/t/log", O_WRONLY | O_CLOEXEC);
        static const char zeroes[200000] = "x";
        assert_int_equal(write(fd, zeroes, sizeof zeroes), sizeof zeroes);
    }
    FERRY_AUTO(fd) int from = open("from", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    assert_int_equal(ferry_tree_reader_new(from, "t", &o, &reader), 0);
    for (int more = 1, first = 1; more > 0; first = 0) {
        FERRY_AUTO(buf) ferry_buf *piece = NULL;
        assert_int_equal(ferry_buf_new(FERRY_TREE_PIECE, &piece), 0);
        more = ferry_tree_read(reader, piece);
        assert_true(more >= 0);
        assert_true(piece->len <= sizeof all.data - all.len);
        memcpy(all.data + all.len, piece->data, piece->len);
        all.len += piece->len;
        if (first) /* FILE is sent, its bytes are not */
            assert_int_equal(truncate("from/t/log", 100), 0);
    }
    ferry_tree_reader_free(reader);
    assert_int_equal(pair_build(&p, all.data, all.len, "t"), 0);
    assert_int_equal(p.n, 1);
    told(&p, "log", -FERRY_ECHANGED);
    assert_int_equal(count_names("to/t"), 0);
}

/* The images that a VM has open would be read while they grow. */
static void files_that_are_not_to_be_read(void **state)
{
    (void)state;
    struct pair p = {.go_on = true};
    make_tree();
    struct stat st = look("from/t/f");
    const ferry_tree_id id = {st.st_dev, st.st_ino};
    const ferry_tree_reader_opts o = {.skip = &id, .nskip = 1};
    ferry_tree_reader *reader = NULL;
    FERRY_AUTO(fd) int from = open("from", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    FERRY_AUTO(buf) ferry_buf *piece = NULL;
    assert_int_equal(ferry_tree_reader_new(from, "t", &o, &reader), 0);
    assert_int_equal(ferry_buf_new(FERRY_TREE_PIECE, &piece), 0);
    assert_int_equal(ferry_tree_read(reader, piece), 0);
    ferry_tree_reader_free(reader);
    assert_int_equal(pair_build(&p, piece->data, piece->len, "t"), 0);
    told(&p, "f", 0);
    assert_false(is_there("to/t/f"));
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
        TEST(a_file_where_a_directory_goes),
        TEST(who_does_not_go_on_ends_at_the_first),
        TEST(the_tree_itself_cannot_be_left_out),
        TEST(what_is_no_file_is_skipped),
        TEST(a_file_that_shrinks),
        TEST(files_that_are_not_to_be_read),
    };
    return cmocka_run_group_tests(tests, pair_setup, pair_teardown);
}
