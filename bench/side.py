"""One of the sides that are compared: a worker process, what it is told, and what it costs.

Costs are read from /proc, for the worker and everything below it (qemu above all): CPU seconds
do not grow when other people's work shares the cores, as wall time does.
"""
import json
import os
import subprocess

TICK = os.sysconf("SC_CLK_TCK")


def processes():
    """{pid: (parent, name, CPU seconds)} of every process."""
    found = {}
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open("/proc/%s/stat" % pid) as f:
                text = f.read()
        except OSError:
            continue  # it ended meanwhile
        name = text[text.index("(") + 1 : text.rindex(")")]
        rest = text[text.rindex(")") + 2 :].split()
        found[int(pid)] = (int(rest[1]), name, (int(rest[11]) + int(rest[12])) / TICK)
    return found


class Side:
    def __init__(self, name, argv, env=None):
        self.name = name
        self.child = subprocess.Popen(
            argv, env=dict(os.environ, **(env or {})), text=True,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE,
        )

    def cpu(self):
        """CPU seconds so far: (of qemu, of the rest)."""
        table = processes()
        below = {self.child.pid}
        for _ in range(8):  # deeper than anybody's tree of processes
            below |= {pid for pid, (parent, _, _) in table.items() if parent in below}
        qemu = sum(table[p][2] for p in below if p in table and "qemu" in table[p][1])
        every = sum(table[p][2] for p in below if p in table)
        return qemu, every - qemu

    def tell(self, *words):
        """Does one command. Its answer with the CPU it took, or None if it cannot."""
        before = self.cpu()
        self.child.stdin.write(" ".join(map(str, words)) + "\n")
        self.child.stdin.flush()
        line = self.child.stdout.readline()
        reply = json.loads(line) if line else {"error": "the worker ended"}
        if "error" in reply:
            raise RuntimeError("%s: %s: %s" % (self.name, " ".join(map(str, words)), reply))
        if "unsupported" in reply:
            return None
        after = self.cpu()
        # A process that has ended takes its account with it.
        reply["cpu_qemu"] = round(max(0, after[0] - before[0]), 2)
        reply["cpu_host"] = round(max(0, after[1] - before[1]), 2)
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
        self.child.stdin.close()
        self.child.wait()
