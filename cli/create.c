/* gferry create: a new image, empty or with a file system. It is made under a temporary name
 * beside its own and appears complete, or not at all. */
#include "auto.h"
#include "command.h"
#include "guest.h"
#include "program.h"
#include "session.h"
#include "side.h"
#include "signals.h"
#include "text.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>

enum { OPT_FS = OPT_OWN, OPT_LABEL };

/* Sectors: a disk has whole ones. */
#define SECTOR 512
/* Below this a partition table and its alignment leave nothing for a file system. */
#define WITH_FS_MIN (4 << 20)

static const char help[] =
    "Makes a disk image. Its format follows from the extension (.img, .raw: raw; "
    ".qcow2,\n"
    ".vmdk, .vdi) or --format. SIZE is in bytes, or with K, M, G, T. It takes as "
    "little\n"
    "space on the host as the format allows. Made whole or not at all.\n"
    "\n"
    "Options:\n"
    "      --fs TYPE         one GPT partition, /dev/sda1, with a file system: ext2, "
    "ext3,\n"
    "                        ext4, xfs, btrfs, vfat or ntfs; none (the default): "
    "empty\n"
    "      --label LABEL     the file system's label\n"
    "  -f, --force           replace an image that is there\n"
    "\n"
    "Examples:\n"
    "  gferry create disk.qcow2 10G --fs ext4 --label root\n"
    "  gferry create blank.img 512M\n";

static const struct option longs[] = {
    {"fs", required_argument, NULL, OPT_FS},
    {"label", required_argument, NULL, OPT_LABEL},
    {"force", no_argument, NULL, 'f'},
    {0},
};

static int option(struct options *o, int c, const char *value)
{
    static const char *const known[] = {"none", "ext2",  "ext3", "ext4",
                                        "xfs",  "btrfs", "vfat", "ntfs"};
    if (c == 'f') {
        o->force = true;
        return 0;
    }
    if (c == OPT_LABEL) {
        o->label = value;
        return 0;
    }
    for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
        if (!strcmp(value, known[i])) {
            o->fs = i == 0 ? NULL : known[i];
            return 0;
        }
    }
    return say_usage("--fs %s: none, ext2, ext3, ext4, xfs, btrfs, vfat or ntfs", value);
}

/* ---- the file ---------------------------------------------------------------------- */

/* ".disk.qcow2.gferry-1a2b3c4d" beside the image: the same file system, so that it can be
 * renamed. */
static char *temp_name(const char *image)
{
    char *temp = NULL;
    const char *slash = strrchr(image, '/');
    int dir = slash ? (int)(slash + 1 - image) : 0;
    uint32_t random;
    if (getrandom(&random, sizeof random, 0) != sizeof random)
        return NULL;
    if (asprintf(&temp, "%.*s.%.200s.gferry-%08x", dir, image, image + dir, random) < 0)
        return NULL;
    return temp;
}

static int make_raw(const char *image, const char *temp, uint64_t size)
{
    FERRY_AUTO(fd) int fd = open(temp, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
    if (fd < 0 || ftruncate(fd, (off_t)size) < 0) {
        say_errno(image, errno);
        return STATUS_FAILED;
    }
    return STATUS_OK;
}

/* The first line of what qemu-img said, without its own name. */
static const char *qemu_img_why(char *output)
{
    output[strcspn(output, "\n")] = 0;
    const char prefix[] = "qemu-img: ";
    return strncmp(output, prefix, sizeof prefix - 1) ? output
                                                      : output + sizeof prefix - 1;
}

static int make_other(const char *image, const char *temp, const char *format,
                      uint64_t size)
{
    char bytes[TEXT_MAX], output[PROGRAM_OUTPUT];
    snprintf(bytes, sizeof bytes, "%llu", (unsigned long long)size);
    /* "./": a name that starts with a dash or has a colon in it is a file all the same. */
    FERRY_AUTO(mem) char *path = NULL;
    if (asprintf(&path, "%s%s", *temp == '/' ? "" : "./", temp) < 0) {
        path = NULL;
        say_no_memory();
        return STATUS_FAILED;
    }
    const char *argv[] = {"qemu-img", "create", "-q", "-f", format, path, bytes, NULL};
    int r = program_run(argv, output);
    if (r == 0)
        return STATUS_OK;
    if (r == -ENOENT)
        say("qemu-img is not there; it makes %s images (Debian: qemu-utils)", format);
    else if (r < 0 && r != -ECANCELED)
        say_errno("qemu-img", r);
    else if (r > 0)
        say("%s: %s", image, *output ? qemu_img_why(output) : "qemu-img failed");
    return STATUS_FAILED;
}

/* ---- the file system --------------------------------------------------------------- */

static int format_partition(struct session *s)
{
    ferry_error e = {0};
    if (guest_part_disk(s, "/dev/sda", "gpt", &e) < 0)
        return session_failed(s, "/dev/sda", &e);
    if (guest_mkfs(s, s->o->fs, "/dev/sda1", s->o->label, &e) < 0)
        return session_failed(s, "/dev/sda1", &e);
    return STATUS_OK;
}

/* Boots with the half-made image; errors name the one it is to become. */
static int open_half_made(struct session *s, const struct options *o, const char *image,
                          const char *temp, const char *format)
{
    int status = session_prepare(s, o);
    if (status != STATUS_OK)
        return status;
    s->image = image;
    ferry_error e = {0};
    ferry_drive_opts drive = {.size = sizeof drive, .format = format};
    if (ferry_add_drive(s->vm, temp, &drive, &e) < 0)
        return session_failed(s, NULL, &e);
    return session_launch(s);
}

static int make_fs(const struct options *o, const char *image, const char *temp,
                   const char *format)
{
    struct session s;
    int status = open_half_made(&s, o, image, temp, format);
    if (status == STATUS_OK)
        status = format_partition(&s);
    /* 4 is for files: a device that is not there is a failure. */
    return session_close(&s, status == STATUS_NOT_FOUND ? STATUS_FAILED : status);
}

/* ---- run --------------------------------------------------------------------------- */

static int put_in_place(const char *image, const char *temp, bool force)
{
    int r = force ? rename(temp, image)
                  : renameat2(AT_FDCWD, temp, AT_FDCWD, image, RENAME_NOREPLACE);
    /* Some file systems cannot do it without replacing: link(2) can. */
    if (r < 0 && errno == EINVAL && !force) {
        r = link(temp, image);
        if (r == 0)
            unlink(temp);
    }
    if (r == 0)
        return STATUS_OK;
    say_errno(image, errno);
    return STATUS_FAILED;
}

static int make_image(const struct options *o, const char *image, const char *temp,
                      const char *format, uint64_t size)
{
    int status = !strcmp(format, "raw") ? make_raw(image, temp, size)
                                        : make_other(image, temp, format, size);
    if (status == STATUS_OK && o->fs)
        status = make_fs(o, image, temp, format);
    if (signals_caught() && status == STATUS_OK)
        status = STATUS_FAILED;
    return status == STATUS_OK ? put_in_place(image, temp, o->force) : status;
}

/* Reads SIZE and finds the format. A status. */
static int check(const struct options *o, const char *image, const char *size,
                 uint64_t *ret_size, const char **ret_format)
{
    uint64_t bytes;
    if (o->ro)
        return say_usage("writes an image, which --ro forbids");
    int r = text_parse_size(size, &bytes);
    if (r == -ERANGE)
        return say_usage("'%s' is too big for a disk", size);
    if (r < 0 || bytes == 0)
        return say_usage("'%s' is no size; write bytes, or 512M, 10G", size);
    bytes = (bytes + SECTOR - 1) / SECTOR * SECTOR;
    if (o->fs && bytes < WITH_FS_MIN)
        return say_usage("%s is too small for a partition with a file system", size);
    if (o->label && !o->fs)
        return say_usage("--label is for a file system; give --fs as well");

    const char *format = o->format ? o->format : side_format(image);
    if (!format)
        return say_usage("%s: no format is known for that extension; give --format",
                         image);
    struct stat st;
    if (lstat(image, &st) == 0 && !o->force) {
        say("%s: is there already; --force replaces it", image);
        return STATUS_FAILED;
    }
    if (stat(image, &st) == 0 && !S_ISREG(st.st_mode)) {
        say("%s: is not a regular file", image);
        return STATUS_FAILED;
    }
    *ret_size = bytes;
    *ret_format = format;
    return STATUS_OK;
}

static int run(const struct options *o, char **operands, int n)
{
    (void)n;
    const char *image = operands[0], *format = NULL;
    uint64_t size = 0;
    int status = check(o, image, operands[1], &size, &format);
    if (status != STATUS_OK)
        return status;

    FERRY_AUTO(mem) char *temp = temp_name(image);
    if (!temp) {
        say_no_memory();
        return STATUS_FAILED;
    }
    signals_remove(temp);
    status = make_image(o, image, temp, format, size);
    signals_remove(NULL);
    if (status != STATUS_OK) {
        unlink(temp);
        return status;
    }
    char text[TEXT_MAX];
    text_bytes(size, text);
    if (!o->quiet && o->progress != PROGRESS_NONE && o->progress != PROGRESS_JSON)
        fprintf(stderr, "%s  %s, %s%s%s\n", image, format, text, o->fs ? ", " : "",
                o->fs ? o->fs : "");
    return STATUS_OK;
}

const struct command create_command = {
    .name = "create",
    .synopsis = "IMAGE SIZE [--fs TYPE]",
    .summary = "make a new image, empty or with a file system",
    .help = help,
    .shorts = "f",
    .longs = longs,
    .option = option,
    .min_operands = 2,
    .max_operands = 2,
    .missing = "IMAGE or SIZE",
    .run = run,
};
