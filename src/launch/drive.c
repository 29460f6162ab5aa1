/* Drives, as far as they can be checked before a launch; the contract is in machine.h.
 * Looks at names and metadata, never at content: a guest writes that. Pure in that it
 * knows no loop; any thread. */
#include "base/auto.h"
#include "base/error.h"
#include "launch/machine.h"

#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>

#define LABEL_MAX 20

static const char *const formats[] = {"raw", "qcow2", "vmdk", "vdi"};

static const struct {
    const char *extension, *format;
} extensions[] = {
    {".img", "raw"},     {".raw", "raw"},    {".iso", "raw"},   {".bin", "raw"},
    {".qcow2", "qcow2"}, {".qcow", "qcow2"}, {".vmdk", "vmdk"}, {".vdi", "vdi"},
};

/* ---- format ---------------------------------------------------------------------- */

static const char *known_format(const char *name)
{
    for (size_t i = 0; i < sizeof formats / sizeof *formats; i++)
        if (strcmp(formats[i], name) == 0)
            return formats[i];
    return NULL;
}

static const char *format_of_extension(const char *path)
{
    const char *base = strrchr(path, '/');
    const char *dot = strrchr(base ? base : path, '.');
    if (!dot)
        return NULL;
    for (size_t i = 0; i < sizeof extensions / sizeof *extensions; i++)
        if (strcasecmp(extensions[i].extension, dot) == 0)
            return extensions[i].format;
    return NULL;
}

static int choose_format(const char *path, const struct stat *st, const char *given,
                         const char **ret, ferry_error *e)
{
    if (given) {
        *ret = known_format(given);
        if (!*ret)
            return ferry_fail(e, -FERRY_EINVAL, "add_drive",
                              "%s: format \"%s\" is none of raw, qcow2, vmdk, vdi",
                              path, given);
        return 0;
    }

    *ret = format_of_extension(path);
    /* A block device has no extension; what is on it is what its users see. */
    if (!*ret && S_ISBLK(st->st_mode))
        *ret = "raw";
    if (!*ret)
        return ferry_fail(
            e, -FERRY_EFORMAT, "add_drive",
            "%s: the name does not say which format the image has; say it "
            "(--format raw, qcow2, vmdk or vdi)",
            path);
    return 0;
}

/* ---- the file -------------------------------------------------------------------- */

static int check_kind(const char *path, const struct stat *st, ferry_error *e)
{
    const char *what = NULL;
    switch (st->st_mode & S_IFMT) {
    case S_IFREG:
        if (st->st_size > 0)
            return 0;
        return ferry_fail(e, -FERRY_EFORMAT, "add_drive",
                          "%s: the file is empty, no disk image", path);
    case S_IFBLK: return 0;
    case S_IFDIR:
        return ferry_fail(e, -FERRY_EISDIR, "add_drive",
                          "%s: is a directory, not a disk image", path);
    case S_IFCHR: what = "a character device"; break;
    case S_IFIFO: what = "a FIFO"; break;
    case S_IFSOCK: what = "a socket"; break;
    default: what = "no regular file"; break;
    }
    return ferry_fail(e, -FERRY_EINVAL, "add_drive", "%s: is %s, not a disk image",
                      path, what);
}

/* By asking, not by opening: closing a descriptor would drop every lock that the host
 * program holds on the file, and opening a device may do things. */
static int check_access(const char *path, bool readonly, ferry_error *e)
{
    if (faccessat(AT_FDCWD, path, R_OK, AT_EACCESS) < 0)
        return ferry_fail(e, -errno, "add_drive", "%s: cannot be read: %s", path,
                          ferry_strerror(errno));
    if (readonly || faccessat(AT_FDCWD, path, W_OK, AT_EACCESS) == 0)
        return 0;
    return ferry_fail(e, -errno, "add_drive",
                      "%s: cannot be written: %s; open it read-only (--ro)", path,
                      ferry_strerror(errno));
}

static int make_absolute(const char *path, char **ret)
{
    FERRY_AUTO(mem) char *cwd = NULL;
    if (path[0] != '/') {
        cwd = getcwd(NULL, 0);
        if (!cwd)
            return -errno;
    }
    if (asprintf(ret, "%s%s%s", cwd ? cwd : "", cwd ? "/" : "", path) < 0) {
        *ret = NULL;
        return -ENOMEM;
    }
    return 0;
}

/* Letters, digits, hyphens, underscores; not a digit at the end, where a partition's number
 * will stand. */
static int check_label(const char *label, ferry_error *e)
{
    static const char letters[] =
        "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_";
    if (!label)
        return 0;
    size_t len = strlen(label);
    if (len > 0 && len <= LABEL_MAX && strspn(label, letters) == len &&
        !(label[len - 1] >= '0' && label[len - 1] <= '9'))
        return 0;
    return ferry_fail(e, -FERRY_EINVAL, "add_drive",
                      "label \"%.40s\": up to %d letters, digits, '-' and '_', with no "
                      "digit at the end",
                      label, LABEL_MAX);
}

/* ---- the contract ---------------------------------------------------------------- */

int ferry_drive_check(const char *path, const ferry_drive_opts *o, ferry_drive *ret,
                      ferry_error *e)
{
    bool readonly = o && o->readonly;
    struct stat st;
    if (stat(path, &st) < 0)
        return ferry_fail(e, -errno, "add_drive", "%s: %s", path,
                          errno == ENOENT ? "no such image" : ferry_strerror(errno));

    const char *format = NULL;
    int r = check_kind(path, &st, e);
    if (r == 0)
        r = check_access(path, readonly, e);
    if (r == 0)
        r = choose_format(path, &st, o ? o->format : NULL, &format, e);
    if (r == 0)
        r = check_label(o ? o->label : NULL, e);
    if (r < 0)
        return r;

    ferry_drive d = {.readonly = readonly};
    r = make_absolute(path, &d.path);
    if (r == 0 && o && o->label && !(d.label = strdup(o->label)))
        r = -ENOMEM;
    if (r < 0) {
        ferry_drive_done(&d);
        return ferry_fail(e, r, "add_drive", "%s: %s", path, ferry_strerror(r));
    }

    /* The name travels to qemu as JSON, which has no way to write other bytes. */
    json_t *text = json_string(d.path);
    json_decref(text);
    d.format = strdup(format);
    if (!text || !d.format) {
        ferry_drive_done(&d);
        return text
                   ? ferry_fail(e, -FERRY_ENOMEM, "add_drive", "out of memory")
                   : ferry_fail(e, -FERRY_EINVAL, "add_drive",
                                "%s: the name is not UTF-8 and cannot be told to qemu; "
                                "give the image another name or a symbolic link",
                                path);
    }
    *ret = d;
    return 0;
}

int ferry_drive_scratch(uint64_t bytes, const char *label, ferry_drive *ret,
                        ferry_error *e)
{
    if (bytes == 0 || bytes % 512 != 0 || bytes > INT64_MAX)
        return ferry_fail(e, -FERRY_EINVAL, "add_drive_scratch",
                          "%llu bytes: the size must be a multiple of 512, and not 0",
                          (unsigned long long)bytes);

    int r = check_label(label, e);
    if (r < 0)
        return r;
    const ferry_drive d = {.scratch_bytes = bytes,
                           .format = (char *)(uintptr_t) "raw",
                           .label = (char *)(uintptr_t)label};
    if (ferry_drive_copy(&d, ret) < 0)
        return ferry_fail(e, -FERRY_ENOMEM, "add_drive_scratch", "out of memory");
    return 0;
}

int ferry_drive_copy(const ferry_drive *d, ferry_drive *ret)
{
    ferry_drive copy = *d;
    copy.path = d->path ? strdup(d->path) : NULL;
    copy.label = d->label ? strdup(d->label) : NULL;
    copy.format = strdup(d->format);
    if (!copy.format || (d->path && !copy.path) || (d->label && !copy.label)) {
        ferry_drive_done(&copy);
        return -ENOMEM;
    }
    *ret = copy;
    return 0;
}

void ferry_drive_done(ferry_drive *d)
{
    free(d->path);
    free(d->format);
    free(d->label);
    memset(d, 0, sizeof *d);
}
