"""The ratios to nftables as a picture."""

import matplotlib

matplotlib.use("svg")
from matplotlib import pyplot  # noqa: E402

_BASE = "nftables"
# In this order. Of Okabe and Ito's colours, which colour-blind people tell apart, too; what is no gateway is grey.
_COLOURS = {"vipgate": "#0072b2", "HAProxy": "#e69f00", "nginx": "#56b4e9", "vipgate, offload off": "#cc79a7", "TUN limit": "#7f7f7f",
            "TUN limit, real-time": "#a6a6a6", "routed": "#c8c8c8"}
_BAR = 0.19  # inches
_INK, _PAPER = "#1f2328", "#ffffff"


def draw(path, works, ways, figures, subtitle):
    """Writes an SVG file. `works`: by name; `figures`: of report.summary()."""
    ways = [way for way in _COLOURS if way in ways]
    ratios = {(work, way): figures[work].get(way, {}).get("of", {}).get(_BASE) for work in works for way in ways}
    # Paper of its own, so that the words can be read on a dark page, too.
    settings = {"svg.fonttype": "path", "svg.hashsalt": "vipgate", "font.size": 9, "figure.facecolor": _PAPER, "axes.facecolor": _PAPER,
                **{f"{part}color": _INK for part in ("text.", "axes.label", "axes.edge", "xtick.", "ytick.")}}
    with matplotlib.rc_context(settings):
        figure, axes = pyplot.subplots(figsize=(8, 1.2 + _BAR * (len(ways) + 1) * len(works)), layout="constrained")
        for number, way in enumerate(ways):
            _bars(axes, number, way, [ratios[work, way] for work in works], len(ways) + 1)
        axes.axvline(1, color=_INK, linewidth=1, label=_BASE)
        middles = [(len(ways) + 1) * row + (len(ways) - 1) / 2 for row in range(len(works))]
        axes.set_yticks(middles, [work.title for work in works.values()])
        axes.tick_params(axis="y", length=0)
        axes.invert_yaxis()
        axes.margins(x=0.08, y=0.01)
        axes.set_xlim(left=0)
        axes.set_xlabel(f"rate, as a multiple of what {_BASE} does: longer is better\n{subtitle}")
        axes.spines[["top", "right", "left"]].set_visible(False)
        axes.legend(loc="lower center", bbox_to_anchor=(0.4, 1), ncols=len(ways) + 1, frameon=False)
        figure.savefig(path, format="svg", metadata={"Date": None})
        pyplot.close(figure)


def _bars(axes, number, way, ratios, rows):
    """One way's bars, one a work, each with its spread over the rounds."""
    label = way
    for row, ratio in enumerate(ratios):
        place = rows * row + number
        if not ratio:
            axes.annotate("—", (0, place), xytext=(4, 0), textcoords="offset points", va="center", fontsize=7)
            continue
        median = ratio["median"]
        axes.barh(place, median, height=0.85, color=_COLOURS[way], label=label)
        axes.plot([ratio["min"], ratio["max"]], [place, place], color=_INK, linewidth=0.8)
        end = (ratio["max"], place)
        axes.annotate(f"{median:.2f}", end, xytext=(4, 0), textcoords="offset points", va="center", fontsize=7)
        label = None
