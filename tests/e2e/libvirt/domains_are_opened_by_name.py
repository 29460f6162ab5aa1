"""gferry -d NAME: the disks of a domain that somebody else has, with the formats that libvirt
knows. One that runs is read, and written by nobody but itself."""

import os

import libvirtd
from libvirtd import cli

# It boots nothing: a qemu that holds its disks is all that is wanted.
DOMAIN = """<domain type='qemu'><name>{name}</name><memory unit='MiB'>64</memory>
<os><type arch='x86_64' machine='pc'>hvm</type></os><devices>{disks}
<controller type='usb' model='none'/><memballoon model='none'/></devices></domain>"""
DISK = """<disk type='file' device='disk'><driver name='qemu' type='qcow2'/>
<source file='{}'/><target dev='{}' bus='virtio'/></disk>"""
NETWORK = """<disk type='network' device='disk'><driver name='qemu' type='raw'/>
<source protocol='nbd'><host name='localhost' port='1'/></source>
<target dev='vdb' bus='virtio'/></disk>"""


class Domains(libvirtd.Case):
    def define(self, daemon, name, *disks):
        path = self.path(f"{name}.xml")
        with open(path, "w", encoding="utf-8") as file:
            file.write(DOMAIN.format(name=name, disks="".join(disks)))
        daemon.virsh("define", path)
        self.addCleanup(daemon.virsh, "undefine", name)

    def web(self, daemon, *args, code=0):
        return self.gferry(daemon, "-d", "web", "--connect", daemon.uri, *args, code=code,
                           backend="direct")

    def test_shut_off_and_running(self):
        daemon = self.daemon()
        # The name says nothing about the format: the domain does.
        disk = self.path("disk of <web>")
        os.rename(self.image("disk.qcow2"), disk)
        name = disk.replace("<", "&lt;").replace(">", "&gt;")
        self.define(daemon, "web", DISK.format(name, "vda"))
        cargo = cli.random_file(self.path("cargo"), 1 << 20)

        self.web(daemon, "cp", cargo, ":/cargo")
        self.web(daemon, "cp", ":/cargo", self.path("back"))
        self.assertEqual(cli.sha256(self.path("back")), cli.sha256(cargo))
        self.assertIn("with -d", self.web(daemon, "ls", "other.img", code=2).stderr)

        daemon.virsh("start", "web")
        self.addCleanup(daemon.virsh, "destroy", "web")
        self.assertEqual(self.web(daemon, "ls", ":").stdout.split(),
                         ["cargo", "lost+found"])
        run = self.web(daemon, "rm", ":/cargo", code=1)
        self.assertIn("web is running and its disks change", run.stderr)
        run = self.web(daemon, "--force-running", "rm", ":/cargo", code=1)
        self.assertIn("in use by another process", run.stderr)

    def test_what_cannot_be_opened_is_named(self):
        daemon = self.daemon()
        disk = self.image("disk.qcow2")
        self.define(daemon, "web", DISK.format(disk, "vda"), NETWORK)
        self.assertIn("its disk vdb is a network disk",
                      self.web(daemon, "ls", ":", code=1).stderr)
        run = self.gferry(daemon, "-d", "nobody", "--connect", daemon.uri, "ls", ":",
                          code=1, backend="direct")
        self.assertIn("no domain with matching name 'nobody'", run.stderr)
        run = self.gferry(daemon, "-d", "web", "--connect", "qemu:///nowhere", "ls", ":",
                          code=1, backend="direct")
        self.assertIn("qemu:///nowhere", run.stderr)

    def test_without_a_libvirtd_the_next_step_is_named(self):
        daemon = self.daemon()
        daemon.stop()
        run = self.web(daemon, "ls", ":", code=1)
        self.assertIn("cannot be reached", run.stderr)
        self.assertIn("start libvirtd or virtqemud, or give another URI", run.stderr)


if __name__ == "__main__":
    libvirtd.main()
