"""The read-only ext4 image that the appliance mounts on /usr.

ext4 because it is built into the kernel: nothing to load before the first mount. No
journal, no checksums: nobody ever writes to it, and its digest is in the manifest.
"""

import os
import subprocess

from system import Failed

BLOCK = 4096
FEATURES = "none,extent,filetype,dir_index,sparse_super,large_file,extra_isize"
# Fixed, so that equal contents are equal images.
UUID = "67756573-7466-4572-a279-2d7573720001"
# e2fsprogs' own way to be told what time it is (0 would mean: look).
CLOCK = {"E2FSPROGS_FAKE_TIME": "1"}


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
    """Enough of them: data, a block per directory or link, and what maps it all."""
    count = sum(-(-os.lstat(path).st_size // BLOCK) + 1 for path in _paths(top))
    return count + count // 50 + 512


def _settle_inodes(image, top):
    """Root's, whoever builds; and times that no utime() can set: mke2fs copies the
    change times of the files it finds."""
    fields = ["uid 0", "gid 0", "atime @0", "ctime @0", "mtime @0", "atime_extra 0",
              "ctime_extra 0", "mtime_extra 0", "crtime @0", "crtime_extra 0"]
    script = [f'sif "/{os.path.relpath(path, top)}" {field}'
              for path in _paths(top) for field in fields]
    # debugfs says everything on stderr and ends with 0.
    done = subprocess.run(["debugfs", "-w", "-f", "/dev/stdin", image], text=True,
                          input="\n".join(script), capture_output=True,
                          env=os.environ | CLOCK)
    errors = done.stderr.splitlines()[1:]  # the first line is its version
    if done.returncode != 0 or errors:
        raise Failed(f"debugfs: {' '.join(errors[:1])}")


def make(image, top):
    """Makes `image` of the contents of `top`, whose times and modes it sets first."""
    _normalise(top)
    inodes = sum(1 for _ in _paths(top)) + 32
    command = ["mke2fs", "-q", "-F", "-t", "ext4", "-b", str(BLOCK), "-O", FEATURES,
               "-m", "0", "-N", str(inodes), "-L", "ferry-usr", "-U", UUID,
               "-E", f"hash_seed={UUID},root_owner=0:0", "-d", top, image,
               str(_blocks(top))]
    done = subprocess.run(command, capture_output=True, text=True,
                          env=os.environ | CLOCK)
    if done.returncode != 0:
        raise Failed(f"mke2fs: {done.stderr.strip()}")
    _settle_inodes(image, top)
