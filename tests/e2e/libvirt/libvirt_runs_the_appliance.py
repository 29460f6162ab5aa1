"""gferry --backend libvirt, with the system's libvirtd and with a user's own: files go there
and back, the image stays its owner's, and no domain, process or file is left."""

import os

import libvirtd
from libvirtd import cli



class Case(libvirtd.Case):
    def own(self, uid, *paths):
        for path in paths:
            os.chown(path, uid, uid)

    def goes_there_and_back(self, daemon, uid, owner):
        disk = self.image("disk.qcow2")
        cargo = cli.random_file(self.path("cargo"), (20 << 20) + 123)
        back = self.path("back")
        os.mkdir(back)
        self.own(owner, disk, cargo, back)
        os.chmod(disk, 0o600)
        self.gferry(daemon, "cp", cargo, f"{disk}:/cargo", uid=uid)
        self.assertEqual(self.sha256_in(disk, "/cargo"), cli.sha256(cargo))
        self.gferry(daemon, "cp", f"{disk}:/cargo", back + "/", uid=uid)
        self.assertEqual(cli.sha256(back + "/cargo"), cli.sha256(cargo))
        self.fs_is_clean(disk)

        self.assertEqual(os.stat(disk).st_uid, owner)
        self.assertEqual(os.stat(os.environ["FERRY_APPLIANCE"] + "/usr.img").st_uid,
                         os.stat(os.environ["FERRY_APPLIANCE"]).st_uid)
        self.assertEqual(daemon.domains(), [])
        self.no_process_is_left()


class System(Case):
    def test_root_and_others_whose_images_stay_theirs(self):
        daemon = self.daemon()
        self.goes_there_and_back(daemon, None, 0)
        # qemu runs as whoever asked: an image of mode 0600 is readable for nobody else.
        os.remove(self.path("disk.qcow2"))
        os.remove(self.path("back/cargo"))
        os.rmdir(self.path("back"))
        self.goes_there_and_back(daemon, libvirtd.SOMEBODY, libvirtd.SOMEBODY)

    def test_a_scratch_disk_has_no_name(self):
        daemon = self.daemon()
        self.env["TMPDIR"] = self.path("tmp")
        os.mkdir(self.path("tmp"))
        run = self.gferry(daemon, "doctor")
        self.assertRegex(run.stdout, r"ok +libvirt +\d+\.\d+\.\d+ at qemu:///system")
        self.assertRegex(run.stdout, r"ok +launch +\d+ ms")
        self.assertEqual(os.listdir(self.path("tmp")), [])
        self.assertEqual(daemon.domains(), [])


class Session(Case):
    def test_a_users_own(self):
        self.goes_there_and_back(self.daemon(libvirtd.SOMEBODY), None, libvirtd.SOMEBODY)


if __name__ == "__main__":
    libvirtd.main()
