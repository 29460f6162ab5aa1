"""What a workload is: its name, what is measured, and how each side does it.

A side's way is a function of (its worker, the material) that answers {"s": seconds, ...}, or None if
the side cannot. What it makes ready before, or undoes afterwards, is not in the answer. Sides:

    ours        the library (worker.c), or gferry where the workload is a command
    libguestfs  its Python binding (peer_libguestfs.py), or guestfish
    guest       the limit: the system calls of `dd` in our guest (limit.c)
    host        `cp` on the host, the machine's own limit
"""
import dataclasses
import os
import statistics
import subprocess
import time

MIB = 1 << 20


@dataclasses.dataclass
class Workload:
    """name     as --only has it
    title    as the table has it
    unit     "MB/s" of `amount` MiB, "1/s" of `amount` things, "s"; "ms": the median of the answer's
             list; or a field of the answer: "MiB", "%"
    sides    {side: how}; None: measured by another workload's answer (its "also")
    rounds   {side: at most so many}
    base     the workload whose libguestfs stands for what it cannot (many in flight)
    target   at least so many times better than libguestfs
    of_guest at least this share of the guest's limit
    limit    at most so much, in `unit`
    times_base, at_least_base   at most, at least so many times what ours is in `base`
    plot     (plot, way, x): the curve of plots.py that it is a point of
    table    False: for the plots only"""

    name: str
    title: str
    unit: str
    sides: dict
    amount: float = 1
    rounds: dict = dataclasses.field(default_factory=dict)
    base: str = ""
    target: float = 0
    of_guest: float = 0
    limit: float = 0
    times_base: float = 0
    at_least_base: float = 0
    note: str = ""
    plot: tuple = ()
    table: bool = True

    def value(self, answer):
        if self.unit == "MB/s":
            return self.amount * MIB / 1e6 / answer["s"]
        if self.unit == "1/s":
            return answer.get("count", self.amount) / answer["s"]
        if self.unit == "ms":
            return statistics.median(answer["ms"])
        return answer[self.unit]

    def facts(self):
        """What the report needs to know; all but the functions."""
        return {f.name: getattr(self, f.name) for f in dataclasses.fields(self)
                if f.name not in ("sides", "rounds")}


class Group:
    """Workloads that use the same appliances. open() makes their session (session.py), or None."""

    def __init__(self, name, title, workloads, session=None):
        self.name, self.title, self.workloads = name, title, workloads
        self.open = session or (lambda m, names: None)


class Size:
    """Sizes and counts as --scale has them."""

    def __init__(self, scale):
        self.scale = scale

    def __call__(self, amount, least=1):
        return max(least, round(amount * self.scale))


def text_of_mib(mib):
    return "%d GiB" % (mib // 1024) if mib >= 1024 and mib % 1024 == 0 else "%d MiB" % mib


def timed_command(argv, env=None):
    """A program from its start to its end; CPU of it and all it has waited for."""
    start = time.monotonic()
    child = subprocess.Popen(argv, env=dict(os.environ, **(env or {})),
                             stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    said = child.stderr.read()
    _, status, usage = os.wait4(child.pid, 0)
    child.returncode = os.waitstatus_to_exitcode(status)
    took = time.monotonic() - start
    if child.returncode != 0:
        raise RuntimeError("%s: %s" % (" ".join(argv[:2]), said.strip()[-300:]))
    return {"s": took, "cpu": round(usage.ru_utime + usage.ru_stime, 2)}
