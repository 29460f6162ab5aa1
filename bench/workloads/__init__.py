"""All there is to measure, in the order of the report: a file for each kind."""
from . import calls, commands, fairness, files, filesystems, launch, libvirt, memory, transfers, trees, verify

PARTS = (launch, libvirt, commands, transfers, files, trees, calls, filesystems, fairness, verify, memory)


def groups(size):
    return [part.group(size) for part in PARTS]
