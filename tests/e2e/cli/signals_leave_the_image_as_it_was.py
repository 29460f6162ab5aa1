"""^C, SIGTERM and SIGHUP at any moment: said at once, cleaned up, told by the exit code; the
image passes its checker and holds what it held before. A second ^C ends it all at once. Job
control stops and continues a transfer without breaking it."""

import os
import signal
import time
import unittest

import cli

CANCELLING = "Cancelling…"


class Signals(cli.Case):
    def setUp(self):
        super().setUp()
        self.disk = self.image()
        old = cli.random_file(self.path("old"), 100_000)
        cli.gferry("cp", old, f"{self.disk}:/target")
        self.old = cli.sha256(old)
        self.big = cli.random_file(self.path("big.iso"), 120 << 20)

    def image_is_as_it_was(self):
        self.fs_is_clean(self.disk)
        self.assertEqual(self.names_in(self.disk, "/"), ["lost+found", "target"])
        self.assertEqual(self.sha256_in(self.disk, "/target"), self.old)

    def ends(self, terminal, code):
        """The message is there, then the end; nothing is left."""
        terminal.expect(CANCELLING)
        self.assertEqual(terminal.end(), code, terminal.text[-300:])
        self.no_process_is_left()
        self.assertNotIn("gferry:", terminal.text)  # the user knows why it failed

    def test_ctrl_c_in_an_upload(self):
        with cli.Terminal("cp", *cli.SLOWLY, self.big, f"{self.disk}:/target") as t:
            t.expect(r" [1-9]\d?%")
            t.type("\x03")
            self.ends(t, 130)
        self.image_is_as_it_was()

    def test_ctrl_c_in_the_launch(self):
        with cli.Terminal("cp", *cli.SLOWLY, self.big, f"{self.disk}:/target") as t:
            t.expect("⠙|⠹|⠸|⠼")  # a spinner: booting
            t.type("\x03")
            self.ends(t, 130)
        self.image_is_as_it_was()

    def test_ctrl_c_in_a_download(self):
        cli.gferry("cp", self.big, f"{self.disk}:/big")
        out = self.path("out.bin")
        with open(out, "wb") as file:
            file.write(b"precious")
        with cli.Terminal("cp", *cli.SLOWLY, f"{self.disk}:/big", out) as t:
            t.expect(r" [1-9]\d?%")
            t.type("\x03")
            self.ends(t, 130)
        with open(out, "rb") as file:
            self.assertEqual(file.read(), b"precious")
        left = set(os.listdir(self.dir)) - {"disk.img", "old", "big.iso", "out.bin"}
        self.assertEqual(left, set())

    def test_ctrl_c_while_a_source_has_nothing_to_give(self):
        fifo = self.path("fifo")
        os.mkfifo(fifo)
        with cli.Terminal("cp", fifo, f"{self.disk}:/target") as t:
            with open(fifo, "wb", buffering=0) as writer:
                writer.write(b"x" * 8_000_000)
                t.expect(r"fifo  \S  [1-9][\d.]* [KM]iB")  # some of it arrived; now it hangs
                t.type("\x03")
                self.ends(t, 130)
        self.image_is_as_it_was()

    def test_ctrl_c_in_a_tree(self):
        tree = self.path("tree")
        os.mkdir(tree)
        for i in range(40):
            cli.random_file(os.path.join(tree, f"f{i}"), 3 << 20)
        with cli.Terminal("cp", *cli.SLOWLY, "-r", tree, f"{self.disk}:/") as t:
            t.expect(r" [1-9]\d?/40 files")
            t.type("\x03")
            self.ends(t, 130)
        # Whole files may be there, parts of files not.
        self.fs_is_clean(self.disk)
        for name in self.names_in(self.disk, "/tree"):
            self.assertEqual(self.sha256_in(self.disk, f"/tree/{name}"),
                             cli.sha256(os.path.join(tree, name)))

    def test_sigterm_and_sighup(self):
        for signo, code in ((signal.SIGTERM, 143), (signal.SIGHUP, 129)):
            with cli.Terminal("cp", *cli.SLOWLY, self.big, f"{self.disk}:/target") as t:
                t.expect(r" [1-9]\d?%")
                t.signal(signo)
                self.ends(t, code)
            self.image_is_as_it_was()

    def test_second_ctrl_c_ends_it_at_once(self):
        fifo = self.path("fifo")
        os.mkfifo(fifo)
        with cli.Terminal("cp", *cli.SLOWLY, self.big, f"{self.disk}:/target") as t:
            t.expect(r" [1-9]\d?%")
            # The appliance cannot take part in any clean-up: the first ^C would last 10 s.
            for pid in self.processes():
                with open(f"/proc/{pid}/comm", encoding="ascii") as file:
                    if file.read().startswith("qemu-system"):
                        os.kill(pid, signal.SIGSTOP)
            t.type("\x03")
            t.expect(CANCELLING)
            started = time.monotonic()
            t.type("\x03")
            self.assertEqual(t.end(), 130)
            self.assertLess(time.monotonic() - started, 8)
        self.no_process_is_left()

    def test_job_control(self):
        # A shell, because only a process with a parent in its session can be stopped by ^Z.
        shell = ["bash", "-c", 'set -m; "$@"; echo "status $?"; fg', "bash", cli.GFERRY]
        with cli.Terminal("cp", "--limit-rate", "12M", self.big, f"{self.disk}:/target",
                          program=shell) as t:
            t.expect(r" [1-9]\d?%")
            t.type("\x1a")
            t.expect("status 148")  # 128 + SIGTSTP; then the shell's fg
            t.expect(r" \d+%")  # the bar is back
            self.assertEqual(t.end(), 0, t.text[-300:])
        self.assertEqual(self.sha256_in(self.disk, "/target"), cli.sha256(self.big))

    def test_create_cancelled_leaves_nothing(self):
        before = set(os.listdir(self.dir))
        with cli.Terminal("create", self.path("new.qcow2"), "1G", "--fs", "ext4") as t:
            t.expect("⠙|⠹|⠸|⠼")
            t.type("\x03")
            self.ends(t, 130)
        self.assertEqual(set(os.listdir(self.dir)), before)

    def test_timeout_cleans_up_too(self):
        fifo = self.path("fifo")
        os.mkfifo(fifo)
        reader = os.open(fifo, os.O_RDWR)  # so that it opens; nothing ever comes
        run = cli.gferry("cp", "--timeout", "15", fifo, f"{self.disk}:/target", code=1)
        os.close(reader)
        self.assertIn("not done within 15 s (--timeout)", run.stderr)
        self.image_is_as_it_was()


if __name__ == "__main__":
    unittest.main()
