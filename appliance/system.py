"""Whose packages the appliance is made of: those of the system that we run on or, for
another architecture, those that appliance/sysroot has unpacked in a directory.

The rest of the scripts asks for programs, files and versions here and need not know.
"""

import os
import platform
import tomllib

HERE = os.path.dirname(os.path.abspath(__file__))


class Failed(Exception):
    """One line for a person, with the next step in it."""


def contents():
    with open(f"{HERE}/contents.toml", "rb") as f:
        return tomllib.load(f)


class System:
    """arch: uname -m; the host's if None. root: where the packages are; "": here."""

    def __init__(self, arch=None, root=""):
        self.arch = arch or platform.machine()
        self.root = os.path.abspath(root) if root else ""
        if self.arch not in contents()["arch"]:
            raise Failed(f"contents.toml has no appliance for {self.arch}")
        self.needs = contents()["arch"][self.arch]
        self.debian, self.triplet = self.needs["debian"], self.needs["triplet"]
        self.install = "apt-get install"
        self.ldd, self.dracut_root = "ldd", []
        self.env = os.environ | {"SYSROOT": self.root, "TRIPLET": self.triplet}
        if self.root:
            self.install = f"what appliance/sysroot unpacks in {root} includes no"
            self.ldd = f"{HERE}/ldd"
            self.dracut_root = ["-r", self.root]

    def files(self):
        """What qemu is given: their names in the appliance's directory."""
        firmware = [os.path.basename(path) for paths in self.needs["firmware"].values()
                    for path in paths]
        return [self.needs["kernel"], *firmware, "usr.img", "initramfs"]

    def apt(self, tool):
        """apt-get or apt-cache, with lists and downloads of this system's own."""
        command = [tool, "-q"]
        if os.geteuid() == 0:  # or it warns that _apt cannot write here
            command += ["-o", "APT::Sandbox::User=root"]
        if self.root:
            state = f"{self.root}/var/lib/apt"
            for option in [f"APT::Architecture={self.debian}",
                           f"APT::Architectures={self.debian}", f"Dir::State={state}",
                           f"Dir::State::status={self.root}/var/lib/dpkg/status",
                           f"Dir::Cache={self.root}/var/cache/apt"]:
                command += ["-o", option]
        return command

    def dpkg_query(self):
        return ["dpkg-query", f"--admindir={self.root}/var/lib/dpkg"]

    def tool(self, name):
        """strip, objcopy: of binutils, which Debian builds for one target each."""
        return f"{self.triplet}-{name}" if self.root else name
