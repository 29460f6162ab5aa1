/* Finding the files of a launch; see appliance.h. */
#include "launch/appliance.h"

#include "base/auto.h"
#include "base/error.h"
#include "launch/json.h"
#include "launch/manifest.h"

#include <errno.h>
#include <fcntl.h>
#include <ferry_config.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

static int no_memory(ferry_error *e)
{
    return ferry_fail(e, -FERRY_ENOMEM, "launch", "out of memory");
}

/* An environment variable that says something; a setuid program listens to none. */
static const char *from_env(const char *name)
{
    const char *value = secure_getenv(name);
    return value && *value ? value : NULL;
}

/* qemu and the guard run in "/": every path they get is absolute. NULL: no memory, or
 * the current directory is gone. */
static char *absolute(const char *path)
{
    char *ret = NULL;
    if (path[0] == '/')
        return strdup(path);
    if (strncmp(path, "./", 2) == 0)
        path += 2;
    FERRY_AUTO(mem) char *cwd = getcwd(NULL, 0);
    if (!cwd || asprintf(&ret, "%s/%s", cwd, path) < 0)
        return NULL;
    return ret;
}

/* ---- the appliance --------------------------------------------------------------- */

/* A regular file that is not empty and that we may read; else -errno. */
static int usable(const char *path)
{
    struct stat st;
    if (stat(path, &st) < 0 || faccessat(AT_FDCWD, path, R_OK, AT_EACCESS) < 0)
        return -errno;
    if (!S_ISREG(st.st_mode))
        return -EINVAL;
    return st.st_size > 0 ? 0 : -ENODATA;
}

/* Where the directory is to be, and who said so. */
struct source {
    const char *dir;
    const char *who;
};

static struct source where(const char *given)
{
    const char *env = from_env("FERRY_APPLIANCE");
    if (given)
        return (struct source){given, "the appliance option"};
    if (env)
        return (struct source){env, "$FERRY_APPLIANCE"};
    return (struct source){FERRY_CONFIG_APPLIANCE, "the installed place"};
}

static int complain(const struct source *from, const char *name, int code,
                    ferry_error *e)
{
    const char *why = code == -ENODATA ? "is empty" : ferry_strerror(code);
    return ferry_fail_os(
        e, -FERRY_ELAUNCH, -code, "launch",
        "no appliance: %s/%s (from %s): %s; build it with \"./dev build\" "
        "or set FERRY_APPLIANCE to its directory",
        from->dir, name, from->who, why);
}

/* *ret is dir/name, whatever the result. */
static int find_file(const struct source *from, const char *dir, const char *name,
                     char **ret, ferry_error *e)
{
    if (asprintf(ret, "%s/%s", dir, name) < 0) {
        *ret = NULL;
        return no_memory(e);
    }
    int r = usable(*ret);
    return r < 0 ? complain(from, name, r, e) : 0;
}

/* Some of the paths travel to qemu as JSON, which has no way to write other bytes. */
static bool is_utf8(const char *s)
{
    json_t *j = json_string(s);
    json_decref(j);
    return j;
}

/* An appliance says itself what machine it is for. Where its manifest does not, or is broken
 * (manifest.h says so in its time), it is the host's. */
static int find_platform(const char *dir, const ferry_platform **ret, ferry_error *e)
{
    FERRY_AUTO(mem) char *manifest = NULL;
    if (asprintf(&manifest, "%s/" FERRY_MANIFEST_NAME, dir) < 0) {
        manifest = NULL;
        return no_memory(e);
    }
    FERRY_AUTO(json) json_t *doc = json_load_file(manifest, 0, NULL);
    const char *arch = json_string_value(json_object_get(doc, "arch"));
    *ret = arch ? ferry_platform_find(arch) : ferry_platform_host();
    if (*ret)
        return 0;
    if (arch)
        return ferry_fail(
            e, -FERRY_ELAUNCH, "launch",
            "no appliance: that in %s is for the architecture %s, which is "
            "unknown here",
            dir, arch);
    return ferry_fail(e, -FERRY_ELAUNCH, "launch",
                      "there is no appliance for this machine's architecture");
}

static int find_files(const struct source *from, ferry_appliance *a, ferry_error *e)
{
    const ferry_platform *p = a->platform;
    int r = find_file(from, a->dir, p->kernel, &a->kernel, e);
    if (r == 0)
        r = find_file(from, a->dir, p->initramfs, &a->initramfs, e);
    if (r == 0)
        r = find_file(from, a->dir, p->usr, &a->usr, e);
    if (r == 0 && p->bios)
        r = find_file(from, a->dir, p->bios, &a->bios, e);
    return r;
}

int ferry_appliance_find(const char *given, ferry_appliance *ret, ferry_error *e)
{
    struct source from = where(given);
    ferry_appliance a = {.dir = absolute(from.dir)};

    int r = a.dir ? 0 : no_memory(e);
    if (r == 0 && !is_utf8(a.dir))
        r = ferry_fail(e, -FERRY_ELAUNCH, "launch",
                       "no appliance: the name %s (from %s) is not UTF-8", from.dir,
                       from.who);
    if (r == 0)
        r = find_platform(a.dir, &a.platform, e);
    if (r == 0)
        r = find_files(&from, &a, e);
    if (r < 0) {
        ferry_appliance_done(&a);
        return r;
    }
    *ret = a;
    return 0;
}

int ferry_appliance_copy(const ferry_appliance *a, ferry_appliance *ret)
{
    ferry_appliance c = {
        .platform = a->platform,
        .dir = strdup(a->dir),
        .kernel = strdup(a->kernel),
        .initramfs = strdup(a->initramfs),
        .usr = strdup(a->usr),
        .bios = a->bios ? strdup(a->bios) : NULL,
    };
    if (!c.dir || !c.kernel || !c.initramfs || !c.usr || (a->bios && !c.bios)) {
        ferry_appliance_done(&c);
        return -ENOMEM;
    }
    *ret = c;
    return 0;
}

void ferry_appliance_done(ferry_appliance *a)
{
    free(a->dir);
    free(a->kernel);
    free(a->initramfs);
    free(a->usr);
    free(a->bios);
    memset(a, 0, sizeof *a);
}

/* ---- programs -------------------------------------------------------------------- */

static int executable(const char *path)
{
    struct stat st;
    if (stat(path, &st) < 0 || faccessat(AT_FDCWD, path, X_OK, AT_EACCESS) < 0)
        return -errno;
    return S_ISREG(st.st_mode) ? 0 : -EACCES;
}

/* Looks a bare name up in $PATH. 0 and the path; -ENOENT, or -EACCES if what was found
 * cannot be run. */
static int look_up(const char *name, char **ret)
{
    const char *path = getenv("PATH");
    int result = -ENOENT;
    for (const char *p = path ? path : "/usr/bin:/bin"; *p;) {
        size_t len = strcspn(p, ":");
        FERRY_AUTO(mem) char *dir = strndup(len ? p : ".", len ? len : 1);
        FERRY_AUTO(mem) char *abs = dir ? absolute(dir) : NULL;
        FERRY_AUTO(mem) char *file = NULL;
        if (!abs || asprintf(&file, "%s/%s", abs, name) < 0) {
            file = NULL;
            return -ENOMEM;
        }
        int r = executable(file);
        if (r == 0) {
            *ret = ferry_take(&file);
            return 0;
        }
        if (r == -EACCES)
            result = r;
        p += len + (p[len] == ':');
    }
    return result;
}

int ferry_qemu_find(const ferry_platform *p, const char *given, char **ret,
                    ferry_error *e)
{
    const char *env = from_env("FERRY_QEMU");
    const char *name = given ? given : env ? env : p->qemu;
    FERRY_AUTO(mem) char *file = NULL;

    int r;
    if (strchr(name, '/')) {
        file = absolute(name);
        r = file ? executable(file) : -ENOMEM;
    } else {
        r = look_up(name, &file);
    }
    if (r == -ENOENT && !strchr(name, '/'))
        return ferry_fail_os(e, -FERRY_ELAUNCH, ENOENT, "launch",
                             "%s is not in $PATH: install the package %s, or set "
                             "FERRY_QEMU to the program",
                             name, p->package);
    if (r < 0)
        return ferry_fail_os(e, -FERRY_ELAUNCH, -r, "launch",
                             "%s: %s: install the package %s, or set FERRY_QEMU to a "
                             "qemu that runs",
                             name, ferry_strerror(r), p->package);
    *ret = ferry_take(&file);
    return 0;
}

int ferry_guard_find(char **ret, ferry_error *e)
{
    const char *env = from_env("FERRY_LIBEXEC");
    const char *dir = env ? env : FERRY_CONFIG_LIBEXEC;
    FERRY_AUTO(mem) char *abs = absolute(dir);
    FERRY_AUTO(mem) char *file = NULL;
    if (!abs || asprintf(&file, "%s/gferry-guard", abs) < 0) {
        file = NULL;
        return no_memory(e);
    }
    int r = executable(file);
    if (r < 0)
        return ferry_fail_os(e, -FERRY_ELAUNCH, -r, "launch",
                             "%s: %s; it belongs to guestferry: install that again, or "
                             "set FERRY_LIBEXEC to its directory",
                             file, ferry_strerror(r));
    *ret = ferry_take(&file);
    return 0;
}
