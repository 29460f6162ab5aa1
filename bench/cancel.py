#!/usr/bin/python3
"""How long a cancel takes, from the ask to the end of what was cancelled: ours beside libguestfs'.

    ./dev bench cancel [--samples N] [--alone] [--json FILE] [--markdown FILE]

Two workers hold one appliance each, both under TCG, on two copies of one ext4 image. A sample starts
a transfer, lets it run for a random while, asks for its end, and waits for it. Batches of samples
alternate between the two, so that a busy machine slows both. libguestfs is asked by
guestfs_user_cancel() from another thread. It clears that flag when the data of a transfer begins to
flow, so one that is asked too early is lost: its samples run longer, and how many of the
early ones are lost is told in a row of its own. A FIFO that nobody writes and a launch it does not
look at; a few tries show that.

--markdown puts the table between the two marks in FILE (docs/cancellation.md) in place of the old one.
"""
import argparse
import json
import os
import statistics
import sys
import tempfile

from material import build_peers_appliance, in_order, log, make_file, make_image, new_side
from report import replace_block

FILE_MIB = 256  # ours are not to end before they are cancelled
RUN_MS = {"ours": (10, 150), "libguestfs": (300, 500)}  # a sample's random while
EARLY_MS = {"ours": (0, 50), "libguestfs": (0, 50)}
BATCH = 20
BEGIN, END = "<!-- bench cancel -->\n", "<!-- end -->\n"

# A cancel that is lost costs a whole transfer or launch: a few say it.
PEERS_TRIES = 5


class Work:
    """name; what the worker is told; how many samples of either; what is promised."""

    def __init__(self, name, words, target, peers=None, run=None, flight=1):
        self.name, self.words, self.flight = name, words, flight
        self.run, self.target, self.peers = run or RUN_MS, target, peers


def up(source):
    return "up:%s:/cancelled" % source


def works(m):
    def down(side):
        return "down:/file.bin:%s" % os.path.join(m, side + ".out")

    file, fifo = os.path.join(m, "file.bin"), os.path.join(m, "fifo")
    return [
        Work("upload", lambda s: [up(file)], "p50"),
        Work("download", lambda s: [down(s)], "p50"),
        Work("upload, early", lambda s: [up(file)], "p50", PEERS_TRIES, EARLY_MS),
        Work("download, early", lambda s: [down(s)], "p50", PEERS_TRIES, EARLY_MS),
        Work("one of 16 uploads and downloads", lambda s: [up(file), down(s)], "p50", 0,
             flight=16),
        Work("upload from a FIFO without a writer", lambda s: [up(fifo)], 10,
             PEERS_TRIES),
    ]


# ---- measuring ---------------------------------------------------------------------------


class Samples:
    def __init__(self):
        self.ms, self.missed = [], 0

    def add(self, answer):
        if answer:
            self.ms += answer["ms"]
            self.missed += answer["missed"]


def wanted(work, side, args):
    return args.samples if side == "ours" or work.peers is None else work.peers


def measure_work(work, sides, args):
    found = {side.name: Samples() for side in sides}
    for number in range((args.samples + BATCH - 1) // BATCH):
        for side in in_order(sides, number):
            s = found[side.name]
            count = min(BATCH, wanted(work, side.name, args) - len(s.ms) - s.missed)
            if side.name == "ours":
                count = min(BATCH, args.samples - len(s.ms))
            if count > 0:
                s.add(side.tell("cancel", count, *work.run[side.name], work.flight,
                                *work.words(side.name)))
    return found


def transfers(names, m, args):
    sides = [new_side(name, m) for name in names]
    for side in sides:
        side.tell("launch", image(m, side.name))
        side.tell("mount", "/dev/sda", "/")
        side.tell("upload", os.path.join(m, "file.bin"), "/file.bin", 1)
    rows = []
    for work in works(m):
        if args.only and args.only not in work.name:
            continue
        rows.append(row(work.name, work.target, measure_work(work, sides, args)))
        log("  %s" % json.dumps(rows[-1]))
    for side in sides:
        side.tell("shutdown")
        side.close()
    return rows


def launches(names, m, args):
    """At random moments of a launch, whose length is measured first."""
    found = {}
    for name in names:
        side, s = new_side(name, m), Samples()
        whole = int(side.tell("launch", image(m, name))["s"] * 1000)
        side.tell("shutdown")
        count = args.samples // 2 if name == "ours" else PEERS_TRIES
        for start in range(0, count, BATCH):
            s.add(side.tell("cancel_launch", image(m, name), min(BATCH, count - start), 0,
                            whole))
        side.close()
        found[name] = s
    result = row("launch", 200, found)
    log("  %s" % json.dumps(result))
    return [result]


# ---- figures -----------------------------------------------------------------------------


def image(m, name):
    return os.path.join(m, name + ".img")


def percentile(ms, p):
    """The smallest sample that p percent of all do not exceed."""
    return sorted(ms)[max(0, -(-len(ms) * p // 100) - 1)]


def figures(s):
    if not s or not s.ms:
        return {"n": 0, "missed": s.missed if s else 0}
    return {"n": len(s.ms), "missed": s.missed, "p50": round(statistics.median(s.ms), 3),
            "p99": percentile(s.ms, 99), "max": max(s.ms)}


def row(name, target, found):
    return {"name": name, "target": target, "ours": figures(found.get("ours")),
            "libguestfs": figures(found.get("libguestfs"))}


def judge(rows):
    """p99 against a time of its own, or against the peer's median for the direction that begins
    the row's name; "one of 16" against the better of the two."""
    peers = {r["name"]: r["libguestfs"].get("p50") for r in rows}
    best = min(filter(None, (peers.get("upload"), peers.get("download"))), default=None)
    for r in rows:
        limit = r["target"]
        if limit == "p50":
            limit = peers.get(r["name"].split(",")[0]) or best
        r["limit"] = limit
        r["holds"] = limit is None or r["ours"].get("p99", float("inf")) <= limit


def peers_cell(f):
    lost = "%d of %d lost" % (f["missed"], f["n"] + f["missed"]) if f["missed"] else "-"
    return ("%.1f | %.1f | %s" % (f["p50"], f["p99"], lost) if f["n"]
            else "- | - | %s" % lost)


def table(rows):
    lines = ["| ms | samples | p50 | p99 | libguestfs: p50 | p99 | | p99 is to be at most | |",
             "|---|---|---|---|---|---|---|---|---|"]
    for r in rows:
        o = r["ours"]
        lines.append("| %s | %d | %.1f | %.1f | %s | %s | %s |" % (
            r["name"], o["n"], o.get("p50", -1), o.get("p99", -1), peers_cell(r["libguestfs"]),
            "-" if r["limit"] is None else "%.1f" % r["limit"],
            "holds" if r["holds"] else "**short**"))
    return "\n".join(lines)


# ---- all of it ---------------------------------------------------------------------------


def arguments():
    p = argparse.ArgumentParser(prog="./dev bench cancel", description=__doc__.split("\n")[0])
    p.add_argument("--samples", type=int, default=200, help="of each (launches: half)")
    p.add_argument("--only", help="rows whose name holds this")
    p.add_argument("--alone", action="store_true", help="without libguestfs")
    p.add_argument("--json", metavar="FILE")
    p.add_argument("--markdown", metavar="FILE")
    return p.parse_args()


def measure(args, m):
    names = ["ours"] if args.alone else ["ours", "libguestfs"]
    make_file(os.path.join(m, "file.bin"), FILE_MIB)
    os.mkfifo(os.path.join(m, "fifo"))
    for name in names:
        make_image(image(m, name), 6144)
    if not args.alone:
        build_peers_appliance(image(m, "libguestfs"), m)
    load = os.getloadavg()[0]
    rows = transfers(names, m, args)
    if not args.only or args.only in "launch":
        rows += launches(names, m, args)
    judge(rows)
    return {"rows": rows, "cpus": os.cpu_count(),
            "load": [round(load, 1), round(os.getloadavg()[0], 1)]}


def main():
    args = arguments()
    with tempfile.TemporaryDirectory(prefix="ferry-bench-", dir="/var/tmp") as m:
        report = measure(args, m)
    text = "%d CPUs; load average %.1f before, %.1f after.\n\n%s\n" % (
        report["cpus"], *report["load"], table(report["rows"]))
    print(text)
    if args.markdown:
        replace_block(args.markdown, text, BEGIN, END)
    if args.json:
        os.makedirs(os.path.dirname(os.path.abspath(args.json)), exist_ok=True)
        with open(args.json, "w") as f:
            json.dump(report, f, indent=1)
    sys.exit(0 if all(r["holds"] for r in report["rows"]) else 1)


main()
