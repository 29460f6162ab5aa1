/* gferry doctor: everything that a bug report needs, and a verdict. What is there is looked at
 * here; whether it works is tried in selftest.c. */
#include "auto.h"
#include "command.h"
#include "json.h"
#include "out.h"
#include "program.h"
#include "report.h"
#include "say.h"
#include "selftest.h"
#include "session.h"
#include "text.h"

#include <guestferry/version.h>

#include "ferry_config.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/utsname.h>
#include <unistd.h>

static const char help[] =
    "Tells what a bug report needs: versions, the appliance, limits of this machine; "
    "then\n"
    "starts an appliance and moves a file there and back, with the times it took. Ends "
    "with\n"
    "0 if all is well, 5 if the appliance does not start, 1 if something else is "
    "wrong.\n"
    "\n"
    "Examples:\n"
    "  gferry doctor\n"
    "  gferry doctor --accel kvm\n"
    "  gferry doctor --json\n";

/* Descriptors: 24 transfers in flight, a source and a destination each, and our own. */
#define NOFILE_WANTED 256
/* The guest's RAM, and what qemu itself takes. */
#define MEMORY_WANTED ((uint64_t)768 << 20)

/* What an appliance says of itself. */
#define MANIFEST "manifest.json"

/* ---- versions ---------------------------------------------------------------------- */

/* PRETTY_NAME of os-release(5); "" if there is none. */
static void os_name(char *buf, size_t size)
{
    char line[256];
    FILE *f = fopen("/etc/os-release", "re");
    buf[0] = 0;
    while (f && fgets(line, sizeof line, f))
        if (!strncmp(line, "PRETTY_NAME=", 12))
            snprintf(buf, size, "%.*s", (int)strcspn(line + 13, "\"\n"), line + 13);
    if (f)
        fclose(f);
}

static void check_versions(struct report *r)
{
    struct utsname u;
    char os[128];
    os_name(os, sizeof os);
    report_add(r, GOOD, "gferry", "%s, library %s", FERRY_VERSION, ferry_version());
    report_value(r, "versions", "gferry", json_string(FERRY_VERSION));
    report_value(r, "versions", "library", json_string(ferry_version()));
    if (uname(&u) == 0) {
        report_add(r, GOOD, "host", "%s %s %s%s%s, %ld CPUs", u.sysname, u.release,
                   u.machine, *os ? ", " : "", os, sysconf(_SC_NPROCESSORS_ONLN));
        report_value(r, "versions", "host_kernel", json_string(u.release));
    }
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
        report_add(r, GOOD, name, "%s: %s", program, output);
    else if (code < 0)
        report_add(r, BAD, name, "%s: %s; %s (Debian: %s)", program, strerror(-code),
                   what_for, package);
    else
        report_add(r, BAD, name, "%s --version: exit code %d: %s", program, code,
                   output);
}

/* Adds the bytes of a file of it; false: it is missing, which has been said. */
static bool size_file(struct report *r, const char *dir, const char *name,
                      uint64_t *bytes)
{
    FERRY_AUTO(mem) char *path = text_join(dir, name);
    struct stat st;
    if (path && stat(path, &st) == 0) {
        *bytes += (uint64_t)st.st_size;
        return true;
    }
    report_add(r, BAD, "appliance", "%s: %s", path ? path : name, strerror(errno));
    return false;
}

/* That its files are those of its manifest is for the launch to say. */
static void check_appliance(struct report *r, const char *dir, json_t *manifest)
{
    report_value(r, "versions", "appliance", json_text(dir));
    uint64_t bytes = 0;
    if (!size_file(r, dir, MANIFEST, &bytes))
        return;
    const char *name;
    json_t *sum;
    json_object_foreach(json_object_get(manifest, "sha256"), name, sum)
    {
        if (!size_file(r, dir, name, &bytes))
            return;
    }

    char size[TEXT_MAX];
    const char *kernel = "?";
    json_unpack(manifest, "{s:{s:s}}", "kernel", "release", &kernel);
    text_bytes(bytes, size);
    report_add(r, GOOD, "appliance", "%s: %s, kernel %s", dir, size, kernel);
    report_value(r, "versions", "appliance_kernel", json_string(kernel));
}

/* That of the appliance's architecture, which is the host's where it says nothing. */
static void check_qemu(struct report *r, const json_t *manifest)
{
    struct utsname host;
    char program[80];
    const char *given = getenv("FERRY_QEMU");
    const char *arch = json_string_value(json_object_get(manifest, "arch"));
    if (!arch)
        arch = uname(&host) == 0 ? host.machine : "x86_64";
    snprintf(program, sizeof program, "qemu-system-%s", arch);
    check_program(r, "qemu", given && *given ? given : program, "qemu-system",
                  "it runs the appliance");
}

/* ---- limits ------------------------------------------------------------------------ */

static void check_files(struct report *r)
{
    struct rlimit files;
    if (getrlimit(RLIMIT_NOFILE, &files) < 0)
        return;
    if (files.rlim_cur < NOFILE_WANTED)
        report_add(r, NOTE, "limits",
                   "open files: %llu; less than %d may not do for cp -r",
                   (unsigned long long)files.rlim_cur, NOFILE_WANTED);
    else
        report_add(r, GOOD, "limits", "open files: %llu",
                   (unsigned long long)files.rlim_cur);
}

/* Memory that programs can have now, of /proc/meminfo; 0: unknown. */
static uint64_t memory_available(void)
{
    unsigned long long kib = 0;
    char line[128];
    FILE *f = fopen("/proc/meminfo", "re");
    while (f && fgets(line, sizeof line, f))
        if (sscanf(line, "MemAvailable: %llu kB", &kib) == 1)
            break;
    if (f)
        fclose(f);
    return kib * 1024;
}

static void check_memory(struct report *r)
{
    char text[TEXT_MAX];
    struct rlimit space;
    uint64_t free_bytes = memory_available();
    if (free_bytes) {
        text_bytes(free_bytes, text);
        report_add(r, free_bytes < MEMORY_WANTED ? NOTE : GOOD, "limits",
                   "memory available: %s%s", text,
                   free_bytes < MEMORY_WANTED ? "; the appliance has 512 MiB" : "");
    }
    if (getrlimit(RLIMIT_AS, &space) == 0 && space.rlim_cur != RLIM_INFINITY) {
        text_bytes(space.rlim_cur, text);
        report_add(r, NOTE, "limits", "address space: %s (ulimit -v)", text);
    }
}

/* Where scratch disks go. */
static void check_tmpdir(struct report *r)
{
    const char *dir = getenv("TMPDIR");
    dir = dir && *dir ? dir : "/var/tmp";
    struct statvfs v;
    char text[TEXT_MAX];
    if (statvfs(dir, &v) < 0) {
        report_add(r, BAD, "limits", "%s: %s; scratch disks go there (TMPDIR)", dir,
                   strerror(errno));
        return;
    }
    text_bytes((uint64_t)v.f_bavail * v.f_frsize, text);
    if (access(dir, W_OK) < 0)
        report_add(r, BAD, "limits", "%s: %s; scratch disks go there (TMPDIR)", dir,
                   strerror(errno));
    else
        report_add(r, GOOD, "limits", "%s: %s free", dir, text);
}

/* ---- libvirt ----------------------------------------------------------------------- */

/* A libvirtd that does not answer is not waited for. */
#define LIBVIRT_MS 5000

static int ask_libvirt(const struct options *o, const char *uri,
                       ferry_libvirt_info *ret, ferry_error *e)
{
    struct session s;
    FERRY_AUTO(op) ferry_op *op = NULL;
    int r = -FERRY_ENOMEM;
    if (session_prepare(&s, o) == STATUS_OK)
        r = ferry_check_libvirt_start(s.vm, uri, &op, e);
    if (r == 0) {
        ferry_op_timeout(op, LIBVIRT_MS);
        while (ferry_op_wait(op, -1) == -FERRY_EINTR)
            ;
        r = ferry_check_libvirt_result(op, ret, e);
    }
    session_close(&s, STATUS_OK);
    return r;
}

/* Nobody needs it who has not asked for it. */
static void check_libvirt(struct report *r, const struct options *o)
{
    ferry_error e = {0};
    ferry_libvirt_info info = {0};
    bool wanted = o->backend && !strncmp(o->backend, "libvirt", 7);
    const char *uri = wanted && o->backend[7] ? o->backend + 8 : o->connect;
    if (!wanted)
        setenv("LIBVIRT_AUTOSTART", "0", 1); /* to look is not to start one */
    if (ask_libvirt(o, uri && *uri ? uri : NULL, &info, &e) < 0) {
        report_add(r, wanted ? BAD : NOTE, "libvirt", "%s", e.msg);
        return;
    }
    report_add(r, GOOD, "libvirt", "%u.%u.%u at %s", info.version / 1000000,
               info.version / 1000 % 1000, info.version % 1000, info.uri);
    report_value(r, "versions", "libvirt", json_integer(info.version));
}

/* ---- all of it --------------------------------------------------------------------- */

static void look(struct report *r, const struct options *o)
{
    const char *dir = getenv("FERRY_APPLIANCE");
    if (!dir || !*dir)
        dir = FERRY_CONFIG_APPLIANCE;
    FERRY_AUTO(mem) char *path = text_join(dir, MANIFEST);
    FERRY_AUTO(json) json_t *manifest = path ? json_load_file(path, 0, NULL) : NULL;

    check_versions(r);
    check_qemu(r, manifest);
    check_program(r, "qemu-img", "qemu-img", "qemu-utils",
                  "it makes qcow2, vmdk and vdi images");
    check_appliance(r, dir, manifest);
    check_files(r);
    check_memory(r);
    check_tmpdir(r);
    check_libvirt(r, o);
}

static int run(const struct options *o, char **operands, int n)
{
    (void)operands, (void)n;
    struct report r;
    report_init(&r, o->json);
    look(&r, o);
    int status = selftest(&r, o);
    if (status == STATUS_OK && r.bad)
        status = STATUS_FAILED;
    report_end(&r, status == STATUS_OK);
    report_done(&r);
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
