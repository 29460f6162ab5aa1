"""The appliance for arm64 (./dev build arm64), under emulation: what its manifest says is enough for
the library to choose machine, qemu and accelerator. Skipped, visibly, where it has not been built."""

import json
import os
import platform
import shutil
import subprocess
import sys
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "cli"))
import cli

APPLIANCE = os.environ["FERRY_ARM64_APPLIANCE"]


def skip_unless_built():
    for name, there in ((APPLIANCE + "/manifest.json", os.path.exists),
                        ("qemu-system-aarch64", shutil.which)):
        if not there(name):
            print(f"skipped: {name} is not there: ./dev build arm64")
            sys.exit(77)


class Arm64(cli.Case):
    def gferry(self, *args, **kwargs):
        env = dict(os.environ, FERRY_APPLIANCE=APPLIANCE, **kwargs.pop("more_env", {}))
        return cli.gferry(*args, env=env, **kwargs)

    def machine(self):
        """-machine of each qemu that is started for us, by way of a qemu that notes it."""
        note, qemu = self.path("argv"), self.path("qemu")
        with open(qemu, "w") as file:
            file.write(f'#!/bin/sh\necho "$*" >>{note}\nexec qemu-system-aarch64 "$@"\n')
        os.chmod(qemu, 0o700)
        return qemu, note

    def test_bytes_go_in_and_come_out(self):
        """A file system that the guest's own mke2fs makes, checked by the host's."""
        disk, file, back = self.path("disk.img"), self.path("file"), self.path("back")
        qemu, note = self.machine()
        cli.random_file(file, (5 << 20) + 123)
        self.gferry("create", "-q", disk, "256M", "--fs", "ext4", more_env={"FERRY_QEMU": qemu})
        self.gferry("cp", "-q", file, f"{disk}:/file")
        self.gferry("cp", "-q", f"{disk}:/file", back)
        self.assertEqual(cli.sha256(back), cli.sha256(file))

        partition, content = self.path("partition"), self.path("content")
        subprocess.run(["dd", f"if={disk}", f"of={partition}", "bs=1M", "skip=1",
                        "conv=sparse", "status=none"], check=True)
        subprocess.run(["e2fsck", "-fn", partition], check=True, capture_output=True)
        subprocess.run(["debugfs", "-R", f"dump /file {content}", partition], check=True,
                       capture_output=True)
        self.assertEqual(cli.sha256(content), cli.sha256(file))
        with open(note) as argv:
            self.assertIn(" -machine virt -accel tcg ", argv.read())

    def test_template_is_made_and_gone_on_from(self):
        env = {"XDG_CACHE_HOME": self.path("cache"), "FERRY_TEMPLATE": "require"}
        disk = self.image()
        self.gferry("template", "build", more_env=env)
        run = self.gferry("ls", "-v", f"{disk}:/", more_env=env)
        self.assertIn("lost+found", run.stdout)
        self.assertRegex(run.stderr, r"appliance up .*\brestore [0-9]+")

    def test_guest_is_arm64(self):
        run = self.gferry("doctor", more_env={"FERRY_TRACE": "console"})
        self.assertRegex(run.stderr, r"Booting Linux on physical CPU 0x0000000000")
        self.assertRegex(run.stderr, r"Linux version .*cloud-arm64")
        self.assertRegex(run.stdout, r"(?m)^ok +qemu +qemu-system-aarch64: ")
        self.assertRegex(run.stdout, r"(?m)^ok +launch ")

    @unittest.skipIf(platform.machine() == "aarch64", "kvm runs it here")
    def test_kvm_is_refused_with_the_reason(self):
        run = self.gferry("doctor", "--accel", "kvm", code=5)
        self.assertIn("the appliance is for aarch64, which this machine is not", run.stderr)

    def test_manifest_is_for_arm64(self):
        """And the programs are: the test must not pass with those of this machine."""
        with open(APPLIANCE + "/manifest.json") as file:
            manifest = json.load(file)
        self.assertEqual(manifest["arch"], "aarch64")
        self.assertIn("e2fsprogs", manifest["packages"])
        self.assertEqual(set(manifest["sha256"]), {"Image", "usr.img", "initramfs"})


if __name__ == "__main__":
    skip_unless_built()
    unittest.main()
