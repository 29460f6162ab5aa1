"""qemu killed, disks full on either side, a qemu that is none: one line names it, the exit
code tells it, what was there before is there still, and nothing of ours is left."""

import os
import signal
import stat
import subprocess
import unittest

import cli


class Underneath(cli.Case):
    def setUp(self):
        super().setUp()
        self.disk = self.image()

    def qemu(self):
        """The pid of our qemu, not of its guard."""
        for pid in self.processes():
            with open(f"/proc/{pid}/comm", encoding="ascii") as file:
                if file.read().startswith("qemu-system"):
                    return pid
        raise AssertionError("no qemu")

    def test_qemu_killed_in_an_upload(self):
        big = cli.random_file(self.path("big"), 120 << 20)
        with cli.Terminal("cp", *cli.SLOWLY, big, f"{self.disk}:/big") as t:
            t.expect(r" [1-9]\d?%")
            os.kill(self.qemu(), signal.SIGKILL)
            self.assertEqual(t.end(), 1, t.text[-300:])
        said = [line for line in t.lines() if line.startswith("gferry: ")]
        self.assertEqual(len(said), 1, said)
        self.assertIn("killed by signal 9", said[0])
        self.no_process_is_left()
        # As after a power cut: with its journal replayed the file system is whole.
        subprocess.run(["e2fsck", "-fp", f"{self.disk}?offset={cli.PARTITION}"],
                       capture_output=True, check=False)
        self.fs_is_clean(self.disk)

    def test_qemu_killed_in_a_download(self):
        cli.gferry("cp", cli.random_file(self.path("big"), 120 << 20), f"{self.disk}:/big")
        with open(self.path("out"), "wb") as file:
            file.write(b"precious")
        with cli.Terminal("cp", *cli.SLOWLY, f"{self.disk}:/big", self.path("out")) as t:
            t.expect(r" [1-9]\d?%")
            os.kill(self.qemu(), signal.SIGKILL)
            self.assertEqual(t.end(), 1, t.text[-300:])
        self.assertIn("killed by signal 9", t.text)
        with open(self.path("out"), "rb") as file:
            self.assertEqual(file.read(), b"precious")
        self.assertEqual(sorted(os.listdir(self.dir)), ["big", "disk.img", "out"])

    def test_host_disk_full(self):
        cli.gferry("cp", cli.random_file(self.path("big"), 8 << 20), f"{self.disk}:/big")
        run = cli.gferry("cp", f"{self.disk}:/big", "/dev/full", code=1)
        self.assertEqual(run.stderr, "gferry: /dev/full: no space left\n")
        with open("/dev/full", "wb") as full:
            run = subprocess.run([cli.GFERRY, "cat", f"{self.disk}:/big"], stdout=full,
                                 stderr=subprocess.PIPE, text=True, check=False,
                                 timeout=cli.PATIENCE)
        self.assertEqual((run.returncode, cli.without_progress(run.stderr)),
                         (1, "gferry: standard output: no space left\n"))

        small = self.path("small")
        os.mkdir(small)
        mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "none", small],
                                 capture_output=True, check=False)
        if mounted.returncode:
            self.skipTest("no tmpfs can be mounted here")
        self.addCleanup(subprocess.run, ["umount", small], check=True)
        for target in ("file", "tree/file"):
            old = os.path.join(small, target)
            os.makedirs(os.path.dirname(old), exist_ok=True)
            with open(old, "wb") as file:
                file.write(b"precious")
        cli.gferry("mkdir", f"{self.disk}:/tree")
        cli.gferry("cp", self.path("big"), f"{self.disk}:/tree/file")
        for args in (["cp", f"{self.disk}:/big", os.path.join(small, "file")],
                     ["cp", "-r", f"{self.disk}:/tree", small]):
            run = cli.gferry(*args, code=1)
            self.assertIn("file: no space left", run.stderr)
        for target in ("file", "tree/file"):
            with open(os.path.join(small, target), "rb") as file:
                self.assertEqual(file.read(), b"precious")
        left = sorted(name for _, _, names in os.walk(small) for name in names)
        self.assertEqual(left, ["file", "file"])

    def test_a_qemu_that_is_none(self):
        fake = self.path("qemu")
        with open(fake, "w", encoding="ascii") as file:
            file.write("#!/bin/sh\necho 'qemu: unknown option -blockdev' >&2\nexit 1\n")
        os.chmod(fake, os.stat(fake).st_mode | stat.S_IXUSR)
        run = cli.gferry("ls", self.disk, code=5, env=dict(os.environ, FERRY_QEMU=fake))
        self.assertIn("unknown option -blockdev", run.stderr)

    def test_second_user_of_a_read_only_image(self):
        """Readers do not exclude each other."""
        fifo = self.path("fifo")
        os.mkfifo(fifo)
        cli.gferry("cp", cli.random_file(self.path("big"), 8 << 20), f"{self.disk}:/big")
        with subprocess.Popen([cli.GFERRY, "cat", f"{self.disk}:/big"],
                              stdout=subprocess.PIPE) as first:
            self.assertEqual(len(first.stdout.read(10)), 10)  # it is under way
            self.assertIn("big", cli.gferry("ls", self.disk).stdout)
            self.assertEqual(len(first.stdout.read()), (8 << 20) - 10)
            self.assertEqual(first.wait(cli.PATIENCE), 0)


if __name__ == "__main__":
    unittest.main()
