#!/usr/bin/python3
"""Check who includes whom (DESIGN 2): usage: include_rules.py SOURCE_DIR

    base <- async <- proto <- {api, daemon}        async <- launch <- api
    base <- tree <- {api, daemon}

Prints one line for each offending #include and exits 1 if there is any.
"""

import re
import sys
from pathlib import Path

# Part of the tree -> the parts whose headers it may include, besides its own. "schema"
# stands for generated code (the XDR bodies and the call tables).
ALLOWED = {
    "base": set(),
    "async": {"base"},
    "tree": {"base"},
    "schema": {"base", "async", "proto"},
    "proto": {"base", "async", "schema"},
    "launch": {"base", "async"},
    "api": {"base", "async", "tree", "proto", "schema", "launch"},
    "daemon": {"base", "async", "tree", "proto", "schema"},
    "cli": set(),
    "examples": set(),
    "bindings": set(),
}

# libuv belongs to src/async; besides it, the daemon's main runs a loop, and an example on
# a borrowed loop brings its own.
MAY_USE_UV = re.compile(r"src/async/|daemon/main\.c$|examples/")

# Arithmetic and text only, so that a test needs no loop.
PURE = re.compile(r"/(frame|codec|window|argv|drive|wire)\.[ch]$")

INCLUDE = re.compile(r'^\s*#\s*include\s+(["<])([^">]+)[">]', re.M)


def part_of(path):
    """The part a source file belongs to, or None for one the rules leave alone."""
    top, *rest = path.split("/")
    if top == "src" and rest:
        return rest[0]
    if top == "include":
        return "public"
    return top if top in ALLOWED else None


def complaint(path, part, kind, header):
    """What is wrong with this #include, or None."""
    if header == "uv.h":
        if PURE.search(path) or not MAY_USE_UV.search(path):
            return "only src/async and the mains may use libuv"
        return None
    if header.startswith("guestferry"):
        return None
    if part == "public":
        return "a public header includes only public ones" if kind == '"' else None

    target, slash, _ = header.partition("/")
    if not slash or target not in ALLOWED or target == part:
        return None  # a system header, or one of its own directory
    if target not in ALLOWED[part]:
        return f"{part} must not know {target}"
    return None


def check(root):
    """Yields "path:line: #include: complaint" for every offender below root."""
    tops = ("include", "src", "daemon", "cli", "examples", "schema", "bindings")
    for path in sorted(p for top in tops for p in (root / top).rglob("*.[ch]")):
        name = path.relative_to(root).as_posix()
        part = part_of(name)
        if part is None:
            continue
        text = path.read_text()
        for match in INCLUDE.finditer(text):
            wrong = complaint(name, part, match[1], match[2])
            if wrong:
                line = text.count("\n", 0, match.start(2)) + 1
                yield f"{name}:{line}: {match[2]}: {wrong}"


def main():
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    root = Path(sys.argv[1]).resolve()
    offenders = list(check(root))
    print("\n".join(offenders) or "include rules: clean")
    return 1 if offenders else 0


if __name__ == "__main__":
    sys.exit(main())
