"""Trees of small files in and out: cost by count.

What came out stays until the bench ends: where the host's file system has no journal, a file that
is made soon after the end of many others costs twenty times as much (docs/performance.md, "Trees"),
whoever makes it.
"""
import os

from workload import Group, Workload, timed_command

from .common import clean, must_equal, session

COUNTS = (10, 200, 2000, 20000)
TARGETS = {2000: 2}


def tree_in(files):
    def run(side, m):
        source = m.tree(files)
        path = "/" + os.path.basename(source)
        clean(side, path)
        answer = side.tell("copy_in", source, "/")
        side.has.add(path)
        return answer

    return run


def tree_out(files):
    """What tree_in has left: it lies in the guests' caches, theirs and ours."""
    def run(side, m):
        source = m.tree(files)
        path = "/" + os.path.basename(source)
        if path not in side.has:
            tree_in(files)(side, m)
        out = m.another("tree.out")
        answer = side.tell("copy_out", path, out)
        must_equal(side, source, out + path)
        return answer

    return run


def host_copy_tree(files):
    def run(side, m):
        return timed_command(["cp", "-r", m.tree(files), m.another("tree.copy")])

    return run


def group(size):
    def one(nominal, way, run):
        files = size(nominal, 2)
        # 20,000 files out take libguestfs a minute and a half.
        rounds = ({"libguestfs": 1, "ours": 2, "host": 2} if nominal > 2000
                  else {"libguestfs": 3, "host": 3})
        sides = {"ours": run(files), "libguestfs": run(files)}
        if way == "out":
            sides["host"] = host_copy_tree(files)
        return Workload("tree-%d-%s" % (nominal, way.split(",")[0]),
                        "tree of %d files %s" % (files, way), "1/s",
                        sides, files, rounds,
                        target=TARGETS.get(nominal, 0), plot=("count", way, files),
                        table=nominal != 200)

    return Group("trees", "Trees of files of 4 KiB", [
        one(n, way, run) for n in COUNTS for way, run in (("in, flushed", tree_in), ("out", tree_out))
    ], session)
