"""Equal hashes mean equal wires: whatever changes a byte of a body changes the hash, and
nothing else does, or a corrected comment would part library and daemon."""

import os
import shutil
import sys
import tempfile
import unittest
from pathlib import Path

SCHEMA = Path(os.environ["FERRY_SOURCE_DIR"]) / "schema"
sys.path.insert(0, str(SCHEMA))

import loader  # noqa: E402


class Hash(unittest.TestCase):
    def after(self, name, old, new):
        """The hash of the real schema with one text of one file replaced."""
        with tempfile.TemporaryDirectory() as directory:
            for path in SCHEMA.glob("*.toml"):
                shutil.copy(path, directory)
            path = Path(directory) / name
            text = path.read_text()
            self.assertIn(old, text)
            path.write_text(text.replace(old, new, 1))
            return loader.load(directory).api_hash()

    def setUp(self):
        self.now = loader.load(SCHEMA).api_hash()

    def test_shape(self):
        self.assertRegex(self.now, r"\A[0-9a-f]{32}\Z")

    def test_the_wire_changes_it(self):
        changes = [
            ("types.toml", "version = 1", "version = 2"),
            ("types.toml", "name = 1024", "name = 255"),
            ("types.toml", "msg = 255", "msg = 511"),
            ("types.toml", 'uid", type = "uint32"', 'uid", type = "uint64"'),
            ("files.toml", "number = 65", "number = 66"),
            ("files.toml", '{ name = "src", type = "path" },', ""),
            ("files.toml", 'type = "[dirent]"', 'type = "dirent"'),
            ("files.toml", "[call.rm]", "[call.unlink]"),
            ("transfer.toml", 'transfer = "up"', 'transfer = "down"'),
            ("devices.toml", 'blocksize", type = "uint32"', 'blocksize", type = "uint64"'),
        ]
        hashes = [self.after(*change) for change in changes]
        for change, value in zip(changes, hashes):
            self.assertNotEqual(value, self.now, change)
        self.assertEqual(len(set(hashes)), len(hashes))

    def test_words_do_not(self):
        for change in [
            ("files.toml", "What a file is", "Which a file is"),
            ("files.toml", 'EBUSY = "it is, or holds, a mountpoint", ', ""),
            ("types.toml", "[protocol]", "# a comment\n[protocol]"),
            ("types.toml", "reserved = 4", "reserved = 6"),
        ]:
            self.assertEqual(self.after(*change), self.now, change)


if __name__ == "__main__":
    unittest.main()
