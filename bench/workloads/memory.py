"""How much memory our process takes, by the size of what it moves."""
import os

from workload import Group, Workload, text_of_mib

from .common import clean, session

SIZES = (16, 2048)
LIMIT_MIB, LANE_MIB = 48, 32  # the lane: two directions of 8 slots of 2 MiB, shared with qemu


def peak(mib, way):
    def run(side, m):
        out = m.path("memory.out")
        words = ("upload", m.file(mib), "/memory", 0)
        if way == "download":
            side.tell(*words)
            words = ("download", "/memory", out)
        side.forget_peak()
        answer = dict(side.tell(*words), MiB=round(side.peak_rss(), 1))
        clean(side, "/memory")
        if os.path.exists(out):
            os.unlink(out)
        return answer

    return run


def group(size):
    return Group("memory", "Memory of our process", [
        Workload("rss-%s-%d" % (way, mib), "peak RSS, %s %s" % (way, text_of_mib(size(mib))), "MiB",
                 {"ours": peak(size(mib), way)}, rounds={"ours": 1}, limit=LIMIT_MIB + LANE_MIB)
        for mib in SIZES for way in ("upload", "download")], session)
