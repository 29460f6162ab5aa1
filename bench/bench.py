#!/usr/bin/python3
"""The project's judge: ours beside libguestfs, the guest's limit and the host's cp, on the same
work, in the same run.

    ./dev bench [--quick] [--only NAME,...] [--rounds N] [--markdown] ...

workloads/ says what is measured, runner.py how, report.py and plots.py show it. Names for --only:
groups (launch, transfers, ...), workloads (upload-256), patterns (tree-*); --list has them all.
"""
import argparse
import fnmatch
import json
import os
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile

import figures
import machine
import plots
import report
import workloads
from material import Material, build_peers_appliance, log, new_side
from runner import Results, Runner
from side import adopt_orphans, end_all
from workload import Size

DOCS = os.path.join(machine.TOP, "docs")
JSON = os.path.join(DOCS, "bench", "bench.json")
CANCEL_JSON = os.path.join(DOCS, "bench", "cancel.json")
SIDES = ("ours", "libguestfs", "guest", "host")


def arguments():
    p = argparse.ArgumentParser(prog="./dev bench", description=__doc__.split("\n\n")[0])
    p.add_argument("--quick", action="store_true", help="--scale 0.0625 --rounds 1: does all of it work?")
    p.add_argument("--rounds", type=int, help="of each workload (5; long ones have fewer)")
    p.add_argument("--only", type=lambda s: s.split(","), metavar="NAME,...",
                   help="groups, workloads or patterns")
    p.add_argument("--alone", action="store_true", help="without libguestfs")
    p.add_argument("--scale", type=float, help="sizes and counts times so much")
    p.add_argument("--json", metavar="FILE", help="with --markdown docs/bench/bench.json")
    p.add_argument("--keep", action="store_true",
                   help="what FILE has of workloads that are not measured now stays in it")
    p.add_argument("--plots", metavar="DIR", help="with --markdown docs/bench")
    p.add_argument("--markdown", action="store_true", help="puts all of it into docs/performance.md")
    p.add_argument("--show", action="store_true", help="measures nothing: shows what FILE has")
    p.add_argument("--list", action="store_true", help="the names of all workloads")
    args = p.parse_args()
    args.rounds = args.rounds or (1 if args.quick else 5)
    args.scale = args.scale or (0.0625 if args.quick else 1)
    if args.markdown or args.show or args.keep:
        args.json = args.json or JSON
    if args.markdown:
        args.plots = args.plots or os.path.dirname(JSON)
    return args


# ---- what to measure ---------------------------------------------------------------------


def chosen(groups, only):
    """[(group, its workloads)]. What another one measures ("also") comes with that one."""
    def wanted(group, w):
        return not only or any(fnmatch.fnmatch(n, p) for p in only for n in (group.name, w.name))

    found = [(g, [w for w in g.workloads if wanted(g, w)]) for g in groups]
    found = [(g, ws) for g, ws in found if any(any(w.sides.values()) for w in ws)]
    if not found:
        sys.exit("bench: nothing has such a name; ./dev bench --list")
    return found


def names_of(todo):
    for group, todo_of in todo:
        print("%-12s %s" % (group.name, " ".join(w.name for w in todo_of)))


# ---- measuring ---------------------------------------------------------------------------


def template(work):
    """Of this run, in a cache of its own. Launches are cold unless a workload says otherwise."""
    os.environ["XDG_CACHE_HOME"] = os.path.join(work, "cache")
    os.mkdir(os.environ["XDG_CACHE_HOME"], 0o700)
    os.environ["FERRY_TEMPLATE"] = "never"
    side = new_side("ours", work)
    side.tell("template")
    side.close()


def coroutines():
    text = subprocess.run(["bench_co"], check=True, capture_output=True, text=True).stdout
    return [line.rstrip() for line in text.splitlines()]


def measure(todo, args, work, save):
    facts = {"command": "./dev bench " + shlex.join(sys.argv[1:]), "commit": machine.commit(),
             "machine": machine.line(), "scale": args.scale}
    results, m = Results(facts), Material(work)
    names = [n for n in SIDES if not (args.alone and n == "libguestfs")]
    for group, group_workloads in todo:
        results.know(group, group.workloads)
    template(work)
    if "libguestfs" in names:
        build_peers_appliance(m.image("first", 64), work)
    for group, group_workloads in todo:
        Runner(m, names, args.rounds, results, save).run(group, group_workloads)


def load(path):
    if path and os.path.exists(path):
        with open(path) as f:
            return json.load(f)
    return {"workloads": {}}


class Report:
    """What the JSON file holds: {"workloads": {name: ...}, "cancel": ..., "coroutines": [...]}."""

    def __init__(self, args, groups):
        self.path = args.json
        self.order = [w.name for g in groups for w in g.workloads]
        self.content = load(args.json) if args.keep or args.show else {"workloads": {}}
        self.content["cancel"] = load(CANCEL_JSON) if os.path.exists(CANCEL_JSON) else {}

    def save(self, measured):
        """Whenever there is more, so that what was measured is not lost with what comes."""
        merged = {**self.content["workloads"], **measured}
        self.content["workloads"] = {n: merged[n] for n in self.order if n in merged}
        if self.path:
            os.makedirs(os.path.dirname(os.path.abspath(self.path)), exist_ok=True)
            with open(self.path, "w") as f:
                json.dump({k: v for k, v in self.content.items() if k != "cancel"}, f, indent=1)


def run(todo, args, content):
    work = tempfile.mkdtemp(prefix="ferry-bench-", dir="/var/tmp")
    adopt_orphans()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    try:
        content.content["coroutines"] = coroutines()
        measure(todo, args, work, content.save)
    finally:
        left = end_all()
        shutil.rmtree(work, ignore_errors=True)
        if left:
            log("bench: left over, and killed: %s" % ", ".join(left))


def main():
    args = arguments()
    groups = workloads.groups(Size(args.scale))
    todo = chosen(groups, args.only)
    if args.list:
        return names_of(todo)
    content = Report(args, groups)
    if not args.show:
        run(todo, args, content)
    titles = {g.name: g.title for g in groups}
    print(report.markdown(content.content, titles, plots=False))
    print("\n".join(content.content.get("coroutines", [])))
    if args.plots:
        plots.draw_all(content.content["workloads"], args.plots)
    if args.markdown:
        report.replace_block(os.path.join(DOCS, "performance.md"),
                             report.markdown(content.content, titles))
    failed = any(figures.errors(e) for e in content.content["workloads"].values())
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
