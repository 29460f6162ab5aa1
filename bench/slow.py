#!/usr/bin/python3
"""What others keep of their speed beside downloads whose readers take a byte a second.

    ./dev bench slow [--rounds N] [--readers 1,8,16] [--only ROW] [--json FILE] [--markdown FILE]

One appliance under TCG, one ext4 image. In each round every workload is done alone and beside so many
slow readers of a large file, right after each other, in changing order; the share is the median of the
rounds' own. Promised is half.

--markdown puts the table between the two marks in FILE (docs/cancellation.md) in place of the old one.
"""
import argparse
import json
import os
import statistics
import sys
import tempfile

from material import log, make_file, make_image, new_side
from report import replace_block

FILE_MIB = 256
SMALL, CALLS = 100, 500
PROMISED = 0.5
BEGIN, END = "<!-- bench slow -->\n", "<!-- end of bench slow -->\n"


def works(m):
    """name; unit; how much of it one time is; what the worker is told."""
    file, small = os.path.join(m, "file.bin"), os.path.join(m, "small.bin")
    return [
        ("upload of %d MiB" % FILE_MIB, "MB/s", FILE_MIB * 1.048576,
         ["upload", file, "/up.bin", 1]),
        ("download of %d MiB" % FILE_MIB, "MB/s", FILE_MIB * 1.048576,
         ["download", "/file.bin", os.path.join(m, "out.bin")]),
        ("4 KiB uploads", "1/s", SMALL, ["many_in", small, "/small", SMALL, 1, 0]),
        ("stat", "1/s", CALLS, ["stat", "/file.bin", CALLS, 1]),
    ]


def rate(side, amount, words):
    return amount / side.tell(*words)["s"]


def pair(side, readers, amount, words, slow_first):
    """(alone, beside the readers)"""
    got = {}
    for slow in (slow_first, not slow_first):
        if slow:
            side.tell("slow_readers", readers, "/file.bin")
        got[slow] = rate(side, amount, words)
        if slow:
            side.tell("end_slow_readers")
    return got[False], got[True]


def measure(args, m):
    make_file(os.path.join(m, "file.bin"), FILE_MIB)
    with open(os.path.join(m, "small.bin"), "wb") as f:
        f.write(os.urandom(4096))
    make_image(os.path.join(m, "disk.img"), 4096)
    side = new_side("ours", m)
    side.tell("launch", os.path.join(m, "disk.img"))
    side.tell("mount", "/dev/sda", "/")
    side.tell("mkdir", "/small")
    side.tell("upload", os.path.join(m, "file.bin"), "/file.bin", 1)
    rows = []
    for name, unit, amount, words in works(m):
        if args.only and args.only not in name:
            continue
        for readers in args.readers:
            pairs = [pair(side, readers, amount, words, r % 2 == 1)
                     for r in range(args.rounds)]
            rows.append({
                "name": name, "unit": unit, "readers": readers,
                "alone": round(statistics.median(a for a, _ in pairs), 1),
                "beside": round(statistics.median(b for _, b in pairs), 1),
                "share": round(statistics.median(b / a for a, b in pairs), 2)})
            log("  %s" % json.dumps(rows[-1]))
    side.tell("shutdown")
    side.close()
    return rows


def table(rows):
    lines = ["| | readers | alone | beside them | share | |", "|---|---|---|---|---|---|"]
    for r in rows:
        lines.append("| %s, %s | %d | %.0f | %.0f | %.2f | %s |" % (
            r["name"], r["unit"], r["readers"], r["alone"], r["beside"], r["share"],
            "holds" if r["share"] >= PROMISED else "**short**"))
    return "\n".join(lines)


def main():
    p = argparse.ArgumentParser(prog="./dev bench slow", description=__doc__.split("\n")[0])
    p.add_argument("--rounds", type=int, default=5)
    p.add_argument("--readers", type=lambda s: [int(n) for n in s.split(",")], default=[1, 8, 16])
    p.add_argument("--only", help="rows whose name holds this")
    p.add_argument("--json", metavar="FILE")
    p.add_argument("--markdown", metavar="FILE")
    args = p.parse_args()
    load = os.getloadavg()[0]
    with tempfile.TemporaryDirectory(prefix="ferry-bench-", dir="/var/tmp") as m:
        rows = measure(args, m)
    text = "%d rounds, %d CPUs; load average %.1f before, %.1f after.\n\n%s\n" % (
        args.rounds, os.cpu_count(), load, os.getloadavg()[0], table(rows))
    print(text)
    if args.markdown:
        replace_block(args.markdown, text, BEGIN, END)
    if args.json:
        with open(args.json, "w") as f:
            json.dump(rows, f, indent=1)
    sys.exit(0 if all(r["share"] >= PROMISED for r in rows) else 1)


main()
