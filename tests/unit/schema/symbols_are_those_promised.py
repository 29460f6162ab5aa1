"""The generated public names are those of symbols.golden: none gets lost or renamed
unnoticed, because a program that uses it would not start any more. A new call adds its
lines there; a line that goes is a break of the ABI."""

import os
import sys
import unittest
from pathlib import Path

SOURCE = Path(os.environ["FERRY_SOURCE_DIR"])
GEN = Path(os.environ["FERRY_BUILD_DIR"]) / "gen"
sys.path.insert(0, str(SOURCE / "cmake"))

import symbol_map  # noqa: E402


class Symbols(unittest.TestCase):
    maxDiff = None
    made = (GEN / "symbols.txt").read_text().split()

    def test_golden(self):
        golden = Path(__file__).with_name("symbols.golden")
        self.assertEqual(
            self.made, golden.read_text().split(), f"cp {GEN}/symbols.txt {golden}"
        )

    def test_the_header_declares_them(self):
        header = symbol_map.exported_names([GEN / "guestferry/calls.h"])
        self.assertEqual(self.made, header)


if __name__ == "__main__":
    unittest.main()
