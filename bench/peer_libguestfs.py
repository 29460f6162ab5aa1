#!/usr/bin/python3
"""The peer's side of the bench: libguestfs behind the commands of worker.c.

One command a line on stdin, one line of JSON for each on stdout; the times are taken here. What
libguestfs cannot do (many calls in flight on one appliance) is answered with "unsupported".
bench.py sets LIBGUESTFS_BACKEND and the rest of the environment.
"""
import json
import os
import random
import stat
import sys
import threading
import time
import warnings

warnings.simplefilter("ignore")
import guestfs  # noqa: E402  (Debian 12's binding warns about its own construction)


# A wait for a FIFO's writer that a cancel has not ended after so long has no other end.
PATIENCE_S = 3


class Cancelled(threading.Thread):
    """Some work on a thread of its own, and the moment of its end."""

    def __init__(self, work):
        super().__init__()
        self.work, self.failed, self.ended = work, False, 0.0
        self.start()

    def run(self):
        try:
            self.work()
        except RuntimeError:
            self.failed = True
        self.ended = time.monotonic()


def is_fifo(path):
    return os.path.exists(path) and stat.S_ISFIFO(os.stat(path).st_mode)


def let_go(path):
    """Ends a wait for the writer of a FIFO."""
    try:
        os.close(os.open(path, os.O_WRONLY | os.O_NONBLOCK))
    except OSError:
        pass  # nobody waits any more


class Peer:
    def launch(self, *images):
        self.g = guestfs.GuestFS(python_return_dict=True)
        for image in images:
            self.g.add_drive_opts(image, format="raw")
        self.g.launch()
        self.g.list_devices()

    def mount(self, device, directory):
        self.g.mount(device, directory)

    def shutdown(self):
        self.g.shutdown()
        self.g.close()

    def mkdir(self, path):
        self.g.mkdir(path)

    def rm(self, path):
        self.g.rm_rf(path)

    def sync(self):
        self.g.sync()

    def copy_in(self, local, directory):
        self.g.copy_in(local, directory)
        self.g.sync()

    def copy_out(self, path, local):
        self.g.copy_out(path, local)

    def upload(self, src, dst, sync):
        self.g.upload(src, dst)
        if int(sync):
            self.g.sync()

    def download(self, src, dst):
        self.g.download(src, dst)

    def many_in(self, src, directory, count, flight, sync):
        if int(flight) > 1:
            return "unsupported"
        for i in range(int(count)):
            self.g.upload(src, "%s/%d" % (directory, i))
        if int(sync):
            self.g.sync()

    def many_out(self, directory, local, count, flight):
        if int(flight) > 1:
            return "unsupported"
        for i in range(int(count)):
            self.g.download("%s/%d" % (directory, i), "%s/%d" % (local, i))

    def stat(self, path, count, flight):
        if int(flight) > 1:
            return "unsupported"
        for _ in range(int(count)):
            self.g.statns(path)

    def cats(self, path, count, beside, src="", directory=""):
        if int(beside) > 0:
            return "unsupported"
        ms = []
        for _ in range(int(count)):
            start = time.monotonic()
            self.g.read_file(path)
            ms.append(round((time.monotonic() - start) * 1000, 3))
        return {"ms": ms}

    def cancel(self, count, first, last, flight, work, work2=""):
        if int(flight) > 1:
            return "unsupported"
        kind, source, target = work.split(":")
        move = self.g.upload if kind == "up" else self.g.download
        ms, missed = [], 0
        for _ in range(int(count)):
            thread = Cancelled(lambda: move(source, target))
            time.sleep(random.uniform(int(first), int(last)) / 1000)
            asked = time.monotonic()
            self.g.user_cancel()
            if is_fifo(source):
                thread.join(PATIENCE_S)
                let_go(source)
            thread.join()
            late = is_fifo(source) and thread.ended > asked + PATIENCE_S
            if thread.failed and thread.ended > asked and not late:
                ms.append(round((thread.ended - asked) * 1000, 3))
            else:
                missed += 1
        return {"ms": ms, "missed": missed}

    def cancel_launch(self, image, count, first, last):
        ms, missed = [], 0
        for _ in range(int(count)):
            g = guestfs.GuestFS(python_return_dict=True)
            g.add_drive_opts(image, format="raw")
            thread = Cancelled(g.launch)
            time.sleep(random.uniform(int(first), int(last)) / 1000)
            asked = time.monotonic()
            g.user_cancel()
            thread.join()
            if thread.failed:
                ms.append(round((thread.ended - asked) * 1000, 3))
            else:
                missed += 1  # it came up as if nothing had been said
            g.close()
        return {"ms": ms, "missed": missed}


def answer(peer, words):
    start = time.monotonic()
    try:
        said = getattr(peer, words[0])(*words[1:])
    except RuntimeError as e:
        return {"error": -1, "message": str(e)}
    took = time.monotonic() - start
    if isinstance(said, str):
        return {said: True}
    return dict(said or {}, s=round(took, 6))


def main():
    peer = Peer()
    for line in sys.stdin:
        print(json.dumps(answer(peer, line.split())), flush=True)


main()
