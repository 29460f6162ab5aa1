"""docs/man/gferry.1 names every command, option and exit code that --help shows, and none
that it does not."""

import os
import re
import subprocess
import unittest

GFERRY = os.path.join(os.environ["FERRY_BUILD_DIR"], "bin", "gferry")
MANUAL = os.path.join(os.environ["FERRY_SOURCE_DIR"], "docs", "man", "gferry.1")
COMMANDS = "cp ls cat mkdir rm stat info create doctor".split()
LONG = re.compile(r"(?<![\w-])--[a-z][a-z-]+")


def help_of(*command):
    return subprocess.run([GFERRY, *command, "--help"], capture_output=True, text=True,
                          check=True, timeout=30).stdout


class Manual(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        with open(MANUAL, encoding="utf-8") as file:
            # roff writes a hyphen that may be copied as "\-".
            cls.text = file.read().replace(r"\-", "-")

    def test_options(self):
        shown = set()
        for command in [()] + [(c,) for c in COMMANDS]:
            shown |= set(LONG.findall(help_of(*command)))
        self.assertGreater(len(shown), 10)
        self.assertEqual(shown - {"--help"}, set(LONG.findall(self.text)) - {"--help"})

    def test_commands(self):
        for command in COMMANDS:
            self.assertRegex(self.text, rf"(?m)^\.SS gferry {command}$")

    def test_exit_codes(self):
        section = self.text.split(".SH EXIT STATUS")[1].split("\n.SH ")[0]
        codes = re.findall(r"(?m)^\.B (\d+)$", section)
        self.assertEqual(codes, "0 1 2 3 4 5 129 130 141 143".split())

    def test_it_is_clean_roff(self):
        run = subprocess.run(["man", "--warnings=all", "-l", "-Tutf8", "-Z", MANUAL],
                             capture_output=True, text=True, check=False,
                             env=dict(os.environ, MANPAGER="cat", MANWIDTH="80", LC_ALL="C.UTF-8"),
                             timeout=60) if have("man") else None
        if run is None:
            self.skipTest("no man(1) here")
        self.assertEqual((run.returncode, run.stderr), (0, ""))


def have(program):
    return any(os.access(os.path.join(d, program), os.X_OK)
               for d in os.environ["PATH"].split(":"))


if __name__ == "__main__":
    unittest.main()
