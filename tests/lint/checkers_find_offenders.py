#!/usr/bin/python3
"""The checkers find what they are for: each rule is broken once, in a scratch tree."""

import sys
import tempfile
import unittest
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parents[1] / "cmake")]
import exported_symbols  # noqa: E402
import include_rules  # noqa: E402
import symbol_map  # noqa: E402


class IncludeRules(unittest.TestCase):
    def offenders(self, path, text):
        with tempfile.TemporaryDirectory() as tmp:
            file = Path(tmp, path)
            file.parent.mkdir(parents=True)
            file.write_text(text)
            return list(include_rules.check(Path(tmp)))

    def test_downward_includes_are_fine(self):
        for path, header in [
            ("src/async/fs.c", '"base/list.h"'),
            ("src/async/fs.c", "<uv.h>"),
            ("src/proto/conn.c", '"async/link.h"'),
            ("src/api/vm.c", '"launch/qmp.h"'),
            ("src/api/vm.c", "<guestferry/vm.h>"),
            ("daemon/mount.c", '"proto/conn.h"'),
            ("daemon/main.c", "<uv.h>"),
            ("examples/borrowed_loop.c", "<uv.h>"),
        ]:
            with self.subTest(path=path, header=header):
                self.assertEqual(self.offenders(path, f"#include {header}\n"), [])

    def test_each_forbidden_include_is_named(self):
        for path, header in [
            ("src/base/buf.c", '"async/loop.h"'),
            ("src/proto/conn.c", '"launch/qmp.h"'),
            ("src/launch/qmp.c", '"proto/conn.h"'),
            ("src/launch/qmp.c", '"api/vm.h"'),
            ("daemon/mount.c", '"launch/argv.h"'),
            ("daemon/mount.c", '"api/vm.h"'),
            ("cli/cp.c", '"base/list.h"'),
            ("examples/blocking.c", '"api/vm.h"'),
            ("src/proto/conn.c", "<uv.h>"),
            ("src/proto/frame.c", "<uv.h>"),
            ("include/guestferry/vm.h", '"base/list.h"'),
        ]:
            with self.subTest(path=path, header=header):
                found = self.offenders(path, f"/* one\n*/\n #  include {header}\n")
                self.assertEqual(len(found), 1)
                self.assertTrue(found[0].startswith(f"{path}:3: "), found[0])


class SymbolMap(unittest.TestCase):
    def names(self, text):
        with tempfile.NamedTemporaryFile("w", suffix=".h") as header:
            header.write(text)
            header.flush()
            return symbol_map.exported_names([header.name])

    def test_finds_functions_and_objects_but_not_comments(self):
        text = (
            "/* FERRY_EXPORT int ferry_in_comment(void);\n"
            "FERRY_EXPORT int ferry_in_comment_too(void); */\n"
            "FERRY_EXPORT const char *ferry_name(const ferry_vm *vm);\n"
            "FERRY_EXPORT int\n    ferry_broken_line(int a,\n int b);\n"
            "FERRY_EXPORT extern const int ferry_object;\n"
            "int ferry_hidden(void);\n"
        )
        self.assertEqual(
            self.names(text), ["ferry_broken_line", "ferry_name", "ferry_object"]
        )

    def test_a_mark_it_cannot_read_is_an_error(self):
        with self.assertRaises(SystemExit):
            self.names("FERRY_EXPORT int other_name(void);\n")


class ExportedSymbols(unittest.TestCase):
    def test_both_directions_are_compared(self):
        complaints = list(exported_symbols.compare({"ferry_a"}, {"ferry_b"}))
        self.assertEqual(len(complaints), 2)
        self.assertEqual(list(exported_symbols.compare({"ferry_a"}, {"ferry_a"})), [])


if __name__ == "__main__":
    unittest.main()
