#!/usr/bin/python3
"""The project's figures: ours beside libguestfs', on the same work, in the same run.

    ./dev bench [--quick] [--rounds N] [--only NAME,...] [--json FILE]

Two workers (worker.c, peer_libguestfs.py) hold one appliance each, both under TCG, on two copies
of one ext4 image. In each round every workload is done by both, right after one another, and
the order changes from round to round; a ratio is the median of the rounds' own ratios. So a busy
machine slows both, and the table says how busy it was.
"""
import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time

import clones
from material import MIB, build_peers_appliance, in_order, log, make_file, make_image, new_side

# ---- the material ------------------------------------------------------------------------


class Material:
    def __init__(self, work, args):
        self.work = work
        self.mib = args.size_mib
        self.big_mib = args.big_mib
        self.small = self.path("small.bin")
        self.file = self.path("file.bin")
        with open(self.small, "wb") as f:
            f.write(os.urandom(4096))
        make_file(self.file, self.mib)
        for name in ("ours", "libguestfs"):
            make_image(self.image(name), 6144)

    def path(self, name):
        return os.path.join(self.work, name)

    def image(self, side):
        return self.path(side + ".img")


# ---- workloads ---------------------------------------------------------------------------
#
# Each takes a side and gives {"s": seconds, ...}, or None if the side cannot. What is undone
# afterwards, or made ready before, is not timed.


def upload(sync):
    def run(side, m):
        side.tell("rm", "/up.bin")
        side.tell("sync")
        return side.tell("upload", m.file, "/up.bin", sync)

    return run


def download(side, m):
    out = m.path(side.name + ".out")
    if os.path.exists(out):
        os.unlink(out)
    answer = side.tell("download", "/up.bin", out)
    if subprocess.run(["cmp", m.file, out]).returncode != 0:
        sys.exit("bench: %s: what came back differs" % side.name)
    os.unlink(out)
    return answer


def small(flight, ours, peers):
    def run(side, m):
        side.tell("mkdir", "/small")
        count = ours if side.name == "ours" else peers
        answer = side.tell("small", m.small, "/small", count, flight)
        side.tell("rm", "/small")
        side.tell("sync")
        if answer:
            answer["count"] = count
        return answer

    return run


def stat(flight, count):
    def run(side, m):
        answer = side.tell("stat", "/", count, flight)
        if answer:
            answer["count"] = count
        return answer

    return run


def tree(m, files):
    """Files of 4 KiB, a hundred in a directory; beside them room for what comes back."""
    path = m.path("tree%d" % files)
    if not os.path.isdir(path):
        for i in range(files):
            directory = os.path.join(path, "d%d" % (i // 100))
            os.makedirs(directory, exist_ok=True)
            with open(os.path.join(directory, "f%d" % i), "wb") as f:
                f.write(os.urandom(4096))
    return path


def tree_in(files):
    def run(side, m):
        source = tree(m, files)
        side.tell("rm", "/" + os.path.basename(source))
        side.tell("sync")
        return dict(side.tell("copy_in", source, "/"), count=files)

    return run


def tree_out(files):
    """What tree_in has left; once in, it lies in the guests' caches, theirs and ours."""
    def run(side, m):
        source, out = tree(m, files), m.path(side.name + ".tree")
        shutil.rmtree(out, ignore_errors=True)
        os.mkdir(out)
        answer = side.tell("copy_out", "/" + os.path.basename(source), out)
        if subprocess.run(["diff", "-r", source, out + "/" + os.path.basename(source)],
                          check=False).returncode != 0:
            sys.exit("bench: %s: the tree that came back differs" % side.name)
        return dict(answer, count=files)

    return run


def workloads(args):
    """(name, unit, work, run): unit "MB/s" or "1/s"; work in MiB, or counted by the answer."""
    n = 4 if args.quick else 1
    mib = args.size_mib
    return [
        ("upload", "MB/s", mib, upload(0)),
        ("upload, flushed", "MB/s", mib, upload(1)),
        ("download", "MB/s", mib, download),
        ("4 KiB uploads", "1/s", 0, small(1, 600 // n, 40 // n)),
        ("4 KiB uploads, 32 in flight", "1/s", 0, small(32, 2000 // n, 40 // n)),
        ("stat", "1/s", 0, stat(1, 2000 // n)),
        ("stat, 64 in flight", "1/s", 0, stat(64, 20000 // n)),
    ] + [
        (f"tree of {files} files {way}", "1/s", 0, run(files))
        for files in ((10, 2000) if args.quick else (10, 2000, 20000))
        for way, run in (("in, flushed", tree_in), ("out", tree_out))
    ]


# ---- measuring ---------------------------------------------------------------------------


class Results:
    """samples[workload][side] = [answer of each round]"""

    def __init__(self):
        self.samples = {}
        self.loads = []

    def add(self, workload, side, answer):
        self.samples.setdefault(workload, {}).setdefault(side, []).append(answer)
        self.loads.append(os.getloadavg()[0])
        if answer:
            log("  %-28s %-11s %s" % (workload, side, json.dumps(answer)))


def transfers(names, m, args, results):
    sides = [new_side(name, m.work) for name in names]
    for side in sides:
        side.tell("launch", m.image(side.name))
        side.tell("mount", "/dev/sda")
        upload(1)(side, m)  # what is downloaded, and a first time for everything
    for number in range(args.rounds):
        for name, _, _, run in workloads(args):
            if args.only and name not in args.only:
                continue
            for side in in_order(sides, number):
                results.add(name, side.name, run(side, m))
    for side in sides:
        side.tell("shutdown")
        side.close()


def memory(m, args):
    """Peak RSS of our process, in MiB, by the size of what is moved."""
    side = new_side("ours", m.work)
    side.tell("launch", m.image("ours"))
    side.tell("mount", "/dev/sda")
    rows = []
    for mib in (16, args.big_mib):
        source, out = m.path("memory.bin"), m.path("memory.out")
        make_file(source, mib)
        row = {"mib": mib}
        for name, words in (("upload", (source, "/memory.bin", 0)),
                            ("download", ("/memory.bin", out))):
            side.forget_peak()
            side.tell(name, *words)
            row[name] = round(side.peak_rss(), 1)
        side.tell("rm", "/memory.bin")
        os.unlink(source)
        os.unlink(out)
        log("  %s" % json.dumps(row))
        rows.append(row)
    side.tell("shutdown")
    side.close()
    return rows


def host_copy(m, rounds):
    """What the machine itself does with the file: cp and fsync, MB/s."""
    out = m.path("copy.out")
    rates = []
    for _ in range(rounds):
        start = time.monotonic()
        shutil.copyfile(m.file, out)
        with open(out, "rb") as f:
            os.fsync(f.fileno())
        rates.append(m.mib * MIB / 1e6 / (time.monotonic() - start))
        os.unlink(out)
    return rates


def coroutines():
    text = subprocess.run(["bench_co"], check=True, capture_output=True, text=True).stdout
    lines = [line.rstrip() for line in text.splitlines()]
    switch = next(float(line.split()[1]) for line in lines if line.startswith("switch "))
    return {"switch_ns": switch, "lines": lines}


# ---- figures -----------------------------------------------------------------------------


def speed(answer, work):
    """Work per second: MB of 10^6 for MiB of `work`, else the answer's count."""
    done = work * MIB / 1e6 if work else answer.get("count", 1)
    return done / answer["s"]


def cost(answer, work):
    """CPU seconds, ours or the peer's process and qemu together, per GiB or 1000 calls."""
    per = work / 1024 if work else answer.get("count", 1) / 1000
    return (answer["cpu_qemu"] + answer["cpu_host"]) / per


def compare(ours, peers, value):
    """Median and range of either, and the median of the rounds' ratios (ours : peer's)."""
    row = {}
    for key, answers in (("ours", ours), ("libguestfs", peers)):
        got = [value(a) for a in answers if a]
        if got:
            row[key] = {"median": statistics.median(got), "min": min(got), "max": max(got)}
    pairs = [value(a) / value(b) for a, b in zip(ours, peers) if a and b and value(b) > 0]
    if pairs:
        row["ratio"] = statistics.median(pairs)
        row["ratios"] = [round(p, 3) for p in pairs]
    return row


def add_ratio_of_medians(row, base):
    """What only we can do (many in flight) is compared with the peer's way to the same end."""
    if "libguestfs" not in row and base and "libguestfs" in base and "ours" in row:
        row["ratio"] = row["ours"]["median"] / base["libguestfs"]["median"]


def summary(results, args):
    rows = []

    def add(name, unit, kind):
        if name not in results.samples:
            return
        s = results.samples[name]
        row = compare(s.get("ours", []), s.get("libguestfs", []), kind)
        base = next((r for r in rows if r["unit"] == unit
                     and name.startswith(r["name"] + ",")), None)
        add_ratio_of_medians(row, base)
        rows.append(dict(row, name=name, unit=unit))

    for name in ("cold launch", "launch from a template", "shutdown"):
        add(name, "s", lambda a: a["s"])
    for name in ("cold launch", "launch from a template"):
        add(name, "CPU s", lambda a: a["cpu_qemu"] + a["cpu_host"])
    for name, unit, work, _ in workloads(args):
        add(name, unit, lambda a, work=work: speed(a, work))
        add(name, "CPU s/GiB" if work else "CPU s/1000", lambda a, work=work: cost(a, work))
    return rows


def cell(part):
    if not part:
        return "-"
    digits = 0 if part["median"] >= 100 else 1 if part["median"] >= 10 else 2
    return "%.*f (%.*f-%.*f)" % (digits, part["median"], digits, part["min"], digits, part["max"])


def table(rows):
    lines = ["| | | ours: median (range) | libguestfs | ratio |", "|---|---|---|---|---|"]
    for r in rows:
        ratio = "%.3g" % r["ratio"] if "ratio" in r else "-"
        lines.append("| %s | %s | %s | %s | %s |" % (
            r["name"], r["unit"], cell(r.get("ours")), cell(r.get("libguestfs")), ratio))
    return "\n".join(lines)


# ---- all of it ---------------------------------------------------------------------------


def arguments():
    p = argparse.ArgumentParser(prog="./dev bench", description=__doc__.split("\n")[0])
    p.add_argument("--quick", action="store_true", help="64 MiB, 2 rounds, fewer calls")
    p.add_argument("--rounds", type=int)
    p.add_argument("--size-mib", type=int)
    p.add_argument("--only", type=lambda s: s.split(";"), help="workloads, by ';'")
    p.add_argument("--alone", action="store_true", help="without libguestfs")
    p.add_argument("--json", metavar="FILE")
    args = p.parse_args()
    args.rounds = args.rounds or (2 if args.quick else 5)
    args.size_mib = args.size_mib or (64 if args.quick else 256)
    args.big_mib = 256 if args.quick else 2048
    return args


def measure(args, work):
    m = Material(work, args)
    names = ["ours"] if args.alone else ["ours", "libguestfs"]
    results = Results()
    report = {"size_mib": args.size_mib, "rounds": args.rounds, "cpus": os.cpu_count()}
    clones.build(work)
    if not args.alone:
        build_peers_appliance(m.image("libguestfs"), work)
    if not args.only or "launch" in args.only:
        clones.launches(names, m, args.rounds, results)
        report["together"] = clones.together(m, args.rounds)
    transfers(names, m, args, results)
    report["host_copy_MBps"] = [round(r) for r in host_copy(m, args.rounds)]
    if not args.only or "memory" in args.only:
        report["rss_mib"] = memory(m, args)
        report["coroutines"] = coroutines()
    report["samples"] = results.samples
    report["rows"] = summary(results, args)
    report["load"] = [round(f(results.loads), 1) for f in (min, statistics.median, max)]
    return report


def show(report):
    print("\n%d MiB, %d rounds, %d CPUs; load average %s (min, median, max)\n" % (
        report["size_mib"], report["rounds"], report["cpus"], report["load"]))
    print(table(report["rows"]))
    print("\ncp + fsync on the host: %s MB/s" % report["host_copy_MBps"])
    for row in report.get("together", []):
        print("%d VMs from a template: %.2f s together, PSS %s MiB, idle %.2f %% of a core each"
              % (clones.TOGETHER, row["s"], row["pss_mib"], row["idle_cpu_percent"]))
    for row in report.get("rss_mib", []):
        print("our RSS, %(mib)d MiB moved: upload %(upload)s, download %(download)s MiB" % row)
    print("\n".join(report.get("coroutines", {}).get("lines", [])))


def main():
    args = arguments()
    work = tempfile.mkdtemp(prefix="ferry-bench-", dir="/var/tmp")
    try:
        report = measure(args, work)
    finally:
        shutil.rmtree(work)
    show(report)
    if args.json:
        with open(args.json, "w") as f:
            json.dump(report, f, indent=1)


main()
