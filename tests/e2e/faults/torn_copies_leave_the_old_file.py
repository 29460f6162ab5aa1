"""What breaks in the middle of a gferry cp - qemu is killed, the source becomes shorter, the
host's disk is full - is one line and exit code 1; the file that was to be replaced is still
there, on whichever side it is, with nothing beside it; and the image works again."""

import os
import shutil
import signal
import subprocess
import unittest

import cli

MIB = 1 << 20


class Torn(cli.Case):
    def setUp(self):
        super().setUp()
        self.disk = self.image()
        self.old = cli.random_file(self.path("old"), 100_000)
        self.big = cli.random_file(self.path("big"), 120 * MIB)

    def fails(self, terminal, *says):
        self.assertEqual(terminal.end(), 1, terminal.text[-300:])
        for words in says:
            self.assertIn(words, terminal.lines()[-1])
        self.no_process_is_left()

    def old_file_is_there(self):
        # By a VM of its own, which replays the journal that a killed one leaves.
        got = cli.gferry("cat", f"{self.disk}:/target", text=False).stdout
        with open(self.old, "rb") as file:
            self.assertEqual(got, file.read())
        self.assertEqual(cli.gferry("ls", f"{self.disk}:/").stdout, "lost+found\ntarget\n")
        self.fs_is_clean(self.disk)

    def qemu(self):
        for pid in self.processes():
            with open(f"/proc/{pid}/comm", encoding="ascii") as file:
                if file.read().startswith("qemu"):
                    return pid
        raise AssertionError("there is no qemu")

    def test_qemu_killed_in_an_upload(self):
        cli.gferry("cp", self.old, f"{self.disk}:/target")
        with cli.Terminal("cp", *cli.SLOWLY, self.big, f"{self.disk}:/target") as t:
            t.expect(r" [1-9]\d?%")
            os.kill(self.qemu(), signal.SIGKILL)
            self.fails(t, "appliance killed by signal 9")
        self.old_file_is_there()

    def test_qemu_killed_in_a_download(self):
        cli.gferry("cp", self.big, f"{self.disk}:/big")
        out = self.path("out")
        os.mkdir(out)
        shutil.copy(self.old, os.path.join(out, "big"))
        with cli.Terminal("cp", *cli.SLOWLY, f"{self.disk}:/big", out) as t:
            t.expect(r" [1-9]\d?%")
            os.kill(self.qemu(), signal.SIGKILL)
            self.fails(t, "appliance killed by signal 9")
        self.assertEqual(os.listdir(out), ["big"])
        self.assertEqual(cli.sha256(os.path.join(out, "big")), cli.sha256(self.old))

    def test_source_truncated_while_it_is_read(self):
        cli.gferry("cp", self.old, f"{self.disk}:/target")
        with cli.Terminal("cp", *cli.SLOWLY, self.big, f"{self.disk}:/target") as t:
            t.expect(r" [1-9]\d?%")
            t.signal(signal.SIGSTOP)
            os.truncate(self.big, MIB)
            t.signal(signal.SIGCONT)
            self.fails(t, self.big, "shorter")
        self.old_file_is_there()

    def test_host_disk_full(self):
        cli.gferry("cp", self.big, f"{self.disk}:/big")
        small = self.path("small")
        os.mkdir(small)
        mount = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "none", small],
                               capture_output=True, text=True, check=False)
        if mount.returncode != 0:
            self.skipTest(f"no tmpfs of our own: {mount.stderr.strip()}")
        self.addCleanup(subprocess.run, ["umount", small], check=True)
        target = os.path.join(small, "big")
        shutil.copy(self.old, target)
        run = cli.gferry("cp", f"{self.disk}:/big", target, code=1)
        self.assertIn(target, run.stderr)
        self.assertIn("no space left", run.stderr.lower())
        self.assertEqual(os.listdir(small), ["big"])
        self.assertEqual(cli.sha256(target), cli.sha256(self.old))
        with open("/dev/full", "wb") as full:
            run = subprocess.run([cli.GFERRY, "cat", f"{self.disk}:/big"], stdout=full,
                                 stderr=subprocess.PIPE, text=True, check=False,
                                 timeout=cli.PATIENCE)
        self.assertEqual(run.returncode, 1, run.stderr)
        self.assertIn("no space left", run.stderr.lower())
        self.no_process_is_left()


if __name__ == "__main__":
    unittest.main()
