"""The same transfer on every kind of file system."""
import os

from session import Session
from workload import Group, Workload, text_of_mib

from .common import clean, must_equal

KINDS = ("ext4", "xfs", "btrfs", "vfat", "ntfs")
MIB, IMAGE_MIB = 64, 2048
ROOT_MIB = 256
ROUNDS = {"ours": 3, "libguestfs": 2}


def session(m, names):
    """One appliance with all of them: the root is a small ext4."""
    images = {n: [m.image(n, ROOT_MIB)] + [m.image(n, IMAGE_MIB, kind) for kind in KINDS]
              for n in names if n in ("ours", "libguestfs")}
    mounts = [("/dev/sda", "/")] + [
        ("/dev/sd" + "bcdefgh"[i], "/" + kind) for i, kind in enumerate(KINDS)]
    return Session(m.work, images, mounts)


def move_in(kind, mib):
    def run(side, m):
        path = "/%s/file" % kind
        clean(side, path)
        answer = side.tell("upload", m.file(mib), path, 1)
        side.has.add(path)
        return answer

    return run


def move_out(kind, mib):
    def run(side, m):
        path, out = "/%s/file" % kind, m.path("fs.out")
        if path not in side.has:
            move_in(kind, mib)(side, m)
        if os.path.exists(out):
            os.unlink(out)
        answer = side.tell("download", path, out)
        must_equal(side, m.file(mib), out)
        return answer

    return run


def group(size):
    mib = size(MIB)

    def one(kind, way, run):
        return Workload("%s-%s" % (kind, way.split(",")[0]),
                        "%s, %s %s" % (kind, text_of_mib(mib), way), "MB/s",
                        {"ours": run(kind, mib), "libguestfs": run(kind, mib)}, mib, ROUNDS)

    return Group("filesystems", "By file system",
                 [one(kind, way, run) for kind in KINDS
                  for way, run in (("in, flushed", move_in), ("out", move_out))], session)
