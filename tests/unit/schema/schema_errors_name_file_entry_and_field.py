"""Whoever writes a wrong schema is told the file, the entry and the field, for every
mistake in one run; and what is told to be wrong is refused, not generated."""

import copy
import os
import sys
import tempfile
import unittest
from pathlib import Path

SCHEMA = Path(os.environ["FERRY_SOURCE_DIR"]) / "schema"
sys.path.insert(0, str(SCHEMA))

import loader  # noqa: E402

TYPES = """
[protocol]
version = 1
frame = 262144
retired = [7]
[limits]
path = 4096
device = 256
where = 31
msg = 255
[struct.thing]
doc = "A thing."
since = "0.1"
fields = [
  { name = "size", type = "uint64" },
  { name = "label", type = "string", max = 16 },
]
"""
CALL = {
    "number": "1",
    "since": '"0.1"',
    "doc": '"Does it."',
    "args": '[{ name = "path", type = "path" }]',
    "result": '{ name = "thing", type = "thing" }',
    "errors": '{ ENOENT = "not there" }',
}
FAMILY = '[family]\ntitle = "Things"\ndoc = "All about things."\n'


def call(name="do_it", **changes):
    """A good call with some keys changed (None: left out)."""
    keys = copy.copy(CALL) | changes
    lines = [f"{key} = {value}" for key, value in keys.items() if value is not None]
    return f"[call.{name}]\n" + "\n".join(lines) + "\n"


class Refusals(unittest.TestCase):
    def load(self, things=None, types=TYPES, **others):
        things = FAMILY + call() if things is None else things
        with tempfile.TemporaryDirectory() as directory:
            files = {"types": types, "things": things} | others
            for name, text in files.items():
                (Path(directory) / f"{name}.toml").write_text(text)
            return loader.load(directory, {"ENOENT", "EIO"})

    def refused(self, *complaints, **files):
        """Loading fails with exactly these complaints, each given by its parts."""
        with self.assertRaises(loader.SchemaError) as caught:
            self.load(**files)
        problems = caught.exception.problems
        self.assertEqual(len(problems), len(complaints), problems)
        for problem, parts in zip(problems, complaints):
            for part in parts:
                self.assertIn(part, problem)

    def wrong(self, *parts, **changes):
        self.refused(parts, things=FAMILY + call(**changes))

    def test_the_good_one_is_accepted(self):
        schema = self.load()
        self.assertEqual([c.name for c in schema.calls], ["do_it"])

    def test_not_toml(self):
        self.refused(("things.toml: not TOML", "line 1"), things="[family\n")

    def test_no_types(self):
        with tempfile.TemporaryDirectory() as directory:
            with self.assertRaisesRegex(loader.SchemaError, "no types.toml in"):
                loader.load(directory)

    def test_missing_and_unknown_keys(self):
        self.wrong("things.toml: [call.do_it] doc: is missing", doc=None)
        self.wrong("retired: unknown key", "known: args, doc", retired="true")
        self.wrong("[call.do_it] number: must be int, is '1'", number='"1"')

    def test_every_mistake_is_reported(self):
        self.refused(
            ("[call.do_it] doc: is missing",),
            ("[call.do_it] errors.EWHAT: no such code",),
            ("[call.other] number: 1 belongs to things.toml: [call.do_it]",),
            things=FAMILY
            + call(doc=None, errors='{ EWHAT = "never" }')
            + call("other"),
        )

    def test_numbers(self):
        self.wrong("number: must be 1 to 65535, is 0", number="0")
        self.wrong("number: must be 1 to 65535, is 65536", number="65536")
        self.wrong("[call.do_it] number: 7 was another call's once", number="7")
        self.refused(
            ("z.toml: [call.other] number: 1 belongs to things.toml: [call.do_it]",),
            z=FAMILY + call("other"),
        )

    def test_names(self):
        self.refused(("[call.Do] name: 'Do' is no name",), things=FAMILY + call("Do"))
        self.refused(("name: 'class' is a word",), things=FAMILY + call("class"))
        self.refused(
            ("z.toml: [call.do_it] name: is defined already: things.toml",),
            z=FAMILY + call(number="2"),
        )

    def test_names_that_would_clash_in_c(self):
        self.refused(
            ("[call.x_start] name: ferry_x_start is also made by things.toml: [call.x]",),
            things=FAMILY + call("x") + call("x_start", number="2"),
        )
        self.refused(
            ("[call.thing] name: ferry_thing is also made by types.toml: [struct",),
            things=FAMILY + call("thing"),
        )

    def test_arguments(self):
        self.wrong(
            "[call.do_it] args.x.type: 'int' is not one of", "uint32",
            args='[{ name = "x", type = "int" }]',
        )  # fmt: skip
        self.wrong(
            "args.x.secret: only a string is one",
            args='[{ name = "x", type = "path", secret = true }]',
        )
        self.wrong("args[0].name: is missing", args='[{ type = "path" }]')
        self.wrong("args[0]: must be a table, is 'path'", args='["path"]')
        self.wrong(
            "args.x: is there twice",
            args='[{ name = "x", type = "path" }, { name = "x", type = "bool" }]',
        )
        self.wrong("args.op: 'op' is a word", args='[{ name = "op", type = "path" }]')
        self.wrong(
            "optional: 'path' is an argument already",
            optional='[{ name = "path", type = "string", max = 5 }]',
        )
        self.wrong(
            "optional.where.type: 'path' is not one of",
            optional='[{ name = "where", type = "path" }]',
        )

    def test_bounds(self):
        self.wrong(
            "args.x.max: is missing: every string has a bound",
            args='[{ name = "x", type = "string" }]',
        )
        self.wrong(
            "args.x.max: 'long' is no limit of types.toml (path, device",
            args='[{ name = "x", type = "string", max = "long" }]',
        )
        self.wrong(
            "args.x.max: must be a limit's name or a count, is 0",
            args='[{ name = "x", type = "string", max = 0 }]',
        )
        self.wrong(
            "args.x.max: only a string has one",
            args='[{ name = "x", type = "bool", max = 5 }]',
        )

    def test_what_fits_no_frame(self):
        self.wrong(
            "[call.do_it] args: up to 262152 bytes do not fit a frame of 262144",
            args='[{ name = "x", type = "string", max = 262144 }]',
        )
        self.wrong(
            "[call.do_it] result: up to 262148 bytes do not fit a frame of 65536",
            result='{ name = "x", type = "[string]", max = 262144 }',
        )

    def test_results(self):
        self.wrong(
            "result.type: 'nothing' is not one of", "thing", "nor [string] or [a struct]",
            result='{ name = "x", type = "nothing" }',
        )  # fmt: skip
        self.wrong(
            "result.type: '[uint32]' is not one of",
            result='{ name = "x", type = "[uint32]" }',
        )
        self.wrong("result.name: is missing", result='{ type = "bool" }')

    def test_transfers(self):
        self.wrong("transfer: must be up, down or none, is 'in'", transfer='"in"')
        self.wrong(
            "result: a transfer's DATA is the file's",
            transfer='"down"',
            result='{ name = "x", type = "[thing]" }',
        )

    def test_errors_and_versions(self):
        self.wrong("errors.EWHAT: no such code", errors='{ EWHAT = "never" }')
        self.wrong("errors.EIO: must say when, is ''", errors='{ EIO = "" }')
        self.wrong("since: 'soon' is no version", since='"soon"')

    def test_families(self):
        self.refused(
            ("things.toml: [family] title: is missing",),
            things='[family]\ndoc = "x"\n' + call(),
        )
        self.refused(
            ("things.toml: [family]: a family has at least one call",),
            things=FAMILY + "[call]\n",
        )

    def test_structs(self):
        def types(struct):
            return TYPES.split("[struct.thing]")[0] + struct

        self.refused(
            ("types.toml: [struct.thing] fields.f.type: 'short' is not one of",),
            types=types(
                '[struct.thing]\nsince = "0.1"\ndoc = "x"\n'
                'fields = [{ name = "f", type = "short" }]\n'
            ),
        )
        self.refused(
            ("types.toml: [struct.thing] fields: a struct has at least one",),
            types=types('[struct.thing]\nsince = "0.1"\ndoc = "x"\nfields = []\n'),
        )

    def test_limits(self):
        self.refused(
            ("types.toml: [limits] msg: is missing",),
            types=TYPES.replace("msg = 255\n", ""),
        )
        self.refused(
            ("types.toml: [limits] msg: must be a count of bytes, is -1",),
            types=TYPES.replace("msg = 255", "msg = -1"),
        )


if __name__ == "__main__":
    unittest.main()
