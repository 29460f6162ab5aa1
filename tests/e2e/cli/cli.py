"""What the tests of gferry share: running it to its end or in a terminal of its own, images
in scratch directories, and looking at images with tools that are not ours.

Nothing waits by sleeping: a test goes on when a pattern has been shown, a process has ended,
or a deadline has passed, which fails it."""

import fcntl
import hashlib
import os
import pty
import re
import select
import shutil
import struct
import subprocess
import tempfile
import termios
import threading
import time
import unittest

import pyte

GFERRY = os.path.join(os.environ["FERRY_BUILD_DIR"], "bin", "gferry")
# For a transfer to which something is to happen half-way: 120 MiB take half a minute, however fast the
# machine is. Without it they are over before a bar has been drawn twice.
SLOWLY = ("--limit-rate", "4M")
# Modes are compared; whoever started us may have another.
os.umask(0o022)
# Two cores that others use too, and a guest that is emulated.
PATIENCE = 120
# In the environment of what a test starts: its scratch directory.
MARK = "GFERRY_TEST"
# `create --fs` puts its partition here.
PARTITION = 1 << 20


# What gferry says every 10 s where there is no terminal, and a machine is slow enough for it. Once,
# on one that took 11 s to boot, "gferry: booting, 10 s" was not the error that a test expected.
STILL_AT_IT = re.compile(r"^gferry: .*, (\d+ s|[\d:]+|eta \S+( s)?)\n", re.M)


def without_progress(text):
    """What gferry said on stderr, but for how far it was."""
    return STILL_AT_IT.sub("", text)


def gferry(*args, code=0, stdin=subprocess.DEVNULL, text=True, **kwargs):
    """Runs gferry without a terminal and checks its exit code."""
    run = subprocess.run([GFERRY, *map(str, args)], stdin=stdin, capture_output=True,
                         text=text, timeout=PATIENCE, check=False, **kwargs)
    if run.returncode != code:
        raise AssertionError(f"gferry {args}: exit code {run.returncode}, not {code}:\n"
                             f"{run.stderr}")
    if text:
        run.stderr = without_progress(run.stderr)
    return run


def sha256(path):
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def random_file(path, size):
    with open(path, "wb") as file:
        while size > 0:
            size -= file.write(os.urandom(min(size, 1 << 20)))
    return path


def proc(pid, name):
    with open(f"/proc/{pid}/{name}", "rb") as file:
        return file.read()


def makes_template(pid):
    """Is it, or a parent of it, a gferry that was left behind for that?"""
    while pid > 1:
        if proc(pid, "cmdline").startswith(b"gferry\0template\0build"):
            return True
        pid = int(proc(pid, "stat").rpartition(b")")[2].split()[1])
    return False


class Case(unittest.TestCase):
    """A test with a scratch directory, which no process may outlive."""

    def setUp(self):
        scratch = tempfile.TemporaryDirectory(prefix="gferry-cli-")
        self.addCleanup(scratch.cleanup)
        self.dir = scratch.name
        os.environ[MARK] = self.dir
        self.addCleanup(self.no_process_is_left)

    def path(self, name):
        return os.path.join(self.dir, name)

    # Images as `gferry create` made them, to be copied: each costs a boot.
    made = {}

    @classmethod
    def tearDownClass(cls):
        for path in cls.made.values():
            shutil.rmtree(os.path.dirname(path))
        cls.made.clear()

    def image(self, name="disk.img", size="256M", *options):
        """A new image with an ext4 file system in its one partition."""
        path = self.path(name)
        key = (os.path.splitext(name)[1], size, options)
        if key not in self.made:
            new = os.path.join(tempfile.mkdtemp(prefix="gferry-made-"), "new" + key[0])
            gferry("create", "-q", new, size, "--fs", "ext4", *options)
            self.made[key] = new
        subprocess.run(["cp", "--sparse=always", self.made[key], path], check=True)
        return path

    def processes(self):
        """Those of gferry that this test has started: itself, guard and qemu. They have our mark in
        their environment (under a template no drive is on qemu's command line), or our scratch
        directory on the command line (libvirt's qemu has an environment of its own). The process
        that a gferry leaves behind to make a template is nobody's."""
        mark = b"\0" + os.fsencode(f"{MARK}={self.dir}") + b"\0"
        found = []
        for pid in map(int, filter(str.isdigit, os.listdir("/proc"))):
            try:
                ours = os.fsencode(self.dir) in proc(pid, "cmdline")
                if not ours and proc(pid, "comm").startswith((b"gferry", b"qemu-system")):
                    ours = mark in b"\0" + proc(pid, "environ") and not makes_template(pid)
                if ours and pid != os.getpid():
                    found.append(pid)
            except OSError:
                pass  # it has just ended
        return found

    def no_process_is_left(self, within=PATIENCE):
        """Every process of ours has ended, or does so by itself: what a guard ends is gone in
        milliseconds, but on a busy machine 2 s were not enough."""
        deadline = time.monotonic() + within
        for pid in self.processes():
            try:
                fd = os.pidfd_open(pid)
            except ProcessLookupError:
                continue
            left = max(0, deadline - time.monotonic())
            ready = select.select([fd], [], [], left)[0]
            os.close(fd)
            self.assertTrue(ready, f"process {pid} is still there")

    # ---- looking at an image with tools that are not ours --------------------------------

    def raw(self, image):
        """The image as a raw file."""
        if image.endswith(".img"):
            return image
        raw = self.path("as-raw.img")
        subprocess.run(["qemu-img", "convert", "-O", "raw", image, raw], check=True)
        return raw

    def debugfs(self, image, request):
        run = subprocess.run(["debugfs", "-R", request,
                              f"{self.raw(image)}?offset={PARTITION}"],
                             capture_output=True, check=True, timeout=PATIENCE)
        return run.stdout

    def fs_is_clean(self, image):
        run = subprocess.run(["e2fsck", "-fn", f"{self.raw(image)}?offset={PARTITION}"],
                             capture_output=True, text=True, check=False, timeout=PATIENCE)
        self.assertEqual(run.returncode, 0, run.stdout)

    def sha256_in(self, image, path):
        return hashlib.sha256(self.debugfs(image, f"cat {path}")).hexdigest()

    def names_in(self, image, path):
        """The names in a directory of the image."""
        out = self.debugfs(image, f"ls -p {path}").decode()
        names = [line.split("/")[5] for line in out.splitlines() if line.startswith("/")]
        return sorted(set(names) - {".", "..", ""})


class Terminal:
    """gferry in a pseudo-terminal; what it shows is in .text."""

    def __init__(self, *args, columns=80, rows=25, env=None, program=(GFERRY,), **kwargs):
        self.master, slave = pty.openpty()
        self.emulator = pyte.Screen(columns, rows)
        self.stream = pyte.ByteStream(self.emulator)
        self.news = threading.Condition(threading.RLock())
        self.resize(columns, rows)
        self.text = ""
        self.seen = 0
        self.ended = False
        environment = {**os.environ, "TERM": "xterm", "LC_ALL": "C.UTF-8", **(env or {})}
        self.process = subprocess.Popen(
            [*program, *map(str, args)], stdin=slave, stdout=kwargs.pop("stdout", slave),
            stderr=slave, start_new_session=True, env=environment,
            # ^C is for the terminal's foreground group, so it must be our terminal.
            preexec_fn=lambda: fcntl.ioctl(slave, termios.TIOCSCTTY, 0), **kwargs)
        os.close(slave)
        # As a terminal does: what is written is taken, whether somebody looks or not.
        self.reader = threading.Thread(target=self._read)
        self.reader.start()

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        self.reader.join()
        os.close(self.master)

    def resize(self, columns, rows=25):
        with self.news:
            self.emulator.resize(rows, columns)
        fcntl.ioctl(self.master, termios.TIOCSWINSZ,
                    struct.pack("HHHH", rows, columns, 0, 0))

    def _read(self):
        while True:
            try:
                data = os.read(self.master, 65536)
            except OSError:  # EIO: nobody has the other end any more
                data = b""
            with self.news:
                self.text += data.decode(errors="replace")
                self.stream.feed(data)
                self.ended = not data
                self.news.notify_all()
            if not data:
                return

    def _wait(self, condition, deadline, what):
        with self.news:
            if not self.news.wait_for(condition, max(0, deadline - time.monotonic())):
                raise AssertionError(f"{what} did not come; {self.text[-300:]!r}")

    def expect(self, pattern, within=PATIENCE):
        """Waits until the pattern is shown, after what was expected before."""
        deadline = time.monotonic() + within
        self._wait(lambda: self.ended or re.search(pattern, self.text[self.seen:]),
                   deadline, repr(pattern))
        match = re.search(pattern, self.text[self.seen:])
        if not match:
            raise AssertionError(f"{pattern!r} never came: {self.text[-300:]!r}")
        self.seen += match.end()

    def end(self, within=PATIENCE):
        """Waits for the end. The exit code."""
        deadline = time.monotonic() + within
        self._wait(lambda: self.ended, deadline, "the end")
        return self.process.wait(max(0.1, deadline - time.monotonic()))

    def type(self, text):
        os.write(self.master, text.encode())

    def signal(self, signo):
        self.process.send_signal(signo)

    def lines(self):
        """The lines as they were written, redrawn ones once, long ones whole."""
        lines = []
        for line in self.text.replace("\r\n", "\n").split("\n"):
            shown = re.split(r"\r\x1b\[K", line)[-1]
            lines.append(re.sub(r"\x1b\[[0-9;]*[A-Za-z]", "", shown).rstrip("\r"))
        return [line for line in lines if line]

    def screen(self):
        """The lines as a person sees them now, empty ones left out."""
        with self.news:
            return [line.rstrip() for line in self.emulator.display if line.strip()]

    def shows(self, pattern, within=PATIENCE):
        """Waits until the screen as a whole matches the pattern."""
        self._wait(lambda: self.ended or re.search(pattern, "\n".join(self.screen())),
                   time.monotonic() + within, repr(pattern))
        if not re.search(pattern, "\n".join(self.screen())):
            raise AssertionError(f"{pattern!r} never came: {self.screen()!r}")
