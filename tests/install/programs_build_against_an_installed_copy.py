#!/usr/bin/python3
"""Installs the build tree below a scratch prefix, then builds and runs consumer.c there
by pkg-config, by find_package(guestferry), and as C++ (the headers must be both).

The environment names the trees: FERRY_BUILD_DIR, FERRY_SOURCE_DIR.
"""

import os
import re
import subprocess
import tempfile
import textwrap
import unittest
from pathlib import Path

BUILD = Path(os.environ["FERRY_BUILD_DIR"])
SOURCE = Path(os.environ["FERRY_SOURCE_DIR"])
CONSUMER = SOURCE / "tests/install/consumer.c"
STRICT = ["-Wall", "-Wextra", "-Wpedantic", "-Werror"]


def run(*command, **kwargs):
    """The command's output; on failure an error that shows it."""
    done = subprocess.run(
        [str(c) for c in command], text=True, stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT, **kwargs,
    )
    if done.returncode != 0:
        raise AssertionError(f"{command} exited with {done.returncode}:\n{done.stdout}")
    return done.stdout


class Installed(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        scratch = tempfile.TemporaryDirectory(prefix="ferry-install-")
        cls.addClassCleanup(scratch.cleanup)
        cls.scratch = Path(scratch.name)
        cls.prefix = cls.scratch / "usr"
        run("cmake", "--install", BUILD, "--prefix", cls.prefix)
        (pc,) = cls.prefix.rglob("guestferry.pc")
        cls.libdir = pc.parents[1]
        cls.env = dict(os.environ, PKG_CONFIG_PATH=str(pc.parent))
        cls.version = run("pkg-config", "--modversion", "guestferry", env=cls.env)

    def flags(self, *options):
        return run("pkg-config", *options, "guestferry", env=self.env).split()

    def check_runs(self, program):
        env = dict(os.environ, LD_LIBRARY_PATH=str(self.libdir))
        self.assertEqual(run(program, env=env), self.version)

    def test_pkg_config(self):
        program = self.scratch / "by_pkg_config"
        run("cc", "-std=c11", *STRICT, *self.flags("--cflags"), CONSUMER, "-o", program,
            *self.flags("--libs"))
        self.check_runs(program)

    def test_the_program_in_the_readme_builds(self):
        blocks = re.findall(r"^```c\n(.*?)^```$", (SOURCE / "README.md").read_text(),
                            re.S | re.M)
        programs = [block for block in blocks if "int main(" in block]
        self.assertTrue(programs)
        for text in programs:
            run("cc", "-std=c11", *STRICT, *self.flags("--cflags"), "-x", "c", "-", "-o",
                self.scratch / "readme", *self.flags("--libs"), input=text)

    def test_find_package(self):
        project = self.scratch / "by_cmake"
        project.mkdir()
        (project / "CMakeLists.txt").write_text(textwrap.dedent(f"""\
            cmake_minimum_required(VERSION 3.25)
            project(consumer LANGUAGES C)
            find_package(guestferry {self.version.strip()} REQUIRED)
            add_executable(consumer {CONSUMER})
            target_link_libraries(consumer PRIVATE guestferry::guestferry)
            """))
        run("cmake", "-S", project, "-B", project / "build", "-G", "Ninja",
            f"-DCMAKE_PREFIX_PATH={self.prefix}")
        run("cmake", "--build", project / "build")
        self.check_runs(project / "build/consumer")

    def test_headers_stand_alone(self):
        for header in sorted(self.prefix.glob("include/guestferry/*.h")):
            with self.subTest(header=header.name):
                for language in ("c", "c++") if has_cxx() else ("c",):
                    run("cc", "-x", language, "-fsyntax-only", *STRICT,
                        *self.flags("--cflags"), "-include", header, "-",
                        input="int main(void) { return 0; }\n"
                        if language == "c" else "int main() { return 0; }\n")

    def test_nothing_private_is_installed(self):
        headers = {p.name for p in self.prefix.rglob("*.h")}
        public = {p.name for p in (SOURCE / "include").rglob("*.h")}
        public |= {p.name for p in BUILD.rglob("guestferry/*.h")}
        self.assertLessEqual(headers, public)
        self.assertEqual(list(self.prefix.rglob("*.a")), [])


def has_cxx():
    """Whether this gcc can compile C++ (g++ is no dependency of ours)."""
    probe = subprocess.run(
        ["cc", "-x", "c++", "-fsyntax-only", os.devnull], capture_output=True
    )
    return probe.returncode == 0


if __name__ == "__main__":
    unittest.main()
