"""From samples to figures: medians, ranges, ratios, verdicts. Pure; report.py and plots.py show them."""
import statistics

MORE_IS_BETTER = ("MB/s", "1/s")


def good(entry, side):
    return [s for s in entry["samples"].get(side, []) if "error" not in s]


def errors(entry):
    """[(side, what it said)], each once."""
    return sorted({(side, s["error"]) for side, samples in entry["samples"].items()
                   for s in samples if "error" in s})


def spread(entry, side):
    """{"median", "min", "max", "n"} or None."""
    got = [s["value"] for s in good(entry, side)]
    if not got:
        return None
    return {"median": statistics.median(got), "min": min(got), "max": max(got), "n": len(got)}


def better(entry, a, b):
    """How many times better value a is than b."""
    return (a / b if entry["unit"] in MORE_IS_BETTER else b / a) if a and b else None


def ratio(entry, base):
    """Ours beside libguestfs: the median of the rounds' own ratios; where one of them had fewer
    rounds, or only the base has a libguestfs, the ratio of the medians."""
    ours, peers = entry["samples"].get("ours", []), entry["samples"].get("libguestfs", [])
    paired = of_rounds(ours, peers, lambda a, b: better(entry, a, b))
    if paired is not None:
        return paired
    mine = spread(entry, "ours")
    theirs = spread(entry, "libguestfs") or (base and spread(base, "libguestfs"))
    return better(entry, mine["median"], theirs["median"]) if mine and theirs else None


def of_rounds(some, others, compare):
    """The median of what the rounds themselves give; None where not both were in all of them."""
    pairs = [compare(a["value"], b["value"]) for a, b in zip(some, others)
             if "error" not in a and "error" not in b]
    return statistics.median(pairs) if pairs and len(some) == len(others) else None


def divided(some, others):
    """Some as a multiple of others: that of the rounds, or else of the medians."""
    paired = of_rounds(some, others, lambda a, b: a / b)
    if paired is not None:
        return paired
    medians = [statistics.median(s["value"] for s in side if "error" not in s)
               for side in (some, others) if any("error" not in s for s in side)]
    return medians[0] / medians[1] if len(medians) == 2 else None


def share(entry, side):
    """Ours as a share of the guest's or the host's limit."""
    return divided(entry["samples"].get("ours", []), entry["samples"].get(side, []))


def of_base(entry, base):
    """Ours as a multiple of ours in the base."""
    return divided(entry["samples"].get("ours", []), base["samples"].get("ours", [])) if base else None


def per(entry):
    """(what a CPU cost is told for, how many of them a sample is)"""
    if entry["unit"] == "MB/s":
        return "GiB", entry["amount"] / 1024
    if entry["unit"] == "1/s":
        return "1000", entry["amount"] / 1000
    return "", 1


def cpu(entry, side):
    """Median CPU seconds: {"qemu", "caller", "all"}; a command is told as a whole."""
    def of(sample):
        count = sample["count"] / 1000 if "count" in sample else per(entry)[1]
        parts = [sample.get("cpu_qemu"), sample.get("cpu_host")]
        whole = sample["cpu"] if "cpu" in sample else sum(parts)
        return [p if p is None else p / count for p in parts + [whole]]

    rows = [of(s) for s in good(entry, side) if "cpu" in s or "cpu_qemu" in s]
    if not rows:
        return None
    medians = [None if None in column else statistics.median(column) for column in zip(*rows)]
    return dict(zip(("qemu", "caller", "all"), medians))


def verdicts(workloads):
    """[(what, the figure, what it is to be, holds)]"""
    found = []
    for entry in workloads.values():
        base = workloads.get(entry["base"])
        mine = spread(entry, "ours")
        tests = (
            (entry["target"], ratio(entry, base), "times libguestfs", True),
            (entry["of_guest"], share(entry, "guest"), "of the guest's limit", True),
            (entry["times_base"], of_base(entry, base), "times %s", False),
            (entry["at_least_base"], of_base(entry, base), "of %s", True),
            (entry["limit"], mine and mine["median"], entry["unit"], False),
        )
        for wanted, got, what, at_least in tests:
            if wanted and got is not None:
                text = what % base["title"] if "%s" in what else what
                found.append((entry["title"], got, ("at least %g %s" if at_least else "at most %g %s")
                              % (wanted, text), got >= wanted if at_least else got <= wanted))
    return found
