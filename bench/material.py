"""What the benches work on: files and trees of known size, images, and the sides' workers."""
import os
import subprocess
import sys

from peer import new_peer
from side import Side

MIB = 1 << 20
TREE_FILE = 4096
IN_A_DIRECTORY = 100

# By the names that mount(8) has; quietly, and without what the first mount would go on with
# in the background.
MKFS = {
    "ext4": ["mkfs.ext4", "-q", "-F", "-i", "65536", "-E",
             "lazy_itable_init=0,lazy_journal_init=0"],
    "xfs": ["mkfs.xfs", "-q", "-f"],
    "btrfs": ["mkfs.btrfs", "-q", "-f"],
    "vfat": ["mkfs.vfat", "-F", "32", "-I"],
    "ntfs": ["mkfs.ntfs", "-q", "-Q", "-F"],
}


def log(text):
    print(text, file=sys.stderr, flush=True)


def new_side(name, work, env=None):
    if name == "libguestfs":
        return new_peer(work, env)
    return Side(name, ["bench_worker"], env)


def in_order(sides, number):
    """Who goes first changes from round to round."""
    return sides if number % 2 == 0 else sides[::-1]


def make_file(path, mib):
    block = os.urandom(MIB)
    with open(path, "wb") as f:
        for i in range(mib):
            f.write(i.to_bytes(8, "little") + block[8:])


def make_sparse(path, mib, every):
    """1 MiB of data in every `every`, the rest never written."""
    block = os.urandom(MIB)
    with open(path, "wb") as f:
        f.truncate(mib * MIB)
        for i in range(0, mib, every):
            f.seek(i * MIB)
            f.write(block)


def make_tree(path, files):
    """Files of 4 KiB, a hundred in a directory."""
    for i in range(files):
        directory = os.path.join(path, "d%d" % (i // IN_A_DIRECTORY))
        os.makedirs(directory, exist_ok=True)
        with open(os.path.join(directory, "f%d" % i), "wb") as f:
            f.write(os.urandom(TREE_FILE))


def make_apart(path):
    """What is in it lies apart, on ext4: each of its directories is put into a part of the disk of its own,
    away from where files have just been removed, which may make new ones slow (docs/performance.md,
    "Trees"). Other file systems know no such attribute."""
    os.mkdir(path)
    subprocess.run(["chattr", "+T", path], check=False, stderr=subprocess.DEVNULL)


def make_image(path, mib, kind="ext4"):
    with open(path, "wb") as f:
        f.truncate(mib * MIB)
    subprocess.run(MKFS[kind] + [path], check=True, stdout=subprocess.DEVNULL)


class Material:
    """A directory of its own, in which things are made when they are first asked for."""

    def __init__(self, work):
        self.work, self.others = work, 0

    def path(self, name):
        return os.path.join(self.work, name)

    def made(self, name, make, *args):
        path = self.path(name)
        if not os.path.exists(path):
            make(path, *args)
        return path

    def another(self, name):
        """An empty directory that was not there before, and stays until the bench ends."""
        self.others += 1
        path = os.path.join(self.made("apart", make_apart), "%s-%d" % (name, self.others))
        os.mkdir(path)
        return path

    def make_present(self, mib):
        """So much of the machine's memory is there to be used, though free. A virtual machine gives what is free
        back to its host, and finds it again page by page: here `cp` moves 350 to 780 MB/s the first time,
        and 4000 right after (docs/performance.md). It is not what is measured, and hits whoever comes
        first."""
        path, block = self.path("present"), os.urandom(MIB)
        with open(path, "wb", buffering=0) as f:
            for _ in range(mib):
                f.write(block)
        os.unlink(path)

    def file(self, mib):
        return self.made("file-%d" % mib, make_file, mib)

    def small(self):
        return self.made("small", lambda path: make_file_of(path, TREE_FILE))

    def sparse(self, mib, every):
        return self.made("sparse-%d" % mib, make_sparse, mib, every)

    def tree(self, files):
        return self.made("tree%d" % files, make_tree, files)

    def image(self, side, mib, kind="ext4"):
        return self.made("%s-%s-%d.img" % (side, kind, mib), make_image, mib, kind)


def make_file_of(path, size):
    with open(path, "wb") as f:
        f.write(os.urandom(size))


def build_peers_appliance(image, work):
    """libguestfs makes its appliance at its first launch; that is not to be measured."""
    log("building libguestfs' appliance (not counted)")
    first = new_side("libguestfs", work)
    first.tell("launch", image)
    first.tell("shutdown")
    first.close()
