"""Whatever the kernel was packed with, the ELF comes out whole; and what is no kernel,
or one that was cut, is an error and not a broken appliance."""

import gzip
import lzma
import os
import struct
import subprocess
import sys

sys.path.insert(0, os.path.join(os.environ["FERRY_SOURCE_DIR"], "appliance"))

import kernel

ELF = b"\x7fELF" + bytes(range(256)) * 4000


def through(*command):
    return lambda data: subprocess.run(command, input=data, capture_output=True,
                                       check=True).stdout


def bzimage(packed, setup_sectors=27, lead=5000):
    """A header, 16-bit code, the decompressor's code, then the payload."""
    head = bytearray((setup_sectors + 1) * 512)
    head[0x1F1] = setup_sectors
    head[0x202:0x206] = b"HdrS"
    struct.pack_into("<II", head, 0x248, lead, len(packed))
    return bytes(head) + b"\x90" * lead + packed + b"trailing code"


def fails(data, part):
    try:
        kernel.elf_of(data)
    except kernel.Failed as e:
        assert part in str(e), f"{e} does not say {part!r}"
    else:
        raise AssertionError(f"no error, wanted {part!r}")


SIZE = struct.pack("<I", len(ELF))
PACKED = {
    "gzip": gzip.compress(ELF),  # ends with the size of itself
    "xz": lzma.compress(ELF) + SIZE,
    "lz4": through("lz4", "-l", "-c")(ELF) + SIZE,
    "zstd": through("zstd", "-c", "-q")(ELF) + SIZE,
}
for name, packed in PACKED.items():
    assert kernel.elf_of(bzimage(packed)) == ELF, name

assert kernel.elf_of(bzimage(PACKED["lz4"], setup_sectors=39, lead=716)) == ELF
fails(b"\0" * 4096, "not a bzImage")
fails(bzimage(b"\x5d\0\0\0" + b"x" * 100 + SIZE), "unknown way")
fails(bzimage(PACKED["lz4"][:-4] + struct.pack("<I", len(ELF) + 1)), "expected")
fails(bzimage(gzip.compress(b"no ELF at all")), "expected")
