"""How cost grows with size and with count, as SVG, by gnuplot. Medians with their range."""
import os
import subprocess

import figures

HEAD = """set terminal svg size 940,460 noenhanced font 'sans-serif,13' background rgb 'white'
set output '%(out)s'
set title '%(title)s' font ',15'
set xlabel '%(x)s'
set ylabel '%(y)s'
set key outside right top vertical Left reverse samplen 3
set grid xtics ytics lc rgb '#dddddd'
set logscale x %(base)d
set logscale y 10
set border 3
set tics nomirror
set format y '%%g'
set xtics (%(xtics)s)
"""

# One colour for a side, one shape and dash for a way.
COLOURS = {"ours": "#0060ad", "libguestfs": "#c03020", "guest": "#707070"}
NAMES = {"ours": "guestferry", "libguestfs": "libguestfs", "guest": "limit: dd in the guest"}
STYLES = ("pt 5 dt 1", "pt 6 dt 2", "pt 9 dt 4")


def points(workloads, plot, way, side):
    """[(x, median, min, max)]"""
    found = []
    for entry in workloads.values():
        s = figures.spread(entry, side)
        if s and entry["plot"] and tuple(entry["plot"][:2]) == (plot, way):
            found.append((entry["plot"][2], s["median"], s["min"], s["max"]))
    return sorted(found)


def draw(out, series, title, x, y, base, unit):
    """series: [(side, way, points)]; unit(x): the label of a tick"""
    series = [s for s in series if s[2]]
    if not series:
        return
    ways = list(dict.fromkeys(way for _, way, _ in series))
    ticks = sorted({p[0] for s in series for p in s[2]})
    script = [HEAD % {"out": out, "title": title, "x": x, "y": y, "base": base,
                      "xtics": ", ".join("'%s' %d" % (unit(t), t) for t in ticks)}]
    script.append("set yrange [%g:%g]\n" % (min(p[2] for s in series for p in s[2]) / 2,
                                            max(p[3] for s in series for p in s[2]) * 2))
    # A point at the edge of the frame is half a point.
    script.append("set xrange [%g:%g]\n" % (ticks[0] / 1.4, ticks[-1] * 1.4))
    plots = []
    for i, (side, way, rows) in enumerate(series):
        script.append("$d%d << EOD\n%s\nEOD\n" % (
            i, "\n".join("%g %g %g %g" % row for row in rows)))
        style = "lc rgb '%s' %s ps 0.8 lw 1.6" % (COLOURS[side], STYLES[ways.index(way)])
        plots.append("$d%d using 1:2 with linespoints %s title '%s, %s'" % (i, style, NAMES[side], way))
        plots.append("$d%d using 1:2:3:4 with yerrorbars %s notitle" % (i, style))
    subprocess.run(["gnuplot"], input="".join(script) + "plot " + ", \\\n  ".join(plots) + "\n",
                   text=True, check=True)


def size_text(mib):
    return "%d GiB" % (mib // 1024) if mib >= 1024 else "%d MiB" % mib


def draw_all(workloads, directory):
    os.makedirs(directory, exist_ok=True)

    def plot(name, ways, sides, *words):
        series = [(side, way, points(workloads, name, way, side)) for side in sides for way in ways]
        draw(os.path.join(directory, name + ".svg"), series, *words)

    plot("size", ("upload", "download"), ("ours", "libguestfs", "guest"),
         "One file, by its size", "size of the file", "MB/s", 2, size_text)
    plot("count", ("in, flushed", "out"), ("ours", "libguestfs"),
         "A tree of files of 4 KiB, by their number", "files", "files/s", 10, str)
    plot("at-once", ("uploads", "downloads"), ("ours", "libguestfs"),
         "16 files of 64 MiB, so many at a time", "transfers at once", "MB/s, all together", 2, str)
