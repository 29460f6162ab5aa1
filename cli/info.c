/* gferry info: what is in an image, disk, partitions and file systems. */
#include "auto.h"
#include "command.h"
#include "guest.h"
#include "json.h"
#include "mount.h"
#include "out.h"
#include "side.h"
#include "text.h"

#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

static const char help[] =
    "Shows an image's format and size, its partitions, and its file systems with "
    "label,\n"
    "UUID and free space. The image is opened read-only.\n"
    "\n"
    "Examples:\n"
    "  gferry info disk.qcow2\n"
    "  gferry info --json disk.qcow2 | jq '.filesystems[].device'\n";

struct fs_info {
    const ferry_filesystem *fs; /* in the list */
    bool mounted;               /* the two below are known */
    uint64_t bytes, avail;      /* of the file system itself; free for users */
};

struct info {
    const char *image, *format;
    uint64_t bytes, host_bytes; /* of the disk; on the host, allocated */
    char **partitions;
    uint64_t *partition_bytes;
    size_t npartitions;
    ferry_filesystem_list list;
    struct fs_info *fs; /* list.len of them */
};

/* ---- gathering --------------------------------------------------------------------- */

static int gather_disk(struct session *s, struct info *info, ferry_error *e)
{
    int r = guest_getsize(s, "/dev/sda", &info->bytes, e);
    if (r == 0)
        r = guest_list_partitions(s, &info->partitions, e);
    if (r < 0)
        return r;
    while (info->partitions[info->npartitions])
        info->npartitions++;
    info->partition_bytes = calloc(info->npartitions + 1, sizeof *info->partition_bytes);
    if (!info->partition_bytes)
        return -FERRY_ENOMEM;
    for (size_t i = 0; i < info->npartitions && r == 0; i++)
        r = guest_getsize(s, info->partitions[i], &info->partition_bytes[i], e);
    return r;
}

/* A file system is mounted for a moment to be asked for its free space. One that will not be
 * mounted is shown without; only the end of the appliance is a failure. */
static int gather_free(struct session *s, struct fs_info *f, ferry_error *e)
{
    ferry_statvfs_info st;
    int r = guest_mount(s, f->fs->device, "/", e);
    if (r < 0)
        return session_is_over(r) ? r : 0;
    r = guest_statvfs(s, "/", &st, e);
    if (r == 0) {
        f->bytes = st.blocks * st.frsize;
        f->avail = st.bavail * st.frsize;
        f->mounted = true;
    }
    int u = guest_umount_all(s, e);
    return session_is_over(r) ? r : u;
}

static int gather(struct session *s, struct info *info)
{
    ferry_error e = {.code = -FERRY_ENOMEM};
    int r = gather_disk(s, info, &e);
    if (r == 0)
        r = guest_list_filesystems(s, &info->list, &e);
    if (r == 0) {
        info->fs = calloc(info->list.len + 1, sizeof *info->fs);
        r = info->fs ? 0 : -FERRY_ENOMEM;
    }
    for (size_t i = 0; i < info->list.len && r == 0; i++) {
        info->fs[i].fs = &info->list.val[i];
        if (mount_is_mountable(info->list.val[i].type))
            r = gather_free(s, &info->fs[i], &e);
    }
    return r < 0 ? session_failed(s, NULL, &e) : STATUS_OK;
}

/* ---- text -------------------------------------------------------------------------- */

static void print_filesystem(FILE *out, const struct fs_info *f)
{
    char size[TEXT_MAX], avail[TEXT_MAX] = "-";
    text_bytes(f->fs->bytes, size);
    if (f->mounted)
        text_bytes(f->avail, avail);
    fprintf(out, "  %-12s  %-6s  %8s  %8s  ", f->fs->device, f->fs->type, size, avail);
    out_name(out, *f->fs->label ? f->fs->label : "-");
    fputs("  ", out);
    out_name(out, *f->fs->uuid ? f->fs->uuid : "-");
    fputc('\n', out);
}

static void print_text(FILE *out, const struct info *info)
{
    char size[TEXT_MAX], host[TEXT_MAX];
    text_bytes(info->bytes, size);
    text_bytes(info->host_bytes, host);
    fprintf(out, "%s: %s, %s (%llu bytes), %s on the host\n", info->image, info->format,
            size, (unsigned long long)info->bytes, host);

    fprintf(out, "\nPartitions%s\n", info->npartitions ? ":" : ": none");
    for (size_t i = 0; i < info->npartitions; i++) {
        text_bytes(info->partition_bytes[i], size);
        fprintf(out, "  %-12s  %8s\n", info->partitions[i], size);
    }
    fprintf(out, "\nFile systems%s\n", info->list.len ? ":" : ": none");
    if (info->list.len)
        fprintf(out, "  %-12s  %-6s  %8s  %8s  %s  %s\n", "DEVICE", "TYPE", "SIZE",
                "FREE", "LABEL", "UUID");
    for (size_t i = 0; i < info->list.len; i++)
        print_filesystem(out, &info->fs[i]);
}

/* ---- JSON -------------------------------------------------------------------------- */

static void set_bytes(json_t *o, const char *key, uint64_t v)
{
    json_object_set_new(o, key, json_integer((json_int_t)v));
}

static json_t *filesystem_json(const struct fs_info *f)
{
    json_t *o = json_object();
    json_object_set_new(o, "device", json_text(f->fs->device));
    json_object_set_new(o, "type", json_text(f->fs->type));
    json_set_name(o, "label", f->fs->label);
    json_set_name(o, "uuid", f->fs->uuid);
    set_bytes(o, "device_bytes", f->fs->bytes);
    if (f->mounted) {
        set_bytes(o, "bytes", f->bytes);
        set_bytes(o, "available_bytes", f->avail);
    }
    return o;
}

static void print_json(FILE *out, const struct info *info)
{
    FERRY_AUTO(json) json_t *o = json_object();
    json_set_name(o, "image", info->image);
    json_object_set_new(o, "format", json_string(info->format));
    set_bytes(o, "bytes", info->bytes);
    set_bytes(o, "host_bytes", info->host_bytes);
    json_t *partitions = json_array(), *filesystems = json_array();
    for (size_t i = 0; i < info->npartitions; i++) {
        json_t *p = json_object();
        json_object_set_new(p, "device", json_text(info->partitions[i]));
        set_bytes(p, "bytes", info->partition_bytes[i]);
        json_array_append_new(partitions, p);
    }
    for (size_t i = 0; i < info->list.len; i++)
        json_array_append_new(filesystems, filesystem_json(&info->fs[i]));
    json_object_set_new(o, "partitions", partitions);
    json_object_set_new(o, "filesystems", filesystems);
    json_print(o, out, true);
}

/* ---- run --------------------------------------------------------------------------- */

static int run(const struct options *o, char **operands, int n)
{
    (void)n;
    struct info info = {.image = o->domain ? o->domain : operands[0]};
    if (o->domain && strcmp(operands[0], ":") != 0)
        return say_usage("%s: with -d, the domain's disks are written :", operands[0]);
    struct session s;
    int status = session_open(&s, o, info.image, SESSION_READ);
    info.format = o->format ? o->format : side_format(info.image);
    struct stat st;
    if (stat(info.image, &st) == 0)
        info.host_bytes = (uint64_t)st.st_blocks * 512;
    if (status == STATUS_OK)
        status = gather(&s, &info);
    status = session_close(&s, status == STATUS_NOT_FOUND ? STATUS_FAILED : status);

    if (status == STATUS_OK) {
        FILE *out = out_begin();
        if (o->json)
            print_json(out, &info);
        else
            print_text(out, &info);
        status = out_end(out);
    }
    ferry_strings_free(info.partitions);
    ferry_filesystem_list_free(&info.list);
    free(info.partition_bytes);
    free(info.fs);
    return status;
}

const struct command info_command = {
    .name = "info",
    .synopsis = "IMAGE",
    .summary = "show an image's partitions and file systems",
    .help = help,
    .min_operands = 1,
    .max_operands = 1,
    .missing = "IMAGE",
    .run = run,
};
