/* Sizes, rates, durations, modes and dates are written the one way they are documented, and
 * what a person may type for a size or a time is read, all else refused. */
#include "text.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>

#include <cmocka.h>

static void bytes_have_three_digits(void **state)
{
    (void)state;
    static const struct {
        uint64_t bytes;
        const char *text;
    } t[] = {
        {0, "0 B"},
        {1, "1 B"},
        {999, "999 B"},
        {1000, "1.0 KiB"},
        {1024, "1.0 KiB"},
        {1536, "1.5 KiB"},
        {10188, "9.9 KiB"}, /* 9.949 */
        {10189, "10 KiB"},  /* 9.950: would be 9.9 or 10.0 */
        {1023488, "1.0 MiB"},
        {1 << 20, "1.0 MiB"},
        {512ULL << 20, "512 MiB"},
        {1288490189, "1.2 GiB"},
        {20ULL << 30, "20 GiB"},
        {5ULL << 40, "5.0 TiB"},
        {UINT64_MAX, "16 EiB"},
    };
    for (size_t i = 0; i < sizeof t / sizeof *t; i++) {
        char buf[TEXT_MAX];
        text_bytes(t[i].bytes, buf);
        assert_string_equal(buf, t[i].text);
    }
}

static void durations_grow_into_clocks(void **state)
{
    (void)state;
    static const struct {
        uint64_t ms;
        const char *text;
    } t[] = {
        {0, "0.0 s"},         {4100, "4.1 s"},          {9949, "9.9 s"},
        {9950, "10 s"},       {59499, "59 s"},          {59500, "0:59"},
        {60000, "1:00"},      {187000, "3:07"},         {3599999, "59:59"},
        {3723000, "1:02:03"}, {360000000, "100:00:00"},
    };
    for (size_t i = 0; i < sizeof t / sizeof *t; i++) {
        char buf[TEXT_MAX];
        text_duration(t[i].ms, buf);
        assert_string_equal(buf, t[i].text);
    }
}

static void modes_are_as_ls_has_them(void **state)
{
    (void)state;
    static const struct {
        uint32_t mode;
        const char *text;
    } t[] = {
        {S_IFREG | 0644, "-rw-r--r--"},  {S_IFDIR | 01777, "drwxrwxrwt"},
        {S_IFREG | 04755, "-rwsr-xr-x"}, {S_IFREG | 02644, "-rw-r-Sr--"},
        {S_IFLNK | 0777, "lrwxrwxrwx"},  {S_IFBLK | 0660, "brw-rw----"},
        {S_IFDIR | 01770, "drwxrwx--T"}, {S_IFREG | 06111, "---s--s--x"},
        {S_IFSOCK | 0, "s---------"},
    };
    for (size_t i = 0; i < sizeof t / sizeof *t; i++) {
        char buf[TEXT_MAX];
        text_mode(t[i].mode, buf);
        assert_string_equal(buf, t[i].text);
    }
}

static void old_dates_show_the_year(void **state)
{
    (void)state;
    const int64_t now = 1795000000; /* 2026-11-18 11:06:40 UTC */
    char buf[TEXT_MAX];
    text_ls_time(now, now, buf);
    assert_string_equal(buf, "Nov 18 11:06");
    text_ls_time(now - 15778476, now, buf); /* half a year, to the second */
    assert_string_equal(buf, "May 19  2026");
    text_ls_time(now - 15778475, now, buf);
    assert_string_equal(buf, "May 19 20:12");
    /* A guest whose clock was ahead of ours by a second once was of another year. */
    text_ls_time(now + 3600, now, buf);
    assert_string_equal(buf, "Nov 18 12:06");
    text_ls_time(now + 3601, now, buf);
    assert_string_equal(buf, "Nov 18  2026");
    text_ls_time(0, now, buf);
    assert_string_equal(buf, "Jan  1  1970");
}

static void sizes_are_read(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        uint64_t bytes;
    } good[] = {
        {"0", 0},
        {"4096", 4096},
        {"4096B", 4096},
        {"1K", 1024},
        {"1k", 1024},
        {"512M", 512ULL << 20},
        {"1G", 1ULL << 30},
        {"1GiB", 1ULL << 30},
        {"1GB", 1000000000},
        {"1.5G", 3ULL << 29},
        {"2T", 2ULL << 40},
        {"9007199254740993", 9007199254740993}, /* a double cannot hold it */
    };
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        uint64_t v = 0;
        assert_int_equal(text_parse_size(good[i].text, &v), 0);
        assert_int_equal(v, good[i].bytes);
    }

    static const char *const bad[] = {"",     "G",   "1X",  "1Gi",   "-1",
                                      " 1",   "1 G", "1.5", ".5G",   "1..5G",
                                      "0x10", "inf", "1e3", "1GiBs", "nan"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        uint64_t v = 77;
        assert_int_equal(text_parse_size(bad[i], &v), -EINVAL);
        assert_int_equal(v, 77); /* written on success only */
    }
    uint64_t v;
    assert_int_equal(text_parse_size("8E", &v), -ERANGE);
    assert_int_equal(text_parse_size("9223372036854775808", &v), -ERANGE);
    assert_int_equal(text_parse_size("99999999999999999999999", &v), -ERANGE);
}

static void durations_are_read(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        uint32_t ms;
    } good[] = {{"1", 1000},    {"1.5", 1500},   {"90s", 90000},
                {"5m", 300000}, {"2h", 7200000}, {"0.001", 1}};
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        uint32_t v = 0;
        assert_int_equal(text_parse_duration(good[i].text, &v), 0);
        assert_int_equal(v, good[i].ms);
    }
    static const char *const bad[] = {"", "s", "0", "-1", "1d", "1ms", "1 s", "0.0001"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        uint32_t v;
        assert_int_equal(text_parse_duration(bad[i], &v), -EINVAL);
    }
    uint32_t v;
    assert_int_equal(text_parse_duration("1000h", &v), -ERANGE);
}

static void assert_name(char *got, const char *expected)
{
    assert_string_equal(got, expected);
    free(got);
}

static void paths_are_joined_and_named(void **state)
{
    (void)state;
    assert_name(text_join("/root", "x"), "/root/x");
    assert_name(text_join("/root/", "x"), "/root/x");
    assert_name(text_join("/", "x"), "/x");
    assert_name(text_join("/root", "/x"), "/root/x");
    assert_name(text_join("/root", ""), "/root");
    assert_name(text_join("", "x"), "x");
    assert_name(text_basename("/a/b"), "b");
    assert_name(text_basename("/a/b//"), "b");
    assert_name(text_basename("b"), "b");
    assert_name(text_basename("/"), "");
    assert_name(text_basename("a/."), "");
    assert_name(text_basename(".."), "");
    assert_name(text_basename("..."), "...");
    assert_true(text_ends_slash("a/"));
    assert_false(text_ends_slash("a"));
    assert_false(text_ends_slash(""));
}

int main(void)
{
    setenv("TZ", "UTC", 1);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bytes_have_three_digits),
        cmocka_unit_test(durations_grow_into_clocks),
        cmocka_unit_test(modes_are_as_ls_has_them),
        cmocka_unit_test(old_dates_show_the_year),
        cmocka_unit_test(sizes_are_read),
        cmocka_unit_test(durations_are_read),
        cmocka_unit_test(paths_are_joined_and_named),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
