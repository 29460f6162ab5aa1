"""Reads schema/*.toml into model.py's objects, and refuses what cannot mean anything.

Owns the grammar of the TOML files. Every complaint names file, entry and field, and all
are collected before load() gives up, so one run shows them all.
"""

import re
import tomllib
from pathlib import Path

from model import (
    ARG_TYPES, FIELD_TYPES, ITEM_BATCH, OPTIONAL_TYPES, RESULT_TYPES, TEXT, Call, Family,
    Result, Schema, Struct, Value,
)  # fmt: skip

NAME = re.compile(r"[a-z][a-z0-9]*(_[a-z0-9]+)*")
SINCE = re.compile(r"[0-9]+\.[0-9]+")
# Words of C, C++ (the header is for both) and rpcgen, and names that the generated
# functions use for themselves.
TAKEN = set(
    "auto break case char const continue default do double else enum extern float for "
    "goto if inline int long register restrict return short signed sizeof static struct "
    "switch typedef union unsigned void volatile while asm typeof "
    "bool catch class delete export false friend mutable namespace new operator private "
    "protected public template this throw true try using virtual "
    "hyper opaque program quad string version "
    "vm op opts ret_op reterr args ret o r".split()
)

# Keys of an argument, a field or a result, for take().
VALUE = {"name": (str, ...), "type": (str, ...), "doc": (str, ""), "max": (object, None)}
# Keys of those that travel towards the daemon, beside these.
INPUT = {"secret": (bool, False)}

STATUS_NAME = "status"  # fx_status, in front of every REPLY


class SchemaError(Exception):
    """One or more complaints, each "file: [entry] field: what is wrong"."""

    def __init__(self, problems):
        super().__init__("\n".join(problems))
        self.problems = problems


def load(directory, codes=None):
    """Reads types.toml and every other *.toml of a directory. `codes` is the set of
    error names that exist ("ENOENT"); None accepts all. Raises SchemaError."""
    return _Loader(Path(directory), codes).load()


class _Loader:
    def __init__(self, directory, codes):
        self.directory = directory
        self.codes = codes
        self.problems = []
        self.limits = {}
        self.structs = {}
        self.numbers = {}  # call number -> "file: [call.x]"
        self.names = {}  # call name -> the same
        self.file = ""
        self.entry = ""

    # ---- complaints -----------------------------------------------------------------

    def bad(self, what, where=""):
        place = f" {where}" if where else ""
        self.problems.append(f"{self.file}: [{self.entry}]{place}: {what}")

    def take(self, table, known, where=""):
        """The values of a table's known keys: {key: (type, default)}; a default of
        ... makes the key required; object is any type. Complains of wrong types and of
        other keys."""
        values = {}
        for key, (kind, default) in known.items():
            value = table.get(key, default)
            if value is ...:
                self.bad("is missing", f"{where}{key}")
                value = kind()
            elif key in table and kind is not object and type(value) is not kind:
                self.bad(f"must be {kind.__name__}, is {value!r}", f"{where}{key}")
                value = kind() if default is ... else default
            values[key] = value
        for key in table.keys() - known.keys():
            known_keys = ", ".join(sorted(known))
            self.bad(f"unknown key (known: {known_keys})", f"{where}{key}")
        return values

    def check_name(self, name, where):
        if not NAME.fullmatch(name):
            self.bad(f"{name!r} is no name (lower case, digits, single _)", where)
        elif name in TAKEN:
            self.bad(f"{name!r} is a word of C or of the generated functions", where)

    # ---- files ----------------------------------------------------------------------

    def load(self):
        files = sorted(self.directory.glob("*.toml"))
        tables = {path.stem: self.read(path) for path in files}
        types = tables.pop("types", None)
        self.file, self.entry = "types.toml", "protocol"
        if types is None:
            self.bad(f"no types.toml in {self.directory}")
            raise SchemaError(self.problems)
        if None in [types, *tables.values()]:
            raise SchemaError(self.problems)

        protocol = self.load_types(types)
        families = [self.load_family(name, table) for name, table in tables.items()]
        schema = Schema(
            protocol["version"], protocol["frame"], self.limits, self.structs, families
        )
        if not self.problems:
            self.check_whole(schema, protocol["retired"])
        if self.problems:
            raise SchemaError(self.problems)
        families.sort(key=lambda f: min(c.number for c in f.calls))
        return schema

    def read(self, path):
        try:
            return tomllib.loads(path.read_text())
        except (tomllib.TOMLDecodeError, UnicodeDecodeError) as err:
            self.problems.append(f"{path.name}: not TOML: {err}")
            return None

    def load_types(self, table):
        self.file, self.entry = "types.toml", "top"
        top = self.take(
            table, {"protocol": (dict, ...), "limits": (dict, ...), "struct": (dict, {})}
        )
        self.entry = "protocol"
        protocol = self.take(
            top["protocol"],
            {"version": (int, ...), "frame": (int, ...), "retired": (list, [])},
        )
        self.entry = "limits"
        for name, value in top["limits"].items():
            self.check_name(name, name)
            if type(value) is not int or value < 1:
                self.bad(f"must be a count of bytes, is {value!r}", name)
                value = 1
            self.limits[name] = value
        for name in ("path", "device", "where", "msg"):
            if name not in self.limits:
                self.bad("is missing", name)
                self.limits[name] = 1
        for name, entry in top["struct"].items():
            self.load_struct(name, entry)
        return protocol

    def load_struct(self, name, table):
        self.entry = f"struct.{name}"
        self.check_name(name, "name")
        if name in FIELD_TYPES or name == STATUS_NAME:
            self.bad("is the name of a type already", "name")
        known = {
            "doc": (str, ...), "fields": (list, ...), "since": (str, ...),
            "reserved": (int, 0),
        }  # fmt: skip
        got = self.take(table, known)
        self.check_since(got["since"])
        fields = self.load_values(got["fields"], "fields", FIELD_TYPES)
        if not fields:
            self.bad("a struct has at least one", "fields")
        if got["reserved"] < 0:
            self.bad("must not be negative", "reserved")
        self.structs[name] = Struct(
            name, _text(got["doc"]), fields, got["since"], got["reserved"]
        )

    def load_family(self, name, table):
        self.file, self.entry = f"{name}.toml", "top"
        top = self.take(table, {"family": (dict, ...), "call": (dict, ...)})
        self.entry = "family"
        got = self.take(
            top["family"], {"title": (str, ...), "doc": (str, ...), "errors": (dict, {})}
        )
        self.check_errors(got["errors"])
        family = Family(name, got["title"], _text(got["doc"]), got["errors"])
        for call_name, entry in top["call"].items():
            self.entry = f"call.{call_name}"
            if type(entry) is not dict:
                self.bad("must be a table")
                continue
            family.calls.append(self.load_call(family, call_name, entry))
        if not family.calls:
            self.entry = "family"
            self.bad("a family has at least one call")
        return family

    # ---- one call -------------------------------------------------------------------

    def load_call(self, family, name, table):
        self.check_name(name, "name")
        known = {
            "number": (int, ...), "since": (str, ...), "doc": (str, ...),
            "long": (str, ""), "args": (list, []), "optional": (list, []),
            "result": (dict, None), "errors": (dict, {}), "transfer": (str, "none"),
            "internal": (bool, False),
        }  # fmt: skip
        got = self.take(table, known)
        if type(table.get("number")) is int:
            self.check_identity(name, got["number"])
        self.check_since(got["since"])
        if got["transfer"] not in ("none", "up", "down"):
            self.bad(f"must be up, down or none, is {got['transfer']!r}", "transfer")
        self.check_errors(got["errors"])
        args = self.load_values(got["args"], "args", ARG_TYPES)
        optional = self.load_values(got["optional"], "optional", OPTIONAL_TYPES)
        for twice in {a.name for a in args} & {a.name for a in optional}:
            self.bad(f"{twice!r} is an argument already", "optional")
        result = self.load_result(got["result"]) if got["result"] is not None else None
        call = Call(
            name, got["number"], _text(got["doc"]), _text(got["long"]), got["since"],
            family, args, optional, result, got["errors"], got["transfer"],
            got["internal"],
        )  # fmt: skip
        if call.stream_result and call.transfer != "none":
            self.bad("a transfer's DATA is the file's: it cannot be a list", "result")
        return call

    def check_identity(self, name, number):
        here = f"{self.file}: [{self.entry}]"
        if number < 1 or number > 0xFFFF:
            self.bad(f"must be 1 to 65535, is {number}", "number")
        elif number in self.numbers:
            self.bad(f"{number} belongs to {self.numbers[number]}", "number")
        if name in self.names:
            self.bad(f"is defined already: {self.names[name]}", "name")
        self.numbers.setdefault(number, here)
        self.names.setdefault(name, here)

    def check_since(self, since):
        if since and not SINCE.fullmatch(since):
            self.bad(f"{since!r} is no version (\"0.1\")", "since")

    def check_errors(self, errors):
        for code, when in errors.items():
            if self.codes is not None and code not in self.codes:
                self.bad("no such code in include/guestferry/error.h", f"errors.{code}")
            if type(when) is not str or not when:
                self.bad(f"must say when, is {when!r}", f"errors.{code}")

    def load_values(self, items, where, types):
        values = []
        for index, item in enumerate(items):
            place = f"{where}[{index}]"
            if type(item) is not dict:
                self.bad(f"must be a table, is {item!r}", place)
                continue
            if type(item.get("name")) is str:
                place = f"{where}.{item['name']}"
                self.check_name(item["name"], place)
                if any(v.name == item["name"] for v in values):
                    self.bad("is there twice", place)
            known = VALUE if types is FIELD_TYPES else VALUE | INPUT
            got = self.take(item, known, place + ".")
            value = Value(got["name"], got["type"], _text(got["doc"]))
            value.secret = got.get("secret", False)
            if value.type not in types:
                allowed = ", ".join(sorted(types))
                self.bad(f"{value.type!r} is not one of {allowed}", f"{place}.type")
            if value.secret and value.type != "string":
                self.bad("only a string is one", f"{place}.secret")
            self.set_max(value, item, place)
            values.append(value)
        return values

    def set_max(self, value, item, place):
        """The bound of a text: every string on the wire has one."""
        if value.type in ("path", "device") and "max" not in item:
            value.max = self.limits.get(value.type, 1)
            return
        limit = item.get("max")
        if not value.is_text:
            if limit is not None:
                self.bad("only a string has one", f"{place}.max")
        elif limit is None:
            self.bad("is missing: every string has a bound", f"{place}.max")
        elif type(limit) is str:
            if limit not in self.limits:
                known = ", ".join(self.limits)
                self.bad(f"{limit!r} is no limit of types.toml ({known})", f"{place}.max")
            value.max = self.limits.get(limit, 1)
        elif type(limit) is not int or limit < 1:
            self.bad(f"must be a limit's name or a count, is {limit!r}", f"{place}.max")
        else:
            value.max = limit
        if value.is_text and value.max is None:
            value.max = 1  # so that what follows can go on

    def load_result(self, table):
        got = self.take(table, VALUE, "result.")
        if type(table.get("name")) is str:
            self.check_name(got["name"], "result.name")
        kind, is_list = got["type"], False
        if kind.startswith("[") and kind.endswith("]"):
            kind, is_list = kind[1:-1], True
        result = Result(got["name"], _text(got["doc"]), is_list=is_list)
        if kind in self.structs:
            result.struct = self.structs[kind]
            if "max" in table:
                self.bad("only a string has one", "result.max")
            return result
        result.value = Value("value", kind, result.doc)
        if kind not in (TEXT if is_list else RESULT_TYPES):
            allowed = ", ".join(sorted(RESULT_TYPES | self.structs.keys()))
            self.bad(
                f"{got['type']!r} is not one of {allowed}, nor [string] or [a struct]",
                "result.type",
            )
        self.set_max(result.value, table, "result")
        return result

    # ---- the whole ------------------------------------------------------------------

    def check_whole(self, schema, retired):
        """What only shows when everything is read."""
        status = Struct(
            STATUS_NAME, "",
            [Value("code", "uint32"), Value("os_errno", "uint32"),
             Value("where", "string", max=self.limits["where"]),
             Value("msg", "string", max=self.limits["msg"])],
        ).wire_size()  # fmt: skip
        for call in schema.calls:
            self.file, self.entry = f"{call.family.name}.toml", f"call.{call.name}"
            if call.number in retired:
                self.bad(f"{call.number} was another call's once", "number")
            size = 4 + sum(a.wire_size() for a in call.wire_args)
            if size > schema.frame:
                self.too_long(size, schema.frame, "args")
            if call.result:
                size = call.result.wire_size()
                size += 0 if call.stream_result else status
                limit = ITEM_BATCH if call.stream_result else schema.frame
                if size > limit:
                    self.too_long(size, limit, "result")
        self.check_clashes(schema)

    def too_long(self, size, frame, where):
        self.bad(f"up to {size} bytes do not fit a frame of {frame}", where)

    def check_clashes(self, schema):
        """Every name becomes ferry_NAME; suffixes must not make two of them equal."""
        names = {}
        for struct in schema.structs.values():
            for suffix in ("", "_list", "_list_free", "_clear"):
                names[struct.name + suffix] = f"types.toml: [struct.{struct.name}]"
        for call in schema.calls:
            self.file, self.entry = f"{call.family.name}.toml", f"call.{call.name}"
            here = f"{self.file}: [{self.entry}]"
            for suffix in ("", "_start", "_result", "_opts"):
                name = call.name + suffix
                other = names.setdefault(name, here)
                if other != here:
                    self.bad(f"ferry_{name} is also made by {other}", "name")


def _text(text):
    """Documentation as one paragraph; the output wraps it again."""
    return " ".join(text.split())


def read_codes(header):
    """The error names of include/guestferry/error.h, without FERRY_."""
    text = Path(header).read_text()
    return set(re.findall(r"^\s+FERRY_(E\w+) = \d+,", text, re.M))
