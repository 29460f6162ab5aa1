"""Whoever builds a template, however that ends - two at once, a kill in any phase, a full disk,
a read-only one -, what is there afterwards is whole or nothing, and gferry works."""

import os
import select
import signal
import subprocess
import sys
import unittest

import cli
from cli import GFERRY, gferry


class Template(cli.Case):
    def setUp(self):
        super().setUp()
        self.cache = self.path("cache")
        os.mkdir(self.cache, 0o700)
        self.env = dict(os.environ, XDG_CACHE_HOME=self.cache)
        self.env.pop("FERRY_TEMPLATE", None)

    def start(self):
        return subprocess.Popen([GFERRY, "template", "build", "--progress=plain"],
                                env=self.env, stdin=subprocess.DEVNULL, text=True,
                                stdout=subprocess.PIPE, stderr=subprocess.PIPE)

    def shown(self):
        out = gferry("template", "show", "--json", env=self.env).stdout
        return [line for line in out.split() if line == '"name":']

    def works(self, *args):
        """A launch that needs no template; what it says on stderr."""
        image = self.image()
        run = gferry("ls", *args, f"{image}:/", env=self.env)
        self.assertIn("lost+found", run.stdout)
        return run.stderr

    def test_two_at_once(self):
        builders = [self.start(), self.start()]
        ends = [(b.communicate(timeout=cli.PATIENCE), b.returncode) for b in builders]
        codes = sorted(code for _, code in ends)
        said = " ".join(text for (_, text), _ in ends)
        # The slower one may come when all is done.
        self.assertIn(codes, ([0, 1], [0, 0]), said)
        self.assertRegex(said, "another process|there already")
        self.assertEqual(len(self.shown()), 1)
        self.works("--template=require")

    def test_killed(self):
        """As soon as there is a lock: it is then booting, or about to."""
        templates = os.path.join(self.cache, "guestferry", "templates")
        builder = self.start()
        fd = os.pidfd_open(builder.pid)
        while not (os.path.isdir(templates) and os.listdir(templates)):
            ready = select.select([fd], [], [], 0.01)[0]  # its end would be the end of it
            self.assertFalse(ready, "it has ended by itself")
        os.close(fd)
        builder.send_signal(signal.SIGKILL)
        builder.communicate()
        self.assertEqual(self.shown(), [])
        gferry("template", "build", env=self.env)
        self.assertEqual(len(self.shown()), 1)
        left = [n for n in os.listdir(templates) if n.endswith(".tmp")]
        self.assertEqual(left, [])
        self.works("--template=require")

    def test_required_and_not_to_be_had(self):
        """The image is as good as ever: it is the launch that failed, as the exit code says."""
        image = self.image()
        command = ("ls", "--template=require", f"{image}:/")
        run = gferry(*command, code=5, env=self.env)
        self.assertIn("there is no template", run.stderr)
        gferry("template", "build", env=self.env)
        templates = os.path.join(self.cache, "guestferry", "templates")
        for name in os.listdir(templates):
            state = os.path.join(templates, name, "state")
            if os.path.exists(state):
                with open(state, "r+b") as file:
                    file.seek(1000)
                    byte = file.read(1)
                    file.seek(1000)
                    file.write(bytes([byte[0] ^ 1]))
        run = gferry(*command, code=5, env=self.env)
        self.assertIn("template", run.stderr)
        self.assertIn("launch", run.stderr)

    def builder_behind(self):
        """A descriptor of the gferry that was left behind."""
        mine = os.fsencode(f"XDG_CACHE_HOME={self.cache}")
        for pid in filter(str.isdigit, os.listdir("/proc")):
            try:
                with open(f"/proc/{pid}/cmdline", "rb") as file:
                    args = file.read()
                with open(f"/proc/{pid}/environ", "rb") as file:
                    if mine in file.read() and args.startswith(b"gferry\0template\0build"):
                        return os.pidfd_open(int(pid))
            except OSError:
                pass  # it has just ended
        return -1

    def test_behind_a_cold_launch(self):
        """The first command makes the next one's; it does not wait for it."""
        self.assertIn("is being made", self.works("-v"))
        fd = self.builder_behind()
        if fd >= 0:
            self.assertTrue(select.select([fd], [], [], cli.PATIENCE)[0])
            os.close(fd)
        self.assertEqual(len(self.shown()), 1)
        self.assertNotIn("is being made", self.works("-v", "--template=require"))

    def in_a_mount(self, options, command):
        """Runs a shell command where the cache is a tmpfs of its own; (code, output)."""
        script = (f"mount -t tmpfs -o mode=700 none '{self.cache}' && "
                  f"mount -o remount,{options} '{self.cache}' || exit 77; {command}")
        run = subprocess.run(["unshare", "-m", "sh", "-c", script], env=self.env,
                             stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                             stderr=subprocess.STDOUT, text=True, timeout=cli.PATIENCE,
                             check=False)
        if run.returncode == 77 or "unshare" in run.stdout:
            self.skipTest("needs root")
        return run.returncode, run.stdout

    def test_full_and_read_only(self):
        image = self.image()
        for options, words in (("size=8m", "disk space"), ("size=170m,nr_inodes=7", "No space|no space"), ("ro", "ead-only|cannot be made")):
            with self.subTest(options):
                code, out = self.in_a_mount(
                    options,
                    f"{GFERRY} template build; echo code $?; {GFERRY} template show;"
                    f"find {self.cache} -name '*.tmp'; FERRY_TEMPLATE=never {GFERRY} ls {image}:/")
                self.assertEqual(code, 0, out)
                self.assertIn("code 1", out)
                self.assertRegex(out, words)
                self.assertIn("no template", out)
                self.assertNotIn(".tmp", out)
                self.assertIn("lost+found", out)


if __name__ == "__main__":
    unittest.main(argv=[sys.argv[0], "-v", *sys.argv[1:]])
