"""Launches by way of libvirt, as ../libvirt.py makes them."""
import json
import os
import subprocess
import sys

from workload import Group, Workload

HERE = os.path.dirname(os.path.abspath(__file__))
SKIPPED = 77
PATIENCE_S = 300


def launch(name):
    def run(_, m):
        work = m.made("libvirt", os.mkdir)
        # libvirt's qemu runs as another user, who has to come this far.
        os.chmod(m.work, 0o755)
        os.chmod(work, 0o755)
        done = subprocess.run([sys.executable, "-B", os.path.join(HERE, "..", "libvirt.py"), name, work],
                              capture_output=True, text=True, check=False, timeout=PATIENCE_S)
        if done.returncode == SKIPPED:
            return None
        if done.returncode != 0:
            raise RuntimeError((done.stderr.strip() or "it said nothing")[-300:])
        answer = json.loads(done.stdout.splitlines()[-1])
        return dict(answer, also={"libvirt-shutdown": {"s": answer.pop("shutdown")}})

    return run


def group(size):
    return Group("libvirt", "By way of libvirt", [
        Workload("libvirt-launch", "cold launch", "s",
                 {"ours": launch("ours"), "libguestfs": launch("libguestfs")},
                 rounds={"ours": 2, "libguestfs": 2}, target=5),
        Workload("libvirt-shutdown", "shutdown", "s", {"ours": None, "libguestfs": None}),
    ])
