"""The guest's limit: our appliance, with limit.c in front of the daemon; see there."""
import hashlib
import json
import os
import stat
import sys

TOP = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
sys.path.insert(0, os.path.join(TOP, "appliance"))

import cpio  # noqa: E402

FILES = ("vmlinux", "Image", "usr.img", "qboot.rom")


def digest(path):
    with open(path, "rb") as f:
        return hashlib.file_digest(f, "sha256").hexdigest()


def put(source, tree, name):
    with open(source, "rb") as f, open(os.path.join(tree, name), "wb") as out:
        out.write(f.read())
    os.chmod(os.path.join(tree, name), stat.S_IRWXU)


def build(work):
    """The directory of that appliance: the kernel unpacks archives one after the other, and
    what comes later replaces what was there."""
    usual, bins = os.environ["FERRY_APPLIANCE"], os.path.join(os.environ["FERRY_BUILD_DIR"], "bin")
    path, tree = os.path.join(work, "limit"), os.path.join(work, "limit-tree")
    os.makedirs(path)
    os.makedirs(tree)
    put(os.path.join(bins, "bench_limit"), tree, "init")
    put(os.path.join(bins, "ferryd"), tree, "ferryd")
    with open(os.path.join(usual, "initramfs"), "rb") as f:
        initramfs = f.read()
    with open(os.path.join(path, "initramfs"), "wb") as f:
        f.write(initramfs + b"\0" * (-len(initramfs) % 4) + cpio.archive(tree))
    for name in filter(lambda n: os.path.exists(os.path.join(usual, n)), FILES):
        os.symlink(os.path.join(usual, name), os.path.join(path, name))
    with open(os.path.join(usual, "manifest.json")) as f:
        manifest = json.load(f)
    manifest["sha256"]["initramfs"] = digest(os.path.join(path, "initramfs"))
    with open(os.path.join(path, "manifest.json"), "w") as f:
        json.dump(manifest, f)
    return path
