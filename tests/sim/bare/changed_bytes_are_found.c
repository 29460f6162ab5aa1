/* A byte that changes between the library and the daemon, with nothing else to tell of it: without `verify`
 * a transfer is OK and wrong, with it FERRY_EIO, files and trees, in both directions; a file then leaves what
 * was there before, a tree whole files. What does not change passes. */
#include "harness/mangle.h"
#include "harness/vm.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define CHECKSUM "the checksum of what arrived is another"
#define FILES 200
#define SIZE 5000 /* the tree is some pieces long */

static const char marked[] = "before " MANGLE_MARK " after";
static const char changed[] = "before <change md after";

static const ferry_upload_opts up = {.size = sizeof up, .verify = 1};
static const ferry_download_opts down = {.size = sizeof down, .verify = 1};
static const ferry_copy_opts tree = {.size = sizeof tree, .verify = 1};

static void put_text(const char *path, const char *text)
{
    FILE *f = fopen(path, "we");
    assert_true(f && fputs(text, f) >= 0 && fclose(f) == 0);
}

/* What is marked comes into the guest in two parts. */
static void put_marked(const char *path)
{
    ferry_upload_opts rest = {.size = sizeof rest,
                              .offset = strlen("before " MANGLE_MARK) - 1};
    assert_ok(ferry_upload_mem(vm, marked, rest.offset, path, NULL, &err));
    assert_ok(ferry_upload_mem(vm, marked + rest.offset, strlen(marked + rest.offset),
                               path, &rest, &err));
}

static void assert_host_is(const char *path, const char *text)
{
    assert_file_is(path, text, strlen(text));
}

static void files_in(void **state)
{
    (void)state;
    put_text(scratch("file"), marked);
    assert_ok(ferry_upload(vm, scratch("file"), "/file", NULL, &err));
    assert_guest_is("/file", changed, strlen(changed));
    put_text(scratch("file"), "as it was");
    assert_ok(ferry_upload(vm, scratch("file"), "/file", &up, &err));
    put_text(scratch("file"), marked);
    assert_fails(ferry_upload(vm, scratch("file"), "/file", &up, &err), FERRY_EIO,
                 "/file: " CHECKSUM);
    assert_guest_is("/file", "as it was", strlen("as it was"));
}

static void files_out(void **state)
{
    (void)state;
    put_marked("/marked");
    assert_ok(ferry_download(vm, "/marked", scratch("out"), NULL, &err));
    assert_host_is(scratch("out"), changed);
    assert_fails(ferry_download(vm, "/marked", scratch("out"), &down, &err), FERRY_EIO,
                 "/marked: " CHECKSUM);
    assert_host_is(scratch("out"), changed);
    assert_ok(ferry_download(vm, "/file", scratch("out"), &down, &err));
    assert_host_is(scratch("out"), "as it was");
}

static void make_tree(const char *name)
{
    assert_int_equal(mkdir(scratch("%s", name), 0755), 0);
    for (unsigned i = 0; i < FILES; i++)
        make_file(scratch("%s/f%u", name, i), SIZE, i);
}

/* Each has all its bytes; how many there are. */
static unsigned whole_files(const char *name)
{
    unsigned n = 0;
    for (unsigned i = 0; i < FILES; i++) {
        void *content = filled(SIZE, i);
        if (access(scratch("%s/f%u", name, i), F_OK) == 0) {
            assert_file_is(scratch("%s/f%u", name, i), content, SIZE);
            n++;
        }
        free(content);
    }
    return n;
}

static void trees_in(void **state)
{
    (void)state;
    make_tree("tree");
    assert_ok(ferry_copy_in(vm, scratch("tree"), "/", &tree, &err));

    put_text(scratch("tree/f100-marked"), marked);
    assert_ok(ferry_copy_in(vm, scratch("tree"), "/", NULL, &err));
    assert_guest_is("/tree/f100-marked", changed, strlen(changed));
    assert_fails(ferry_copy_in(vm, scratch("tree"), "/", &tree, &err), FERRY_EIO,
                 "/tree: " CHECKSUM);
    assert_ok(ferry_rm(vm, "/tree/f100-marked", &err));
    assert_int_equal(unlink(scratch("tree/f100-marked")), 0);

    /* Names are among what is looked at. */
    put_text(scratch("tree/" MANGLE_MARK), "");
    assert_fails(ferry_copy_in(vm, scratch("tree"), "/", &tree, &err), FERRY_EIO,
                 "/tree: " CHECKSUM);
    assert_ok(ferry_rm(vm, "/tree/<change md", &err));
}

static void trees_out(void **state)
{
    (void)state;
    const ferry_copy_opts plain = {.size = sizeof plain, .name = "plain"};
    assert_ok(ferry_mv(vm, "/tree", "/out-tree", &err));
    assert_ok(ferry_copy_out(vm, "/out-tree", scratch("."), &tree, &err));
    assert_int_equal(whole_files("out-tree"), FILES);
    host("rm -r '%s'", scratch("out-tree"));

    put_marked("/out-tree/f100-marked");
    assert_ok(ferry_copy_out(vm, "/out-tree", scratch("."), &plain, &err));
    assert_host_is(scratch("plain/f100-marked"), changed);
    assert_fails(ferry_copy_out(vm, "/out-tree", scratch("."), &tree, &err), FERRY_EIO,
                 "/out-tree: " CHECKSUM);
    whole_files("out-tree");
    assert_ok(ferry_ping(vm, &err));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        vm_test(files_in),
        vm_test(files_out),
        vm_test(trees_in),
        vm_test(trees_out),
    };
    return cmocka_run_group_tests(tests, vm_setup, vm_teardown);
}
