/* The QMP client; see qmp.h. */
#include "launch/qmp.h"

#include "async/pipe.h"
#include "async/scope.h"
#include "async/sync.h"
#include "base/auto.h"
#include "base/error.h"
#include "base/list.h"
#include "base/trace.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FIRST_BUF 4096

struct ferry_qmp {
    ferry_link *link;
    ferry_qmp_event_fn on_event;
    void *arg;

    char version[32];
    bool ready; /* qmp_capabilities was accepted */
    int ended;  /* 0, or the code that every command gets from now on */

    json_int_t next_id;
    ferry_list calls;   /* struct call.link, sent and not answered */
    ferry_cond changed; /* ready, ended, a reply */
    ferry_sem writing;  /* one writer at a time */
};

/* A command in flight, on its caller's stack. */
struct call {
    ferry_list link;
    json_int_t id;
    json_t *reply; /* NULL until it is here */
};

int ferry_qmp_new(ferry_link *link, ferry_qmp_event_fn on_event, void *arg,
                  ferry_qmp **ret)
{
    ferry_qmp *q = calloc(1, sizeof *q);
    if (!q) {
        ferry_link_close(link);
        return -ENOMEM;
    }
    q->link = link;
    q->on_event = on_event;
    q->arg = arg;
    ferry_list_init(&q->calls);
    ferry_cond_init(&q->changed);
    ferry_sem_init(&q->writing, 1);
    *ret = q;
    return 0;
}

void ferry_qmp_free(ferry_qmp *q)
{
    if (!q)
        return;
    ferry_link_close(q->link);
    free(q);
}

const char *ferry_qmp_version(const ferry_qmp *q)
{
    return q->version;
}

static void end(ferry_qmp *q, int code)
{
    if (!q->ended)
        q->ended = code;
    ferry_cond_wake(&q->changed);
}

/* ---- one line -------------------------------------------------------------------- */

static bool too_deep(const char *s, size_t len)
{
    int depth = 0;
    bool string = false;
    for (size_t i = 0; i < len; i++) {
        if (string) {
            if (s[i] == '\\')
                i++;
            else
                string = s[i] != '"';
        } else if (s[i] == '"') {
            string = true;
        } else if (s[i] == '{' || s[i] == '[') {
            if (++depth > FERRY_QMP_DEPTH)
                return true;
        } else if (s[i] == '}' || s[i] == ']') {
            depth--;
        }
    }
    return false;
}

static void on_greeting(ferry_qmp *q, json_t *greeting)
{
    int major = 0, minor = 0, micro = 0;
    json_unpack(greeting, "{s:{s:{s:i, s:i, s:i}}}", "version", "qemu", "major", &major,
                "minor", &minor, "micro", &micro);
    snprintf(q->version, sizeof q->version, "%d.%d.%d", major, minor, micro);
    ferry_cond_wake(&q->changed);
}

static void on_reply(ferry_qmp *q, json_t *msg)
{
    json_t *id = json_object_get(msg, "id");
    ferry_list_each (struct call, call, &q->calls, link) {
        if (!json_is_integer(id) || json_integer_value(id) != call->id)
            continue;
        ferry_list_remove(&call->link);
        call->reply = json_incref(msg);
        ferry_cond_wake(&q->changed);
        return;
    }
    /* Whoever asked was cancelled and has left. */
    FERRY_TRACE(launch, "qmp: reply to nobody");
}

/* -FERRY_EPROTO for what no qemu says. */
static int on_line(ferry_qmp *q, const char *line, size_t len)
{
    FERRY_TRACE(launch, "qmp < %.*s", (int)len, line);
    if (too_deep(line, len))
        return -FERRY_EPROTO;
    FERRY_AUTO(json) json_t *msg = json_loadb(line, len, 0, NULL);
    if (!json_is_object(msg))
        return -FERRY_EPROTO;

    json_t *event = json_object_get(msg, "event");
    json_t *greeting = json_object_get(msg, "QMP");
    if (greeting)
        on_greeting(q, greeting);
    else if (json_is_string(event))
        q->on_event(q->arg, json_string_value(event), json_object_get(msg, "data"));
    else if (json_object_get(msg, "return") || json_object_get(msg, "error"))
        on_reply(q, msg);
    else
        return -FERRY_EPROTO;
    return 0;
}

/* ---- reading --------------------------------------------------------------------- */

/* Handles the whole lines in b and moves the rest to its front. The first `seen` bytes
 * hold no line's end. */
static int take_lines(ferry_qmp *q, ferry_buf *b, size_t seen)
{
    uint8_t *start = b->data, *end_of_data = b->data + b->len;
    uint8_t *from = start + seen;
    uint8_t *nl;
    while ((nl = memchr(from, '\n', (size_t)(end_of_data - from)))) {
        size_t len = (size_t)(nl - start);
        if (len > 0 && start[len - 1] == '\r')
            len--;
        int r = len > 0 ? on_line(q, (const char *)start, len) : 0;
        if (r < 0)
            return r;
        start = from = nl + 1;
    }
    b->len = (size_t)(end_of_data - start);
    memmove(b->data, start, b->len);
    return 0;
}

static int make_room(ferry_buf **b)
{
    if (ferry_buf_room(*b) > 0)
        return 0;
    if ((*b)->cap >= FERRY_QMP_LINE)
        return -FERRY_EPROTO;
    ferry_buf *bigger;
    int r = ferry_buf_new(2 * (*b)->cap, &bigger);
    if (r < 0)
        return r;
    memcpy(bigger->data, (*b)->data, (*b)->len);
    bigger->len = (*b)->len;
    ferry_buf_unref(*b);
    *b = bigger;
    return 0;
}

static FERRY_CO int read_lines(ferry_qmp *q)
{
    FERRY_AUTO(buf) ferry_buf *b = NULL;
    int r = ferry_buf_new(FIRST_BUF, &b);
    while (r == 0) {
        r = make_room(&b);
        if (r < 0)
            break;
        size_t seen = b->len;
        ssize_t n = ferry_link_read(q->link, b);
        if (n <= 0)
            return n < 0 ? (int)n : -FERRY_EPIPE;
        r = take_lines(q, b, seen);
    }
    return r;
}

/* ---- writing --------------------------------------------------------------------- */

static FERRY_CO int send_command(ferry_qmp *q, const char *command, json_t *args,
                                 int fd, json_int_t id)
{
    /* "o" steals args, also when packing fails. */
    FERRY_AUTO(json)
    json_t *msg = args ? json_pack("{s:s, s:I, s:o}", "execute", command, "id", id,
                                   "arguments", args)
                       : json_pack("{s:s, s:I}", "execute", command, "id", id);
    FERRY_AUTO(mem) char *text = msg ? json_dumps(msg, JSON_COMPACT) : NULL;
    if (!text)
        return -ENOMEM;

    int r = ferry_sem_get(&q->writing);
    if (r < 0)
        return r;
    FERRY_TRACE(launch, "qmp > %s", text);
    char newline = '\n';
    struct iovec iov[] = {{text, strlen(text)}, {&newline, 1}};
    r = fd < 0 ? ferry_link_write(q->link, iov, 2)
               : ferry_pipe_write_fd(q->link, iov, 2, fd);
    if (r < 0)
        end(q, r); /* half a command may be out: nothing after it would be understood */
    ferry_sem_put(&q->writing);
    return r;
}

static FERRY_CO int await(ferry_qmp *q, struct call *call)
{
    while (!call->reply) {
        if (q->ended)
            return q->ended;
        int r = ferry_cond_wait(&q->changed);
        if (r < 0 && !call->reply)
            return r;
    }
    return 0;
}

/* Sends and waits, whether the handshake is through or not. */
static FERRY_CO int transact(ferry_qmp *q, const char *command, json_t *args, int fd,
                             json_t **ret_reply)
{
    struct call call = {.id = ++q->next_id};
    ferry_list_append(&q->calls, &call.link);
    int r = send_command(q, command, args, fd, call.id);
    if (r == 0)
        r = await(q, &call);
    ferry_list_remove(&call.link);
    if (r < 0) {
        json_decref(call.reply);
        return r;
    }
    *ret_reply = call.reply;
    return 0;
}

/* ---- the contract ---------------------------------------------------------------- */

/* Greeting first, then the one command that is allowed; a task beside the reader. */
static FERRY_CO int shake_hands(void *arg)
{
    ferry_qmp *q = arg;
    while (!*q->version) {
        int r = q->ended ? q->ended : ferry_cond_wait(&q->changed);
        if (r < 0)
            return r;
    }
    FERRY_AUTO(json) json_t *reply = NULL;
    int r = transact(q, "qmp_capabilities", NULL, -1, &reply);
    if (r < 0)
        return r;
    if (!json_object_get(reply, "return"))
        return -FERRY_EPROTO;
    q->ready = true;
    ferry_cond_wake(&q->changed);
    return 0;
}

static FERRY_CO int read_task(void *arg)
{
    ferry_qmp *q = arg;
    int r = read_lines(q);
    end(q, r);
    return r;
}

FERRY_CO int ferry_qmp_run(ferry_qmp *q)
{
    ferry_scope s;
    ferry_scope_open(&s, 0);
    int r = ferry_spawn(&s, "qmp-read", read_task, q);
    if (r == 0)
        r = ferry_spawn(&s, "qmp-hello", shake_hands, q);
    if (r < 0)
        ferry_scope_cancel(&s, r);
    int joined = ferry_scope_join(&s);
    end(q, r < 0 ? r : joined < 0 ? joined : -FERRY_EPIPE);
    return q->ended;
}

/* qemu's words for why not, or NULL if it did as told. */
static const char *refusal(const json_t *reply)
{
    const json_t *error = json_object_get(reply, "error");
    if (!error)
        return NULL;
    const char *desc = json_string_value(json_object_get(error, "desc"));
    return desc ? desc : "no reason given";
}

FERRY_CO int ferry_qmp_execute_fd(ferry_qmp *q, const char *command, json_t *args,
                                  int fd, json_t **ret, ferry_error *e)
{
    int r = 0;
    while (!q->ready && !q->ended && r == 0)
        r = ferry_cond_wait(&q->changed);
    if (r == 0 && q->ended)
        r = q->ended;

    FERRY_AUTO(json) json_t *reply = NULL;
    if (r < 0)
        json_decref(args);
    else
        r = transact(q, command, args, fd, &reply);
    if (r < 0)
        return ferry_fail(e, r, "qmp", "qemu: %s: %s", command, ferry_strerror(r));

    const char *why = refusal(reply);
    if (why)
        return ferry_fail(e, -FERRY_EIO, "qmp", "qemu: %s: %s", command, why);
    if (ret)
        *ret = json_incref(json_object_get(reply, "return"));
    return 0;
}

FERRY_CO int ferry_qmp_execute(ferry_qmp *q, const char *command, json_t *args,
                               json_t **ret, ferry_error *e)
{
    return ferry_qmp_execute_fd(q, command, args, -1, ret, e);
}
