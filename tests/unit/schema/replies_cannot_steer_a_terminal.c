/* The daemon's error reaches the caller whole: code, errno, place and text; except for
 * what could steer the terminal on which somebody will print it, because whoever controls
 * the image may control the daemon. A status that is no error code is no reply. */
#include "proto/codec.h"

#include "ferry_xdr.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* What the host makes of this status. */
static int receive(int code, int os_errno, const char *where, const char *msg,
                   ferry_error *e)
{
    fx_status status = {code, os_errno, (char *)(uintptr_t)where,
                        (char *)(uintptr_t)msg, .left_path = (char[]){""}};
    ferry_buf *b = NULL;
    assert_int_equal(ferry_codec_encode((xdrproc_t)xdr_fx_status, &status, &b), 0);
    memset(e, 0x55, sizeof *e);
    int r = ferry_codec_reply(b->data, b->len, NULL, 0, NULL, e);
    ferry_buf_unref(b);
    return r;
}

static void an_error_arrives_whole(void **state)
{
    (void)state;
    ferry_error e;
    assert_int_equal(receive(-FERRY_ENOENT, 2, "stat", "/etc/größe: not there", &e),
                     -FERRY_ENOENT);
    assert_int_equal(e.code, -FERRY_ENOENT);
    assert_int_equal(e.os_errno, 2);
    assert_string_equal(e.where, "stat");
    assert_string_equal(e.msg, "/etc/größe: not there");
}

static void the_longest_texts_fit(void **state)
{
    (void)state;
    char where[32], msg[256];
    memset(where, 'w', 31);
    memset(msg, 'm', 255);
    where[31] = msg[255] = 0;
    ferry_error e;
    assert_int_equal(receive(-5, 5, where, msg, &e), -5);
    assert_string_equal(e.where, where);
    assert_string_equal(e.msg, msg);
}

static void control_characters_are_gone(void **state)
{
    (void)state;
    ferry_error e;
    receive(-5, 5, "a\nb", "\033]0;title\007 one\r\ntwo\x7f", &e);
    assert_string_equal(e.where, "a b");
    assert_string_equal(e.msg, " ]0;title  one  two ");
}

static void an_errno_is_not_negative(void **state)
{
    (void)state;
    ferry_error e;
    receive(-5, INT32_MIN, "x", "y", &e);
    assert_int_equal(e.os_errno, 0);
}

static void a_status_that_is_no_code_is_no_reply(void **state)
{
    (void)state;
    ferry_error e;
    assert_int_equal(receive(1, 0, "x", "y", &e), -FERRY_EPROTO);
    assert_int_equal(e.code, -FERRY_EPROTO);
    assert_non_null(strstr(e.msg, "status 1"));
    assert_int_equal(receive(INT32_MIN, 0, "x", "y", &e), -FERRY_EPROTO);
    assert_int_equal(receive(-4096, 0, "x", "y", &e), -FERRY_EPROTO);
    assert_int_equal(receive(-4095, 0, "x", "y", &e), -4095);
}

static void success_leaves_the_error_alone(void **state)
{
    (void)state;
    ferry_error e, before;
    memset(&before, 0x55, sizeof before);
    assert_int_equal(receive(0, 0, "", "", &e), 0);
    assert_memory_equal(&e, &before, sizeof e);
}

static void nobody_has_to_ask_for_the_error(void **state)
{
    (void)state;
    fx_status status = {-FERRY_EIO, 5, (char[]){"x"}, (char[]){"y"},
                        .left_path = (char[]){""}};
    ferry_buf *b = NULL;
    assert_int_equal(ferry_codec_encode((xdrproc_t)xdr_fx_status, &status, &b), 0);
    assert_int_equal(ferry_codec_reply(b->data, b->len, NULL, 0, NULL, NULL),
                     -FERRY_EIO);
    ferry_buf_unref(b);
}

/* Told beside any code; a kind that is none is no reply. */
static void what_is_left_arrives_whole(void **state)
{
    (void)state;
    for (unsigned kind = 0; kind < 6; kind++) {
        fx_status status = {-FERRY_ENOSPC,
                            0,
                            (char[]){""},
                            (char[]){""},
                            kind,
                            UINT64_MAX - 1,
                            kind ? (char[]){"/a\nb"} : (char[]){""}};
        ferry_left left = {0};
        ferry_buf *b = NULL;
        assert_int_equal(ferry_codec_encode((xdrproc_t)xdr_fx_status, &status, &b), 0);
        int r = ferry_codec_left(b->data, b->len, &left);
        assert_int_equal(r, kind > FERRY_LEFT_UNKNOWN ? -FERRY_EPROTO : 0);
        if (r == 0) {
            assert_int_equal(left.kind, kind);
            assert_true(left.bytes == UINT64_MAX - 1);
        }
        if (r == 0 && kind) /* a name of the image's: whoever shows it escapes it */
            assert_string_equal(left.path, "/a\nb");
        else
            assert_null(left.path);
        assert_int_equal(ferry_codec_left(b->data, b->len - 1, &left), -FERRY_EPROTO);
        free(left.path);
        ferry_buf_unref(b);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_error_arrives_whole),
        cmocka_unit_test(the_longest_texts_fit),
        cmocka_unit_test(control_characters_are_gone),
        cmocka_unit_test(an_errno_is_not_negative),
        cmocka_unit_test(a_status_that_is_no_code_is_no_reply),
        cmocka_unit_test(success_leaves_the_error_alone),
        cmocka_unit_test(nobody_has_to_ask_for_the_error),
        cmocka_unit_test(what_is_left_arrives_whole),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
