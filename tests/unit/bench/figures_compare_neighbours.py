#!/usr/bin/python3
"""A ratio is the median of the rounds' own ratios, more is better whatever the unit; sides with fewer
rounds, and workloads of which the peer knows none, are compared by medians; verdicts go by them."""

import sys
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[3] / "bench"))
import figures  # noqa: E402
import report  # noqa: E402


def entry(unit, title="it", base="", amount=1024, **samples):
    wanted = {"target": 0, "of_guest": 0, "times_base": 0, "at_least_base": 0, "limit": 0}
    known = {k: samples.pop(k) for k in wanted if k in samples}
    return {"unit": unit, "title": title, "base": base, "amount": amount, "note": "", "group": "g",
            "table": True, "command": "c", "commit": "1", "machine": "m", **wanted, **known,
            "samples": {side: [v if isinstance(v, dict) else {"value": v, "load": 1} for v in values]
                        for side, values in samples.items()}}


class Ratios(unittest.TestCase):
    def test_of_neighbours(self):
        # A machine that is ten times slower in one round changes no ratio.
        e = entry("MB/s", ours=[400, 40, 500], libguestfs=[100, 10, 100])
        self.assertEqual(figures.ratio(e, None), 4)

    def test_seconds_are_better_when_fewer(self):
        self.assertEqual(figures.ratio(entry("s", ours=[2.0], libguestfs=[10.0]), None), 5)

    def test_fewer_rounds_are_compared_by_medians(self):
        e = entry("MB/s", ours=[100, 300, 500], libguestfs=[100])
        self.assertEqual(figures.ratio(e, None), 3)

    def test_base_stands_for_what_the_peer_cannot(self):
        base = entry("1/s", ours=[50], libguestfs=[10, 20, 30])
        self.assertEqual(figures.ratio(entry("1/s", base="b", ours=[200]), base), 10)
        self.assertEqual(figures.of_base(entry("1/s", base="b", ours=[200]), base), 4)

    def test_failed_rounds_do_not_count(self):
        e = entry("s", ours=[{"error": "no"}, 1.0], libguestfs=[9.0, 4.0])
        self.assertEqual(figures.ratio(e, None), 4)
        self.assertIsNone(figures.ratio(entry("s", ours=[{"error": "no"}], libguestfs=[1.0]), None))


class Verdicts(unittest.TestCase):
    def test_each_kind(self):
        workloads = {
            "fast": entry("MB/s", "fast", target=5, ours=[50], libguestfs=[10]),
            "slow": entry("MB/s", "slow", target=5, ours=[49], libguestfs=[10]),
            "guest": entry("MB/s", "guest", of_guest=0.8, ours=[79], guest=[100]),
            "idle": entry("ms", "idle", ours=[1.0]),
            "beside": entry("ms", "beside", base="idle", times_base=3, ours=[2.5]),
            "fat": entry("MiB", "fat", limit=48, ours=[49]),
        }
        got = {what: holds for what, _, _, holds in figures.verdicts(workloads)}
        self.assertEqual(got, {"fast": True, "slow": False, "guest": False, "beside": True,
                               "fat": False})

    def test_shown(self):
        text = report.judgement({"slow": entry("s", "slow", target=5, ours=[2.0], libguestfs=[4.0])})
        self.assertIn("| slow | 2 | at least 5 times libguestfs | **short** |", text)


class Cpu(unittest.TestCase):
    def test_per_unit_of_work(self):
        mib = entry("MB/s", amount=512, ours=[{"value": 1, "cpu_qemu": 1.0, "cpu_host": 0.5}])
        self.assertEqual(figures.cpu(mib, "ours"), {"qemu": 2.0, "caller": 1.0, "all": 3.0})
        # The peer did 40 of the 1,000.
        few = entry("1/s", amount=1000, libguestfs=[
            {"value": 1, "count": 40, "cpu_qemu": 2.0, "cpu_host": 0.0}])
        self.assertEqual(figures.cpu(few, "libguestfs")["all"], 50.0)


if __name__ == "__main__":
    unittest.main()
