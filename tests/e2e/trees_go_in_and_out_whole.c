/* A tree that goes into an image and out again is the same to find(1) and diff(1): names, kinds, modes, owners,
 * times, links of both kinds, sizes. Cancelled anywhere, it is whole files on the side it went
 * to, and no parts of any. What cannot be copied is named. */
#include "harness/vm.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define FILES 400
#define SIZE 9000

static void make_tree(const char *name)
{
    host("cd '%s' && mkdir -p %s/d/empty %s/many && cd %s && "
         "echo a > a && ln a d/twin && ln -s ../a d/rel && ln -s /etc/passwd abs && "
         "printf x > 'd/new\nline' && mkdir locked && echo l > locked/l && chmod 750 d "
         "&& "
         "chmod 640 a && chmod 600 d/new* && touch -hd '2001-02-03 04:05:06.789' abs a "
         "d",
         scratch("."), name, name, name);
    put_bytes(scratch("%s/sparse", name), 5 * MIB, 70000, 3);
    make_file(scratch("%s/large", name), 6 * MIB + 123, 4);
    for (unsigned i = 0; i < FILES; i++)
        make_file(scratch("%s/many/f%u", name, i), SIZE, i);
    host("chmod 555 '%s/locked'", scratch("%s", name));
}

/* All that find(1) knows of the entries, but what is a directory's size. */
static char *listing(const char *name)
{
    return strdup(
        host("cd '%s' && find . -mindepth 1 -type d -printf '%%P %%m %%U %%G %%T@\\n' "
             "-o -not -path './many/*' -printf '%%P %%y %%m %%U %%G %%T@ %%s %%n "
             "%%l\\n' | LC_ALL=C sort",
             scratch("%s", name)));
}

static void there_and_back(void **state)
{
    (void)state;
    const ferry_copy_opts in = {.size = sizeof in,
                                .name = "there",
                                .archive = 1,
                                .verify = 1};
    const ferry_copy_opts out = {.size = sizeof out,
                                 .name = "back",
                                 .archive = 1,
                                 .verify = 1};
    make_tree("tree");
    if (geteuid() == 0)
        host("cd '%s' && chown 12:34 a && chown -h 56:78 abs && chown 90:91 d",
             scratch("tree"));
    assert_ok(ferry_copy_in(vm, scratch("tree"), "/", &in, &err));
    assert_ok(ferry_copy_out(vm, "/there", scratch("."), &out, &err));
    host("diff -r --no-dereference '%s' '%s'", scratch("tree"), scratch("back"));
    char *before = listing("tree"), *after = listing("back");
    assert_string_equal(after, before);
    free(before);
    free(after);
    assert_same_holes(scratch("tree/sparse"), scratch("back/sparse"));
    assert_int_equal(guest_stat("/there/a").nlink, 2);
    assert_int_equal(guest_stat("/there/a").mtime_nsec, 789000000);

    /* Once more over what is there, and by the names of the trees themselves. */
    assert_ok(ferry_copy_in(vm, scratch("tree"), "/", &in, &err));
    assert_ok(ferry_copy_in(vm, scratch("tree/."), "/there", NULL, &err));
    assert_ok(ferry_copy_in(vm, scratch("tree/many"), "/", NULL, &err));
    assert_int_equal(guest_stat("/many").mode, S_IFDIR | 0755);
    assert_ok(ferry_rm_rf(vm, "/many", &err));
    host("chmod -R u+w '%s' && rm -rf '%s'", scratch("back"), scratch("back"));
}

/* ---- cancel ------------------------------------------------------------------------------ */

/* Cancels when so many files have been made; the op's code. */
static int cancel_after(ferry_op *op, uint64_t files)
{
    ferry_progress p = {0};
    do
        assert_true(ferry_op_wait(op, 1) != -FERRY_ESTATE);
    while (ferry_op_poll(op, &p) == FERRY_OP_PENDING && p.files < files);
    ferry_op_cancel(op);
    assert_int_equal(ferry_op_wait(op, -1), 0);
    int r = ferry_op_error(op, &err);
    ferry_op_free(op);
    return r;
}

/* Only whole ones, under their own names. */
static unsigned whole_files(const char *dir)
{
    unsigned n = 0;
    for (unsigned i = 0; i < FILES; i++) {
        if (access(scratch("%s/f%u", dir, i), F_OK) < 0)
            continue;
        n++;
        void *content = filled(SIZE, i);
        assert_file_is(scratch("%s/f%u", dir, i), content, SIZE);
        free(content);
    }
    assert_int_equal(atoi(host("ls -A '%s' | wc -l", scratch("%s", dir))), n);
    return n;
}

static void cancelled_on_the_way_in(void **state)
{
    (void)state;
    const ferry_copy_opts part = {.size = sizeof part, .name = "part"};
    for (unsigned files = 0; files < FILES; files += FILES / 4) {
        ferry_op *op = NULL;
        assert_ok(ferry_copy_in_start(vm, scratch("tree/many"), "/", &part, &op, &err));
        int r = cancel_after(op, files);
        assert_ok_or(r, FERRY_ECANCELED);
        r = ferry_copy_out(vm, "/part", scratch("."), NULL, &err);
        assert_ok_or(r, FERRY_ENOENT);
        if (r == 0)
            whole_files("part");
        host("rm -rf '%s'", scratch("part"));
        assert_ok(ferry_rm_rf(vm, "/part", &err));
    }
}

/* The file in the making once went only when the op was freed, a moment after its end: a look in between
 * found one file more. */
static void cancelled_on_the_way_out(void **state)
{
    (void)state;
    const ferry_copy_opts part = {.size = sizeof part, .name = "part"};
    for (unsigned files = 0; files < FILES; files += FILES / 4) {
        ferry_op *op = NULL;
        assert_ok(
            ferry_copy_out_start(vm, "/there/many", scratch("."), &part, &op, &err));
        int r = cancel_after(op, files);
        assert_ok_or(r, FERRY_ECANCELED);
        if (access(scratch("part"), F_OK) == 0)
            whole_files("part");
        host("rm -rf '%s'", scratch("part"));
    }
}

/* ---- what cannot be --------------------------------------------------------------------- */

static void errors_name_the_entry(void **state)
{
    (void)state;
    assert_fails(ferry_copy_in(vm, scratch("no"), "/", NULL, &err), FERRY_ENOENT, "no");
    assert_fails(ferry_copy_in(vm, scratch("tree"), "/no", NULL, &err), FERRY_ENOENT,
                 "/no");
    assert_fails(ferry_copy_in(vm, scratch("tree"), "/there/a", NULL, &err),
                 FERRY_ENOTDIR, "/there/a");
    assert_fails(ferry_copy_in(vm, scratch("tree"), "no-slash", NULL, &err),
                 FERRY_EINVAL, "no-slash");
    assert_fails(ferry_copy_in(vm, "..", "/", NULL, &err), FERRY_EINVAL, "..");
    assert_fails(ferry_copy_out(vm, "/no", scratch("."), NULL, &err), FERRY_ENOENT,
                 "/no");
    assert_fails(ferry_copy_out(vm, "/there", scratch("no"), NULL, &err), FERRY_ENOENT,
                 "no");
    const ferry_copy_opts bad = {.size = sizeof bad, .name = "a/b"};
    assert_fails(ferry_copy_out(vm, "/there", scratch("."), &bad, &err), FERRY_EINVAL,
                 "name");
}

static void problems_are_told_in_order(void **state)
{
    (void)state;
    ferry_copy_opts o = {.size = sizeof o, .name = "clash"};
    char *path = NULL;
    host("cd '%s' && mkdir -p clash/in/the/way && echo x > clash/after && mkfifo "
         "clash/in/fifo",
         scratch("."));
    assert_ok(ferry_mkdir(vm, "/clash", NULL, &err));
    assert_ok(ferry_mkdir(vm, "/clash/after", NULL, &err));
    assert_fails(ferry_copy_in(vm, scratch("clash"), "/", &o, &err), FERRY_EISDIR,
                 "/clash/after: ");

    ferry_op *op = NULL;
    o.keep_going = 1;
    assert_ok(ferry_copy_in_start(vm, scratch("clash"), "/", &o, &op, &err));
    assert_ends(op, 0);
    bool fifo = false, after = false;
    while (ferry_copy_problem(op, &path, &err) == 1) {
        fifo |= strcmp(path, "in/fifo") == 0 && err.code == 0;
        after |= strcmp(path, "after") == 0 && err.code == -FERRY_EISDIR;
        free(path);
    }
    assert_true(fifo);
    assert_true(after);
    ferry_op_free(op);
    assert_int_equal(guest_stat("/clash/in/the/way").mode & S_IFMT, S_IFDIR);
    assert_ok(ferry_rm_rf(vm, "/clash", &err));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        vm_test(there_and_back),
        vm_test(cancelled_on_the_way_in),
        vm_test(cancelled_on_the_way_out),
        vm_test(errors_name_the_entry),
        vm_test(problems_are_told_in_order),
    };
    return cmocka_run_group_tests(tests, vm_setup, vm_teardown);
}
