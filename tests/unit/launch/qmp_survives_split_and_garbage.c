/* The QMP client against a peer that cuts its lines anywhere, answers late or never, and
 * says what no qemu would. The peer is a task at the other end of a socketpair. */
#include "launch/qmp.h"

#include "harness/real.h"

#include "async/pipe.h"
#include "base/auto.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#define GREETING                                                                       \
    "{\"QMP\": {\"version\": {\"qemu\": {\"micro\": 22, \"minor\": 2, \"major\": 7}, " \
    "\"package\": \"Debian\"}, \"capabilities\": [\"oob\"]}}\r\n"
#define OK(id) "{\"return\": {}, \"id\": " #id "}\r\n"

/* A client and its peer. */
struct pair {
    ferry_qmp *q;
    ferry_link *peer;
    ferry_scope scope;
    int run_result;
    char events[256];
};

static void on_event(void *arg, const char *name, const json_t *data)
{
    struct pair *p = arg;
    const char *reason = json_string_value(json_object_get(data, "reason"));
    snprintf(p->events + strlen(p->events), sizeof p->events - strlen(p->events),
             "%s:%s ", name, reason ? reason : "-");
}

static FERRY_CO int run_task(void *arg)
{
    struct pair *p = arg;
    p->run_result = ferry_qmp_run(p->q);
    return 0;
}

static void open_pair(struct pair *p)
{
    int fds[2];
    memset(p, 0, sizeof *p);
    check_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
    ferry_link *ours = NULL;
    check_eq(ferry_pipe_open(ferry_self_loop(), fds[0], 3, 0, &ours), 0);
    check_eq(ferry_pipe_open(ferry_self_loop(), fds[1], 3, 0, &p->peer), 0);
    check_eq(ferry_qmp_new(ours, on_event, p, &p->q), 0);
    ferry_scope_open(&p->scope, FERRY_SCOPE_SUPERVISE);
    check_eq(ferry_spawn(&p->scope, "run", run_task, p), 0);
}

static void close_pair(struct pair *p)
{
    ferry_link_close(ferry_take(&p->peer));
    ferry_scope_join(&p->scope);
    ferry_qmp_free(p->q);
}

static FERRY_CO void say(struct pair *p, const char *text)
{
    struct iovec v = {(void *)(uintptr_t)text, strlen(text)};
    check_eq(ferry_link_write(p->peer, &v, 1), 0);
}

/* Waits until the client has sent `what`. */
static FERRY_CO void hear(struct pair *p, const char *what)
{
    FERRY_AUTO(buf) ferry_buf *b = NULL;
    check_eq(ferry_buf_new(4096, &b), 0);
    while (!memmem(b->data, b->len, what, strlen(what)))
        if (ferry_link_read(p->peer, b) <= 0) {
            check(!"the client hung up");
            return;
        }
}

/* ---- a good peer ------------------------------------------------------------------- */

static FERRY_CO int good_peer(void *arg)
{
    struct pair *p = arg;
    static const char talk[] = "{\"event\": \"STOP\"}\r\n" OK(99) /* to nobody */
        "\r\n"
        "{\"timestamp\": {\"seconds\": 1}, \"event\": \"SHUTDOWN\", \"data\": "
        "{\"guest\": "
        "true, \"reason\": \"guest-panic\"}}\r\n"
        "{\"return\": {\"status\": \"run}]\\\"[ning\"}, \"id\": 2}\r\n";
    for (const char *c = GREETING; *c; c++)
        say(p, (char[]){*c, '\0'});
    hear(p, "\"qmp_capabilities\"");
    say(p, OK(1));
    hear(p, "\"query-status\"");
    for (const char *c = talk; *c; c++)
        say(p, (char[]){*c, '\0'});
    hear(p, "{\"execute\":\"device_add\",\"id\":3,\"arguments\":{\"driver\":\"x\"}}\n");
    say(p, "{\"error\": {\"class\": \"GenericError\", \"desc\": \"no bus\"}, \"id\": "
           "3}\n");
    return 0;
}

static FERRY_CO int talk_to_good_peer(void *arg)
{
    (void)arg;
    struct pair p;
    open_pair(&p);
    ferry_spawn(&p.scope, "peer", good_peer, &p);

    FERRY_AUTO(json) json_t *reply = NULL;
    ferry_error e = {0};
    check_eq(ferry_qmp_execute(p.q, "query-status", NULL, &reply, &e), 0);
    check_has(json_string_value(json_object_get(reply, "status")), "run}]\"[ning");
    check_has(ferry_qmp_version(p.q), "7.2.22");
    check_has(p.events, "STOP:- SHUTDOWN:guest-panic ");

    json_t *args = json_pack("{s:s}", "driver", "x");
    check_eq(ferry_qmp_execute(p.q, "device_add", args, NULL, &e), -FERRY_EIO);
    check_has(e.msg, "device_add: no bus");

    close_pair(&p);
    check_eq(p.run_result, -FERRY_EPIPE);
    return 0;
}

/* ---- bad peers --------------------------------------------------------------------- */

struct bad {
    struct pair p;
    const char *says;
    size_t repeat;
};

static FERRY_CO int bad_peer(void *arg)
{
    struct bad *b = arg;
    for (size_t i = 0; i < b->repeat; i++) {
        struct iovec v = {(void *)(uintptr_t)b->says, strlen(b->says)};
        if (ferry_link_write(b->p.peer, &v, 1) < 0)
            break; /* the client has had enough */
    }
    return 0;
}

static FERRY_CO int expect_proto(void *arg)
{
    struct bad *b = arg;
    open_pair(&b->p);
    ferry_spawn(&b->p.scope, "peer", bad_peer, b);
    ferry_error e = {0};
    check_eq(ferry_qmp_execute(b->p.q, "quit", NULL, NULL, &e), -FERRY_EPROTO);
    check_has(e.msg, "quit");
    /* The reader has stopped; nobody takes what a chattering peer still sends. */
    ferry_scope_cancel(&b->p.scope, -FERRY_ECANCELED);
    ferry_scope_join(&b->p.scope);
    ferry_link_close(b->p.peer);
    ferry_qmp_free(b->p.q);
    check_eq(b->p.run_result, -FERRY_EPROTO);
    return 0;
}

static void garbage(void **state)
{
    (void)state;
    static const char *const lines[] = {
        "SSH-2.0-OpenSSH\r\n",
        "[]\n",
        "{}\n",
        "42\n",
        "{\"event\": 7}\n",
        "{\"QMP\": {\n",
        "{\"return\": {}, \"id\": 1}}\n",
        "\x01\xff\xfe\n",
    };
    for (size_t i = 0; i < sizeof lines / sizeof *lines; i++) {
        struct bad b = {.says = lines[i], .repeat = 1};
        run_on_uv(expect_proto, &b);
    }
}

static void a_line_without_end(void **state)
{
    (void)state;
    struct bad b = {.says =
                        "{\"event\": \"xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx",
                    .repeat = 10 * FERRY_QMP_LINE / 50};
    run_on_uv(expect_proto, &b);
}

/* jansson goes down by recursion; a coroutine's stack is small. */
static void nesting_without_end(void **state)
{
    (void)state;
    char deep[4096];
    memset(deep, '[', sizeof deep);
    deep[sizeof deep - 2] = '\n';
    deep[sizeof deep - 1] = '\0';
    struct bad b = {.says = deep, .repeat = 1};
    run_on_uv(expect_proto, &b);
}

/* ---- ends and cancels ---------------------------------------------------------------- */

static FERRY_CO int hang_up(void *arg)
{
    struct pair *p = arg;
    say(p, GREETING);
    hear(p, "\"qmp_capabilities\"");
    say(p, OK(1));
    hear(p, "\"quit\"");
    ferry_link_close(ferry_take(&p->peer));
    return 0;
}

static FERRY_CO int a_peer_that_hangs_up(void *arg)
{
    (void)arg;
    struct pair p;
    open_pair(&p);
    ferry_spawn(&p.scope, "peer", hang_up, &p);
    ferry_error e = {0};
    check_eq(ferry_qmp_execute(p.q, "quit", NULL, NULL, &e), -FERRY_EPIPE);
    check_eq(ferry_qmp_execute(p.q, "quit", NULL, NULL, &e), -FERRY_EPIPE);
    close_pair(&p);
    return 0;
}

/* A cancelled command's late reply is nobody's, and the next command still works. */
static FERRY_CO int late_peer(void *arg)
{
    struct pair *p = arg;
    say(p, GREETING);
    hear(p, "\"qmp_capabilities\"");
    say(p, OK(1));
    hear(p, "\"slow\"");
    hear(p, "\"quick\"");
    say(p, OK(2) OK(3));
    return 0;
}

static FERRY_CO int a_cancelled_command(void *arg)
{
    (void)arg;
    struct pair p;
    open_pair(&p);
    ferry_spawn(&p.scope, "peer", late_peer, &p);

    ferry_scope s;
    ferry_error e = {0};
    ferry_scope_open(&s, 0);
    ferry_scope_deadline(&s, 50);
    check_eq(ferry_qmp_execute(p.q, "slow", NULL, NULL, &e), -FERRY_ETIMEDOUT);
    ferry_scope_join(&s);
    check_eq(ferry_qmp_execute(p.q, "quick", NULL, NULL, &e), 0);
    close_pair(&p);
    return 0;
}

static void a_good_peer(void **state)
{
    (void)state;
    run_on_uv(talk_to_good_peer, NULL);
}

static void ends_and_cancels(void **state)
{
    (void)state;
    run_on_uv(a_peer_that_hangs_up, NULL);
    run_on_uv(a_cancelled_command, NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_good_peer),        cmocka_unit_test(garbage),
        cmocka_unit_test(a_line_without_end), cmocka_unit_test(nesting_without_end),
        cmocka_unit_test(ends_and_cancels),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
