/* A list is sent in batches and decoded as one run of bytes: none of 100,000 entries is
 * lost, repeated or torn where a batch ends, whatever the batch's size. */
#include "proto/codec.h"

#include "proto/frame.h"

#include "ferry_xdr.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define ITEM ((xdrproc_t)xdr_fx_readdir_item)

/* Everything that was sent. */
static uint8_t *sent;
static size_t nsent, nframes;

static void send_batch(ferry_buf *b)
{
    assert_true(b->len > 0 && b->len <= FERRY_FRAME_MAX);
    sent = realloc(sent, nsent + b->len);
    assert_non_null(sent);
    memcpy(sent + nsent, b->data, b->len);
    nsent += b->len;
    nframes++;
    b->len = 0;
}

/* Names from 1 byte to the longest, so that batches end at every alignment. */
static void name_entry(unsigned i, char name[1025])
{
    size_t len = i % 997 == 0 ? 1024 : 1 + i % 37;
    memset(name, 'a' + (int)(i % 26), len);
    name[len] = 0;
    char digits[16];
    int n = snprintf(digits, sizeof digits, "%u", i);
    if ((size_t)n < len)
        memcpy(name, digits, (size_t)n);
}

static void send_list(unsigned count, size_t batch)
{
    char name[1025];
    ferry_buf *b = NULL;
    assert_int_equal(ferry_buf_new(batch, &b), 0);
    b->cap = batch; /* may have been rounded up */
    nsent = nframes = 0;
    for (unsigned i = 0; i < count; i++) {
        name_entry(i, name);
        fx_dirent item = {.ino = i, .ftyp = 'r', .name = name};
        int r = ferry_codec_append(b, ITEM, &item);
        if (r == -ENOBUFS) {
            send_batch(b);
            r = ferry_codec_append(b, ITEM, &item);
        }
        assert_int_equal(r, 0);
    }
    if (b->len > 0)
        send_batch(b);
    ferry_buf_unref(b);
}

static void receive_list(unsigned count)
{
    char name[1025];
    void *items = NULL;
    size_t n = 0;
    assert_int_equal(ferry_codec_items(ITEM, sent, nsent, sizeof(fx_dirent), &items, &n),
                     0);
    assert_int_equal(n, count);
    const fx_dirent *entry = items;
    for (unsigned i = 0; i < count; i++) {
        name_entry(i, name);
        assert_true(entry[i].ino == i && strcmp(entry[i].name, name) == 0);
    }
    ferry_codec_items_free(ITEM, items, n, sizeof(fx_dirent));
}

static void a_hundred_thousand(void **state)
{
    (void)state;
    send_list(100000, 64 * 1024);
    assert_true(nframes > 10);
    receive_list(100000);
}

static void batches_of_every_size(void **state)
{
    (void)state;
    for (size_t batch = 1044; batch < 1144; batch++) {
        send_list(2000, batch);
        receive_list(2000);
    }
}

static void an_empty_list(void **state)
{
    (void)state;
    void *items = (void *)1;
    size_t n = 1;
    assert_int_equal(ferry_codec_items(ITEM, NULL, 0, sizeof(fx_dirent), &items, &n), 0);
    assert_null(items);
    assert_int_equal(n, 0);
}

/* Half an item at the end is an error, and nothing of the good ones leaks. */
static void a_torn_list(void **state)
{
    (void)state;
    send_list(100, 64 * 1024);
    void *items = NULL;
    size_t n = 0;
    assert_int_equal(ferry_codec_items(ITEM, sent, nsent - 4, sizeof(fx_dirent), &items,
                                       &n),
                     -FERRY_EPROTO);
    assert_null(items);
}

static void an_item_that_fits_nowhere(void **state)
{
    (void)state;
    char name[1026];
    memset(name, 'x', 1025);
    name[1025] = 0;
    fx_dirent item = {.name = name};
    ferry_buf *b = NULL;
    assert_int_equal(ferry_buf_new(64 * 1024, &b), 0);
    assert_int_equal(ferry_codec_append(b, ITEM, &item), -FERRY_ENAMETOOLONG);
    assert_int_equal(b->len, 0);
    ferry_buf_unref(b);
}

static int forget(void **state)
{
    (void)state;
    free(sent);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_hundred_thousand),
        cmocka_unit_test(batches_of_every_size),
        cmocka_unit_test(an_empty_list),
        cmocka_unit_test(a_torn_list),
        cmocka_unit_test(an_item_that_fits_nowhere),
    };
    return cmocka_run_group_tests(tests, NULL, forget);
}
