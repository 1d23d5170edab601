"""Completeness, purity and star/galaxy separation against brightness, as a picture."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from astropy.stats import binom_conf_interval

from contest.scores import Judged

__all__ = ["draw"]

# More of them than there are tools, or tools would be left out.
_COLOURS = ("#c2410c", "#1d4ed8", "#15803d", "#7e22ce", "#0f172a", "#0891b2", "#ca8a04", "#db2777", "#65a30d")
_EDGES = np.arange(-1.0, 7.5, 0.5)


def _share(axes, hits: np.ndarray, n: np.ndarray, edges: np.ndarray, label: str, colour: str) -> None:
    """A line of shares with their 68 % intervals; bins with fewer than ten are left out."""
    known = n >= 10
    middle = (edges[:-1] + edges[1:])[known] / 2
    low, high = binom_conf_interval(hits[known], n[known], interval="wilson")
    axes.plot(middle, hits[known] / n[known], color=colour, label=label, lw=1.6)
    axes.fill_between(middle, low, high, color=colour, alpha=0.15, lw=0)


def _completeness(axes, fields: Sequence[Judged], threshold: float, label: str, colour: str) -> None:
    bright = np.concatenate([(j.where.depth - j.where.magnitude)[j.where.wanted] for j in fields])
    found = np.concatenate([j.rank_of_truth()[j.where.wanted] >= threshold for j in fields])
    n, hits = (np.histogram(v, _EDGES)[0] for v in (bright, bright[found]))
    _share(axes, hits, n, _EDGES, label, colour)


def _purity(axes, fields: Sequence[Judged], threshold: float, label: str, colour: str) -> None:
    light = np.concatenate([np.log10(np.clip(j.found.more["light"], 1, None)) for j in fields])
    state = np.concatenate([np.where(j.rank >= threshold, j.truth, -2) for j in fields])
    edges = np.linspace(0.3, 3, 19)
    n, hits = (np.histogram(light[m], edges)[0] for m in (state != -2, state >= 0))
    _share(axes, hits, n, edges, label, colour)


def draw(path: Path, regimes: dict, classes: dict) -> None:
    """Write the picture.

    Parameters
    ----------
    regimes : dict
        For each regime, for each tool the judged fields and its threshold.
    classes : dict
        For each set of sources: (magnitudes above the limit, whether a galaxy, what each tool calls a galaxy).
    """
    import matplotlib as mpl

    mpl.use("Agg")
    import matplotlib.pyplot as plt

    columns = max(len(regimes), 4)
    figure, axes = plt.subplots(
        2 + len(classes), columns, figsize=(3.6 * columns, 3.0 * (2 + len(classes))), squeeze=False
    )
    for column, (name, tools) in enumerate(regimes.items()):
        for (tool, (fields, threshold)), colour in zip(tools.items(), _COLOURS[: len(tools)], strict=True):
            _completeness(axes[0, column], fields, threshold, tool, colour)
            _purity(axes[1, column], fields, threshold, tool, colour)
        axes[0, column].set(title=name, xlabel="magnitudes above the 5 sigma limit", xlim=(-1, 7.5), ylim=(0, 1.03))
        axes[1, column].set(xlabel="log10 significance of the light there", xlim=(0.3, 3), ylim=(0.5, 1.02))
    axes[0, 0].set_ylabel("completeness at 95 % purity")
    axes[1, 0].set_ylabel("purity")
    axes[0, 0].legend(fontsize=8, frameon=False)
    for row, (name, (bright, galaxy, calls)) in enumerate(classes.items(), start=2):
        _classes(axes[row], name, bright, galaxy, calls)
    for empty in (a for a in axes.flat if not a.has_data() and not a.get_title()):
        empty.set_axis_off()
    figure.tight_layout()
    figure.savefig(path, dpi=110)
    plt.close(figure)


def _classes(axes, name: str, bright: np.ndarray, galaxy: np.ndarray, calls: dict[str, np.ndarray]) -> None:
    panels = {
        "galaxies found as such": lambda c: (galaxy, c),
        "of galaxies, right": lambda c: (c, galaxy),
        "stars found as such": lambda c: (~galaxy, ~c),
        "of stars, right": lambda c: (~c, ~galaxy),
    }
    edges = np.arange(0, 7.5, 1.0)
    for axis, (label, of) in zip(axes, panels.items(), strict=False):
        for (tool, called), colour in zip(calls.items(), _COLOURS[: len(calls)], strict=True):
            base, right = of(called)
            n, hits = np.histogram(bright[base], edges)[0], np.histogram(bright[base & right], edges)[0]
            _share(axis, hits, n, edges, tool, colour)
        axis.set(title=f"{name}: {label}", xlabel="magnitudes above the 5 sigma limit", xlim=(0, 7), ylim=(0.3, 1.03))
        axis.title.set_fontsize(9)
    axes[0].legend(fontsize=8, frameon=False)
