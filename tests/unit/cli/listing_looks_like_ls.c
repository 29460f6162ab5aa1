/* `gferry ls -l` lines up as `ls -ln` does, and its JSON has what a script needs. */
#include "listing.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include <cmocka.h>

static struct listing_row *add(struct listing *l, const char *name, char ftyp,
                               uint32_t mode, int64_t size)
{
    assert_int_equal(listing_add(l, name, ftyp), 0);
    struct listing_row *row = &l->rows[l->len - 1];
    row->known = true;
    row->st.mode = mode;
    row->st.size = size;
    row->st.nlink = 1;
    row->st.mtime_sec = 86400;
    return row;
}

static void fill(struct listing *l)
{
    add(l, "zebra", 'r', S_IFREG | 0644, 7);
    struct listing_row *row = add(l, "etc", 'd', S_IFDIR | 0755, 4096);
    row->st.nlink = 42;
    row->st.uid = 1000;
    row = add(l, "mtab", 'l', S_IFLNK | 0777, 12);
    row->target = strdup("/proc/mounts");
    row = add(l, "sda", 'b', S_IFBLK | 0660, 0);
    row->st.rdev = makedev(8, 16);
    assert_int_equal(listing_add(l, "lost", '?'), 0);
    listing_sort(l);
}

static char *print(const struct listing *l, bool detail)
{
    char *text;
    size_t n;
    FILE *out = open_memstream(&text, &n);
    listing_print(l, out, detail);
    fclose(out);
    return text;
}

static void details_line_up(void **state)
{
    (void)state;
    struct listing l = {0};
    fill(&l);
    char *text = print(&l, true);
    assert_string_equal(text,
                        "drwxr-xr-x 42 1000 0  4096 Jan  2  1970 etc\n"
                        "??????????  lost\n"
                        "lrwxrwxrwx  1 0    0    12 Jan  2  1970 mtab -> /proc/mounts\n"
                        "brw-rw----  1 0    0 8, 16 Jan  2  1970 sda\n"
                        "-rw-r--r--  1 0    0     7 Jan  2  1970 zebra\n");
    free(text);
    listing_done(&l);
}

static void names_alone_are_one_a_line(void **state)
{
    (void)state;
    struct listing l = {0};
    fill(&l);
    char *text = print(&l, false);
    assert_string_equal(text, "etc\nlost\nmtab\nsda\nzebra\n");
    free(text);
    listing_done(&l);
}

static void an_empty_directory_is_no_line(void **state)
{
    (void)state;
    struct listing l = {0};
    listing_sort(&l);
    char *text = print(&l, true);
    assert_string_equal(text, "");
    free(text);
    json_t *j = listing_json(&l, true);
    assert_int_equal(json_array_size(j), 0);
    json_decref(j);
}

static void json_has_types_and_numbers(void **state)
{
    (void)state;
    struct listing l = {0};
    fill(&l);
    json_t *j = listing_json(&l, true);
    assert_int_equal(json_array_size(j), 5);
    json_t *etc = json_array_get(j, 0), *sda = json_array_get(j, 3);
    assert_string_equal(json_string_value(json_object_get(etc, "type")), "directory");
    assert_string_equal(json_string_value(json_object_get(etc, "mode")), "0755");
    assert_int_equal(json_integer_value(json_object_get(etc, "size")), 4096);
    assert_int_equal(json_integer_value(json_object_get(sda, "minor")), 16);
    assert_string_equal(json_string_value(
                            json_object_get(json_array_get(j, 2), "target")),
                        "/proc/mounts");
    /* What could not be looked at has no numbers, rather than wrong ones. */
    assert_null(json_object_get(json_array_get(j, 1), "size"));
    json_decref(j);
    listing_done(&l);
}

int main(void)
{
    setenv("TZ", "UTC", 1);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(details_line_up),
        cmocka_unit_test(names_alone_are_one_a_line),
        cmocka_unit_test(an_empty_directory_is_no_line),
        cmocka_unit_test(json_has_types_and_numbers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
