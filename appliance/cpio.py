"""A reproducible newc archive: sorted, owned by root, times zero.

The kernel unpacks archives that follow each other in one file (each may be compressed
or not), a later file replacing an earlier one. So the large part is made once and the
daemon appended to it.
"""

import os
import stat

HEADER = "070701" + "%08x" * 13


def _entry(name, mode, data, inode, nlink=1):
    raw = name.encode() + b"\0"
    header = HEADER % (inode, mode, 0, 0, nlink, 0, len(data), 0, 0, 0, 0, len(raw), 0)
    head = header.encode() + raw
    # Name and data are each padded to 4; an archive starts at a multiple of 4.
    return head + b"\0" * (-len(head) % 4) + data + b"\0" * (-len(data) % 4)


def _content(path, mode):
    if stat.S_ISLNK(mode):
        return os.readlink(path).encode()
    if stat.S_ISREG(mode):
        with open(path, "rb") as f:
            return f.read()
    if stat.S_ISDIR(mode):
        return b""
    raise ValueError(f"{path}: neither file, directory nor link")


def _paths(tree):
    """The tree and every path below it, relative, sorted, parents first."""
    found = ["."]
    for where, dirs, files in os.walk(tree):
        for name in dirs + files:
            found.append(os.path.relpath(os.path.join(where, name), tree))
    return sorted(found)


def archive(tree):
    """The tree as bytes."""
    out = []
    for inode, name in enumerate(_paths(tree), start=1):
        path = os.path.join(tree, name)
        mode = os.lstat(path).st_mode
        # Permissions of the host's umask are no input of ours.
        if stat.S_ISDIR(mode):
            mode = stat.S_IFDIR | 0o755
        elif stat.S_ISREG(mode):
            mode = stat.S_IFREG | (0o755 if mode & 0o111 else 0o644)
        out.append(_entry(name, mode, _content(path, mode), inode))
    out.append(_entry("TRAILER!!!", 0, b"", 0))
    return b"".join(out)
