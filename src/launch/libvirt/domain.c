/* The domain's XML; see domain.h. What argv.c says in qemu's language, with the same
 * reasons, as far as libvirt has words for it. */
#include "launch/libvirt/domain.h"

#include "launch/argv.h"

#include <errno.h>
#include <libxml/xmlwriter.h>
#include <stdlib.h>
#include <string.h>

/* libvirt puts each PCI device behind a root port of its own, which the guest then has to
 * look through. On the root bus itself they are found at once. 0, 1 and 31 are the
 * machine's own. */
enum { SLOT_SCSI = 3, SLOT_SERIAL = 4, SLOT_USR = 5 };

/* Where writing fails, memory has run out. That is noted, and looked at once. */
struct out {
    xmlTextWriter *w;
    bool failed;
};

static const xmlChar *x(const char *s)
{
    return (const xmlChar *)s;
}

static void begin(struct out *o, const char *name)
{
    o->failed |= xmlTextWriterStartElement(o->w, x(name)) < 0;
}

static void end(struct out *o)
{
    o->failed |= xmlTextWriterEndElement(o->w) < 0;
}

static void attr(struct out *o, const char *name, const char *value)
{
    o->failed |= xmlTextWriterWriteAttribute(o->w, x(name), x(value)) < 0;
}

static void attr_u(struct out *o, const char *name, unsigned value)
{
    o->failed |= xmlTextWriterWriteFormatAttribute(o->w, x(name), "%u", value) < 0;
}

static void text(struct out *o, const char *name, const char *value)
{
    o->failed |= xmlTextWriterWriteElement(o->w, x(name), x(value)) < 0;
}

/* <name a="b"/> */
static void one(struct out *o, const char *name, const char *a, const char *b)
{
    begin(o, name);
    attr(o, a, b);
    end(o);
}

/* ---- the parts ------------------------------------------------------------------- */

/* The type alone: libvirt has its own words for some of the options, for others none. */
static void attr_machine(struct out *o, const char *machine)
{
    o->failed |=
        xmlTextWriterWriteFormatAttribute(o->w, x("machine"), "%.*s",
                                          (int)strcspn(machine, ","), machine) < 0;
}

static void add_os(struct out *o, const ferry_libvirt_spec *spec)
{
    const ferry_argv_in *in = spec->in;
    begin(o, "os");
    begin(o, "type");
    attr(o, "arch", in->platform->arch);
    attr_machine(o, in->platform->machine);
    o->failed |= xmlTextWriterWriteString(o->w, x("hvm")) < 0;
    end(o);
    if (in->bios) {
        begin(o, "loader");
        attr(o, "type", "rom");
        o->failed |= xmlTextWriterWriteString(o->w, x(in->bios)) < 0;
        end(o);
    }
    text(o, "kernel", in->kernel);
    text(o, "initrd", in->initramfs);
    text(o, "cmdline", spec->append);
    end(o);
}

/* "max,-erms,-smap": what is taken out of it. libvirt has no word for the other options. */
static void add_cpu_features(struct out *o, const char *cpu)
{
    while ((cpu = strstr(cpu, ",-"))) {
        cpu += 2;
        begin(o, "feature");
        attr(o, "policy", "disable");
        o->failed |= xmlTextWriterWriteFormatAttribute(o->w, x("name"), "%.*s",
                                                       (int)strcspn(cpu, ","), cpu) < 0;
        end(o);
    }
}

static void add_cpu(struct out *o, const ferry_argv_in *in)
{
    begin(o, "cpu");
    if (in->accel == FERRY_ACCEL_KVM) {
        attr(o, "mode", "host-passthrough");
        attr(o, "check", "none");
    } else {
        attr(o, "mode", "maximum");
        add_cpu_features(o, in->platform->cpu_tcg);
    }
    end(o);
}

static void add_base(struct out *o, const ferry_domain_in *d)
{
    const ferry_argv_in *in = d->spec->in;
    text(o, "name", d->name);
    begin(o, "memory");
    attr(o, "unit", "MiB");
    o->failed |=
        xmlTextWriterWriteFormatString(o->w, "%u",
                                       in->memory_mib ? in->memory_mib
                                                      : FERRY_DEFAULT_MEMORY_MIB) < 0;
    end(o);
    o->failed |=
        xmlTextWriterWriteFormatElement(o->w, x("vcpu"), "%u",
                                        in->cpus ? in->cpus : FERRY_DEFAULT_CPUS) < 0;
    add_os(o, d->spec);
    if (in->bios) { /* without a firmware nobody hands ACPI's tables on */
        begin(o, "features");
        begin(o, "acpi");
        end(o);
        end(o);
    }
    add_cpu(o, in);

    /* Whatever the guest does, its end is the domain's. */
    text(o, "on_poweroff", "destroy");
    text(o, "on_reboot", "destroy");
    text(o, "on_crash", "destroy");
}

static void add_pci(struct out *o, unsigned slot)
{
    begin(o, "address");
    attr(o, "type", "pci");
    attr_u(o, "domain", 0);
    attr_u(o, "bus", 0);
    attr_u(o, "slot", slot);
    attr_u(o, "function", 0);
    end(o);
}

/* argv.c's add_virtio() says why. */
static const char *ioeventfd(const ferry_argv_in *in)
{
    return in->accel == FERRY_ACCEL_KVM ? "on" : "off";
}

static void add_controllers(struct out *o, const ferry_argv_in *in)
{
    begin(o, "controller"); /* libvirt would add one */
    attr(o, "type", "usb");
    attr(o, "model", "none");
    end(o);

    begin(o, "controller");
    attr(o, "type", "scsi");
    attr(o, "index", "0");
    attr(o, "model", "virtio-scsi");
    one(o, "driver", "ioeventfd", ioeventfd(in));
    add_pci(o, SLOT_SCSI);
    end(o);

    begin(o, "controller");
    attr(o, "type", "virtio-serial");
    attr(o, "index", "0");
    attr(o, "ports", "2"); /* as argv.c has it */
    attr(o, "vectors", "7");
    add_pci(o, SLOT_SERIAL);
    end(o);
}

static void add_usr(struct out *o, const ferry_domain_in *d)
{
    const ferry_argv_in *in = d->spec->in;
    begin(o, "disk");
    attr(o, "type", "file");
    attr(o, "device", "disk");
    begin(o, "driver");
    attr(o, "name", "qemu");
    attr(o, "type", "raw");
    attr(o, "ioeventfd", ioeventfd(in));
    end(o);
    begin(o, "source");
    attr(o, "file", in->usr);
    if (d->owner == FERRY_OWNER_QEMU) {
        begin(o, "seclabel");
        attr(o, "model", "dac");
        attr(o, "relabel", "no");
        end(o);
    }
    end(o);
    begin(o, "target");
    attr(o, "dev", "vda");
    attr(o, "bus", "virtio");
    end(o);
    begin(o, "readonly");
    end(o);
    add_pci(o, SLOT_USR);
    end(o);
}

/* The name that libvirt wants for a disk: unique, and nothing else. The guest's comes from
 * the SCSI target. */
static void add_target(struct out *o, unsigned target)
{
    char name[8] = "sd";
    size_t at = sizeof name;
    name[--at] = '\0';
    for (unsigned n = target + 1; n > 0; n = (n - 1) / 26)
        name[--at] = (char)('a' + (n - 1) % 26);
    memmove(name + 2, name + at, sizeof name - at);

    begin(o, "target");
    attr(o, "dev", name);
    attr(o, "bus", "scsi");
    end(o);
    begin(o, "serial");
    o->failed |= xmlTextWriterWriteFormatString(o->w, "ferry%u", target) < 0;
    end(o);
    begin(o, "address");
    attr(o, "type", "drive");
    attr_u(o, "controller", 0);
    attr_u(o, "bus", 0);
    attr_u(o, "target", target);
    attr_u(o, "unit", 0);
    end(o);
}

static void add_drive(struct out *o, const ferry_drive *d)
{
    begin(o, "disk");
    attr(o, "type", "file");
    attr(o, "device", "disk");
    begin(o, "driver");
    attr(o, "name", "qemu");
    attr(o, "type", d->format);
    attr(o, "cache", d->scratch_bytes ? "unsafe" : "writeback");
    attr(o, "error_policy", "report");
    attr(o, "rerror_policy", "report");
    if (!d->readonly) {
        attr(o, "discard", "unmap");
        attr(o, "detect_zeroes", "unmap");
    }
    end(o);
    one(o, "source", "file", d->path);
    add_target(o, d->target);
    if (d->readonly) {
        begin(o, "readonly");
        end(o);
    }
    end(o);
}

static void add_channels(struct out *o)
{
    begin(o, "serial"); /* libvirt opens ptys as consoles, and sockets as channels */
    attr(o, "type", "pty");
    one(o, "target", "port", "0");
    end(o);

    begin(o, "channel");
    attr(o, "type", "unix"); /* without a path: libvirt makes one, and removes it */
    begin(o, "target");
    attr(o, "type", "virtio");
    attr(o, "name", FERRY_PORT_NAME);
    end(o);
    end(o);
}

/* libvirt would give each image to its own user, and afterwards back to whom it takes for
 * the owner; the kernel and usr.img too, which many VMs share. */
static void add_label(struct out *o, const ferry_domain_in *d)
{
    begin(o, "seclabel");
    attr(o, "type", "static");
    attr(o, "model", "dac");
    attr(o, "relabel", "no");
    o->failed |= xmlTextWriterWriteFormatElement(o->w, x("label"), "+%u:+%u",
                                                 (unsigned)d->uid, (unsigned)d->gid) < 0;
    end(o);
}

static void write_domain(struct out *o, const ferry_domain_in *d)
{
    const ferry_argv_in *in = d->spec->in;
    begin(o, "domain");
    attr(o, "type", in->accel == FERRY_ACCEL_KVM ? "kvm" : "qemu");
    add_base(o, d);

    begin(o, "devices");
    if (in->qemu)
        text(o, "emulator", in->qemu);
    add_controllers(o, in);
    add_usr(o, d);
    for (unsigned i = 0; i < in->ndrives; i++)
        add_drive(o, &in->drives[i]);
    add_channels(o);
    one(o, "memballoon", "model", "none");
    end(o);

    if (d->owner == FERRY_OWNER_CALLER)
        add_label(o, d);
    end(o);
}

int ferry_domain_xml(const ferry_domain_in *in, char **ret)
{
    xmlBuffer *buffer = xmlBufferCreate();
    struct out o = {.w = buffer ? xmlNewTextWriterMemory(buffer, 0) : NULL};
    if (o.w) {
        xmlTextWriterSetIndent(o.w, 1);
        write_domain(&o, in);
        o.failed |= xmlTextWriterFlush(o.w) < 0;
    }
    char *xml = o.w && !o.failed ? strdup((const char *)xmlBufferContent(buffer)) : NULL;
    xmlFreeTextWriter(o.w);
    xmlBufferFree(buffer);
    if (!xml)
        return -ENOMEM;
    *ret = xml;
    return 0;
}
