/* Launch, a round trip, a file system, a file there and back, the end; see selftest.h. Each with
 * its time, so that a bug report says whether the machine is slow or something is wrong. */
#include "selftest.h"

#include "guest.h"
#include "text.h"

#include <guestferry/transfer.h>

#include <string.h>

#define DISK_BYTES ((uint64_t)256 << 20) /* sparse */
#define FILE_BYTES ((size_t)32 << 20)
#define PINGS 100

/* ---- the launch ---------------------------------------------------------------------- */

static void report_accel(struct report *r, struct session *s)
{
    FERRY_AUTO(mem) char *why = NULL;
    const char *accel = ferry_vm_get_accel(s->vm);
    accel = accel ? accel : "?";
    report_value(r, "launch", "accel", json_string(accel));
    if (ferry_vm_get_accel_reason(s->vm, &why) < 0 || !*why) {
        report_add(r, GOOD, "accel", "%s%s", accel,
                   strcmp(accel, "kvm") != 0 ? ", as asked for" : "");
        return;
    }
    report_value(r, "launch", "no_kvm", json_string(why));
    report_add(r, NOTE, "accel", "%s, because kvm does not work here: %s", accel, why);
}

static void report_template(struct report *r, const ferry_launch_times *t)
{
    if (t->restored)
        report_add(r, GOOD, "template", "the launch went on from one");
    else if (t->template_missing)
        report_add(r, NOTE, "template",
                   "none that can be used yet; one is made behind a launch, or by "
                   "\"gferry template build\"");
    else
        report_add(r, NOTE, "template", "not asked for");
    report_value(r, "launch", "restored", json_boolean(t->restored));
}

static void report_launch(struct report *r, struct session *s)
{
    ferry_launch_times t = {0};
    ferry_vm_get_launch_times(s->vm, &t);
    report_add(r, GOOD, "launch",
               "%u ms (prepare %u, %s %u, hello %u, drives %u, settle %u)", t.total_ms,
               t.prepare_ms, t.restored ? "restore" : "boot", t.boot_ms, t.hello_ms,
               t.drives_ms, t.settle_ms);
    report_template(r, &t);
    report_value(r, "launch", "total_ms", json_integer(t.total_ms));
    report_value(r, "launch", "prepare_ms", json_integer(t.prepare_ms));
    report_value(r, "launch", "boot_ms", json_integer(t.boot_ms));
    report_value(r, "launch", "hello_ms", json_integer(t.hello_ms));
    report_value(r, "launch", "drives_ms", json_integer(t.drives_ms));
    report_value(r, "launch", "settle_ms", json_integer(t.settle_ms));
    report_accel(r, s);
}

static int launch(struct report *r, struct session *s)
{
    ferry_error e = {0};
    if (ferry_add_drive_scratch(s->vm, DISK_BYTES, &e) < 0)
        return session_failed(s, NULL, &e);
    int status = session_launch(s);
    if (status == STATUS_OK)
        report_launch(r, s);
    return status;
}

/* ---- calls --------------------------------------------------------------------------- */

/* Microseconds of the whole, for what is too quick for progress_now_ms(). */
static int ping(struct report *r, struct session *s, ferry_error *e)
{
    uint64_t start = progress_now_ms();
    for (int i = 0; i < PINGS; i++) {
        FERRY_AUTO(op) ferry_op *op = NULL;
        int code = ferry_ping_start(s->vm, &op, e);
        if (code == 0)
            code = session_await(s, op, e);
        if (code < 0)
            return code;
    }
    uint64_t us = (progress_now_ms() - start) * 1000 / PINGS;
    report_add(r, GOOD, "calls", "a round trip takes %llu us", (unsigned long long)us);
    report_value(r, "selftest", "round_trip_us", json_integer((json_int_t)us));
    return 0;
}

static int make_fs(struct report *r, struct session *s, ferry_error *e)
{
    uint64_t start = progress_now_ms();
    int code = guest_mkfs(s, "ext4", "/dev/sda", NULL, e);
    if (code == 0)
        code = guest_mount(s, "/dev/sda", "/", e);
    if (code < 0)
        return code;
    uint64_t ms = progress_now_ms() - start;
    report_add(r, GOOD, "disk", "ext4 on a scratch disk, made and mounted in %llu ms",
               (unsigned long long)ms);
    report_value(r, "selftest", "mkfs_mount_ms", json_integer((json_int_t)ms));
    return 0;
}

/* ---- transfers ----------------------------------------------------------------------- */

static void report_rate(struct report *r, const char *check, const char *name,
                        uint64_t ms)
{
    char rate[TEXT_MAX], size[TEXT_MAX];
    uint64_t per_second = FILE_BYTES * 1000 / (ms ? ms : 1);
    text_rate(per_second, rate);
    text_bytes(FILE_BYTES, size);
    report_add(r, GOOD, check, "%s in %llu ms: %s", size, (unsigned long long)ms, rate);
    report_value(r, "selftest", name, json_integer((json_int_t)per_second));
}

/* Any bytes do, as long as no two blocks are the same. */
static void fill(uint8_t *data)
{
    uint32_t x = 1;
    for (size_t i = 0; i < FILE_BYTES; i++) {
        x = x * 1664525 + 1013904223; /* Numerical Recipes' generator */
        data[i] = (uint8_t)(x >> 24);
    }
}

static int there(struct report *r, struct session *s, const uint8_t *data,
                 ferry_error *e)
{
    uint64_t start = progress_now_ms();
    FERRY_AUTO(op) ferry_op *op = NULL;
    int code =
        ferry_upload_mem_start(s->vm, data, FILE_BYTES, "/selftest", NULL, &op, e);
    if (code == 0)
        code = session_await_shown(s, op, "uploading", e);
    if (code == 0)
        report_rate(r, "upload", "upload_bytes_per_second", progress_now_ms() - start);
    return code;
}

static int back(struct report *r, struct session *s, const uint8_t *data, ferry_error *e)
{
    uint64_t start = progress_now_ms();
    FERRY_AUTO(op) ferry_op *op = NULL;
    FERRY_AUTO(mem) void *got = NULL;
    size_t len = 0;
    int code = ferry_download_mem_start(s->vm, "/selftest", NULL, &op, e);
    if (code == 0)
        code = session_await_shown(s, op, "downloading", e);
    if (code == 0)
        code = ferry_download_mem_result(op, &got, &len, e);
    if (code < 0)
        return code;
    if (len == FILE_BYTES && memcmp(got, data, len) == 0)
        report_rate(r, "download", "download_bytes_per_second",
                    progress_now_ms() - start);
    else
        report_add(r, BAD, "download", "the bytes are not those that went there");
    return 0;
}

/* After transfers that were large enough to open it; a slow guest may still be about it. */
static void report_lane(struct report *r, struct session *s)
{
    const char *lane = ferry_vm_get_lane(s->vm);
    lane = lane ? lane : "none";
    bool good = strcmp(lane, "open") == 0 || strcmp(lane, "idle") == 0;
    report_value(r, "selftest", "lane", json_string(lane));
    report_add(r, good ? GOOD : NOTE, "lane", "%s: %s", lane,
               good ? "large transfers go through memory shared with the guest"
                    : "large transfers go over the channel, and are slower");
}

static int transfers(struct report *r, struct session *s, ferry_error *e)
{
    FERRY_AUTO(mem) uint8_t *data = malloc(FILE_BYTES);
    if (!data)
        return -FERRY_ENOMEM;
    fill(data);
    int code = there(r, s, data, e);
    if (code == 0)
        code = back(r, s, data, e);
    if (code == 0)
        report_lane(r, s);
    return code;
}

/* ---- all of it ----------------------------------------------------------------------- */

static int run(struct report *r, struct session *s, const struct options *o)
{
    ferry_error e = {0};
    int status = session_prepare(s, o);
    if (status == STATUS_OK)
        status = launch(r, s);
    if (status != STATUS_OK)
        return status;

    int code = ping(r, s, &e);
    if (code == 0)
        code = make_fs(r, s, &e);
    if (code == 0)
        code = transfers(r, s, &e);
    return code < 0 ? session_failed(s, NULL, &e) : STATUS_OK;
}

int selftest(struct report *r, const struct options *o)
{
    struct session s;
    int status = run(r, &s, o);
    uint64_t start = progress_now_ms();
    int end = session_close(&s, status);
    if (end == STATUS_OK)
        report_add(r, GOOD, "shutdown", "flushed and ended in %llu ms",
                   (unsigned long long)(progress_now_ms() - start));
    else
        report_add(r, BAD, "launch", "the appliance does not work; see the error above");
    return end;
}
