#!/usr/bin/python3
"""One launch and one shutdown with libvirt's backend, on a libvirtd of its own in a namespace
(tests/e2e/libvirt/libvirtd.py; root only). Started by workloads/libvirt.py:

    libvirt.py SIDE WORK     answers {"s": ..., "shutdown": ...}; exit code 77: not here

A launch before is not counted: libvirtd asks a qemu it does not know what it can do."""
import json
import os
import sys

TOP = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
sys.path.insert(0, os.path.join(TOP, "tests/e2e/libvirt"))

import libvirtd  # noqa: E402
from material import make_image  # noqa: E402
from peer import new_peer  # noqa: E402
from side import Side  # noqa: E402

BACKEND = "libvirt:" + libvirtd.SYSTEM


def new_side(name, work):
    if name == "ours":
        return Side(name, ["bench_worker"], {"BENCH_BACKEND": BACKEND})
    return new_peer(work, {"LIBGUESTFS_BACKEND": BACKEND})


def once(name, work, image):
    side = new_side(name, work)
    launch = side.tell("launch", image)["s"]
    shutdown = side.tell("shutdown")["s"]
    side.close()
    return {"s": launch, "shutdown": shutdown}


def main():
    name, work = sys.argv[1:]
    libvirtd.enter()
    daemon = libvirtd.Libvirtd()
    image = os.path.join(work, "libvirt-%s.img" % name)
    make_image(image, 64)
    os.chmod(image, 0o666)
    once(name, work, image)
    answer = once(name, work, image)
    daemon.stop()
    print(json.dumps(answer))


if __name__ == "__main__":
    main()
