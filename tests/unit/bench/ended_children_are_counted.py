#!/usr/bin/python3
"""What a side has others do is its own cost, also when they have ended before anybody looks.

libguestfs' copy_out is a tar on the host that is gone when the call returns: half a second of CPU
was missing in the table, beside ours, which was all there."""

import sys
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[3] / "bench"))
from side import Side  # noqa: E402

SPIN = "import time\nwhile time.process_time() < %g: pass"
WORKER = """
import subprocess, sys
for line in sys.stdin:
    subprocess.run([sys.executable, "-c", %r], check=True)
    print('{"s": 1}', flush=True)
"""


class EndedChildren(unittest.TestCase):
    def test_are_counted(self):
        side = Side("it", [sys.executable, "-c", WORKER % (SPIN % 0.3)])
        try:
            reply = side.tell("spin")
        finally:
            side.close()
        self.assertGreaterEqual(reply["cpu_host"], 0.28)  # it is told in hundredths
        self.assertEqual(reply["cpu_qemu"], 0)


if __name__ == "__main__":
    unittest.main()
