"""The rounds: in each, every workload is done by all its sides, one right after the other, and the
order changes from round to round. So a busy machine slows all of them, and a ratio is that of
neighbours."""
import json
import os

from material import in_order, log
from side import SideError


# What a transfer writes on the host, once, and something for whoever else needs any.
PRESENT_MORE_MIB, PRESENT_MAX_MIB = 128, 2304


class Runner:
    """save(what has been measured) is called after each workload's round: a run may be cut short."""

    def __init__(self, m, names, rounds, results, save):
        self.m, self.names, self.rounds, self.results, self.save = m, names, rounds, results, save

    def run(self, group, workloads):
        log("== %s" % group.name)
        session = group.open(self.m, self.names)
        try:
            for number in range(self.rounds):
                for workload in workloads:
                    self.round(session, workload, number)
        finally:
            if session:
                session.close()

    def round(self, session, workload, number):
        sides = [s for s in workload.sides if s in self.names and workload.sides[s]]
        for name in in_order(sides, number):
            if number < workload.rounds.get(name, self.rounds):
                self.sample(session, workload, name)
        self.save(self.results.workloads)

    def sample(self, session, workload, name):
        try:
            if workload.unit == "MB/s":
                self.m.make_present(min(PRESENT_MAX_MIB, int(workload.amount) + PRESENT_MORE_MIB))
            os.sync()  # what the last one has left to be written is not this one's
            side = session.side(name) if session else None
            answer = workload.sides[name](side, self.m)
        except (SideError, RuntimeError, OSError) as e:
            if session:
                session.drop(name)
            answer = {"error": str(e)}
        if answer is not None:
            self.results.add(workload, name, answer)


class Results:
    """What was measured: {workload's name: {"samples": {side: [sample of each round]}, ...}}."""

    def __init__(self, facts):
        self.facts = facts
        self.workloads, self.known = {}, {}

    def know(self, group, workloads):
        for w in workloads:
            self.known[w.name] = (group, w)

    def add(self, workload, side, answer):
        also = answer.pop("also", {})
        entry = self.workloads.setdefault(
            workload.name, dict(workload.facts(), group=self.known[workload.name][0].name, **self.facts,
                                samples={}))
        sample = dict(answer, load=round(os.getloadavg()[0], 1))
        if "error" not in answer:
            sample["value"] = round(workload.value(answer), 4)
        entry["samples"].setdefault(side, []).append(sample)
        log("  %-24s %-10s %s" % (workload.name, side, json.dumps(shortened(sample))))
        for name, other in also.items():
            if name in self.known:
                self.add(self.known[name][1], side, other)


def shortened(sample):
    return {k: v for k, v in sample.items() if k != "ms"}
