/* The progress line is never wider than the terminal, never shows a percentage of an unknown
 * total, and looks as the golden strings have it. */
#include "bar.h"
#include "text.h"

#include <locale.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static const struct bar half = {
    .label = "big.iso",
    .bytes = 540ULL << 20,
    .total = 1256ULL << 20,
    .rate = 301ULL << 20,
    .eta_ms = 2378,
    .elapsed_ms = 1800,
};

static void assert_line(const struct bar *b, unsigned columns, const char *expected)
{
    char line[BAR_LINE];
    bar_render(b, columns, line);
    assert_string_equal(line, expected);
}

static void golden_known_total(void **state)
{
    (void)state;
    assert_line(
        &half, 100,
        "big.iso  [================>                       ]   42%  540 MiB/1.2 GiB"
        "  301 MiB/s  eta 2.4 s");
    assert_line(&half, 80,
                "big.iso  [========>              ]   42%  540 MiB/1.2 GiB  301 MiB/s"
                "  eta 2.4 s");
    assert_line(&half, 60,
                "big.iso  [=======>            ]   42%  301 MiB/s  eta 2.4 s");
    assert_line(&half, 40, "big.iso  [===>       ]   42%  301 MiB/s");
    assert_line(&half, 20, "big.iso   42%");
    assert_line(&half, 10, "b~o   42%");
}

static void golden_unknown_total(void **state)
{
    (void)state;
    struct bar b = half;
    b.label = "backup.tar";
    b.total = 0;
    assert_line(&b, 80, "backup.tar  -  540 MiB  301 MiB/s  1.8 s");
    assert_line(&b, 40, "back~.tar  -  540 MiB  301 MiB/s  1.8 s");
    assert_line(&b, 36, "backup.tar  -  540 MiB  301 MiB/s");
    assert_line(&b, 30, "backup.tar  -  540 MiB");
    b.rate = 0;
    assert_line(&b, 80, "backup.tar  -  540 MiB  1.8 s");
}

static void golden_files(void **state)
{
    (void)state;
    struct bar b = half;
    b.label = "total";
    b.files = 12;
    b.files_total = 345;
    assert_line(&b, 100,
                "total  [============>                  ]   42%  12/345 files"
                "  540 MiB/1.2 GiB  301 MiB/s  eta 2.4 s");
}

static void golden_phase(void **state)
{
    (void)state;
    struct bar b = {.phase = "booting", .elapsed_ms = 1234};
    assert_line(&b, 80, "| booting 1.2 s");
    assert_line(&b, 12, "| boot~.2 s");
    b.utf8 = true;
    assert_line(&b, 80, "⠹ booting 1.2 s");
}

static void golden_utf8(void **state)
{
    (void)state;
    struct bar b = half;
    b.utf8 = true;
    assert_line(&b, 80,
                "big.iso  [█████████▉             ]   42%  540 MiB/1.2 GiB  301 MiB/s"
                "  eta 2.4 s");
    b.label = "Größe.iso";
    assert_line(&b, 60, "Größe.iso  [███████▋          ]   42%  301 MiB/s  eta 2.4 s");
    b.label = "a-rather-long-name-of-an-installation-image.iso";
    assert_line(&b, 60, "a-rather-…image.iso  [███▍    ]   42%  301 MiB/s  eta 2.4 s");
}

static void hundred_percent_is_all_of_it(void **state)
{
    (void)state;
    struct bar b = half;
    char line[BAR_LINE];
    b.bytes = b.total - 1;
    bar_render(&b, 80, line);
    assert_non_null(strstr(line, " 99%"));
    b.bytes = b.total;
    bar_render(&b, 80, line);
    assert_non_null(strstr(line, "100%"));
    b.bytes = b.total * 3; /* the source grew */
    bar_render(&b, 80, line);
    assert_non_null(strstr(line, "100%"));
}

/* Columns of a line, colour sequences left out. */
static size_t visible(const char *line)
{
    char plain[BAR_LINE], *o = plain;
    for (const char *p = line; *p; p++) {
        if (*p == '\033') {
            p = strchr(p, 'm');
            continue;
        }
        *o++ = *p;
    }
    *o = 0;
    return text_width(plain);
}

static void never_wider(void **state)
{
    (void)state;
    static const char *const labels[] =
        {NULL,
         "",
         "x",
         "big.iso",
         "Größe.iso",
         "日本語の名前.img",
         "a-rather-long-name-of-an-installation-image-for-servers-2026.11-amd64.iso"};
    static const uint64_t totals[] = {0, 1, 1256ULL << 20, UINT64_MAX};
    for (unsigned columns = 1; columns < 260; columns++) {
        for (size_t l = 0; l < sizeof labels / sizeof *labels; l++) {
            for (unsigned i = 0; i < 64; i++) {
                struct bar b = half;
                b.label = labels[l];
                b.total = totals[i % 4];
                b.files_total = i & 4 ? 123456 : 0;
                b.utf8 = i & 8;
                b.colour = i & 16;
                b.phase = i & 32 ? "looking for file systems" : NULL;
                char line[BAR_LINE];
                bar_render(&b, columns, line);
                /* "100%" is the least there is; narrower terminals wrap it. */
                size_t most = columns > 8 ? columns - 1 : 8;
                if (visible(line) > most)
                    fail_msg("%u columns: %zu: %s", columns, visible(line), line);
                if (!b.total && strchr(line, '%'))
                    fail_msg("a percentage of nothing: %s", line);
                assert_null(strchr(line, '\n'));
            }
        }
    }
}

int main(void)
{
    if (!setlocale(LC_CTYPE, "C.UTF-8"))
        return 77;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(golden_known_total),
        cmocka_unit_test(golden_unknown_total),
        cmocka_unit_test(golden_files),
        cmocka_unit_test(golden_phase),
        cmocka_unit_test(golden_utf8),
        cmocka_unit_test(hundred_percent_is_all_of_it),
        cmocka_unit_test(never_wider),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
