"""Whatever gferry is given that cannot work: one line that names the thing, the promised exit
code, and nothing left: no process, no temporary, no socket, and the files of both sides as they
were. Full disks, absent paths and images in use by another gferry are in ../cli."""

import hashlib
import json
import os
import shutil
import subprocess
import unittest

import cli

MIB = 1 << 20

# root as far as files are concerned like anybody else: modes count.
NO_OVERRIDE = ["setpriv", "--bounding-set=-dac_override,-dac_read_search",
               "--inh-caps=-dac_override,-dac_read_search"]


class BadInput(cli.Case):
    def setUp(self):
        super().setUp()
        self.file = cli.random_file(self.path("file"), 1000)
        # Whoever makes a temporary or a socket makes it here, or beside the files it is for.
        self.tmp = self.path("tmp")
        os.mkdir(self.tmp)
        self.env = {**os.environ, "TMPDIR": self.tmp, "XDG_RUNTIME_DIR": self.tmp}

    def snapshot(self):
        """Every file of the scratch directory, with what tells whether it was written; an image
        that can be mounted (disk.img) is, by the mount: its checkers tell about that one."""
        found = {}
        for top, dirs, files in os.walk(self.dir):
            for name in dirs + files:
                st = os.lstat(os.path.join(top, name))
                written = None if name in dirs or name == "disk.img" else st.st_mtime_ns
                found[os.path.join(top, name)] = (st.st_mode, st.st_size, written)
        return found

    def fails(self, code, *args, program=(), env=None, says):
        """Exit code, all of the words in a single line, and nothing is left or changed."""
        before = self.snapshot()
        run = subprocess.run([*program, cli.GFERRY, *map(str, args)],
                             stdin=subprocess.DEVNULL, capture_output=True, text=True,
                             timeout=cli.PATIENCE, check=False,
                             env={**self.env, **(env or {})})
        self.assertEqual(run.returncode, code, run.stderr)
        run.stderr = cli.without_progress(run.stderr)
        self.assertEqual(run.stdout, "")
        self.assertTrue(run.stderr.startswith("gferry: "), run.stderr)
        for words in says:
            self.assertIn(words, run.stderr.splitlines()[0])
        self.no_process_is_left()
        self.assertEqual(self.snapshot(), before)
        return run

    def blank(self, name="blank.img", size=16 * MIB):
        with open(self.path(name), "wb") as file:
            file.truncate(size)
        return self.path(name)

    # ---- the image ---------------------------------------------------------------------

    def test_missing(self):
        gone = self.path("gone.img")
        self.fails(1, "ls", gone, says=[f"{gone}: no such image"])
        self.fails(1, "cp", self.file, f"{gone}:/", says=[f"{gone}: no such image"])
        self.fails(1, "info", gone, says=[f"{gone}: no such image"])

    def test_empty_and_no_image_at_all(self):
        empty = self.blank("empty.img", 0)
        self.fails(1, "ls", empty, says=[f"{empty}: the file is empty, no disk image"])
        os.mkfifo(self.path("fifo.img"))
        self.fails(1, "ls", self.path("fifo.img"), says=["fifo.img: is a FIFO"])
        os.mkdir(self.path("dir.img"))
        self.fails(1, "ls", self.path("dir.img"), says=["dir.img: is a directory"])

    def test_unreadable(self):
        secret = self.blank("secret.img")
        os.chmod(secret, 0)
        for more in ([], ["--ro"]):
            self.fails(1, "ls", *more, secret, program=NO_OVERRIDE,
                       says=[f"{secret}: cannot be read: permission denied"])

    def test_read_only(self):
        disk = self.image()
        os.chmod(disk, 0o444)
        self.fails(1, "cp", self.file, f"{disk}:/", program=NO_OVERRIDE,
                   says=[f"{disk}: cannot be written: permission denied", "(--ro)"])
        run = subprocess.run([*NO_OVERRIDE, cli.GFERRY, "ls", "--ro", disk], text=True,
                             capture_output=True, timeout=cli.PATIENCE, check=False)
        self.assertEqual((run.returncode, run.stdout), (0, "lost+found\n"), run.stderr)
        # Opened for reading only, it is not written whoever asks.
        self.fails(2, "cp", "--ro", self.file, f"{disk}:/file", says=["--ro forbids"])
        self.fs_is_clean(disk)

    def test_locked_by_another_qemu(self):
        for disk in (self.blank("used.img"), self.path("used.qcow2")):
            kind = "raw" if disk.endswith(".img") else "qcow2"
            subprocess.run(["qemu-img", "create", "-q", "-f", kind, disk, "16M"], check=True)
            owner = subprocess.Popen(
                ["qemu-system-x86_64", "-S", "-nodefaults", "-display", "none", "-m", "16",
                 "-qmp", "stdio", "-device", "virtio-blk-pci,drive=d", "-blockdev",
                 f"driver={kind},node-name=d,file.driver=file,file.filename={disk}"],
                stdin=subprocess.PIPE, stdout=subprocess.PIPE)
            try:
                self.assertIn(b"QMP", owner.stdout.readline())  # it has its images now
                run = subprocess.run([cli.GFERRY, "cp", self.file, f"{disk}:/"],
                                     capture_output=True, text=True, check=False,
                                     timeout=cli.PATIENCE, env=self.env)
                self.assertEqual(run.returncode, 1, run.stderr)
                self.assertIn(f"{disk} is in use by another process", run.stderr)
                self.assertEqual(self.processes(), [owner.pid])
                self.assertIsNone(owner.poll())
            finally:
                owner.stdin.write(b'{"execute":"qmp_capabilities"}{"execute":"quit"}')
                owner.communicate(timeout=cli.PATIENCE)
            self.assertEqual(owner.returncode, 0)  # and was not disturbed

    def test_wrong_format(self):
        for name in ("fake.qcow2", "fake.vmdk", "fake.vdi"):
            fake = cli.random_file(self.path(name), MIB)
            self.fails(1, "ls", fake,
                       says=[f"{fake}: not a {name[5:]} image", "--format raw"])
        nameless = self.blank("nameless")
        self.fails(1, "ls", nameless,
                   says=[f"{nameless}: the name does not say which format", "--format"])

    # ---- the file system ---------------------------------------------------------------

    def test_unknown_file_system(self):
        disk = self.blank()
        subprocess.run(["mkfs.minix", disk], check=True, stdout=subprocess.DEVNULL)
        self.fails(1, "ls", "-m", "sda", disk,
                   says=[disk, "/dev/sda", "the appliance cannot mount minix"])
        swap = self.blank("swap.img")
        subprocess.run(["mkswap", "-q", swap], check=True, stderr=subprocess.DEVNULL)
        self.fails(1, "ls", "-m", "sda", swap, says=[swap, "holds swap, no file system"])
        noise = cli.random_file(self.path("noise.img"), MIB)
        self.fails(1, "cp", self.file, f"{noise}:/", says=[f"{noise}: no file system in it"])

    # ---- paths -------------------------------------------------------------------------

    def test_files_where_directories_are_wanted(self):
        disk = self.image()
        cli.gferry("cp", self.file, f"{disk}:/file")
        self.fails(1, "ls", f"{disk}:/file/x", says=[f"{disk}:/file/x: not a directory"])
        self.fails(1, "cat", f"{disk}:/lost+found",
                   says=[f"{disk}:/lost+found: is a directory"])
        self.fails(1, "mkdir", f"{disk}:/file/new", says=[f"{disk}:/file/new"])
        self.fails(1, "cp", self.file, f"{disk}:/file/x", says=[f"{disk}:/file"])
        self.assertEqual(self.sha256_in(disk, "/file"), cli.sha256(self.file))
        self.fs_is_clean(disk)

    # ---- qemu and the appliance --------------------------------------------------------

    def test_qemu_missing_or_too_old(self):
        disk = self.blank()
        self.fails(5, "ls", disk, env={"FERRY_QEMU": "/no/qemu"},
                   says=["/no/qemu", "no such file", "qemu-system-x86"])
        self.fails(5, "ls", disk, env={"PATH": "/no/bin"},
                   says=["qemu-system-x86_64 is not in $PATH"])
        old = self.path("old-qemu")
        with open(old, "w", encoding="ascii") as script:
            # The real one, told something that it does not know: what one too old would say.
            real = shutil.which("qemu-system-x86_64")
            script.write(f'#!/bin/sh\nexec {real} -featured "$@"\n')
        os.chmod(old, 0o755)
        self.fails(5, "ls", disk, env={"FERRY_QEMU": old},
                   says=[f"{old} is too old", "-featured"])

    @staticmethod
    def name_in_manifest(appliance, name, content):
        """A whole appliance, only another one: its manifest names this file."""
        path = os.path.join(appliance, "manifest.json")
        with open(path, encoding="utf-8") as file:
            manifest = json.load(file)
        manifest["sha256"][name] = hashlib.sha256(content).hexdigest()
        os.unlink(path)
        with open(path, "w", encoding="utf-8") as file:
            json.dump(manifest, file)

    def test_daemon_of_another_build(self):
        ours = os.environ["FERRY_APPLIANCE"]
        other = self.path("appliance")
        os.mkdir(other)
        for name in os.listdir(ours):
            if name != "initramfs" and os.path.isfile(os.path.join(ours, name)):
                os.symlink(os.path.join(ours, name), os.path.join(other, name))
        # The hash of the schema and the name of the build, as the daemon carries them.
        with open(os.path.join(os.environ["FERRY_BUILD_DIR"], "gen", "api_hash.h"),
                  encoding="ascii") as header:
            api = header.read().split('FERRY_API_HASH "')[1].split('"')[0].encode()
        with open(os.path.join(ours, "initramfs"), "rb") as file:
            initramfs = file.read()
        self.assertEqual(initramfs.count(api), 1)
        self.assertIn(b"(api " + api[:8] + b")", initramfs)
        initramfs = initramfs.replace(api, b"0123" * 8)
        initramfs = initramfs.replace(b"(api " + api[:8] + b")", b"(api 01230123)")
        with open(os.path.join(other, "initramfs"), "wb") as file:
            file.write(initramfs)
        self.name_in_manifest(other, "initramfs", initramfs)
        self.fails(5, "ls", self.blank(), env={"FERRY_APPLIANCE": other},
                   says=["the daemon is build guestferry", "(api 01230123)",
                         f"(api {api[:8].decode()})", "rebuild the appliance"])


if __name__ == "__main__":
    unittest.main()
