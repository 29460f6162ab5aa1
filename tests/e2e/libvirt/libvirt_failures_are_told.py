"""What goes wrong around libvirt is told in one line that names it; afterwards no domain and
no process of ours is there.

The death of libvirtd is the story to know: AUTODESTROY is libvirtd's own promise, a
qemu whose libvirtd was killed goes on, and no poweroff of the guest ends it (-no-shutdown).
The plugin kills it by a pidfd that it took at the start."""

import os
import subprocess

import libvirtd
from libvirtd import cli


class Failures(libvirtd.Case):
    def told(self, run, *words):
        lines = cli.without_progress(run.stderr).splitlines()
        self.assertEqual(len(lines), 1, run.stderr)
        for word in words:
            self.assertIn(word, lines[0])

    def test_libvirtd_absent_plugin_absent_and_no_plugin_at_all(self):
        disk = self.image()
        daemon = self.daemon()
        daemon.stop()
        self.told(self.gferry(daemon, "ls", disk, code=5), "qemu:///system",
                  "cannot be reached", "start libvirtd")
        self.env["FERRY_PLUGINS"] = self.dir
        self.told(self.gferry(daemon, "ls", disk, code=5), f"{self.dir}/libvirt.so",
                  "is not there")
        with open(self.path("libvirt.so"), "w", encoding="ascii") as file:
            file.write("no module")
        self.told(self.gferry(daemon, "ls", disk, code=5), "the libvirt plugin",
                  "libvirt.so")

    def test_a_plugin_without_libvirt_names_the_package(self):
        disk = self.image()
        # As on a host without libvirt0: the name is there for nobody.
        found = subprocess.run(["ldd", os.environ["FERRY_PLUGINS"] + "/libvirt.so"],
                               capture_output=True, text=True, check=True).stdout
        library = next(line.split()[2] for line in found.splitlines()
                       if "libvirt.so.0" in line)
        hidden = self.path("lib")
        os.mkdir(hidden)
        where = os.path.dirname(library)
        script = ('set -e; mount -t overlay overlay -o "lowerdir=$1:$2" "$2"; shift 2; '
                  'exec "$@"')
        subprocess.run(["mknod", f"{hidden}/libvirt.so.0", "c", "0", "0"], check=True)
        run = subprocess.run(
            ["unshare", "--mount", "--propagation", "private", "sh", "-c", script, "sh",
             hidden, where, cli.GFERRY, "--backend", "libvirt", "ls", disk],
            capture_output=True, text=True, check=False, timeout=cli.PATIENCE)
        if "mount: " in run.stderr:
            self.skipTest("no overlay file system here")
        self.assertEqual(run.returncode, 5, run.stderr)
        self.told(run, "install the package libvirt0")

    def test_no_right_to_libvirt_or_to_the_image(self):
        disk = self.image()
        daemon = self.daemon(socket_mode="0700")
        run = self.gferry(daemon, "--ro", "ls", disk, uid=libvirtd.SOMEBODY, code=5)
        self.told(run, "refuses", "Permission denied")

        # A libvirtd of another user: it cannot open what we can.
        other = self.daemon(libvirtd.SOMEBODY)
        os.chmod(disk, 0o600)
        socket = os.path.join(other.env["XDG_RUNTIME_DIR"], "libvirt/libvirt-sock")
        run = self.gferry(daemon, "ls", disk, code=5,
                          backend=f"libvirt:qemu+unix:///session?socket={socket}")
        self.told(run, disk, "Permission denied")
        self.nothing_is_left(other)

    def test_an_image_in_use_is_busy(self):
        disk = self.image()
        daemon = self.daemon()
        holder = subprocess.Popen(
            ["qemu-io", "-f", "raw", disk], stdin=subprocess.PIPE,
            stdout=subprocess.PIPE, text=True)
        holder.stdin.write("write 0 512\n")
        holder.stdin.flush()
        holder.stdout.readline()
        self.told(self.gferry(daemon, "mkdir", f"{disk}:/x", code=1), disk,
                  "is in use by another process")
        holder.communicate()
        self.nothing_is_left(daemon)

    def test_a_panic_in_the_guest_is_told(self):
        """The console comes through libvirt too, all of it, before the end is told."""
        disk = self.image()
        fs = f"{disk}?offset={cli.PARTITION}"
        subprocess.run(["debugfs", "-w", "-R", "mkdir /bad", fs], check=True,
                       capture_output=True)
        block = int(self.debugfs(disk, "blocks /bad").split()[0])
        with open(disk, "r+b") as file:
            stats = self.debugfs(disk, "stats").decode()
            size = int(stats.split("Block size:")[1].split()[0])
            file.seek(cli.PARTITION + block * size)
            file.write(os.urandom(size))
        subprocess.run(["tune2fs", "-e", "panic", fs], check=True, capture_output=True)
        daemon = self.daemon()
        run = self.gferry(daemon, "mkdir", f"{disk}:/bad/x", code=1)
        self.assertIn("appliance panicked: Kernel panic", run.stderr)
        self.nothing_is_left(daemon)

    def test_libvirtd_killed_in_an_upload(self):
        disk = self.image("disk.qcow2")
        big = cli.random_file(self.path("big"), 200 << 20)
        daemon = self.daemon()
        with self.cp(daemon, big, f"{disk}:/big") as t:
            t.expect(r" [1-9]\d?%")
            daemon.kill()
            self.assertEqual(t.end(), 1, t.text[-300:])
        self.assertIn("libvirtd died", t.text)
        self.no_process_is_left()
        daemon.start()
        self.nothing_is_left(daemon)


if __name__ == "__main__":
    libvirtd.main()
