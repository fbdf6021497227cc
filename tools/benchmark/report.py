"""What the rounds come to, as data and as tables."""

import statistics

BASES = {"nftables": ["nftables"], "HAProxy": ["HAProxy"], "TUN limit": ["TUN limit", "TUN limit, real-time"]}
"""What ways are compared with: the one of these that is the better one in the median."""
_NONE = "—"
_LEGEND = """\
Medians of the rounds (least to most); "of": medians of the rounds' ratios, those
of TUN limit to the better one of the two. CPU: time of all processors of the machine together. MB: the most memory that the programs in
the gateway's namespace had."""


def summary(samples, ways):
    """For each work and way: medians and spreads of the rounds. `samples[work][way]` has an entry a round, None where it failed."""
    return {work: {way: _way(rounds[way], _bases(rounds)) for way in ways if any(rounds[way])} for work, rounds in samples.items()}


def _bases(rounds):
    """The samples of each base, by round."""

    def rate(samples):
        return statistics.median(one["rate"] for one in samples if one)

    return {base: max((rounds[way] for way in ways if any(rounds.get(way, []))), key=rate, default=[]) for base, ways in BASES.items()}


def _way(rounds, bases):
    done = [one for one in rounds if one]
    figures = {"rate": _spread([one["rate"] for one in done]), "of": {}}
    for base, others in bases.items():
        if ratios := [one["rate"] / other["rate"] for one, other in zip(rounds, others) if one and other]:
            figures["of"][base] = _spread(ratios)
    for key in done[0].keys() - {"rate", "memory", "carried"}:
        figures[key] = statistics.median(one[key] for one in done)
    figures["memory"] = max(one["memory"] for one in done)
    return figures


def _spread(values):
    return {"median": statistics.median(values), "min": min(values), "max": max(values)}


def show(works, ways, figures):
    """Prints a table for each work. `works`: by name; `figures`: of summary()."""
    for name, work in works.items():
        latency = any("p50_ms" in one for one in figures[name].values())
        head = [work.unit, *(f"of {base}" for base in BASES), f"CPU {work.per}", "MB", *(("p50 ms", "p99 ms") if latency else ())]
        rows = [["", *head], *([way, *_cells(way, figures[name].get(way), len(head))] for way in ways)]
        widths = [max(map(len, column)) for column in zip(*rows)]
        print(f"\n{work.title}")
        for row in rows:
            print("   ".join([f"  {row[0]:<{widths[0]}}", *(cell.rjust(width) for cell, width in zip(row[1:], widths[1:]))]))
    print(f"\n{_LEGEND}")


def _cells(way, figures, count):
    if not figures:
        return [_NONE] * count
    cells = [_range(figures["rate"])]
    for base in BASES:
        cells.append("1" if BASES[base] == [way] else _number(figures["of"][base]["median"]) if base in figures["of"] else _NONE)
    cells += [_number(figures["cpu"]), f"{figures['memory'] / 1e6:.0f}" if figures["memory"] else _NONE]
    return cells + [_number(figures[key]) for key in ("p50_ms", "p99_ms") if key in figures]


def _range(spread):
    low, middle, high = (_number(spread[key], spread["median"]) for key in ("min", "median", "max"))
    return f"{middle} ({low} to {high})"


def _number(value, like=None):
    """With three digits at least, or with as many decimals as another number would have."""
    like = value if like is None else like
    return f"{value:.{0 if like >= 100 else 1 if like >= 10 else 2}f}"
