"""A libvirtd of the test's own: a real one, in a mount namespace where /run, /etc/libvirt and
libvirt's directories are empty, so that a machine's own is neither seen nor touched.

`enter()` runs the program again in that namespace. The build tree is at /mnt there:
libvirt's qemu runs as a user of its own, who may not enter what is above it.

/dev/kvm is out of reach: whether kvm works there is a question of its own, and libvirt asks
every qemu about it again and again where it half works."""

import os
import select
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import unittest

sys.path.insert(0, os.path.join(os.environ["FERRY_SOURCE_DIR"], "tests/e2e/cli"))

import cli  # noqa: E402

INSIDE = "FERRY_TEST_LIBVIRT_INSIDE"
EMPTY = ("/run", "/etc/libvirt", "/var/lib/libvirt", "/var/cache/libvirt", "/var/log/libvirt")
# As Debian's libvirt-daemon-system has it; libvirtd does not start without.
USER = "libvirt-qemu"
USER_ID = 64055
# A user who may do nothing, but has a name: libvirt's client asks for it.
SOMEBODY = 54321
SYSTEM = "qemu:///system"
SESSION = "qemu:///session"
PATIENCE = 120


def _prepare():
    """Makes the namespace ours."""
    def mount(*args):
        subprocess.run(["mount", *args], check=True)

    mount("--bind", os.environ["FERRY_BUILD_DIR"], "/mnt")
    for path in EMPTY:
        os.makedirs(path, exist_ok=True)
        mount("-t", "tmpfs", "-o", "mode=755", "tmpfs", path)
    os.makedirs("/run/lock", 0o1777)
    os.chmod("/run/lock", 0o1777)
    os.mkdir("/run/ours")
    for name, added in (("passwd", [f"{USER}:x:{USER_ID}:{USER_ID}::/:/usr/sbin/nologin",
                                    f"somebody:x:{SOMEBODY}:{SOMEBODY}::/:/bin/sh"]),
                        ("group", [f"{USER}:x:{USER_ID}:", f"somebody:x:{SOMEBODY}:"])):
        with open(f"/etc/{name}", encoding="utf-8") as file:
            lines = [old for old in file.read().splitlines()
                     if not old.startswith(f"{USER}:")]
        with open(f"/run/ours/{name}", "w", encoding="utf-8") as file:
            file.write("\n".join(lines + added + [""]))
        mount("--bind", f"/run/ours/{name}", f"/etc/{name}")
    if os.path.exists("/dev/kvm"):
        os.close(os.open("/run/ours/kvm", os.O_CREAT, 0o000))
        mount("--bind", "/run/ours/kvm", "/dev/kvm")


def enter():
    """Runs this program again in the namespace; returns there."""
    missing = [name for name in ("libvirtd", "virtlogd", "virsh", "unshare", "setpriv")
               if not shutil.which(name, path=os.environ["PATH"] + ":/usr/sbin:/sbin")]
    if os.geteuid() != 0 or missing:
        print("skipped:", f"not installed: {missing}" if missing
              else "only root can have a libvirtd in a namespace", file=sys.stderr)
        sys.exit(77)
    if INSIDE not in os.environ:
        env = {**os.environ, INSIDE: "1",
               "PATH": f"/mnt/bin:{os.environ['PATH']}:/usr/sbin:/sbin",
               "LD_LIBRARY_PATH": "/mnt/lib"}
        # Of processes too: however the test ends, nothing that it started goes on. The
        # shell is its init and reaps: libvirtd waits for ever for a qemu that is a zombie.
        os.execvpe("unshare", ["unshare", "--mount", "--propagation", "private", "--pid",
                               "--fork", "--kill-child", "--mount-proc",
                               "sh", "-c", '"$@"; exit $?', "sh",
                               sys.executable, "-B", *sys.argv], env)
    _prepare()
    build = os.environ["FERRY_BUILD_DIR"]
    for name in ("FERRY_APPLIANCE", "FERRY_LIBEXEC", "FERRY_PLUGINS"):
        os.environ[name] = os.path.join("/mnt", os.path.relpath(os.environ[name], build))
    os.environ["FERRY_BUILD_DIR"] = "/mnt"


def main():
    """unittest.main() in the namespace."""
    enter()
    unittest.main()


class Libvirtd:
    """A running virtlogd and libvirtd: the system's, or (uid) a user's own."""

    def __init__(self, uid=None, socket_mode="0777"):
        # Short: below it, libvirt makes sockets with long names.
        self.home = home = tempfile.mkdtemp(dir="/run/ours", prefix="")
        self.uid = uid
        self.env = dict(os.environ)
        self.uri = SYSTEM
        self.prefix = []
        if uid is not None:
            os.chown(home, uid, uid)
            self.uri = SESSION
            self.prefix = ["setpriv", f"--reuid={uid}", f"--regid={uid}", "--clear-groups"]
            for name, short in (("RUNTIME_DIR", "r"), ("CONFIG_HOME", "c"),
                                ("CACHE_HOME", "k"), ("DATA_HOME", "d")):
                path = os.path.join(home, short)
                os.mkdir(path, 0o700)
                os.chown(path, uid, uid)
                self.env[f"XDG_{name}"] = path
            self.env["HOME"] = home
        self.config = os.path.join(home, "libvirtd.conf")
        with open(self.config, "w", encoding="utf-8") as file:
            file.write(f'auth_unix_rw="none"\nunix_sock_rw_perms="{socket_mode}"\n'
                       f'log_outputs="3:file:{home}/libvirtd.log"\n')
        with open("/etc/libvirt/qemu.conf", "w", encoding="utf-8") as file:
            # The namespace of each domain would be made of a /dev that is not as usual.
            file.write("namespaces=[]\ncgroup_controllers=[]\n")
        self.pids = {}
        self.start()

    def start(self):
        for pid in self.pids.values():
            os.kill(pid, signal.SIGCONT)
        self._daemon("virtlogd")
        self._daemon("libvirtd", "-f", self.config)

    def _daemon(self, name, *args):
        """Its start is over when it has gone to the background."""
        pidfile = os.path.join(self.home, f"{name}.pid")
        if name in self.pids:
            return
        subprocess.run([*self.prefix, name, "-d", "-p", pidfile, *args], env=self.env,
                       stdin=subprocess.DEVNULL, check=True, timeout=PATIENCE)
        with open(pidfile, encoding="ascii") as file:
            self.pids[name] = int(file.read())

    def kill(self, signo=signal.SIGKILL, name="libvirtd"):
        """To libvirtd; unless it is to go on later, its end is waited for."""
        pid = self.pids[name]
        fd = os.pidfd_open(pid)
        os.kill(pid, signo)
        if signo in (signal.SIGKILL, signal.SIGTERM):
            wait_for(lambda: _ended(fd), f"{name}'s end")
            del self.pids[name]
        os.close(fd)

    def stop(self):
        for name in list(self.pids):
            self.kill(name=name)

    def virsh(self, *args):
        return subprocess.run([*self.prefix, "virsh", "-q", "-c", self.uri, *args],
                              env=self.env, capture_output=True, text=True, check=True,
                              timeout=PATIENCE).stdout

    def domains(self):
        """All that it knows, running or not."""
        return self.virsh("list", "--all", "--name").split()


class Case(cli.Case):
    """A test with a scratch directory and libvirtds."""

    def setUp(self):
        super().setUp()
        os.chmod(self.dir, 0o755)
        self.env = {}  # for gferry, besides that of the daemon's user

    # Those that run, by what they were asked for: each start makes libvirt look at its qemu.
    running = {}

    def daemon(self, uid=None, **kwargs):
        """One that runs; tests share it, and leave it without domains."""
        key = (uid, *kwargs.items())
        for other in [k for k in self.running if k[0] == uid and k != key]:
            self.running.pop(other).stop()  # they would have the same sockets
        if key not in self.running:
            self.running[key] = Libvirtd(uid, **kwargs)
        self.running[key].start()
        return self.running[key]

    @classmethod
    def tearDownClass(cls):
        super().tearDownClass()
        while cls.running:
            cls.running.popitem()[1].stop()

    def gferry(self, daemon, *args, uid=None, backend=None, code=0):
        uid = daemon.uid if uid is None else uid
        who = [] if uid is None else ["setpriv", f"--reuid={uid}", f"--regid={uid}",
                                      "--clear-groups"]
        run = subprocess.run([*who, cli.GFERRY, "--backend",
                              backend or f"libvirt:{daemon.uri}", "--accel", "tcg",
                              *map(str, args)], env={**daemon.env, **self.env}, capture_output=True,
                             text=True, check=False, timeout=cli.PATIENCE,
                             stdin=subprocess.DEVNULL)
        self.assertEqual(run.returncode, code, run.stderr)
        run.stderr = cli.without_progress(run.stderr)
        return run

    def cp(self, daemon, *args):
        """gferry cp in a terminal, so slow that something can happen to it."""
        return cli.Terminal("--backend", f"libvirt:{daemon.uri}", "--accel", "tcg", "cp",
                            *cli.SLOWLY, *args, env=daemon.env)

    def nothing_is_left(self, daemon):
        self.no_process_is_left()
        wait_for(lambda: not daemon.domains(), "the domain's end")


def _ended(pidfd):
    return bool(select.select([pidfd], [], [], 0)[0])


def wait_for(condition, what, within=PATIENCE):
    """Looks again and again: what is waited for here tells nobody."""
    deadline = time.monotonic() + within
    while not condition():
        if time.monotonic() > deadline:
            raise AssertionError(f"{what} did not come")
        time.sleep(0.02)
