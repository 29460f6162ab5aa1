#!/usr/bin/python3
"""The peer's side of the bench: libguestfs behind the commands of worker.c.

One command a line on stdin, one line of JSON for each on stdout; the times are taken here. What
libguestfs cannot do (many calls in flight on one appliance) is answered with "unsupported".
bench.py sets LIBGUESTFS_BACKEND and the rest of the environment.
"""
import json
import sys
import time
import warnings

warnings.simplefilter("ignore")
import guestfs  # noqa: E402  (Debian 12's binding warns about its own construction)


class Peer:
    def launch(self, image):
        self.g = guestfs.GuestFS(python_return_dict=True)
        self.g.add_drive_opts(image, format="raw")
        self.g.launch()
        self.g.list_devices()

    def mount(self, device):
        self.g.mount(device, "/")

    def shutdown(self):
        self.g.shutdown()
        self.g.close()

    def mkdir(self, path):
        self.g.mkdir(path)

    def rm(self, path):
        self.g.rm_rf(path)

    def sync(self):
        self.g.sync()

    def upload(self, src, dst, sync):
        self.g.upload(src, dst)
        if int(sync):
            self.g.sync()

    def download(self, src, dst):
        self.g.download(src, dst)

    def small(self, src, directory, count, flight):
        if int(flight) > 1:
            return "unsupported"
        for i in range(int(count)):
            self.g.upload(src, "%s/%d" % (directory, i))

    def stat(self, path, count, flight):
        if int(flight) > 1:
            return "unsupported"
        for _ in range(int(count)):
            self.g.statns(path)


def answer(peer, words):
    start = time.monotonic()
    try:
        refusal = getattr(peer, words[0])(*words[1:])
    except RuntimeError as e:
        print("peer_libguestfs: %s: %s" % (words[0], e), file=sys.stderr)
        return {"error": -1}
    took = time.monotonic() - start
    return {refusal: True} if refusal else {"s": round(took, 6)}


def main():
    peer = Peer()
    for line in sys.stdin:
        print(json.dumps(answer(peer, line.split())), flush=True)


main()
