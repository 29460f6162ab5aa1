"""The appliance as a directory: programs, their libraries, modules, our own files.

dracut-install finds the libraries of programs and the modules that modules need; we
only say what (contents.toml) and where.
"""

import glob
import os
import shutil
import subprocess

from system import Failed

DRACUT_INSTALL = "/usr/lib/dracut/dracut-install"

# Where a program may be on Debian; the appliance has the same places.
PROGRAM_DIRS = ["/usr/sbin", "/usr/bin", "/sbin", "/bin"]

# Mount points of daemon/boot.c, and what a merged-/usr system has as links.
DIRS = ["dev", "proc", "sys", "run", "tmp", "sysroot", "etc/ferryd", "modules",
        "usr/bin", "usr/sbin", "usr/lib", "usr/lib64", "var/lib"]
LINKS = {"bin": "usr/bin", "sbin": "usr/sbin", "lib": "usr/lib", "lib64": "usr/lib64",
         "var/run": "../run", "var/lock": "../run/lock", "var/tmp": "../tmp",
         "etc/mtab": "../proc/self/mounts"}


def _dracut_install(system, tree, *args):
    command = [DRACUT_INSTALL, "-D", tree, *args]
    done = subprocess.run(command, capture_output=True, text=True,
                          env=system.env | {"DRACUT_LDD": system.ldd})
    if done.returncode != 0:
        raise Failed(f"dracut-install: {done.stderr.strip()}")


def _find_program(system, name, package):
    for where in PROGRAM_DIRS:
        path = os.path.join(where, name)
        if os.access(system.root + path, os.X_OK):
            return path
    raise Failed(f"{name} is not here: {system.install} {package}")


def skeleton(tree):
    for name in DIRS:
        os.makedirs(os.path.join(tree, name))
    for name, target in LINKS.items():
        os.symlink(target, os.path.join(tree, name))


def programs(system, tree, wanted):
    """Programs with the libraries they are linked to. `wanted`: package -> names."""
    paths = [_find_program(system, name, package)
             for package, names in wanted.items() for name in names]
    _libraries(system, tree, paths)


def _libraries(system, tree, paths):
    _dracut_install(system, tree, *system.dracut_root, "-l", "-a", *paths)


def _present(wanted, root, install):
    """All paths of `wanted` (package -> paths), each of them checked."""
    for package, paths in wanted.items():
        for path in paths:
            if not os.path.exists(root + path):
                raise Failed(f"{path} is not here: {install} {package}")
            yield path


def files(system, tree, wanted):
    """Data of the system's, whole directories too."""
    wanted = {package: [path.format(triplet=system.triplet) for path in paths]
              for package, paths in wanted.items()}
    for path in _present(wanted, system.root, system.install):
        source, target = system.root + path, tree + path
        os.makedirs(os.path.dirname(target), exist_ok=True)
        if os.path.isdir(source):
            shutil.copytree(source, target, copy_function=shutil.copyfile)
        else:
            shutil.copyfile(source, target)


def firmware(system):
    """Paths of what qemu loads, not the guest. qemu is the host's."""
    return list(_present(system.needs["firmware"], "", "apt-get install"))


def libraries_of(system, tree, program):
    """The shared libraries of a program that is not itself at its place on the host. A
    static one has none: ld.so costs our daemon 20 ms under TCG."""
    shown = subprocess.run([system.ldd, program], capture_output=True, text=True,
                           env=system.env).stdout
    paths = [word for word in shown.split() if word.startswith("/")]
    if paths:
        _libraries(system, tree, paths)


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


def _load_order(moddir, wanted):
    """Paths of the wanted modules and of what they need, each after its needs."""
    needs = _needs(moddir)
    by_name = {_name(path): path for path in needs}
    order = []
    for name in wanted:
        path = by_name[name.replace("-", "_")]
        order += [m for m in [*reversed(needs[path]), path] if m not in order]
    return order


def _strip(system, moddir):
    """Drops type data and signatures. The appliance enforces no signatures, and
    checking those of the boot modules alone is 60 ms of a TCG boot."""
    for path in glob.glob(os.path.join(moddir, "**/*.ko"), recursive=True):
        subprocess.run([system.tool("objcopy"), "--strip-debug", "--remove-section=.BTF", path],
                       check=True)


def _boot_list(tree, moddir, wanted):
    """Copies modules to /modules, which is there before /usr, and lists them for
    daemon/boot.c: path, then parameters. `wanted`: "NAME [PARAMETERS]"."""
    params = {_name(w.split()[0]): w.partition(" ")[2] for w in wanted}
    with open(os.path.join(tree, "etc/ferryd/boot-modules"), "w") as f:
        for path in _load_order(moddir, [w.split()[0] for w in wanted]):
            target = f"/modules/{os.path.basename(path)}"
            shutil.copyfile(os.path.join(moddir, path), tree + target)
            f.write(f"{target} {params.get(_name(path), '')}".rstrip() + "\n")


def _lane_list(tree, moddir, wanted):
    """Lists modules where they are, for daemon/dax.c."""
    below = os.path.join("/", os.path.relpath(moddir, tree))
    with open(os.path.join(tree, "etc/ferryd/lane-modules"), "w") as f:
        for path in _load_order(moddir, wanted):
            f.write(f"{below}/{path}\n")


def modules(system, tree, kernel, boot, lane, demand):
    """All modules below usr/lib/modules, with the indexes that modprobe reads, and
    lists of those that the daemon loads itself."""
    names = [*(w.split()[0] for w in boot), *lane, *demand]
    _dracut_install(system, tree, "--kerneldir", kernel.modules, "--module", *names)

    moddir = os.path.join(tree, "usr/lib/modules", kernel.release)
    for name in ["modules.builtin", "modules.builtin.modinfo", "modules.order"]:
        shutil.copyfile(os.path.join(kernel.modules, name), os.path.join(moddir, name))
    _strip(system, moddir)
    subprocess.run(["depmod", "-b", tree, kernel.release], check=True)
    _boot_list(tree, moddir, boot)
    _lane_list(tree, moddir, lane)


# ---- the split ----------------------------------------------------------------------


def split_usr(tree, usr):
    """Moves what is below /usr out of the tree to `usr`; the mount point stays."""
    os.rename(os.path.join(tree, "usr"), usr)
    os.mkdir(os.path.join(tree, "usr"))
