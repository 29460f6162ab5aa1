/* qemu's command line; see argv.h. The reason of each argument stands beside it. */
#include "launch/argv.h"

#include "base/auto.h"
#include "base/trace.h"
#include "launch/blockdev.h"

#include <errno.h>
#include <inttypes.h>
#include <jansson.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>

/* What a kernel that runs one program, for one user, need not do: fend off a second user
 * (mitigations), test its own ciphers, clear all memory that it hands out, look where each copy to a
 * program ends, account for memory, pressure and security. */
#define APPEND_ALL                                                                     \
    "panic=-1 oops=panic mitigations=off cryptomgr.notests random.trust_cpu=on "       \
    "init_on_alloc=0 hardened_usercopy=off psi=0 audit=0 lsm=capability "              \
    "cgroup_disable=memory"

static const ferry_platform platforms[] = {
    {
        .arch = "x86_64",
        .qemu = "qemu-system-x86_64",
        .package = "qemu-system-x86",
        .machine = "q35,sata=off,smbus=off,i8042=off", /* what nobody looks for */
        /* Without erms the guest's kernel copies by words: TCG runs "rep movsb" a byte
         * at a time. smap ends a block of translated code at each access to a program's memory;
         * la57 is a fifth level in each walk of the page tables; xsave and avx are saved in
         * vain, and run as calls. What they keep safe in a machine, TCG's does not have. */
        .cpu_tcg = "max,-erms,-smap,-smep,-umip,-la57,-xsave,-avx,-avx2",
        .cpu_kvm = "host",
        .kernel = "vmlinux",
        .initramfs = "initramfs",
        .usr = "usr.img",
        .bios = "qboot.rom", /* the little that PVH needs of a firmware, in 20 ms */
        .console = "ttyS0",
        .append = APPEND_ALL " tsc=reliable no_timer_check 8250.nr_uarts=1",
        .append_tcg = "noreplace-smp",
        .append_tcg_one_cpu = "nolapic_timer",
        .tells_ticks = true,
        .lane = true,
    },
    {
        .arch = "aarch64",
        .qemu = "qemu-system-aarch64",
        .package = "qemu-system-arm",
        .machine = "virt",
        /* TCG computes each signature of a return address: 4.6 s for a boot instead of 1.2. SVE's
         * registers are kept for nobody. */
        .cpu_tcg = "max,pauth=off,sve=off",
        .cpu_kvm = "host",
        .kernel = "Image", /* qemu puts it and the device tree where they belong */
        .initramfs = "initramfs",
        .usr = "usr.img",
        .console = "ttyAMA0",
        .append = APPEND_ALL,
        .append_tcg = "",
        .append_tcg_one_cpu = "",
    },
};

const ferry_platform *ferry_platform_find(const char *arch)
{
    for (size_t i = 0; i < sizeof platforms / sizeof *platforms; i++)
        if (strcmp(platforms[i].arch, arch) == 0)
            return &platforms[i];
    return NULL;
}

const ferry_platform *ferry_platform_host(void)
{
    struct utsname u;
    return uname(&u) == 0 ? ferry_platform_find(u.machine) : NULL;
}

/* ---- a growing argument list ----------------------------------------------------- */

/* Running out of memory is noted, and looked at once, at the end. */
struct args {
    char **v; /* NULL-terminated */
    size_t n, cap;
    bool failed;
};

/* Takes over s. */
static void add_owned(struct args *a, char *s)
{
    if (a->n + 1 >= a->cap) {
        size_t cap = a->cap ? 2 * a->cap : 64;
        char **v = realloc(a->v, cap * sizeof *v);
        if (!v) {
            a->failed = true;
            free(s);
            return;
        }
        a->v = v;
        a->cap = cap;
    }
    a->failed |= !s;
    a->v[a->n++] = s;
    a->v[a->n] = NULL;
}

static FERRY_PRINTF(2, 3) void add(struct args *a, const char *fmt, ...)
{
    va_list ap;
    char *s = NULL;
    va_start(ap, fmt);
    if (vasprintf(&s, fmt, ap) < 0)
        s = NULL;
    va_end(ap);
    add_owned(a, s);
}

/* Takes over j. */
static void add_json(struct args *a, json_t *j)
{
    add_owned(a, j ? json_dumps(j, JSON_COMPACT) : NULL);
    json_decref(j);
}

/* ---- the parts ------------------------------------------------------------------- */

/* " tsc_early_khz=2596112": ticks.h. kvm tells its guests by itself. */
static const char *ticks_word(const ferry_argv_in *in, char *buf, size_t size)
{
    if (!in->ticks_khz || in->accel == FERRY_ACCEL_KVM)
        return "";
    snprintf(buf, size, " tsc_early_khz=%" PRIu32, in->ticks_khz);
    return buf;
}

/* " ferry.trace=daemon,proto": daemon/main.c. */
static const char *trace_word(const ferry_argv_in *in, char *buf, size_t size)
{
    const char *const head = " ferry.trace=";
    if (!in->trace || in->ram != FERRY_RAM_OWN)
        return "";
    snprintf(buf, size, "%s", head);
    ferry_trace_words(in->trace, buf + strlen(head), size - strlen(head));
    return buf;
}

char *ferry_argv_append(const ferry_argv_in *in)
{
    const ferry_platform *p = in->platform;
    const char *tcg = "", *one_cpu = "";
    if (in->accel != FERRY_ACCEL_KVM) {
        tcg = p->append_tcg;
        one_cpu = in->cpus > 1 ? "" : p->append_tcg_one_cpu;
    }
    bool lane = in->ram == FERRY_RAM_SHARED && in->lane_bytes; /* daemon/main.c */
    char *line = NULL, trace[96], ticks[40];
    if (asprintf(&line, "console=%s%s %s%s%s%s%s%s%s%s", p->console,
                 in->verbose ? "" : " quiet", p->append, *tcg ? " " : "", tcg,
                 *one_cpu ? " " : "", one_cpu, lane ? " ferry.lane=make" : "",
                 ticks_word(in, ticks, sizeof ticks),
                 trace_word(in, trace, sizeof trace)) < 0)
        return NULL;
    return line;
}

/* What a lane takes of the room for memory that is plugged in: it is aligned to the largest pages. */
#define LANE_ROOM_MIB 2048

static void add_memory(struct args *a, const ferry_argv_in *in)
{
    uint32_t mib = in->memory_mib ? in->memory_mib : FERRY_DEFAULT_MEMORY_MIB;
    add(a, "-m");
    if (in->lane_bytes)
        add(a, "%u,maxmem=%" PRIu64 "M", mib, (uint64_t)mib + LANE_ROOM_MIB);
    else
        add(a, "%u", mib);
    if (in->ram == FERRY_RAM_OWN)
        return;

    /* The file has no name that could come to mean another one. */
    add(a, "-object");
    add(a,
        "memory-backend-file,id=ram,size=%" PRIu32
        "M,mem-path=/proc/self/fd/%d,share=%s",
        mib, FERRY_FD_RAM, in->ram == FERRY_RAM_SHARED ? "on" : "off");
}

static void add_kernel(struct args *a, const ferry_argv_in *in)
{
    add(a, "-kernel");
    add(a, "%s", in->kernel);
    add(a, "-initrd");
    add(a, "%s", in->initramfs);
    add(a, "-append");
    add_owned(a, ferry_argv_append(in));
}

/* Stands still, before and after taking in the state: what that is has to be found good. */
static void add_incoming(struct args *a)
{
    add(a, "-S");
    add(a, "-incoming");
    add(a, "defer");
}

static void add_base(struct args *a, const ferry_argv_in *in)
{
    const ferry_platform *p = in->platform;
    bool kvm = in->accel == FERRY_ACCEL_KVM;

    add(a, "%s", in->qemu);
    /* Nothing but what is named here: no devices of a default, no configuration of the
     * user's, no window, no network. */
    add(a, "-nodefaults");
    add(a, "-no-user-config");
    add(a, "-display");
    add(a, "none");
    add(a, "-no-reboot"); /* a panic (panic=-1) ends qemu rather than booting again */
    add(a, "-name");
    /* Threads with names, for top -H and gdb. */
    add(a, "guestferry,debug-threads=on");

    add(a, "-machine");
    add(a, "%s%s", p->machine, in->ram == FERRY_RAM_OWN ? "" : ",memory-backend=ram");
    add(a, "-accel");
    add(a, "%s", kvm ? "kvm" : "tcg");
    add(a, "-cpu");
    add(a, "%s", kvm ? p->cpu_kvm : p->cpu_tcg);
    add_memory(a, in);
    add(a, "-smp");
    add(a, "%u", in->cpus ? in->cpus : FERRY_DEFAULT_CPUS);

    if (in->bios) {
        add(a, "-bios");
        add(a, "%s", in->bios);
    }
    if (in->ram == FERRY_RAM_PRIVATE)
        add_incoming(a);
    else
        add_kernel(a, in);

    if (in->sandbox) {
        add(a, "-sandbox");
        add(a,
            "on,obsolete=deny,elevateprivileges=deny,spawn=deny,resourcecontrol=deny");
    }
}

/* A virtio device on PCI. Its notification from the guest wakes qemu's main loop by an eventfd;
 * kvm writes that without leaving the kernel, but under TCG the vCPU's thread is in qemu
 * already and may as well do the work: one change of threads less each way. */
static void add_virtio(struct args *a, const ferry_argv_in *in, const char *device)
{
    add(a, "-device");
    add(a, "%s%s", device, in->accel == FERRY_ACCEL_KVM ? "" : ",ioeventfd=off");
}

/* All sockets are inherited: none has a name that another user could connect to. */
static void add_sockets(struct args *a, const ferry_argv_in *in)
{
    add(a, "-chardev");
    add(a, "socket,id=qmp,fd=%d", FERRY_FD_QMP);
    add(a, "-mon");
    add(a, "chardev=qmp,mode=control");

    add(a, "-chardev");
    add(a, "socket,id=console,fd=%d", FERRY_FD_CONSOLE);
    add(a, "-serial");
    add(a, "chardev:console");

    add(a, "-chardev");
    add(a, "socket,id=channel,fd=%d", FERRY_FD_CHANNEL);
    /* One port, and port 0, which is a console's; a vector for each of their six queues, and the device's. Of the
     * 31 ports that it has otherwise, each has two queues, and all of them share an interrupt, for which
     * each is looked at. */
    add_virtio(a, in, "virtio-serial-pci,max_ports=2,vectors=7");
    add(a, "-device");
    add(a, "virtserialport,chardev=channel,name=" FERRY_PORT_NAME);
}

/* The appliance's own programs: the only virtio-blk disk, /dev/vda. Many qemus share it
 * and nobody writes it, so nothing is to be locked. */
static void add_usr(struct args *a, const ferry_argv_in *in)
{
    json_t *node = json_pack("{s:s, s:s, s:b, s:{s:s, s:s, s:s}}", "node-name", "usr",
                             "driver", "raw", "read-only", 1, "file", "driver", "file",
                             "filename", in->usr, "locking", "off");
    add(a, "-blockdev");
    add_json(a, node);
    add_virtio(a, in, "virtio-blk-pci,drive=usr");
}

/* hotplug=off: the controller tells the guest of no drive that comes or goes. The host does,
 * when it is there (daemon/drives.c). */
static void add_drives(struct args *a, const ferry_argv_in *in)
{
    add_virtio(a, in, "virtio-scsi-pci,id=scsi,hotplug=off");

    unsigned scratches = 0;
    for (unsigned i = 0; i < in->ndrives; i++) {
        const ferry_drive *d = &in->drives[i];
        if (!d->path) {
            add(a, "-add-fd");
            add(a, "fd=%u,set=%u", FERRY_FD_SCRATCH + scratches++, d->target);
        }
        add(a, "-blockdev");
        add_json(a, ferry_blockdev_node(d, d->target));
        add(a, "-device");
        add_json(a, ferry_blockdev_disk(d->target));
    }
}

/* The lane's descriptor comes behind those of the scratch disks, or of the template. */
static unsigned count_fds(const ferry_argv_in *in)
{
    unsigned n = in->ram == FERRY_RAM_OWN ? 0 : 2;
    for (unsigned i = 0; i < in->ndrives; i++)
        n += !in->drives[i].path;
    return n;
}

/* Memory that the host and the guest share, as a persistent-memory device: the guest's kernel
 * leaves what is in it alone, but lets block devices read and write it directly. share=on: it
 * is no part of the guest's state. */
static void add_lane(struct args *a, const ferry_argv_in *in)
{
    if (!in->lane_bytes)
        return;
    add(a, "-object");
    add(a,
        "memory-backend-file,id=lane,share=on,size=%" PRIu64
        ",mem-path=/proc/self/fd/%u",
        in->lane_bytes, FERRY_FD_SCRATCH + count_fds(in));
    add(a, "-device");
    add(a, "virtio-pmem-pci,memdev=lane");
}

int ferry_argv_build(const ferry_argv_in *in, char ***ret)
{
    struct args a = {0};
    add_base(&a, in);
    add_sockets(&a, in);
    add_usr(&a, in);
    add_drives(&a, in);
    add_lane(&a, in);
    if (a.failed) {
        /* A hole where a string is missing would hide the ones behind it. */
        for (size_t i = 0; i < a.n; i++)
            free(a.v[i]);
        free(a.v);
        return -ENOMEM;
    }
    *ret = a.v;
    return 0;
}
