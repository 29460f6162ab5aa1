"""Several transfers at once: each has a bar, and the whole has one below them. They are drawn
in place, go when a transfer ends, and leave nothing on the screen, also at ^C, whose echo at
the end of a full line once made the terminal scroll by a line that we did not know of.

The sources are FIFOs, so that nothing ends before it has been looked at."""

import json
import os
import re
import unittest

import cli


class Bars(cli.Case):
    def setUp(self):
        super().setUp()
        self.disk = self.image()
        self.fifos = [self.path(name) for name in ("first", "second", "third")]
        for fifo in self.fifos:
            os.mkfifo(fifo)

    def test_three_at_once(self):
        with cli.Terminal("cp", *self.fifos, f"{self.disk}:/", columns=60) as t:
            writers = [open(fifo, "wb", buffering=0) for fifo in self.fifos]
            for writer in writers:
                writer.write(b"x" * 3_000_000)
            t.shows(r"first .* MiB.*\nsecond .* MiB.*\nthird .* MiB.*\ntotal .*0/3 files")
            writers.pop(1).close()
            t.shows(r"first .* MiB.*\nthird .* MiB.*\ntotal .*1/3 files")
            self.assertNotIn("second", "\n".join(t.screen()))
            t.type("\x03")
            for writer in writers:
                writer.close()
            self.assertEqual(t.end(), 130)
            self.assertEqual(t.screen(), ["Cancelling… (again: stop at once)"])
        self.fs_is_clean(self.disk)

    def test_a_small_terminal_shows_the_whole_only(self):
        with cli.Terminal("cp", *self.fifos, f"{self.disk}:/", rows=3) as t:
            writers = [open(fifo, "wb", buffering=0) for fifo in self.fifos]
            for writer in writers:
                writer.write(b"x" * 3_000_000)
            t.shows(r"\Atotal .* 9 MB|\Atotal .* 8\.\d MiB")
            for writer in writers:
                writer.close()
            self.assertEqual(t.end(), 0, t.text[-300:])
            self.assertRegex("\n".join(t.screen()), r"\Atotal  3 files, 8.6 MiB in ")

    def test_json_names_each(self):
        with cli.Terminal("cp", "--progress", "json", *self.fifos, f"{self.disk}:/",
                          columns=2000) as t:
            writers = [open(fifo, "wb", buffering=0) for fifo in self.fifos]
            for writer in writers:
                writer.write(b"x" * 3_000_000)
            t.expect(r'"transfers":\s*\[\{.*"bytes":\s*[1-9].*"third"')
            for writer in writers:
                writer.close()
            self.assertEqual(t.end(), 0, t.text[-300:])
        objects = [json.loads(line) for line in re.findall(r"^\{.*\}", t.text, re.M)]
        names = {x["file"] for o in objects for x in o.get("transfers", [])}
        self.assertEqual(names, {"first", "second", "third"})


if __name__ == "__main__":
    unittest.main()
