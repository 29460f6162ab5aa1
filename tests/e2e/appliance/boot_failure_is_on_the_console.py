"""An appliance that cannot come up says why in one line and powers off; it does not sit
there until the launch's deadline. The host puts the line into its error."""

import os
import subprocess
import sys
import tempfile

# A boot takes 2 s, on a machine that is busy with other tests perhaps 20.
LIMIT_S = 120

appliance = os.environ["FERRY_APPLIANCE"]


def boot(*devices):
    """The console of a boot with these devices only; qemu must end by itself."""
    command = [
        "qemu-system-x86_64", "-nodefaults", "-no-user-config", "-display", "none",
        "-no-reboot", "-machine", "q35", "-accel", "tcg", "-cpu", "max,-erms",
        "-m", "512", "-kernel", f"{appliance}/vmlinux",
        "-initrd", f"{appliance}/initramfs",
        "-append", "console=ttyS0 quiet panic=-1 oops=panic", "-serial", "stdio",
        *devices,
    ]
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True,
                          text=True, errors="replace", timeout=LIMIT_S)
    assert done.returncode == 0, done.stderr
    return done.stdout


def expect(console, text):
    if text not in console:
        sys.exit(f"the console does not say {text!r}:\n{console}")


expect(boot(), "ferryd: mount /usr from /dev/vda: No such file or directory")

with tempfile.NamedTemporaryFile() as blank:
    blank.truncate(1 << 20)
    console = boot("-blockdev", f"raw,node-name=usr,read-only=on,file.driver=file,"
                                f"file.filename={blank.name}",
                   "-device", "virtio-blk-pci,drive=usr")
    expect(console, "ferryd: mount /usr from /dev/vda: Invalid argument")
