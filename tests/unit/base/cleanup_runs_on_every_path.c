/* FERRY_AUTO cleans up however its block is left, and not what was handed on. */
#include "base/auto.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
static int closed_fd(int way, int *ret_kept)
{
    FERRY_AUTO(fd) int fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
    int number = fd;
    for (int i = 0; i < 2; i++) {
        FERRY_AUTO(fd) int inner = open("/dev/null", O_RDONLY | O_CLOEXEC);
        if (way == 0)
            continue;
        if (way == 1)
            break;
        if (way == 2)
            return number;
        if (way == 3)
            goto out;
        *ret_kept = ferry_take_fd(&inner);
        assert_int_equal(inner, -1);
        break;
    }
out:
    errno = EXDEV;
    return number;
}

static bool is_open(int fd)
{
    return fcntl(fd, F_GETFD) >= 0;
}

static void descriptors(void **state)
{
    (void)state;
    int lowest = open("/dev/null", O_RDONLY | O_CLOEXEC);
    close(lowest);
    for (int way = 0; way < 4; way++) {
        assert_int_equal(closed_fd(way, NULL), lowest);
        assert_false(is_open(lowest));
        assert_false(is_open(lowest + 1));
    }
    int kept = -1;
    assert_int_equal(closed_fd(4, &kept), lowest);
    assert_int_equal(errno, EXDEV); /* the close did not change it */
    assert_false(is_open(lowest));
    assert_true(is_open(kept));
    close(kept);
}

static char *hand_on(char **from)
{
    FERRY_AUTO(mem) char *mine = ferry_take(from);
    assert_null(*from);
    mine[0] = 'X';
    return ferry_take(&mine);
}

static void memory(void **state)
{
    (void)state;
    FERRY_AUTO(mem) char *none = NULL;
    FERRY_AUTO(mem) char *s = strdup("abc");
    FERRY_AUTO(mem) char *t = hand_on(&s);
    assert_null(s);
    assert_string_equal(t, "Xbc");

    FERRY_AUTO(strv) char **empty = NULL;
    FERRY_AUTO(strv) char **list = calloc(4, sizeof *list);
    for (int i = 0; i < 3; i++)
        list[i] = strdup("word");
    assert_null(list[3]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(descriptors),
        cmocka_unit_test(memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
