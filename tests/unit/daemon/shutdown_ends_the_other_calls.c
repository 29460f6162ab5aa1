/* shutdown cancels what is under way, and answers when it has unwound; later calls are refused. Many
 * calls at once: more than the pool has threads for. */
#include "guest.h"

#include "base/auto.h"
#include "guest_main.h"

#include <string.h>

#define UPLOADS 30

static void uploads_end_first(struct guest *g)
{
    fx_upload_args a = {.path = (char *)"/f"};
    FERRY_AUTO(mem) char *data = test_bytes(200000, 1);
    ferry_stream *st[UPLOADS];
    ferry_error e = {0};
    for (int i = 0; i < UPLOADS; i++) {
        st[i] = guest_open(g, FX_PROC_UPLOAD, (xdrproc_t)xdr_fx_upload_args, &a);
        for (int k = 0; k < i; k++)
            check_equal(guest_send(st[i], data, 200000), 0);
    }
    /* The stream that was opened last is read last: when this answers, all are inside. */
    check_equal(guest_call(g, FX_PROC_PING, NULL, NULL, NULL, NULL, 0, NULL), 0);
    check_equal(guest_call(g, FX_PROC_SHUTDOWN, NULL, NULL, NULL, NULL, 0, &e), 0);

    check_equal(count_entries(g->root), 0);
    for (int i = 0; i < UPLOADS; i++) {
        check(ferry_stream_replied(st[i]));
        check_equal(guest_reply(st[i], NULL, NULL, 0, NULL), -FERRY_ECANCELED);
    }
    check_equal(guest_call(g, FX_PROC_PING, NULL, NULL, NULL, NULL, 0, &e),
                -FERRY_ESTATE);
    check(strcmp(e.msg, "the appliance is shutting down") == 0);
}

GUEST_TEST(uploads_end_first)

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_uploads_end_first)};
    return guest_run(tests);
}
