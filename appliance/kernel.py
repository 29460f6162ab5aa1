"""Debian's cloud kernel: found, downloaded and unpacked in the cache. Never installed.

    <cache>/linux-image-6.1.0-56-cloud-amd64_6.1.192-2_amd64.deb
    <cache>/linux-image-6.1.0-56-cloud-amd64_6.1.192-2/
        vmlinux             the kernel as ELF, out of the bzImage; on arm64 Image
        lib/modules/<release>/

The directory appears complete or not at all: builds of several presets share it.
"""

import fcntl
import glob
import lzma
import os
import re
import shutil
import struct
import subprocess
import tempfile
import zlib

from system import Failed


class Kernel:
    def __init__(self, where, name):
        self.package = os.path.basename(where)  # NAME_VERSION
        self.name, self.version = self.package.split("_", 1)
        self.release = self.name.removeprefix("linux-image-")
        self.image = os.path.join(where, name)
        self.modules = os.path.join(where, "lib/modules", self.release)


# ---- which one ----------------------------------------------------------------------


def _candidate(system, metapackage):
    """(package, version) that the metapackage's newest version depends on, or None."""
    shown = subprocess.run(
        [*system.apt("apt-cache"), "show", "--no-all-versions", metapackage],
        capture_output=True, text=True,
    ).stdout
    m = re.search(r"^Depends:.*?(linux-image-\S+) \(= (\S+)\)", shown, re.M)
    return m.groups() if m else None


def _newest_cached(system, cache):
    debs = glob.glob(os.path.join(cache, f"linux-image-*_{system.debian}.deb"))
    return max(debs, key=os.path.getmtime, default=None)


def _download(system, cache, metapackage):
    """The package file, downloaded unless it is there. Without apt's lists (no network
    yet, a minimal container) an earlier download serves."""
    found = _candidate(system, metapackage)
    if not found:
        if deb := _newest_cached(system, cache):
            return deb
        raise Failed(f"apt knows no {metapackage}: run apt-get update")

    name, version = found
    # apt writes an epoch's colon as %3a
    deb = os.path.join(cache, f"{name}_{version.replace(':', '%3a')}_{system.debian}.deb")
    if not os.path.exists(deb):
        command = [*system.apt("apt-get"), "download", f"{name}={version}"]
        done = subprocess.run(command, cwd=cache, capture_output=True, text=True)
        if done.returncode != 0 or not os.path.exists(deb):
            raise Failed(f"apt-get download {name}={version}: {done.stderr.strip()}")
    return deb


# ---- bzImage to ELF -----------------------------------------------------------------


def _tool(*command):
    def unpack(data):
        try:
            return subprocess.run(command, input=data, capture_output=True).stdout
        except FileNotFoundError:
            raise Failed(f"the kernel is packed with {command[0]}: install that")
    return unpack


PACKERS = {
    b"\x02\x21\x4c\x18": _tool("lz4", "-dc"),  # the legacy frame
    b"\x28\xb5\x2f\xfd": _tool("zstd", "-dc"),
    b"\xfd7zX": lzma.decompress,
    b"\x1f\x8b": lambda data: zlib.decompress(data, 31),
}


def elf_of(bzimage):
    """The ELF vmlinux inside a bzImage, for qemu's PVH entry: it saves the 16-bit code
    and the decompressor, which under TCG cost more than the disk reads the packing
    saves. The header's fields are in Documentation/x86/boot.rst of the kernel."""
    if bzimage[0x202:0x206] != b"HdrS":
        raise Failed("not a bzImage")
    setup_sectors = bzimage[0x1F1] or 4
    offset, length = struct.unpack_from("<II", bzimage, 0x248)
    start = (setup_sectors + 1) * 512 + offset
    packed = bzimage[start : start + length]
    size = struct.unpack("<I", packed[-4:])[0]  # appended by the kernel's build

    for magic, unpack in PACKERS.items():
        if packed.startswith(magic):
            # Some formats end with the size, the others have it after their end.
            elf = unpack(packed if magic == b"\x1f\x8b" else packed[:-4])
            break
    else:
        raise Failed(f"kernel packed in an unknown way: {packed[:6].hex()}")

    if not elf.startswith(b"\x7fELF") or len(elf) != size:
        raise Failed(f"unpacked kernel: {len(elf)} bytes, {size} expected")
    return elf


# ---- Image --------------------------------------------------------------------------


def image_of(packed):
    """arm64's kernel starts as it is; its header is in Documentation/arm64/booting.rst of
    the kernel."""
    image = zlib.decompress(packed, 31) if packed.startswith(b"\x1f\x8b") else packed
    if image[0x38:0x3C] != b"ARM\x64":
        raise Failed("not an arm64 Image")
    return image


STARTED_BY_QEMU = {"vmlinux": elf_of, "Image": image_of}


# ---- unpacking ----------------------------------------------------------------------


def _unpack(deb, where, kernel):
    with tempfile.TemporaryDirectory(dir=os.path.dirname(where)) as tmp:
        subprocess.run(["dpkg-deb", "-x", deb, tmp], check=True)
        images = glob.glob(os.path.join(tmp, "boot/vmlinuz-*"))
        with open(images[0], "rb") as f:
            image = STARTED_BY_QEMU[kernel](f.read())
        with open(os.path.join(tmp, kernel), "wb") as f:
            f.write(image)

        # dracut-install wants the index that installing the package would have made.
        release = os.path.basename(images[0]).removeprefix("vmlinuz-")
        subprocess.run(["depmod", "-b", tmp, release], check=True)
        shutil.rmtree(os.path.join(tmp, "usr"))
        os.rename(tmp, where)
        os.mkdir(tmp)  # for TemporaryDirectory to remove


def get(system, cache):
    """The current kernel, from the cache or downloaded into it."""
    os.makedirs(cache, exist_ok=True)
    with open(os.path.join(cache, "lock"), "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        deb = _download(system, cache, system.needs["metapackage"])
        where = deb.removesuffix(f"_{system.debian}.deb")
        if not os.path.isdir(where):
            _unpack(deb, where, system.needs["kernel"])
        os.chmod(where, 0o755)
    return Kernel(where, system.needs["kernel"])
