"""^C, SIGKILL, and domains that are destroyed: in time, with a libvirtd that hangs too, and
afterwards neither domain nor process is there.

A hung libvirtd is the story to know. virStreamSend() blocks until libvirtd has taken the
bytes, on a non-blocking stream too. As long as that was called on libvirt's event loop, the
loop stood still, and with it the kill of this domain, and the keepalive that would have ended
the connection."""

import signal

import libvirtd
from libvirtd import cli


class Cancels(libvirtd.Case):
    def test_a_domain_destroyed_by_somebody_else(self):
        disk = self.image("disk.qcow2")
        big = cli.random_file(self.path("big"), 200 << 20)
        daemon = self.daemon()
        with self.cp(daemon, big, f"{disk}:/big") as t:
            t.expect(r" [1-9]\d?%")
            daemon.virsh("destroy", daemon.domains()[0])
            self.assertEqual(t.end(), 1, t.text[-300:])
        self.assertIn("its domain was destroyed", t.text)
        self.nothing_is_left(daemon)

    def test_interrupted_in_an_upload_and_killed(self):
        disk = self.image("disk.qcow2")
        big = cli.random_file(self.path("big"), 200 << 20)
        daemon = self.daemon()
        with self.cp(daemon, big, f"{disk}:/big") as t:
            t.expect(r" [1-9]\d?%")
            t.type("\x03")
            self.assertEqual(t.end(), 130, t.text[-300:])
        self.assertEqual(self.names_in(disk, "/"), ["lost+found"])
        self.fs_is_clean(disk)
        self.nothing_is_left(daemon)

        with self.cp(daemon, big, f"{disk}:/big") as t:
            t.expect(r" [1-9]\d?%")
            t.signal(signal.SIGKILL)
            t.end()
        # Nobody is left to kill it; libvirtd does, as it promised at the start.
        self.no_process_is_left()
        libvirtd.wait_for(lambda: not daemon.domains(), "the domain's end")

    def test_a_libvirtd_that_hangs_delays_no_cancel(self):
        disk = self.image()
        big = cli.random_file(self.path("big"), 200 << 20)
        daemon = self.daemon()
        daemon.kill(signal.SIGSTOP)
        with self.cp(daemon, big, f"{disk}:/big") as t:
            t.expect("starting qemu")
            t.type("\x03")
            self.assertEqual(t.end(), 130, t.text[-300:])
        daemon.kill(signal.SIGCONT)
        self.nothing_is_left(daemon)

        # One that hangs when the domain is there: its qemu is killed all the same.
        with self.cp(daemon, big, f"{disk}:/big") as t:
            t.expect(r" [1-9]\d?%")
            daemon.kill(signal.SIGSTOP)
            t.type("\x03")
            self.assertEqual(t.end(), 130, t.text[-300:])
        self.no_process_is_left()
        daemon.kill(signal.SIGCONT)
        libvirtd.wait_for(lambda: not daemon.domains(), "the domain's end")


if __name__ == "__main__":
    libvirtd.main()
