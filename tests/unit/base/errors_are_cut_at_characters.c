/* A message that is too long is cut, never in the middle of a character; nothing is written
 * past a ferry_error; a NULL one is no matter; the code comes back. */
#include "base/error.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
static bool is_utf8(const char *s)
{
    for (const unsigned char *p = (const unsigned char *)s; *p;) {
        int more = *p < 0x80    ? 0
                   : *p >= 0xf0 ? 3
                   : *p >= 0xe0 ? 2
                   : *p >= 0xc2 ? 1
                                : -1;
        if (more < 0)
            return false;
        for (p++; more > 0; more--, p++)
            if ((*p & 0xc0) != 0x80)
                return false;
    }
    return true;
}

struct guarded {
    char before[16];
    ferry_error e;
    char after[16];
};

static void assert_guarded(const struct guarded *g)
{
    for (size_t i = 0; i < 16; i++) {
        assert_int_equal(g->before[i], 0x55);
        assert_int_equal(g->after[i], 0x55);
    }
    assert_true(memchr(g->e.msg, 0, sizeof g->e.msg));
    assert_true(memchr(g->e.where, 0, sizeof g->e.where));
}

static void any_length(void **state)
{
    static const char *const characters[] = {"a", "\u00e9", "\u20ac", "\U0001f6f3"};
    char text[1024];
    (void)state;
    for (size_t c = 0; c < 4; c++)
        for (size_t pad = 0; pad < 8; pad++)
            for (size_t n = 240; n < 264; n++) {
                struct guarded g;
                memset(&g, 0x55, sizeof g);
                size_t len = pad;
                memset(text, '.', pad);
                while (len + strlen(characters[c]) <= n) {
                    strcpy(text + len, characters[c]);
                    len += strlen(characters[c]);
                }
                text[len] = '\0';
                assert_int_equal(ferry_fail(&g.e, -FERRY_EIO, "test", "%s", text),
                                 -FERRY_EIO);
                assert_guarded(&g);
                assert_true(is_utf8(g.e.msg));
                assert_memory_equal(g.e.msg, text, strlen(g.e.msg));
                /* Not more is lost than the character that does not fit. */
                if (len < sizeof g.e.msg - 1)
                    assert_string_equal(g.e.msg, text);
                else
                    assert_true(strlen(g.e.msg) >= sizeof g.e.msg - 1 - 4);

                assert_int_equal(ferry_error_prefix(&g.e, "\u20ac %s", text + len / 2),
                                 -FERRY_EIO);
                assert_guarded(&g);
                assert_true(is_utf8(g.e.msg) || len / 2 > pad); /* it may begin in one */
            }
}

static void codes(void **state)
{
    ferry_error e = {0};
    (void)state;
    ferry_fail(&e, -FERRY_ENOENT, "open", "%s: gone", "x");
    assert_int_equal(e.code, -FERRY_ENOENT);
    assert_int_equal(e.os_errno, ENOENT);
    assert_string_equal(e.where, "open");
    assert_string_equal(e.msg, "x: gone");
    ferry_fail(&e, -FERRY_EDEAD, "upload", "dead");
    assert_int_equal(e.os_errno, 0);
    assert_int_equal(ferry_fail_os(&e, -FERRY_ELAUNCH, EMFILE, "launch", "no"),
                     -FERRY_ELAUNCH);
    assert_int_equal(e.os_errno, EMFILE);
    assert_int_equal(ferry_error_prefix(&e, "%s", "disk.img"), -FERRY_ELAUNCH);
    assert_string_equal(e.msg, "disk.img: no");
    ferry_fail(&e, -1, "a name that is longer than the thirty-one that fit", "x");
    assert_int_equal(strlen(e.where), sizeof e.where - 1);

    assert_int_equal(ferry_fail(NULL, -FERRY_EIO, "x", "%s", "y"), -FERRY_EIO);
    assert_int_equal(ferry_fail_os(NULL, -FERRY_EIO, EIO, "x", "y"), -FERRY_EIO);
    assert_int_equal(ferry_error_prefix(NULL, "x"), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(any_length),
        cmocka_unit_test(codes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
