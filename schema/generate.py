#!/usr/bin/python3
"""Writes everything that is made from the schema into one directory.

    generate.py --output DIR [--schema DIR] [--version 0.1.0]

    ferry_xdr.x           the wire (rpcgen makes ferry_xdr.[hc] of it)
    ferry_xdr_types.h     all its types, for tests
    guestferry/calls.h    public functions and structs
    api_calls.[hc]        their bodies, over src/api/call.h
    daemon_calls.h        what the daemon implements
    daemon_dispatch.c     procedure number to implementation
    api_hash.h            FERRY_API_HASH, FERRY_BUILD
    calls.md              the calls, for readers
    symbols.txt           public names, one a line
    schema.json           all of it, for bindings and the shell

The grammar of the schema is in loader.py, what it means in model.py, C's spelling in
ctext.py, the texts are in templates/.
A file whose content has not changed is left untouched, so that nothing is compiled again.
"""

import argparse
import json
import sys
from dataclasses import asdict, replace
from pathlib import Path

import ctext
import loader
import model
from jinja2 import Environment, FileSystemLoader, StrictUndefined

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent

RENDERED = [
    "ferry_xdr.x", "ferry_xdr_types.h", "guestferry/calls.h", "api_calls.h",
    "api_calls.c", "daemon_calls.h", "daemon_dispatch.c", "api_hash.h", "calls.md",
]  # fmt: skip


def environment():
    env = Environment(
        loader=FileSystemLoader(HERE / "templates"),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    env.globals["c"] = ctext
    return env


def symbols(schema):
    """The public names that calls.h declares, sorted."""
    names = {"ferry_strings_free"}
    for call in schema.calls:
        if call.public:
            names |= {f"ferry_{call.name}", f"ferry_{call.name}_start"}
            if call.result:
                names.add(f"ferry_{call.name}_result")
    for struct in listed(schema):
        names.add(f"ferry_{struct.name}_list_free")
    for struct in cleared(schema):
        names.add(f"ferry_{struct.name}_clear")
    return sorted(names)


def results(schema):
    return [c.result for c in schema.calls if c.public and c.result]


def used(schema):
    """Structs that a public function returns."""
    names = {r.struct.name for r in results(schema) if r.struct}
    return [s for s in schema.structs.values() if s.name in names]


def listed(schema):
    """Structs that a public function returns a list of."""
    names = {r.struct.name for r in results(schema) if r.struct and r.is_list}
    return [s for s in used(schema) if s.name in names]


def cleared(schema):
    """Structs with strings that a public function returns one of."""
    names = {r.struct.name for r in results(schema) if r.struct and not r.is_list}
    return [s for s in used(schema) if s.name in names and s.texts]


def dump(schema):
    """The schema as plain data."""

    def plain(call):
        entry = asdict(replace(call, family=None))
        entry["family"] = call.family.name
        entry["stream_result"] = call.stream_result
        if call.result and call.result.struct:
            entry["result"]["struct"] = call.result.struct.name
        return entry

    return {
        "protocol": schema.protocol,
        "api_hash": schema.api_hash(),
        "limits": schema.limits,
        "structs": {s.name: asdict(s) for s in schema.structs.values()},
        "families": [
            {"name": f.name, "title": f.title, "doc": f.doc, "errors": f.errors}
            for f in schema.families
        ],
        "calls": [plain(c) for c in schema.calls],
    }


def render(schema, version):
    """All outputs: {relative path: text}."""
    env = environment()
    names = {
        "schema": schema,
        "version": version,
        "item_batch": model.ITEM_BATCH,
        "used": used(schema),
        "listed": listed(schema),
        "cleared": cleared(schema),
    }
    texts = {name: env.get_template(name + ".j2").render(names) for name in RENDERED}
    texts["symbols.txt"] = "\n".join(symbols(schema)) + "\n"
    texts["schema.json"] = json.dumps(dump(schema), indent=1) + "\n"
    return texts


def write(directory, texts):
    for name, text in texts.items():
        path = directory / name
        if path.exists() and path.read_text() == text:
            continue
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--schema", type=Path, default=HERE, help="holds the *.toml")
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--version", default="0.0.0", help="of the library")
    args = parser.parse_args()

    codes = loader.read_codes(ROOT / "include/guestferry/error.h")
    try:
        schema = loader.load(args.schema, codes)
    except loader.SchemaError as err:
        print(err, file=sys.stderr)
        return 1
    write(args.output, render(schema, args.version))
    return 0


if __name__ == "__main__":
    sys.exit(main())
