"""What workloads of the same session share."""
import os
import shutil
import subprocess

import limit
from session import Session
from workload import timed_command

# Room for what libguestfs makes of a sparse file of 8 GiB. The image itself is sparse.
IMAGE_MIB = 24 * 1024
WARM_MIB, WARM_CALLS = 16, 10


def session(m, names):
    images = {n: [m.image(n, IMAGE_MIB)] for n in names if n in ("ours", "libguestfs")}
    env = {}
    if "guest" in names:
        images["guest"] = [m.image("guest", IMAGE_MIB)]
        env["guest"] = {"FERRY_APPLIANCE": m.made("limit", lambda path: limit.build(m.work))}
    return Session(m.work, images, env=env, warm=lambda side: warm(side, m))


def warm(side, m):
    """Emulated code is translated when it first runs."""
    if side.name == "guest":
        for kind in ("FLUSH", "READ"):
            side.tell("limit", kind, "/sysroot/warm", WARM_MIB)
        return
    side.tell("upload", m.file(WARM_MIB), "/warm", 1)
    side.tell("download", "/warm", m.path("warm.out"))
    side.tell("mkdir", "/warm.d")
    side.tell("many_in", m.small(), "/warm.d", WARM_CALLS, 1, 1)
    side.tell("stat", "/", WARM_CALLS, 1)


def clean(side, path):
    """Gone from the image, and all that is waiting to be written is written."""
    side.tell("rm", path)
    side.tell("sync")


def fresh_directory(path):
    shutil.rmtree(path, ignore_errors=True)
    os.mkdir(path)
    return path


def must_equal(side, *paths):
    """Fast and wrong is no figure."""
    compare = ["diff", "-rq"] if os.path.isdir(paths[0]) else ["cmp"]
    if subprocess.run(compare + list(paths), check=False).returncode != 0:
        raise RuntimeError("%s: what came back differs" % side.name)


def guest_limit(kind, path, mib):
    """The guest's own system calls; their time is taken there."""
    def run(side, m):
        if kind == "READ" and path not in side.has:
            side.tell("limit", "FLUSH", "/sysroot" + path, mib)
            side.has.add(path)
        if kind != "READ":
            clean(side, path)
        answer = side.tell("limit", kind, "/sysroot" + path, mib)
        return dict(answer, s=answer["guest_s"])

    return run


def host_copy(mib, flushed):
    """`cp` of the same file beside itself."""
    def run(side, m):
        source, out = m.file(mib), m.path("copy.out")
        if os.path.exists(out):
            os.unlink(out)
        flush = " && sync -d %s" % out if flushed else ""
        answer = timed_command(["sh", "-c", "cp %s %s%s" % (source, out, flush)])
        os.unlink(out)
        return answer

    return run
