"""Any user, any root: an arbitrary uid without a passwd entry, groups, home or cache; a root file
system that is read-only but for $TMPDIR, as a container may have it; a $TMPDIR whose path is
too long for the name of a socket. The user sees no warning."""

import os
import shutil
import subprocess
import unittest

import cli

UID = 54321  # nobody has it
BUILD = os.environ["FERRY_BUILD_DIR"]

# In a mount namespace of its own: the build tree on /mnt (above it may be what only root
# enters), everything else read-only, but for a tmpfs.
BARE = f"""set -e
mount --bind "$1" /mnt
mount -t tmpfs -o mode=1777 tmpfs "$2"
for at in $(findmnt -rno TARGET | grep -Ev '^/(proc|sys|dev)(/|$)' | grep -vxF "$2"); do
    mount -o remount,bind,ro "$at" 2>/dev/null || true
done
shift 2
exec setpriv --reuid {UID} --regid {UID} --clear-groups -- "$@"
"""


def mounted(path):
    """Where the build tree's `path` is in the namespace."""
    return os.path.join("/mnt", os.path.relpath(path, BUILD))


@unittest.skipUnless(os.geteuid() == 0 and shutil.which("setpriv"),
                     "only root can become somebody else")
class Bare(cli.Case):
    def setUp(self):
        super().setUp()
        os.chmod(self.dir, 0o755)
        self.tmp = self.path("tmp")
        os.mkdir(self.tmp)

    def run_bare(self, script, tmpdir=None):
        """The script's output, run by sh as that user; it fails with its first command."""
        env = {"PATH": f"/mnt/bin:{os.environ['PATH']}", "LD_LIBRARY_PATH": "/mnt/lib",
               "FERRY_LIBEXEC": "/mnt/libexec", "TMPDIR": tmpdir or self.tmp,
               "FERRY_APPLIANCE": mounted(os.environ["FERRY_APPLIANCE"])}
        run = subprocess.run(
            ["unshare", "--mount", "--propagation", "private", "sh", "-c", BARE, "sh",
             BUILD, self.tmp, "sh", "-ec", script],
            env=env, capture_output=True, text=True, check=False, timeout=cli.PATIENCE,
            stdin=subprocess.DEVNULL)
        self.assertEqual(run.returncode, 0, run.stderr)
        run.stderr = cli.without_progress(run.stderr)
        return run

    def test_any_uid_and_a_read_only_root(self):
        run = self.run_bare("""
            test "$(id -u)" = 54321; ! id -un 2>/dev/null; ! touch /var/tmp/x 2>/dev/null
            cd "$TMPDIR"
            gferry -q create disk.qcow2 64M --fs ext4
            echo cargo >file
            gferry -q cp file disk.qcow2:/there
            gferry cat disk.qcow2:/there
            rm file disk.qcow2
            find . -mindepth 1 """)
        self.assertEqual(run.stderr, "")
        self.assertEqual(run.stdout.splitlines()[1:], ["cargo"])

    def test_tmpdir_longer_than_a_socket_may_be(self):
        deep = os.path.join(self.tmp, *["d" * 60] * 4)
        self.assertGreater(len(deep), 200)
        run = self.run_bare('mkdir -p "$TMPDIR"; gferry doctor -q; ls -A "$TMPDIR"', deep)
        self.assertRegex(run.stdout, r"ok +launch +\d+ ms")
        self.assertEqual(run.stdout.splitlines()[-1][:2], "ok")  # nothing is left there


if __name__ == "__main__":
    unittest.main()
