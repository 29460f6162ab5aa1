/* The console's ring keeps the end of what was said, as text that may be shown, and finds
 * the lines that explain an end, however the bytes are cut. */
#include "launch/console.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static ferry_console c;

static void say(const char *text)
{
    ferry_console_add(&c, text, strlen(text));
}

static const char *tail(void)
{
    static char buf[2 * FERRY_CONSOLE_RING];
    size_t n = ferry_console_tail(&c, buf, sizeof buf);
    assert_int_equal(n, strlen(buf));
    return buf;
}

static int fresh(void **state)
{
    (void)state;
    ferry_console_init(&c, false);
    return 0;
}

static void silence(void **state)
{
    (void)state;
    assert_string_equal(tail(), "");
    assert_string_equal(ferry_console_last(&c), "");
    char none[1] = {'x'};
    assert_int_equal(ferry_console_tail(&c, none, 0), 0);
    assert_int_equal(ferry_console_tail(&c, none, 1), 0);
    assert_int_equal(none[0], '\0');
}

static void escapes_vanish_wherever_they_are_cut(void **state)
{
    (void)state;
    const char *text = "a\x1b[2J\x1b[01;31mred\x1b[0m\r\nb\tc\x07\x7f \xe4\x1b"
                       "cd\n";
    for (const char *p = text; *p; p++)
        ferry_console_add(&c, p, 1);
    assert_string_equal(tail(), "ared\nb c ?d\n");
}

static void stderr_keeps_its_file_names(void **state)
{
    (void)state;
    ferry_console_init(&c, true);
    say("f\xc3\xa4hre.img\n");
    assert_string_equal(tail(), "f\xc3\xa4hre.img\n");
}

static void the_ring_keeps_whole_lines_of_the_end(void **state)
{
    (void)state;
    char line[64];
    for (int i = 0; i < 5000; i++) {
        snprintf(line, sizeof line, "line number %d\n", i);
        say(line);
    }
    const char *t = tail();
    assert_true(strlen(t) > FERRY_CONSOLE_RING - 64);
    assert_true(strlen(t) <= FERRY_CONSOLE_RING);
    assert_int_equal(strncmp(t, "line number ", 12), 0);
    assert_string_equal(strrchr(t, 'l'), "line number 4999\n");

    char small[20];
    ferry_console_tail(&c, small, sizeof small);
    assert_string_equal(small, "line number 4999\n");
    assert_string_equal(ferry_console_last(&c), "line number 4999");
}

static void a_line_without_end_is_cut(void **state)
{
    (void)state;
    for (int i = 0; i < 100000; i++)
        say("x");
    assert_int_equal(strlen(ferry_console_last(&c)), FERRY_CONSOLE_LINE - 1);
    assert_int_equal(strlen(tail()), FERRY_CONSOLE_RING);
}

static void last_line_says_something(void **state)
{
    (void)state;
    say("[    1.5] Run /init as init process\n\n   \n[    2.0] \n");
    assert_string_equal(ferry_console_last(&c), "Run /init as init process");
    say("[    3.0] half a li");
    assert_string_equal(ferry_console_last(&c), "half a li");
    say("[not a stamp] x\n");
    assert_string_equal(ferry_console_last(&c), "half a li[not a stamp] x");
    say("[drm] y\n");
    assert_string_equal(ferry_console_last(&c), "[drm] y");
}

static void the_first_panic_is_the_cause(void **state)
{
    (void)state;
    const char *text =
        "[    9.1] Out of memory: Killed process 77 (mkfs.xfs) total-vm:1kB\n"
        "[    9.2] Kernel panic - not syncing: Attempted to kill init!\n"
        "[    9.3] CPU: 0 PID: 1 Comm: init\n"
        "[    9.4] ---[ end Kernel panic - not syncing: Attempted to kill init! ]---\n"
        "[    9.5] Out of memory: Killed process 78 (other)\n";
    for (const char *p = text; *p; p++)
        ferry_console_add(&c, p, 1);
    assert_string_equal(c.panic, "Kernel panic - not syncing: Attempted to kill init!");
    assert_string_equal(c.oom,
                        "Out of memory: Killed process 77 (mkfs.xfs) total-vm:1kB");
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup(f, fresh)
    const struct CMUnitTest tests[] = {
        TEST(silence),
        TEST(escapes_vanish_wherever_they_are_cut),
        TEST(stderr_keeps_its_file_names),
        TEST(the_ring_keeps_whole_lines_of_the_end),
        TEST(a_line_without_end_is_cut),
        TEST(last_line_says_something),
        TEST(the_first_panic_is_the_cause),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
