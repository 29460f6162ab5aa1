"""^C does the same in every phase that a command goes through: said at once, cleaned up, exit
code 130, the image as it was or as it was to be. The phases are those that `--progress json`
names; SIGINT is sent when one has been entered. It may have been left by then: on a fast machine
the signal lands in the next one, and if it comes after the end, nothing was cancelled and nothing
is said. A copy is held up by a limit on its rate, so that this can only happen to what follows it."""

import json
import os
import signal
import subprocess
import unittest

import cli


def phases(*args, until=None):
    """Runs gferry; sends SIGINT when the phase `until` has begun. The phases that were
    entered, the exit code, and what it said that was not JSON."""
    process = subprocess.Popen([cli.GFERRY, *args, "--progress", "json"], text=True,
                               stdin=subprocess.DEVNULL, stderr=subprocess.PIPE)
    seen, said = [], ""
    with process.stderr:
        for line in process.stderr:
            if not line.startswith("{"):
                said += line
                continue
            phase = json.loads(line)["phase"]
            if phase not in seen:
                seen.append(phase)
                if phase == until:
                    process.send_signal(signal.SIGINT)
    return seen, process.wait(cli.PATIENCE), said


# One of them: a launch that is cold, or from a template.
BOOT = {"booting", "restoring"}


class Phases(cli.Case):
    def each_phase(self, command, check, certain):
        """check(code) after a run that was interrupted in each of the phases; in the certain ones
        it cannot have ended before."""
        all_of_them, code, said = phases(*command())
        self.assertEqual((code, said), (0, ""))
        for phase in all_of_them:
            with self.subTest(phase=phase):
                arguments = command()
                _, code, said = phases(*arguments, until=phase)
                if code != 0 or phase in certain:
                    self.assertEqual(code, 130, said)
                    self.assertRegex(said, r"\ACancelling… \(again: stop at once\)\n")
                self.no_process_is_left()
                check(code)
        return all_of_them

    def test_copying_in(self):
        source = cli.random_file(self.path("source"), 24 << 20)
        digest = cli.sha256(source)

        def command():
            self.disk = self.image()
            return "cp", "--limit-rate", "12M", source, f"{self.disk}:/target"

        def check(code):
            self.fs_is_clean(self.disk)
            names = self.names_in(self.disk, "/")
            self.assertIn(names, (["lost+found"], ["lost+found", "target"]))
            if "target" in names:
                self.assertEqual(self.sha256_in(self.disk, "/target"), digest)
            else:
                self.assertNotEqual(code, 0)

        certain = {"looking for file systems", "mounting", "copying"}
        seen = self.each_phase(command, check, certain | BOOT)
        self.assertLessEqual(certain | {"flushing"}, {*seen})
        self.assertTrue(BOOT & {*seen}, seen)

    def test_creating(self):
        before = set(os.listdir(self.dir))

        def command():
            if os.path.exists(self.path("new.img")):
                os.unlink(self.path("new.img"))
            return "create", self.path("new.img"), "300M", "--fs", "ext4"

        def check(code):
            left = set(os.listdir(self.dir)) - before
            if left:
                self.assertEqual(left, {"new.img"})
                self.fs_is_clean(self.path("new.img"))
            else:
                self.assertEqual(code, 130)

        seen = self.each_phase(command, check, BOOT)
        self.assertLessEqual({"partitioning", "formatting", "flushing"}, {*seen})
        self.assertTrue(BOOT & {*seen}, seen)


if __name__ == "__main__":
    unittest.main()
