"""What the benches work on: files of known size, images, and the two sides."""
import os
import subprocess
import sys

from peer import new_peer
from side import Side

MIB = 1 << 20


def log(text):
    print(text, file=sys.stderr, flush=True)


def new_side(name, work):
    if name == "ours":
        return Side(name, ["bench_worker"])
    return new_peer(work)


def in_order(sides, number):
    """Who goes first changes from round to round."""
    return sides if number % 2 == 0 else sides[::-1]


def make_file(path, mib):
    block = os.urandom(MIB)
    with open(path, "wb") as f:
        for i in range(mib):
            f.write(i.to_bytes(8, "little") + block[8:])


def make_image(path, mib):
    """ext4 without work that its first mount would go on with in the background."""
    with open(path, "wb") as f:
        f.truncate(mib * MIB)
    subprocess.run(
        ["mkfs.ext4", "-q", "-F", "-E", "lazy_itable_init=0,lazy_journal_init=0", path],
        check=True,
    )


def build_peers_appliance(image, work):
    """libguestfs makes its appliance at its first launch; that is not to be measured."""
    log("building libguestfs' appliance (not counted)")
    first = new_side("libguestfs", work)
    first.tell("launch", image)
    first.tell("shutdown")
    first.close()
