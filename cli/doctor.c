/* gferry doctor: is everything there that gferry needs, and does it work? The verdict on the
 * appliance comes from a launch, not from looking at files. */
#include "auto.h"
#include "command.h"
#include "guest.h"
#include "json.h"
#include "out.h"
#include "program.h"
#include "session.h"
#include "text.h"

#include <guestferry/version.h>

#include "ferry_config.h"

#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>

static const char help[] =
    "Looks for everything that gferry needs and starts an appliance. Ends with 0 if "
    "all is\n"
    "well, 5 if the appliance does not start, 1 if something else is wrong.\n"
    "\n"
    "Examples:\n"
    "  gferry doctor\n"
    "  gferry doctor --accel kvm\n"
    "  gferry doctor --json\n";

/* A scratch disk for the launch: what it holds does not matter. */
#define SCRATCH_BYTES (1 << 20)
/* Descriptors: 24 transfers in flight, a source and a destination each, and our own. */
#define NOFILE_WANTED 256

enum verdict { GOOD, NOTE, BAD };

/* The findings, in order; printed as they come, or at the end as JSON. */
struct report {
    bool json;
    json_t *items;
    json_t *launch; /* figures of the launch; NULL until there was one */
    bool kvm_opens;
    int bad;
};

static void find(struct report *r, enum verdict v, const char *name, const char *fmt,
                 ...) FERRY_PRINTF(4, 5);

static void find(struct report *r, enum verdict v, const char *name, const char *fmt,
                 ...)
{
    static const char *const word[] = {"ok", "note", "bad"};
    FERRY_AUTO(mem) char *text = NULL;
    va_list ap;
    va_start(ap, fmt);
    if (vasprintf(&text, fmt, ap) < 0)
        text = NULL;
    va_end(ap);
    r->bad += v == BAD;
    if (r->json) {
        json_t *o = json_object();
        json_object_set_new(o, "check", json_string(name));
        json_object_set_new(o, "verdict", json_string(word[v]));
        json_object_set_new(o, "text", json_text(text ? text : ""));
        json_array_append_new(r->items, o);
        return;
    }
    FILE *out = out_begin();
    fprintf(out, "%-5s %-10s ", word[v], name);
    out_name(out, text ? text : "");
    fputc('\n', out);
}

/* ---- what is there ----------------------------------------------------------------- */

static void check_program(struct report *r, const char *name, const char *program,
                          const char *package, const char *what_for)
{
    char output[PROGRAM_OUTPUT];
    const char *argv[] = {program, "--version", NULL};
    int code = program_run(argv, output);
    output[strcspn(output, "\n")] = 0;
    if (code == 0)
        find(r, GOOD, name, "%s: %s", program, output);
    else if (code < 0)
        find(r, BAD, name, "%s: %s; %s (Debian: %s)", program, strerror(-code),
             what_for, package);
    else
        find(r, BAD, name, "%s --version: exit code %d: %s", program, code, output);
}

static void check_kvm(struct report *r)
{
    FERRY_AUTO(fd) int fd = open("/dev/kvm", O_RDWR | O_CLOEXEC);
    r->kvm_opens = fd >= 0;
    if (fd >= 0)
        find(r, GOOD, "kvm", "/dev/kvm opens; whether a guest boots is seen below");
    else
        find(r, NOTE, "kvm", "/dev/kvm: %s; the appliance runs without, more slowly",
             strerror(errno));
}

static void check_appliance(struct report *r)
{
    const char *dir = getenv("FERRY_APPLIANCE");
    if (!dir || !*dir)
        dir = FERRY_CONFIG_APPLIANCE;
    static const char *const files[] = {"vmlinux", "initramfs", "usr.img", "qboot.rom",
                                        "manifest.json"};
    for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
        FERRY_AUTO(mem) char *path = text_join(dir, files[i]);
        struct stat st;
        char size[TEXT_MAX];
        if (!path)
            continue;
        if (stat(path, &st) < 0) {
            find(r, i < 4 ? BAD : NOTE, "appliance", "%s: %s", path, strerror(errno));
            continue;
        }
        text_bytes((uint64_t)st.st_size, size);
        find(r, GOOD, "appliance", "%s: %s", path, size);
    }
}

static void check_limits(struct report *r)
{
    struct rlimit files;
    if (getrlimit(RLIMIT_NOFILE, &files) < 0)
        return;
    if (files.rlim_cur < NOFILE_WANTED)
        find(r, NOTE, "limits", "open files: %llu; less than %d may not do for cp -r",
             (unsigned long long)files.rlim_cur, NOFILE_WANTED);
    else
        find(r, GOOD, "limits", "open files: %llu", (unsigned long long)files.rlim_cur);
}

/* ---- does it work ------------------------------------------------------------------ */

static void report_launch(struct report *r, ferry_vm *vm)
{
    ferry_launch_times t = {0};
    ferry_vm_get_launch_times(vm, &t);
    const char *accel = ferry_vm_get_accel(vm);
    accel = accel ? accel : "?";
    find(r, GOOD, "launch", "%u ms with %s (prepare %u, boot %u, hello %u)", t.total_ms,
         accel, t.prepare_ms, t.boot_ms, t.hello_ms);
    if (r->kvm_opens && strcmp(accel, "kvm") != 0)
        find(r, NOTE, "kvm", "/dev/kvm opens, yet the appliance runs with %s", accel);

    r->launch = json_object();
    json_object_set_new(r->launch, "accel", json_string(accel));
    json_object_set_new(r->launch, "total_ms", json_integer(t.total_ms));
    json_object_set_new(r->launch, "prepare_ms", json_integer(t.prepare_ms));
    json_object_set_new(r->launch, "boot_ms", json_integer(t.boot_ms));
    json_object_set_new(r->launch, "hello_ms", json_integer(t.hello_ms));
}

static int try_launch(struct report *r, struct session *s, const struct options *o)
{
    ferry_error e = {0};
    int status = session_prepare(s, o);
    if (status != STATUS_OK)
        return status;
    if (ferry_add_drive_scratch(s->vm, SCRATCH_BYTES, &e) < 0)
        return session_failed(s, NULL, &e);
    status = session_launch(s);
    if (status != STATUS_OK)
        return status;

    report_launch(r, s->vm);
    uint64_t bytes, start = progress_now_ms();
    if (guest_getsize(s, "/dev/sda", &bytes, &e) < 0)
        return session_failed(s, NULL, &e);
    find(r, GOOD, "disk", "a scratch disk of %llu bytes answers in %llu ms",
         (unsigned long long)bytes, (unsigned long long)(progress_now_ms() - start));
    return STATUS_OK;
}

static int check_launch(struct report *r, const struct options *o)
{
    struct session s;
    int status = try_launch(r, &s, o);
    status = session_close(&s, status);
    if (status == STATUS_OK)
        find(r, GOOD, "shutdown", "the appliance ends as it should");
    else
        find(r, BAD, "launch", "the appliance does not work; see the error above");
    return status;
}

static int run(const struct options *o, char **operands, int n)
{
    (void)operands, (void)n;
    struct report r = {.json = o->json, .items = json_array()};
    const char *qemu = getenv("FERRY_QEMU");
    find(&r, GOOD, "gferry", "%s, library %s", FERRY_VERSION, ferry_version());
    check_program(&r, "qemu", qemu && *qemu ? qemu : "qemu-system-x86_64",
                  "qemu-system-x86", "it runs the appliance");
    check_program(&r, "qemu-img", "qemu-img", "qemu-utils",
                  "it makes qcow2, vmdk and vdi images");
    check_kvm(&r);
    check_appliance(&r);
    check_limits(&r);
    int status = check_launch(&r, o);
    if (status == STATUS_OK && r.bad)
        status = STATUS_FAILED;

    if (o->json) {
        FERRY_AUTO(json) json_t *doc = json_object();
        json_object_set(doc, "checks", r.items);
        if (r.launch)
            json_object_set(doc, "launch", r.launch);
        json_object_set_new(doc, "healthy", json_boolean(status == STATUS_OK));
        json_print(doc, out_begin(), true);
    }
    json_decref(r.items);
    json_decref(r.launch);
    int end = out_end(stdout);
    return status == STATUS_OK ? end : status;
}

const struct command doctor_command = {
    .name = "doctor",
    .synopsis = "",
    .summary = "check that everything gferry needs is there and works",
    .help = help,
    .min_operands = 0,
    .max_operands = 0,
    .missing = "",
    .run = run,
};
