/* Options of all commands; see options.h. */
#include "options.h"

#include "auto.h"
#include "command.h"
#include "say.h"
#include "text.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

enum {
    OPT_FORMAT = 0x100,
    OPT_RO,
    OPT_ACCEL,
    OPT_BACKEND,
    OPT_TEMPLATE,
    OPT_CONNECT,
    OPT_FORCE_RUNNING,
    OPT_PROGRESS,
    OPT_JSON,
    OPT_TIMEOUT,
    OPT_VERSION,
};

static const char common_shorts[] = "d:m:qvh";
static const struct option common_longs[] = {
    {"format", required_argument, NULL, OPT_FORMAT},
    {"mount", required_argument, NULL, 'm'},
    {"domain", required_argument, NULL, 'd'},
    {"connect", required_argument, NULL, OPT_CONNECT},
    {"force-running", no_argument, NULL, OPT_FORCE_RUNNING},
    {"ro", no_argument, NULL, OPT_RO},
    {"accel", required_argument, NULL, OPT_ACCEL},
    {"backend", required_argument, NULL, OPT_BACKEND},
    {"template", required_argument, NULL, OPT_TEMPLATE},
    {"progress", required_argument, NULL, OPT_PROGRESS},
    {"json", no_argument, NULL, OPT_JSON},
    {"timeout", required_argument, NULL, OPT_TIMEOUT},
    {"quiet", no_argument, NULL, 'q'},
    {"verbose", no_argument, NULL, 'v'},
    {"version", no_argument, NULL, OPT_VERSION},
    {"help", no_argument, NULL, 'h'},
};
#define NCOMMON (sizeof common_longs / sizeof *common_longs)
/* The most long options a command has of its own. */
#define NOWN_MAX 8

const char options_help[] =
    "Options of every command:\n"
    "  -m, --mount DEV[:MOUNTPOINT]  mount DEV (sda2, /dev/vg/root) at MOUNTPOINT "
    "(/);\n"
    "                        repeatable; without it the only file system is at /\n"
    "      --format FORMAT   raw, qcow2, vmdk or vdi; without it, by the image's "
    "extension\n"
    "  -d, --domain NAME     the disks of a libvirt domain; :/PATH is in them, : is "
    "all\n"
    "      --connect URI     the libvirt that has the domain\n"
    "      --force-running   write to a domain that is running\n"
    "      --ro              write nothing to the image\n"
    "      --accel ACCEL     auto, kvm or tcg\n"
    "      --backend BACKEND direct, libvirt or libvirt:URI: who runs the appliance\n"
    "      --template MODE   auto, never or require: launch from a template (gferry "
    "template)\n"
    "      --timeout TIME    give up after TIME (90, 90s, 5m, 1h), cleaning up as "
    "after ^C\n"
    "      --progress MODE   auto, bar, plain, json or none\n"
    "      --json            results as JSON\n"
    "  -q, --quiet           no progress, no notices\n"
    "  -v, --verbose         say how long the launch took, on what, and more\n"
    "  -h, --help            this page\n"
    "      --version         the version\n";

static int parse_accel(struct options *o, const char *value)
{
    if (!strcmp(value, "auto"))
        o->accel = FERRY_ACCEL_AUTO;
    else if (!strcmp(value, "kvm"))
        o->accel = FERRY_ACCEL_KVM;
    else if (!strcmp(value, "tcg"))
        o->accel = FERRY_ACCEL_TCG;
    else
        return say_usage("--accel %s: auto, kvm or tcg", value);
    return 0;
}

static int parse_backend(struct options *o, const char *value)
{
    if (strcmp(value, "direct") != 0 && strcmp(value, "libvirt") != 0 &&
        strncmp(value, "libvirt:", 8) != 0)
        return say_usage("--backend %s: direct, libvirt or libvirt:URI", value);
    o->backend = value;
    return 0;
}

static int parse_template(struct options *o, const char *value)
{
    if (!strcmp(value, "auto"))
        o->templates = FERRY_TEMPLATE_AUTO;
    else if (!strcmp(value, "never"))
        o->templates = FERRY_TEMPLATE_NEVER;
    else if (!strcmp(value, "require"))
        o->templates = FERRY_TEMPLATE_REQUIRE;
    else
        return say_usage("--template %s: auto, never or require", value);
    return 0;
}

static int parse_progress(struct options *o, const char *value)
{
    static const char *const names[] = {"auto", "bar", "plain", "json", "none"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        if (!strcmp(value, names[i])) {
            o->progress = (enum progress_mode)i;
            return 0;
        }
    }
    return say_usage("--progress %s: auto, bar, plain, json or none", value);
}

static int parse_format(struct options *o, const char *value)
{
    static const char *const known[] = {"raw", "qcow2", "vmdk", "vdi"};
    for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
        if (!strcmp(value, known[i])) {
            o->format = known[i];
            return 0;
        }
    }
    return say_usage("--format %s: raw, qcow2, vmdk or vdi", value);
}

static int parse_mount(struct options *o, const char *value)
{
    if (o->nmounts == OPTIONS_MOUNTS_MAX)
        return say_usage("-m %s: more than %d of them", value, OPTIONS_MOUNTS_MAX);
    const char *colon = strchr(value, ':');
    const char *mountpoint = colon ? colon + 1 : "/";
    size_t n = colon ? (size_t)(colon - value) : strlen(value);
    if (n == 0 || *mountpoint != '/')
        return say_usage("-m %s: DEV or DEV:/MOUNTPOINT", value);

    struct mount_option m = {.mountpoint = strdup(mountpoint)};
    if (asprintf(&m.device, "%s%.*s", *value == '/' ? "" : "/dev/", (int)n, value) < 0)
        m.device = NULL;
    if (!m.device || !m.mountpoint) {
        free(m.device);
        free(m.mountpoint);
        say_no_memory();
        return STATUS_FAILED;
    }
    o->mounts[o->nmounts++] = m;
    return 0;
}

static int parse_common(struct options *o, int c, const char *value)
{
    switch (c) {
    case OPT_FORMAT: return parse_format(o, value);
    case OPT_ACCEL: return parse_accel(o, value);
    case OPT_BACKEND: return parse_backend(o, value);
    case OPT_TEMPLATE: return parse_template(o, value);
    case OPT_PROGRESS: return parse_progress(o, value);
    case OPT_TIMEOUT:
        if (text_parse_duration(value, &o->timeout_ms) < 0)
            return say_usage("--timeout %s: a time such as 90, 90s, 5m or 1h", value);
        return 0;
    case 'm': return parse_mount(o, value);
    case 'd': o->domain = value; return 0;
    case OPT_CONNECT: o->connect = value; return 0;
    case OPT_FORCE_RUNNING: o->force_running = true; return 0;
    case OPT_RO: o->ro = true; return 0;
    case OPT_JSON: o->json = true; return 0;
    case 'q': o->quiet = true; return 0;
    case 'v': o->verbose = true; return 0;
    case OPT_VERSION: return OPTIONS_VERSION;
    case 'h': return OPTIONS_HELP;
    default: return STATUS_USAGE;
    }
}

/* getopt's two kinds of complaint, in our words. */
static int complain(int c, char **argv)
{
    const char *arg = argv[optind - 1];
    if (c == ':' && !strncmp(arg, "--", 2))
        return say_usage("%s needs a value", arg);
    if (c == ':')
        return say_usage("-%c needs a value", optopt);
    if (optopt >= OPT_FORMAT)
        return say_usage("%s takes no value", arg);
    if (optopt)
        return say_usage("unknown option '-%c'", optopt);
    return say_usage("unknown option '%s'", arg);
}

int options_parse(struct options *o, const struct command *command, int argc,
                  char **argv, int *ret_next)
{
    struct option longs[NCOMMON + NOWN_MAX + 1] = {0};
    memcpy(longs, common_longs, sizeof common_longs);
    for (size_t i = 0; command && command->longs && command->longs[i].name; i++)
        longs[NCOMMON + i] = command->longs[i];

    /* "+": before the command's name, the first operand ends the options. ":": a missing
     * value is told from an unknown option. */
    char shorts[64];
    snprintf(shorts, sizeof shorts, "%s:%s%s", command ? "" : "+", common_shorts,
             command && command->shorts ? command->shorts : "");
    opterr = 0;
    optind = 0; /* glibc: start anew, argv[0] skipped */

    int c;
    while ((c = getopt_long(argc, argv, shorts, longs, NULL)) != -1) {
        if (c == '?' || c == ':')
            return complain(c, argv);
        /* Codes beyond a char are long options: not for strchr, to which 0x100 is 0. */
        bool own = command && command->option &&
                   (c >= OPT_OWN ||
                    (c < OPT_FORMAT && command->shorts && strchr(command->shorts, c)));
        int r = own ? command->option(o, c, optarg) : parse_common(o, c, optarg);
        if (r != 0)
            return r;
    }
    *ret_next = optind;
    return 0;
}

void options_done(struct options *o)
{
    for (size_t i = 0; i < o->nmounts; i++) {
        free(o->mounts[i].device);
        free(o->mounts[i].mountpoint);
    }
    o->nmounts = 0;
}
