/* Which file systems a command sees: -m, or the only one there is. Part of session.h. */
#include "mount.h"
#include "again.h"
#include "auto.h"
#include "guest.h"
#include "session.h"
#include "text.h"

#include <stdio.h>
#include <string.h>

bool mount_is_mountable(const char *type)
{
    static const char *const no[] =
        {"", "swap", "unknown", "LVM2_member", "crypto_LUKS", "linux_raid_member"};
    for (size_t i = 0; i < sizeof no / sizeof *no; i++)
        if (!strcmp(type, no[i]))
            return false;
    return true;
}

/* ---- choosing ---------------------------------------------------------------------- */

void mount_print_table(FILE *out, const ferry_filesystem_list *list)
{
    int device = 6, type = 4, label = 5;
    for (size_t i = 0; i < list->len; i++) {
        const ferry_filesystem *f = &list->val[i];
        int n = (int)strlen(f->device);
        device = n > device ? n : device;
        n = (int)strlen(f->type);
        type = n > type ? n : type;
        n = (int)strlen(f->label);
        label = n > label ? n : label;
    }
    fprintf(out, "  %-*s  %-*s  %-*s  %8s\n", device, "DEVICE", type, "TYPE", label,
            "LABEL", "SIZE");
    for (size_t i = 0; i < list->len; i++) {
        const ferry_filesystem *f = &list->val[i];
        FERRY_AUTO(mem) char *safe_label = text_printable(f->label);
        char size[TEXT_MAX];
        text_bytes(f->bytes, size);
        fprintf(out, "  %-*s  %-*s  %-*s  %8s\n", device, f->device, type, f->type,
                label, safe_label ? safe_label : "", size);
    }
}

static int say_none(const struct session *s, const ferry_filesystem_list *list)
{
    say("%s: no file system in it that can be mounted; 'gferry create --help' shows "
        "how to "
        "make an image with one",
        s->image);
    if (list->len) {
        fputs("it holds:\n", stderr);
        mount_print_table(stderr, list);
    }
    return STATUS_FAILED;
}

/* The biggest is the likeliest, so that is the one the hint names. */
static int say_several(const struct session *s, const ferry_filesystem_list *list)
{
    const ferry_filesystem *biggest = NULL;
    size_t count = 0;
    for (size_t i = 0; i < list->len; i++) {
        const ferry_filesystem *f = &list->val[i];
        if (!mount_is_mountable(f->type))
            continue;
        count++;
        if (!biggest || f->bytes > biggest->bytes)
            biggest = f;
    }
    say("%s: it has %zu file systems; say with -m which is meant:", s->image, count);
    mount_print_table(stderr, list);
    const char *const words[] = {"-m", biggest->device, NULL};
    char line[AGAIN_MAX];
    again_command(s->o, words, line);
    fprintf(stderr, "for example:\n  %s\n", line);
    return STATUS_FAILED;
}

static int mount_only(struct session *s)
{
    ferry_error e = {0};
    FERRY_AUTO(filesystems) ferry_filesystem_list list = {0};
    if (guest_list_filesystems(s, &list, &e) < 0)
        return session_failed(s, NULL, &e);

    const ferry_filesystem *only = NULL;
    size_t count = 0;
    for (size_t i = 0; i < list.len; i++) {
        if (mount_is_mountable(list.val[i].type)) {
            only = &list.val[i];
            count++;
        }
    }
    if (count == 0)
        return say_none(s, &list);
    if (count > 1)
        return say_several(s, &list);
    if (guest_mount(s, only->device, "/", &e) < 0) {
        session_failed(s, only->device, &e);
        return STATUS_FAILED;
    }
    return STATUS_OK;
}

/* ---- -m ---------------------------------------------------------------------------- */

static size_t depth(const char *mountpoint)
{
    size_t n = 0;
    for (const char *p = mountpoint; *p; p++)
        if (*p == '/' && p[1] && p[1] != '/')
            n++;
    return n;
}

static int mount_one(struct session *s, const struct mount_option *m)
{
    ferry_error e = {0};
    if (guest_mount(s, m->device, m->mountpoint, &e) == 0)
        return STATUS_OK;

    session_failed(s, m->device, &e);
    if (e.code == -FERRY_ENODEV || e.code == -FERRY_ENOENT) {
        FERRY_AUTO(filesystems) ferry_filesystem_list list = {0};
        if (guest_list_filesystems(s, &list, &e) == 0 && list.len) {
            say("%s: it holds:", s->image);
            mount_print_table(stderr, &list);
        }
    }
    return STATUS_FAILED;
}

int session_mount(struct session *s)
{
    if (s->o->nmounts == 0)
        return mount_only(s);

    /* In the order of depth, whatever the order of the options: / first. */
    size_t deepest = 0;
    for (size_t i = 0; i < s->o->nmounts; i++)
        if (depth(s->o->mounts[i].mountpoint) > deepest)
            deepest = depth(s->o->mounts[i].mountpoint);
    for (size_t d = 0; d <= deepest; d++) {
        for (size_t i = 0; i < s->o->nmounts; i++) {
            if (depth(s->o->mounts[i].mountpoint) != d)
                continue;
            int status = mount_one(s, &s->o->mounts[i]);
            if (status != STATUS_OK)
                return status;
        }
    }
    return STATUS_OK;
}
