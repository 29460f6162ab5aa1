"""How long a small file takes to read while large ones are being written."""
from workload import Group, Workload

from .common import clean, session

COUNT, LARGE_MIB = 100, 512
BESIDE = (0, 1, 16)


def cats(beside, count, mib):
    def run(side, m):
        clean(side, "/load")
        side.tell("mkdir", "/load")
        side.tell("upload", m.small(), "/cat", 1)
        return side.tell("cats", "/cat", count, beside, m.file(mib), "/load")

    return run


def group(size):
    count, mib = size(COUNT, 5), size(LARGE_MIB)

    def one(beside):
        run = cats(beside, count, mib)
        title = "idle" if beside == 0 else "beside %d upload%s" % (beside, "s" * (beside > 1))
        return Workload("cat-beside-%d" % beside, "cat of 4 KiB, " + title, "ms",
                        dict({"ours": run}, **({} if beside else {"libguestfs": run})), count,
                        base="cat-beside-0" if beside else "", times_base=3 if beside else 0)

    return Group("fairness", "Small beside large", [one(n) for n in BESIDE], session)
