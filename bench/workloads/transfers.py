"""Files in and out: cost by size, many at once, holes."""
import os

from workload import Group, Workload, text_of_mib

from .common import clean, fresh_directory, guest_limit, host_copy, must_equal, session

SIZES = (1, 4, 16, 64, 256, 2048)
IN_THE_TABLE = (1, 256, 2048)
A_SAMPLE_MIB = 16  # smaller files are moved several times, one after the other
TARGETS = {("upload", 256): 5, ("flushed", 256): 5, ("download", 256): 15}
AT_ONCE = (1, 4, 16)
AT_ONCE_FILES, AT_ONCE_MIB = 16, 64
SPARSE_MIB, SPARSE_EVERY = 8192, 256

# libguestfs moves 40 to 50 MB/s: what it takes minutes for is done once.
PEERS_LONG = {"libguestfs": 1, "ours": 3, "guest": 3, "host": 3}


def times(mib):
    return max(1, A_SAMPLE_MIB // mib)


# ---- in and out -----------------------------------------------------------------------------


def move_in(mib, count, flight, sync):
    def run(side, m):
        directory = "/in-%d-%d" % (mib, count)
        clean(side, directory)
        side.tell("mkdir", directory)
        answer = side.tell("many_in", m.file(mib), directory, count, flight, sync)
        if answer:
            side.has.add(directory)
        return answer

    return run


def move_out(mib, count, flight):
    """What move_in has left."""
    def run(side, m):
        directory, out = "/in-%d-%d" % (mib, count), fresh_directory(m.path("out"))
        if directory not in side.has:
            move_in(mib, count, 1, 1)(side, m)
        answer = side.tell("many_out", directory, out, count, flight)
        if answer:
            must_equal(side, m.file(mib), os.path.join(out, str(count - 1)))
        fresh_directory(out)
        return answer

    return run


def of_size(nominal, mib):
    """The three workloads of a size, with the guest's limit and the host's cp."""
    n = times(mib)
    text = text_of_mib(mib) + (", %d in sequence" % n if n > 1 else "")
    common = {"unit": "MB/s", "amount": mib * n, "table": nominal in IN_THE_TABLE,
              "rounds": PEERS_LONG if nominal > 256 else {}}

    def one(name, title, ours, kind, flushed):
        sides = {"ours": ours, "libguestfs": ours}
        if n == 1:
            sides["guest"] = guest_limit(kind, "/limit-%d" % mib, mib)
            sides["host"] = host_copy(mib, flushed)
        return Workload("%s-%d" % (name, nominal), title + " " + text, sides=sides,
                        target=TARGETS.get((name, nominal), 0),
                        of_guest=0.8 if nominal == 256 and name != "upload" else 0,
                        plot=("size", name, mib), **common)

    found = [one("upload", "upload", move_in(mib, n, 1, 0), "WRITE", False)]
    if nominal == 256:
        found.append(discard(mib))
    if nominal >= 256:
        found.append(one("flushed", "upload, flushed,", move_in(mib, n, 1, 1), "FLUSH", True))
    return found + [one("download", "download", move_out(mib, n, 1), "READ", False)]


def discard(mib):
    """A download without a file on the host, as the guest's limit has none."""
    def run(side, m):
        source = "/in-%d-1/0" % mib
        if os.path.dirname(source) not in side.has:
            move_in(mib, 1, 1, 1)(side, m)
        return side.tell("download", source, "/dev/null")

    return Workload("discard-256", "download %s to /dev/null" % text_of_mib(mib), "MB/s",
                    {"ours": run, "libguestfs": run, "guest": guest_limit("READ", "/limit-%d" % mib, mib)},
                    mib, of_guest=0.8)


# ---- many at once ---------------------------------------------------------------------------


def at_once(size):
    files, mib = AT_ONCE_FILES, size(AT_ONCE_MIB)

    def one(name, title, flight, run):
        peers = {} if flight > 1 else {"libguestfs": run}
        return Workload("%s-%d" % (name, flight),
                        "%s of %d x %s, %d at once" % (title, files, text_of_mib(mib), flight),
                        "MB/s", dict(ours=run, **peers), files * mib, {"libguestfs": 1},
                        base=name + "-1" if flight > 1 else "",
                        at_least_base=0.9 if flight > 1 else 0, plot=("at-once", title, flight))

    return ([one("at-once-in", "uploads", f, move_in(mib, files, f, 1)) for f in AT_ONCE]
            + [one("at-once-out", "downloads", f, move_out(mib, files, f)) for f in AT_ONCE])


# ---- holes ----------------------------------------------------------------------------------


def sparse(size):
    mib = size(SPARSE_MIB, 2)

    def move_in_(side, m):
        clean(side, "/sparse")
        answer = side.tell("upload", m.sparse(mib, SPARSE_EVERY), "/sparse", 1)
        side.has.add("/sparse")
        return answer

    def move_out_(side, m):
        if "/sparse" not in side.has:
            move_in_(side, m)
        out = m.path("sparse.out")
        answer = side.tell("download", "/sparse", out)
        must_equal(side, m.sparse(mib, SPARSE_EVERY), out)
        os.unlink(out)
        return answer

    text = "sparse %s, %d MiB of data, " % (text_of_mib(mib), -(-mib // SPARSE_EVERY))
    return [Workload("sparse-in", text + "in, flushed", "s", {"ours": move_in_, "libguestfs": move_in_},
                     rounds=PEERS_LONG),
            Workload("sparse-out", text + "out", "s", {"ours": move_out_, "libguestfs": move_out_},
                     rounds=PEERS_LONG)]


def group(size):
    by_size = [w for nominal in SIZES for w in of_size(nominal, size(nominal))]
    return Group("transfers", "Files in and out", by_size + at_once(size) + sparse(size), session)
