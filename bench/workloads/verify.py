"""What --verify costs: the same transfer without and with it."""
import os

from workload import Group, Workload, text_of_mib

from .common import clean, session

MIB = 256


def move_in(mib, verify):
    def run(side, m):
        clean(side, "/verify")
        answer = side.tell("upload", m.file(mib), "/verify", 1, verify)
        side.has.add("/verify")
        return answer

    return run


def move_out(mib, verify):
    def run(side, m):
        out = m.path("verify.out")
        if "/verify" not in side.has:
            move_in(mib, 0)(side, m)
        answer = side.tell("download", "/verify", out, verify)
        os.unlink(out)
        return answer

    return run


def group(size):
    mib = size(MIB)

    def one(name, title, run, verify):
        return Workload(name + ("-verified" if verify else ""),
                        "%s %s%s" % (title, text_of_mib(mib), ", verified" if verify else ""), "MB/s",
                        {"ours": run(mib, int(verify))}, mib, base=name if verify else "")

    return Group("verify", "Checksums of a transfer", [
        one(name, title, run, verify)
        for name, title, run in (("plain-in", "upload, flushed,", move_in),
                                 ("plain-out", "download", move_out))
        for verify in (False, True)], session)
