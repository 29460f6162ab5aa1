"""Launches: cold, from a template, together; what a VM costs that does nothing."""
import time

from material import new_side
from side import family
from workload import Group, Workload

TOGETHER, IDLE_S = 8, 10
IMAGE_MIB = 6144


def launch(template):
    """An appliance of its own; its shutdown is a workload too."""
    def run(_, m, name="ours"):
        env = {"FERRY_TEMPLATE": "require"} if template else {}
        side = new_side(name, m.work, env)
        try:
            answer = side.tell("launch", m.image(name, IMAGE_MIB))
            down = side.tell("shutdown")
        finally:
            side.close()
        return answer if template else dict(answer, also={"shutdown": down})

    return run


def peers(_, m):
    return launch(False)(_, m, "libguestfs")


def pss_mib(pid):
    with open("/proc/%d/smaps_rollup" % pid) as f:
        for line in f:
            if line.startswith("Pss:"):
                return int(line.split()[1]) / 1024
    return 0.0


def together(_, m):
    """Seconds until all have their disk, memory of each, and CPU of one that does nothing."""
    side = new_side("ours", m.work, {"FERRY_TEMPLATE": "require"})
    try:
        answer = side.tell("clones", TOGETHER)
        sizes = [pss_mib(p) for p, (_, name, _) in family(side.child.pid).items() if "qemu" in name]
        before = side.cpu()
        time.sleep(IDLE_S)  # that is what is measured
        idle = 100 * (side.cpu()[0] - before[0]) / IDLE_S / TOGETHER
        side.tell("end_clones")
    finally:
        side.close()
    return dict(answer, also={"pss": {"MiB": max(sizes)}, "idle": {"%": idle}})


def group(size):
    few = {"ours": 3}
    return Group("launch", "Launches", [
        Workload("launch-cold", "cold launch", "s", {"ours": launch(False), "libguestfs": peers},
                 rounds={"libguestfs": 3}, target=6),
        Workload("launch-template", "launch from a template", "s", {"ours": launch(True)},
                 base="launch-cold", target=30),
        Workload("shutdown", "shutdown", "s", {"ours": None, "libguestfs": None}, limit=0.2),
        Workload("together", "%d launches from a template, together" % TOGETHER, "s",
                 {"ours": together}, rounds=few, limit=3),
        Workload("pss", "PSS of each of the %d" % TOGETHER, "MiB", {"ours": None}, limit=60),
        Workload("idle", "CPU of one that is idle", "%", {"ours": None}, limit=1),
    ])
