"""A mistake on the command line costs one line that ends in where help is, exit code 2, and
no appliance: nothing here may need one."""

import os
import subprocess
import tempfile
import unittest

GFERRY = os.path.join(os.environ["FERRY_BUILD_DIR"], "bin", "gferry")
COMMANDS = "cp ls cat mkdir rm stat info create doctor".split()


def gferry(*args, **kwargs):
    # No appliance and no qemu can be found: whoever looks for one fails with 5, not 2.
    env = dict(os.environ, FERRY_APPLIANCE="/nonexistent", FERRY_QEMU="/nonexistent")
    return subprocess.run([GFERRY, *args], capture_output=True, text=True, env=env,
                          stdin=subprocess.DEVNULL, timeout=30, check=False, **kwargs)


class Usage(unittest.TestCase):
    def refused(self, args, part):
        run = gferry(*args)
        self.assertEqual(run.returncode, 2, (args, run.stderr))
        self.assertEqual(run.stdout, "", args)
        self.assertEqual(run.stderr.count("\n"), 1, (args, run.stderr))
        self.assertTrue(run.stderr.startswith("gferry: "), run.stderr)
        self.assertIn(part, run.stderr, args)
        self.assertIn("--help'", run.stderr, args)

    def test_refused(self):
        for line, part in (
            ("", "a command is missing"),
            ("frobnicate", "unknown command 'frobnicate'"),
            ("--frob", "unknown option '--frob'"),
            ("cp", "missing"),
            ("cp x", "missing"),
            ("cp --frob", "unknown option '--frob'"),
            ("cp -Z a b", "unknown option '-Z'"),
            ("cp -m", "-m needs a value"),
            ("cp --format", "--format needs a value"),
            ("cp --json=yes a b.img:/", "--json=yes takes no value"),
            ("cp --format floppy a b.img:/", "--format floppy"),
            ("cp --accel xen a b.img:/", "--accel xen"),
            ("cp --progress loud a b.img:/", "--progress loud"),
            ("cp --timeout soon a b.img:/", "--timeout soon"),
            ("cp --timeout 0 a b.img:/", "--timeout 0"),
            ("cp -m sda1:relative a b.img:/", "-m sda1:relative"),
            ("cp a b", "no side is in an image"),
            ("cp a.img:/x b.img:/y", "both sides"),
            ("cp a.img:/x b.img:/y .", "one image at a time"),
            ("cp a.img:/x local .", "no side is in an image"),
            ("cp - x b.img:/", "'-' must be the only source"),
            ("cp a.img:/x a.img:/y -", "standard output"),
            ("cp --resume - b.img:/x", "--resume: not with '-'"),
            ("cp --keep-partial a.img:/x -", "--keep-partial: not with '-'"),
            ("cp -r --resume a.img:/x .", "--resume: not with -r"),
            ("cp -a --keep-partial x a.img:/", "--keep-partial: not with -r"),
            ("cp ./nothing:/here .", "no image './nothing'"),
            ("ls", "IMAGE is missing"),
            ("ls a.img:etc", "a.img:/etc"),
            ("cat a.img", "a path in the image is missing"),
            ("rm -r a.img", "a path in the image is missing"),
            ("mkdir --mode 9 a.img:/x", "--mode 9"),
            ("create a.img", "missing"),
            ("create a.img 1Q", "'1Q' is no size"),
            ("create a.img 9E", "too big"),
            ("create a.txt 1G", "give --format"),
            ("create a.img 1G --fs fat12", "--fs fat12"),
            ("create a.img 1M --fs ext4", "too small"),
            ("create a.img 1G --label x", "--fs"),
            ("create a.img 1G b", "one operand too many"),
            ("info a b", "one operand too many"),
            ("doctor x", "one operand too many"),
        ):
            with self.subTest(line):
                self.refused(line.split(), part)

    def test_global_options_come_first_too(self):
        self.refused(["-q", "--accel", "xen", "ls"], "--accel xen")

    def test_ro_and_writing_exclude_each_other(self):
        with tempfile.NamedTemporaryFile(suffix=".img") as image:
            for line in ("cp --ro /etc/passwd %s:/x", "rm --ro %s:/x", "mkdir --ro %s:/x"):
                self.refused((line % image.name).split(), "--ro")


class Help(unittest.TestCase):
    def test_every_command_has_a_page_with_examples(self):
        top = gferry("--help")
        self.assertEqual((top.returncode, top.stderr), (0, ""))
        for command in COMMANDS:
            self.assertRegex(top.stdout, rf"(?m)^  {command} ")
            for args in ([command, "--help"], [command, "-h"], ["help", command]):
                page = gferry(*args)
                self.assertEqual((page.returncode, page.stderr), (0, ""))
                self.assertTrue(page.stdout.startswith(f"usage: gferry {command} "))
                self.assertIn("Examples:\n", page.stdout)
                self.assertIn(f"gferry {command}", page.stdout.split("Examples:")[1])
                self.assertIn("--timeout", page.stdout)

    def test_pages_fit_a_terminal(self):
        for args in [["--help"]] + [[c, "--help"] for c in COMMANDS]:
            for line in gferry(*args).stdout.splitlines():
                self.assertLessEqual(len(line), 88, line)

    def test_version(self):
        for args in (["--version"], ["cp", "--version"]):
            run = gferry(*args)
            self.assertEqual(run.returncode, 0)
            self.assertRegex(run.stdout, r"^gferry \d+\.\d+\.\d+\n$")

    def test_a_full_disk_under_the_output_is_an_error(self):
        with open("/dev/full", "w", encoding="ascii") as full:
            run = subprocess.run([GFERRY, "--help"], stdout=full, stderr=subprocess.PIPE,
                                 text=True, check=False, timeout=30)
        self.assertEqual(run.returncode, 1)
        self.assertIn("standard output: No space left", run.stderr)


class BeforeTheBoot(unittest.TestCase):
    """What can be told without an appliance is told without one."""

    def setUp(self):
        self.dir = self.enterContext(tempfile.TemporaryDirectory())

    def failed(self, args, code, text):
        run = gferry(*args, cwd=self.dir)
        self.assertEqual((run.returncode, run.stderr), (code, text), args)

    def test_missing_source(self):
        self.failed(["cp", "gone", "x.img:/"], 1, "gferry: gone: No such file or directory\n")

    def test_missing_image(self):
        self.failed(["ls", "x.img:/"], 1, "gferry: x.img: no such image\n")

    def test_create_does_not_overwrite(self):
        path = os.path.join(self.dir, "x.img")
        with open(path, "w", encoding="ascii") as file:
            file.write("precious")
        self.failed(["create", "x.img", "1M"], 1,
                    "gferry: x.img: is there already; --force replaces it\n")
        with open(path, encoding="ascii") as file:
            self.assertEqual(file.read(), "precious")

    def test_create_makes_sparse_files_and_no_leftovers(self):
        run = gferry("create", "-q", "x.img", "1G", cwd=self.dir)
        self.assertEqual((run.returncode, run.stdout, run.stderr), (0, "", ""))
        st = os.stat(os.path.join(self.dir, "x.img"))
        self.assertEqual(st.st_size, 1 << 30)
        self.assertLess(st.st_blocks * 512, 1 << 20)
        self.assertEqual(os.listdir(self.dir), ["x.img"])

    def test_create_replaces_with_force(self):
        self.test_create_makes_sparse_files_and_no_leftovers()
        run = gferry("create", "-qf", "x.img", "513", cwd=self.dir)
        self.assertEqual((run.returncode, run.stderr), (0, ""))
        self.assertEqual(os.stat(os.path.join(self.dir, "x.img")).st_size, 1024)

    def test_create_leaves_nothing_when_it_fails(self):
        run = gferry("create", "x.img", "64M", "--fs", "ext4", cwd=self.dir)
        self.assertEqual(run.returncode, 5, run.stderr)
        self.assertEqual(os.listdir(self.dir), [])


if __name__ == "__main__":
    unittest.main()
