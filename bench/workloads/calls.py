"""Small calls: what one round trip costs."""
from workload import Group, Workload

from .common import session

COUNT, FLIGHT = 2000, 32
IN_FLIGHT_COUNT = 20000


def stat(count, flight):
    def run(side, m):
        return side.tell("stat", "/", count, flight)

    return run


def group(size):
    few, many = size(COUNT, 10), size(IN_FLIGHT_COUNT, 100)
    run = stat(few, 1)
    return Group("calls", "Calls", [
        Workload("stat", "stat, in sequence", "1/s", {"ours": run, "libguestfs": run}, few, target=3),
        Workload("stat-32", "stat, %d in flight" % FLIGHT, "1/s",
                 {"ours": stat(many, FLIGHT)}, many, base="stat", target=15),
    ], session)
