"""A file that gferry copies into an image is there, byte for byte, for tools that are not
ours, and comes back the same, for each format and for sizes around those of blocks."""

import json
import os
import subprocess
import unittest

import cli


class RoundTrip(cli.Case):
    def there_and_back(self, name, *options):
        image = self.image(name)
        sizes = (0, 1, 4095, 4096, 4097, (1 << 20) - 1, (1 << 20) + 1, 20 << 20)
        files = [cli.random_file(self.path(f"f{size}"), size) for size in sizes]
        os.chmod(files[1], 0o640)
        cli.gferry("cp", *options, *files, f"{image}:/")

        for file in files:
            self.assertEqual(cli.sha256(file), self.sha256_in(image, os.path.basename(file)))
        self.assertIn(b"Mode:  0640", self.debugfs(image, "stat /f1"))
        self.fs_is_clean(image)

        back = self.path("back")
        os.mkdir(back)
        before = cli.sha256(image)
        cli.gferry("cp", *options, *(f"{image}:/{os.path.basename(f)}" for f in files), back)
        for file in files:
            self.assertEqual(cli.sha256(file),
                             cli.sha256(os.path.join(back, os.path.basename(file))))
        self.assertEqual(os.stat(os.path.join(back, "f1")).st_mode & 0o777, 0o640)
        self.assertEqual(cli.sha256(image), before, "reading changed the image")

    def test_raw(self):
        self.there_and_back("disk.img")

    def test_qcow2(self):
        self.there_and_back("disk.qcow2", "--verify")
        subprocess.run(["qemu-img", "check", "-q", self.path("disk.qcow2")], check=True)


class Paced(cli.Case):
    def took(self, *args):
        """Milliseconds that copying takes, as the program itself counts them."""
        run = cli.gferry("cp", "--progress", "json", "--limit-rate", "6M", *args)
        events = [json.loads(line) for line in run.stderr.splitlines()]
        return [e["elapsed_ms"] for e in events if e["phase"] == "copying"][-1]

    def test_files_and_trees_share_a_limit(self):
        image, tree = self.image(), self.path("tree")
        os.mkdir(tree)
        for i in range(3):
            cli.random_file(os.path.join(tree, f"f{i}"), 4 << 20)
        files = [os.path.join(tree, name) for name in os.listdir(tree)]
        out = self.path("out")
        os.mkdir(out)
        for args in ([*files, f"{image}:/"], [f"{image}:/f0", f"{image}:/f1", f"{image}:/f2", out],
                     ["-r", tree, f"{image}:/"], ["-r", f"{image}:/tree", out]):
            self.assertGreaterEqual(self.took(*args), 2000, args)  # 12 MiB
        for where in out, os.path.join(out, "tree"):
            for file in files:
                self.assertEqual(cli.sha256(os.path.join(where, os.path.basename(file))),
                                 cli.sha256(file))

    def test_a_limit_that_is_none(self):
        for rate in "0", "fast", "-1", "3M/s":
            run = cli.gferry("cp", "--limit-rate", rate, "a", "b.img:/", code=2)
            self.assertIn(f"--limit-rate {rate}: bytes a second, such as", run.stderr)


class Streams(cli.Case):
    def test_pipes_on_both_sides(self):
        image = self.image()
        data = os.urandom(3_000_001)
        run = subprocess.run([cli.GFERRY, "cp", "-", f"{image}:/stream"], input=data,
                             capture_output=True, check=False, timeout=cli.PATIENCE)
        self.assertEqual(run.returncode, 0, run.stderr)
        self.assertNotIn(b"%", run.stderr)  # of an unknown total there is none
        self.assertEqual(self.debugfs(image, "cat /stream"), data)
        for command in (["cat", f"{image}:/stream"], ["cp", f"{image}:/stream", "-"]):
            self.assertEqual(cli.gferry(*command, text=False).stdout, data)

    def test_a_reader_that_leaves_is_no_error(self):
        image = self.image()
        cli.gferry("cp", cli.random_file(self.path("big"), 8 << 20), f"{image}:/")
        for command in (["cat", f"{image}:/big"], ["cp", f"{image}:/big", "-"]):
            with subprocess.Popen([cli.GFERRY, *command, "-q"], stdout=subprocess.PIPE,
                                  stderr=subprocess.PIPE) as process:
                self.assertEqual(len(process.stdout.read(10)), 10)
                process.stdout.close()
                said = process.stderr.read()
                self.assertEqual((process.wait(cli.PATIENCE), said), (141, b""))

    def test_holes_stay_holes(self):
        image = self.image()
        sparse = self.path("sparse")
        with open(sparse, "wb") as file:
            file.truncate(200 << 20)
            file.seek(100 << 20)
            file.write(b"island")
        cli.gferry("cp", sparse, f"{image}:/sparse")
        self.assertEqual(self.sha256_in(image, "/sparse"), cli.sha256(sparse))
        self.assertLess(os.stat(image).st_blocks * 512, 60 << 20)
        cli.gferry("cp", f"{image}:/sparse", self.path("out"))
        self.assertEqual(cli.sha256(self.path("out")), cli.sha256(sparse))
        self.assertLess(os.stat(self.path("out")).st_blocks * 512, 1 << 20)


if __name__ == "__main__":
    unittest.main()
