#!/usr/bin/python3
"""Write the linker's version script from the FERRY_EXPORT marks of the public headers.

Run by the build (cmake/FerryLibrary.cmake); tests/lint uses exported_names() to compare
the marks with what the finished library exports.
"""

import argparse
import re
import sys
from pathlib import Path

COMMENT = re.compile(r"/\*.*?\*/|//[^\n]*", re.S)
# FERRY_EXPORT const char *ferry_strerror(int code);  FERRY_EXPORT extern int ferry_x;
MARKED = re.compile(r"^FERRY_EXPORT\b[^;(]*?\b(ferry_\w+)\s*[;(\[]", re.M)
MARKS = re.compile(r"^FERRY_EXPORT\b", re.M)


def exported_names(headers):
    """The names marked FERRY_EXPORT in these files, sorted."""
    names = set()
    for header in headers:
        text = COMMENT.sub(" ", Path(header).read_text())
        found = MARKED.findall(text)
        if len(found) != len(MARKS.findall(text)):
            sys.exit(f"{header}: a FERRY_EXPORT without a ferry_ name in its first words")
        names.update(found)
    return sorted(names)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--node", required=True, help="version node, GUESTFERRY_0.1")
    parser.add_argument("--output", required=True, type=Path)
    parser.add_argument("headers", nargs="+", type=Path)
    args = parser.parse_args()

    lines = [f"    {name};" for name in exported_names(args.headers)]
    args.output.write_text(
        f"{args.node} {{\nglobal:\n" + "\n".join(lines) + "\nlocal:\n    *;\n};\n"
    )


if __name__ == "__main__":
    main()
