/* Every code of the public header has its name and a text; those named like an errno have
 * its value; any int whatever gives some text and no crash. The list is read from the header
 * itself, so that a new code cannot be forgotten. */
#include <guestferry/error.h>

#include <ctype.h>
#include <errno.h>
#include <limits.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
static void each_in_the_header(void **state)
{
    char path[4096], line[256], name[64];
    const char *source = getenv("FERRY_SOURCE_DIR");
    int code, n = 0, own = 0;
    (void)state;
    assert_non_null(source);
    snprintf(path, sizeof path, "%s/include/guestferry/error.h", source);
    FILE *f = fopen(path, "r");
    assert_non_null(f);
    while (fgets(line, sizeof line, f)) {
        if (sscanf(line, " FERRY_%63[A-Z] = %d", name, &code) != 2)
            continue;
        n++;
        assert_non_null(ferry_code_name(code));
        assert_string_equal(ferry_code_name(code) + strlen("FERRY_"), name);
        assert_string_equal(ferry_code_name(-code), ferry_code_name(code));
        assert_ptr_equal(ferry_strerror(code), ferry_strerror(-code));
        assert_true(strlen(ferry_strerror(code)) > 3);
        assert_false(isupper((unsigned char)ferry_strerror(code)[0]));
        if (code > 1000) {
            own++;
            continue;
        }
        if (code > 0)
            assert_string_equal(strerrorname_np(code),
                                strcmp(name, "ENOTSUP") ? name : "EOPNOTSUPP");
    }
    fclose(f);
    assert_true(n >= 30);
    assert_true(own >= 6);
}

static void any_int(void **state)
{
    static const int odd[] = {INT_MIN, INT_MIN + 1, INT_MAX, 999, 1000,
                              1999,    133,         134,     500};
    (void)state;
    for (size_t i = 0; i < sizeof odd / sizeof *odd; i++)
        assert_non_null(ferry_strerror(odd[i]));
    for (int i = -2000; i < 2000; i++)
        assert_non_null(ferry_strerror(i));
    assert_string_equal(ferry_strerror(EXFULL), strerrordesc_np(EXFULL));
    assert_null(ferry_code_name(EXFULL));
    assert_string_equal(ferry_strerror(INT_MIN), "unknown error");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_in_the_header),
        cmocka_unit_test(any_int),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
