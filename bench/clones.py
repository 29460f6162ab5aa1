"""What launches from a template cost: beside libguestfs' launch, many together, and idle."""
import os
import time

from material import in_order, log, new_side
from side import processes

TOGETHER = 8
IDLE_S = 10


def build(work):
    """The template of this run, in a cache of its own. From here on launches are cold unless
    from_template() says otherwise."""
    os.environ["XDG_CACHE_HOME"] = os.path.join(work, "cache")
    os.mkdir(os.environ["XDG_CACHE_HOME"], 0o700)
    os.environ["FERRY_TEMPLATE"] = "never"
    side = new_side("ours", work)
    side.tell("template")
    side.close()


def launches(names, m, rounds, results):
    """Appliances of their own, so that the long-lived ones stay as they are. A launch from a
    template stands beside the peer's only kind."""
    for number in range(rounds):
        for name in in_order(names, number):
            side = new_side(name, m.work)
            answer = side.tell("launch", m.image(name))
            results.add("cold launch", name, answer)
            if name != "ours":
                results.add("launch from a template", name, answer)
            results.add("shutdown", name, side.tell("shutdown"))
            side.close()
        if "ours" in names:
            os.environ["FERRY_TEMPLATE"] = "require"
            side = new_side("ours", m.work)
            results.add("launch from a template", "ours", side.tell("launch", m.image("ours")))
            side.tell("shutdown")
            side.close()
            os.environ["FERRY_TEMPLATE"] = "never"


def pss_mib(pid):
    with open("/proc/%d/smaps_rollup" % pid) as f:
        for line in f:
            if line.startswith("Pss:"):
                return round(int(line.split()[1]) / 1024, 1)
    return 0.0


def below(pid, name):
    """The processes of that name below pid, oldest first."""
    table = processes()
    found = {pid}
    for _ in range(4):
        found |= {p for p, (parent, _, _) in table.items() if parent in found}
    return sorted(p for p in found if p in table and name in table[p][1])


def together(m, rounds):
    """Seconds until all have their disk, memory of each, and CPU of one that does nothing."""
    rows = []
    for _ in range(rounds):
        side = new_side("ours", m.work)
        row = {"s": side.tell("clones", TOGETHER)["s"]}
        row["pss_mib"] = [pss_mib(p) for p in below(side.child.pid, "qemu")]
        before = side.cpu()
        time.sleep(IDLE_S)  # that is what is measured
        row["idle_cpu_percent"] = round(
            100 * (side.cpu()[0] - before[0]) / IDLE_S / TOGETHER, 2)
        side.tell("end_clones")
        side.close()
        log("  %s" % row)
        rows.append(row)
    return rows
