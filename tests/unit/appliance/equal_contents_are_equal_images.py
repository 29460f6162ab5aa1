"""Two trees with the same files, made in different order, by different umasks and at
different times, give the same archive and the same disk image, byte for byte. The
template's key and the manifest rest on it."""

import os
import random
import re
import subprocess
import sys
import tempfile

sys.path.insert(0, os.path.join(os.environ["FERRY_SOURCE_DIR"], "appliance"))

import cpio
import image

NAMES = [f"dir{i % 3}/file{i}" for i in range(60)]


def make_tree(top, seed, umask, when):
    os.umask(umask)
    names = NAMES[:]
    random.Random(seed).shuffle(names)
    for name in names:
        path = os.path.join(top, name)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "w") as f:
            f.write(name * 500)
        if name.endswith("7"):
            os.chmod(path, 0o755 & ~umask)
        os.utime(path, (when, when))
    os.symlink("dir0/file0", os.path.join(top, "link"))


def assert_no_clock(disk, name):
    stat = subprocess.run(["debugfs", "-R", f"stat {name}", disk], capture_output=True,
                          text=True).stdout
    times = re.findall(r"(?:a|c|m|cr)time: (0x\S+)", stat)
    assert len(times) == 4 and set(times) == {"0x00000000:00000000"}, stat


def build(seed, umask, when):
    with tempfile.TemporaryDirectory() as tmp:
        top, disk = f"{tmp}/top", f"{tmp}/disk"
        os.mkdir(top)
        make_tree(top, seed, umask, when)
        archive = cpio.archive(top)
        image.make(disk, top)
        check = subprocess.run(["e2fsck", "-fn", disk], capture_output=True, text=True)
        assert check.returncode == 0, check.stdout
        # The two builds may fall into one second; the clock must not be in there at
        # all.
        written = subprocess.run(["dumpe2fs", "-h", disk], text=True,
                                 capture_output=True,
                                 env=os.environ | {"TZ": "UTC", "LC_ALL": "C"})
        assert "Last write time:          Thu Jan  1 00:00:01 1970" in written.stdout
        for name in ["/", "/dir1", "/dir0/file0", "/link"]:
            assert_no_clock(disk, name)
        with open(disk, "rb") as f:
            return archive, f.read()


one = build(1, 0o022, 1_000_000_000)
two = build(2, 0o077, 1_500_000_000)
assert one[0] == two[0], "archives differ"
assert one[1] == two[1], "images differ"

# ... and a different tree does not: the comparison above can fail.
NAMES.append("dir0/one-more")
three = build(1, 0o022, 1_000_000_000)
assert one[0] != three[0] and one[1] != three[1]

# What cpio itself makes of the archive: every name, root's, in its place.
listed = subprocess.run(["cpio", "-tv", "--quiet", "--numeric-uid-gid"], input=one[0],
                        capture_output=True).stdout.decode().splitlines()
assert len(listed) == 1 + 60 + 3 + 1, listed  # ".", files, directories, link
assert all(line.split()[2:4] == ["0", "0"] for line in listed), listed
assert listed[-1].endswith("link -> dir0/file0"), listed[-1]
