/* The list: order, removal of the current item while it is walked, removal twice, and every
 * random sequence of operations against a plain array. */
#include "base/list.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
struct item {
    int id;
    ferry_list link;
};

#define N 20

static void assert_order(ferry_list *head, const int *ids, int n)
{
    int i = 0;
    ferry_list_each (struct item, it, head, link) {
        assert_true(i < n);
        assert_int_equal(it->id, ids[i]);
        assert_ptr_equal(it->link.next->prev, &it->link);
        i++;
    }
    assert_int_equal(i, n);
    assert_int_equal(ferry_list_empty(head), n == 0);
}

static void remove_while_walking(void **state)
{
    ferry_list head;
    struct item items[N];
    (void)state;
    ferry_list_init(&head);
    for (int i = 0; i < N; i++) {
        items[i].id = i;
        ferry_list_append(&head, &items[i].link);
    }
    int seen = 0;
    ferry_list_each (struct item, it, &head, link) {
        assert_int_equal(it->id, seen++);
        if (it->id % 3 == 0) {
            ferry_list_remove(&it->link);
            assert_true(ferry_list_empty(&it->link));
            ferry_list_remove(&it->link); /* twice is once */
        }
    }
    assert_int_equal(seen, N);
    ferry_list_each (struct item, it, &head, link) {
        assert_true(it->id % 3 != 0);
        ferry_list_remove(&it->link);
        it->id = -1;
    }
    assert_true(ferry_list_empty(&head));
    assert_null(ferry_list_pop(&head));
}

static void as_an_array_would(void **state)
{
    ferry_list head, other;
    struct item items[N];
    int model[N], n = 0;
    unsigned dice = 7;
    (void)state;
    ferry_list_init(&head);
    for (int i = 0; i < N; i++) {
        items[i].id = i;
        ferry_list_init(&items[i].link);
    }
    for (int round = 0; round < 20000; round++) {
        int i = rand_r(&dice) % N, at = -1;
        for (int j = 0; j < n; j++)
            if (model[j] == i)
                at = j;
        if (at >= 0) {
            ferry_list_remove(&items[i].link);
            memmove(model + at, model + at + 1, (size_t)(--n - at) * sizeof *model);
        } else if (rand_r(&dice) % 2) {
            ferry_list_append(&head, &items[i].link);
            model[n++] = i;
        } else {
            ferry_list_prepend(&head, &items[i].link);
            memmove(model + 1, model, (size_t)n++ * sizeof *model);
            model[0] = i;
        }
        if (n > 0 && rand_r(&dice) % 8 == 0) {
            ferry_list *l = ferry_list_pop(&head);
            assert_int_equal(ferry_container(l, struct item, link)->id, model[0]);
            memmove(model, model + 1, (size_t)--n * sizeof *model);
        }
        if (rand_r(&dice) % 8 == 0) { /* there and back */
            ferry_list_init(&other);
            ferry_list_move(&other, &head);
            assert_true(ferry_list_empty(&head));
            assert_order(&other, model, n);
            ferry_list_move(&head, &other);
            assert_true(ferry_list_empty(&other));
        }
        assert_order(&head, model, n);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(remove_while_walking),
        cmocka_unit_test(as_an_array_would),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
