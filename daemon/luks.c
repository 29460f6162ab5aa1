/* Encrypted devices: luks_format, luks_open, luks_close, by cryptsetup. A key goes to it on its
 * standard input, never on a command line, and is traced nowhere. What stands on what is
 * mapper.c's. */
#include "base/auto.h"
#include "base/error.h"
#include "block.h"
#include "devices.h"
#include "mapper.h"
#include "mkfs.h"
#include "mounts.h"
#include "probe.h"
#include "run.h"

#include "daemon_calls.h"

#include <fcntl.h>
#include <linux/fs.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>

/* What it takes to try one key, on a machine of any speed. cryptsetup would measure, and the
 * emulated CPU would have it choose a cost that a real one laughs at; or take half of the memory, of
 * which the next appliance may have less. So: the second of the choices that RFC 9106
 * (section 4) recommends, Argon2id with 64 MiB and 4 lanes, and its 3 passes made 4, the
 * fewest that cryptsetup takes. */
#define ARGON2_KIB "65536"
#define ARGON2_LANES "4"
#define ARGON2_PASSES "4"
/* LUKS1 knows PBKDF2 only. OWASP's figure for HMAC-SHA-256 (Password Storage Cheat Sheet, 2023). */
#define PBKDF2_ITERATIONS 600000
#define ITERATIONS_MIN 1000 /* cryptsetup's */

/* The device mapper's names have 127 bytes. */
#define NAME_BYTES 127

/* ---- cryptsetup -------------------------------------------------------------------- */

/* cryptsetup(8), "RETURN CODES". */
static int reason(int status, const char *why)
{
    switch (status) {
    case 2: return -FERRY_EACCES;
    case 3: return -FERRY_ENOMEM;
    case 4: return -FERRY_ENODEV;
    case 5: return -FERRY_EBUSY;
    default: return ferryd_mkfs_reason(why);
    }
}

static FERRY_CO int cryptsetup(struct ferryd_call *c, const char *const argv[],
                               const char *key, const char *device, ferry_error *e)
{
    FERRY_AUTO(mem) char *why = NULL;
    int r = ferryd_run_status(c, argv, key, NULL, &why, e);
    if (r <= 0)
        return r;
    r = reason(r, why);
    if (r == -FERRY_EACCES)
        return ferryd_failf(c, e, r, "%s: the key opens none of its key slots", device);
    if (r == -FERRY_ENOMEM)
        return ferryd_failf(
            c, e, r,
            "%s: its key needs more memory than the appliance has; give "
            "it more",
            device);
    return ferryd_failf(c, e, r, "%s: %s", device,
                        why[0] ? why : "cryptsetup failed without saying why");
}

/* ---- luks_format ------------------------------------------------------------------- */

struct format {
    char iterations[16];
    const char *argv[20];
};

/* *f may not move. */
static void format_argv(const fx_luks_format_args *a, struct format *f)
{
    bool luks1 = a->luks_version == 1, pbkdf2 = luks1 || a->iterations > 0;
    size_t n = 0;
    const char *const always[] =
        {"cryptsetup", "luksFormat", "--batch-mode",           "--key-file",
         "-",          "--type",     luks1 ? "luks1" : "luks2"};
    const char *const argon2[] =
        {"--pbkdf",          "argon2id",   "--pbkdf-memory",           ARGON2_KIB,
         "--pbkdf-parallel", ARGON2_LANES, "--pbkdf-force-iterations", ARGON2_PASSES};
    const char *const sha256[] = {"--pbkdf", "pbkdf2", "--pbkdf-force-iterations",
                                  f->iterations};

    snprintf(f->iterations, sizeof f->iterations, "%u",
             a->iterations ? a->iterations : PBKDF2_ITERATIONS);
    for (size_t i = 0; i < sizeof always / sizeof *always; i++)
        f->argv[n++] = always[i];
    for (size_t i = 0; pbkdf2 && i < sizeof sha256 / sizeof *sha256; i++)
        f->argv[n++] = sha256[i];
    for (size_t i = 0; !pbkdf2 && i < sizeof argon2 / sizeof *argon2; i++)
        f->argv[n++] = argon2[i];
    f->argv[n++] = a->device;
    f->argv[n] = NULL;
}

static int check_key(struct ferryd_call *c, const char *key, ferry_error *e)
{
    return *key ? 0 : ferryd_failf(c, e, -FERRY_EINVAL, "an empty key is none");
}

int ferryd_luks_format(struct ferryd_call *c, const fx_luks_format_args *a,
                       ferry_error *e)
{
    struct format f;
    if (a->luks_version > 2)
        return ferryd_failf(c, e, -FERRY_EINVAL, "there is no LUKS%u", a->luks_version);
    if (a->iterations > 0 && a->iterations < ITERATIONS_MIN)
        return ferryd_failf(c, e, -FERRY_EINVAL, "iterations: at least %d",
                            ITERATIONS_MIN);
    int r = check_key(c, a->key, e);
    if (r == 0)
        r = ferry_sem_get(&c->d->mounting);
    if (r < 0)
        return r;

    r = ferryd_wipe_for(c, a->device, e);
    format_argv(a, &f);
    if (r == 0)
        r = cryptsetup(c, f.argv, a->key, a->device, e);
    ferry_sem_put(&c->d->mounting);
    return r;
}

/* ---- luks_open --------------------------------------------------------------------- */

/* A name of one component, of bytes that no program of ours has to quote. */
static int check_name(struct ferryd_call *c, const char *name, ferry_error *e)
{
    static const char allowed[] = "abcdefghijklmnopqrstuvwxyz"
                                  "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.+-";
    size_t n = strlen(name);
    if (n == 0 || n > NAME_BYTES || strspn(name, allowed) != n || name[0] == '.' ||
        name[0] == '-' || strcmp(name, "control") == 0)
        return ferryd_failf(c, e, -FERRY_EINVAL,
                            "\"%.64s\": a name is 1 to %d letters, digits, _ . + -",
                            name, NAME_BYTES);
    return 0;
}

struct opening {
    const char *device;
    char path[sizeof FERRYD_MAPPER_DIR + NAME_BYTES];
    struct ferryd_probe probe;
    int readonly; /* the drive is */
    bool taken;
    int r;
};

static void look_run(void *arg)
{
    struct opening *o = arg;
    FERRY_AUTO(fd) int fd = open(o->device, O_RDONLY | O_CLOEXEC);
    o->taken = access(o->path, F_OK) == 0;
    o->r = fd < 0 || ioctl(fd, BLKROGET, &o->readonly) < 0 ? -errno : 0;
    if (o->r == 0)
        o->r = ferryd_probe(o->device, &o->probe);
}

static FERRY_CO int look(struct ferryd_call *c, struct opening *o, ferry_error *e)
{
    int r = ferryd_need_device(c, o->device, e);
    if (r == 0)
        r = ferryd_block(look_run, o);
    if (r < 0)
        return r;
    if (o->taken)
        return ferryd_failf(c, e, -FERRY_EEXIST, "%s: there is one already", o->path);
    if (o->r < 0 && o->r != -EUCLEAN)
        return ferryd_fail(c, e, o->r, o->device);
    if (strcmp(o->probe.type, "crypto_LUKS") != 0)
        return ferryd_failf(c, e, -FERRY_EINVAL,
                            "%s: is not encrypted with LUKS (it holds %s)", o->device,
                            o->probe.type[0] ? o->probe.type : "nothing that is known");
    return 0;
}

static FERRY_CO int do_open(struct ferryd_call *c, const fx_luks_open_args *a,
                            ferry_error *e)
{
    struct opening o = {.device = a->device};
    snprintf(o.path, sizeof o.path, FERRYD_MAPPER_DIR "%s", a->mapname);
    int r = look(c, &o, e);
    if (r < 0)
        return r;
    const char *const argv[] = {"cryptsetup",
                                "open",
                                "--batch-mode",
                                "--type",
                                "luks",
                                "--key-file",
                                "-",
                                a->device,
                                a->mapname,
                                a->readonly || o.readonly ? "--readonly" : NULL,
                                NULL};
    return cryptsetup(c, argv, a->key, a->device, e);
}

int ferryd_luks_open(struct ferryd_call *c, const fx_luks_open_args *a, ferry_error *e)
{
    int r = check_name(c, a->mapname, e);
    if (r == 0)
        r = check_key(c, a->key, e);
    if (r == 0)
        r = ferry_sem_get(&c->d->mounting);
    if (r < 0)
        return r;
    r = do_open(c, a, e);
    ferry_sem_put(&c->d->mounting);
    return r;
}

/* ---- luks_close -------------------------------------------------------------------- */

static bool is_opened(const char *device)
{
    FERRY_AUTO(names) struct ferryd_names opened = {0};
    if (ferryd_scan_opened(&opened) < 0)
        return false;
    for (size_t i = 0; i < opened.len; i++)
        if (strcmp(opened.name[i], device) == 0)
            return true;
    return false;
}

struct closing {
    const char *device, *root_path;
    bool opened;
    char where[PATH_MAX]; /* where it is mounted; "": nowhere */
    int r;
};

static void closing_run(void *arg)
{
    struct closing *x = arg;
    struct stat st;
    FERRY_AUTO(mounts) struct ferryd_mounts all = {0};
    x->opened = is_opened(x->device);
    if (!x->opened)
        return;
    x->r = stat(x->device, &st) < 0 ? -errno : ferryd_mounts_read(x->root_path, &all);
    if (x->r < 0)
        return;
    const struct ferryd_mount *m = ferryd_mounts_of(&all, x->device, st.st_rdev);
    if (m)
        snprintf(x->where, sizeof x->where, "%s",
                 ferryd_guest_path(x->root_path, m->dir));
}

static FERRY_CO int do_close(struct ferryd_call *c, const char *device, ferry_error *e)
{
    struct closing x = {.device = device, .root_path = c->d->root_path};
    const char *const argv[] = {"cryptsetup", "close",
                                device + strlen(FERRYD_MAPPER_DIR), NULL};
    int r = ferryd_block(closing_run, &x);
    if (r == 0 && x.r < 0)
        r = ferryd_fail(c, e, x.r, device);
    else if (r == 0 && !x.opened)
        r = ferryd_failf(c, e, -FERRY_ENODEV, "%s: is not open", device);
    else if (r == 0 && x.where[0])
        r = ferryd_failf(c, e, -FERRY_EBUSY, "%s: is mounted at %s", device, x.where);
    if (r == 0)
        r = ferryd_release(c, device, e);
    return r == 0 ? cryptsetup(c, argv, NULL, device, e) : r;
}

int ferryd_luks_close(struct ferryd_call *c, const fx_luks_close_args *a, ferry_error *e)
{
    if (strncmp(a->device, FERRYD_MAPPER_DIR, strlen(FERRYD_MAPPER_DIR)) != 0)
        return ferryd_failf(c, e, -FERRY_EINVAL,
                            "%s: what is open is " FERRYD_MAPPER_DIR "NAME", a->device);
    int r = ferry_sem_get(&c->d->mounting);
    if (r < 0)
        return r;
    r = do_close(c, a->device, e);
    ferry_sem_put(&c->d->mounting);
    return r;
}
