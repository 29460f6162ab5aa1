"""ls, stat, mkdir, rm, create, doctor, and what -v, --json and --progress add."""

import json
import os
import unittest

import cli


class Commands(cli.Case):
    def setUp(self):
        super().setUp()
        self.disk = self.image("disk.img", "256M", "--label", "cargo")

    def test_create_made_what_was_asked_for(self):
        self.fs_is_clean(self.disk)
        self.assertIn(b"cargo", self.debugfs(self.disk, "show_super_stats -h"))

    def test_ls_and_stat(self):
        file = cli.random_file(self.path("file"), 1234)
        os.chmod(file, 0o640)
        os.utime(file, (0, 0))
        cli.gferry("cp", file, f"{self.disk}:/.hidden")
        cli.gferry("cp", file, f"{self.disk}:/seen")
        self.assertEqual(cli.gferry("ls", self.disk).stdout, "lost+found\nseen\n")
        self.assertEqual(cli.gferry("ls", "-a", self.disk).stdout,
                         ".hidden\nlost+found\nseen\n")
        self.assertRegex(cli.gferry("ls", "-l", f"{self.disk}:/seen").stdout,
                         r"^-rw-r----- 1 0 0 1234 \w{3} [ \d]\d \d\d:\d\d /seen\n$")
        rows = json.loads(cli.gferry("ls", "--json", "-l", self.disk).stdout)
        self.assertEqual([r["name"] for r in rows], ["lost+found", "seen"])
        self.assertEqual((rows[1]["size"], rows[1]["mode"], rows[1]["type"]),
                         (1234, "0640", "file"))
        stat = json.loads(cli.gferry("stat", "--json", f"{self.disk}:/seen").stdout)
        self.assertEqual((stat["path"], stat["size"], stat["uid"]), ("/seen", 1234, 0))
        self.assertIn("Access: (0640/-rw-r-----)",
                      cli.gferry("stat", f"{self.disk}:/seen").stdout)

    def test_a_big_directory(self):
        tree = self.path("many")
        os.mkdir(tree)
        names = [f"{i:05}" for i in range(3000)]
        for name in names:
            open(os.path.join(tree, name), "wb").close()
        cli.gferry("cp", "-qr", tree, f"{self.disk}:/")
        self.assertEqual(cli.gferry("ls", f"{self.disk}:/many").stdout.split(), names)
        lines = cli.gferry("ls", "-l", f"{self.disk}:/many").stdout.splitlines()
        self.assertEqual(len(lines), 3000)
        self.fs_is_clean(self.disk)

    def test_mkdir_and_rm(self):
        cli.gferry("mkdir", f"{self.disk}:/a/b", code=4)
        cli.gferry("mkdir", "-p", "--mode", "700", f"{self.disk}:/a/b", f"{self.disk}:/c")
        cli.gferry("mkdir", "-p", f"{self.disk}:/a/b")
        cli.gferry("mkdir", f"{self.disk}:/c", code=1)
        self.assertIn(b"Mode:  0700", self.debugfs(self.disk, "stat /a/b"))
        cli.gferry("rm", "-rf", f"{self.disk}:/a", f"{self.disk}:/c", f"{self.disk}:/gone")
        self.assertEqual(self.names_in(self.disk, "/"), ["lost+found"])
        self.fs_is_clean(self.disk)

    def test_verbose_tells_of_the_launch(self):
        run = cli.gferry("ls", "-v", "--accel", "tcg", self.disk)
        self.assertRegex(run.stderr, r"gferry: appliance up in \d+ ms with tcg \(prepare")

    def test_quiet_is_quiet(self):
        file = cli.random_file(self.path("file"), 1 << 20)
        run = cli.gferry("cp", "-q", file, f"{self.disk}:/")
        self.assertEqual((run.stdout, run.stderr), ("", ""))

    def test_progress_as_json(self):
        file = cli.random_file(self.path("file"), 30 << 20)
        run = cli.gferry("cp", "--progress", "json", file, f"{self.disk}:/")
        events = [json.loads(line) for line in run.stderr.splitlines()]
        self.assertTrue(all(e["op"] == "cp" for e in events))
        phases = {e["phase"] for e in events}
        self.assertTrue(phases & {"booting", "restoring"}, phases)
        copies = [e for e in events if "bytes" in e]
        self.assertEqual([c["bytes"] for c in copies], sorted(c["bytes"] for c in copies))
        last = copies[-1]
        self.assertEqual((last["state"], last["bytes"], last["total"], last["file"]),
                         ("done", 30 << 20, 30 << 20, "file"))
        self.assertEqual((events[-1]["phase"], events[-1]["state"]), ("flushing", "done"))

    def test_the_bar_ends_in_a_summary(self):
        file = cli.random_file(self.path("big.iso"), 100 << 20)
        with cli.Terminal("cp", "--limit-rate", "25M", file, f"{self.disk}:/", columns=60) as t:
            t.expect(r"big\.iso  \[")
            t.resize(40)
            self.assertEqual(t.end(), 0, t.text[-300:])
        self.assertRegex("\n".join(t.screen()),
                         r"^big\.iso  100 MiB in [\d.]+ s \(\d+ [KM]iB/s\)$")
        # After the resize nothing is wider than 39 columns.
        self.assertNotIn("\x1b[2J", t.text[-300:])

    def test_no_color(self):
        file = cli.random_file(self.path("big.iso"), 30 << 20)
        with cli.Terminal("cp", "--limit-rate", "20M", file, f"{self.disk}:/",
                          env={"NO_COLOR": "1"}) as t:
            t.expect(r"%")
            self.assertEqual(t.end(), 0, t.text[-300:])
        self.assertNotRegex(t.text, r"\x1b\[\d+m")

    def test_doctor(self):
        report = json.loads(cli.gferry("doctor", "--json").stdout)
        self.assertTrue(report["healthy"])
        verdicts = {c["check"]: c["verdict"] for c in report["checks"]}
        self.assertEqual(verdicts["launch"], "ok")
        launch = report["launch"]
        self.assertIn(launch["accel"], ("kvm", "tcg"))
        self.assertGreaterEqual(launch["total_ms"], launch["boot_ms"])
        # Why there is no kvm, if there is none: a bug report needs it.
        self.assertEqual("no_kvm" in launch, launch["accel"] == "tcg")
        for name in "round_trip_us", "upload_bytes_per_second", "download_bytes_per_second":
            self.assertGreater(report["selftest"][name], 0)
        self.assertIn(report["selftest"]["lane"], ("open", "idle"))
        self.assertEqual(verdicts["lane"], "ok")
        self.assertIn("cloud", report["versions"]["appliance_kernel"])
        asked = json.loads(cli.gferry("doctor", "--json", "--accel", "tcg").stdout)
        self.assertNotIn("no_kvm", asked["launch"])
        run = cli.gferry("doctor", code=5,
                         env=dict(os.environ, FERRY_APPLIANCE="/nonexistent"))
        self.assertRegex(run.stdout, r"(?m)^bad +appliance +/nonexistent/manifest.json: No such")
        self.assertNotRegex(run.stdout, "(?m)^ok +shutdown")


if __name__ == "__main__":
    unittest.main()
