"""Draws the results."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import matplotlib as mpl
from matplotlib.figure import Figure

from bench.results import Round, Sample
from bench.stats import spread
from bench.targets import ROWS

# Keeps text as text, and keeps the file the same for the same results.
mpl.rcParams.update({"svg.fonttype": "none", "svg.hashsalt": "bench", "font.size": 9})


def save_svg(figure: Figure, file: Path) -> None:
    figure.savefig(file, metadata={"Date": None, "Creator": None})


def rates_figure(rounds: Sequence[Round]) -> Figure:
    """Jobs per second and CPU time per job, with the lowest and the highest value of all rounds."""
    names = [name for name in ROWS if any(name in one.samples for one in rounds)][::-1]
    figure = Figure(figsize=(9, 0.45 * len(names) + 1.2), layout="constrained")
    rate, cpu = figure.subplots(1, 2, sharey=True)
    values: list[tuple[Any, str, Callable[[Sample], float]]] = [
        (rate, "jobs/s, end to end", lambda sample: sample.rate),
        (cpu, "CPU seconds per 1,000 jobs, without the load generator", lambda sample: sample.cpu_per_1000),
    ]
    for axes, title, value in values:
        found = [spread(value(one.samples[name]) for one in rounds if name in one.samples) for name in names]
        medians = [each.median for each in found]
        errors = [
            [each.median - each.low for each in found],
            [each.high - each.median for each in found],
        ]
        axes.barh(names, medians, xerr=errors, color="#4878a8", ecolor="#303030", capsize=2)
        axes.set_title(title, fontsize=9)
        axes.spines[["top", "right"]].set_visible(False)
    return figure


def curves(title: str, lines: Mapping[str, Sequence[tuple[float, float]]]) -> Figure:
    """A curve for each name. The x axis is logarithmic and starts at 0."""
    figure = Figure(figsize=(6, 3), layout="constrained")
    axes = figure.subplots()
    for name, points in lines.items():
        axes.plot([x for x, _ in points], [y for _, y in points], marker="o", label=name)
    axes.set_xscale("symlog", linthresh=1000)
    axes.set_ylim(bottom=0)
    axes.set_title(title, fontsize=9)
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False)
    return figure
