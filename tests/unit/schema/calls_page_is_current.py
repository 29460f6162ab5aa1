"""docs/calls.md says what the schema says. When this fails: look at the difference, then
copy the new page, as the message shows."""

import os
import unittest
from pathlib import Path

PAGE = Path(os.environ["FERRY_SOURCE_DIR"]) / "docs/calls.md"
MADE = Path(os.environ["FERRY_BUILD_DIR"]) / "gen/calls.md"


class Page(unittest.TestCase):
    maxDiff = None

    def test_current(self):
        self.assertEqual(PAGE.read_text(), MADE.read_text(), f"cp {MADE} {PAGE}")


if __name__ == "__main__":
    unittest.main()
