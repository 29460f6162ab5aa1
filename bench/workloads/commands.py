"""Whole commands, from the shell's prompt to the prompt: gferry and guestfish."""
import os
import subprocess

from peer import environment, with_lib_modules
from workload import Group, Workload, text_of_mib, timed_command


IMAGE_MIB = 6144
SIZES = (1, 256)


def gferry(m, *words):
    """From a template, which a machine has from its first launch on."""
    return timed_command(["gferry", *words[:1], "-q", "--accel", "tcg", *words[1:]],
                         {"FERRY_TEMPLATE": "require"})


def guestfish(m, *words):
    argv = ["guestfish", "--format=raw", "-a", m.image("fish", IMAGE_MIB), "-m", "/dev/sda", *words]
    return timed_command(with_lib_modules(argv, m.work), environment(m.work))


def image(m):
    return m.image("gferry", IMAGE_MIB)


class In:
    def __init__(self, mib):
        self.mib = mib

    def ours(self, _, m):
        return gferry(m, "cp", m.file(self.mib), "%s:/file-%d" % (image(m), self.mib))

    def peers(self, _, m):
        return guestfish(m, "upload", m.file(self.mib), "/file-%d" % self.mib)


class Out(In):
    """What In has left; with --only, In does it first."""

    def out(self, m):
        path = m.path("command.out")
        if os.path.exists(path):
            os.unlink(path)
        return path

    def there(self, m, name, put):
        mark = m.path("%s-has-%d" % (name, self.mib))
        if not os.path.exists(mark):
            put(None, m)
            open(mark, "w").close()

    def checked(self, answer, m):
        if subprocess.run(["cmp", m.file(self.mib), m.path("command.out")],
                          check=False).returncode != 0:
            raise RuntimeError("what came back differs")
        return answer

    def ours(self, _, m):
        self.there(m, "gferry", super().ours)
        return self.checked(gferry(m, "cp", "%s:/file-%d" % (image(m), self.mib), self.out(m)), m)

    def peers(self, _, m):
        self.there(m, "guestfish", super().peers)
        return self.checked(guestfish(m, "download", "/file-%d" % self.mib, self.out(m)), m)


class List:
    def ours(self, _, m):
        return gferry(m, "ls", "-l", image(m) + ":/")

    def peers(self, _, m):
        return guestfish(m, "ll", "/")


def group(size):
    def one(name, title, how):
        return Workload(name, title, "s", {"ours": how.ours, "libguestfs": how.peers},
                        rounds={"libguestfs": 2})

    return Group("commands", "Commands: gferry, guestfish", [one("command-ls", "ls -l, ll", List())] + [
        one("command-%s-%d" % (way, n), "cp %s %s; %s" % (text_of_mib(size(n)), way, peers), how(size(n)))
        for n in SIZES for way, how, peers in (("in", In, "upload"), ("out", Out, "download"))])
