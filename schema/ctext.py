"""How the schema's things are spelled in C: types, declarations, comments.

Pure text; called by the templates. The layout is that of .clang-format (4 spaces, 88
columns, arguments aligned to the parenthesis), so that generated code reads like ours.
"""

import textwrap

COLUMNS = 88

XDR = {
    "mode": "unsigned int", "uint32": "unsigned int", "int64": "hyper",
    "uint64": "unsigned hyper", "bool": "bool", "char": "char",
}  # fmt: skip
PUBLIC = {
    "mode": "uint32_t ", "uint32": "uint32_t ", "int64": "int64_t ",
    "uint64": "uint64_t ", "bool": "int ", "char": "char ",
}  # fmt: skip


def xdr_member(value):
    """`string path<4096>` or `hyper size`, as rpcgen reads it."""
    if value.is_text:
        return f"string {value.name}<{value.max}>"
    return f"{XDR[value.type]} {value.name}"


def argument(value):
    """A parameter of a public function."""
    return ("const char *" if value.is_text else PUBLIC[value.type]) + value.name


def member(value):
    """A field of a public struct, which owns its strings."""
    return ("char *" if value.is_text else PUBLIC[value.type]) + value.name


def option(value):
    """A field of an option struct, which owns nothing."""
    return argument(value)


def output(result):
    """The parameter that a result is written to."""
    name = f"*ret_{result.name}"
    if result.is_list:
        item = result.struct
        return f"ferry_{item.name}_list {name}" if item else f"char **{name}"
    if result.struct:
        return f"ferry_{result.struct.name} {name}"
    return f"char *{name}" if result.value.is_text else PUBLIC[result.value.type] + name


def inputs(call):
    """Parameters between vm and the outputs."""
    params = [argument(a) for a in call.args]
    if call.optional:
        params.append(f"const ferry_{call.name}_opts *opts")
    return params


def input_names(call):
    return [a.name for a in call.args] + (["opts"] if call.optional else [])


def start_params(call):
    return ["ferry_vm *vm", *inputs(call), "ferry_op **ret_op", "ferry_error *reterr"]


def result_params(call):
    return ["ferry_op *op", output(call.result), "ferry_error *reterr"]


def block_params(call):
    outputs = [output(call.result)] if call.result else []
    return ["ferry_vm *vm", *inputs(call), *outputs, "ferry_error *reterr"]


def fill(head, items, tail=""):
    """`head(items)tail`, continued below the parenthesis where a line is full."""
    lines, line = [], head + "("
    indent = " " * len(line)
    for index, item in enumerate(items):
        last = index == len(items) - 1
        piece = item + (")" + tail if last else ",")
        first = line.isspace() or line.endswith("(")
        if not first and len(line) + 1 + len(piece) > COLUMNS:
            lines.append(line)
            line = indent + piece
        else:
            line += piece if first else " " + piece
    return "\n".join([*lines, line])


def call_text(head, items, tail=";", indent=4):
    """A call in a function's body."""
    pad = " " * indent
    return fill(pad + head, items, tail)


def ruler(title, tail=" */"):
    """`/* ---- title ------ */`, as wide as the page."""
    head = f"/* ---- {title} "
    return head + "-" * (COLUMNS - len(head) - len(tail)) + tail


def paragraph(text, indent=" * ", first=None):
    """Text wrapped as part of a comment."""
    return textwrap.fill(
        text, COLUMNS, initial_indent=first if first is not None else indent,
        subsequent_indent=indent, break_long_words=False, break_on_hyphens=False,
    )  # fmt: skip


def definitions(pairs):
    """A comment's list of names and what they are, in two columns."""
    width = max(len(name) for name, _ in pairs)
    lines = []
    for name, text in pairs:
        head = f" * {name:<{width}}  "
        lines.append(paragraph(text, " * " + " " * (width + 2), head).rstrip())
    return "\n".join(lines)


def members(fields, reserved=0):
    """A struct's fields with their comments in one column; a long comment goes above."""
    entries = [(member(f) + ";", f.doc) for f in fields]
    if reserved:
        entries.append((f"uint64_t reserved[{reserved}];", "0"))
    width = max(len(decl) for decl, doc in entries)
    lines = []
    for decl, doc in entries:
        line = f"    {decl:<{width}} /* {doc} */" if doc else f"    {decl}"
        if len(line) > COLUMNS:
            lines.append(paragraph(doc + " */", "     * ", "    /* "))
            line = f"    {decl}"
        lines.append(line)
    return "\n".join(lines)


def argument_doc(value):
    """What is said of an argument whose name says the rest."""
    return value.doc or {"path": "in the image"}.get(value.type, "")


def errors(table):
    """`FERRY_ENOENT (no such file), ...`"""
    return ", ".join(f"FERRY_{code} ({when})" for code, when in table.items())


# ---- bodies -------------------------------------------------------------------------


def wire_value(value, expression):
    """A public argument as a member of the wire's struct. The cast drops a const that XDR
    has no word for; encoding only reads."""
    return f"(char *)(uintptr_t){expression}" if value.is_text else expression


def wire_option(value):
    """The same for an option of `o`: the wire has no NULL."""
    if value.is_text:
        return f'(char *)(uintptr_t)(o.{value.name} ? o.{value.name} : "")'
    return f"o.{value.name}"


def start_names(call):
    return ["vm", *input_names(call), "&op", "reterr"]


def daemon_params(call):
    params = ["struct ferryd_call *c"]
    if call.wire_args:
        params.append(f"const fx_{call.name}_args *a")
    if call.result and not call.stream_result:
        params.append(f"fx_{call.name}_ret *ret")
    return [*params, "ferry_error *e"]


def daemon_names(call):
    names = ["c"]
    if call.wire_args:
        names.append("args")
    if call.result and not call.stream_result:
        names.append("ret")
    return ", ".join([*names, "e"])


def item_params(call):
    struct = call.result.struct
    item = f"const fx_{struct.name} *item" if struct else "const char *item"
    return ["struct ferryd_call *c", item]


def item_address(call):
    """XDR wants the address of a string's pointer."""
    return "item" if call.result.struct else "&item"


# ---- the page for readers -----------------------------------------------------------


def signature(call):
    """`mkfs(fstype, device, [label, blocksize]) -> ...`, as a shell would have it."""
    params = [a.name for a in call.args] + [f"[{a.name}]" for a in call.optional]
    result = f" -> {call.result.name}" if call.result else ""
    return f"{call.name}({', '.join(params)}){result}"


def result_type(result):
    struct = result.struct
    name = f"[{struct.name}](#{struct.name})" if struct else result.value.type
    return f"list of {name}" if result.is_list else name


def error_list(table):
    return "; ".join(f"{code}, {when}" for code, when in table.items())
