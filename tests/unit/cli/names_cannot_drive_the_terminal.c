/* A name in an image is written by a guest. Shown on a terminal it must not move the cursor,
 * change colours or answer queries, in any locale; in JSON it must stay JSON. */
#include "json.h"
#include "text.h"

#include <locale.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static void assert_printable(const char *name, const char *expected)
{
    char *got = text_printable(name);
    assert_non_null(got);
    assert_string_equal(got, expected);
    free(got);
}

static void in_utf8(void **state)
{
    (void)state;
    if (!setlocale(LC_CTYPE, "C.UTF-8"))
        skip();
    assert_printable("plain", "plain");
    assert_printable("Grüße", "Grüße");
    assert_printable("a\x1b[2Jb", "a?[2Jb");
    assert_printable("a\nb\rc\td", "a?b?c?d");
    assert_printable("\x7f", "?");
    assert_printable("c1:\xc2\x9b", "c1:?");      /* CSI as one character */
    assert_printable("bad:\xff\xfe", "bad:??");   /* not UTF-8 */
    assert_printable("cut:\xe2\x82", "cut:??");   /* a sequence without its end */
    assert_printable("over:\xc0\xaf", "over:??"); /* an overlong slash */
    assert_printable("", "");
}

static void in_ascii(void **state)
{
    (void)state;
    setlocale(LC_CTYPE, "C");
    assert_printable("a\x1b[2Jb", "a?[2Jb");
    assert_printable("\x9b", "?");
}

static void every_byte_is_accounted_for(void **state)
{
    (void)state;
    setlocale(LC_CTYPE, "C.UTF-8");
    for (unsigned a = 1; a < 256; a++) {
        for (unsigned b = 1; b < 256; b++) {
            char name[] = {(char)a, (char)b, 0};
            char *got = text_printable(name);
            for (char *p = got; *p; p++)
                assert_false((unsigned char)*p < 0x20 || *p == 0x7f);
            free(got);
        }
    }
}

static void names_that_are_not_utf8_stay_json(void **state)
{
    (void)state;
    json_t *o = json_object();
    json_set_name(o, "name",
                  "a\xff"
                  "b");
    assert_string_equal(json_string_value(json_object_get(o, "name")), "a\xef\xbf\xbd"
                                                                       "b");
    assert_string_equal(json_string_value(json_object_get(o, "name_hex")), "61ff62");
    json_set_name(o, "other", "Grüße");
    assert_string_equal(json_string_value(json_object_get(o, "other")), "Grüße");
    assert_null(json_object_get(o, "other_hex"));
    json_decref(o);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(in_utf8),
        cmocka_unit_test(in_ascii),
        cmocka_unit_test(every_byte_is_accounted_for),
        cmocka_unit_test(names_that_are_not_utf8_stay_json),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
