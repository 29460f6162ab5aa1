/* The generated functions refuse what the daemon would refuse, before anything is sent, and
 * name the argument; what they send is what they were given; an option struct of an older
 * or newer program is understood; results are the caller's own, as often as fetched.
 *
 * Below them stands, instead of src/api, a recorder with the contract of api/call.h: it
 * keeps the encoded arguments and hands out a prepared result. */
#include "api/call.h"
#include "proto/codec.h"

#include "ferry_xdr.h"

#include <guestferry/calls.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* ---- the recorder ------------------------------------------------------------------ */

static ferry_buf *sent;                  /* arguments of the last call */
static const ferry_call_desc *sent_call; /* NULL: nothing was sent */
static const void *prepared;             /* what _result finds */
static int awaited;                      /* what the await says */
static unsigned freed;
static int an_op, a_vm;

#define VM ((ferry_vm *)&a_vm)
#define OP ((ferry_op *)&an_op)

int ferry_call_start(ferry_vm *vm, const ferry_call_desc *d, const void *args,
                     ferry_op **ret_op, ferry_error *reterr)
{
    (void)reterr;
    assert_ptr_equal(vm, VM);
    sent_call = d;
    ferry_buf_unref(sent);
    sent = NULL;
    assert_int_equal(args == NULL, d->xdr_args == NULL);
    if (args)
        assert_int_equal(ferry_codec_encode(d->xdr_args, args, &sent), 0);
    *ret_op = OP;
    return 0;
}

int ferry_call_result(ferry_op *op, const ferry_call_desc *d, const void **ret,
                      ferry_error *reterr)
{
    (void)d;
    (void)reterr;
    assert_ptr_equal(op, OP);
    *ret = prepared;
    return 0;
}

int ferry_op_await(ferry_op *op, ferry_error *reterr)
{
    (void)reterr;
    assert_ptr_equal(op, OP);
    return awaited;
}

void ferry_op_free(ferry_op *op)
{
    freed += op != NULL;
}

static int forget(void **state)
{
    (void)state;
    ferry_buf_unref(sent);
    sent = NULL;
    sent_call = NULL;
    awaited = 0;
    freed = 0;
    return 0;
}

/* The arguments that were sent, decoded as a `type`; free with xdr_free. */
#define SENT(type, ret)                                                                \
    assert_int_equal(ferry_codec_decode((xdrproc_t)xdr_##type, sent->data, sent->len,  \
                                        sizeof(ret), &(ret)),                          \
                     0)

/* `r` is `code`, e says so and its message begins with `text`; nothing was sent. */
static void refused(int r, const ferry_error *e, int code, const char *where,
                    const char *text)
{
    assert_int_equal(r, code);
    assert_int_equal(e->code, code);
    assert_string_equal(e->where, where);
    if (strncmp(e->msg, text, strlen(text)) != 0)
        fail_msg("message \"%s\" does not begin with \"%s\"", e->msg, text);
    assert_null(sent_call);
}

/* ---- arguments --------------------------------------------------------------------- */

static void null_is_named(void **state)
{
    (void)state;
    ferry_error e;
    ferry_op *op = NULL;
    refused(ferry_ping_start(NULL, &op, &e), &e, -FERRY_EINVAL, "ping", "vm:");
    refused(ferry_ping_start(VM, NULL, &e), &e, -FERRY_EINVAL, "ping", "ret_op:");
    refused(ferry_mv(VM, "/a", NULL, &e), &e, -FERRY_EINVAL, "mv", "dest:");
    refused(ferry_stat(VM, "/a", NULL, &e), &e, -FERRY_EINVAL, "stat", "ret_info:");
    refused(ferry_stat_result(NULL, &(ferry_stat_info){0}, &e), &e, -FERRY_EINVAL,
            "stat", "op:");
    refused(ferry_ls_result(OP, NULL, &e), &e, -FERRY_EINVAL, "ls", "ret_names:");
    assert_null(op);
    assert_int_equal(ferry_mv(VM, "/a", NULL, NULL), -FERRY_EINVAL); /* no error wanted */
}

static void text_has_its_bounds(void **state)
{
    (void)state;
    ferry_error e;
    char longer[4098];
    memset(longer, '/', sizeof longer - 1);
    longer[4097] = 0;

    refused(ferry_rm(VM, longer, &e), &e, -FERRY_ENAMETOOLONG, "rm",
            "path: longer than");
    refused(ferry_mount(VM, longer + 4097 - 257, "/", &e), &e, -FERRY_ENAMETOOLONG,
            "mount", "device: longer than 256");
    refused(ferry_rm(VM, "etc", &e), &e, -FERRY_EINVAL, "rm", "path: \"etc\" does not");
    refused(ferry_rm(VM, "", &e), &e, -FERRY_EINVAL, "rm", "path: \"\" does not");
    refused(ferry_mount(VM, "", "/", &e), &e, -FERRY_EINVAL, "mount",
            "device: must not");

    assert_int_equal(ferry_rm(VM, longer + 1, &e), 0); /* 4096 */
    assert_int_equal(ferry_ln_s(VM, "../relative", "/link", &e), 0);
}

static void a_mode_is_a_mode(void **state)
{
    (void)state;
    ferry_error e;
    refused(ferry_chmod(VM, 010000, "/a", &e), &e, -FERRY_EINVAL, "chmod",
            "mode: 010000");
    refused(ferry_mkdir(VM, "/a", &(ferry_mkdir_opts){sizeof(ferry_mkdir_opts), 040755},
                        &e),
            &e, -FERRY_EINVAL, "mkdir", "mode: 040755");
    assert_int_equal(ferry_chmod(VM, 07777, "/a", &e), 0);
}

static void what_is_given_is_sent(void **state)
{
    (void)state;
    ferry_error e;
    assert_int_equal(ferry_chown(VM, 1000, UINT32_MAX, "/home/me", &e), 0);
    assert_string_equal(sent_call->name, "chown");
    assert_int_equal(sent_call->proc, FX_PROC_CHOWN);
    fx_chown_args args;
    SENT(fx_chown_args, args);
    assert_int_equal(args.owner, 1000);
    assert_int_equal(args.group, UINT32_MAX);
    assert_string_equal(args.path, "/home/me");
    xdr_free((xdrproc_t)xdr_fx_chown_args, &args);
    assert_int_equal(freed, 1); /* the blocking call's op */
}

/* ---- options ----------------------------------------------------------------------- */

/* mkfs ext4 on /dev/sda1 with `opts`: label and block size as the daemon gets them. */
static void expect_mkfs(const void *opts, const char *label, uint32_t blocksize)
{
    ferry_error e;
    fx_mkfs_args args;
    assert_int_equal(ferry_mkfs(VM, "ext4", "/dev/sda1", opts, &e), 0);
    SENT(fx_mkfs_args, args);
    assert_string_equal(args.label, label);
    assert_int_equal(args.blocksize, blocksize);
    xdr_free((xdrproc_t)xdr_fx_mkfs_args, &args);
}

static void options_that_are_not_given_are_defaults(void **state)
{
    (void)state;
    expect_mkfs(NULL, "", 0);
    expect_mkfs(&(ferry_mkfs_opts){.size = sizeof(ferry_mkfs_opts)}, "", 0);
    expect_mkfs(&(ferry_mkfs_opts){sizeof(ferry_mkfs_opts), "data", 4096}, "data", 4096);
}

/* A program compiled when blocksize did not exist yet: what lies behind is not read. */
static void an_older_program(void **state)
{
    (void)state;
    struct {
        size_t size;
        const char *label;
        uint8_t not_ours[sizeof(ferry_mkfs_opts)];
    } old = {.size = offsetof(ferry_mkfs_opts, blocksize), .label = "old"};
    memset(old.not_ours, 0xff, sizeof old.not_ours);
    expect_mkfs(&old, "old", 0);
}

/* One compiled against a later version: fine, as long as it asks for nothing new. */
static void a_newer_program(void **state)
{
    (void)state;
    struct {
        ferry_mkfs_opts known;
        uint64_t later;
    } newer = {.known = {sizeof newer, "new", 1024}};
    expect_mkfs(&newer, "new", 1024);

    newer.later = 1;
    forget(NULL);
    ferry_error e;
    refused(ferry_mkfs(VM, "ext4", "/dev/sda1", &newer.known, &e), &e, -FERRY_EINVAL,
            "mkfs", "opts: has an option that this version does not know");
}

static void options_are_checked(void **state)
{
    (void)state;
    ferry_error e;
    ferry_mkfs_opts opts = {0};
    refused(ferry_mkfs(VM, "ext4", "/dev/sda1", &opts, &e), &e, -FERRY_EINVAL, "mkfs",
            "opts: size is 0: set it to sizeof(ferry_mkfs_opts)");
    opts.size = SIZE_MAX;
    refused(ferry_mkfs(VM, "ext4", "/dev/sda1", &opts, &e), &e, -FERRY_EINVAL, "mkfs",
            "opts: size is");

    char label[258];
    memset(label, 'l', 257);
    label[257] = 0;
    opts = (ferry_mkfs_opts){sizeof opts, label, 0};
    refused(ferry_mkfs(VM, "ext4", "/dev/sda1", &opts, &e), &e, -FERRY_ENAMETOOLONG,
            "mkfs", "label: longer than 256 bytes");
}

/* ---- results ----------------------------------------------------------------------- */

static void results_are_the_callers(void **state)
{
    (void)state;
    ferry_error e;
    char text[] = "xfs";
    fx_vfs_type_ret ret = {text};
    char *one = NULL, *two = NULL;
    prepared = &ret;
    assert_int_equal(ferry_vfs_type_result(OP, &one, &e), 0);
    assert_int_equal(ferry_vfs_type_result(OP, &two, &e), 0);
    assert_ptr_not_equal(one, two);
    assert_string_equal(one, "xfs");
    assert_string_equal(two, "xfs");
    free(one);
    free(two);

    fx_stat_ret st = {.value = {.size = INT64_MAX, .mtime_sec = -1, .mode = 0100644}};
    ferry_stat_info info;
    memset(&info, 0x55, sizeof info);
    prepared = &st;
    assert_int_equal(ferry_stat(VM, "/a", &info, &e), 0);
    assert_true(info.size == INT64_MAX && info.mtime_sec == -1);
    assert_int_equal(info.mode, 0100644);
    assert_int_equal(info.reserved[0] | info.reserved[3], 0);
}

static void lists(void **state)
{
    (void)state;
    ferry_error e;
    char *names[] = {(char[]){"a"}, (char[]){"b c"}};
    ferry_call_items items = {names, 2};
    char **got = NULL;
    prepared = &items;
    assert_int_equal(ferry_ls(VM, "/", &got, &e), 0);
    assert_string_equal(got[0], "a");
    assert_string_equal(got[1], "b c");
    assert_null(got[2]);
    ferry_strings_free(got);

    fx_dirent entries[] = {{5, 'd', (char[]){".."}}};
    items = (ferry_call_items){entries, 1};
    ferry_dirent_list list = {0};
    assert_int_equal(ferry_readdir(VM, "/", &list, &e), 0);
    assert_int_equal(list.len, 1);
    assert_int_equal(list.val[0].ino, 5);
    assert_int_equal(list.val[0].ftyp, 'd');
    assert_string_equal(list.val[0].name, "..");
    ferry_dirent_list_free(&list);
    assert_null(list.val);
    assert_int_equal(list.len, 0);
    ferry_dirent_list_free(&list); /* again is harmless */
}

static void empty_lists(void **state)
{
    (void)state;
    ferry_error e;
    ferry_call_items none = {NULL, 0};
    char **got = NULL;
    ferry_filesystem_list list = {1, NULL};
    prepared = &none;
    assert_int_equal(ferry_ls(VM, "/", &got, &e), 0);
    assert_non_null(got);
    assert_null(got[0]);
    assert_int_equal(ferry_list_filesystems(VM, &list, &e), 0);
    assert_int_equal(list.len, 0);
    ferry_strings_free(got);
    ferry_strings_free(NULL);
    ferry_filesystem_list_free(&list);
    ferry_filesystem_list_free(NULL);
}

static void a_failure_leaves_the_result_alone(void **state)
{
    (void)state;
    ferry_error e;
    char *target = (char *)state;
    awaited = -FERRY_ENOENT;
    assert_int_equal(ferry_readlink(VM, "/a", &target, &e), -FERRY_ENOENT);
    assert_ptr_equal(target, state);
    assert_int_equal(freed, 1);
}

int main(void)
{
#define TEST(f) cmocka_unit_test_teardown(f, forget)
    const struct CMUnitTest tests[] = {
        TEST(null_is_named),
        TEST(text_has_its_bounds),
        TEST(a_mode_is_a_mode),
        TEST(what_is_given_is_sent),
        TEST(options_that_are_not_given_are_defaults),
        TEST(an_older_program),
        TEST(a_newer_program),
        TEST(options_are_checked),
        TEST(results_are_the_callers),
        TEST(lists),
        TEST(empty_lists),
        TEST(a_failure_leaves_the_result_alone),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
