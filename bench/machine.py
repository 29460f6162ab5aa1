"""What a figure depends on besides the code: the commit, the machine, the versions."""
import os
import re
import subprocess

TOP = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))


def said(*argv):
    """The first line a program says, or ""."""
    try:
        done = subprocess.run(argv, cwd=TOP, capture_output=True, text=True, check=False)
    except OSError:
        return ""
    return (done.stdout.splitlines() or [""])[0]


def commit():
    dirty = subprocess.run(["git", "diff", "--quiet", "HEAD", "--", "src", "daemon", "cli", "appliance"],
                           cwd=TOP, check=False).returncode != 0
    return said("git", "rev-parse", "--short=10", "HEAD") + ("+" if dirty else "")


def processor():
    with open("/proc/cpuinfo") as f:
        found = re.search(r"model name\s*:\s*(.*)", f.read())
    return found.group(1).strip() if found else os.uname().machine


def memory_gib():
    return round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / (1 << 30))


def version(package):
    return said("dpkg-query", "-W", "-f", "${Version}", package).split("-")[0].split(":")[-1]


def line():
    return "%d x %s, %d GiB, Linux %s; qemu %s under TCG, libguestfs %s" % (
        os.cpu_count(), processor(), memory_gib(), os.uname().release.split("-")[0],
        version("qemu-system-" + ("arm" if os.uname().machine == "aarch64" else "x86")),
        version("libguestfs0"))
