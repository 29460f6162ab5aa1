#!/usr/bin/python3
"""A side that fails costs its sample, is told in the table, and is begun anew for the next one; the
other sides go on. Order changes from round to round."""

import sys
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[3] / "bench"))
import figures  # noqa: E402
import report  # noqa: E402
import runner  # noqa: E402
from runner import Results, Runner  # noqa: E402
from side import SideError  # noqa: E402
from workload import Group, Workload  # noqa: E402


class Sides:
    """A session whose libguestfs dies in its first command."""

    def __init__(self):
        self.begun, self.dropped, self.closed = [], [], False

    def side(self, name):
        self.begun.append(name)
        return name

    def drop(self, name):
        self.dropped.append(name)

    def close(self):
        self.closed = True


class FailingSides(unittest.TestCase):
    def setUp(self):
        runner.os.sync = lambda: None  # nothing is written here that could wait
        self.session, self.order = Sides(), []

    def do(self, side, _):
        self.order.append(side)
        if side == "libguestfs" and "libguestfs" not in self.session.dropped:
            raise SideError("libguestfs: stat: the worker has ended")
        return {"s": 2.0, "also": {"second": {"s": 1.0}}}

    def measure(self, rounds):
        first = Workload("first", "the first", "s", {"ours": self.do, "libguestfs": self.do},
                         rounds={"libguestfs": 2})
        second = Workload("second", "the second", "s", {"ours": None, "libguestfs": None})
        group = Group("g", "G", [first, second], lambda m, names: self.session)
        results = Results({"command": "c", "commit": "1", "machine": "m"})
        results.know(group, group.workloads)
        Runner(None, ["ours", "libguestfs"], rounds, results, lambda measured: None).run(group, group.workloads)
        return results.workloads

    def test_all_of_it(self):
        found = self.measure(3)
        self.assertEqual(self.order, ["ours", "libguestfs", "libguestfs", "ours", "ours"])
        self.assertEqual(self.session.dropped, ["libguestfs"])
        self.assertTrue(self.session.closed)

        first = found["first"]
        self.assertEqual(figures.spread(first, "ours")["n"], 3)
        self.assertEqual(figures.spread(first, "libguestfs")["n"], 1)
        self.assertEqual(figures.spread(found["second"], "ours")["median"], 1.0)
        text = report.markdown({"workloads": found}, {"g": "G"})
        self.assertIn("libguestfs failed: libguestfs: stat: the worker has ended", text)


if __name__ == "__main__":
    unittest.main()
