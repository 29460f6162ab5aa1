"""The read-only ext4 image that the appliance mounts on /usr.

ext4 because it is built into the kernel: nothing to load before the first mount. No
journal, no checksums: nobody ever writes to it, and its digest is in the manifest.
"""

import os
import subprocess

from kernel import Failed

BLOCK = 4096
FEATURES = "none,extent,filetype,dir_index,sparse_super,large_file,extra_isize"
# Fixed, so that equal contents are equal images.
UUID = "67756573-7466-4572-a279-2d7573720001"


def _paths(top):
    yield top
    for where, dirs, files in os.walk(top):
        for name in dirs + files:
            yield os.path.join(where, name)


def _normalise(top):
    """Times and the builder's umask are no input of ours."""
    for path in _paths(top):
        if not os.path.islink(path):
            runs = os.path.isdir(path) or os.access(path, os.X_OK)
            os.chmod(path, 0o755 if runs else 0o644)
        os.utime(path, (0, 0), follow_symlinks=False)


def _blocks(top):
    """Enough of them: data, a block per directory or long link, and what maps it all."""
    count = sum(-(-os.lstat(path).st_size // BLOCK) + 1 for path in _paths(top))
    return count + count // 50 + 512


def _give_to_root(image, top):
    """Whoever builds, root owns. mke2fs takes the owners of the files it finds."""
    script = []
    for path in _paths(top):
        name = "/" + os.path.relpath(path, top)
        script += [f'sif "{name}" uid 0', f'sif "{name}" gid 0']
    done = subprocess.run(["debugfs", "-w", "-f", "/dev/stdin", image], text=True,
                          input="\n".join(script), capture_output=True)
    if done.returncode != 0:
        raise Failed(f"debugfs: {done.stderr.strip()}")


def make(image, top):
    """Makes `image` of the contents of `top`, whose times and modes it sets first."""
    _normalise(top)
    inodes = sum(1 for _ in _paths(top)) + 32
    command = ["mke2fs", "-q", "-F", "-t", "ext4", "-b", str(BLOCK), "-O", FEATURES,
               "-m", "0", "-N", str(inodes), "-L", "ferry-usr", "-U", UUID,
               "-E", f"hash_seed={UUID},root_owner=0:0", "-d", top, image,
               str(_blocks(top))]
    # e2fsprogs' own way to say what time it is.
    done = subprocess.run(command, capture_output=True, text=True,
                          env=os.environ | {"E2FSPROGS_FAKE_TIME": "1"})
    if done.returncode != 0:
        raise Failed(f"mke2fs: {done.stderr.strip()}")
    if os.geteuid() != 0:
        _give_to_root(image, top)
