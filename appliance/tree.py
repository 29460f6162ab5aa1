"""The initramfs as a directory: programs, their libraries, modules, our own files.

dracut-install finds the libraries of programs and the modules that modules need; we only
say what (contents.toml) and where.
"""

import glob
import os
import shutil
import subprocess

from kernel import Failed

DRACUT_INSTALL = "/usr/lib/dracut/dracut-install"

# Where a program may be on Debian; the appliance has the same places.
PROGRAM_DIRS = ["/usr/sbin", "/usr/bin", "/sbin", "/bin"]

# Mount points of daemon/boot.c, and what a merged-/usr system has as links.
DIRS = ["dev", "proc", "sys", "run", "tmp", "sysroot", "etc/ferryd", "usr/bin", "usr/sbin",
        "usr/lib", "usr/lib64", "var/lib"]
LINKS = {"bin": "usr/bin", "sbin": "usr/sbin", "lib": "usr/lib", "lib64": "usr/lib64",
         "var/run": "../run", "var/lock": "../run/lock", "var/tmp": "../tmp",
         "etc/mtab": "../proc/self/mounts"}


def _dracut_install(tree, *args):
    command = [DRACUT_INSTALL, "-D", tree, *args]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode != 0:
        raise Failed(f"dracut-install: {done.stderr.strip()}")


def _find_program(name, package):
    for where in PROGRAM_DIRS:
        path = os.path.join(where, name)
        if os.access(path, os.X_OK):
            return path
    raise Failed(f"{name} is not here: apt-get install {package}")


def skeleton(tree):
    for name in DIRS:
        os.makedirs(os.path.join(tree, name))
    for name, target in LINKS.items():
        os.symlink(target, os.path.join(tree, name))


def programs(tree, wanted):
    """Programs with the libraries they are linked to. `wanted`: package -> names."""
    paths = [_find_program(name, pkg) for pkg, names in wanted.items() for name in names]
    _dracut_install(tree, "-l", "-a", *paths)


def files(tree, wanted):
    """Single files of the host's. `wanted`: package -> paths."""
    for package, paths in wanted.items():
        for path in paths:
            if not os.path.exists(path):
                raise Failed(f"{path} is not here: apt-get install {package}")
            target = tree + path
            os.makedirs(os.path.dirname(target), exist_ok=True)
            shutil.copyfile(path, target)


def libraries_of(tree, program):
    """The shared libraries of a program that is not itself at its place on the host. A
    static one has none: ld.so costs our daemon 20 ms under TCG."""
    shown = subprocess.run(["ldd", program], capture_output=True, text=True).stdout
    paths = [word for word in shown.split() if word.startswith("/")]
    if paths:
        _dracut_install(tree, "-l", "-a", *paths)


def own_files(tree, rootfs):
    shutil.copytree(rootfs, tree, symlinks=True, dirs_exist_ok=True)


# ---- modules ------------------------------------------------------------------------


def _needs(moddir):
    """modules.dep: path -> what it needs, all of it, the deepest last."""
    with open(os.path.join(moddir, "modules.dep")) as f:
        return {path: deps.split() for path, deps in
                (line.rstrip("\n").split(":") for line in f)}


def _name(path):
    return os.path.basename(path).removesuffix(".ko").replace("-", "_")


def _boot_order(moddir, boot):
    """Paths of the boot modules and of what they need, each after its needs."""
    needs = _needs(moddir)
    by_name = {_name(path): path for path in needs}
    order = []
    for name in boot:
        path = by_name[name.replace("-", "_")]
        order += [m for m in reversed(needs[path]) if m not in order]
        if path not in order:
            order.append(path)
    return order


def modules(tree, kernel, boot, demand):
    """Modules, their indexes for modprobe, and the list that daemon/boot.c loads."""
    subprocess.run(["depmod", "-b", os.path.dirname(os.path.dirname(os.path.dirname(
        kernel.modules))), kernel.release], check=True)
    _dracut_install(tree, "--kerneldir", kernel.modules, "--module", *boot, *demand)

    moddir = os.path.join(tree, "usr/lib/modules", kernel.release)
    for name in ["modules.builtin", "modules.builtin.modinfo", "modules.order"]:
        shutil.copyfile(os.path.join(kernel.modules, name), os.path.join(moddir, name))
    subprocess.run(["depmod", "-b", tree, kernel.release], check=True)

    with open(os.path.join(tree, "etc/ferryd/boot-modules"), "w") as f:
        for path in _boot_order(moddir, boot):
            f.write(f"/usr/lib/modules/{kernel.release}/{path}\n")
