"""A file that gferry copies into an image is there, byte for byte, for tools that are not
ours, and comes back the same, for each format and for sizes around those of blocks."""

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
