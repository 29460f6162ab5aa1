"""What the generator accepts, the compiler accepts: a schema that uses every feature
(fixture/) becomes C that the house's warnings let through, and a header for C++ too.
And a second run touches nothing, so that nothing is compiled again."""

import os
import shlex
import shutil
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

SOURCE = Path(os.environ["FERRY_SOURCE_DIR"])
BUILD = Path(os.environ["FERRY_BUILD_DIR"])  # for ferry_config.h
FIXTURE = Path(__file__).with_name("fixture")
WARNINGS = (
    "-Wall -Wextra -Wstrict-prototypes -Wmissing-prototypes -Wvla -Wshadow "
    "-Wpointer-arith -Wwrite-strings -Wno-missing-field-initializers -Werror"
).split()


def run(*command, cwd=None):
    done = subprocess.run(command, cwd=cwd, capture_output=True, text=True)
    if done.returncode:
        raise AssertionError(f"{shlex.join(map(str, command))}\n{done.stderr}")
    return done.stdout


class Fixture(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.directory = tempfile.TemporaryDirectory()
        cls.gen = Path(cls.directory.name)
        cls.generate()
        for kind in "hc":
            run("rpcgen", "-i", "0", f"-{kind}", "-o", f"ferry_xdr.{kind}", "ferry_xdr.x",
                cwd=cls.gen)  # fmt: skip
        cflags = run("pkg-config", "--cflags", "libtirpc").split()
        cls.flags = [
            "-fsyntax-only", "-D_GNU_SOURCE", f"-I{SOURCE}/include", f"-I{SOURCE}/src",
            f"-I{SOURCE}/daemon", f"-I{cls.gen}", f"-I{BUILD}/gen", *cflags,
        ]  # fmt: skip

    @classmethod
    def tearDownClass(cls):
        cls.directory.cleanup()

    @classmethod
    def generate(cls):
        run(sys.executable, "-B", SOURCE / "schema/generate.py", "--schema", FIXTURE,
            "--output", cls.gen, "--version", "1.2.3")  # fmt: skip

    def compile(self, *args):
        run("gcc", "-std=gnu11", *self.flags, *args)

    def test_wire(self):
        self.compile("-w", self.gen / "ferry_xdr.c")

    def test_library(self):
        self.compile(*WARNINGS, self.gen / "api_calls.c")

    def test_daemon(self):
        self.compile(*WARNINGS, self.gen / "daemon_dispatch.c")

    def test_public_header_alone(self):
        header = self.gen / "guestferry/calls.h"
        run("gcc", "-std=c99", "-pedantic", *self.flags, *WARNINGS, "-x", "c", header)
        if shutil.which("g++"):
            run("g++", "-std=c++11", "-pedantic", *self.flags, "-Wall", "-Wextra",
                "-Werror", "-x", "c++", header)  # fmt: skip

    def test_no_line_is_too_long(self):
        for path in self.gen.glob("**/*.[ch]"):
            if path.name.startswith("ferry_xdr"):
                continue  # rpcgen's
            for number, line in enumerate(path.read_text().splitlines(), 1):
                self.assertLessEqual(len(line), 88, f"{path.name}:{number}: {line}")

    def test_second_run_touches_nothing(self):
        files = [path for path in self.gen.rglob("*") if path.is_file()]
        self.assertGreater(len(files), 10)
        before = {path: path.stat().st_mtime_ns for path in files}
        self.generate()
        self.assertEqual(before, {path: path.stat().st_mtime_ns for path in files})

    def test_a_bad_schema_writes_nothing(self):
        with tempfile.TemporaryDirectory() as bad, tempfile.TemporaryDirectory() as out:
            for path in FIXTURE.glob("*.toml"):
                text = path.read_text().replace("number = 22", "number = 21")
                (Path(bad) / path.name).write_text(text)
            done = subprocess.run(
                [sys.executable, "-B", SOURCE / "schema/generate.py", "--schema", bad,
                 "--output", out], capture_output=True, text=True,
            )  # fmt: skip
            self.assertEqual(done.returncode, 1)
            self.assertEqual(
                done.stderr,
                "every.toml: [call.inside] number: 21 belongs to"
                " every.toml: [call.receive]\n",
            )
            self.assertEqual(list(Path(out).iterdir()), [])


if __name__ == "__main__":
    unittest.main()
