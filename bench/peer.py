"""How libguestfs is run for comparison, on a host that need not have a kernel of its own.

libguestfs builds its appliance (supermin) from a kernel in /boot and from /lib/modules. Ours comes
from an unpacked package in build/cache and is never installed, so it is pointed there; and
where the host has no /lib/modules at all, supermin is shown one in a mount namespace.
"""
import glob
import os
import sys

from side import Side

HERE = os.path.dirname(os.path.abspath(__file__))


def cached_kernel():
    for image in glob.glob(os.path.dirname(HERE) + "/build/cache/*/boot/vmlinuz-*"):
        version = image.rsplit("/vmlinuz-", 1)[1]
        tree = image.rsplit("/boot/", 1)[0] + "/lib/modules/" + version
        if os.path.isdir(tree):
            return image, tree
    sys.exit("bench: no kernel in build/cache: ./dev build first")


def environment(work):
    image, tree = cached_kernel()
    return {
        "LIBGUESTFS_BACKEND": "direct",
        "LIBGUESTFS_BACKEND_SETTINGS": "force_tcg",
        "LIBGUESTFS_CACHEDIR": work,
        "SUPERMIN_KERNEL": image,
        "SUPERMIN_MODULES": tree,
    }


def with_lib_modules(argv, work):
    if os.path.isdir("/lib/modules"):
        return argv
    if os.geteuid() != 0:
        sys.exit("bench: libguestfs needs a directory /lib/modules, and to be shown one, root")
    layer = work + "/lib"
    os.makedirs(layer + "/modules", exist_ok=True)
    lib = os.path.realpath("/lib")
    mount = "mount -t overlay -o lowerdir=%s:%s overlay %s" % (layer, lib, lib)
    return ["unshare", "-m", "sh", "-c", mount + ' && exec "$@"', "peer"] + argv


def new_peer(work, env=None):
    argv = ["/usr/bin/python3", "-B", HERE + "/peer_libguestfs.py"]
    return Side("libguestfs", with_lib_modules(argv, work), {**environment(work), **(env or {})})
