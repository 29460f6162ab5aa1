#!/usr/bin/python3
"""Check that libguestferry.so exports what the public headers promise, and no more.

usage: exported_symbols.py LIBRARY HEADER...
"""

import re
import subprocess
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "cmake"))
from symbol_map import exported_names  # noqa: E402


def library_symbols(library):
    """Names in the dynamic symbol table, without the version nodes themselves."""
    out = subprocess.run(
        ["nm", "-D", "--defined-only", "--format=posix", library],
        check=True, capture_output=True, text=True,
    ).stdout
    rows = [line.split() for line in out.splitlines()]
    return {re.sub(r"@.*", "", name) for name, kind, *_ in rows if kind != "A"}


def compare(promised, exported):
    """Complaints, one line each."""
    for name in sorted(promised - exported):
        yield f"{name}: marked FERRY_EXPORT, not in the library"
    for name in sorted(exported - promised):
        yield f"{name}: exported, in no public header"


def main():
    if len(sys.argv) < 3:
        sys.exit(__doc__)
    promised = set(exported_names(sys.argv[2:]))
    complaints = list(compare(promised, library_symbols(sys.argv[1])))
    print("\n".join(complaints) or f"{len(promised)} exported names: agreed")
    return 1 if complaints else 0


if __name__ == "__main__":
    sys.exit(main())
