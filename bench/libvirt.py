#!/usr/bin/python3
"""Launch and shutdown with libvirt's backend, ours beside libguestfs', in one run on one libvirtd.

    ./dev build release; FERRY_PRESET=release ./dev run /usr/bin/python3 bench/libvirt.py [ROUNDS]

The libvirtd is one of its own, in a namespace (tests/e2e/libvirt/libvirtd.py); root only."""
import os
import statistics
import sys
import tempfile

TOP = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
sys.path.insert(0, os.path.join(TOP, "tests/e2e/libvirt"))
# enter() looks for these, as ctest sets them.
BUILD = os.environ["FERRY_BUILD_DIR"]
os.environ["FERRY_SOURCE_DIR"] = TOP

import libvirtd  # noqa: E402
from material import in_order, make_image  # noqa: E402
from peer import new_peer  # noqa: E402
from side import Side  # noqa: E402

BACKEND = "libvirt:" + libvirtd.SYSTEM


def new_side(name, work):
    if name == "ours":
        return Side(name, ["bench_worker"], {"BENCH_BACKEND": BACKEND})
    return new_peer(work, {"LIBGUESTFS_BACKEND": BACKEND})


def measure(work, rounds):
    """{(what, side): [seconds]}; the first round of each is libvirtd's own, not counted."""
    found = {}
    images = {}
    for name in ("ours", "libguestfs"):
        images[name] = os.path.join(work, name + ".img")
        make_image(images[name], 64)
        os.chmod(images[name], 0o666)
    for number in range(rounds + 1):
        for name in in_order(["ours", "libguestfs"], number):
            side = new_side(name, work)
            launch = side.tell("launch", images[name])["s"]
            shutdown = side.tell("shutdown")["s"]
            side.close()
            if number > 0:
                found.setdefault(("launch", name), []).append(launch)
                found.setdefault(("shutdown", name), []).append(shutdown)
    return found


def main():
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 5
    libvirtd.enter()
    daemon = libvirtd.Libvirtd()
    with tempfile.TemporaryDirectory(dir="/var/tmp", prefix="ferry-bench-") as work:
        os.chmod(work, 0o755)
        found = measure(work, rounds)
    daemon.stop()
    for (what, name), values in sorted(found.items()):
        print("%-9s %-11s median %.2f s of %d (%.2f to %.2f)" % (
            what, name, statistics.median(values), len(values), min(values), max(values)))


if __name__ == "__main__":
    main()
