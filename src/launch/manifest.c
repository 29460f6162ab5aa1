/* Comparing an appliance with its manifest; see manifest.h. */
#include "launch/manifest.h"

#include "base/auto.h"
#include "base/error.h"
#include "base/trace.h"
#include "launch/cache.h"
#include "launch/json.h"

#include <errno.h>
#include <fcntl.h>
#include <nettle/sha2.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define NFILES 4
#define HEX (2 * SHA256_DIGEST_SIZE + 1)
/* Between two looks at `stop`: a few milliseconds' worth. */
#define CHUNK ((size_t)1 << 20)

#define MAGIC "guestferry-appliance 1"
#define CACHE_NAME "appliance"
#define CACHE_MAX (sizeof MAGIC + (NFILES + 1) * FERRY_FILE_ID + 2)

static int damaged(const char *path, const char *what, ferry_error *e)
{
    return ferry_fail(e, -FERRY_ELAUNCH, "launch",
                      "%s %s: the appliance is damaged or half updated; install it "
                      "again, or build it with \"./dev build\"",
                      path, what);
}

/* ---- what is remembered -------------------------------------------------------------- */

/* The appliance and its manifest as they are now; "" if that cannot be told. */
static void describe(const ferry_appliance *a, const char *manifest, char buf[CACHE_MAX])
{
    const char *const paths[] = {manifest, a->kernel, a->initramfs, a->usr, a->bios};
    size_t at = (size_t)snprintf(buf, CACHE_MAX, MAGIC "\n");
    for (size_t i = 0; i < sizeof paths / sizeof *paths; i++) {
        char id[FERRY_FILE_ID];
        if (!paths[i])
            continue;
        if (!ferry_file_id(paths[i], id)) {
            buf[0] = '\0';
            return;
        }
        at += (size_t)snprintf(buf + at, CACHE_MAX - at, "%s\n", id);
    }
}

static bool recalled(const char *now)
{
    char then[CACHE_MAX];
    return *now && ferry_cache_read(CACHE_NAME, then, sizeof then) &&
           strcmp(then, now) == 0;
}

/* ---- a file's digest ----------------------------------------------------------------- */

static int hash_fd(int fd, const atomic_bool *stop, struct sha256_ctx *ctx)
{
    FERRY_AUTO(mem) uint8_t *chunk = malloc(CHUNK);
    if (!chunk)
        return -ENOMEM;
    for (;;) {
        ssize_t n = read(fd, chunk, CHUNK);
        if (n <= 0)
            return n < 0 ? -errno : 0;
        if (atomic_load(stop))
            return -FERRY_ECANCELED;
        sha256_update(ctx, (size_t)n, chunk);
    }
}

static int digest(const char *path, const atomic_bool *stop, char hex[HEX])
{
    struct sha256_ctx ctx;
    uint8_t sum[SHA256_DIGEST_SIZE];
    FERRY_AUTO(fd) int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return -errno;
    sha256_init(&ctx);
    int r = hash_fd(fd, stop, &ctx);
    if (r < 0)
        return r;
    sha256_digest(&ctx, sizeof sum, sum);
    for (size_t i = 0; i < sizeof sum; i++)
        sprintf(hex + 2 * i, "%02x", sum[i]);
    return 0;
}

/* Our own lack of something says nothing about the file. */
static int unreadable(const char *path, int r, ferry_error *e)
{
    bool lack = r == -FERRY_EMFILE || r == -FERRY_ENFILE || r == -FERRY_ENOMEM;
    return ferry_fail_os(e, lack ? r : -FERRY_ELAUNCH, -r, "launch", "%s: %s", path,
                         ferry_strerror(r));
}

static int check_file(const json_t *sums, const char *path, const atomic_bool *stop,
                      ferry_error *e)
{
    char is[HEX];
    const char *name = strrchr(path, '/') + 1;
    const char *want = json_string_value(json_object_get(sums, name));
    if (!want)
        return damaged(path, "is not in its manifest.json", e);
    int r = digest(path, stop, is);
    if (r == -FERRY_ECANCELED)
        return r;
    if (r < 0)
        return unreadable(path, r, e);
    return strcmp(is, want) == 0
               ? 0
               : damaged(path, "is not the file that its manifest.json names", e);
}

/* ---- all of them --------------------------------------------------------------------- */

static int check_files(const ferry_appliance *a, const char *manifest,
                       const atomic_bool *stop, ferry_error *e)
{
    json_error_t why;
    FERRY_AUTO(fd) int fd = open(manifest, O_RDONLY | O_CLOEXEC);
    if (fd < 0 && errno != ENOENT)
        return unreadable(manifest, -errno, e);
    if (fd < 0)
        return damaged(manifest, "cannot be read (it is missing)", e);
    FERRY_AUTO(json) json_t *doc = json_loadfd(fd, 0, &why);
    if (!doc) {
        char what[sizeof why.text + 20];
        snprintf(what, sizeof what, "cannot be read (%s)", why.text);
        return damaged(manifest, what, e);
    }
    const json_t *sums = json_object_get(doc, "sha256");
    const char *const paths[NFILES] = {a->kernel, a->initramfs, a->usr, a->bios};
    int r = 0;
    for (size_t i = 0; i < NFILES && r == 0; i++)
        if (paths[i])
            r = check_file(sums, paths[i], stop, e);
    return r;
}

int ferry_manifest_check(const ferry_appliance *a, const atomic_bool *stop,
                         ferry_error *e)
{
    FERRY_AUTO(mem) char *manifest = NULL;
    if (asprintf(&manifest, "%s/" FERRY_MANIFEST_NAME, a->dir) < 0) {
        manifest = NULL;
        return ferry_fail(e, -FERRY_ENOMEM, "launch", "out of memory");
    }
    char before[CACHE_MAX], after[CACHE_MAX];
    describe(a, manifest, before);
    if (recalled(before))
        return 0;

    int r = check_files(a, manifest, stop, e);
    describe(a, manifest, after);
    /* One that was written to meanwhile is looked at again next time. */
    if (r == 0 && *after && strcmp(before, after) == 0)
        ferry_cache_write(CACHE_NAME, after, strlen(after));
    FERRY_TRACE(launch, "appliance compared with its manifest: %s",
                r == 0 ? "whole" : ferry_strerror(r));
    return r;
}
