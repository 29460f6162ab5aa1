"""One of the sides that are compared: a worker process, what it is told, and what it costs.

Costs are read from /proc, for the worker and everything below it (qemu above all): CPU seconds
do not grow when other people's work shares the cores, as wall time does.
"""
import ctypes
import json
import os
import select
import signal
import subprocess
import time

TICK = os.sysconf("SC_CLK_TCK")


def processes():
    """{pid: (parent, name, CPU seconds)} of every process; the seconds with those of its children that
    have ended and that it has waited for."""
    found = {}
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open("/proc/%s/stat" % pid) as f:
                text = f.read()
        except OSError:
            continue  # it ended meanwhile
        name = text[text.index("(") + 1 : text.rindex(")")]
        rest = text[text.rindex(")") + 2 :].split()
        found[int(pid)] = (int(rest[1]), name, sum(map(int, rest[11:15])) / TICK)
    return found


def family(pid):
    """{pid: (parent, name, CPU seconds)} of the process and all below it."""
    table = processes()
    found = {pid}
    for _ in range(8):  # deeper than anybody's tree of processes
        found |= {p for p, (parent, _, _) in table.items() if parent in found}
    return {p: table[p] for p in found if p in table}


def adopt_orphans():
    """What a worker leaves behind when it dies becomes our child, so that family() sees it."""
    PR_SET_CHILD_SUBREAPER = 36
    ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def reap():
    try:
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass
    except ChildProcessError:
        pass


def end_all(patience_s=5):
    """At the end of the bench, however it ends: no process of ours stays. Who has not gone by itself
    (the guards see their caller's end) is killed; their names."""
    until = time.monotonic() + patience_s
    while len(family(os.getpid())) > 1 and time.monotonic() < until:
        reap()
        time.sleep(0.05)
    left = {p: name for p, (_, name, _) in family(os.getpid()).items() if p != os.getpid()}
    for pid in left:
        os.kill(pid, signal.SIGKILL)
    return sorted(set(left.values()))


class SideError(Exception):
    """A side could not do what it was told, or has ended."""


class Side:
    """A worker that knows one command a line, and the appliance it holds."""

    # A command that takes longer (8 GiB at 40 MB/s take 200 s) hangs.
    PATIENCE_S = 900

    def __init__(self, name, argv, env=None):
        self.name = name
        self.child = subprocess.Popen(
            argv, env=dict(os.environ, **(env or {})), text=True,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE,
        )

    def cpu(self):
        """CPU seconds so far: (of qemu, of the rest)."""
        table = family(self.child.pid).values()
        qemu = sum(cpu for _, name, cpu in table if "qemu" in name)
        return qemu, sum(cpu for _, _, cpu in table) - qemu

    def tell(self, *words):
        """Does one command. Its answer with the CPU it took, or None if it cannot."""
        before = self.cpu()
        reply = self.ask(" ".join(map(str, words)))
        if "unsupported" in reply:
            return None
        after = self.cpu()
        # The account of a qemu that has ended goes over to who waited for it.
        qemu = max(0, after[0] - before[0])
        reply["cpu_qemu"] = round(qemu, 2)
        reply["cpu_host"] = round(max(0, sum(after) - sum(before) - qemu), 2)
        return reply

    def ask(self, line):
        try:
            self.child.stdin.write(line + "\n")
            self.child.stdin.flush()
        except BrokenPipeError as e:
            raise SideError("%s: %s: the worker has ended" % (self.name, line)) from e
        if not select.select([self.child.stdout], [], [], self.PATIENCE_S)[0]:
            self.child.kill()
            raise SideError("%s: %s: no answer in %d s" % (self.name, line, self.PATIENCE_S))
        reply = json.loads(self.child.stdout.readline() or '{"error": 0}')
        if "error" in reply:
            raise SideError("%s: %s: %s" % (
                self.name, line.split()[0], reply.get("message", "the worker has ended")))
        return reply

    def peak_rss(self):
        """MiB the worker process held at most since forget_peak()."""
        with open("/proc/%d/status" % self.child.pid) as f:
            for line in f:
                if line.startswith("VmHWM:"):
                    return int(line.split()[1]) / 1024
        return 0.0

    def forget_peak(self):
        with open("/proc/%d/clear_refs" % self.child.pid, "w") as f:
            f.write("5")

    def close(self):
        """Its appliance ends with it. One that does not end by itself is made to."""
        try:
            self.child.stdin.close()
        except BrokenPipeError:
            pass
        try:
            self.child.wait(30)
        except subprocess.TimeoutExpired:
            self.child.kill()
            self.child.wait()
