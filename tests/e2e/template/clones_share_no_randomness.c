/* VMs that come from one template have one memory, and with it one clock and one state of the
 * kernel's random number generator, until the host has sent them others. So each
 * clone is asked for what is made of them: a boot id (the generator itself), the UUIDs of new file systems
 * (getrandom(2) in a program), the volume key and the UUID of an encrypted device (/dev/urandom in a
 * program, as the host's cryptsetup reads them in the image), and the time of a new file. */
#include "harness/vm.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define UUID 40
#define VOLUME_KEY 64 /* bytes: AES-256 in XTS has two */

struct clone {
    char boot[UUID], ext4[UUID], btrfs[UUID], xfs[UUID], luks[UUID];
    char key[2 * VOLUME_KEY + 1];
};

static unsigned nclones;
static struct clone *clones;

static int build(void **state)
{
    (void)state;
    scratch_make();
    host("mkdir -m 700 '%s'", scratch("cache"));
    setenv("XDG_CACHE_HOME", scratch("cache"), 1);
    setenv("FERRY_TEMPLATE", "require", 1);
    nclones = getenv("FERRY_SLOW") ? 50 : 4;
    clones = calloc(nclones, sizeof *clones);
    vm_new();
    assert_ok(ferry_template_build(vm, &err));
    assert_ok(ferry_add_drive_scratch(vm, 400 * MIB, &err));
    vm_image("luks.img", 20 * MIB);
    return 0;
}

static int drop(void **state)
{
    free(clones);
    return vm_teardown(state);
}

static void take(char *to, char *from)
{
    snprintf(to, UUID, "%s", from);
    assert_int_equal(strlen(to), 36);
    free(from);
}

static void make_uuid(const char *type, char *ret)
{
    char *uuid = NULL;
    assert_ok(ferry_mkfs(vm, type, "/dev/sda", NULL, &err));
    assert_ok(ferry_vfs_uuid(vm, "/dev/sda", &uuid, &err));
    take(ret, uuid);
}

static void make_luks(void)
{
    ferry_luks_format_opts quick = {.size = sizeof quick, .iterations = 1000};
    assert_ok(ferry_luks_format(vm, "/dev/sdb", "passphrase", &quick, &err));
}

/* After the shutdown, in the image. */
static void read_luks(struct clone *c)
{
    const char *image = scratch("luks.img");
    const char *uuid = host("cryptsetup luksUUID '%s'", image);
    snprintf(c->luks, sizeof c->luks, "%.*s", (int)strcspn(uuid, "\n"), uuid);
    assert_int_equal(strlen(c->luks), 36);
    const char *key =
        host("printf passphrase | cryptsetup luksDump --dump-volume-key "
             "--batch-mode --key-file - '%s' | "
             "sed -n '/^MK dump:/,$p' | sed 's/MK dump://' | tr -dc 0-9a-f",
             image);
    assert_int_equal(strlen(key), 2 * VOLUME_KEY);
    snprintf(c->key, sizeof c->key, "%s", key);
}

/* A guest that went on from a template was made some time ago; what is sent to it takes its time on a
 * busy machine. */
static void assert_time_is_now(void)
{
    time_t now = time(NULL);
    assert_ok(ferry_mount(vm, "/dev/sda", "/", &err));
    assert_ok(ferry_upload_mem(vm, "x", 1, "/new", NULL, &err));
    int64_t then = guest_stat("/new").mtime_sec;
    if (then < now - 3 || then > now + 60)
        fail_msg("a new file is of %lld, now is %lld", (long long)then, (long long)now);
    assert_ok(ferry_umount(vm, "/", &err));
}

static void ask(struct clone *c)
{
    ferry_launch_times times;
    char *boot = NULL;
    vm_launch();
    assert_int_equal(ferry_vm_get_launch_times(vm, &times), 0);
    assert_int_equal(times.restored, 1);
    assert_ok(ferry_boot_id(vm, &boot, &err));
    take(c->boot, boot);
    make_uuid("xfs", c->xfs);
    make_uuid("btrfs", c->btrfs);
    make_uuid("ext4", c->ext4);
    make_luks();
    assert_time_is_now();
    vm_shutdown();
    read_luks(c);
}

static void assert_differ(const char *what, const char *a, const char *b)
{
    if (strcmp(a, b) == 0)
        fail_msg("two clones have the same %s: %s", what, a);
}

static void each_is_another(void **state)
{
    (void)state;
    for (unsigned i = 0; i < nclones; i++)
        ask(&clones[i]);
    for (unsigned i = 0; i < nclones; i++)
        for (unsigned j = 0; j < i; j++) {
            assert_differ("boot id", clones[i].boot, clones[j].boot);
            assert_differ("UUID of an ext4", clones[i].ext4, clones[j].ext4);
            assert_differ("UUID of a btrfs", clones[i].btrfs, clones[j].btrfs);
            assert_differ("UUID of an xfs", clones[i].xfs, clones[j].xfs);
            assert_differ("UUID of a LUKS device", clones[i].luks, clones[j].luks);
            assert_differ("volume key", clones[i].key, clones[j].key);
        }
}

int main(void)
{
    const struct CMUnitTest tests[] = {vm_test(each_is_another)};
    return cmocka_run_group_tests(tests, build, drop);
}
