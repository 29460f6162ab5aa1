"""The tables, and their place in docs/performance.md."""
import figures

BEGIN, END = "<!-- bench -->\n", "<!-- end -->\n"
PLOTS = (("size", "Cost by size"), ("count", "Cost by count"), ("at-once", "Many at once"))


def number(x):
    digits = 0 if x >= 100 else 1 if x >= 10 else 2
    return "%.*f" % (digits, x)


def cell(spread):
    if not spread:
        return "-"
    if spread["n"] == 1:
        return "%s (once)" % number(spread["median"])
    return "%s (%s-%s)" % tuple(number(spread[k]) for k in ("median", "min", "max"))


def times(ratio):
    return "-" if ratio is None else "%.3g" % ratio


def table(heads, rows):
    return "\n".join(["| " + " | ".join(heads) + " |", "|---" * len(heads) + "|"]
                     + ["| " + " | ".join(row) + " |" for row in rows])


# ---- tables ------------------------------------------------------------------------------


def beside(entry, base):
    """What it is compared with: libguestfs, or else ours in the base."""
    ratio, of_base = figures.ratio(entry, base), figures.of_base(entry, base)
    if ratio is None and of_base is not None:
        return "%s x %s" % (times(of_base), base["title"])
    return times(ratio)


def speeds(entries, workloads):
    rows = [[e["title"], e["unit"], cell(figures.spread(e, "ours")),
             cell(figures.spread(e, "libguestfs")), beside(e, workloads.get(e["base"]))]
            for e in entries]
    return table(["", "", "ours: median (range)", "libguestfs", "times better"], rows)


def limits(entries):
    """Beside what the machine can do at all: `dd`'s calls in the guest, where that was asked, and `cp`."""
    entries = [e for e in entries if figures.spread(e, "ours")
               and (figures.spread(e, "guest") or figures.spread(e, "host"))]
    guest = any(figures.spread(e, "guest") for e in entries)

    def row(e):
        return ([e["title"], cell(figures.spread(e, "ours"))]
                + ([cell(figures.spread(e, "guest")), times(figures.share(e, "guest"))] if guest else [])
                + [cell(figures.spread(e, "host")), times(figures.share(e, "host"))])

    heads = ["ours"] + (["`dd`'s calls in the guest", "ours of it"] if guest else [])
    return entries and table([entries[0]["unit"]] + heads + ["`cp` on the host", "ours of it"],
                             [row(e) for e in entries])


def costs(entries):
    rows = []
    for e in entries:
        ours, peers = figures.cpu(e, "ours"), figures.cpu(e, "libguestfs")
        if not ours:
            continue
        unit = figures.per(e)[0]
        rows.append([e["title"], "s/" + unit if unit else "s"]
                    + ["-" if not c or c[k] is None else number(c[k])
                       for c in (ours, peers) for k in ("qemu", "caller", "all")]
                    + [times(peers["all"] / ours["all"] if peers and ours["all"] else None)])
    return table(["CPU seconds", "", "ours: qemu", "caller", "both", "libguestfs: qemu", "caller",
                  "both", "times less"], rows)


def judgement(workloads):
    rows = [[what, "%.3g" % got, wanted, "holds" if holds else "**short**"]
            for what, got, wanted, holds in figures.verdicts(workloads)]
    return "### Targets\n\n" + table(["", "is", "is to be", ""], rows) + "\n\n" if rows else ""


def notes(entries):
    said = [e["note"] for e in entries if e["note"]]
    said += ["%s: %s failed: %s" % (e["title"], side, text)
             for e in entries for side, text in figures.errors(e)]
    return "".join("\n* " + text for text in said)


def cancels(report):
    rows = report.get("cancel", {}).get("rows", [])
    if not rows:
        return ""
    lines = [[r["name"], str(r["ours"]["n"]), number(r["ours"].get("p50", 0)),
              number(r["ours"].get("p99", 0)), number(r["libguestfs"]["p50"])
              if r["libguestfs"].get("n") else "-"] for r in rows]
    return "### Cancel\n\nMore of it in cancellation.md.\n\n" + table(
        ["ms", "samples", "p50", "p99", "libguestfs: p50"], lines) + "\n\n"


# ---- the whole ------------------------------------------------------------------------------


def provenance(workloads):
    """Where the figures are from; those of an earlier run that were kept say so themselves."""
    runs = {}
    for e in workloads.values():
        runs.setdefault((e["command"], e["commit"], e["machine"]), []).append(e)
    lines = []
    for (command, commit, machine), entries in runs.items():
        loads = sorted(s["load"] for e in entries for side in e["samples"].values() for s in side)
        what = "" if len(runs) == 1 else " (%s)" % ", ".join(sorted({e["group"] for e in entries}))
        lines.append("`%s`%s, commit %s; %s; load average %.1f, %.1f, %.1f (least, median, most)."
                     % (command, what, commit, machine, loads[0], loads[len(loads) // 2], loads[-1]))
    return "\n".join(lines)


def markdown(report, titles, plots=True):
    """titles: {group: its heading}, in order."""
    workloads = report["workloads"]
    parts = [provenance(workloads), "\n\n", judgement(workloads)]
    for group, title in titles.items():
        entries = [e for e in workloads.values() if e["group"] == group and e["table"]]
        if not entries:
            continue
        parts += ["### %s\n\n" % title, speeds(entries, workloads), "\n"]
        if limits(entries):
            parts += ["\n", limits(entries), "\n"]
        parts += [notes(entries) and notes(entries) + "\n", "\n"]
    parts += ["### CPU\n\n", costs([e for e in workloads.values()
                                     if e["table"] and e["unit"] in ("MB/s", "1/s", "s")]), "\n\n", cancels(report)]
    if plots:
        parts += ["### Plots\n\n", "".join("![%s](bench/%s.svg)\n" % (title, name)
                                         for name, title in PLOTS), "\n"]
    return "".join(parts)


def replace_block(path, text, begin=BEGIN, end=END):
    """What is between the two marks in a page becomes the text."""
    with open(path) as f:
        page = f.read()
    before, rest = page.split(begin, 1)
    with open(path, "w") as f:
        f.write(before + begin + text + end + rest.split(end, 1)[1])
