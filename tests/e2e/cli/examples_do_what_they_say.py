"""The programs in examples/: each is run as its first comment says."""

import os
import re
import signal
import subprocess
import unittest

import cli

EXAMPLES = os.path.join(os.environ["FERRY_BUILD_DIR"], "examples")


class Examples(cli.Case):
    def setUp(self):
        super().setUp()
        self.disk = self.image()
        self.file = cli.random_file(self.path("file"), 5_000_001)

    def example(self, name, *args, code=0):
        run = subprocess.run([os.path.join(EXAMPLES, name), *args], capture_output=True,
                             text=True, check=False, timeout=cli.PATIENCE)
        self.assertEqual(run.returncode, code, run.stderr)
        return run

    def test_blocking(self):
        self.example("blocking", self.disk, self.file, "/file")
        self.assertEqual(self.sha256_in(self.disk, "/file"), cli.sha256(self.file))
        self.fs_is_clean(self.disk)
        run = self.example("blocking", self.disk, self.path("gone"), "/x", code=1)
        self.assertIn("gone: no such file", run.stderr)

    def test_upload_on_loop(self):
        self.example("upload_on_loop", self.disk, self.file, "/file")
        self.assertEqual(self.sha256_in(self.disk, "/file"), cli.sha256(self.file))
        self.fs_is_clean(self.disk)

    def test_upload_on_loop_cancelled_by_its_timer(self):
        fifo = self.path("fifo")  # never gives a byte, so the timer always wins
        os.mkfifo(fifo)
        keep = os.open(fifo, os.O_RDWR)
        self.example("upload_on_loop", self.disk, fifo, "/file", "8000", code=3)
        os.close(keep)
        self.fs_is_clean(self.disk)
        self.assertEqual(self.names_in(self.disk, "/"), ["lost+found"])

    def test_ten_at_once(self):
        files = [cli.random_file(self.path(f"f{i}"), i * 300_007) for i in range(10)]
        self.example("ten_at_once", self.disk, "/", *files)
        for file in files:
            self.assertEqual(self.sha256_in(self.disk, os.path.basename(file)),
                             cli.sha256(file))
        self.example("ten_at_once", self.disk, "/", self.path("gone"), files[1], code=1)
        self.fs_is_clean(self.disk)

    def test_cancel_on_sigint(self):
        self.example("cancel_on_sigint", self.disk, self.file, "/file")
        self.assertEqual(self.sha256_in(self.disk, "/file"), cli.sha256(self.file))

        fifo = self.path("fifo")
        os.mkfifo(fifo)
        with subprocess.Popen([os.path.join(EXAMPLES, "cancel_on_sigint"), self.disk, fifo,
                               "/file"], stderr=subprocess.PIPE, text=True) as process:
            # It opens the FIFO when the upload has begun; until then this open waits.
            with open(fifo, "wb", buffering=0) as writer:
                writer.write(b"x")
                process.send_signal(signal.SIGINT)
                said = process.stderr.read()
                self.assertEqual(process.wait(cli.PATIENCE), 130)
        self.assertTrue(re.fullmatch("cancelled\n", said), said)
        self.assertEqual(self.sha256_in(self.disk, "/file"), cli.sha256(self.file))
        self.fs_is_clean(self.disk)


if __name__ == "__main__":
    unittest.main()
