"""Many small files, each an upload of its own."""
from workload import Group, Workload

from .common import clean, session

COUNT, FLIGHT = 1000, 32
PEERS_COUNT = 40  # six a second


def small(flight, count, peers):
    def run(side, m):
        clean(side, "/small")
        side.tell("mkdir", "/small")
        done = count if side.name == "ours" else peers
        answer = side.tell("many_in", m.small(), "/small", done, flight, 0)
        return dict(answer, count=done) if answer else None

    return run


def group(size):
    count, peers = size(COUNT, 4), size(PEERS_COUNT, 2)
    run = small(1, count, peers)
    note = "libguestfs does %d of the 4 KiB uploads" % peers
    return Group("files", "Small files", [
        Workload("small", "4 KiB uploads x %d, in sequence" % count, "1/s",
                 {"ours": run, "libguestfs": run}, count, target=80, note=note),
        Workload("small-32", "4 KiB uploads x %d, %d in flight" % (count, FLIGHT), "1/s",
                 {"ours": small(FLIGHT, count, peers)}, count, base="small", target=200),
    ], session)
