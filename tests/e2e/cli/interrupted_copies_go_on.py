"""cp --keep-partial: ^C leaves what was copied beside the target, says how much that is and
which command goes on; that command, as it is shown, does. Into an image, out of it, and for each
file of a tree."""

import os
import re
import shlex
import unittest

import cli

# Slow enough to be interrupted, on any machine; fast enough for 10 MiB to come soon.
RATE = ("--limit-rate", "8M")


class Interrupted(cli.Case):
    def setUp(self):
        super().setUp()
        self.disk = self.image()
        self.big = cli.random_file(self.path("big file.iso"), 120 << 20)
        self.sum = cli.sha256(self.big)

    def interrupt(self, *args):
        """^C in the middle of the copy. What was said of it: size, where, the command."""
        with cli.Terminal(*args, *RATE, columns=200) as t:
            t.expect(r" [1-9]\d%")
            t.type("\x03")
            self.assertEqual(t.end(), 130, t.text[-300:])
            screen = "\n".join(t.screen())
        said = re.search(r"gferry: (\S+ MiB) kept in (.*); this goes on from there:\n  (.*)",
                         screen)
        self.assertTrue(said, screen)
        self.no_process_is_left()
        return said.groups()

    def go_on(self, command):
        """Types what was shown; it must not copy all of it again."""
        self.assertIn(" --limit-rate 8M", command)  # as it was typed; but nobody waits for that here
        program, *args = shlex.split(command.replace("8M", "1G"))
        self.assertEqual(program, "gferry")
        self.assertRegex(cli.gferry(*args).stderr,
                         r"\d\S+ MiB had been kept, and were not copied again")

    def test_into_an_image(self):
        old = cli.random_file(self.path("old"), 100_000)
        cli.gferry("cp", old, f"{self.disk}:/target")
        _, where, command = self.interrupt("cp", "--keep-partial", self.big,
                                           f"{self.disk}:/target")
        self.assertEqual(where, f"{self.disk}:/target.ferry-partial")
        self.fs_is_clean(self.disk)
        self.assertEqual(self.sha256_in(self.disk, "/target"), cli.sha256(old))
        self.assertEqual(self.names_in(self.disk, "/"),
                         ["lost+found", "target", "target.ferry-partial"])

        self.go_on(command)
        self.fs_is_clean(self.disk)
        self.assertEqual(self.names_in(self.disk, "/"), ["lost+found", "target"])
        self.assertEqual(self.sha256_in(self.disk, "/target"), self.sum)

    def test_out_of_an_image(self):
        cli.gferry("cp", self.big, f"{self.disk}:/big")
        out = self.path("it's out")
        with open(out, "wb") as file:
            file.write(b"precious")
        _, where, command = self.interrupt("cp", "--resume", f"{self.disk}:/big", out)
        self.assertEqual(where, f"{out}.ferry-partial")
        with open(out, "rb") as file:
            self.assertEqual(file.read(), b"precious")
        with open(self.big, "rb") as file, open(where, "rb") as partial:
            kept = partial.read()
            self.assertEqual(kept, file.read(len(kept)))

        self.go_on(command)
        self.assertEqual(cli.sha256(out), self.sum)
        self.assertFalse(os.path.exists(where))

    def test_a_tree(self):
        tree = self.path("tree")
        os.mkdir(tree)
        for i in range(3):
            cli.random_file(os.path.join(tree, f"f{i}"), 40 << 20)
        with cli.Terminal("cp", *RATE, "-r", tree, f"{self.disk}:/") as t:
            t.expect(r" [2-9]\d%")
            t.type("\x03")
            self.assertEqual(t.end(), 130)
        # Only whole files stay of a tree, so there is nothing to go on from but those.
        for name in self.names_in(self.disk, "/tree"):
            self.assertEqual(self.sha256_in(self.disk, f"/tree/{name}"),
                             cli.sha256(os.path.join(tree, name)))
        cli.gferry("cp", "-r", tree, f"{self.disk}:/")
        self.assertEqual(self.names_in(self.disk, "/tree"), ["f0", "f1", "f2"])
        for name in ("f0", "f1", "f2"):
            self.assertEqual(self.sha256_in(self.disk, f"/tree/{name}"),
                             cli.sha256(os.path.join(tree, name)))

    def test_something_else_was_kept(self):
        out = self.path("out")
        cli.gferry("cp", self.big, f"{self.disk}:/big")
        cli.random_file(f"{out}.ferry-partial", 3 << 20)
        run = cli.gferry("cp", "--resume", f"{self.disk}:/big", out)
        self.assertIn("what had been kept of 1 file is different: started over", run.stderr)
        self.assertEqual(cli.sha256(out), self.sum)
        self.assertFalse(os.path.exists(f"{out}.ferry-partial"))

    def test_nothing_to_go_on_from(self):
        run = cli.gferry("cp", "--resume", self.big, f"{self.disk}:/target")
        self.assertNotIn("kept", run.stderr)
        self.assertEqual(self.sha256_in(self.disk, "/target"), self.sum)


if __name__ == "__main__":
    unittest.main()
