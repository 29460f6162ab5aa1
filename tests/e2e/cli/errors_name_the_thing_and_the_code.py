"""What goes wrong is said in one line that names the thing, with the next step where there is
one, and told by the exit code."""

import json
import os
import shutil
import subprocess
import unittest

import cli


class Errors(cli.Case):
    def setUp(self):
        super().setUp()
        self.disk = self.image()
        self.file = cli.random_file(self.path("file"), 1000)

    def fails(self, code, text, *args, **kwargs):
        run = cli.gferry(*args, code=code, **kwargs)
        self.assertEqual(run.stderr.strip(), f"gferry: {text}")
        return run

    def test_not_found_in_the_image_is_4(self):
        for args in (["ls", f"{self.disk}:/gone"], ["cat", f"{self.disk}:/gone"],
                     ["stat", f"{self.disk}:/gone"], ["rm", f"{self.disk}:/gone"],
                     ["rm", "-r", f"{self.disk}:/gone"],
                     ["cp", f"{self.disk}:/gone", self.path("out")]):
            self.fails(4, f"{self.disk}:/gone: no such file or directory", *args)
        self.assertFalse(os.path.exists(self.path("out")))

    def test_directories_and_files_are_told_apart(self):
        self.fails(1, f"{self.dir}: is a directory; cp -r copies directories",
                   "cp", self.dir, f"{self.disk}:/")
        self.fails(1, f"{self.disk}:/lost+found: is a directory; cp -r copies directories",
                   "cp", f"{self.disk}:/lost+found", self.dir)
        self.fails(1, f"{self.disk}:/lost+found: is a directory; rm -r removes directories",
                   "rm", f"{self.disk}:/lost+found")
        self.fails(4, f"{self.disk}:/gone/: no such directory",
                   "cp", self.file, f"{self.disk}:/gone/")
        self.fails(1, f"{self.path('gone')}/: no such directory",
                   "cp", f"{self.disk}:/lost+found", self.path("gone") + "/")

    def test_some_done_some_not_is_3(self):
        run = cli.gferry("cp", self.path("gone"), self.file, f"{self.disk}:/", code=3)
        self.assertIn(f"gferry: {self.path('gone')}: No such file or directory", run.stderr)
        self.assertEqual(self.sha256_in(self.disk, "/file"), cli.sha256(self.file))
        cli.gferry("rm", f"{self.disk}:/gone", f"{self.disk}:/file", code=3)
        self.assertEqual(self.names_in(self.disk, "/"), ["lost+found"])

    def test_appliance_that_does_not_start_is_5(self):
        run = cli.gferry("ls", self.disk, code=5,
                         env=dict(os.environ, FERRY_QEMU="/nonexistent/qemu"))
        self.assertIn("/nonexistent/qemu", run.stderr)
        run = cli.gferry("ls", self.disk, code=5,
                         env=dict(os.environ, FERRY_APPLIANCE="/nonexistent"))
        self.assertIn("/nonexistent", run.stderr)

    def test_damaged_appliance_is_named(self):
        whole, damaged = os.environ["FERRY_APPLIANCE"], self.path("appliance")
        os.mkdir(damaged)
        for name in "vmlinux", "initramfs", "usr.img", "qboot.rom", "manifest.json":
            os.symlink(os.path.join(whole, name), os.path.join(damaged, name))
        # In the middle of a file: it boots, and one day a program in it crashes.
        usr = os.path.join(damaged, "usr.img")
        os.unlink(usr)
        shutil.copy(os.path.join(whole, "usr.img"), usr)
        with open(usr, "r+b") as file:
            file.seek(20 << 20)
            byte = file.read(1)
            file.seek(20 << 20)
            file.write(bytes([byte[0] ^ 1]))
        run = cli.gferry("ls", self.disk, code=5,
                         env=dict(os.environ, FERRY_APPLIANCE=damaged))
        self.assertIn(f"{usr} is not the file that its manifest.json names", run.stderr)

    def test_images_that_are_none(self):
        self.fails(1, f"{self.path('gone.img')}: no such image", "ls", self.path("gone.img"))
        empty = self.path("empty.img")
        open(empty, "wb").close()
        self.assertIn(empty, cli.gferry("ls", empty, code=1).stderr)
        self.assertIn(self.dir, cli.gferry("ls", "--format", "raw", self.dir, code=1).stderr)
        fake = self.path("fake.qcow2")
        shutil.copy(self.file, fake)
        self.assertIn(fake, cli.gferry("ls", fake, code=1).stderr)

    def test_an_image_in_use(self):
        disk = self.path("used.qcow2")
        cli.gferry("create", "-q", disk, "64M", "--fs", "ext4")
        fifo = self.path("fifo")
        os.mkfifo(fifo)
        with cli.Terminal("cp", fifo, f"{disk}:/x") as first:
            with open(fifo, "wb", buffering=0) as writer:
                writer.write(b"x" * 8_000_000)
                first.expect(r"fifo  \S  [1-9][\d.]* [KM]iB")
                run = cli.gferry("cp", self.file, f"{disk}:/", code=1)
                self.assertIn("in use by another process", run.stderr)
            self.assertEqual(first.end(), 0, first.text[-300:])  # unaffected
        self.fs_is_clean(disk)
        self.assertEqual(len(self.debugfs(disk, "cat /x")), 8_000_000)

    def test_an_image_without_file_system(self):
        blank = self.path("blank.img")
        cli.gferry("create", "-q", blank, "16M")
        run = cli.gferry("ls", blank, code=1)
        self.assertIn(f"gferry: {blank}: no file system in it", run.stderr)
        self.assertIn("gferry create --help", run.stderr)

    def test_a_full_image_keeps_the_old_file(self):
        small = self.image("small.img", "32M")
        cli.gferry("cp", self.file, f"{small}:/target")
        big = cli.random_file(self.path("big"), 64 << 20)
        run = cli.gferry("cp", big, f"{small}:/target", code=1)
        self.assertIn("no space left", run.stderr.lower())
        self.assertEqual(self.sha256_in(small, "/target"), cli.sha256(self.file))
        self.assertEqual(self.names_in(small, "/"), ["lost+found", "target"])
        self.fs_is_clean(small)

    def test_read_only_and_unwritable(self):
        self.assertEqual(cli.gferry("ls", "--ro", self.disk).stdout, "lost+found\n")
        run = cli.gferry("cp", f"{self.disk}:/lost+found", "/nonexistent/x", "-r", code=1)
        self.assertEqual(run.stderr, "gferry: /nonexistent/: no such file or directory\n")


class Several(cli.Case):
    """An image with more than one file system."""

    def setUp(self):
        super().setUp()
        self.disk = self.path("two.img")
        with open(self.disk, "wb") as file:
            file.truncate(64 << 20)
        subprocess.run(["sfdisk", "-q", self.disk], input=b"label: gpt\nsize=16M\nsize=40M\n",
                       check=True)
        for offset, size, label in ((1, 16, "SMALL"), (17, 40, "BIG")):
            part = self.path("part")
            with open(part, "wb") as file:
                file.truncate(size << 20)
            subprocess.run(["mke2fs", "-q", "-t", "ext4", "-L", label, part], check=True)
            subprocess.run(["dd", f"if={part}", f"of={self.disk}", "bs=1M", f"seek={offset}",
                            "conv=notrunc", "status=none"], check=True)

    def test_they_are_listed_and_the_command_is_shown(self):
        run = cli.gferry("ls", "-l", f"{self.disk}:/", code=1)
        self.assertIn("it has 2 file systems", run.stderr)
        for part in ("/dev/sda1", "/dev/sda2", "SMALL", "BIG", "ext4"):
            self.assertIn(part, run.stderr)
        command = run.stderr.splitlines()[-1].split()
        self.assertEqual(command, ["gferry", "ls", "-m", "/dev/sda2", "-l", f"{self.disk}:/"])
        self.assertIn("lost+found", cli.gferry(*command[1:]).stdout)

    def test_mounts_in_any_order(self):
        cli.gferry("mkdir", "-m", "sda2", f"{self.disk}:/sub")
        run = cli.gferry("ls", "-m", "sda1:/sub", "-m", "sda2", f"{self.disk}:/sub")
        self.assertEqual(run.stdout, "lost+found\n")

    def test_a_device_that_is_not_there(self):
        run = cli.gferry("ls", "-m", "sda9", self.disk, code=1)
        self.assertIn("/dev/sda9", run.stderr)
        self.assertIn("BIG", run.stderr)  # what there is

    def test_info(self):
        info = json.loads(cli.gferry("info", "--json", self.disk).stdout)
        self.assertEqual((info["format"], info["bytes"]), ("raw", 64 << 20))
        self.assertEqual([p["bytes"] for p in info["partitions"]], [16 << 20, 40 << 20])
        self.assertEqual([(f["device"], f["type"], f["label"]) for f in info["filesystems"]],
                         [("/dev/sda1", "ext4", "SMALL"), ("/dev/sda2", "ext4", "BIG")])
        for fs in info["filesystems"]:
            self.assertTrue(0 < fs["available_bytes"] < fs["bytes"] <= fs["device_bytes"])
        text = cli.gferry("info", self.disk).stdout
        self.assertIn("/dev/sda2", text)
        self.assertIn("64 MiB", text)


if __name__ == "__main__":
    unittest.main()
