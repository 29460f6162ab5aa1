"""The schema as objects: families of calls, their values, and the structs they return.

Pure data, filled by loader.py and read by the templates. Owns the list of types and what
they weigh on the wire, and the API hash. Knows nothing of TOML or of C.
"""

import hashlib
import json
from dataclasses import dataclass, field

# Wire size of the types that have a fixed one, in bytes (RFC 4506).
FIXED = {
    "mode": 4, "uint32": 4, "int64": 8, "uint64": 8, "bool": 4, "char": 4,
}  # fmt: skip
TEXT = {"string", "path", "device"}
ARG_TYPES = TEXT | FIXED.keys() - {"char"}
FIELD_TYPES = TEXT | FIXED.keys()
# What a zero cannot say to stand for "not given".
OPTIONAL_TYPES = ARG_TYPES - {"path", "device"}
RESULT_TYPES = TEXT | FIXED.keys() - {"char", "mode"}

# Items of a list are sent in frames of about this size (daemon_dispatch.c).
ITEM_BATCH = 64 * 1024


@dataclass
class Value:
    """An argument, a field of a struct, or a result that is no list."""

    name: str
    type: str
    doc: str = ""
    max: int | None = None  # of text: bytes without the 0
    secret: bool = False  # our copies of it are wiped

    @property
    def is_text(self):
        return self.type in TEXT

    def wire_size(self):
        if not self.is_text:
            return FIXED[self.type]
        return 4 + (self.max + 3) // 4 * 4


@dataclass
class Struct:
    name: str
    doc: str
    fields: list[Value]
    since: str = ""
    reserved: int = 0

    @property
    def texts(self):
        return [f for f in self.fields if f.is_text]

    def wire_size(self):
        return sum(f.wire_size() for f in self.fields)


@dataclass
class Result:
    """A value, a struct, or a list of strings or structs."""

    name: str
    doc: str = ""
    value: Value | None = None  # also the item of a list of strings
    struct: Struct | None = None
    is_list: bool = False

    def wire_size(self):
        return self.struct.wire_size() if self.struct else self.value.wire_size()


@dataclass
class Call:
    name: str
    number: int
    doc: str
    long: str
    since: str
    family: "Family" = field(repr=False, compare=False)
    args: list[Value] = field(default_factory=list)
    optional: list[Value] = field(default_factory=list)
    result: Result | None = None
    errors: dict[str, str] = field(default_factory=dict)
    transfer: str = "none"
    internal: bool = False

    @property
    def wire_args(self):
        return self.args + self.optional

    @property
    def drive_arg(self):
        """The argument that may name a drive by its label: a device, or what a transfer
        reads or writes, which may be one."""
        types = {"device"} if self.transfer == "none" else {"device", "path"}
        return next((a for a in self.args if a.type in types), None)

    @property
    def secrets(self):
        return [a for a in self.wire_args if a.secret]

    @property
    def stream_result(self):
        """A list comes as DATA: it may be longer than any frame."""
        return self.result is not None and self.result.is_list

    @property
    def public(self):
        """Has generated C functions (a transfer's are written by hand)."""
        return not self.internal and self.transfer == "none"


@dataclass
class Family:
    name: str  # the file's, without .toml
    title: str
    doc: str
    errors: dict[str, str]
    calls: list[Call] = field(default_factory=list)


@dataclass
class Schema:
    protocol: int
    frame: int
    limits: dict[str, int]
    structs: dict[str, Struct]
    families: list[Family]

    @property
    def calls(self):
        """All calls, by number."""
        return sorted((c for f in self.families for c in f.calls), key=lambda c: c.number)

    def call(self, name):
        return next(c for c in self.calls if c.name == name)

    def canonical(self):
        """What the wire is made of, as text that only a change of it changes."""
        items = {
            "protocol": self.protocol,
            "limits": self.limits,
            "structs": {
                s.name: [(f.name, f.type, f.max) for f in s.fields]
                for s in self.structs.values()
            },
            "calls": {
                c.name: [
                    c.number,
                    c.transfer,
                    [(a.name, a.type, a.max) for a in c.wire_args],
                    _canonical_result(c.result),
                ]
                for c in self.calls
            },
        }
        return json.dumps(items, sort_keys=True, separators=(",", ":"))

    def api_hash(self):
        """First 32 hex digits of the SHA-256 of canonical(): fits HELLO's field."""
        return hashlib.sha256(self.canonical().encode()).hexdigest()[:32]


def _canonical_result(result):
    if result is None:
        return None
    kind = result.struct.name if result.struct else [result.value.type, result.value.max]
    return [result.is_list, kind]
