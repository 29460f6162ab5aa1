"""cp -r copies what is in a directory, links as links; what is hostile in an image stays in
the directory it is copied to; what cannot be copied is said and counted."""

import os
import subprocess
import unittest

import cli


class Trees(cli.Case):
    def make_tree(self):
        tree = self.path("tree")
        os.makedirs(os.path.join(tree, "a", "b", "empty"))
        for i in range(60):
            cli.random_file(os.path.join(tree, "a", f"f{i}"), i * 997)
        os.symlink("../a/f1", os.path.join(tree, "a", "relative"))
        os.symlink("/etc/passwd", os.path.join(tree, "absolute"))
        os.symlink("nowhere", os.path.join(tree, "dangling"))
        cli.random_file(os.path.join(tree, "a", "b", "odd name\nwith Ümläut"), 10)
        os.mkdir(os.path.join(tree, "locked"))
        cli.random_file(os.path.join(tree, "locked", "inside"), 5)
        os.chmod(os.path.join(tree, "locked"), 0o555)
        os.chmod(os.path.join(tree, "a", "f2"), 0o4711)
        return tree

    def same(self, one, other):
        run = subprocess.run(["diff", "-r", "--no-dereference", one, other],
                             capture_output=True, text=True, check=False)
        self.assertEqual((run.returncode, run.stdout), (0, ""))

    def test_round_trip(self):
        tree, image = self.make_tree(), self.image()
        run = cli.gferry("cp", "-r", tree, f"{image}:/")
        self.assertRegex(run.stderr, r"(?m)^tree  65 files, ")
        self.fs_is_clean(image)
        cli.gferry("cp", "-r", f"{image}:/tree", self.path("out"))
        self.same(tree, self.path("out"))
        self.assertEqual(os.stat(self.path("out/locked")).st_mode & 0o777, 0o555)
        # Set-user-ID is for those who ask for it.
        self.assertEqual(os.stat(self.path("out/a/f2")).st_mode & 0o7777, 0o711)

        # Into a directory that is there: below it. And once more, over what is there.
        os.mkdir(self.path("into"))
        for _ in range(2):
            cli.gferry("cp", "-r", "--verify", f"{image}:/tree", self.path("into"))
            self.same(tree, self.path("into/tree"))
        cli.gferry("cp", "-r", "--verify", tree, f"{image}:/")
        self.assertNotIn("tree", self.names_in(image, "/tree"))

    def test_special_bits_when_asked_for(self):
        tree, image = self.make_tree(), self.image()
        cli.gferry("cp", "-r", "--keep-suid", tree, f"{image}:/")
        cli.gferry("cp", "-r", "--keep-suid", f"{image}:/tree", self.path("out"))
        self.assertEqual(os.stat(self.path("out/a/f2")).st_mode & 0o7777, 0o4711)

    def test_what_is_no_file_is_skipped_and_counted(self):
        image = self.image()
        tree = self.path("tree")
        os.mkdir(tree)
        os.mkfifo(os.path.join(tree, "fifo"))
        cli.random_file(os.path.join(tree, "file"), 10)
        run = cli.gferry("cp", "-r", tree, f"{image}:/", code=3)
        self.assertIn("tree/fifo: skipped", run.stderr)
        self.assertEqual(self.names_in(image, "/tree"), ["file"])

        self.write_debugfs(image, "cd /tree\nmknod null c 1 3\n")
        run = cli.gferry("cp", "-r", f"{image}:/tree", self.path("out"), code=3)
        self.assertIn("/tree/null: skipped", run.stderr)
        self.assertEqual(os.listdir(self.path("out")), ["file"])

    def write_debugfs(self, image, requests):
        subprocess.run(["debugfs", "-w", "-f", "-", f"{image}?offset={cli.PARTITION}"],
                       input=requests.encode(), capture_output=True, check=True)

    def test_a_link_in_the_image_leads_nowhere(self):
        """The classic: an image with a link to a directory of the host and, after the first
        copy has made it, a directory of that name with a file in it."""
        image = self.image()
        outside, out = self.path("outside"), self.path("out")
        os.mkdir(outside)
        tree = self.path("tree")
        os.mkdir(tree)
        os.symlink(outside, os.path.join(tree, "x"))
        cli.gferry("cp", "-r", tree, f"{image}:/")
        cli.gferry("cp", "-r", f"{image}:/tree", out)
        self.assertTrue(os.path.islink(os.path.join(out, "x")))

        cli.gferry("rm", f"{image}:/tree/x")
        cli.gferry("mkdir", f"{image}:/tree/x")
        cli.gferry("cp", cli.random_file(self.path("evil"), 10), f"{image}:/tree/x/")
        run = cli.gferry("cp", "-r", f"{image}:/tree/.", out, code=1)
        self.assertIn("Not a directory", run.stderr)
        self.assertEqual(os.listdir(outside), [])


if __name__ == "__main__":
    unittest.main()
